//! The tests of this crate, in one program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that meets the unexpected fails.

mod contract;
mod disk;
mod recovery;
mod simulation;
mod snapshots;
mod support;
mod trouble;
