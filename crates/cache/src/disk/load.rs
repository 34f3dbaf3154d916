//! Starting a tier: what is in the folder becomes the index again.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::{Core, Tables, encode, hashes};
use super::format::{self, Found, Kind, Mark, TRAILER};
use super::index::Index;
use super::log;
use super::segments::{self, Segment, Segments};
use super::stored::Stored;

/// Kills, by what they name: each with the first id that it spares.
#[derive(Default)]
struct Kills {
    all: u64,
    urls: HashMap<u64, u64>,
    variants: HashMap<(u64, u32), u64>,
    last: u64,
}

impl Kills {
    fn note(&mut self, kill: &Mark) {
        let spares = match kill.kind {
            Kind::KillAll => &mut self.all,
            Kind::KillUrl => self.urls.entry(kill.hash).or_default(),
            Kind::Kill => self.variants.entry((kill.hash, kill.key)).or_default(),
            Kind::Head | Kind::Small | Kind::Run => return,
        };
        *spares = (*spares).max(kill.id);
        self.last = self.last.max(kill.id);
    }

    fn kill(&self, mark: &Mark) -> bool {
        let before = |spares: Option<&u64>| spares.is_some_and(|&spares| mark.id < spares);
        mark.id < self.all
            || before(self.urls.get(&mark.hash))
            || before(self.variants.get(&(mark.hash, mark.key)))
    }
}

/// Reads everything, and opens the tier.
pub(super) fn load(core: &Arc<Core>) -> io::Result<Segments> {
    let (opened, found) = log::open(core.files.clone(), "gone")?;
    let logged: Option<Vec<Mark>> = found.records.iter().map(|record| Mark::decode(record, 0)).collect();
    let mut segments = read_segments(core)?;
    let mut logged = logged.unwrap_or_default();
    if found.damaged || logged.len() != found.records.len() {
        (core.tell)("the disk tier's log is damaged: all that it held is dropped".into());
        let last = segments.iter().flat_map(|(_, found)| &found.marks).map(|mark| mark.id).max();
        let id = last.unwrap_or_default().saturating_add(1);
        let all = Mark { kind: Kind::KillAll, id, at: 0, hash: 0, key: 0, len: 0, sum: 0, offset: 0 };
        logged.push(all);
    }
    let log = opened.start(&encode(&logged))?;
    let seed = segments.first().map_or_else(new_seed, |(_, found)| found.header.seed);
    let mut kills = Kills::default();
    logged.iter().for_each(|kill| kills.note(kill));
    for mark in segments.iter().flat_map(|(_, found)| &found.marks) {
        kills.note(mark);
    }
    let mut index = Index::default();
    let last = fill(core, &mut index, &segments, &kills);
    core.next_id.fetch_max(last.max(kills.last).saturating_add(1), Ordering::Relaxed);
    index.drop_unfinished();
    let mut closed = VecDeque::with_capacity(segments.len());
    for (segment, found) in segments.drain(..) {
        core.reads.put(segment.slot, Some(segment.file.clone()));
        core.bytes.fetch_add(segment.length, Ordering::Relaxed);
        finish(&segment, &found);
        closed.push_back(segment);
    }
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
fn read_segments(core: &Core) -> io::Result<Vec<(Segment, Found)>> {
    let mut segments: Vec<(Segment, Found)> = Vec::new();
    for name in core.files.list()? {
        let Some(slot) = name.strip_prefix("segment-").and_then(|slot| slot.parse().ok()) else { continue };
        let file = core.files.open(&name)?;
        match format::read(&*file)? {
            Some(found) => {
                let (sequence, length) = (found.header.sequence, file.size()?);
                segments.push((Segment { slot, sequence, length, file }, found));
            }
            None => core.files.remove(&name)?,
        }
    }
    segments.sort_unstable_by_key(|(segment, _)| segment.sequence);
    Ok(segments)
}

/// Puts what is not killed into the index; says which id is the last.
fn fill(core: &Core, index: &mut Index, segments: &[(Segment, Found)], kills: &Kills) -> u64 {
    let marks =
        || segments.iter().flat_map(|(segment, found)| found.marks.iter().map(|mark| (mark, segment.slot)));
    let mut last = 0;
    // Heads first: one that was carried on stands behind its runs.
    for (mark, slot) in marks().filter(|(mark, _)| !mark.kind.kills()) {
        last = last.max(mark.id);
        if mark.kind == Kind::Run || kills.kill(mark) {
            continue;
        }
        let (ticket, place) = (segments::ticket(mark), segments::place(mark, slot));
        if !index.has(ticket) {
            let large =
                || Arc::new(Stored::new(mark.id, mark.hash, mark.key, mark.total(), core.reads.clone()));
            index.add(ticket, (mark.kind == Kind::Head).then(large));
        } else if let (Some(stored), Some(total)) = (index.large(ticket), mark.total()) {
            stored.set_total(total);
        }
        index.place(ticket, place);
    }
    for (mark, slot) in marks().filter(|(mark, _)| mark.kind == Kind::Run) {
        if let Some(stored) = index.large(segments::ticket(mark)) {
            stored.arrived(mark.at, 0, Some(segments::place(mark, slot)));
        }
    }
    last
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
