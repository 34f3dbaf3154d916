//! Parts of one body: joined as they come in (RFC 9111 §3.3, §3.4), and looked at. Nothing is copied.
//!
//! A list of parts is sorted, and its parts are not empty and don't overlap; they may touch.

use std::ops::Range;

use bytes::Bytes;

/// The offset of its first byte in the whole, and its bytes.
pub type Part = (u64, Bytes);

/// Parts of one body that are kept; of more the smallest are dropped, so that many tiny ranges can't
/// make a list that is slow to walk.
pub const MOST_PARTS: usize = 256;

/// The parts of both. Whoever calls knows that they are of the same whole: equal strong validators.
/// `new` may be in any order and overlap.
pub fn merge(parts: &[Part], new: &[Part]) -> Vec<Part> {
    let mut all: Vec<&Part> =
        parts.iter().chain(new).filter(|part| part.0.checked_add(length(part)).is_some()).collect();
    // Of two that begin together the longer one first, so that fewer pieces come of them.
    all.sort_by_key(|part| (part.0, u64::MAX - length(part)));
    let mut merged: Vec<Part> = Vec::with_capacity(all.len());
    let mut end = 0;
    for part in all {
        let start = part.0.max(end);
        let known = usize::try_from(start - part.0).unwrap_or(usize::MAX);
        if known < part.1.len() {
            merged.push((start, part.1.slice(known..)));
            end = start + (part.1.len() - known) as u64;
        }
    }
    if merged.len() > MOST_PARTS {
        merged.sort_by_key(|part| u64::MAX - length(part));
        merged.truncate(MOST_PARTS);
        merged.sort_by_key(|part| part.0);
    }
    merged
}

/// Is every byte of `range` there?
pub fn covers(parts: &[Part], range: &Range<u64>) -> bool {
    let reach = |at: u64, part: &Part| if part.0 <= at { at.max(part.0 + length(part)) } else { at };
    parts.iter().fold(range.start, reach) >= range.end
}

fn length(part: &Part) -> u64 {
    part.1.len() as u64
}
