//! Conditional requests answered from a stored object (RFC 9110 §13).
