//! The log alone: the engine's own bench, whose table becomes the section.

use std::process::Command;

use crate::bench::Ground;
use crate::failure::{Failure, Outcome, While};
use crate::{root, target};

/// Runs `cargo bench -p engine --bench append`.
pub fn measure(_: &Ground) -> Outcome<String> {
    let output = Command::new("cargo")
        .args(["bench", "--quiet", "--locked", "--package", "engine", "--bench", "append", "--target-dir"])
        .arg(target()?)
        .current_dir(root())
        .output()
        .while_doing("starting cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::Unmet(format!(
            "the engine's bench ended with {}:\n{said}{errors}",
            output.status
        )));
    }
    Ok(format!("What `cargo bench -p engine --bench append` says:\n\n```text\n{}\n```\n", said.trim()))
}
