//! What a node does to its queues' log: it writes snapshots, and gives space back.
//!
//! Cleaning goes from the log's beginning on: what still matters is appended again, then the beginning
//! is trimmed, a segment at a time. Only what a snapshot knows may go.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use engine::{FollowError, Position};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::queue::{Again, Queue};
use crate::queues::Queues;
use crate::record::{Body, Number, Record, What};
use crate::state::Fate;
use crate::store::Store;

/// How often it is looked whether there is anything to do.
const EVERY: Duration = Duration::from_millis(250);

/// How long nothing is tried after it failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Bytes of records after a snapshot before the next one is written.
const TAIL: u64 = 256 << 20;

/// Bytes that nothing needs any more before cleaning begins, if what is needed is less.
const GARBAGE: u64 = 32 << 20;

/// Bytes that are never worth a cleaning.
const LITTLE: u64 = 256 << 10;

/// How long what nobody needs may stay although it is little.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing is cleaned after something was in the way, at first.
const SHORTEST: Duration = Duration::from_secs(1);

/// Records that are copied before their end is waited for.
const COPIES: usize = 256;

/// Runs as long as the queues live.
pub(crate) async fn tend(queues: Weak<Queues>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = Look { cleaned: Instant::now(), pause: Duration::ZERO, mistaken: 0 };
    loop {
        tick.tick().await;
        let Some(queues) = queues.upgrade() else { return };
        if queues.is_closed() {
            return;
        }
        if let Err(error) = look.tend(&queues).await {
            queues.say(&format!("the queues' log can't be tended: {error}"));
            drop(queues);
            sleep(PAUSE).await;
        }
    }
}

/// What is remembered from one look to the next.
struct Look {
    /// When space was last given back.
    cleaned: Instant,
    /// How long after that it may be tried again at the earliest.
    pause: Duration,
    /// Bytes that seemed to be of no use, and that the last cleaning found needed: what messages take in the
    /// log is counted roughly. Without that, cleaning would begin again at once.
    mistaken: u64,
}

impl Look {
    /// Is it time to clean, so long after the last time, with so many bytes of no use and so many others?
    fn is_worth_it(&mut self, garbage: u64, useful: u64, since: Duration) -> bool {
        self.mistaken = self.mistaken.min(garbage);
        let found = garbage - self.mistaken;
        found > GARBAGE.max(useful) || (since > PATIENCE && found > LITTLE.max(useful / 2))
    }

    /// Writes a snapshot if much was written since the last, and cleans if much is of no use.
    async fn tend(&mut self, queues: &Arc<Queues>) -> Result<(), String> {
        let Some(store) = queues.store() else { return Ok(()) };
        if store.stopped().is_some() {
            return Ok(());
        }
        let needed = useful(queues);
        let dirty = self.is_worth_it(garbage(store, needed), needed, self.cleaned.elapsed());
        let rested = self.cleaned.elapsed() >= self.pause;
        if dirty && rested && store.log.oldest().is_some_and(|oldest| oldest <= store.applied()) {
            self.cleaned = Instant::now();
            self.pause = (self.pause * 2).clamp(SHORTEST, PATIENCE);
            let written = snapshot(queues).await;
            // A new one may find no space until something is given back, and the old one knows much too.
            let safe = written.as_ref().map_or_else(|_| queues.snapshot_at(), |at| *at);
            let copied = clean(queues, store, safe).await?;
            written?;
            if let Some(copied) = copied {
                let rest = safe.0.saturating_sub(store.log.positions().first.0);
                self.mistaken = copied.saturating_sub(needed) + rest;
                self.pause = Duration::ZERO;
            }
            return Ok(());
        }
        let tail = store.log.positions().end.0.saturating_sub(queues.snapshot_at().0);
        if tail > TAIL.max(needed / 4) { snapshot(queues).await.map(drop) } else { Ok(()) }
    }
}

/// About how many bytes of the log are needed.
fn useful(queues: &Queues) -> u64 {
    queues.all().iter().map(|queue| queue.lock().kept_bytes()).sum()
}

/// About how many bytes of the log are of no use.
fn garbage(store: &Store, useful: u64) -> u64 {
    let held = store.log.positions();
    held.end.0.saturating_sub(held.first.0).saturating_sub(useful)
}

