//! What a log holds when it is opened: which of its last bytes count, and what is damage.
//!
//! A batch is written only when the one before it is stable. So of all that a crash left, only the last
//! batch can be incomplete, and nothing good follows it; it is cut off. Where good batches follow a bad
//! one, it was good once, and records that were told stable are lost: then nobody but the operator may
//! decide how to go on.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::format::{self, BATCH_HEAD, BadHead, Batch, Composer, LARGEST_BATCH, SEGMENT_HEAD, SegmentHead};
use super::store::{self, Store, Trouble};
use super::table::Segment;
use super::writer::{Active, RESERVE};
use super::{OpenError, Visit};
use crate::files::{File, Files};
use crate::log::Position;

/// Bytes that are read at once.
const PIECE: usize = 1024 * 1024;

/// What was found.
pub struct Found {
    /// The log's random number.
    pub log: u64,
    /// How often it has been opened.
    pub generation: u32,
    /// Its folder.
    pub store: Store,
    /// All of it.
    pub segments: VecDeque<Segment>,
    /// Where it goes on.
    pub active: Active,
}

/// Reads a log from `from` on, or from its beginning, and makes it fit to be written. A folder without one
/// gets a new one.
pub fn recover(
    files: &Arc<dyn Files>,
    length: u64,
    from: Option<Position>,
    visit: Visit<'_>,
) -> Result<Found, OpenError> {
    let names = files.list().map_err(OpenError::Io)?;
    let mut store = Store::open(files.clone(), length, &names).map_err(OpenError::Io)?;
    let mut heads = heads(&**files, &names)?;
    if heads.is_empty() {
        heads.push(make(&mut store)?);
    }
    let log = heads.first().map_or(0, |head| head.log);
    let mut scan = Scan { files: &**files, log, generation: 0, from, visit };
    let mut segments = segments(&heads);
    let (active, unsure) = scan.all(&heads, &mut segments)?;
    let generation = scan.generation.saturating_add(1);
    let mut found = Found { log, generation, store, segments, active };
    settle(&mut found, unsure).map_err(OpenError::Io)?;
    // If there's no space for the reserve now, it is made as soon as there is.
    let _ = found.store.stock(RESERVE);
    Ok(found)
}

/// The heads of all segments, which follow one another.
fn heads(files: &dyn Files, names: &[String]) -> Result<Vec<SegmentHead>, OpenError> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| store::number(name)).collect();
    numbers.sort_unstable();
    let mut heads: Vec<SegmentHead> = Vec::with_capacity(numbers.len());
    for number in numbers {
        let head = head(files, number)?;
        if let Some(before) = heads.last() {
            let file = store::name(number);
            if before.number + 1 != number {
                return Err(OpenError::Missing { file: store::name(before.number + 1) });
            }
            if before.log != head.log {
                return Err(OpenError::Foreign { file });
            }
            let limit = before.base + before.length;
            let ends = before.base + SEGMENT_HEAD..=limit;
            let follows = head.base == limit && ends.contains(&head.follows);
            if !follows || head.generation < before.generation {
                let why = "it doesn't follow the segment before it";
                return Err(OpenError::Damaged { file, offset: 0, position: Position(head.base), why });
            }
        }
        heads.push(head);
    }
    Ok(heads)
}

fn head(files: &dyn Files, number: u64) -> Result<SegmentHead, OpenError> {
    let name = store::name(number);
    let file = files.reopen(&name).map_err(OpenError::Io)?;
    let damaged = |why| OpenError::Damaged { file: name.clone(), offset: 0, position: Position(0), why };
    let size = file.size().map_err(OpenError::Io)?;
    if size < SEGMENT_HEAD {
        return Err(damaged("it is too short"));
    }
    let mut bytes = [0; SEGMENT_HEAD as usize];
    file.read(&mut bytes, 0).map_err(OpenError::Io)?;
    match SegmentHead::decode(&bytes) {
        Ok(head) if head.number != number => Err(damaged("it is another segment than its name says")),
        Ok(head) if head.length > size => Err(damaged("it is too short")),
        Ok(head) => Ok(head),
        Err(BadHead::Damaged(why)) => Err(damaged(why)),
        Err(BadHead::Version(version)) => Err(OpenError::Version { file: name, version }),
    }
}

