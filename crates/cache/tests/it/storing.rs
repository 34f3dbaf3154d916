//! Tests of `storing`.
