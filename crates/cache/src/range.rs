//! Ranges of bytes (RFC 9110 §14): what a client asks for, what a part says it is, and how both are
//! written. Bytes are counted from 0; ranges here end before their `end`.

use std::ops::Range;

use smallvec::SmallVec;
use wire::token::{decimal, list, trim};
use wire::{Fields, Known};

mod multipart;
mod parts;

pub use multipart::Multipart;
pub use parts::{MOST_PARTS, Part, covers, merge};

/// Ranges in one request; one with more is answered whole, as if it had asked for none
/// (RFC 9110 §14.2: a server may ignore the field).
pub const MOST_RANGES: usize = 16;

/// A few ranges.
pub type Few<T> = SmallVec<[T; 2]>;

/// What a request asks for, before the length is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges(Few<Spec>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// From the first to the last, or to the end.
    From(u64, Option<u64>),
    /// The last so many.
    Last(u64),
}

/// What a request asks for of so many bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Everything, with status 200.
    All,
    /// One range, with status 206; not empty.
    One(Range<u64>),
    /// Two or more, in the order asked, none empty, as `multipart/byteranges`; together they are no
    /// longer than everything.
    Several(Few<Range<u64>>),
    /// Nothing that is there: status 416.
    Unsatisfiable,
}

/// What a request asks for; none if it has no `Range`, or more than one, or one that [`parse`] passes over.
pub fn asked(request: &Fields) -> Option<Ranges> {
    let mut values = request.all(Known::Range);
    values.next().filter(|_| values.next().is_none()).and_then(parse)
}

/// Reads a `Range` (RFC 9110 §14.2). None: it means nothing here, and the answer is the one to a
/// request without it: another unit, not well formed, a range that ends before it begins, too many.
pub fn parse(value: &[u8]) -> Option<Ranges> {
    let at = memchr::memchr(b'=', value)?;
    if !value[..at].eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Few::new();
    for member in list(&value[at + 1..]) {
        if specs.len() == MOST_RANGES {
            return None;
        }
        specs.push(spec(member)?);
    }
    (!specs.is_empty()).then_some(Ranges(specs))
}

fn spec(text: &[u8]) -> Option<Spec> {
    let at = memchr::memchr(b'-', text)?;
    match (&text[..at], &text[at + 1..]) {
        (b"", length) => Some(Spec::Last(position(length)?)),
        (first, b"") => Some(Spec::From(position(first)?, None)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// A number of any length: what doesn't fit is farther than anything that is stored.
fn position(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| digits.iter().fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0'))))
}

/// What is asked of `total` bytes.
pub fn resolve(ranges: &Ranges, total: u64) -> Wanted {
    if total == 0 && ranges.0.iter().any(|&spec| matches!(spec, Spec::Last(1..))) {
        return Wanted::All; // satisfiable, but no Content-Range says "nothing"
    }
    let mut found: Few<Range<u64>> = ranges.0.iter().filter_map(|&spec| within(spec, total)).collect();
    let sum = found.iter().fold(0u64, |sum, range| sum.saturating_add(range.end - range.start));
    match found.len() {
        0 => Wanted::Unsatisfiable,
        1 => found.pop().map_or(Wanted::Unsatisfiable, Wanted::One),
        _ if sum > total => Wanted::All, // they overlap; the whole is shorter
        _ => Wanted::Several(found),
    }
}

/// None if there is nothing of it.
fn within(spec: Spec, total: u64) -> Option<Range<u64>> {
    let range = match spec {
        Spec::From(first, last) => first..last.map_or(total, |last| total.min(last.saturating_add(1))),
        Spec::Last(length) => total.saturating_sub(length)..total,
    };
    (!range.is_empty()).then_some(range)
}

/// Which part of which whole a 206 holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRange {
    /// Not empty.
    pub range: Range<u64>,
    /// Bytes of the whole, at least `range.end`; none if the sender doesn't know.
    pub total: Option<u64>,
}

/// Reads the `Content-Range` of a 206 (RFC 9110 §14.4), strictly: whoever misreads it joins bytes that
/// don't belong together. None: it is none, or one of a 416.
pub fn content_range(value: &[u8]) -> Option<ContentRange> {
    let (unit, rest) = value.split_at_checked(memchr::memchr(b' ', value)?)?;
    let at = memchr::memchr(b'/', rest)?;
    let (range, total) = (trim(&rest[..at]), &rest[at + 1..]);
    let dash = memchr::memchr(b'-', range)?;
    let (first, last) = (decimal(&range[..dash])?, decimal(&range[dash + 1..])?);
    let total = if total == b"*" { None } else { Some(decimal(total)?) };
    let is_valid = unit.eq_ignore_ascii_case(b"bytes") && first <= last && total.is_none_or(|it| last < it);
    is_valid.then(|| ContentRange { range: first..last + 1, total })
}

impl ContentRange {
    /// Is a body of `length` bytes, that came whole with this field, what the field says? If not, one of
    /// them is wrong, and nothing can tell which: such a part is not kept.
    pub fn is_of(&self, length: u64) -> bool {
        self.range.end - self.range.start == length
    }

    /// Writes `Content-Range: bytes 0-4/10` as a line.
    pub fn line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Content-Range: bytes ");
        number(out, self.range.start);
        out.push(b'-');
        number(out, self.range.end.saturating_sub(1));
        out.push(b'/');
        match self.total {
            Some(total) => number(out, total),
            None => out.push(b'*'),
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the line of a 416: `Content-Range: bytes */10` (RFC 9110 §15.5.17).
pub fn unsatisfied_line(out: &mut Vec<u8>, total: u64) {
    out.extend_from_slice(b"Content-Range: bytes */");
    number(out, total);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number without asking for memory.
pub(crate) fn number(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut at, mut rest) = ([0u8; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
