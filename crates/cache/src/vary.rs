//! Vary (RFC 9111 §4.1).
