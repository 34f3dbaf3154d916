//! A fetched answer on its way to all who wait for it, and into the tiers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cache::disk::Writer;
use cache::flight::{End, LARGE, WINDOW};
use cache::freshness::Times;
use cache::{Body, Object, conditional, range, vary};
use upstream::client::{Exchange, Failed};
use upstream::{Outcome, clock};
use wire::{Known, ResponseHead};

use super::entry::{Entry, Unstored};
use super::fetch::{Errand, Job, Nobody};
use super::{Arrived, Landed};
use crate::headers;
use crate::request::Trail;
use crate::tries::{self, Answered};

/// Bytes of the largest object whose parts are put together in memory if there is a disk tier.
const PARTS: u64 = 1024 * 1024;

/// Where an answer's body goes beside to those who wait.
enum Keep {
    Nowhere,
    Memory,
    Disk(Box<Writer>),
}

/// What is to be stored, and where it lies in the whole.
struct Plan {
    /// As yet without its body.
    object: Object,
    /// Offset of the first byte that comes.
    at: u64,
    /// Bytes of the whole, if known.
    total: Option<u64>,
    /// It is a part only (206).
    part: bool,
    /// Bytes that must come for it to be what it says it is, where its length didn't say so.
    expected: Option<u64>,
}

/// Passes an answer on to all who wait, and stores it if it may be.
pub(super) async fn stream(job: &Job, answered: Box<Answered<'_, Nobody>>, times: Times, trail: Trail) {
    let Answered { mut exchange, mut head, held, lease, latency_ns } = *answered;
    headers::apply(&job.route.response_headers, &mut head.fields);
    let length = exchange.remaining().map(|left| left + held.len() as u64);
    let plan = plan(job, &head, length, times);
    head.fields.remove(Known::CacheTag);
    head.fields.remove(Known::SurrogateKey);
    let status = head.status;
    let placed = match plan {
        Ok(plan) => place(job, plan, length).await,
        Err(why) => Err(why),
    };
    let (plan, keep) = match placed {
        Ok((plan, keep)) => (Ok(plan), keep),
        Err(why) => (Err(why), Keep::Nowhere),
    };
    let completes = plan.as_ref().is_ok_and(|plan| complete_head(job, &mut head, plan));
    if matches!(job.errand, Errand::Complete(..)) && matches!(head.status, 206 | 416) {
        // The rest doesn't belong to what is stored, and nobody asked for a part: all is fetched anew.
        lease.finish(Outcome::Answered { status, latency_ns }, clock::now());
        return job.start_over().await;
    }
    let whole_length = match &plan {
        Ok(plan) if completes => plan.total,
        _ => length,
    };
    if let Err(why) = &plan {
        job.close();
        if job.open && why.is_of_the_answer() && status < 500 {
            job.kept().cache.pass_for_a_while(&job.key.primary, times.received_ms / 1000);
        }
    }
    let stored = plan.as_ref().map(|plan| plan.object.clone()).map_err(|why| *why);
    let plan = plan.ok();
    let arrived = Arc::new(Arrived { head, length: whole_length, stored, disk: OnceLock::new(), trail });
    let mut filling = Filling::new(job, plan.as_ref(), keep, arrived.clone());
    filling.begin().await;
    job.flight.land(Landed::Answer(arrived), !matches!(filling.keep, Keep::Nowhere));
    let ended = filling.run(&mut exchange, held).await;
    let keep = filling.keep;
    let (key, now) = (lease.endpoint().key(), clock::now());
    match ended {
        Ok(Some(came)) => {
            lease.finish(Outcome::Answered { status, latency_ns }, now);
            if let Some(plan) = plan {
                store(job, &plan, keep, plan.expected.is_none_or(|expected| expected == came)).await;
            }
            job.close();
            job.flight.end(End::Whole(Arc::new(exchange.trailers().clone())));
            exchange.release(key, now);
            return;
        }
        Ok(None) => lease.finish(Outcome::Answered { status, latency_ns }, now),
        Err(failed) => {
            if let Some(kind) = tries::kind(&failed) {
                lease.finish(Outcome::Failed(kind), now);
            }
        }
    }
    if let Some(plan) = plan {
        store(job, &plan, keep, false).await;
    }
}

/// What is to be stored of an answer, or why nothing.
fn plan(job: &Job, head: &ResponseHead, length: Option<u64>, times: Times) -> Result<Plan, Unstored> {
    let entry = Entry::of(&job.key, &job.head, head, job.rules(), times)?;
    let object = entry.object(&job.key.primary, Body::Whole(Bytes::new()));
    if job.is_void(&object) {
        return Err(Unstored::Purged);
    }
    if head.status != 206 {
        return Ok(Plan { object, at: 0, total: length, part: false, expected: None });
    }
    let said = head.fields.get(Known::ContentRange).and_then(range::content_range);
    let said = said.ok_or(Unstored::ContentRange)?;
    // What doesn't hold together can't be put together.
    if length.is_some_and(|length| !said.is_of(length)) {
        return Err(Unstored::ContentRange);
    }
    let expected = Some(said.range.end - said.range.start);
    Ok(Plan { object, at: said.range.start, total: said.total, part: true, expected })
}

