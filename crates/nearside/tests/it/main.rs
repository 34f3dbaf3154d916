//! What `nearside` does, seen from outside: the real program, real sockets, real signals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that meets the unexpected fails.
#![allow(dead_code)] // Support is for all tests of this crate, whichever of them there are.

mod cache;
mod cli;
mod demo;
mod endpoints;
mod http_bodies;
mod http_fields;
mod http_routes;
mod life;
mod life_outside;
mod malformed;
mod promises;
mod queue;
mod support;
