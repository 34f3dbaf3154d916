//! May this answer be stored (RFC 9111 §3)?
