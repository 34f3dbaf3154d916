//! The thread that starts the tier and writes to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::core::Core;
use super::files::File;
use super::format::{Kind, Mark};
use super::index::Ticket;
use super::load::load;
use super::queue::Job;
use super::segments::Segments;
use super::stored::Stored;
use super::writer::RUN;

/// How often a folder that another process holds is tried.
const EVERY: Duration = Duration::from_millis(100);
/// How often one that can't be read.
const SELDOM: Duration = Duration::from_secs(10);

/// What a tier has when it has started.
pub(super) struct Begun {
    segments: Segments,
    /// Held as long as the thread runs: no other process may write.
    _lock: Arc<dyn File>,
}

/// Starts the tier, unless another process holds it.
pub(super) fn begin(core: &Arc<Core>) -> io::Result<Option<Begun>> {
    let lock = core.files.open("lock")?;
    if !lock.lock()? {
        return Ok(None);
    }
    Ok(Some(Begun { segments: load(core)?, _lock: lock }))
}

/// Runs until the queue is closed.
pub(super) fn run(core: &Arc<Core>, begun: Option<Begun>) {
    let Some(mut begun) = begun.or_else(|| wait(core)) else { return };
    let segments = &mut begun.segments;
    while let Some((job, room)) = core.queue.take() {
        match work(core, segments, job) {
            Ok(()) if !is_resting(core) => core.recover(segments.is_full()),
            Ok(()) => {}
            Err(error) => {
                segments.abandon();
                core.fail(&error.to_string());
            }
        }
        drop(room);
    }
    segments.close().ok();
    segments.settle();
    core.tables().log = None;
}

fn wait(core: &Arc<Core>) -> Option<Begun> {
    let mut pause = EVERY;
    while !core.queue.is_closed_after(pause) {
        match begin(core) {
            Ok(Some(begun)) => return Some(begun),
            Ok(None) => pause = EVERY,
            Err(error) => {
                core.fail(&error.to_string());
                pause = SELDOM;
            }
        }
    }
    None
}

fn work(core: &Core, segments: &mut Segments, job: Job) -> io::Result<()> {
    match job {
        Job::Head { stored, head } => {
            let written = put_head(core, segments, &stored, &head);
            if !matches!(written, Ok(true)) {
                stored.give_up();
            }
            written.map(|_| ())
        }
        Job::Run { stored, at, pieces } => {
            let written = put_run(core, segments, &stored, at, &pieces);
            if written.is_err() {
                stored.give_up();
            }
            written
        }
        Job::Object { ticket, head, parts, large } => {
            let written = put_object(core, segments, ticket, &head, &parts, large.as_ref());
            if !matches!(written, Ok(true)) {
                core.tables().index.remove(ticket);
            }
            written.map(|_| ())
        }
        Job::Sync(done) => {
            done.send(segments.sync()).ok();
            Ok(())
        }
        Job::Roll if is_resting(core) => Ok(()),
        Job::Roll => segments.roll(),
    }
}

/// May nothing be written for a while after a failure? Then what comes is thrown away.
fn is_resting(core: &Core) -> bool {
    !core.is_open()
}

fn put_head(core: &Core, segments: &mut Segments, stored: &Stored, head: &[u8]) -> io::Result<bool> {
    let ticket = Ticket { id: stored.id, hash: stored.hash, key: stored.key };
    if is_resting(core) {
        return Ok(false);
    }
    let mark = mark(Kind::Head, ticket, Mark::of_total(stored.total()));
    let place = segments.append(mark, &[head])?;
    place.inspect(|&place| core.written(ticket, place));
    Ok(place.is_some())
}

fn put_run(
    core: &Core,
    segments: &mut Segments,
    stored: &Stored,
    at: u64,
    pieces: &[Bytes],
) -> io::Result<()> {
    let ticket = Ticket { id: stored.id, hash: stored.hash, key: stored.key };
    let len = pieces.iter().map(|piece| piece.len() as u64).sum();
    let mut place = None;
    if !is_resting(core) {
        let slices: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
        place = segments.append(mark(Kind::Run, ticket, at), &slices)?;
    }
    stored.arrived(at, len, place);
    if place.is_none() {
        stored.give_up();
    }
    Ok(())
}

fn put_object(
    core: &Core,
    segments: &mut Segments,
    ticket: Ticket,
    head: &[u8],
    parts: &[(u64, Bytes)],
    large: Option<&Arc<Stored>>,
) -> io::Result<bool> {
    if let Some(stored) = large {
        let mut going = put_head(core, segments, stored, head)?;
        for (at, part) in parts {
            let mut at = *at;
            let mut rest = part.clone();
            while going && !rest.is_empty() {
                let run = rest.split_to(rest.len().min((RUN - at % RUN) as usize));
                let len = run.len() as u64;
                put_run(core, segments, stored, at, &[run])?;
                going = !stored.is_dead();
                at += len;
            }
        }
        return Ok(going);
    }
    if is_resting(core) {
        return Ok(false);
    }
    let mut slices = vec![head];
    slices.extend(parts.iter().map(|(_, part)| &**part));
    let mark = mark(Kind::Small, ticket, 0);
    let Some(place) = segments.append(mark, &slices)? else { return Ok(false) };
    core.tables().index.make_small(ticket);
    core.written(ticket, place);
    Ok(true)
}

fn mark(kind: Kind, ticket: Ticket, at: u64) -> Mark {
    let Ticket { id, hash, key } = ticket;
    Mark { kind, id, at, hash, key, len: 0, sum: 0, offset: 0 }
}
