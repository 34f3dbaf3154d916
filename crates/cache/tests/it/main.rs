//! The tests of this crate, in one program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that meets the unexpected fails.

mod buffer;
mod conditional;
mod control;
mod disk;
mod flight;
mod freshness;
mod heads;
mod key;
mod ledger;
mod memory;
mod range;
mod reuse;
mod shared;
mod status;
mod storing;
mod update;
mod vary;
mod whole;
