//! The tests of this crate, in one program.

mod control;
mod disk;
mod freshness;
mod ledger;
mod memory;
mod range;
mod reuse;
mod storing;
mod vary;
