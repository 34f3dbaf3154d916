//! Several ranges in one answer: `multipart/byteranges` (RFC 9110 §14.6).

use std::ops::Range;

use super::ContentRange;

/// An answer of several ranges: for each its head, then its bytes, and at last the tail.
#[derive(Debug, Clone, Copy)]
pub struct Multipart<'a> {
    /// Letters and digits, at most 70, that don't stand in the body: long and random.
    pub boundary: &'a str,
    /// Of the whole, if it has one.
    pub content_type: Option<&'a [u8]>,
    /// As asked.
    pub ranges: &'a [Range<u64>],
    /// Bytes of the whole.
    pub total: u64,
}

impl Multipart<'_> {
    /// Writes `Content-Type: multipart/byteranges; boundary=…` as a line of the answer's head.
    pub fn line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Content-Type: multipart/byteranges; boundary=");
        out.extend_from_slice(self.boundary.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Writes what stands before the bytes of a range, one of [`Multipart::ranges`].
    pub fn head(&self, out: &mut Vec<u8>, range: &Range<u64>) {
        self.delimiter(out);
        out.extend_from_slice(b"\r\n");
        if let Some(content_type) = self.content_type {
            wire::write::field(out, b"Content-Type", content_type);
        }
        ContentRange { range: range.clone(), total: Some(self.total) }.line(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Writes what stands after the bytes of the last range.
    pub fn tail(&self, out: &mut Vec<u8>) {
        self.delimiter(out);
        out.extend_from_slice(b"--\r\n");
    }

    /// Bytes of the answer's body.
    pub fn length(&self) -> u64 {
        let mut frame = Vec::new();
        for range in self.ranges {
            self.head(&mut frame, range);
        }
        self.tail(&mut frame);
        let bytes = self.ranges.iter().fold(0u64, |sum, range| sum.saturating_add(range.end - range.start));
        bytes.saturating_add(frame.len() as u64)
    }

    /// The empty line before the first one is what RFC 2046 §5.1.1 calls a preamble, and passed over.
    fn delimiter(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n--");
        out.extend_from_slice(self.boundary.as_bytes());
    }
}
