//! What an endpoint would get for some bytes: the way of a request's head without a socket, so that
//! tests and the fuzzer can hold what goes out against what came in.

use wire::head::Limits;
use wire::{BadHead, Length, RequestHead, framing};

use crate::headers::{self, Client};

/// The head that an endpoint would get for the request at the front of `bytes`, sent by a client that
/// is not trusted, and how long the body behind it is. None: the request isn't whole.
///
/// # Errors
/// Why the request is refused.
pub fn forwarded(bytes: &[u8], limits: Limits) -> Result<Option<(Vec<u8>, Length)>, BadHead> {
    let mut head = RequestHead::default();
    if head.read(bytes, limits)?.is_none() {
        return Ok(None);
    }
    let length = framing::of_request(&head)?;
    framing::expects_continue(&head)?;
    let said = headers::said_of("192.0.2.1", "http");
    let client = Client { address: "192.0.2.1", trusted: false, scheme: "http", said: &said };
    let mut out = Vec::new();
    headers::request(&mut out, &head, &client, length, &headers::new_id(1), "service", 1);
    Ok(Some((out, length)))
}
