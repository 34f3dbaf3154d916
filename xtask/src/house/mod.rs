//! The house checks: what the design asks of the code and no compiler knows.
//!
//! They run as `cargo xtask house` and as a test, so nobody has to remember them.

mod floors;
mod source;
mod text;
mod tokens;

use std::fmt;
use std::fs;
use std::path::Path;

use crate::failure::{Failure, Outcome, While};
use crate::root;

/// Folders that hold nothing of ours.
const NOT_OURS: &[&str] = &[".git", "target", "nearside-data"];

/// Something that does not hold, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// A file of the repository as text, with its path from the root.
pub struct File {
    path: String,
    text: String,
}

/// Runs every check; what is found is listed in the failure.
pub fn run() -> Outcome<()> {
    let mut findings = floors::check(&floors::read()?);
    let files = files()?;
    findings.extend(source::check(&files));
    findings.extend(text::check(&files, |path| root().join(path).exists()));
    if findings.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(Failure::Unmet(format!("the house is not in order:\n{}", list.join("\n"))))
}

/// All text files of the repository, in the order of their paths.
fn files() -> Outcome<Vec<File>> {
    let mut files = Vec::new();
    gather(&root(), "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn gather(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Outcome<()> {
    let reading = || format!("reading {}", folder.display());
    for entry in fs::read_dir(folder).while_doing(reading())? {
        let entry = entry.while_doing(reading())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().while_doing(reading())?;
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            gather(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).while_doing(format!("reading {path}"))?;
            // What is not text (a picture, a fuzz corpus) has no lines to check.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path, text });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_house_is_in_order() {
        if let Err(failure) = super::run() {
            panic!("{failure}");
        }
    }
}
