//! Structured fields (RFC 9651).
