//! The tests of this crate, in one program.

mod control;
mod disk;
mod flight;
mod freshness;
mod ledger;
mod memory;
mod range;
mod reuse;
mod shared;
mod storing;
mod vary;
