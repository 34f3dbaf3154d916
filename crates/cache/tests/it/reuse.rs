//! Tests of `reuse`.
