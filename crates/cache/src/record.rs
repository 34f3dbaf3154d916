//! A stored object as bytes, for the tiers that outlive the process: disk and shared.
//!
//! What is read back may be cut off, of another version, or not ours at all: a head is taken only if its
//! checksum and its lengths agree, so a tier that holds garbage holds nothing. `docs/formats.md` has the
//! layout.

use bytes::Bytes;
use thiserror::Error;

use crate::object::{Body, Facts, Flags, New, Object};

/// The version of the layout; another one is not read.
pub const VERSION: u8 = 1;
/// Bytes of the largest head that is written or read.
pub const LARGEST_HEAD: usize = 1024 * 1024;

/// Bytes of a head before its texts.
const FIXED: usize = 60;
/// Bytes between head and body in a whole record: the body's length and checksum.
const BETWEEN: usize = 12;
/// The object was purged softly.
const SOFT: u8 = 1;

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadRecord {
    /// It ends before it should.
    #[error("the record is cut off")]
    Short,
    /// Written by another version of this program.
    #[error("the record has another version")]
    Version,
    /// A checksum or a length is wrong.
    #[error("the record is damaged")]
    Damaged,
}

/// An object without its body, as it stands in the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// What the rules found.
    pub facts: Facts,
    /// It was purged softly.
    pub soft: bool,
    /// See [`Object::primary`].
    pub primary: &'a [u8],
    /// See [`Object::variant`].
    pub variant: &'a [u8],
    /// See [`Object::lines`].
    pub lines: &'a [u8],
    /// See [`Object::tags`].
    pub tags: &'a [u8],
    /// Bytes that the head takes.
    pub len: usize,
}

impl Head<'_> {
    /// The object, with its body.
    pub fn object(&self, body: Body) -> Object {
        let Head { facts, soft, primary, variant, lines, tags, .. } = *self;
        let object = Object::new(New { facts, primary, variant, lines, tags, body });
        if soft {
            object.soften();
        }
        object
    }
}

/// Writes an object without its body; none if that is larger than [`LARGEST_HEAD`].
pub fn encode_head(object: &Object) -> Option<Vec<u8>> {
    let lines = object.lines();
    let texts = [object.primary(), object.variant(), lines[0], lines[1], object.tags()];
    let len = FIXED + texts.iter().map(|text| text.len()).sum::<usize>();
    if len > LARGEST_HEAD {
        return None;
    }
    let facts = object.facts();
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]); // the checksum, when all is there
    out.extend_from_slice(&[VERSION, u8::from(object.is_soft()) * SOFT]);
    out.extend_from_slice(&facts.status.to_le_bytes());
    out.extend_from_slice(&facts.flags.0.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&facts.requested_ms.to_le_bytes());
    let times = [
        facts.received,
        facts.initial_age,
        facts.lifetime,
        facts.stale_while_revalidate,
        facts.stale_if_error,
    ];
    let lengths = [
        object.primary().len(),
        object.variant().len(),
        lines[0].len() + lines[1].len(),
        object.tags().len(),
    ];
    for number in times.into_iter().chain(lengths.map(|length| length as u32)) {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for text in texts {
        out.extend_from_slice(text);
    }
    let sum = crc32c::crc32c(&out[8..]);
    out[4..8].copy_from_slice(&sum.to_le_bytes());
    Some(out)
}

/// Reads what [`encode_head`] wrote from the front of `bytes`.
///
/// # Errors
/// [`BadRecord`]: there is no head of this version at the front.
pub fn decode_head(bytes: &[u8]) -> Result<Head<'_>, BadRecord> {
    let len = Reader(bytes).u32()? as usize;
    if !(FIXED..=LARGEST_HEAD).contains(&len) {
        return Err(BadRecord::Damaged);
    }
    let mut rest = Reader(bytes.get(4..len).ok_or(BadRecord::Short)?);
    let sum = rest.u32()?;
    if crc32c::crc32c(rest.0) != sum {
        return Err(BadRecord::Damaged);
    }
    let [version, soft] = rest.array()?;
    if version != VERSION {
        return Err(BadRecord::Version);
    }
    let (status, flags) = (rest.u16()?, Flags(rest.u16()?));
    if soft > SOFT || rest.u16()? != 0 {
        return Err(BadRecord::Damaged);
    }
    let facts = Facts {
        status,
        flags,
        requested_ms: rest.u64()?,
        received: rest.u32()?,
        initial_age: rest.u32()?,
        lifetime: rest.u32()?,
        stale_while_revalidate: rest.u32()?,
        stale_if_error: rest.u32()?,
    };
    let lengths = [rest.u32()?, rest.u32()?, rest.u32()?, rest.u32()?];
    let mut texts = [&b""[..]; 4];
    for (text, length) in texts.iter_mut().zip(lengths) {
        *text = rest.take(length as usize).map_err(|_| BadRecord::Damaged)?;
    }
    if !rest.0.is_empty() {
        return Err(BadRecord::Damaged);
    }
    let [primary, variant, lines, tags] = texts;
    Ok(Head { facts, soft: soft == SOFT, primary, variant, lines, tags, len })
}

