//! A fetched answer on its way to all who wait for it, and into the tiers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cache::control;
use cache::disk::Writer;
use cache::flight::{End, WINDOW};
use cache::freshness::Times;
use cache::memory::PIECE;
use cache::object::New;
use cache::{Body, Object, conditional, range, storing, tags, update, vary};
use upstream::client::{Exchange, Failed};
use upstream::{Outcome, clock};
use wire::{Known, ResponseHead};

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
    let (plan, detail) = match plan {
        Ok(plan) => (Some(plan), None),
        Err(why) => (None, Some(why)),
    };
    let (plan, keep, detail) = place(job, plan, length, detail).await;
    complete_head(job, &mut head, plan.as_ref());
    if matches!(job.errand, Errand::Complete(..)) && matches!(head.status, 206 | 416) {
        // The rest doesn't belong to what is stored, and nobody asked for a part: all is fetched anew.
        lease.finish(Outcome::Answered { status, latency_ns }, clock::now());
        job.kept().cache.forget(&job.key.primary).await;
        job.close();
        return job.flight.land(Landed::Again, true);
    }
    let whole_length = match (&job.errand, &plan) {
        (Errand::Complete(..), Some(plan)) if plan.at > 0 && head.status == 200 => plan.total,
        _ => length,
    };
    if plan.is_none() {
        job.close();
        if job.open {
            job.kept().cache.pass_for_a_while(&job.key.primary, times.received_ms / 1000);
        }
    }
    let arrived = Arc::new(Arrived {
        head,
        length: whole_length,
        stored: plan.as_ref().map(|plan| plan.object.clone()),
        detail,
        disk: OnceLock::new(),
        trail,
    });
    let mut filling = Filling::new(job, plan.as_ref(), keep, arrived.clone());
    filling.begin().await;
    job.flight.land(Landed::Answer(arrived), !matches!(filling.keep, Keep::Nowhere));
    let ended = filling.run(&mut exchange, held).await;
    let keep = filling.keep;
    let (key, now) = (lease.endpoint().key(), clock::now());
    match ended {
        Ok(Some(came)) => {
            lease.finish(Outcome::Answered { status, latency_ns }, now);
            let is_it = |plan: &Plan| plan.expected.is_none_or(|expected| expected == came);
            if let Some(plan) = plan.filter(is_it) {
                store(job, plan, keep).await;
            }
            job.close();
            job.flight.end(End::Whole(Arc::new(exchange.trailers().clone())));
            exchange.release(key, now);
        }
        Ok(None) => lease.finish(Outcome::Answered { status, latency_ns }, now),
        Err(failed) => {
            if let Some(kind) = tries::kind(&failed) {
                lease.finish(Outcome::Failed(kind), now);
            }
        }
    }
}

/// What is to be stored of an answer, or why nothing.
fn plan(job: &Job, head: &ResponseHead, length: Option<u64>, times: Times) -> Result<Plan, &'static str> {
    if job.flight.is_doomed() {
        return Err("purged");
    }
    let facts = storing::judge(&job.head, head, job.rules(), times).map_err(|why| why.detail())?;
    let mut variant = Vec::new();
    vary::variant(&mut variant, &job.key.rule, &head.fields, &job.head.fields).map_err(|_| "vary-star")?;
    let mut expected = None;
    let (at, total, part) = match head.status {
        206 => {
            let said = head.fields.get(Known::ContentRange).and_then(range::content_range);
            let said = said.ok_or("content-range")?;
            // What doesn't hold together can't be put together.
            match length {
                Some(length) if !said.is_of(length) => return Err("content-range"),
                Some(_) => {}
                None => expected = Some(said.range.end - said.range.start),
            }
            (said.range.start, said.total, true)
        }
        _ => (0, None, false),
    };
    let control = control::of_answer(&head.fields);
    let mut lines = Vec::new();
    update::stored_lines(&mut lines, head, times.received(), storing::unstored_fields(&control));
    let tags = tags::of(&head.fields).map_err(|_| "tags")?;
    let object = Object::new(New {
        facts,
        primary: &job.key.primary,
        variant: &variant,
        lines: &lines,
        tags: &tags,
        body: Body::Whole(Bytes::new()),
    });
    Ok(Plan { object, at, total, part, expected })
}

