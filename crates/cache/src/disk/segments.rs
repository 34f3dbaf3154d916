//! The segments as the writing thread sees them: one open, the others closed, the oldest of which is
//! recycled when there is no room for another.
//!
//! What keeps objects that are gone from coming back: a kill is in the log before it is acknowledged, and
//! moves to the footer of a segment that is at least as young as all that it kills. Segments are made void
//! strictly from the oldest on, each for good before anything takes its place. So wherever a crash
//! happens, a kill is found if anything that it kills is.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::core::{Core, encode};
use super::files::File;
use super::format::{self, HEADER, Header, Kind, MARK, Mark, TRAILER};
use super::index::Ticket;
use super::runs::Place;

/// Bytes of a segment, within which it is a 64th of the tier.
const LENGTHS: (u64, u64) = (1024 * 1024, 64 * 1024 * 1024);
/// Segments of the largest tier; it gets longer ones.
const MOST: u64 = 32 * 1024;
/// The part of a segment that is left to kills in its footer.
const FOR_KILLS: u32 = 16;
/// Lengths are multiples of it.
const PAGE: u64 = 4096;

pub(super) struct Segment {
    pub(super) slot: u16,
    pub(super) sequence: u64,
    pub(super) length: u64,
    pub(super) file: Arc<dyn File>,
}

struct Open {
    segment: Segment,
    at: u32,
    /// What the footer will say.
    marks: Vec<u8>,
}

pub(super) struct Segments {
    pub(super) core: Arc<Core>,
    /// Of all hashes.
    pub(super) seed: u64,
    /// The oldest first.
    pub(super) closed: VecDeque<Segment>,
    pub(super) next: u64,
    open: Option<Open>,
    /// Void, for the next one.
    spare: Option<Segment>,
    /// The disk has no room for as many as there may be.
    full: bool,
    closing: Option<JoinHandle<()>>,
    record: Vec<u8>,
}

/// How long new segments of a tier of this size are.
pub(super) fn length(size: u64) -> u64 {
    let length = (size / 64).clamp(LENGTHS.0, LENGTHS.1).max(size / MOST).min(u32::MAX.into());
    length / PAGE * PAGE
}

pub(super) fn name(slot: u16) -> String {
    format!("segment-{slot:05}")
}

impl Open {
    /// Bytes that a record may take with its marks.
    fn room(&self) -> u64 {
        let kept = self.segment.length / u64::from(FOR_KILLS);
        let taken = u64::from(self.at) + (self.marks.len() + TRAILER) as u64 + kept;
        self.segment.length.saturating_sub(taken)
    }
}

impl Segments {
    pub(super) fn new(core: Arc<Core>, seed: u64, closed: VecDeque<Segment>) -> Segments {
        let next = closed.back().map_or(0, |segment| segment.sequence + 1);
        Segments {
            core,
            seed,
            closed,
            next,
            open: None,
            spare: None,
            full: false,
            closing: None,
            record: Vec::new(),
        }
    }

    /// Has the disk less room than the tier may take?
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    fn total(&self) -> u64 {
        let others = self.spare.iter().chain(self.open.iter().map(|open| &open.segment));
        self.closed.iter().chain(others).map(|segment| segment.length).sum()
    }

    /// Writes a record of an object; none if that is gone, or the record is too long for any segment. The
    /// mark's length, sum and place are filled in here.
    pub(super) fn append(&mut self, mark: Mark, payload: &[&[u8]]) -> io::Result<Option<Place>> {
        let len: usize = payload.iter().map(|piece| piece.len()).sum();
        let need = (len + 2 * MARK) as u64;
        if self.open.as_ref().is_none_or(|open| open.room() < need) {
            if need > self.largest() {
                return Ok(None);
            }
            self.roll()?;
        }
        // Asked only now: a kill that comes later goes to the footer of this segment or of a younger one,
        // and so outlives the record.
        if !self.core.tables().index.has(ticket(&mark)) {
            return Ok(None);
        }
        self.append_here(mark, payload, len)
    }

    /// Bytes of the largest record, with its marks.
    fn largest(&self) -> u64 {
        let length = length(self.core.size);
        length - length / u64::from(FOR_KILLS) - (HEADER + TRAILER) as u64
    }

