//! Starting a tier: what is in the folder becomes the index again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::{Core, Tables, encode, hashes};
use super::format::{self, Found, Header, Kind, Mark, TRAILER};
use super::index::Index;
use super::log;
use super::segments::{self, Segment, Segments};
use super::stored::Stored;

/// Reads everything, and opens the tier.
pub(super) fn load(core: &Arc<Core>) -> io::Result<Segments> {
    let (opened, found) = log::open(core.files.clone(), "gone")?;
    let logged: Option<Vec<Mark>> = found.records.iter().map(|record| Mark::decode(record, 0)).collect();
    let damaged = found.damaged || logged.is_none();
    let mut logged = logged.unwrap_or_default();
    let mut filling = Filling { core, index: Index::default(), runs: Vec::new(), last: 0 };
    let segments = read_segments(core)?;
    let seed = segments.front().map_or_else(new_seed, |(_, header)| header.seed);
    for (segment, _) in &segments {
        filling.take(segment)?;
    }
    if damaged {
        (core.tell)("the disk tier's log is damaged: all that it held is dropped".into());
        let id = filling.last.saturating_add(1);
        logged.push(Mark { kind: Kind::KillAll, id, at: 0, hash: 0, key: 0, len: 0, sum: 0, offset: 0 });
    }
    let log = opened.start(&encode(&logged))?;
    logged.iter().for_each(|kill| filling.kill(kill));
    let (index, last) = filling.end();
    core.next_id.fetch_max(last.saturating_add(1), Ordering::Relaxed);
    let closed: VecDeque<Segment> = segments.into_iter().map(|(segment, _)| segment).collect();
    core.bytes.store(closed.iter().map(|segment| segment.length).sum(), Ordering::Relaxed);
    let mut tables = core.tables();
    tables.index = index;
    tables.fresh = logged.into();
    tables.log = Some(log);
    kill_early(core, &mut tables, seed);
    let all = tables.early_all;
    core.seed.get_or_init(|| seed);
    drop(tables);
    if all {
        core.kill(Kind::KillAll, 0, 0);
    }
    core.recover(false);
    Ok(Segments::new(core.clone(), seed, closed))
}

fn new_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// All segments, the oldest first. What isn't one is removed.
fn read_segments(core: &Core) -> io::Result<VecDeque<(Segment, Header)>> {
    let mut segments = Vec::new();
    for name in core.files.list()? {
        let Some(slot) = name.strip_prefix("segment-").and_then(|slot| slot.parse().ok()) else { continue };
        let file = core.files.open(&name)?;
        match format::header(&*file)? {
            Some(header) => {
                core.reads.put(slot, Some(file.clone()));
                let segment = Segment { slot, sequence: header.sequence, length: file.size()?, file };
                segments.push((segment, header));
            }
            None => core.files.remove(&name)?,
        }
    }
    segments.sort_unstable_by_key(|(segment, _)| segment.sequence);
    Ok(segments.into())
}

/// An index that is being filled, segment by segment in their order, so that a kill finds all that it
/// means: it stands in a footer that is at least as young.
struct Filling<'a> {
    core: &'a Core,
    index: Index,
    /// For the end: the head of an object that was carried on stands behind its runs.
    runs: Vec<(Mark, u16)>,
    last: u64,
}

impl Filling<'_> {
    fn take(&mut self, segment: &Segment) -> io::Result<()> {
        let Some(found) = format::read(&*segment.file)? else { return Ok(()) };
        for mark in &found.marks {
            self.last = self.last.max(mark.id);
            match mark.kind {
                Kind::Run => self.runs.push((*mark, segment.slot)),
                Kind::Head | Kind::Small => self.head(mark, segment.slot),
                Kind::Kill | Kind::KillUrl | Kind::KillAll => {}
            }
        }
        found.marks.iter().filter(|mark| mark.kind.kills()).for_each(|kill| self.kill(kill));
        finish(segment, &found);
        Ok(())
    }

    fn head(&mut self, mark: &Mark, slot: u16) {
        let ticket = segments::ticket(mark);
        let reads = &self.core.reads;
        let large = || Arc::new(Stored::new(mark.id, mark.hash, mark.key, mark.total(), reads.clone()));
        let again =
            self.index.found(ticket, segments::place(mark, slot), || (mark.kind == Kind::Head).then(large));
        if let (true, Some(stored), Some(total)) = (again, self.index.large(ticket), mark.total()) {
            stored.set_total(total);
        }
    }

    fn kill(&mut self, kill: &Mark) {
        self.last = self.last.max(kill.id);
        self.index.kill(kill);
    }

    /// The index, and the last id that was given.
    fn end(mut self) -> (Index, u64) {
        for (mark, slot) in self.runs {
            if let Some(stored) = self.index.large(segments::ticket(&mark)) {
                stored.arrived(mark.at, 0, Some(segments::place(&mark, slot)));
            }
        }
        self.index.drop_unfinished();
        (self.index, self.last)
    }
}

/// Gives a segment that was left open its footer, so that the next start need not look for its records
/// again. It matters to nothing else, so whether it succeeds doesn't either.
fn finish(segment: &Segment, found: &Found) {
    let Some(end) = found.end else { return };
    let marks: Vec<u8> = found.marks.iter().flat_map(|mark| mark.encode(segment.sequence)).collect();
    let last = found.header.length - TRAILER as u64;
    if u64::from(end) + marks.len() as u64 <= last {
        let trailer = format::trailer(&marks, segment.sequence, end);
        let written = segment.file.write(&marks, end.into());
        written.and_then(|()| segment.file.write(&trailer, last)).ok();
    }
}

/// Retires what was to be retired while the tier wasn't there yet.
fn kill_early(core: &Core, tables: &mut Tables, seed: u64) {
    for (primary, variant) in std::mem::take(&mut tables.early) {
        let (hash, key) = hashes(seed, &primary, variant.as_deref().unwrap_or_default());
        let kind = if variant.is_some() { Kind::Kill } else { Kind::KillUrl };
        let id = core.next_id.fetch_add(1, Ordering::Relaxed);
        let mark = Mark { kind, id, at: 0, hash, key, len: 0, sum: 0, offset: 0 };
        if tables.index.kill(&mark) > 0 {
            tables.fresh.push_back(mark);
            tables.log.as_ref().map(|log| log.append(encode([&mark])));
        }
    }
}
