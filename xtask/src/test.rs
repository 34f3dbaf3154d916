//! `cargo xtask test`: everything that must hold before a change is taken, in one command.

use std::time::Instant;

use crate::failure::Outcome;
use crate::step::{command_step, step};
use crate::{house, tools};

/// Installs what is missing, then checks format, lints, tests and the house, ending at the first
/// that does not hold.
pub fn run() -> Outcome<()> {
    let start = Instant::now();
    tools::provide(tools::FOR_TESTS)?;
    command_step(&["cargo", "fmt", "--all", "--check"])?;
    command_step(&["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    command_step(&["cargo", "test", "--workspace", "--locked"])?;
    step("house checks", house::run)?;
    println!("All holds, in {:.0} s.", start.elapsed().as_secs_f64());
    Ok(())
}
