//! Which segments there are, how far they are stable, and where in them a reader begins. What a reader may
//! see is decided here and nowhere else.

use std::collections::VecDeque;
use std::sync::Arc;

use super::format::SEGMENT_HEAD;
use crate::files::File;

/// Segments that are kept open for readers; more are opened when they are read.
const OPEN: usize = 256;
/// Bytes between the places at which a reader may begin.
const MARK: u64 = 64 * 1024;

/// A segment that belongs to the log.
pub struct Segment {
    /// As in its head.
    pub number: u64,
    /// The position of its first byte.
    pub base: u64,
    /// Bytes in it.
    pub length: u64,
    /// The position after its last stable batch.
    pub end: u64,
    /// Offsets at which batches begin, at least [`MARK`] apart; none if it was not gone through.
    marks: Vec<u32>,
    file: Option<Arc<dyn File>>,
    /// When it was last read, in readings of the table.
    used: u64,
}

impl Segment {
    /// One that holds stable batches up to the position `end`.
    pub fn new(number: u64, base: u64, length: u64, end: u64) -> Segment {
        Segment { number, base, length, end, marks: Vec::new(), file: None, used: 0 }
    }

    /// Where its first batch begins.
    pub fn begin(&self) -> u64 {
        self.base + SEGMENT_HEAD
    }

    /// The position after all of it.
    pub fn limit(&self) -> u64 {
        self.base + self.length
    }

    /// A batch begins at this position.
    pub fn mark(&mut self, at: u64) {
        let last = self.marks.last().map_or(SEGMENT_HEAD, |mark| u64::from(*mark));
        let offset = at.saturating_sub(self.base);
        if offset >= last + MARK {
            self.marks.push(offset as u32); // a segment has at most 2^30 bytes
        }
    }

    /// The last place, at or before this position, at which a batch is known to begin.
    fn batch_before(&self, at: u64) -> u64 {
        let offset = at.saturating_sub(self.base);
        let later = self.marks.partition_point(|mark| u64::from(*mark) <= offset);
        let mark = later.checked_sub(1).and_then(|index| self.marks.get(index));
        mark.map_or(self.begin(), |mark| self.base + u64::from(*mark))
    }
}

/// A part of a segment that may be read.
pub struct Spot {
    /// Which segment.
    pub number: u64,
    /// It, if it is open.
    pub file: Option<Arc<dyn File>>,
    /// The position.
    pub at: u64,
    /// Where that is in the file.
    pub offset: u64,
    /// Bytes from there on that are stable.
    pub len: u64,
}

/// Where a follower goes on.
pub enum Next {
    /// There.
    At(Spot),
    /// There's no more yet.
    Wait,
    /// What would have come is gone; this is the first position that isn't.
    Trimmed(u64),
}

/// All segments, the oldest first; there is always one, and the last one is written.
pub struct Table {
    segments: VecDeque<Segment>,
    open: usize,
    clock: u64,
}

impl Table {
    /// Of what was found.
    pub fn new(segments: VecDeque<Segment>) -> Table {
        Table { segments, open: 0, clock: 0 }
    }

    /// Where the first record may lie.
    pub fn first(&self) -> u64 {
        self.segments.front().map_or(0, Segment::begin)
    }

    /// The position after all that is stable.
    pub fn end(&self) -> u64 {
        self.segments.back().map_or(0, |last| last.end)
    }

    /// Where the oldest segment ends, if it isn't the one that is written.
    pub fn oldest(&self) -> Option<u64> {
        self.segments.front().filter(|_| self.segments.len() > 1).map(Segment::limit)
    }

    /// The last segment has a stable batch from `at` to `end`.
    pub fn stable(&mut self, at: u64, end: u64) {
        if let Some(last) = self.segments.back_mut() {
            last.mark(at);
            last.end = end;
        }
    }

    /// A new segment is written from now on.
    pub fn push(&mut self, segment: Segment, file: Arc<dyn File>) {
        let number = segment.number;
        self.segments.push_back(segment);
        self.opened(number, file);
    }

    /// Forgets the segments that lie wholly before a position, but for the last; returns their numbers and
    /// lengths.
    pub fn trim(&mut self, before: u64) -> Vec<(u64, u64)> {
        let mut freed = Vec::new();
        while self.oldest().is_some_and(|limit| limit <= before) {
            let Some(segment) = self.segments.pop_front() else { break };
            self.open -= usize::from(segment.file.is_some());
            freed.push((segment.number, segment.length));
        }
        freed
    }

    /// What lies at this position, if that is stable.
    pub fn spot(&mut self, at: u64) -> Option<Spot> {
        let index = self.index(at)?;
        self.clock += 1;
        let segment = self.segments.get_mut(index)?;
        segment.used = self.clock;
        let len = segment.end.checked_sub(at).filter(|len| *len > 0 && at >= segment.begin())?;
        let file = segment.file.clone();
        Some(Spot { number: segment.number, file, at, offset: at - segment.base, len })
    }

    /// Where to begin reading for the records from this position on.
    pub fn batch_before(&self, from: u64) -> u64 {
        let segment = self.index(from).and_then(|index| self.segments.get(index));
        segment
            .or(self.segments.back().filter(|last| last.base <= from))
            .map_or(from, |segment| segment.batch_before(from))
    }

    /// What a follower reads that has read all before `at`.
    pub fn next(&mut self, at: u64) -> Next {
        if self.segments.front().is_none_or(|oldest| at < oldest.base) {
            return Next::Trimmed(self.first());
        }
        let found = self.index(at).and_then(|index| {
            let ends = self.segments.get(index)?.end;
            // A segment's last part may be empty.
            let index = if at < ends { index } else { index + 1 };
            Some(self.segments.get(index)?.begin().max(at))
        });
        found.and_then(|at| self.spot(at)).map_or(Next::Wait, Next::At)
    }