    fn append_here(&mut self, mark: Mark, payload: &[&[u8]], len: usize) -> io::Result<Option<Place>> {
        let Some(open) = self.open.as_mut().filter(|open| open.room() >= (len + 2 * MARK) as u64) else {
            return Ok(None);
        };
        let sum = payload.iter().fold(0, |sum, piece| crc32c::crc32c_append(sum, piece));
        let mark = Mark { len: len as u32, sum, offset: open.at, ..mark }.encode(open.segment.sequence);
        self.record.clear();
        self.record.extend_from_slice(&mark);
        payload.iter().for_each(|piece| self.record.extend_from_slice(piece));
        open.segment.file.write(&self.record, open.at.into())?;
        open.marks.extend_from_slice(&mark);
        let place = Place { offset: open.at, len: len as u32, slot: open.segment.slot };
        open.at += self.record.len() as u32;
        self.core.bytes.fetch_add(self.record.len() as u64, Ordering::Relaxed);
        Ok(Some(place))
    }

    /// After a failure: what is open is left as it is.
    pub(super) fn abandon(&mut self) {
        self.closed.extend(self.open.take().map(|open| open.segment));
    }

    /// Closes the open segment and begins another.
    pub(super) fn roll(&mut self) -> io::Result<()> {
        self.close()?;
        let segment = self.next_segment()?;
        let sequence = self.next;
        self.next += 1;
        let segment = Segment { sequence, ..segment };
        let header = Header { sequence, length: segment.length, seed: self.seed }.encode();
        if let Err(error) = segment.file.write(&header, 0) {
            self.spare = Some(segment);
            return Err(error);
        }
        self.core.reads.put(segment.slot, Some(segment.file.clone()));
        self.open = Some(Open { segment, at: HEADER as u32, marks: Vec::new() });
        let made = self.make_room();
        let bytes = self.closed.iter().map(|segment| segment.length).sum::<u64>();
        let carried = self.open.as_ref().map_or(0, |open| u64::from(open.at));
        self.core.bytes.store(bytes + carried, Ordering::Relaxed);
        made
    }

