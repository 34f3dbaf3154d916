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
    gaps(parts, range).next().is_none()
}

/// The bytes of `range`, in pieces that are not empty; none if some are missing.
pub fn slice(parts: &[Part], range: &Range<u64>) -> Option<Vec<Bytes>> {
    if !covers(parts, range) {
        return None;
    }
    let within = |part: &Part| {
        let (start, end) = (part.0.max(range.start), (part.0 + length(part)).min(range.end));
        let at = |position: u64| usize::try_from(position - part.0).ok();
        (start < end).then(|| Some(part.1.slice(at(start)?..at(end)?))).flatten()
    };
    Some(parts.iter().filter_map(within).collect())
}

/// What of the first `total` bytes isn't there.
pub fn missing(parts: &[Part], total: u64) -> Vec<Range<u64>> {
    gaps(parts, &(0..total)).collect()
}

/// What of `range` isn't there, in order.
fn gaps<'a>(parts: &'a [Part], range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + 'a {
    let (mut at, end) = (range.start, range.end);
    let behind = (u64::MAX, u64::MAX);
    let bounds = parts.iter().map(|part| (part.0, part.0 + length(part))).chain([behind]);
    bounds.filter_map(move |(start, next)| {
        let gap = at..start.min(end);
        at = at.max(next);
        (!gap.is_empty()).then_some(gap)
    })
}

fn length(part: &Part) -> u64 {
    part.1.len() as u64
}
