//! Tests of the queue.

#![allow(clippy::unwrap_used, clippy::panic)] // A test that meets the unexpected fails.

mod cloud_event;
mod hops;
mod id;
mod sign;
mod sse;
mod when;
