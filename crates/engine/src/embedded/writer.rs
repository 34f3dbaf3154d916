//! The one thread that writes: it takes all that waits, writes it at once, syncs once, and has it told.
//!
//! It never lingers: while the disk syncs, the next batch gathers. And a batch is written only after the
//! one before it is stable, so that at most the last one can be half on disk after a crash.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::format::{BATCH_HEAD, Composer, SEGMENT_HEAD, SegmentHead};
use super::inbox::{Group, Work};
use super::shared::Shared;
use super::store::{Store, Trouble};
use super::table::Segment;
use super::teller::Tell;
use crate::files::File;
use crate::log::{AppendError, Done, Position, Room};

/// Spares that only records of [`Room::Reserve`] may take.
pub const RESERVE: usize = 1;
/// How often the writer looks whether there is space again.
const RETRY: Duration = Duration::from_secs(1);

/// The segment that is written.
pub struct Active {
    /// Its number.
    pub number: u64,
    /// The position of its first byte.
    pub base: u64,
    /// The position after all of it.
    pub limit: u64,
    /// The position of the next batch.
    pub at: u64,
    /// Where to.
    pub file: Arc<dyn File>,
}

/// Writes one log.
pub struct Writer {
    /// What others see of it.
    pub shared: Arc<Shared>,
    /// To the thread that tells.
    pub teller: Sender<Tell>,
    /// Its folder.
    pub store: Store,
    /// Where it writes.
    pub active: Active,
    /// How often the log was opened.
    pub generation: u32,
    /// Bytes of a batch's records at most.
    pub limit: usize,
    /// Numbers and lengths of segments that can go.
    pub freed: VecDeque<(u64, u64)>,
    /// Something was refused, and it isn't known yet that there's space again.
    pub short: bool,
}

/// Why nothing more is written.
struct Stop {
    why: Arc<str>,
    /// Who was to be told otherwise.
    unsure: Vec<Done>,
}

impl Writer {
    /// Writes until the log is closed, or the disk keeps nothing.
    pub fn run(mut self) {
        // Whoever waits for a record must not wait for ever because something else went wrong.
        let ended = catch_unwind(AssertUnwindSafe(|| self.work()));
        if ended.is_err() {
            let why = "the thread that writes panicked".into();
            self.stop(Stop { why, unsure: Vec::new() }, VecDeque::new());
        }
        self.shared.busy(false);
    }

    fn work(&mut self) {
        let mut composer = Composer::default();
        loop {
            let Work { mut groups, freed, last } = self.shared.inbox.take(self.rest());
            let idle = groups.is_empty();
            self.freed.extend(freed);
            self.shared.busy(true);
            let done = self.write_all(&mut groups, &mut composer).and_then(|all| Ok(self.tidy(idle)? && all));
            self.shared.busy(false);
            match done {
                // What may take the reserve was written perhaps, and the rest would still be refused.
                Ok(all) if all && self.short && self.store.spares() >= RESERVE => {
                    self.short = false;
                    self.shared.short(None);
                }
                Ok(_) => {}
                Err(stop) => return self.stop(stop, groups),
            }
            if last && (self.short || self.freed.is_empty()) {
                return;
            }
        }
    }

    /// How long there's nothing to do unless something comes; none: for ever.
    fn rest(&self) -> Option<Duration> {
        match (self.short, self.freed.is_empty()) {
            (true, _) => Some(RETRY),
            (false, false) => Some(Duration::ZERO),
            (false, true) => None,
        }
    }

    /// There's no space. To be said before anybody is told, so that who is finds it so.
    fn fall_short(&mut self, why: &Arc<str>) {
        self.short = true;
        self.shared.short(Some(why.clone()));
    }

    /// Writes what there's space for; was that all?
    fn write_all(&mut self, groups: &mut VecDeque<Group>, composer: &mut Composer) -> Result<bool, Stop> {
        let mut all = true;
        while let Some(group) = groups.front() {
            self.shared.busy(true);
            let room = group.room;
            match self.make_room(BATCH_HEAD + group.bytes, room) {
                Ok(()) => all &= self.write(groups, composer)?,
                Err(Trouble::Full(why)) => {
                    self.refuse(groups, room, &why);
                    all = false;
                }
                Err(Trouble::Stopped(why)) => return Err(Stop { why, unsure: Vec::new() }),
            }
        }
        Ok(all)
    }

