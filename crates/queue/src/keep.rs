//! What a node does for its queues beside accepting and delivering: it forgets what is over, sends
//! what the clock sends, writes snapshots, and gives space back.
//!
//! Cleaning goes from the log's beginning on: what still matters is appended again, then the beginning
//! is trimmed. A snapshot comes first, since records that it doesn't know may not go.

use std::sync::{Arc, Weak};
use std::time::Duration;

use engine::{FollowError, Position};
use tokio::time::{MissedTickBehavior, interval};
use upstream::clock::wall_ms;

use crate::accept::{New, NewBody};
use crate::queue::{Again, Queue};
use crate::queues::Queues;
use crate::record::{Body, Number, Record, What};
use crate::state::Fate;
use crate::store::Store;

/// How often it is looked whether there is anything to do.
const EVERY: Duration = Duration::from_millis(250);

/// Messages that are forgotten under one hold of a lock.
const FORGOTTEN: usize = 1_000;

/// Bytes of records after a snapshot before the next one is written.
const TAIL: u64 = 256 << 20;

/// Bytes that nothing needs any more before cleaning begins, if what is needed is less.
const GARBAGE: u64 = 32 << 20;

/// Bytes that are never worth a cleaning.
const LITTLE: u64 = 256 << 10;

/// How long what nobody needs may stay although it is little.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of the log that one step of cleaning walks through.
const STEP: u64 = 16 << 20;

/// Records that are copied before their end is waited for.
const COPIES: usize = 256;

/// Runs as long as the queues live.
pub(crate) async fn keep(queues: Weak<Queues>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cleaned = tokio::time::Instant::now();
    loop {
        tick.tick().await;
        let Some(queues) = queues.upgrade() else { return };
        if queues.is_closed() {
            return;
        }
        for queue in &queues.all() {
            while expire(queue) {
                tokio::task::yield_now().await;
            }
            fire(queue).await;
        }
        if let Err(error) = tend(&queues, &mut cleaned).await {
            queues.say(&format!("the queues' log can't be tended: {error}"));
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }
}

/// Forgets a portion of what is over; says whether there is more.
fn expire(queue: &Queue) -> bool {
    queue.lock().expire(wall_ms(), FORGOTTEN)
}

/// Sends what the clock sends, once for each time; of times that were slept through, the last one.
async fn fire(queue: &Arc<Queue>) {
    let plan = queue.plan();
    let Some(every) = plan.every.as_ref().filter(|_| queue.is_in_plan()) else { return };
    let now = wall_ms() / 1000;
    let last = queue.lock().last_fired().unwrap_or(queue.since);
    let Some(mut due) = every.cron.next_after(last).filter(|due| *due <= now) else { return };
    // Jumps are rare and cron lines coarse, so a walk is short; its length is bounded all the same.
    for _ in 0..10_000 {
        match every.cron.next_after(due).filter(|next| *next <= now) {
            Some(next) => due = next,
            None => break,
        }
    }
    let mut fields = String::new();
    for (name, value) in &every.headers {
        fields.push_str(&format!("{name}: {value}\r\n"));
    }
    if !every.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        fields.push_str("Host: nearside\r\n");
    }
    let key = format!("every {due}");
    let new = New {
        method: every.method.as_bytes(),
        target: every.path.as_bytes(),
        fields: fields.as_bytes(),
        body: NewBody::Whole(bytes::Bytes::copy_from_slice(every.body.as_bytes())),
        order: None,
        key: Some(key.as_bytes()),
        due: due * 1000,
        hops: &queue.hop(),
        event: None,
        fired: Some(due),
    };
    // What can't be kept now is tried again with the next tick.
    let _ = queue.accept(new).await;
}

/// Writes a snapshot if much was written since the last, and cleans if much is of no use.
async fn tend(queues: &Arc<Queues>, cleaned: &mut tokio::time::Instant) -> Result<(), String> {
    let Some(store) = queues.store() else { return Ok(()) };
    if store.stopped().is_some() {
        return Ok(());
    }
    let held = store.log.positions();
    let all = held.end.0.saturating_sub(held.first.0);
    let useful: u64 = queues.all().iter().map(|queue| queue.lock().kept_bytes()).sum();
    let garbage = all.saturating_sub(useful);
    let patient = cleaned.elapsed() > PATIENCE;
    let dirty = garbage > GARBAGE.max(useful) || (patient && garbage > LITTLE.max(useful / 2));
    if dirty {
        *cleaned = tokio::time::Instant::now();
        let safe = snapshot(queues).await?;
        clean(queues, store, safe).await?;
    } else if held.end.0.saturating_sub(queues.snapshot_at().0) > TAIL.max(useful / 4) {
        snapshot(queues).await?;
    }
    Ok(())
}

/// Writes down what the queues know; returns before which position no record is needed for it.
pub(crate) async fn snapshot(queues: &Arc<Queues>) -> Result<Position, String> {
    let own = queues.clone();
    let written = tokio::task::spawn_blocking(move || own.write_snapshot()).await;
    written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Walks from the log's beginning up to `safe`, keeps what matters, and gives the rest back.
async fn clean(queues: &Arc<Queues>, store: &Arc<Store>, safe: Position) -> Result<(), String> {
    loop {
        let first = store.log.positions().first;
        let till = Position(safe.0.min(first.0.saturating_add(STEP)));
        if till <= first {
            return Ok(());
        }
        let (walked, copied) = walk(queues, store, first, till).await?;
        if walked <= first {
            return Ok(());
        }
        store.log.trim(walked);
        // What is copied faster than it is given back would never end.
        if copied * 2 > walked.0 - first.0 {
            return Ok(());
        }
    }
}

/// Appends again what matters between two positions; says up to where, and how many bytes.
async fn walk(
    queues: &Arc<Queues>,
    store: &Arc<Store>,
    first: Position,
    till: Position,
) -> Result<(Position, u64), String> {
    let mut follow = store.log.follow(first);
    let (mut copies, mut copied) = (Vec::new(), 0_u64);
    let walked = loop {
        let (at, record) = match follow.next().await {
            Ok(next) => next,
            Err(FollowError::Closed) => break first,
            Err(error) => return Err(error.to_string()),
        };
        if at >= till {
            break at;
        }
        let Ok(read) = Record::read(&record) else { continue };
        let Some(queue) = queues.find(read.queue) else { continue };
        let fate = queue.lock().fate(at, &read.what);
        match fate {
            Fate::Over => {}
            // Where its pieces lie is known only when all of it is there.
            Fate::Coming => break at,
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
