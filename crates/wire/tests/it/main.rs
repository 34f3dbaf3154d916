//! What crate `wire` takes, what it refuses, and that both never depend on how the bytes arrive.
//!
//! `corpus` and `naive` stand on std alone, so that other tests and the fuzz targets include them by
//! path.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test's helpers fail by panicking

mod answers;
mod chunks;
mod corpus;
mod fields;
mod heads;
mod malformed;
mod naive;
mod requests;

use wire::Limits;

/// The default limits of a node's head.
const LIMITS: Limits = Limits { bytes: 32 * 1024, fields: 128 };
