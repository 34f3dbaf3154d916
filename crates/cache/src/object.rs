//! A stored answer: what decisions need of it, its fields as they are sent, and its body.
//!
//! A handle is cheap to clone and never copies the body, so a hit sends from the memory that the tier
//! holds, even if the object is evicted meanwhile.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::disk;

/// What the rules found when the answer was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// `no-cache`: never used without validation (RFC 9111 §5.2.2.4).
    pub const NO_CACHE: Flags = Flags(1);
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage`: never used stale (RFC 9111 §5.2.2.2).
    pub const NEVER_STALE: Flags = Flags(1 << 1);
    /// Its lifetime was guessed (RFC 9111 §4.2.2) or is the route's default.
    pub const GUESSED: Flags = Flags(1 << 2);
    /// It says how long it may be used stale itself, or that it may not.
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
pub struct Object(Arc<Inner>);

struct Inner {
    facts: Facts,
    soft: AtomicBool,
    primary: Box<[u8]>,
    variant: Box<[u8]>,
    lines: Box<[u8]>,
    tags: Box<[u8]>,
    body: Body,
}

impl Object {
    /// Makes one.
    pub fn new(new: New<'_>) -> Object {
        let New { facts, primary, variant, lines, tags, body } = new;
        Object(Arc::new(Inner {
            facts,
            soft: AtomicBool::new(false),
            primary: primary.into(),
            variant: variant.into(),
            lines: lines.into(),
            tags: tags.into(),
            body,
        }))
    }

    /// What the rules found.
    pub fn facts(&self) -> Facts {
        self.0.facts
    }

    /// Was it purged softly: stale from then on, whatever its facts say?
    pub fn is_soft(&self) -> bool {
        self.0.soft.load(Ordering::Relaxed)
    }

    /// Purges it softly.
    pub fn soften(&self) {
        self.0.soft.store(true, Ordering::Relaxed);
    }

    /// The URL it answers for, as `key` makes it.
    pub fn primary(&self) -> &[u8] {
        &self.0.primary
    }

    /// Which of the URL's variants it is.
    pub fn variant(&self) -> &[u8] {
        &self.0.variant
    }

    /// Its fields: whole lines, in one or two runs (either may be empty).
    pub fn lines(&self) -> [&[u8]; 2] {
        [&self.0.lines, b""]
    }

    /// The first value of a field, its name in lower case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.lines().into_iter().find_map(|lines| field(lines, name.as_bytes()))
    }

    /// Its tags, each followed by `\n`.
    pub fn tags(&self) -> &[u8] {
        &self.0.tags
    }

    /// Its body.
    pub fn body(&self) -> &Body {
        &self.0.body
    }
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
