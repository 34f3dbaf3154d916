//! The demo as it runs, with real sockets: what it promises to show is so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that meets the unexpected fails.

mod demo;
