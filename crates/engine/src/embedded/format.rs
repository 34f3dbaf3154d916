//! What the bytes of a log mean, in both directions. No I/O, so that it can be tried with any bytes.
//!
//! Records are what clients sent. So a batch names the log's random number, which no client knows, and the
//! position at which it lies: neither bytes within a record, nor what is left of a segment's former use, nor
//! a piece of another log is taken for a batch.

use crate::log::{LARGEST, Position};

/// Bytes before the first batch of a segment.
pub const SEGMENT_HEAD: u64 = 64;
/// Bytes of a batch before its records.
pub const BATCH_HEAD: usize = 32;
/// Bytes before each record's own.
pub const RECORD_HEAD: usize = 8;
/// Bytes of a batch with its head: what is written and synced at once. The largest record fits.
pub const LARGEST_BATCH: usize = LARGEST + 64 * 1024;
/// A segment is at least so long. Of use only in tests; a log's records must fit into its segments.
pub const SMALLEST_SEGMENT: u64 = 4096;
/// A segment is at most so long.
pub const LARGEST_SEGMENT: u64 = 1 << 30;

const MAGIC: [u8; 7] = *b"NSRLOG\0";
const VERSION: u8 = 1;
/// Where the checksum of a segment's head stands.
const SEGMENT_SUM: usize = SEGMENT_HEAD as usize - 4;
/// Where the checksum of a batch stands.
const BATCH_SUM: usize = BATCH_HEAD - 4;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHead {
    /// The log's random number.
    pub log: u64,
    /// Segments are counted from 0 on.
    pub number: u64,
    /// The position of its first byte.
    pub base: u64,
    /// Bytes in it, this head included.
    pub length: u64,
    /// The position at which the batches of the segment before it end; 0: there never was one.
    pub follows: u64,
    /// How often the log had been opened when the segment was made.
    pub generation: u32,
}

/// Why bytes aren't the head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHead {
    /// They never were, or are damaged.
    Damaged(&'static str),
    /// They are of another version of this format.
    Version(u8),
}

