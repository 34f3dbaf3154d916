//! Cache-Control of requests and answers (RFC 9111 §5.2), CDN-Cache-Control (RFC 9213).