/// Writes an object with its body; none if the body isn't in memory as a whole, or the head is too large.
pub fn encode(object: &Object) -> Option<Vec<u8>> {
    let pieces = match object.body() {
        Body::Whole(bytes) => std::slice::from_ref(bytes),
        Body::Pieces(pieces) => pieces,
        Body::Parts { .. } | Body::Disk(_) => return None,
    };
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let sum = pieces.iter().fold(0, |sum, piece| crc32c::crc32c_append(sum, piece));
    let mut out = encode_head(object)?;
    out.reserve_exact(BETWEEN + length);
    out.extend_from_slice(&(length as u64).to_le_bytes());
    out.extend_from_slice(&sum.to_le_bytes());
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    Some(out)
}

/// Reads what [`encode`] wrote; none if it is anything else.
pub fn decode(bytes: &[u8]) -> Option<Object> {
    let head = decode_head(bytes).ok()?;
    let mut rest = Reader(bytes.get(head.len..)?);
    let (length, sum) = (rest.u64().ok()?, rest.u32().ok()?);
    let body = rest.0;
    (body.len() as u64 == length && crc32c::crc32c(body) == sum)
        .then(|| head.object(Body::Whole(Bytes::copy_from_slice(body))))
}

/// Takes numbers and texts from the front of bytes.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], BadRecord> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BadRecord::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], BadRecord> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BadRecord::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, BadRecord> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadRecord> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BadRecord> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(body: Body) -> Object {
        Object::new(New {
            facts: Facts {
                status: 200,
                flags: Flags::GUESSED,
                requested_ms: 1_700_000_000_123,
                received: 1_700_000_000,
                initial_age: 7,
                lifetime: 60,
                stale_while_revalidate: 5,
                stale_if_error: 9,
            },
            primary: b"http://h/a?b",
            variant: b"gzip",
            lines: b"Date: today\r\nETag: \"x\"\r\n",
            tags: b"two\ntwofold\n",
            body,
        })
    }

    #[test]
    fn what_was_written_is_read() {
        let pieces = [Bytes::from_static(b"hello "), Bytes::from_static(b"world")];
        let before = object(Body::Pieces(pieces.into()));
        before.soften();
        let after = decode(&encode(&before).unwrap()).unwrap();
        assert_eq!(after.facts(), before.facts());
        assert!(after.is_soft());
        assert_eq!((after.primary(), after.variant()), (before.primary(), before.variant()));
        assert_eq!((after.lines().concat(), after.tags()), (before.lines().concat(), before.tags()));
        assert!(matches!(after.body(), Body::Whole(body) if body == "hello world"));
    }

    #[test]
    fn a_changed_bit_or_a_missing_byte_is_noticed() {
        let good = encode(&object(Body::Whole(Bytes::from_static(b"body")))).unwrap();
        for at in 0..good.len() {
            assert!(decode(&good[..at]).is_none(), "cut at {at}");
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(decode(&bad).is_none(), "changed at {at}");
        }
        assert!(decode(&[&good[..], b"x"].concat()).is_none());
    }

    #[test]
    fn another_version_is_told_apart() {
        let mut head = encode_head(&object(Body::Whole(Bytes::new()))).unwrap();
        head[8] = VERSION + 1;
        let sum = crc32c::crc32c(&head[8..]).to_le_bytes();
        head[4..8].copy_from_slice(&sum);
        assert_eq!(decode_head(&head), Err(BadRecord::Version));
    }

    #[test]
    fn a_body_that_is_not_in_memory_is_not_written() {
        assert!(encode(&object(Body::Parts { total: None, parts: [].into() })).is_none());
    }
}
