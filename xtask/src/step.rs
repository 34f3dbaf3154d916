//! Runs other programs as visible, timed steps.

use std::process::Command;
use std::time::Instant;

use crate::failure::{Failure, Outcome, While};
use crate::root;

/// Does `work`, and prints what it was and how long it took.
pub fn step<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    println!("==> {name}");
    let start = Instant::now();
    let outcome = work();
    let word = if outcome.is_ok() { "done" } else { "FAILED" };
    println!("    {word} in {:.1} s", start.elapsed().as_secs_f64());
    outcome
}

/// Runs a program in the repository's folder; an exit status other than 0 is a failure.
pub fn command(line: &[&str]) -> Outcome<()> {
    let Some((program, arguments)) = line.split_first() else {
        return Ok(());
    };
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .status()
        .while_doing(format!("starting {program}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Unmet(format!("`{}` ended with {status}", line.join(" "))))
}

/// The command line as a step of that name.
pub fn command_step(line: &[&str]) -> Outcome<()> {
    step(&line.join(" "), || command(line))
}

/// The first line that a program prints on either output, such as its version.
pub fn first_line(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return String::new();
    };
    let printed = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&printed).lines().next().unwrap_or_default().trim().to_owned()
}
