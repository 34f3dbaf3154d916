//! A fetched answer on its way to all who wait for it, and into the tiers.

use std::sync::Arc;

use bytes::Bytes;
use cache::control;
use cache::disk::Writer;
use cache::flight::{End, WINDOW};
use cache::freshness::Times;
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

/// Bytes up to which a body is kept in one piece.
const ONE_PIECE: usize = 64 * 1024;
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
    let (plan, mut keep, detail) = place(job, plan, length, detail).await;
    complete_head(job, &mut head, plan.as_ref());
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
    let arrived = Arrived {
        head,
        length: whole_length,
        stored: plan.as_ref().map(|plan| plan.object.clone()),
        detail,
        disk: match &keep {
            Keep::Disk(writer) => Some(writer.stored()),
            _ => None,
        },
        trail,
    };
    job.flight.land(Landed::Answer(Arc::new(arrived)), !matches!(keep, Keep::Nowhere));
    let ended = body(job, &mut exchange, held, plan.as_ref(), &mut keep).await;
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
            let part = match length {
                Some(length) => said.of_body(length).ok_or("content-range")?,
                None => {
                    expected = Some(said.range.end - said.range.start);
                    said
                }
            };
            (part.range.start, part.total, true)
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
    let whole = if plan.part { plan.total } else { length };
    if !plan.part {
        plan.total = length;
    }
    let too_large = !plan.part && whole.is_some_and(|whole| whole > largest);
    if too_large || length.is_some_and(|length| length > largest) {
        return (None, Keep::Nowhere, Some("too-large"));
    }
    if let Some(writer) = beside(job, &plan) {
        return (Some(plan), Keep::Disk(Box::new(writer)), None);
    }
    if let Err(why) = cache.retire(&plan.object).await {
        return (None, Keep::Nowhere, Some(why));
    }
    // Parts of something large would be put together in memory again and again.
    let for_disk = plan.part && cache.disk().is_some() && plan.total.is_none_or(|total| total > PARTS);
    if !for_disk && length.is_none_or(|length| cache.memory.room_for(length)) {
        return (Some(plan), Keep::Memory, None);
    }
    match cache.begin(&plan.object, plan.total) {
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

/// Passes the body on, piece by piece, and says how many bytes it had; none: nobody needs the rest.
async fn body(
    job: &Job,
    exchange: &mut Exchange<'_, Nobody>,
    held: Bytes,
    plan: Option<&Plan>,
    keep: &mut Keep,
) -> Result<Option<u64>, Failed> {
    let mut at = plan.map_or(0, |plan| plan.at);
    let (mut came, largest) = (0, job.largest());
    let mut next = (!held.is_empty()).then_some(held);
    loop {
        let piece = match next.take() {
            Some(piece) => piece,
            None => match exchange.piece().await? {
                Some(piece) => piece,
                None => return Ok(Some(came)),
            },
        };
        // What stays must not hold the large buffer that it came in.
        let piece = if matches!(keep, Keep::Memory) { Bytes::copy_from_slice(&piece) } else { piece };
        at += piece.len() as u64;
        came += piece.len() as u64;
        if came > largest && !matches!(keep, Keep::Nowhere) {
            *keep = Keep::Nowhere;
            job.close();
            job.flight.stop_keeping();
        }
        if let Keep::Disk(writer) = keep {
            if !writer.write(at - piece.len() as u64, piece.clone()).await {
                *keep = Keep::Nowhere;
                job.close();
                job.flight.stop_keeping();
            } else {
                job.flight.forget_before(came.saturating_sub(WINDOW));
            }
        }
        if matches!(keep, Keep::Memory)
            && !(job.hold(piece.len() as u64) && job.kept().cache.memory.room_for(came))
        {
            outgrow(job, plan, keep).await;
        }
        if !job.flight.push(piece).await {
            return Ok(None);
        }
        if matches!(keep, Keep::Disk(_)) && !job.flight.has_passengers() && is_far(exchange) {
            return Ok(None);
        }
    }
}

/// Is more to come than is worth fetching for nobody?
fn is_far(exchange: &Exchange<'_, Nobody>) -> bool {
    const UNASKED: u64 = 16 * 1024 * 1024;
    exchange.remaining().is_none_or(|left| left > UNASKED)
}

/// A body of unknown length has become too large for memory.
async fn outgrow(job: &Job, plan: Option<&Plan>, keep: &mut Keep) {
    *keep = Keep::Nowhere;
    if let (Some(plan), Some(pieces)) = (plan, job.flight.pieces())
        && let Some(mut writer) = job.kept().cache.begin(&plan.object, None)
    {
        let mut at = plan.at;
        let mut written = true;
        for piece in pieces {
            written = written && writer.write(at, piece.clone()).await;
            at += piece.len() as u64;
        }
        if written {
            *keep = Keep::Disk(Box::new(writer));
            // The pieces after these are forgotten as they are written; who is late can't follow.
        }
    }
    job.close();
    job.flight.stop_keeping();
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

fn join(mut pieces: Vec<Bytes>) -> Body {
    let total: usize = pieces.iter().map(Bytes::len).sum();
    match pieces.pop() {
        None => Body::Whole(Bytes::new()),
        Some(only) if pieces.is_empty() => Body::Whole(only),
        Some(last) => {
            pieces.push(last);
            if total <= ONE_PIECE {
                Body::Whole(pieces.concat().into_boxed_slice().into())
            } else {
                Body::Pieces(pieces.into())
            }
        }
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
