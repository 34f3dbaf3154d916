//! The long forms of tests that have a short one in `cargo xtask test`: crashes, losses of power, limits of
//! memory, the clock, fairness. What came of the last run stands in `docs/soak.md`.

use crate::failure::Outcome;
use crate::step::command_step;
use crate::tools;

/// How many times as much as in the short form, for tests that count by it.
const FACTOR: &str = "20";

/// Runs them all.
pub fn run() -> Outcome<()> {
    tools::provide(tools::FOR_TESTS)?;
    let soak = format!("NEARSIDE_SOAK={FACTOR}");
    let all = [
        ("cache", "disk::"),
        ("nearside", "cache::crash"),
        ("nearside", "cache::memory"),
        ("nearside", "queue::crash"),
        ("nearside", "queue::delay"),
        ("nearside", "queue::fair"),
    ];
    for (package, tests) in all {
        let test = ["cargo", "test", "--locked", "--package", package, "--test", "it", tests];
        command_step(&[&["env", soak.as_str()][..], &test].concat())?;
    }
    Ok(())
}
