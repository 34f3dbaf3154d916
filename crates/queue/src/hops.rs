//! `Nearside-Hops`: the queues that a message came through, so that one that is delivered to itself, by
//! whatever way, is refused and not kept for ever.

use aws_lc_rs::hmac;
use thiserror::Error;

/// The most queues that a message may come through.
const MOST: usize = 8;
/// The most bytes of the list.
const LONGEST: usize = 512;

/// Why a message goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Loop {
    /// It was here before.
    #[error("this message already came through `{0}`: let no receiver send it there again")]
    Again(String),
    /// It came through very many queues.
    #[error("this message came through too many queues: {MOST} in {LONGEST} bytes are the most")]
    Far,
    /// Who wrote it didn't mean it.
    #[error("Nearside-Hops is written by nodes, as a list of `queue@node`: leave it out")]
    Unreadable,
}

/// What tells a node's log from others in a hop, made of the log's secret without giving it away.
pub fn tag(secret: &[u8; 32]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, b"hops");
    tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// The list to be stored with a message and sent on with it: those that it came through, and `own`.
///
/// # Errors
/// [`Loop`]
pub fn check(incoming: Option<&[u8]>, own: &str) -> Result<String, Loop> {
    let incoming = incoming.unwrap_or_default();
    if incoming.len() > LONGEST {
        return Err(Loop::Far);
    }
    let mut hops = Vec::with_capacity(MOST);
    for hop in wire::token::list(incoming) {
        let hop = std::str::from_utf8(hop).ok().filter(|hop| hop.bytes().all(|b| b.is_ascii_graphic()));
        match hop.ok_or(Loop::Unreadable)? {
            hop if hop == own => return Err(Loop::Again(own.to_owned())),
            hop => hops.push(hop),
        }
    }
    hops.push(own);
    let list = hops.join(", ");
    if hops.len() > MOST || list.len() > LONGEST { Err(Loop::Far) } else { Ok(list) }
}
