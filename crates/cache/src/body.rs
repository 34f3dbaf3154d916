//! What is known of a body without reading it.

use std::ops::Range;

use crate::object::Body;
use crate::range;

impl Body {
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
