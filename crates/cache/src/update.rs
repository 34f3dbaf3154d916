//! A stored answer freshened by a 304 or by HEAD (RFC 9111 §3.2, §4.3.4).
