//! What is known of a body without reading it.

use std::ops::Range;

use bytes::Bytes;

use crate::memory::PIECE;
use crate::object::Body;
use crate::range;

impl Body {
    /// All of a body as memory keeps it: copied into one piece, or into pieces of [`PIECE`] bytes and a
    /// shorter one, each in an allocation of its own length. What is shared with those who read along
    /// would carry a counter, and what was cut from larger buffers would hold those.
    pub fn copied(pieces: &[Bytes]) -> Body {
        let mut left: usize = pieces.iter().map(Bytes::len).sum();
        let mut copies = Vec::with_capacity(left.div_ceil(PIECE));
        let mut copy = Vec::with_capacity(left.min(PIECE));
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let (part, after) = rest.split_at(rest.len().min(left.min(PIECE) - copy.len()));
                copy.extend_from_slice(part);
                rest = after;
                if copy.len() == left.min(PIECE) {
                    left -= copy.len();
                    let next = Vec::with_capacity(left.min(PIECE));
                    copies.push(Bytes::from(std::mem::replace(&mut copy, next).into_boxed_slice()));
                }
            }
        }
        match copies.len() {
            0 | 1 => Body::Whole(copies.pop().unwrap_or_default()),
            _ => Body::Pieces(copies.into()),
        }
    }

    /// Bytes of the whole, if known.
    pub fn total(&self) -> Option<u64> {
        match self {
            Body::Whole(bytes) => Some(bytes.len() as u64),
            Body::Pieces(pieces) => Some(pieces.iter().map(|piece| piece.len() as u64).sum()),
            Body::Parts { total, .. } => *total,
            Body::Disk(stored) => stored.total(),
        }
    }

    /// Bytes of it in memory.
    pub fn held(&self) -> u64 {
        match self {
            Body::Parts { parts, .. } => parts.iter().map(|(_, part)| part.len() as u64).sum(),
            Body::Disk(_) => 0,
            Body::Whole(_) | Body::Pieces(_) => self.total().unwrap_or_default(),
        }
    }

    /// Is all of it stored?
    pub fn is_whole(&self) -> bool {
        match self {
            Body::Whole(_) | Body::Pieces(_) => true,
            Body::Parts { .. } => false,
            Body::Disk(stored) => stored.is_whole(),
        }
    }

    /// Are these bytes of it stored?
    pub fn has(&self, range: &Range<u64>) -> bool {
        match self {
            Body::Parts { parts, .. } => range::covers(parts, range),
            Body::Disk(stored) => stored.has(range.start, range.end),
            Body::Whole(_) | Body::Pieces(_) => self.total().is_some_and(|total| range.end <= total),
        }
    }
}
