//! The layout of a segment: a header, records one after the other, and at the end a footer that lists
//! them, so that a start reads the footers only. `docs/formats.md` has it in full.
//!
//! Each record begins with a mark that says which segment and place it was written for: what a recycled
//! file still holds of its last life is never taken for a record of this one.

use std::io;

use super::files::File;
use crate::record::Reader;

/// Bytes of a segment's header.
pub const HEADER: usize = 64;
/// Bytes of a mark.
pub const MARK: usize = 56;
/// Bytes at the very end of a segment, which say where the footer is.
pub const TRAILER: usize = 32;
/// The first bytes of a segment; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"NSRSEG\0\x01";
/// The first bytes of a trailer.
const END: [u8; 8] = *b"NSREND\0\x01";
/// In place of a total that isn't known.
const UNKNOWN: u64 = u64::MAX;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The head of an object whose body stands in runs.
    Head = 1,
    /// A small object, head and body.
    Small = 2,
    /// Bytes of a body.
    Run = 3,
    /// Older objects of this URL and variant are gone.
    Kill = 4,
    /// Older objects of this URL are gone.
    KillUrl = 5,
    /// All older objects are gone.
    KillAll = 6,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Head, Kind::Small, Kind::Run, Kind::Kill, Kind::KillUrl, Kind::KillAll];

    /// Does it only stand in footers and in the log of what is gone?
    pub fn kills(self) -> bool {
        matches!(self, Kind::Kill | Kind::KillUrl | Kind::KillAll)
    }
}

/// What stands before each record, and for it in the footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What it is.
    pub kind: Kind,
    /// Of the object; objects that were begun later have a higher one. Of a kill: only lower ones go.
    pub id: u64,
    /// Of a head: bytes of the whole body, all ones if unknown. Of a run: where in the body it begins.
    pub at: u64,
    /// Of the object's URL.
    pub hash: u64,
    /// Of the object's variant.
    pub key: u32,
    /// Bytes of the record after its mark.
    pub len: u32,
    /// Their checksum.
    pub sum: u32,
    /// Where in the segment the mark begins.
    pub offset: u32,
}

impl Mark {
    /// The total of a head.
    pub fn total(&self) -> Option<u64> {
        (self.at != UNKNOWN).then_some(self.at)
    }

    /// As [`Mark::at`] of a head.
    pub fn of_total(total: Option<u64>) -> u64 {
        total.unwrap_or(UNKNOWN)
    }