/// Finds room for what is to be stored.
async fn place(
    job: &Job,
    plan: Option<Plan>,
    length: Option<u64>,
    detail: Option<&'static str>,
) -> (Option<Plan>, Keep, Option<&'static str>) {
    let Some(mut plan) = plan else { return (None, Keep::Nowhere, detail) };
    let cache = &job.kept().cache;
    let largest = job.largest();
    if !plan.part {
        plan.total = length;
    }
    if length.is_some_and(|length| length > largest) {
        return (None, Keep::Nowhere, Some("too-large"));
    }
    if let Some(writer) = beside(job, &plan) {
        return (Some(plan), Keep::Disk(Box::new(writer)), None);
    }
    if let Err(why) = cache.retire(&plan.object).await {
        return (None, Keep::Nowhere, Some(why));
    }
    // Parts of something large would be put together in memory again and again.
    let for_disk = plan.part && cache.disk().is_some() && plan.total.is_some_and(|total| total > PARTS);
    if !for_disk && length.is_none_or(|length| cache.memory.room_for(length)) {
        return (Some(plan), Keep::Memory, None);
    }
    // A part without its whole's length would pass for the whole on disk.
    let may_begin = !plan.part || plan.total.is_some();
    match may_begin.then(|| cache.begin(&plan.object, plan.total)).flatten() {
        Some(writer) => (Some(plan), Keep::Disk(Box::new(writer)), None),
        None => (None, Keep::Nowhere, Some("too-large")),
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

/// The client gets a whole answer where the rest of a stored one came.
fn complete_head(job: &Job, head: &mut ResponseHead, plan: Option<&Plan>) {
    let (Errand::Complete(stored, at), Some(plan)) = (&job.errand, plan) else { return };
    let same = stored.field("etag") == head.fields.get(Known::Etag);
    if head.status != 206 || plan.at != *at || !same {
        return;
    }
    head.fields.remove(Known::ContentRange);
    let mut whole = ResponseHead::default();
    whole.start(200);
    for field in head.fields.iter() {
        whole.fields.push(field.name, field.value);
    }
    *head = whole;
    if let Body::Parts { parts, .. } = stored.body() {
        for (_, piece) in parts.iter() {
            job.flight.preload(piece.clone());
        }
    }
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
                self.keep = Keep::Nowhere;
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
        // What stays must not hold the large buffer that it came in.
        let piece = if matches!(self.keep, Keep::Memory) { Bytes::copy_from_slice(&piece) } else { piece };
        self.at += piece.len() as u64;
        self.came += piece.len() as u64;
        if self.came > job.largest() {
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
                if matches!(self.keep, Keep::Nowhere) {
                    self.job.flight.stop_keeping();
                }
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

/// Stores what has come whole.
async fn store(job: &Job, plan: Plan, keep: Keep) {
    let cache = &job.kept().cache;
    if job.flight.is_doomed() {
        return;
    }
    match keep {
        Keep::Nowhere => {}
        Keep::Disk(writer) => cache.finish(*writer, &plan.object).await,
        Keep::Memory => {
            let Some(pieces) = job.flight.pieces() else { return };
            let object = &plan.object;
            let body = if plan.part { parts(job, &plan, pieces) } else { join(pieces) };
            cache.keep(&Object::new(New {
                facts: object.facts(),
                primary: object.primary(),
                variant: object.variant(),
                lines: &object.lines().concat(),
                tags: object.tags(),
                body,
            }));
        }
    }
}

/// The pieces as they are kept: in one if that is not large, else cut anew into equal ones, so that the
/// memory of what goes later fits what comes. They are copied: what was shared with those who read along
/// carries a counter, 32 bytes more for each object.
fn join(pieces: Vec<Bytes>) -> Body {
    let total: usize = pieces.iter().map(Bytes::len).sum();
    let mut equal = Vec::with_capacity(total / PIECE + 1);
    let mut left = total;
    let mut next: Vec<u8> = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            if next.capacity() == 0 {
                next.reserve_exact(left.min(PIECE));
            }
            let part = piece.split_to(piece.len().min(left.min(PIECE) - next.len()));
            next.extend_from_slice(&part);
            if next.len() == left.min(PIECE) {
                left -= next.len();
                equal.push(Bytes::from(std::mem::take(&mut next).into_boxed_slice()));
            }
        }
    }
    match equal.len() {
        0 => Body::Whole(Bytes::new()),
        1 => Body::Whole(equal.pop().unwrap_or_default()),
        _ => Body::Pieces(equal.into()),
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
            join(merged.into_iter().map(|(_, piece)| piece).collect())
        }
        total => Body::Parts { total, parts: merged.into() },
    }
}