/// Finds room for what is to be stored.
async fn place(job: &Job, plan: Plan, length: Option<u64>) -> Result<(Plan, Keep), Unstored> {
    let cache = &job.kept().cache;
    let largest = job.largest();
    if length.is_some_and(|length| length > largest) {
        return Err(Unstored::TooLarge);
    }
    if let Some(writer) = beside(job, &plan) {
        return Ok((plan, Keep::Disk(Box::new(writer))));
    }
    cache.retire(&plan.object).await.map_err(Unstored::Tier)?;
    // Parts of something large would be put together in memory again and again.
    let for_disk = plan.part && cache.disk().is_some() && plan.total.is_some_and(|total| total > PARTS);
    if !for_disk && length.is_none_or(|length| cache.memory.room_for(length)) {
        return Ok((plan, Keep::Memory));
    }
    // A part without its whole's length would pass for the whole on disk.
    let may_begin = !plan.part || plan.total.is_some();
    match may_begin.then(|| cache.begin(&plan.object, plan.total)).flatten() {
        Some(writer) => Ok((plan, Keep::Disk(Box::new(writer)))),
        None => Err(Unstored::TooLarge),
    }
}

/// A writer for a part beside those of the same representation that are on disk.
fn beside(job: &Job, plan: &Plan) -> Option<Writer> {
    let before = job.errand.object().filter(|before| plan.part && is_same(before, &plan.object))?;
    match before.body() {
        Body::Disk(stored) if stored.total() == plan.total => job.kept().cache.disk()?.extend(stored),
        _ => None,
    }
}

/// Are both of the same representation, byte for byte (RFC 9111 §3.4)?
fn is_same(one: &Object, other: &Object) -> bool {
    one.variant() == other.variant()
        && one.field("etag").is_some_and(|etag| {
            other.field("etag").is_some_and(|other| conditional::strongly_equal(etag, other))
        })
}

/// Makes a whole answer of the rest of a stored one and what is stored; false: they don't belong together.
fn complete_head(job: &Job, head: &mut ResponseHead, plan: &Plan) -> bool {
    let Errand::Complete(stored, at) = &job.errand else { return false };
    let same = stored.field("etag") == head.fields.get(Known::Etag);
    let Body::Parts { parts, .. } = stored.body() else { return false };
    if head.status != 206 || plan.at != *at || !same || !job.kept().cache.stands(stored) {
        return false;
    }
    head.fields.remove(Known::ContentRange);
    let mut whole = ResponseHead::default();
    whole.start(200);
    for field in head.fields.iter() {
        whole.fields.push(field.name, field.value);
    }
    *head = whole;
    for (_, piece) in parts.iter() {
        job.flight.preload(piece.clone());
    }
    true
}

/// A body on its way to those who wait and into a tier.
struct Filling<'j> {
    job: &'j Job,
    plan: Option<&'j Plan>,
    keep: Keep,
    arrived: Arc<Arrived>,
    /// Offset in the object of the next byte.
    at: u64,
    /// Bytes that have come.
    came: u64,
}