    /// As bytes, for the segment with this sequence number.
    pub fn encode(&self, sequence: u64) -> [u8; MARK] {
        let mut out = [0; MARK];
        out[4] = self.kind as u8;
        for (at, number) in [(8, sequence), (16, self.id), (24, self.at), (32, self.hash)] {
            out[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        for (at, number) in [(40, self.key), (44, self.len), (48, self.sum), (52, self.offset)] {
            out[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32c::crc32c(&out[4..]);
        out[..4].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads one that was written for the segment with this sequence number.
    pub fn decode(bytes: &[u8], sequence: u64) -> Option<Mark> {
        let sum = Reader(bytes).u32().ok()?;
        (crc32c::crc32c(bytes.get(4..MARK)?) == sum).then(|| Mark::checked(bytes, sequence))?
    }

    /// The same where the checksum was looked at.
    fn checked(bytes: &[u8], sequence: u64) -> Option<Mark> {
        let mut reader = Reader(bytes.get(4..MARK)?);
        let [kind, 0, 0, 0] = reader.array().ok()? else { return None };
        let kind = Kind::ALL.into_iter().find(|&known| known as u8 == kind)?;
        (reader.u64().ok()? == sequence).then_some(())?;
        Some(Mark {
            kind,
            id: reader.u64().ok()?,
            at: reader.u64().ok()?,
            hash: reader.u64().ok()?,
            key: reader.u32().ok()?,
            len: reader.u32().ok()?,
            sum: reader.u32().ok()?,
            offset: reader.u32().ok()?,
        })
    }

    /// The rest of the record that was read with its mark, if it is this one and as it was written.
    pub fn payload<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        let payload = record.get(MARK..)?;
        (payload.len() == self.len as usize && crc32c::crc32c(payload) == self.sum).then_some(payload)
    }
}

/// The mark of a record that was read whole, whatever segment it was written for.
pub fn mark_of(record: &[u8]) -> Option<Mark> {
    let sequence = Reader(record.get(8..)?).u64().ok()?;
    Mark::decode(record, sequence)
}

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its number: each segment that is begun has a higher one.
    pub sequence: u64,
    /// Bytes of it.
    pub length: u64,
    /// Of all hashes in this tier.
    pub seed: u64,
}

impl Header {
    /// As bytes.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        for (at, number) in [(8, self.sequence), (16, self.length), (24, self.seed)] {
            out[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32c::crc32c(&out[..32]);
        out[32..36].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads one.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let fixed = bytes.get(..32)?;
        let sum = Reader(bytes.get(32..)?).u32().ok()?;
        if !fixed.starts_with(&MAGIC) || crc32c::crc32c(fixed) != sum {
            return None;
        }
        let mut reader = Reader(&fixed[8..]);
        let (sequence, length, seed) = (reader.u64().ok()?, reader.u64().ok()?, reader.u64().ok()?);
        let possible = (HEADER + TRAILER) as u64..=u64::from(u32::MAX);
        possible.contains(&length).then_some(Header { sequence, length, seed })
    }
}

/// The trailer of a segment whose footer, `marks`, begins at `at`.
pub fn trailer(marks: &[u8], sequence: u64, at: u32) -> [u8; TRAILER] {
    let mut out = [0; TRAILER];
    out[..8].copy_from_slice(&END);
    out[8..16].copy_from_slice(&sequence.to_le_bytes());
    let numbers = [(16, at), (20, marks.len() as u32), (24, crc32c::crc32c(marks))];
    for (place, number) in numbers {
        out[place..place + 4].copy_from_slice(&number.to_le_bytes());
    }
    let sum = crc32c::crc32c(&out[..28]);
    out[28..].copy_from_slice(&sum.to_le_bytes());
    out
}

/// A segment as it was found.
#[derive(Debug)]
pub struct Found {
    /// What it says of itself.
    pub header: Header,
    /// Its records, and the kills in its footer.
    pub marks: Vec<Mark>,
    /// Where the next record would stand; none if it has a footer.
    pub end: Option<u32>,
}

/// Reads what is in a segment: its footer, or if it has none, mark after mark. None: it is no segment.
///
/// # Errors
/// Those of the file.
pub fn read(file: &dyn File) -> io::Result<Option<Found>> {
    let Some(header) = header(file)? else { return Ok(None) };
    match footer(file, header)? {
        Some(marks) => Ok(Some(Found { header, marks, end: None })),
        None => scan(file, header).map(Some),
    }
}

/// Reads a segment's header. None: it is no segment.
///
/// # Errors
/// Those of the file.
pub fn header(file: &dyn File) -> io::Result<Option<Header>> {
    let size = file.size()?;
    if size < HEADER as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER];
    file.read(&mut header, 0)?;
    Ok(Header::decode(&header).filter(|header| header.length <= size))
}

fn footer(file: &dyn File, header: Header) -> io::Result<Option<Vec<Mark>>> {
    let last = header.length - TRAILER as u64;
    let mut trailer = [0; TRAILER];
    file.read(&mut trailer, last)?;
    let Some((at, len, sum)) = read_trailer(&trailer, header.sequence) else {
        return Ok(None);
    };
    if len % MARK != 0 || u64::from(at) + len as u64 > last {
        return Ok(None);
    }
    let mut marks = vec![0; len];
    file.read(&mut marks, at.into())?;
    if crc32c::crc32c(&marks) != sum {
        return Ok(None);
    }
    let within = |mark: &Mark| u64::from(mark.offset) + MARK as u64 + u64::from(mark.len) <= last;
    Ok(marks.chunks_exact(MARK).map(|mark| Mark::checked(mark, header.sequence).filter(within)).collect())
}

fn read_trailer(trailer: &[u8; TRAILER], sequence: u64) -> Option<(u32, usize, u32)> {
    let mut reader = Reader(trailer);
    let whole = reader.array::<8>().ok()? == END && reader.u64().ok()? == sequence;
    let (at, len, sum) = (reader.u32().ok()?, reader.u32().ok()?, reader.u32().ok()?);
    (whole && reader.u32().ok()? == crc32c::crc32c(&trailer[..28])).then_some((at, len as usize, sum))
}

/// Goes from mark to mark up to the first that isn't one: there the segment was when it was left. Records
/// that were torn then are left out.
fn scan(file: &dyn File, header: Header) -> io::Result<Found> {
    let last = header.length - TRAILER as u64;
    let mut marks = Vec::new();
    let mut payload = Vec::new();
    let mut at = HEADER as u64;
    while at + MARK as u64 <= last {
        let mut mark = [0; MARK];
        file.read(&mut mark, at)?;
        let Some(mark) = Mark::decode(&mark, header.sequence).filter(|mark| u64::from(mark.offset) == at)
        else {
            break;
        };
        let next = at + (MARK + mark.len as usize) as u64;
        if mark.kind.kills() || next > last {
            break;
        }
        payload.resize(mark.len as usize, 0);
        file.read(&mut payload, at + MARK as u64)?;
        if crc32c::crc32c(&payload) == mark.sum {
            marks.push(mark);
        }
        at = next;
    }
    Ok(Found { header, marks, end: u32::try_from(at).ok() })
}

/// A hash that stays the same from version to version, since it is kept on disk. With a secret seed
/// nobody outside can choose URLs that share one.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const MIX: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7];
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let second = fold(seed ^ MIX[0], MIX[1]);
    let mut state = fold(seed ^ bytes.len() as u64, MIX[2]);
    for chunk in bytes.chunks(16) {
        let mut words = [0; 16];
        words[..chunk.len()].copy_from_slice(chunk);
        let words = u128::from_le_bytes(words);
        state = fold(words as u64 ^ state, (words >> 64) as u64 ^ second);
    }
    fold(state ^ MIX[0], second ^ MIX[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_headers_and_trailers_are_read_back_and_nothing_else_is() {
        let mark = Mark { kind: Kind::Run, id: 7, at: 1 << 40, hash: 9, key: 8, len: 5, sum: 4, offset: 64 };
        let bytes = mark.encode(3);
        assert_eq!(Mark::decode(&bytes, 3), Some(mark));
        assert_eq!(mark_of(&bytes), Some(mark));
        assert_eq!(Mark::decode(&bytes, 4), None, "another segment's");
        let header = Header { sequence: 3, length: 1 << 20, seed: 99 };
        let head = header.encode();
        assert_eq!(Header::decode(&head), Some(header));
        for at in 0..MARK {
            let mut bad = bytes;
            bad[at] ^= 0x10;
            assert_eq!(Mark::decode(&bad, 3), None);
        }
        for at in 0..36 {
            let mut bad = head;
            bad[at] ^= 0x10;
            assert_eq!(Header::decode(&bad), None);
        }
        let end = trailer(&bytes, 3, 64);
        assert_eq!(read_trailer(&end, 3), Some((64, MARK, crc32c::crc32c(&bytes))));
        assert_eq!(read_trailer(&end, 4), None);
    }

    #[test]
    fn the_hash_stays_as_it_is_and_scatters() {
        assert_eq!(
            hash(1, b"http://h/a"),
            5_540_471_682_354_675_347,
            "what is on disks was written with this one"
        );
        let mut seen: Vec<u64> = (0..10_000).map(|n: u32| hash(5, n.to_string().as_bytes())).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 10_000);
        let ones: u32 = seen.iter().map(|hash| hash.count_ones()).sum();
        assert!((310_000..330_000).contains(&ones), "{ones}");
        let tops: std::collections::HashSet<u64> = seen.iter().map(|hash| hash >> 57).collect();
        assert_eq!(tops.len(), 128);
    }
}