    /// Sees to it that so many bytes fit into the segment that is written.
    fn make_room(&mut self, bytes: usize, room: Room) -> Result<(), Trouble> {
        let kept = if room == Room::Ordinary { RESERVE } else { 0 };
        let fits = self.active.at + bytes as u64 <= self.active.limit;
        self.store.stock(kept + usize::from(!fits))?;
        if fits {
            return Ok(());
        }
        let head = SegmentHead {
            log: self.shared.log,
            number: self.active.number + 1,
            base: self.active.limit,
            length: self.store.length(),
            follows: self.active.at,
            generation: self.generation,
        };
        let file = self.store.begin(&head)?;
        let at = head.base + SEGMENT_HEAD;
        let segment = Segment::new(head.number, head.base, head.length, at);
        let (number, base, limit) = (segment.number, segment.base, segment.limit());
        self.active = Active { number, base, limit, at, file: file.clone() };
        self.shared.table().push(segment, file);
        Ok(())
    }

    /// Writes one batch of the first groups, and has it told. False: the disk didn't take it.
    fn write(&mut self, groups: &mut VecDeque<Group>, composer: &mut Composer) -> Result<bool, Stop> {
        let at = self.active.at;
        let mut told: Vec<(Done, Position)> = Vec::new();
        let mut weight = 0;
        composer.begin(self.shared.log, self.generation, at);
        let mut bytes = BATCH_HEAD;
        while let Some(group) = groups.pop_front_if(|group| self.joins(group, bytes)) {
            bytes += group.bytes;
            weight += group.weight();
            told.extend(group.records.into_iter().map(|append| {
                let position = composer.push(&append.record);
                (append.done, position)
            }));
        }
        let batch = composer.finish();
        let end = at + batch.len() as u64;
        let written = self.active.file.write(batch, at - self.active.base);
        // A failed write has not written its last byte, so what there is of the batch is none.
        if let Err(error) = written {
            let why: Arc<str> = error.to_string().into();
            self.fall_short(&why);
            let dones = told.into_iter().map(|(done, _)| done).collect();
            self.tell(Tell::Refused(dones, AppendError::Full(why), weight));
            return Ok(false);
        }
        if let Err(error) = self.active.file.sync() {
            let unsure = told.into_iter().map(|(done, _)| done).collect();
            let (Trouble::Full(why) | Trouble::Stopped(why)) = Trouble::stopped(error);
            return Err(Stop { why, unsure });
        }
        self.active.at = end;
        self.shared.table().stable(at, end);
        self.tell(Tell::Stable(told, weight));
        Ok(true)
    }

    /// May this group be in a batch that has so many bytes already?
    fn joins(&self, group: &Group, bytes: usize) -> bool {
        let fits = bytes + group.bytes <= BATCH_HEAD + self.limit;
        let has_room = self.active.at + (bytes + group.bytes) as u64 <= self.active.limit;
        fits && has_room && (group.room == Room::Reserve || self.store.spares() >= RESERVE)
    }

    /// There's no space for records of this kind.
    fn refuse(&mut self, groups: &mut VecDeque<Group>, room: Room, why: &Arc<str>) {
        self.fall_short(why);
        let (refused, left) =
            groups.drain(..).partition(|group| room == Room::Reserve || group.room == Room::Ordinary);
        *groups = left;
        let refused: VecDeque<Group> = refused;
        self.tell(Tell::refused(refused, AppendError::Full(why.clone())));
    }

    /// Gives back the space of one segment that can go: more at once would keep records waiting. Looks for a
    /// spare if there's time. False: it must be tried again.
    fn tidy(&mut self, idle: bool) -> Result<bool, Stop> {
        if let Some(&(number, length)) = self.freed.front() {
            match self.store.retire(number, length) {
                Ok(()) => drop(self.freed.pop_front()),
                Err(Trouble::Full(why)) => {
                    self.fall_short(&why);
                    return Ok(false);
                }
                Err(Trouble::Stopped(why)) => return Err(Stop { why, unsure: Vec::new() }),
            }
        }
        if idle && let Err(Trouble::Full(why) | Trouble::Stopped(why)) = self.store.stock(RESERVE) {
            self.fall_short(&why);
            return Ok(false);
        }
        Ok(true)
    }

    /// Nothing is written from now on.
    fn stop(&self, stop: Stop, left: VecDeque<Group>) {
        let why = AppendError::Stopped(stop.why);
        self.shared.inbox.close(why.clone());
        let left = left.into_iter().chain(self.shared.inbox.take(None).groups);
        self.tell(Tell::Refused(stop.unsure, why.clone(), 0));
        self.tell(Tell::refused(left, why));
    }

    fn tell(&self, what: Tell) {
        let _ = self.teller.send(what); // that thread lives as long as this sender
    }
}