/// The first segment of a new log.
fn make(store: &mut Store) -> Result<SegmentHead, OpenError> {
    // A number that nobody can guess: the keys of a new `RandomState` are random ones of the system.
    let log = RandomState::new().build_hasher().finish();
    let head = SegmentHead { log, number: 0, base: 0, length: store.length(), follows: 0, generation: 0 };
    match store.begin(&head) {
        Ok(_) => Ok(head),
        Err(Trouble::Full(why) | Trouble::Stopped(why)) => {
            Err(OpenError::Io(io::Error::other(why.to_string())))
        }
    }
}

/// Segments with their stable ends; that of the last one isn't known yet.
fn segments(heads: &[SegmentHead]) -> VecDeque<Segment> {
    let ends = heads.iter().skip(1).map(|head| Some(head.follows)).chain([None]);
    let segments = heads.iter().zip(ends).map(|(head, end)| {
        let limit = head.base + head.length;
        Segment::new(head.number, head.base, head.length, end.unwrap_or(limit))
    });
    segments.collect()
}

/// Going through a log.
struct Scan<'a, 'v> {
    files: &'a dyn Files,
    log: u64,
    /// The highest so far.
    generation: u32,
    from: Option<Position>,
    visit: Visit<'v>,
}

/// Where the last batch begins: it can be read, and still may not be on disk.
#[derive(Clone, Copy)]
struct Unsure(u64);

impl Scan<'_, '_> {
    /// Reads the segments that are asked for, and the last one in any case.
    fn all(
        &mut self,
        heads: &[SegmentHead],
        segments: &mut VecDeque<Segment>,
    ) -> Result<(Active, Unsure), OpenError> {
        let first = segments.front().map_or(0, |oldest| oldest.base);
        let from = self.from.map_or(first, |from| from.0);
        let last = segments.len().saturating_sub(1);
        let mut ended = None;
        for (index, (segment, head)) in segments.iter_mut().zip(heads).enumerate() {
            if index == last || segment.limit() > from {
                self.generation = head.generation;
                ended = Some(self.segment(segment, index == last)?);
            }
        }
        let end = segments.back().map_or(0, |last| last.end);
        if from < first || from > end {
            let (from, first, end) = (Position(from), Position(first), Position(end));
            return Err(OpenError::NotThere { from, first, end });
        }
        ended.ok_or_else(|| OpenError::Io(io::ErrorKind::NotFound.into()))
    }

    /// Reads one segment, to its known end or to the first byte that is none of a batch.
    fn segment(&mut self, segment: &mut Segment, last: bool) -> Result<(Active, Unsure), OpenError> {
        let name = store::name(segment.number);
        let file = self.files.reopen(&name).map_err(OpenError::Io)?;
        let mut window =
            Window { file: &*file, base: segment.base, end: segment.end, bytes: Vec::new(), at: 0 };
        let mut at = segment.begin();
        let mut unsure = Unsure(at);
        while at < segment.end {
            let batch = window.batch(self.log, at).map_err(OpenError::Io)?;
            let why = match batch.and_then(|batch| batch.not_older(self.generation)) {
                Ok(batch) => {
                    self.generation = batch.generation;
                    self.show(batch);
                    segment.mark(at);
                    (unsure, at) = (Unsure(at), batch.end());
                    continue;
                }
                Err(why) => why,
            };
            if last && !self.is_one_after(&mut window, at).map_err(OpenError::Io)? {
                break;
            }
            let (offset, position) = (at - segment.base, Position(at));
            return Err(OpenError::Damaged { file: name, offset, position, why });
        }
        segment.end = at;
        let (number, base, limit) = (segment.number, segment.base, segment.limit());
        Ok((Active { number, base, limit, at, file }, unsure))
    }

