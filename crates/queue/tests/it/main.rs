//! Tests of the queue.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that meets the unexpected fails.

mod backoff;
mod cloud_event;
mod hops;
mod id;
mod model;
mod pace;
mod queues;
mod record;
mod sign;
mod sse;
mod state;
mod support;
mod tend;
mod when;
