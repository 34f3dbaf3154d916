//! What only shows from outside: living services with real sockets, and the pickers under many
//! threads and in simulated load.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected has failed"
)]

mod balance;
mod checks;
mod choose;
mod ejection;
mod limits;
mod names;
mod outside;
mod reload;
mod support;