    /// Keeps a segment's file open for the next reader, in place of one that was not read for longest.
    pub fn opened(&mut self, number: u64, file: Arc<dyn File>) {
        if self.open >= OPEN {
            let open = self.segments.iter_mut().filter(|segment| segment.file.is_some());
            if let Some(segment) = open.min_by_key(|segment| segment.used) {
                segment.file = None;
                self.open -= 1;
            }
        }
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) {
            self.open += usize::from(segment.file.is_none());
            segment.file = Some(file);
            segment.used = self.clock;
        }
    }

    fn index(&self, at: u64) -> Option<usize> {
        let index = self.segments.partition_point(|segment| segment.base <= at).checked_sub(1)?;
        self.segments.get(index).filter(|segment| at < segment.limit()).map(|_| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 1 << 20;

    /// Segments 3 to 5; each but the last is full up to 100 bytes before its end.
    fn table() -> Table {
        let segment = |number| {
            let base = number * LENGTH;
            let mut segment = Segment::new(number, base, LENGTH, base + LENGTH - 100);
            for at in (base + SEGMENT_HEAD..segment.end).step_by(1000) {
                segment.mark(at);
            }
            segment
        };
        let mut table = Table::new((3..=5).map(segment).collect());
        if let Some(last) = table.segments.back_mut() {
            last.end = last.base + 2000;
        }
        table
    }

    #[test]
    fn only_what_is_stable_is_seen() {
        let mut table = table();
        assert_eq!((table.first(), table.end()), (3 * LENGTH + SEGMENT_HEAD, 5 * LENGTH + 2000));
        assert!(table.spot(5 * LENGTH + 1999).is_some_and(|spot| spot.len == 1));
        assert!(table.spot(5 * LENGTH + 2000).is_none());
        assert!(table.spot(4 * LENGTH - 100).is_none());
        assert!(table.spot(4 * LENGTH + 10).is_none());
        assert!(table.spot(3 * LENGTH - 1).is_none());
        table.stable(5 * LENGTH + 2000, 5 * LENGTH + 3000);
        assert!(table.spot(5 * LENGTH + 2000).is_some_and(|spot| spot.offset == 2000 && spot.len == 1000));
    }

    #[test]
    fn a_follower_goes_from_segment_to_segment() {
        let mut table = table();
        let mut next = |at| match table.next(at) {
            Next::At(spot) => Ok(spot.at),
            Next::Wait => Err(0),
            Next::Trimmed(first) => Err(first),
        };
        assert_eq!(next(3 * LENGTH), Ok(3 * LENGTH + SEGMENT_HEAD));
        assert_eq!(next(4 * LENGTH - 100), Ok(4 * LENGTH + SEGMENT_HEAD));
        assert_eq!(next(4 * LENGTH + 5000), Ok(4 * LENGTH + 5000));
        assert_eq!(next(5 * LENGTH + 2000), Err(0));
        assert_eq!(next(3 * LENGTH - 1), Err(3 * LENGTH + SEGMENT_HEAD));
    }

    #[test]
    fn a_reader_begins_at_a_batch_that_is_near() {
        let table = table();
        for from in [3 * LENGTH + 70_000, 4 * LENGTH - 50, 4 * LENGTH + 900_000] {
            let at = table.batch_before(from);
            assert!(at <= from && from - at < 2 * MARK && (at % LENGTH - SEGMENT_HEAD).is_multiple_of(1000));
        }
        assert_eq!(table.batch_before(3 * LENGTH + 3), 3 * LENGTH + SEGMENT_HEAD);
        assert_eq!(table.batch_before(17), 17);
        assert!(table.batch_before(9 * LENGTH) < 6 * LENGTH);
    }

    #[test]
    fn whole_segments_are_trimmed_but_never_the_last() {
        let mut table = table();
        assert_eq!(table.trim(4 * LENGTH - 1), []);
        assert_eq!(table.trim(4 * LENGTH), [(3, LENGTH)]);
        assert_eq!(table.oldest(), Some(5 * LENGTH));
        assert_eq!(table.trim(u64::MAX), [(4, LENGTH)]);
        assert_eq!((table.oldest(), table.first()), (None, 5 * LENGTH + SEGMENT_HEAD));
    }

    #[test]
    fn few_files_are_kept_open() {
        struct Nothing;
        impl File for Nothing {
            fn size(&self) -> std::io::Result<u64> {
                Ok(0)
            }
            fn read(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
                Ok(())
            }
            fn read_now(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
                Ok(())
            }
            fn write(&self, _: &[u8], _: u64) -> std::io::Result<()> {
                Ok(())
            }
            fn sync(&self) -> std::io::Result<()> {
                Ok(())
            }
            fn reserve(&self, _: u64) -> std::io::Result<()> {
                Ok(())
            }
            fn lock(&self) -> std::io::Result<bool> {
                Ok(true)
            }
        }
        let segment = |number| Segment::new(number, number * LENGTH, LENGTH, (number + 1) * LENGTH);
        let mut table = Table::new((0..1000).map(segment).collect());
        for number in 0..1000 {
            let spot = table.spot(number * LENGTH + SEGMENT_HEAD).unwrap();
            assert!(spot.file.is_none());
            table.opened(number, Arc::new(Nothing));
            assert!(table.spot(SEGMENT_HEAD).unwrap().file.is_some(), "it was read just now");
        }
        let open = table.segments.iter().filter(|segment| segment.file.is_some()).count();
        assert_eq!((open, table.open), (OPEN, OPEN));
    }
}
