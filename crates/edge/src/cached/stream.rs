//! An answer on its way to one of the clients that wait for it, while it still comes in.

use std::task::Poll;

use cache::conditional::{self, Held, Outcome};
use cache::flight::{End, Got, Seat};
use cache::reuse::{self, Verdict};
use cache::status::CacheStatus;
use cache::{freshness, vary};
use wire::{Fields, Known, Length, Method, write};

use super::{Arrived, Landed, Visit};
use crate::headers;
use crate::outgoing::Outgoing;
use crate::request::{After, Request, Turn};
use crate::respond::Refusal;
use crate::tries::while_there;

/// May a client that only waited along have this answer too? What may not be stored was meant for the
/// one who asked, and what is stale at once must be asked for by each (RFC 9111 §4).
pub(super) fn suits(arrived: &Arrived, visit: &Visit<'_>, request: &Request<'_>) -> bool {
    arrived.stored.as_ref().is_ok_and(|object| {
        vary::fits(object.variant(), &visit.key.rule, &request.head.fields)
            && reuse::decide(&object.facts(), false, &visit.control, visit.now()) == Verdict::Fresh
    })
}

/// Sends it.
pub(super) async fn answer(
    arrived: &Arrived,
    mut seat: Seat<Landed>,
    mut told: CacheStatus<'static>,
    visit: &Visit<'_>,
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    let head = &arrived.head;
    match &arrived.stored {
        Ok(object) => {
            told.stored = true;
            told.ttl = Some(freshness::ttl(&object.facts(), visit.now()));
        }
        Err(why) => told.detail = Some(why.detail()),
    }
    turn.note.trail = arrived.trail.clone();
    turn.note.status = head.status;
    turn.outgoing.close |= turn.request.is_last();
    let mut out = std::mem::take(&mut turn.buffers.out);
    out.clear();
    // The client's conditions were not passed on, so that what came could be stored: they are met here.
    if holds_already(arrived, visit, turn.request) {
        turn.note.status = 304;
        write::status_line(&mut out, 304, write::reason(304).as_bytes());
        head.fields.write_to(&mut out, |field| {
            field.known.is_hop_by_hop() || !super::serve::goes_with_304(field.name)
        });
        told.line(&mut out);
        headers::own(&mut out, &turn.request.id);
        turn.note.cache = Some(told);
        turn.outgoing.end_head(&mut out, None);
        let sent = turn.outgoing.send(&out, b"", |_| {}).await.is_ok();
        return Ok(super::serve::finish(out, sent, turn));
    }
    let about_another = turn.outgoing.method == Method::Head || head.status == 304;
    headers::answer(&mut out, head, &turn.request.id, about_another);
    told.line(&mut out);
    turn.note.cache = Some(told);
    let length = match arrived.length {
        _ if about_another || head.status == 204 => None,
        Some(length) => Some(Length::Exact(length)),
        None => Some(Length::Chunked),
    };
    turn.outgoing.end_head(&mut out, length);
    let passed = pass(&mut out, arrived, &mut seat, turn).await;
    Ok(super::serve::finish(out, passed, turn))
}

fn holds_already(arrived: &Arrived, visit: &Visit<'_>, request: &Request<'_>) -> bool {
    let (fields, head) = (&request.head.fields, &arrived.head);
    let held = Held {
        status: head.status,
        etag: head.fields.get(Known::Etag),
        last_modified: head.fields.get(Known::LastModified),
        date: head.fields.get(Known::Date),
        received: visit.now(),
    };
    head.status == 200
        && conditional::is_conditional(fields)
        && conditional::evaluate(fields, &held, visit.now()) == Outcome::NotModified
}

/// Passes the body on; false: the client is gone, or the answer broke off.
async fn pass(
    out: &mut Vec<u8>,
    arrived: &Arrived,
    seat: &mut Seat<Landed>,
    turn: &mut Turn<'_, '_, '_>,
) -> bool {
    // What has come with the head leaves with it.
    let mut first = {
        let mut piece = std::pin::pin!(seat.piece());
        std::future::poll_fn(|cx| {
            Poll::Ready(match piece.as_mut().poll(cx) {
                Poll::Ready(got) => Some(got),
                Poll::Pending => None,
            })
        })
        .await
    };
    if first.is_none() {
        if turn.outgoing.send(out, b"", |_| {}).await.is_err() {
            return false;
        }
        out.clear();
    }
    loop {
        let got = match first.take() {
            Some(got) => got,
            None => match while_there(turn.slot, seat.piece()).await {
                Ok(got) => got,
                Err(_) => return false,
            },
        };
        match got {
            Got::Piece(piece) => {
                if turn.outgoing.send(out, &piece, |_| {}).await.is_err() {
                    return false;
                }
            }
            Got::Gone => {
                if !catch_up(out, arrived, seat, turn.outgoing).await {
                    return false;
                }
            }
            Got::End(End::Whole(trailers)) => return finish(out, &trailers, turn.outgoing).await,
            Got::End(End::Broken) => return false,
        }
        out.clear();
    }
}

async fn finish(out: &[u8], trailers: &Fields, outgoing: &mut Outgoing<'_>) -> bool {
    (out.is_empty() || outgoing.send(out, b"", |_| {}).await.is_ok())
        && outgoing.finish(trailers).await.is_ok()
}

/// Reads from disk what the flight no longer holds.
async fn catch_up(
    out: &[u8],
    arrived: &Arrived,
    seat: &mut Seat<Landed>,
    outgoing: &mut Outgoing<'_>,
) -> bool {
    let Some((stored, first)) = arrived.disk.get() else { return false };
    match stored.read(first + seat.at(), super::serve::READ).await {
        Ok(piece) if !piece.is_empty() => {
            seat.go_to(seat.at() + piece.len() as u64);
            outgoing.send(out, &piece, |_| {}).await.is_ok()
        }
        _ => false,
    }
}
