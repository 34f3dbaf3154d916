//! The parts of `edge` from outside: what they promise, each against a plain model of it.

#![allow(clippy::unwrap_used, reason = "what a test's helper can't get, the test can't do without")]

mod forwarded;
mod guard;
mod log;
mod plans;
mod policy;
mod route;
mod stats;
mod template;
