//! What did the file say? Raw → checked, each mistake with file, line, column and what to write instead.
//!
//! The way of a file: its text is read as TOML with the place of every value; the tables of `file`
//! take each key to its kind (`kind`, `scalar`, `word`), noting mistakes as they go on; `check` fits
//! the tables together into a [`Plan`]; `report` shows what was noted. The schema comes from the same
//! tables.

mod check;
pub mod cron;
mod env;
mod file;
mod kind;
pub mod near;
pub mod net;
pub mod plan;
mod proxy;
pub mod public;
mod report;
mod scalar;
pub mod units;
mod word;

use std::io::Read as _;
use std::path::Path;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use crate::kind::{Item, Kind, Reader};
use crate::report::{Source, Span};

pub use plan::Plan;
pub use proxy::proxy_text;
pub use report::{Diagnostic, LISTED, Place, Report, Severity};

/// The most bytes of a file that are read.
pub const MAX_FILE: usize = 16 << 20;

/// A file that holds.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it means.
    pub plan: Plan,
    /// What is probably not as it was meant.
    pub warnings: Vec<Diagnostic>,
}

/// Loads a file. Variables are those of the process, relative paths begin at the file's folder.
///
/// # Errors
/// When the file can't be read or holds any mistake; all of them are listed.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let name = path.display().to_string();
    let text = read(path)?;
    let base = path.parent().unwrap_or(Path::new(""));
    parse(&text, &name, base, &|variable| std::env::var(variable).ok())
}

/// Checks the text of a file. `file` is its name in what is reported, `base` the folder that relative
/// paths begin at, `env` gives the values of variables.
///
/// # Errors
/// When the text holds any mistake; all of them are listed.
pub fn parse(
    text: &str,
    file: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Report> {
    let (plan, report) =
        read_as(text, file, env, |tables, source, reader| check::plan(tables, base, source, reader))?;
    Ok(Loaded { plan, warnings: report.diagnostics })
}

/// Reads a file that `discover = { file = … }` names: `endpoints`, as in a service. It has no variables.
///
/// # Errors
/// When the text holds any mistake; all of them are listed.
pub fn endpoints_file(text: &str, file: &str) -> Result<Vec<plan::Endpoint>, Report> {
    let endpoints = |table: file::Endpoints, _: &Source<'_>, reader: &mut Reader<'_>| {
        table.endpoints.map(|endpoints| check::endpoints(endpoints, reader))
    };
    read_as(text, file, &|_| None, endpoints).map(|(endpoints, _)| endpoints)
}

/// Reads the text of a file of at most [`MAX_FILE`] bytes.
///
/// # Errors
/// When it can't be read, is too large, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, Report> {
    let name = &path.display().to_string();
    let whole = |message: String, help: Option<&str>| Report::of_file(name, message, help.map(str::to_owned));
    let unreadable = |error: std::io::Error| whole(format!("can't be read: {error}"), None);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE {
        return Err(too_large(name));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        whole(format!("line {line} is not UTF-8"), Some("save the file with the encoding UTF-8"))
    })
}

/// The JSON Schema (2020-12) of the file, as this build knows it.
pub fn schema() -> Json {
    let mut schema = file::File::schema();
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "nearside.toml".into();
    schema
}

fn too_large(file: &str) -> Report {
    Report::of_file(file, format!("is larger than {}", units::show_size(MAX_FILE as u64)), None)
}

/// Reads text as a table of one kind and makes something of it.
fn read_as<K: Kind, T>(
    text: &str,
    file: &str,
    env: &dyn Fn(&str) -> Option<String>,
    make: impl FnOnce(K, &Source<'_>, &mut Reader<'_>) -> Option<T>,
) -> Result<(T, Report), Report> {
    if text.len() > MAX_FILE {
        return Err(too_large(file));
    }
    let source = Source::new(file, text);
    let mut reader = Reader::new(env);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(Span::WHOLE, Span::from);
        reader.mistake(at, error.message());
    }
    // What TOML doesn't hold together would only be followed by mistakes that are none.
    let mut made = None;
    if errors.is_empty() {
        let value = DeValue::Table(document.into_inner());
        made = K::read(Item::root(&value), &mut reader).and_then(|table| make(table, &source, &mut reader));
    }
    let mistakes = reader.notes.mistakes();
    let report = reader.notes.report(&source);
    match made {
        Some(made) if mistakes == 0 => Ok((made, report)),
        _ => Err(report),
    }
}
