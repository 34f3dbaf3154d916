//! The API as its clients meet it: over real sockets, in front of a node that only says what the test
//! wants said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod answers;
mod cache;
mod changes;
mod explain;
mod exposition;
mod fake_queues;
mod guard;
mod metrics;
mod queue;
mod serving;
mod support;
