//! May a stored answer be used for this request (RFC 9111 §4)?
