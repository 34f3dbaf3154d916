//! An endpoint's answer on its way to the client.

use std::task::Poll;

use bytes::Bytes;
use config::plan::HeaderRules;
use upstream::client::{Exchange, Failed};
use upstream::{Outcome, Permit, clock};
use wire::{Length, Method, ResponseHead, Version, write};

use crate::forward::{Answered, kind};
use crate::headers;
use crate::outgoing::Outgoing;
use crate::request::{After, Note, Request, Slot, Upload};
use crate::tunnel::Tunnel;

/// Up to so many bytes of body are copied behind the head: cheaper than a vectored write.
const COPIED: usize = 4 * 1024;

/// What is done to an answer, and what it holds while it lasts.
pub(crate) struct Relay<'a> {
    pub(crate) rules: &'a HeaderRules,
    pub(crate) set_cookie: Option<String>,
    pub(crate) permit: Permit,
    /// Memory for the head as text.
    pub(crate) text: Vec<u8>,
}

/// How it went, and the memory that is given back.
pub(crate) struct Passed {
    pub(crate) after: After,
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
    request: &Request<'_>,
    answered: Box<Answered<'_, Upload<'a>>>,
    slot: &mut Slot<'a>,
    outgoing: &mut Outgoing<'_>,
    note: &mut Note,
) -> Passed {
    let Answered { mut exchange, mut head, held, lease, latency_ns } = *answered;
    headers::apply(relay.rules, &mut head.fields);
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
    let passed = pass(&mut out, &mut exchange, held, outgoing).await;
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
        Ok(()) => (After::Keep, exchange.release(key, now)),
        Err(_) => (After::Abort, exchange.abandon()),
    };
    if body.is_some() {
        *slot = body;
    }
    Passed { after, head, text: out }
}

/// Writes the head that the client gets.
fn begin(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    request: &Request<'_>,
    exchange: &Exchange<'_, Upload<'_>>,
    held: &[Bytes],
    outgoing: &mut Outgoing<'_>,
) {
    let about_another = outgoing.method == Method::Head || head.status == 304;
    headers::answer(out, head, &request.id, about_another);
    let length = match exchange.remaining() {
        _ if about_another || head.status == 204 => None,
        Some(left) => Some(Length::Exact(left + held.iter().map(|p| p.len() as u64).sum::<u64>())),
        None => Some(Length::Chunked),
    };
    outgoing.end_head(out, length);
}

/// Sends `out` and the body behind it.
async fn pass(
    out: &mut Vec<u8>,
    exchange: &mut Exchange<'_, Upload<'_>>,
    held: Vec<Bytes>,
    outgoing: &mut Outgoing<'_>,
) -> Result<(), Stopped> {
    let size: usize = held.iter().map(Bytes::len).sum();
    if size <= COPIED {
        for piece in &held {
            out.extend_from_slice(piece);
        }
        outgoing.body_bytes += size as u64;
        // What has come with the head leaves with it.
        let first = match std::future::poll_fn(|cx| Poll::Ready(exchange.poll_piece(cx))).await {
            Poll::Ready(piece) => piece.map_err(Stopped::Endpoint)?,
            Poll::Pending => None,
        };
        send(out, first.as_deref().unwrap_or_default(), exchange, outgoing).await?;
    } else {
        let mut head = out.as_slice();
        for piece in &held {
            send(head, piece, exchange, outgoing).await?;
            head = b"";
        }
    }
    while let Some(piece) = exchange.piece().await.map_err(Stopped::Endpoint)? {
        send(b"", &piece, exchange, outgoing).await?;
    }
    outgoing.finish(exchange.trailers()).await.map_err(|_| Stopped::Client)
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
    let Answered { exchange, head, lease, .. } = answered;
    let asked = headers::upgrade(request.head, request.length);
    let agreed = head.fields.get(wire::Known::Upgrade);
    let (Some(_), Some(protocol), Version::Http11) = (asked, agreed, outgoing.version) else {
        // Nobody asked for it: what follows on that connection would be read as something else.
        note.aborted = true;
        return Passed { after: After::Abort, head, text: Vec::new() };
    };
    let mut out = Vec::with_capacity(512);
    headers::answer(&mut out, &head, &request.id, false);
    write::field(&mut out, b"Connection", b"Upgrade");
    write::field(&mut out, b"Upgrade", protocol);
    out.extend_from_slice(b"\r\n");
    outgoing.begun = true;
    if outgoing.raw(&out).await.is_err() {
        note.aborted = true;
        return Passed { after: After::Abort, head, text: Vec::new() };
    }
    let (stream, rest) = exchange.into_tunnel();
    Passed {
        after: After::Tunnel(Box::new(Tunnel { stream, rest, _lease: lease, _permit: permit })),
        head,
        text: Vec::new(),
    }
}