impl<'j> Filling<'j> {
    fn new(job: &'j Job, plan: Option<&'j Plan>, keep: Keep, arrived: Arc<Arrived>) -> Filling<'j> {
        Filling { job, plan, keep, arrived, at: plan.map_or(0, |plan| plan.at), came: 0 }
    }

    /// What is already on board goes to disk too, if the object does.
    async fn begin(&mut self) {
        let pieces = self.job.flight.pieces().unwrap_or_default();
        let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        if let Keep::Disk(writer) = &mut self.keep {
            let first = self.at - len.min(self.at);
            if write_all(writer, first, pieces).await {
                let _ = self.arrived.disk.set((writer.stored(), first));
            } else {
                self.give_up();
            }
        }
    }

    /// Passes the body on, piece by piece, and says how many bytes it had; none: nobody needs the rest.
    async fn run(&mut self, exchange: &mut Exchange<'_, Nobody>, held: Bytes) -> Result<Option<u64>, Failed> {
        let mut next = (!held.is_empty()).then_some(held);
        loop {
            let piece = match next.take() {
                Some(piece) => piece,
                None => match exchange.piece().await? {
                    Some(piece) => piece,
                    None => return Ok(Some(self.came)),
                },
            };
            let wanted = self.take(piece).await;
            let flight = &self.job.flight;
            let unheard = matches!(self.keep, Keep::Disk(_)) && !flight.has_passengers();
            if !wanted || (unheard && is_far(exchange)) {
                return Ok(None);
            }
        }
    }

    /// Takes one piece; false: nobody needs more.
    async fn take(&mut self, piece: Bytes) -> bool {
        let (job, flight, at) = (self.job, &self.job.flight, self.at);
        // What stays must not hold the buffer that it came in; the flight itself copies what is small.
        let stays = matches!(self.keep, Keep::Memory) && piece.len() >= LARGE;
        let piece = if stays { Bytes::copy_from_slice(&piece) } else { piece };
        self.at += piece.len() as u64;
        self.came += piece.len() as u64;
        let announced = self.plan.and_then(|plan| plan.expected).unwrap_or(u64::MAX);
        if self.came > job.largest().min(announced) {
            self.give_up();
        }
        let room = || job.hold(piece.len() as u64) && job.kept().cache.memory.room_for(self.came);
        if matches!(self.keep, Keep::Memory) && !room() {
            self.outgrow().await;
        }
        if let Keep::Disk(writer) = &mut self.keep {
            if !writer.write(at, piece.clone()).await {
                self.give_up();
            } else if self.arrived.disk.get().is_some() {
                flight.forget_before(self.came.saturating_sub(WINDOW));
            }
        }
        flight.push(piece).await
    }

    /// The object isn't stored after all.
    fn give_up(&mut self) {
        if !matches!(self.keep, Keep::Nowhere) {
            self.keep = Keep::Nowhere;
            self.job.close();
            self.job.flight.stop_keeping();
        }
    }

    /// It has become too large for memory: it goes to disk, if there is one that takes it.
    async fn outgrow(&mut self) {
        let begun = self.plan.filter(|plan| !plan.part);
        let begun = begun.and_then(|plan| self.job.kept().cache.begin(&plan.object, None));
        match begun {
            Some(writer) => {
                let before = self.at;
                (self.keep, self.at) = (Keep::Disk(Box::new(writer)), self.plan.map_or(0, |plan| plan.at));
                self.at += self.job.flight.pieces().map_or(0, |all| all.iter().map(|p| p.len() as u64).sum());
                self.begin().await;
                self.at = before;
                // The pieces before this one are on disk now: who is behind reads them there.
                self.job.close();
            }
            None => self.give_up(),
        }
    }
}

async fn write_all(writer: &mut Writer, mut at: u64, pieces: Vec<Bytes>) -> bool {
    for piece in pieces {
        let len = piece.len() as u64;
        if !writer.write(at, piece).await {
            return false;
        }
        at += len;
    }
    true
}

/// Is more to come than is worth fetching for nobody?
fn is_far(exchange: &Exchange<'_, Nobody>) -> bool {
    const UNASKED: u64 = 16 * 1024 * 1024;
    exchange.remaining().is_none_or(|left| left > UNASKED)
}

/// Stores what has come. Of what isn't `whole`, only that stays which is already on disk.
async fn store(job: &Job, plan: &Plan, keep: Keep, whole: bool) {
    let cache = &job.kept().cache;
    let void = job.is_void(&plan.object);
    match keep {
        Keep::Disk(writer) if void => writer.discard(),
        Keep::Disk(writer) if whole => cache.finish(*writer, &plan.object).await,
        Keep::Memory if whole && !void => {
            let Some(pieces) = job.flight.pieces() else { return };
            let body = if plan.part { parts(job, plan, pieces) } else { Body::copied(&pieces) };
            cache.keep(&plan.object.with_body(body));
        }
        _ => {}
    }
}

/// What came, together with the parts of the same representation that are already stored
/// (RFC 9111 §3.4).
fn parts(job: &Job, plan: &Plan, pieces: Vec<Bytes>) -> Body {
    let mut at = plan.at;
    let mut new: Vec<(u64, Bytes)> = Vec::with_capacity(pieces.len());
    let mut pieces = pieces;
    if let Errand::Complete(_, from) = &job.errand
        && plan.at == *from
        && plan.at > 0
    {
        at = 0; // the flight began with what was stored
    }
    for piece in pieces.drain(..) {
        let len = piece.len() as u64;
        new.push((at, piece));
        at += len;
    }
    let cache = &job.kept().cache;
    let object = &plan.object;
    let fits = |stored: &Object| vary::fits(stored.variant(), &job.key.rule, &job.head.fields);
    let before = cache.memory.peek(object.primary(), fits);
    let merged = match &before {
        Some(before) if is_same(before, object) => match before.body() {
            Body::Parts { parts, total } if *total == plan.total => range::merge(parts, &new),
            _ => range::merge(&[], &new),
        },
        _ => range::merge(&[], &new),
    };
    match plan.total {
        Some(total) if range::covers(&merged, &(0..total)) => {
            Body::copied(&merged.into_iter().map(|(_, piece)| piece).collect::<Vec<_>>())
        }
        total => Body::Parts { total, parts: merged.into() },
    }
}
