//! Conditions that clients send, judged by what is stored, and those sent to validate it
//! (RFC 9110 §13, RFC 9111 §4.3).

use std::time::Duration;

use wire::token::trim;
use wire::{Fields, Known};

use crate::object::Object;
use crate::{date, vary};

/// All fields that make a request conditional.
const CONDITIONS: [Known; 5] =
    [Known::IfNoneMatch, Known::IfModifiedSince, Known::IfMatch, Known::IfUnmodifiedSince, Known::IfRange];

/// How much older than its answer a `Last-Modified` must be, so that nothing can have changed within
/// the same second after it (RFC 9110 §8.8.2.2).
const APART: Duration = Duration::from_secs(1);

/// What to do with a request whose answer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answer as if there were no condition.
    Proceed,
    /// Answer 304: the client has what is stored.
    NotModified,
    /// `If-Match` or `If-Unmodified-Since`: only the origin can judge them, so that the request is for
    /// it (RFC 9111 §4.3.2).
    ForOrigin,
}

/// What of a stored answer conditions are about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held<'a> {
    /// Conditions are about answers that succeed; beside others they mean nothing (RFC 9110 §13.2.1).
    pub status: u16,
    /// Its `ETag`.
    pub etag: Option<&'a [u8]>,
    /// Its `Last-Modified`.
    pub last_modified: Option<&'a [u8]>,
    /// Its `Date`.
    pub date: Option<&'a [u8]>,
    /// When it came: seconds since 1970.
    pub received: u64,
}

impl<'a> Held<'a> {
    /// Of an object.
    pub fn of(object: &'a Object) -> Held<'a> {
        let facts = object.facts();
        Held {
            status: facts.status,
            etag: object.field("etag"),
            last_modified: object.field("last-modified"),
            date: object.field("date"),
            received: u64::from(facts.received),
        }
    }
}

/// Has the request a condition, so that [`evaluate`] is worth its while?
pub fn is_conditional(request: &Fields) -> bool {
    CONDITIONS[..4].iter().any(|&condition| request.get(condition).is_some())
}

/// Judges the conditions of a GET or HEAD in their order (RFC 9110 §13.2.2). `now`: seconds since 1970.
pub fn evaluate(request: &Fields, held: &Held<'_>, now: u64) -> Outcome {
    if !(200..300).contains(&held.status) {
        return Outcome::Proceed;
    }
    if request.get(Known::IfMatch).is_some() || request.get(Known::IfUnmodifiedSince).is_some() {
        return Outcome::ForOrigin;
    }
    let has_it = if request.get(Known::IfNoneMatch).is_some() {
        names_tag(request, held.etag)
    } else {
        not_modified_since(request, held, now)
    };
    if has_it { Outcome::NotModified } else { Outcome::Proceed }
}

/// Is the stored tag in `If-None-Match`, or is that `*` (RFC 9110 §13.1.2)?
fn names_tag(request: &Fields, etag: Option<&[u8]>) -> bool {
    let mut named = request.all(Known::IfNoneMatch).flat_map(|value| vary::members(value, false)).peekable();
    if named.peek() == Some(&&b"*"[..]) {
        return true;
    }
    let Some(etag) = etag else { return false };
    named.any(|tag| weakly_equal(tag, etag))
}

/// Is what is stored no newer than the one date of `If-Modified-Since` (RFC 9110 §13.1.3)? Without
/// `Last-Modified` it is as new as its `Date`, or as when it came (RFC 9111 §4.3.2).
fn not_modified_since(request: &Fields, held: &Held<'_>, now: u64) -> bool {
    let read = |value: &[u8]| date::parse(value, now);
    let Some(since) = only(request, Known::IfModifiedSince).and_then(read) else { return false };
    let modified =
        held.last_modified.and_then(read).or_else(|| held.date.and_then(read)).unwrap_or(held.received);
    modified <= since
}

/// May ranges be taken from what is stored: does the client's part belong to it (RFC 9110 §13.1.5)?
/// Only what is surely the same byte for byte is. `now`: seconds since 1970.
pub fn if_range_holds(request: &Fields, held: &Held<'_>, now: u64) -> bool {
    if request.get(Known::IfRange).is_none() {
        return true;
    }
    let Some(condition) = only(request, Known::IfRange) else { return false };
    if condition.contains(&b'"') {
        return held.etag.is_some_and(|etag| strongly_equal(condition, etag));
    }
    let read = |value: &[u8]| date::parse(value, now);
    let Some(modified) = held.last_modified.and_then(read) else { return false };
    let is_strong = held.date.and_then(read).is_some_and(|date| date >= modified + APART.as_secs());
    is_strong && read(condition) == Some(modified)
}

/// Removes the client's conditions, for a fetch whose answer is for all.
pub fn strip(fields: &mut Fields) {
    for condition in CONDITIONS {
        fields.remove(condition);
    }
}

/// Asks whether what is stored is still good (RFC 9111 §4.3.1): its own conditions in place of the
/// client's, whose answer would only be the client's. Says whether it has a validator to ask by.
pub fn validators(fields: &mut Fields, stored: &Object) -> bool {
    strip(fields);
    let (etag, modified) = (stored.field("etag"), stored.field("last-modified"));
    if let Some(etag) = etag {
        fields.push(b"If-None-Match", etag);
    }
    if let Some(modified) = modified {
        fields.push(b"If-Modified-Since", modified);
    }
    etag.or(modified).is_some()
}

/// Do two entity tags agree, weak or not (RFC 9110 §8.8.3.2)? One without quotes is taken for what was
/// meant.
pub fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    opaque(one).1 == opaque(other).1
}

/// Do two entity tags agree, and neither is weak?
pub fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    let ((weak, one), (weak_too, other)) = (opaque(one), opaque(other));
    !weak && !weak_too && one == other
}

/// Is it a strong tag?
pub(crate) fn is_strong(etag: &[u8]) -> bool {
    !opaque(etag).0
}

/// Whether a tag is weak, and what stands in its quotes.
fn opaque(tag: &[u8]) -> (bool, &[u8]) {
    let tag = trim(tag);
    let (weak, quoted) = match tag {
        [b'W' | b'w', b'/', rest @ ..] => (true, rest),
        _ => (false, tag),
    };
    match quoted {
        [b'"', inside @ .., b'"'] => (weak, inside),
        _ => (weak, quoted),
    }
}

/// The value of a field that must be there once.
fn only(fields: &Fields, known: Known) -> Option<&[u8]> {
    let mut values = fields.all(known);
    values.next().filter(|_| values.next().is_none())
}