/// Writes down what the queues know; returns before which position no record is needed for it.
pub(crate) async fn snapshot(queues: &Arc<Queues>) -> Result<Position, String> {
    let own = queues.clone();
    let written = tokio::task::spawn_blocking(move || own.write_snapshot()).await;
    written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Walks from the log's beginning up to `safe`, keeps what matters, and gives the rest back. What is
/// written last stays, since nothing of it could be given back. Says how many bytes were needed; none:
/// something was in the way.
async fn clean(queues: &Arc<Queues>, store: &Arc<Store>, safe: Position) -> Result<Option<u64>, String> {
    let (mut first, mut copied) = (Position::default(), 0);
    while let Some(till) = store.log.oldest().filter(|till| first < *till && *till <= safe) {
        let (walked, bytes) = walk(queues, store, store.log.positions().first, till).await?;
        store.log.trim(walked);
        if walked < till {
            return Ok(None);
        }
        (first, copied) = (till, copied + bytes);
    }
    Ok(Some(copied))
}

/// Appends again what matters between two positions, of which the later one has a record at or behind it.
/// Says up to where, and how many bytes that were.
async fn walk(
    queues: &Arc<Queues>,
    store: &Arc<Store>,
    first: Position,
    till: Position,
) -> Result<(Position, u64), String> {
    let mut follow = store.log.follow(first);
    let (mut copies, mut copied) = (Vec::new(), 0);
    let walked = loop {
        let (at, record) = match follow.next().await {
            Ok(next) => next,
            Err(FollowError::Closed) => break first,
            Err(error) => return Err(error.to_string()),
        };
        if at >= till {
            break till;
        }
        let Ok(read) = Record::read(&record) else { continue };
        let Some(queue) = queues.find(read.queue) else { continue };
        let fate = queue.lock().fate(at, &read.what);
        match fate {
            Fate::Over => {}
            // One that is just becoming a message can be moved as such in a moment.
            Fate::Coming(upload) if move_upload(&queue, upload, at, &record).await? => {
                copied += record.len() as u64;
            }
            Fate::Coming(_) => break at,
            Fate::Copied => {
                copied += record.len() as u64;
                copies.push(queue.append_again(record.clone()));
            }
            Fate::Together(number) => {
                finish(&mut copies).await?;
                copied += move_pieces(&queue, number).await?;
            }
        }
        if copies.len() >= COPIES {
            finish(&mut copies).await?;
        }
    };
    finish(&mut copies).await?;
    Ok((walked, copied))
}

/// Appends a message again whose body lies in pieces, and its pieces; says how many bytes that were.
async fn move_pieces(queue: &Arc<Queue>, number: Number) -> Result<u64, String> {
    let Some(message) = queue.lock().message(number) else { return Ok(0) };
    let failed = |error: engine::ReadError| error.to_string();
    let record = queue.store.read(message.position).await.map_err(failed)?;
    let Ok(Record { what: What::Accepted(mut accepted), .. }) = Record::read(&record) else { return Ok(0) };
    let Body::Pieces { upload, at } = &accepted.body else { return Ok(0) };
    let (mut moved, mut bytes) = (Vec::with_capacity(at.len()), 0);
    for (position, length) in at {
        let piece = queue.store.read(*position).await.map_err(failed)?;
        bytes += piece.len() as u64;
        moved.push((told(queue.append_again(piece)).await?, *length));
    }
    accepted.body = Body::Pieces { upload: *upload, at: moved };
    let mut again = Vec::with_capacity(record.len());
    Record { queue: queue.name(), what: What::Accepted(accepted) }.write(&mut again);
    told(queue.append_again(again.into())).await?;
    Ok(bytes)
}

/// Appends a piece again whose upload is under way, and tells that where it lies. False: it is about to become
/// a message, or not known to it yet.
async fn move_upload(
    queue: &Arc<Queue>,
    upload: Number,
    at: Position,
    piece: &Bytes,
) -> Result<bool, String> {
    let places = queue.uploads().get(&upload).and_then(Weak::upgrade);
    let Some(mut places) = places.as_ref().and_then(|places| places.try_lock().ok()) else {
        return Ok(false);
    };
    if places.left.contains(&at) {
        return Ok(true);
    }
    let Some(index) = places.at.iter().position(|(place, _)| *place == at) else { return Ok(false) };
    let moved = told(queue.append_again(piece.clone())).await?;
    if let Some((place, _)) = places.at.get_mut(index) {
        *place = moved;
    }
    // What was trimmed is never met again.
    places.left = places.left.split_off(&queue.store.log.positions().first);
    places.left.insert(at);
    Ok(true)
}

async fn finish(copies: &mut Vec<Again>) -> Result<(), String> {
    for copied in copies.drain(..) {
        told(copied).await?;
    }
    Ok(())
}

async fn told(again: Again) -> Result<Position, String> {
    let told = again.await.map_err(|_| "the log is closed".to_owned())?;
    told.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);
    const LATER: Duration = Duration::from_secs(21);

    #[test]
    fn cleaning_waits_till_it_is_worth_it() {
        let mut look = Look { cleaned: Instant::now(), pause: Duration::ZERO, mistaken: 0 };
        for (garbage, useful, since, worth_it) in [
            (LITTLE, 0, LATER, false),
            (LITTLE + 1, 0, LATER, true),
            (LITTLE + 1, 0, SOON, false),
            (GARBAGE, 0, SOON, false),
            (GARBAGE + 1, 0, SOON, true),
            (GARBAGE + 1, GARBAGE + 1, SOON, false),
            (GARBAGE + 1, 3 * GARBAGE, LATER, false),
            (2 * GARBAGE, 3 * GARBAGE, LATER, true),
        ] {
            assert_eq!(look.is_worth_it(garbage, useful, since), worth_it, "{garbage} {useful} {since:?}");
        }
    }

    #[test]
    fn what_only_seemed_to_be_of_no_use_is_not_copied_again_and_again() {
        // A cleaning found that all of this is needed.
        let mut look = Look { cleaned: Instant::now(), pause: Duration::ZERO, mistaken: 3 * GARBAGE };
        assert!(!look.is_worth_it(3 * GARBAGE, GARBAGE, LATER));
        assert!(!look.is_worth_it(4 * GARBAGE, GARBAGE, SOON));
        assert!(look.is_worth_it(4 * GARBAGE + 1, GARBAGE, SOON));
        // Then it went, and other things came.
        assert!(!look.is_worth_it(0, GARBAGE, LATER));
        assert!(look.is_worth_it(GARBAGE + 1, GARBAGE, SOON));
    }
}
