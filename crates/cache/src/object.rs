//! A stored answer: what decisions need of it, its fields as they are sent, and its body.
//!
//! A handle is cheap to clone and never copies the body, so a hit sends from the memory that the tier
//! holds, even if the object is evicted meanwhile.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use triomphe::ThinArc;

use crate::disk;
use common::Common;

mod common;
pub(crate) mod weight;

/// What the rules found when the answer was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Facts {
    /// 200 to 999; never 206, whose parts are kept as [`Body::Parts`] of a 200.
    pub status: u16,
    /// What else holds.
    pub flags: Flags,
    /// When the request was sent that brought or last confirmed it: milliseconds since 1970.
    pub requested_ms: u64,
    /// When its answer came: seconds since 1970 (`response_time`, RFC 9111 §4.2.3).
    pub received: u32,
    /// How old it was then, in seconds (`corrected_initial_age`).
    pub initial_age: u32,
    /// Seconds of age up to which it is fresh (RFC 9111 §4.2.1).
    pub lifetime: u32,
    /// Seconds after that in which it may be used while it is fetched anew (RFC 5861 §3).
    pub stale_while_revalidate: u32,
    /// Seconds after that in which it may be used if it can't be fetched (RFC 5861 §4).
    pub stale_if_error: u32,
}

/// A set of yes-or-no facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// `no-cache`: never used without validation (RFC 9111 §5.2.2.4).
    pub const NO_CACHE: Flags = Flags(1);
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage`: never used stale (RFC 9111 §5.2.2.2).
    pub const NEVER_STALE: Flags = Flags(1 << 1);
    /// Its lifetime was guessed (RFC 9111 §4.2.2) or is the route's default.
    pub const GUESSED: Flags = Flags(1 << 2);
    /// How long it may be used stale on errors is bounded, by itself or by the route, or it may not be.
    pub const SAYS_STALE: Flags = Flags(1 << 3);

    /// Is all of `other` in it?
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Where the body is.
#[derive(Debug, Clone)]
pub enum Body {
    /// All of it, in one piece.
    Whole(Bytes),
    /// All of it, in pieces that are not empty.
    Pieces(Arc<[Bytes]>),
    /// Some of it: pieces by the offset of their first byte, sorted, apart from each other.
    Parts {
        /// Bytes of the whole, if known.
        total: Option<u64>,
        /// Offset and bytes.
        parts: Arc<[(u64, Bytes)]>,
    },
    /// On disk, whole or in part; read as it is sent.
    Disk(Arc<disk::Stored>),
}

/// What an object is made of.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// See there.
    pub facts: Facts,
    /// The URL, normalised, as `key` makes it.
    pub primary: &'a [u8],
    /// Which of its variants, as `vary` makes it; empty if it doesn't vary.
    pub variant: &'a [u8],
    /// `name: value\r\n` for each field that is stored and sent: no `Age`, `Content-Length`, nothing
    /// hop-by-hop, no tags.
    pub lines: &'a [u8],
    /// Its tags, each followed by `\n`.
    pub tags: &'a [u8],
    /// See there.
    pub body: Body,
}

/// A stored answer.
#[derive(Clone)]
pub struct Object(ThinArc<Head, u8>);

/// What stands before the bytes of an object, in the same allocation. Millions of these are held, so
/// what many objects have in common stands elsewhere, once.
struct Head {
    body: Body,
    common: Common,
    /// How long before `received` its request was sent: milliseconds.
    early_ms: i32,
    state: AtomicU8,
    /// Bytes of primary, variant and tags; [`LONG`] if four bytes before them say it.
    lens: [u8; 3],
}

const LONG: u8 = u8::MAX;

/// Purged softly.
const SOFT: u8 = 1;
/// Its times are not those of many, so they stand among its own bytes.
const APART: u8 = 1 << 1;
/// It was the first to need its common part, and weighs it.
const BEARS_COMMON: u8 = 1 << 2;

/// The age in seconds up to which an answer counts as new. The times of new answers are the same for
/// all that come in one second; those of older ones are hardly ever.
const NEW: u32 = 1;

/// Bytes of the times that stand apart: `requested_ms`, `received`, `initial_age`, `lifetime`.
const TIMES: usize = 20;

impl Object {
    /// Makes one.
    pub fn new(new: New<'_>) -> Object {
        let New { facts, primary, variant, lines, tags, body } = new;
        let mut state = 0;
        let mut bytes = Vec::with_capacity(primary.len() + variant.len() + tags.len() + lines.len() + 20);
        let mut lens = [0; 3];
        for (short, part) in lens.iter_mut().zip([primary, variant, tags]) {
            *short = u8::try_from(part.len()).unwrap_or(LONG);
            if *short == LONG {
                bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
            }
        }
        let is_aged = facts.initial_age > NEW;
        let early_ms = early_ms(&facts).filter(|_| !is_aged && !facts.flags.has(Flags::GUESSED));
        let mut common_facts = Facts { requested_ms: 0, ..facts };
        if early_ms.is_none() {
            state |= APART;
            bytes.extend_from_slice(&facts.requested_ms.to_le_bytes());
            for number in [facts.received, facts.initial_age, facts.lifetime] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            common_facts = Facts { received: 0, initial_age: 0, lifetime: 0, ..common_facts };
        }
        for part in [primary, variant, tags] {
            bytes.extend_from_slice(part);
        }
        let common_lines = common::split(lines, is_aged, &mut bytes);
        let (common, is_new) = Common::of(common_facts, &common_lines);
        if is_new {
            state |= BEARS_COMMON;
        }
        let early_ms = early_ms.unwrap_or_default();
        let head = Head { body, common, early_ms, state: AtomicU8::new(state), lens };
        Object(ThinArc::from_header_and_slice(head, &bytes))
    }

    /// The same with its body elsewhere.
    #[must_use]
    pub fn with_body(&self, body: Body) -> Object {
        let object = Object::new(New {
            facts: self.facts(),
            primary: self.primary(),
            variant: self.variant(),
            lines: &self.lines().concat(),
            tags: self.tags(),
            body,
        });
        if self.is_soft() {
            object.soften();
        }
        object
    }

    /// What the rules found.
    pub fn facts(&self) -> Facts {
        let head = self.head();
        let common = *head.common.facts();
        if head.state.load(Ordering::Relaxed) & APART == 0 {
            let received_ms = u64::from(common.received) * 1000;
            return Facts {
                requested_ms: received_ms.saturating_add_signed(-i64::from(head.early_ms)),
                ..common
            };
        }
        let at = self.start() - TIMES;
        let [low, high, received, initial_age, lifetime] = [0, 4, 8, 12, 16].map(|n| self.number(at + n));
        let requested_ms = u64::from(high) << 32 | u64::from(low);
        Facts { requested_ms, received, initial_age, lifetime, ..common }
    }

    /// Was it purged softly: stale from then on, whatever its facts say?
    pub fn is_soft(&self) -> bool {
        self.head().state.load(Ordering::Relaxed) & SOFT != 0
    }

    /// Purges it softly.
    pub fn soften(&self) {
        self.head().state.fetch_or(SOFT, Ordering::Relaxed);
    }

    /// The URL it answers for, as `key` makes it.
    pub fn primary(&self) -> &[u8] {
        self.parts().0
    }

    /// Which of the URL's variants it is.
    pub fn variant(&self) -> &[u8] {
        self.parts().1
    }

    /// Its fields: whole lines, in one or two runs (either may be empty).
    pub fn lines(&self) -> [&[u8]; 2] {
        [self.parts().3, self.head().common.lines()]
    }

    /// The first value of a field, its name in lower case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.lines().into_iter().find_map(|lines| field(lines, name.as_bytes()))
    }

    /// Its tags, each followed by `\n`.
    pub fn tags(&self) -> &[u8] {
        self.parts().2
    }

    /// Its body.
    pub fn body(&self) -> &Body {
        &self.head().body
    }

    /// Is it this very object, not only one like it?
    pub(crate) fn is(&self, other: &Object) -> bool {
        self.0.ptr() == other.0.ptr()
    }

    /// The bytes of memory it takes, the allocator's rounding included. Never changes.
    pub(crate) fn weight(&self) -> u64 {
        let head = self.head();
        let bears = head.state.load(Ordering::Relaxed) & BEARS_COMMON != 0;
        let common = if bears { head.common.weight() } else { 0 };
        weight::of_arc(size_of::<Head>(), self.0.slice.len()) + weight::of_body(&head.body) + common
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// Where the primary begins.
    fn start(&self) -> usize {
        let head = self.head();
        let long = head.lens.iter().filter(|len| **len == LONG).count();
        let times = if head.state.load(Ordering::Relaxed) & APART != 0 { TIMES } else { 0 };
        4 * long + times
    }

    /// Primary, variant, tags and its own lines.
    fn parts(&self) -> (&[u8], &[u8], &[u8], &[u8]) {
        let mut long_at = 0;
        let mut rest = self.0.slice.get(self.start()..).unwrap_or_default();
        let mut part = |short: u8| {
            let mut len = usize::from(short);
            if short == LONG {
                len = self.number(long_at) as usize;
                long_at += 4;
            }
            let (part, after) = rest.split_at_checked(len).unwrap_or_default();
            rest = after;
            part
        };
        let [primary, variant, tags] = self.head().lens.map(&mut part);
        (primary, variant, tags, rest)
    }

    /// Four of its bytes.
    fn number(&self, at: usize) -> u32 {
        let bytes = self.0.slice.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().map_or(0, u32::from_le_bytes)
    }
}

/// How long before `received` the request was sent, in milliseconds, if that is less than 24 days.
fn early_ms(facts: &Facts) -> Option<i32> {
    let requested = i64::try_from(facts.requested_ms).ok()?;
    i32::try_from(i64::from(facts.received) * 1000 - requested).ok()
}

/// The first value of `name` in lines of fields.
pub fn field<'a>(lines: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = lines;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = rest.get(..end)?;
        if line.len() > name.len() + 1
            && line[name.len()] == b':'
            && line[..name.len()].eq_ignore_ascii_case(name)
        {
            return Some(line[name.len() + 1..].trim_ascii());
        }
        rest = &rest[end + 1..];
    }
    None
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("primary", &String::from_utf8_lossy(self.primary()))
            .field("variant", &String::from_utf8_lossy(self.variant()))
            .field("facts", &self.facts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_object_is_small() {
        // 16 bytes of the handle's own and 56 here leave 120 of 192 for URL, ETag and Last-Modified.
        assert_eq!(size_of::<Head>(), 56);
        assert_eq!(size_of::<Option<Object>>(), 8);
    }
}
