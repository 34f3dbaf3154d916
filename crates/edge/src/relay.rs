//! An endpoint's answer on its way to the client.

use std::future::Future;
use std::task::Poll;

use bytes::Bytes;
use upstream::client::{Exchange, Failed};
use upstream::{FailKind, Outcome, Permit, clock};
use wire::{Length, Method, ResponseHead, Version, write};

use crate::headers;
use crate::live::LiveRoute;
use crate::outgoing::Outgoing;
use crate::request::{After, Note, Request, Slot, Turn, Upload};
use crate::respond::Refusal;
use crate::tries::{Answered, kind};
use crate::tunnel::Tunnel;

/// Up to so many bytes of body are copied behind the head: cheaper than a vectored write.
pub(crate) const COPIED: usize = 4 * 1024;

/// What is done to an answer, and what it holds while it lasts.
pub(crate) struct Relay<'a> {
    pub(crate) route: &'a LiveRoute,
    pub(crate) set_cookie: Option<String>,
    pub(crate) permit: Permit,
    /// Memory for the head as text.
    pub(crate) text: Vec<u8>,
}

/// How it went, and the memory that is given back.
pub(crate) struct Passed {
    /// An error: nothing of the answer reached the client, so it can still be told why.
    pub(crate) after: Result<After, Refusal>,
    pub(crate) head: ResponseHead,
    pub(crate) text: Vec<u8>,
}

/// Whose doing it was that an answer didn't get across.
enum Stopped {
    Endpoint(Failed),
    Client,
}

/// Passes a final answer on, whatever its length.
pub(crate) async fn relay<'a>(
    relay: Relay<'_>,
    answered: Box<Answered<'_, Upload<'a>>>,
    turn: &mut Turn<'_, 'a, '_>,
) -> Passed {
    let Answered { mut exchange, mut head, held, lease, latency_ns } = *answered;
    headers::apply(&relay.route.plan.response_headers, &mut head.fields);
    let Turn { request, slot, outgoing, note, pass: cached, .. } = turn;
    if let (Some(cached), Some(rules)) = (&mut *cached, &relay.route.plan.cache) {
        cached.answered(&request.thread.shared.kept, rules, request, &mut head).await;
    }
    if let Some(cookie) = &relay.set_cookie {
        head.fields.push(b"set-cookie", cookie.as_bytes());
    }
    if head.status == 101 {
        let answered = Answered { exchange, head, held, lease, latency_ns };
        return tunnel(relay.permit, request, answered, outgoing, note).await;
    }
    let mut out = relay.text;
    out.clear();
    // What is not sent by now the endpoint doesn't want; the client can't be asked to stop.
    outgoing.close |= !exchange.is_sent() || request.is_last();
    begin(&mut out, &head, request, &exchange, &held, outgoing);
    let kept = &request.thread.shared.kept;
    let see = |piece: &[u8], last: bool| {
        if let Some(cached) = cached.as_mut() {
            cached.piece(piece, last, kept);
        }
    };
    let passed = pass(&mut out, &mut exchange, &held, slot, outgoing, see).await;
    let now = clock::now();
    note.ended = now;
    let key = lease.endpoint().key();
    let outcome = match &passed {
        Err(Stopped::Endpoint(failed)) => kind(failed).map(Outcome::Failed),
        _ => Some(Outcome::Answered { status: head.status, latency_ns }),
    };
    if let Some(outcome) = outcome {
        lease.finish(outcome, now);
    }
    note.aborted = passed.is_err();
    let (after, body) = match passed {
        Ok(()) => (Ok(After::Keep), exchange.release(key, now)),
        Err(Stopped::Endpoint(failed)) => {
            note.trail.error = Some(failed.to_string());
            let after = if outgoing.begun { Ok(After::Abort) } else { Err(failed.into()) };
            (after, exchange.abandon())
        }
        Err(Stopped::Client) => (Ok(After::Abort), exchange.abandon()),
    };
    if body.is_some() {
        **slot = body;
    }
    Passed { after, head, text: out }
}

/// Writes the head that the client gets.
fn begin(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    request: &Request<'_>,
    exchange: &Exchange<'_, Upload<'_>>,
    held: &[u8],
    outgoing: &mut Outgoing<'_>,
) {
    let about_another = outgoing.method == Method::Head || head.status == 304;
    headers::answer(out, head, &request.id, about_another);
    let length = match exchange.remaining() {
        _ if about_another || head.status == 204 => None,
        Some(left) => Some(Length::Exact(left + held.len() as u64)),
        None => Some(Length::Chunked),
    };
    outgoing.end_head(out, length);
}

