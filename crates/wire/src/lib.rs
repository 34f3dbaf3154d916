//! What do the bytes say? HTTP/1.1 heads, fields and framing, read strictly and written plainly.
//!
//! No I/O and no clock: bytes in, values or an error out, so that every rule can be tested and fuzzed
//! alone, and both sides of the proxy, clients' and endpoints', use the same one. What two readers
//! could understand differently (bare LF, obs-fold, two lengths, a space before a colon …) is an
//! error here, never repaired: a request that is refused can't be smuggled (RFC 9112 §11).

pub mod chunked;
pub mod fields;
pub mod framing;
pub mod head;
pub mod name;
pub mod target;
pub mod token;
pub mod write;

pub use chunked::Chunked;
pub use fields::{Field, Fields};
pub use framing::Length;
pub use head::{BadHead, Limits, Method, RequestHead, ResponseHead, Version};
pub use name::Known;
