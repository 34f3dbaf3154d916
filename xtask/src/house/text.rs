//! Checks of all texts: nothing of the machine they were written on, every dependency from
//! crates.io, and no file named in the documentation that does not exist.

use super::{File, Finding};

/// Folders of somebody's machine, which mean nothing in a repository. Written in two halves so that
/// this file passes its own check.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// The one place that dependencies come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Folders whose files the documentation names in code spans.
const NAMED_FOLDERS: &[&str] = &["crates/", "docs/", "examples/", "xtask/", "fuzz/", ".ci/", ".github/"];

/// Runs every check of this file; `exists` answers for a path from the root.
pub fn check(files: &[File], exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let mut found = |what: String| {
                findings.push(Finding::new(format!("{}:{number}", file.path), what));
            };
            for path in MACHINE_PATHS.iter().filter(|path| names_path(line, path)) {
                found(format!("names `{path}`, a folder of one machine"));
            }
            if file.path.ends_with("Cargo.lock") && is_foreign_source(line) {
                found("a dependency that is not from crates.io".into());
            }
        }
        if file.path.ends_with(".md") {
            check_links(file, &exists, &mut findings);
        }
    }
    findings
}

/// Whether `path` stands in the line as the beginning of a path, not inside a longer one.
fn names_path(line: &str, path: &str) -> bool {
    let begins = |at: usize| !line[..at].ends_with(|before: char| before.is_alphanumeric());
    line.match_indices(path).any(|(at, _)| begins(at))
}

fn is_foreign_source(line: &str) -> bool {
    line.strip_prefix("source = ").is_some_and(|source| source.trim_matches('"') != CRATES_IO)
}

fn check_links(file: &File, exists: impl Fn(&str) -> bool, findings: &mut Vec<Finding>) {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut in_code = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let links = links(line).filter_map(|link| resolve(folder, link));
        for path in links.chain(named_files(line).map(str::to_owned)) {
            if !exists(&path) {
                let place = format!("{}:{number}", file.path);
                findings.push(Finding::new(place, format!("names `{path}`, which does not exist")));
            }
        }
    }
}

/// The targets of Markdown's links and of the `src` and `href` of HTML in it.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let between = |open: &'static str, close: &'static [char]| {
        line.split(open).skip(1).filter_map(move |rest| rest.split(close).next())
    };
    between("](", &[')', ' ']).chain(between("src=\"", &['"'])).chain(between("href=\"", &['"']))
}

/// The path from the root of a link in a file of `folder`; `None` for a link that leads elsewhere.
fn resolve(folder: &str, link: &str) -> Option<String> {
    let path = link.split('#').next().unwrap_or_default();
    if path.is_empty() || path.contains(':') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Code spans that name a file of the repository.
fn named_files(line: &str) -> impl Iterator<Item = &str> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.filter(|span| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        NAMED_FOLDERS.iter().any(|folder| span.starts_with(folder)) && span.chars().all(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.into(), text: text.into() };
        let exists = |path: &str| ["README.md", "docs/a.md", "crates/edge/src/lib.rs"].contains(&path);
        check(&[file], exists).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for path in MACHINE_PATHS {
            assert_eq!(found("a.toml", &format!("x\ny = \"{path}b\"\n")).len(), 1);
            assert_eq!(found("a.toml", &format!("http://host{path}b\n")), [""; 0]);
        }
    }

    #[test]
    fn dependencies_from_elsewhere_are_found() {
        let good = format!("source = \"{CRATES_IO}\"\n");
        assert_eq!(found("Cargo.lock", &good), [""; 0]);
        let bad = "source = \"registry+http://mirror.internal/index\"\n";
        assert_eq!(found("Cargo.lock", bad), ["Cargo.lock:1: a dependency that is not from crates.io"]);
    }

    #[test]
    fn links_to_what_is_not_there_are_found() {
        let good = "[a](a.md#part) [b](../README.md) [c](https://x.y/z) [d](#e) <img src=\"a.md\">";
        assert_eq!(found("docs/b.md", good), [""; 0]);
        assert_eq!(found("docs/b.md", "\n[a](c.md)").len(), 1);
        assert_eq!(found("README.md", "<img src=\"docs/c.svg\">").len(), 1);
    }

    #[test]
    fn code_spans_that_name_what_is_not_there_are_found() {
        let good = "`crates/edge/src/lib.rs` `crates/*/Cargo.toml` and `made/up.rs`";
        assert_eq!(found("README.md", good), [""; 0]);
        assert_eq!(found("README.md", "see `crates/edge/src/gone.rs`").len(), 1);
        assert_eq!(found("README.md", "```\n`crates/edge/src/gone.rs`\n```\n"), [""; 0]);
    }
}
