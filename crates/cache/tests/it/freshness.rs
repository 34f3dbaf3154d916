//! Tests of `freshness`.