    /// Writes the footer; when it lasts, the kills in it need no longer be in the log.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let Some(Open { segment, at, mut marks }) = self.open.take() else { return Ok(()) };
        self.settle();
        let kills = {
            let tables = self.core.tables();
            let room = segment.length - u64::from(at) - (marks.len() + TRAILER) as u64;
            let kills = tables.fresh.len().min(room as usize / MARK);
            tables
                .fresh
                .range(..kills)
                .for_each(|kill| marks.extend_from_slice(&kill.encode(segment.sequence)));
            kills
        };
        let trailer = format::trailer(&marks, segment.sequence, at);
        let end = segment.length - TRAILER as u64;
        let written = segment.file.write(&marks, at.into()).and_then(|()| segment.file.write(&trailer, end));
        let (file, core) = (segment.file.clone(), self.core.clone());
        self.closed.push_back(segment);
        written?;
        // In a thread of its own, since it may take long to write a whole segment to the disk.
        let settle = move || {
            if file.sync().and_then(|()| core.files.sync()).is_ok() && kills > 0 {
                let mut tables = core.tables();
                tables.fresh.drain(..kills);
                let rest = encode(&tables.fresh);
                tables.log.as_ref().map(|log| log.renew(rest));
            }
        };
        self.closing = Some(std::thread::Builder::new().name("disk-close".into()).spawn(settle)?);
        Ok(())
    }

    /// Waits till the last footer lasts.
    pub(super) fn settle(&mut self) {
        if let Some(closing) = self.closing.take() {
            closing.join().ok();
        }
    }

    /// Makes what was written so far last.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.settle();
        if let Some(open) = &self.open {
            open.segment.file.sync()?;
        }
        self.core.files.sync()
    }

    /// A file for the next segment: the spare one, a new one, or the oldest one's.
    fn next_segment(&mut self) -> io::Result<Segment> {
        let length = length(self.core.size);
        if (self.full || self.spare.is_none()) && self.total() + length <= self.core.size {
            match self.create(length) {
                Ok(segment) => {
                    self.full = false;
                    return Ok(segment);
                }
                Err(error) if self.closed.is_empty() && self.spare.is_none() => return Err(error),
                Err(_) => self.full = true,
            }
        }
        match self.spare.take() {
            Some(spare) => Ok(spare),
            None => self.recycle(false),
        }
    }

    fn create(&self, length: u64) -> io::Result<Segment> {
        let taken = |slot: &u16| {
            let others = self.spare.iter().chain(self.open.iter().map(|open| &open.segment));
            self.closed.iter().chain(others).any(|segment| segment.slot == *slot)
        };
        let slot = (0..=u16::MAX).find(|slot| !taken(slot)).ok_or(io::ErrorKind::StorageFull)?;
        let file = self.core.files.open(&name(slot))?;
        if let Err(error) = file.reserve(length) {
            self.core.files.remove(&name(slot)).ok();
            return Err(error);
        }
        Ok(Segment { slot, sequence: 0, length, file })
    }

    /// Has a void segment ready if no other one may be made, carrying on what was used lately.
    fn make_room(&mut self) -> io::Result<()> {
        let length = length(self.core.size);
        while self.total() > self.core.size
            || (self.spare.is_none() && (self.full || self.total() + length > self.core.size))
        {
            if self.closed.is_empty() {
                break;
            }
            let segment = self.recycle(true)?;
            if segment.length == length && self.spare.is_none() && self.total() + length <= self.core.size {
                self.spare = Some(segment);
                continue;
            }
            self.core.reads.put(segment.slot, None);
            self.core.files.remove(&name(segment.slot))?;
            self.full = false;
        }
        Ok(())
    }

    /// Makes the oldest segment void.
    fn recycle(&mut self, carry: bool) -> io::Result<Segment> {
        let Some(oldest) = self.closed.front() else { return Err(io::ErrorKind::StorageFull.into()) };
        let (slot, file) = (oldest.slot, oldest.file.clone());
        let marks = format::read(&*file).ok().flatten().map(|found| found.marks);
        if carry {
            self.carry_on(&*file, slot, marks.as_deref().unwrap_or_default())?;
        }
        // Void for good before the index forgets it: what is not in the index is not killed.
        file.write(&[0; HEADER], 0)?;
        file.sync()?;
        let forgotten = match marks {
            Some(marks) => self.forget(slot, &marks),
            None => self.core.tables().index.leave(slot),
        };
        self.core.evicted.fetch_add(forgotten as u64, Ordering::Relaxed);
        let segment = self.closed.pop_front().ok_or(io::ErrorKind::StorageFull)?;
        Ok(segment)
    }

    fn forget(&self, slot: u16, marks: &[Mark]) -> usize {
        let mut forgotten = 0;
        for mark in marks {
            let (ticket, place) = (ticket(mark), place(mark, slot));
            let mut tables = self.core.tables();
            match mark.kind {
                Kind::Head | Kind::Small => forgotten += usize::from(tables.index.remove_at(ticket, place)),
                Kind::Run => {
                    let stored = tables.index.large(ticket).cloned();
                    drop(tables);
                    stored.inspect(|stored| stored.lost(mark.at, place));
                }
                _ => {}
            }
        }
        forgotten
    }

    /// Copies what was used since it was written into the open segment, up to half of what has room there.
    fn carry_on(&mut self, file: &dyn File, slot: u16, marks: &[Mark]) -> io::Result<()> {
        let mut budget = self.open.as_ref().map_or(0, |open| open.room() / 2);
        for mark in marks {
            let need = u64::from(mark.len) + (2 * MARK) as u64;
            if need > budget || !self.is_used(mark, place(mark, slot)) {
                continue;
            }
            let mut record = vec![0; MARK + mark.len as usize];
            if file.read(&mut record, mark.offset.into()).is_err() {
                continue;
            }
            let Some(payload) = mark.payload(&record) else { continue };
            if let Some(new) = self.append_here(*mark, &[payload], payload.len())? {
                budget -= need;
                self.moved(mark, place(mark, slot), new);
            }
        }
        Ok(())
    }

    fn is_used(&self, mark: &Mark, place: Place) -> bool {
        let mut tables = self.core.tables();
        match mark.kind {
            Kind::Head | Kind::Small => tables.index.is_used(ticket(mark), place) == Some(true),
            Kind::Run => tables
                .index
                .large(ticket(mark))
                .is_some_and(|stored| stored.is_used(mark.at, place) == Some(true)),
            _ => false,
        }
    }

    fn moved(&self, mark: &Mark, from: Place, to: Place) {
        let mut tables = self.core.tables();
        if mark.kind == Kind::Run {
            if let Some(stored) = tables.index.large(ticket(mark)) {
                stored.arrived(mark.at, 0, Some(to));
            }
        } else if tables.index.is_used(ticket(mark), from).is_some() {
            tables.index.place(ticket(mark), to);
        }
    }
}

pub(super) fn ticket(mark: &Mark) -> Ticket {
    Ticket { id: mark.id, hash: mark.hash, key: mark.key }
}

pub(super) fn place(mark: &Mark, slot: u16) -> Place {
    Place { offset: mark.offset, len: mark.len, slot }
}