    /// Shows a batch's records.
    fn show(&mut self, batch: Batch<'_>) {
        for (position, record) in batch.records() {
            if self.from.is_none_or(|from| position >= from) {
                (self.visit)(position, record);
            }
        }
    }

    /// Is there a good batch anywhere behind this position?
    fn is_one_after(&self, window: &mut Window<'_>, at: u64) -> io::Result<bool> {
        let log = Finder::new(&self.log.to_le_bytes()).into_owned();
        let mut from = at + 1;
        while from + BATCH_HEAD as u64 <= window.end {
            let bytes = window.bytes(from, PIECE)?;
            let begins = |offset: &usize| {
                let begin = bytes.get(*offset..).unwrap_or_default();
                format::may_begin(self.log, from + *offset as u64, begin)
            };
            let Some(offset) = log.find_iter(bytes).find(begins) else {
                // The next piece overlaps this one, so that no beginning is cut in two.
                from += (bytes.len() - BATCH_HEAD + 1) as u64;
                continue;
            };
            let at = from + offset as u64;
            if window.batch(self.log, at)?.is_ok_and(|batch| batch.generation >= self.generation) {
                return Ok(true);
            }
            from = at + 1;
        }
        Ok(false)
    }
}

impl Batch<'_> {
    /// A batch of an earlier generation was cut off before those that were read.
    fn not_older(self, generation: u32) -> Result<Self, &'static str> {
        if self.generation < generation { Err("a batch is older than those before it") } else { Ok(self) }
    }
}

/// The part of a segment that was read last.
struct Window<'a> {
    file: &'a dyn File,
    base: u64,
    end: u64,
    bytes: Vec<u8>,
    /// The position of the first of these bytes.
    at: u64,
}

impl Window<'_> {
    /// The batch at a position.
    fn batch(&mut self, log: u64, at: u64) -> io::Result<Result<Batch<'_>, &'static str>> {
        let wanted = format::wanted(self.bytes(at, BATCH_HEAD)?);
        Ok(format::read_batch(log, at, self.bytes(at, wanted)?))
    }

    /// The bytes from this position on: so many, or fewer at the end of the segment.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let len = len.min(self.end.saturating_sub(at) as usize);
        let is_there = at >= self.at && at + len as u64 <= self.at + self.bytes.len() as u64;
        if !is_there {
            let piece = PIECE.max(len).min((self.end - at) as usize);
            self.bytes.resize(piece, 0);
            self.at = at;
            self.file.read(&mut self.bytes, at - self.base)?;
        }
        let from = (at - self.at) as usize;
        Ok(self.bytes.get(from..from + len).unwrap_or_default())
    }
}

/// Makes what was read stable, and what was cut off unreadable for ever.
///
/// The last batch is written again: if the process before this one could not sync it, the system may take
/// it for written. Then comes an empty batch of the new generation, in place of what a crash left.
fn settle(found: &mut Found, unsure: Unsure) -> io::Result<()> {
    let active = &mut found.active;
    let mut last = vec![0; (active.at - unsure.0) as usize];
    if !last.is_empty() {
        active.file.read(&mut last, unsure.0 - active.base)?;
        active.file.write(&last, unsure.0 - active.base)?;
        active.file.sync()?;
    }
    if active.at + BATCH_HEAD as u64 <= active.limit {
        let mut mark = Composer::default();
        mark.begin(found.log, found.generation, active.at);
        active.file.write(mark.finish(), active.at - active.base)?;
        active.file.sync()?;
        active.at += BATCH_HEAD as u64;
    }
    if let Some(segment) = found.segments.back_mut() {
        segment.end = active.at;
    }
    Ok(())
}

const _: () = assert!(LARGEST_BATCH < 2 * PIECE, "a window is of a bounded size");