/// Sends `out` and the body behind it.
async fn pass(
    out: &mut Vec<u8>,
    exchange: &mut Exchange<'_, Upload<'_>>,
    held: &[u8],
    slot: &Slot<'_>,
    outgoing: &mut Outgoing<'_>,
    mut see: impl FnMut(&[u8], bool),
) -> Result<(), Stopped> {
    // What is stored of it is stored before the client has seen its end.
    see(held, exchange.remaining() == Some(0));
    if held.len() <= COPIED {
        out.extend_from_slice(held);
        outgoing.body_bytes += held.len() as u64;
        // What has come with the head leaves with it.
        let first = match std::future::poll_fn(|cx| Poll::Ready(exchange.poll_piece(cx))).await {
            Poll::Ready(piece) => piece.map_err(Stopped::Endpoint)?,
            Poll::Pending => None,
        };
        see(first.as_deref().unwrap_or_default(), exchange.remaining() == Some(0));
        send(out, first.as_deref().unwrap_or_default(), exchange, outgoing).await?;
    } else {
        send(out, held, exchange, outgoing).await?;
    }
    while let Some(piece) = next(exchange, slot).await? {
        see(&piece, exchange.remaining() == Some(0));
        send(b"", &piece, exchange, outgoing).await?;
    }
    see(b"", true);
    outgoing.finish(exchange.trailers()).await.map_err(|_| Stopped::Client)
}

/// The next piece, unless the client leaves while it is waited for: a stream of events may be silent
/// for long, and nobody would listen.
async fn next(exchange: &mut Exchange<'_, Upload<'_>>, slot: &Slot<'_>) -> Result<Option<Bytes>, Stopped> {
    let mut piece = std::pin::pin!(exchange.piece());
    std::future::poll_fn(|cx| match (piece.as_mut().poll(cx), slot) {
        (Poll::Ready(piece), _) => Poll::Ready(piece.map_err(Stopped::Endpoint)),
        (Poll::Pending, Some(body)) if body.inner.is_left(cx) => Poll::Ready(Err(Stopped::Client)),
        (Poll::Pending, _) => Poll::Pending,
    })
    .await
}

async fn send(
    head: &[u8],
    piece: &[u8],
    exchange: &mut Exchange<'_, Upload<'_>>,
    outgoing: &mut Outgoing<'_>,
) -> Result<(), Stopped> {
    let mut failed = None;
    let meanwhile = |cx: &mut std::task::Context<'_>| failed = exchange.poll_upload(cx).err();
    let sent = outgoing.send(head, piece, meanwhile).await;
    match failed {
        Some(failed) => Err(Stopped::Endpoint(failed)),
        None => sent.map_err(|_| Stopped::Client),
    }
}

/// Answers 101 and hands the endpoint's connection over (RFC 9110 §7.8).
async fn tunnel(
    permit: Permit,
    request: &Request<'_>,
    answered: Answered<'_, Upload<'_>>,
    outgoing: &mut Outgoing<'_>,
    note: &mut Note,
) -> Passed {
    let Answered { exchange, head, lease, latency_ns, .. } = answered;
    let asked = headers::upgrade(request.head, request.length);
    let agreed = head.fields.get(wire::Known::Upgrade);
    let (Some(_), Some(protocol), Version::Http11) = (asked, agreed, outgoing.version) else {
        // Nobody asked for it: what follows on that connection would be read as something else.
        lease.finish(Outcome::Failed(FailKind::BadAnswer), clock::now());
        let refusal = Refusal::new(502, None, "the service changed to a protocol that nobody asked for");
        return Passed { after: Err(refusal), head, text: Vec::new() };
    };
    let mut out = Vec::with_capacity(512);
    headers::answer(&mut out, &head, &request.id, false);
    write::field(&mut out, b"Connection", b"Upgrade");
    write::field(&mut out, b"Upgrade", protocol);
    out.extend_from_slice(b"\r\n");
    outgoing.begun = true;
    if outgoing.raw(&out).await.is_err() {
        note.aborted = true;
        return Passed { after: Ok(After::Abort), head, text: Vec::new() };
    }
    lease.upgraded(101, latency_ns, clock::now());
    let (stream, rest) = exchange.into_tunnel();
    Passed {
        after: Ok(After::Tunnel(Box::new(Tunnel { stream, rest, _lease: lease, _permit: permit }))),
        head,
        text: Vec::new(),
    }
}