impl SegmentHead {
    /// Writes it down.
    pub fn encode(&self) -> [u8; SEGMENT_HEAD as usize] {
        let mut bytes = [0; SEGMENT_HEAD as usize];
        bytes[..7].copy_from_slice(&MAGIC);
        bytes[7] = VERSION;
        let fields = [self.log, self.number, self.base, self.length, self.follows];
        for (place, field) in bytes[8..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes[48..52].copy_from_slice(&self.generation.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..SEGMENT_SUM]);
        bytes[SEGMENT_SUM..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads it.
    pub fn decode(bytes: &[u8; SEGMENT_HEAD as usize]) -> Result<SegmentHead, BadHead> {
        if bytes[..7] != MAGIC {
            return Err(BadHead::Damaged("it doesn't begin as a segment does"));
        }
        if bytes[7] != VERSION {
            return Err(BadHead::Version(bytes[7]));
        }
        if u32_at(bytes, SEGMENT_SUM) != crc32c::crc32c(&bytes[..SEGMENT_SUM]) {
            return Err(BadHead::Damaged("the checksum of its head is wrong"));
        }
        let field = |index: usize| u64_at(bytes, 8 + 8 * index);
        let head = SegmentHead {
            log: field(0),
            number: field(1),
            base: field(2),
            length: field(3),
            follows: field(4),
            generation: u32_at(bytes, 48),
        };
        let is_sane = (SMALLEST_SEGMENT..=LARGEST_SEGMENT).contains(&head.length)
            && head.base.checked_add(head.length).is_some();
        if is_sane { Ok(head) } else { Err(BadHead::Damaged("its length can't be")) }
    }
}

/// Puts records together as they will lie on disk. Its memory is used again for each batch.
#[derive(Default)]
pub struct Composer {
    bytes: Vec<u8>,
    log: u64,
    at: u64,
    generation: u32,
    count: u32,
    /// Of the records' heads.
    sum: u32,
}

impl Composer {
    /// Begins a batch at this position.
    pub fn begin(&mut self, log: u64, generation: u32, at: u64) {
        self.bytes.clear();
        self.bytes.resize(BATCH_HEAD, 0);
        (self.log, self.generation, self.at, self.count, self.sum) = (log, generation, at, 0, 0);
    }

    /// Adds a record, which has at most [`LARGEST`] bytes; says where it will lie.
    pub fn push(&mut self, record: &[u8]) -> Position {
        let at = self.at + self.bytes.len() as u64;
        let mut head = [0; RECORD_HEAD];
        head[..4].copy_from_slice(&(record.len() as u32).to_le_bytes());
        head[4..].copy_from_slice(&record_sum(self.log, at, record).to_le_bytes());
        self.sum = crc32c::crc32c_append(self.sum, &head);
        self.count += 1;
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(record);
        Position(at)
    }

    /// The whole batch.
    pub fn finish(&mut self) -> &[u8] {
        let length = self.bytes.len() as u32;
        self.bytes[..8].copy_from_slice(&self.log.to_le_bytes());
        self.bytes[8..16].copy_from_slice(&self.at.to_le_bytes());
        self.bytes[16..20].copy_from_slice(&self.generation.to_le_bytes());
        self.bytes[20..24].copy_from_slice(&length.to_le_bytes());
        self.bytes[24..28].copy_from_slice(&self.count.to_le_bytes());
        let sum = crc32c::crc32c_append(self.sum, &self.bytes[..BATCH_SUM]);
        self.bytes[BATCH_SUM..BATCH_HEAD].copy_from_slice(&sum.to_le_bytes());
        &self.bytes
    }
}

/// A batch whose checksums are right.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Its position.
    pub at: u64,
    /// How often the log had been opened when it was written.
    pub generation: u32,
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The position after it.
    pub fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    /// Its records with their positions.
    pub fn records(&self) -> impl Iterator<Item = (Position, &'a [u8])> + use<'a> {
        let (mut at, mut rest) =
            (self.at + BATCH_HEAD as u64, self.bytes.get(BATCH_HEAD..).unwrap_or_default());
        std::iter::from_fn(move || {
            let (_, record, after) = split_record(rest)?;
            let here = Position(at);
            at += (RECORD_HEAD + record.len()) as u64;
            rest = after;
            Some((here, record))
        })
    }
}

/// How many bytes [`read_batch`] needs to judge what begins with these.
pub fn wanted(bytes: &[u8]) -> usize {
    if bytes.len() < BATCH_HEAD {
        return BATCH_HEAD;
    }
    (u32_at(bytes, 20) as usize).clamp(BATCH_HEAD, LARGEST_BATCH)
}

/// Does a batch at this position begin so? A few bytes of it (16) are enough to ask.
pub fn may_begin(log: u64, at: u64, bytes: &[u8]) -> bool {
    bytes.len() >= 16 && u64_at(bytes, 0) == log && u64_at(bytes, 8) == at
}

/// Reads the batch with which `bytes` begin, and checks all of it; or says what is wrong.
pub fn read_batch(log: u64, at: u64, bytes: &[u8]) -> Result<Batch<'_>, &'static str> {
    if bytes.len() < BATCH_HEAD || !may_begin(log, at, bytes) {
        return Err("no batch begins there");
    }
    let length = u32_at(bytes, 20) as usize;
    let Some(bytes) = bytes.get(..length).filter(|_| (BATCH_HEAD..=LARGEST_BATCH).contains(&length)) else {
        return Err("a batch is longer than what is there of it");
    };
    let batch = Batch { at, generation: u32_at(bytes, 16), bytes };
    let (mut sum, mut count, mut ends) = (0, 0, at + BATCH_HEAD as u64);
    for (position, record) in batch.records() {
        let offset = (position.0 - at) as usize;
        let head = &bytes[offset..offset + RECORD_HEAD];
        if u32_at(head, 4) != record_sum(log, position.0, record) {
            return Err("a record's checksum is wrong");
        }
        sum = crc32c::crc32c_append(sum, head);
        count += 1;
        ends = position.0 + (RECORD_HEAD + record.len()) as u64;
    }
    let is_whole = ends == batch.end() && count == u32_at(bytes, 24);
    if is_whole && u32_at(bytes, BATCH_SUM) == crc32c::crc32c_append(sum, &bytes[..BATCH_SUM]) {
        Ok(batch)
    } else {
        Err("a batch's checksum is wrong")
    }
}

/// Bytes of the record whose head these are, with that head.
pub fn record_length(head: &[u8]) -> Option<usize> {
    let length = head.get(..RECORD_HEAD).map(|head| u32_at(head, 0) as usize)?;
    (length <= LARGEST).then_some(RECORD_HEAD + length)
}

/// Does one whole record with its head, at this position, say what was written there?
pub fn is_record(log: u64, at: u64, bytes: &[u8]) -> bool {
    split_record(bytes)
        .is_some_and(|(sum, record, rest)| rest.is_empty() && sum == record_sum(log, at, record))
}

/// The first record's checksum, the record, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (record, rest) = bytes.split_at_checked(record_length(bytes)?)?;
    let (head, record) = record.split_at_checked(RECORD_HEAD)?;
    Some((u32_at(head, 4), record, rest))
}

/// Also of its place, so that a record can be checked alone.
fn record_sum(log: u64, at: u64, record: &[u8]) -> u32 {
    let mut place = [0; 20];
    place[..8].copy_from_slice(&log.to_le_bytes());
    place[8..16].copy_from_slice(&at.to_le_bytes());
    place[16..].copy_from_slice(&(record.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), record)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u32::from_le_bytes(bytes.copied().unwrap_or_default())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u64::from_le_bytes(bytes.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: u64 = 0x6c75_636b_5f69_735f;

    fn compose(at: u64, records: &[Vec<u8>]) -> Vec<u8> {
        let mut composer = Composer::default();
        composer.begin(LOG, 3, at);
        for record in records {
            composer.push(record);
        }
        composer.finish().to_vec()
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..12)
    }

    proptest! {
        #[test]
        fn a_batch_reads_back(at in 0..u64::MAX / 2, records in records(), more in prop::collection::vec(any::<u8>(), 0..50)) {
            let bytes = compose(at, &records);
            let followed = [bytes.as_slice(), &more].concat();
            let batch = read_batch(LOG, at, &followed).unwrap();
            prop_assert_eq!(batch.end(), at + bytes.len() as u64);
            prop_assert_eq!(wanted(&followed), bytes.len());
            prop_assert_eq!(batch.records().map(|(_, record)| record.to_vec()).collect::<Vec<_>>(), records);
            for (position, record) in batch.records() {
                let offset = (position.0 - at) as usize;
                let length = record_length(&bytes[offset..]).unwrap();
                prop_assert_eq!(length, RECORD_HEAD + record.len());
                prop_assert!(is_record(LOG, position.0, &bytes[offset..offset + length]));
                prop_assert!(!is_record(LOG, position.0 + 1, &bytes[offset..offset + length]));
            }
        }

        #[test]
        fn a_changed_byte_is_seen(records in records(), at in any::<prop::sample::Index>(), bit in 0..8u32) {
            let mut bytes = compose(700, &records);
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert!(read_batch(LOG, 700, &bytes).is_err());
        }

        #[test]
        fn a_batch_elsewhere_or_cut_off_is_none(records in records(), cut in any::<prop::sample::Index>()) {
            let bytes = compose(700, &records);
            prop_assert!(read_batch(LOG, 701, &bytes).is_err());
            prop_assert!(read_batch(LOG + 1, 700, &bytes).is_err());
            prop_assert!(read_batch(LOG, 700, &bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn any_bytes_are_judged(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_batch(LOG, 9, &bytes);
            bytes.splice(..bytes.len().min(16), [LOG.to_le_bytes(), 9u64.to_le_bytes()].concat());
            prop_assert!(read_batch(LOG, 9, &bytes).is_err());
        }

        #[test]
        fn a_segments_head_reads_back(number in any::<u64>(), base in 0..u64::MAX / 2, length in SMALLEST_SEGMENT..LARGEST_SEGMENT, bit in 0..512usize) {
            let head = SegmentHead { log: LOG, number, base, length, follows: base / 2, generation: 7 };
            let mut bytes = head.encode();
            prop_assert_eq!(SegmentHead::decode(&bytes), Ok(head));
            bytes[bit / 8] ^= 1u8 << (bit % 8);
            prop_assert!(SegmentHead::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_segment_of_no_length_is_none() {
        let head = SegmentHead { log: LOG, number: 0, base: 0, length: 100, follows: 0, generation: 0 };
        assert_eq!(SegmentHead::decode(&head.encode()), Err(BadHead::Damaged("its length can't be")));
    }
}
