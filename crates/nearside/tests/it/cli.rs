//! Each command as an operator types it, mistakes included, and all that it prints.

mod at_node;
mod by_file;
mod queues;

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::command;

/// A folder with `nearside.toml` in it.
fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nearside.toml"), config).unwrap();
    folder
}

/// What the program does with these arguments in a folder.
fn run_in(folder: &Path, args: &[&str]) -> String {
    show(command().args(args).current_dir(folder))
}

fn run(args: &[&str]) -> String {
    run_in(tempfile::tempdir().unwrap().path(), args)
}

fn show(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let mut shown = format!("exit {}\n", status.code().unwrap());
    for (name, bytes) in [("stdout", stdout), ("stderr", stderr)] {
        if !bytes.is_empty() {
            shown += &format!("--- {name}\n{}", String::from_utf8(bytes).unwrap());
        }
    }
    shown
}

/// The output of `run`, which must be JSON on standard output alone.
fn json(shown: &str) -> serde_json::Value {
    let (_, text) = shown.split_once("--- stdout\n").unwrap_or_else(|| panic!("{shown}"));
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{shown}"))
}
