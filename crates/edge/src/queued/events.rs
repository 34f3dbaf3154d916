//! A queue's messages as a stream of events (WHATWG HTML §9.2), for as long as the client listens.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use queue::Queue;
use queue::follow::Events;
use queue::sse;
use upstream::client::Deadline;
use wire::{Length, ResponseHead};

use crate::headers;
use crate::request::{After, Request, Slot, Turn};
use crate::respond::Refusal;
use crate::stats::Why;

/// How often a silent stream shows that it lives.
const ALIVE: Duration = Duration::from_secs(15);

/// Sends what there is from `Last-Event-ID` on, and then what comes.
pub(super) async fn answer(queue: &Arc<Queue>, turn: &mut Turn<'_, '_, '_>) -> Result<After, Refusal> {
    let last = turn.request.head.fields.get_named(b"last-event-id");
    let last = last.filter(|id| !id.is_empty()).map(|id| String::from_utf8_lossy(id).into_owned());
    let mut events = queue
        .events(last.as_deref())
        .map_err(|unknown| Refusal::new(400, Some(Why::Malformed), unknown.to_string()))?;
    let answer: &mut ResponseHead = &mut turn.buffers.answer;
    answer.start(200);
    answer.fields.push(b"content-type", b"text/event-stream");
    answer.fields.push(b"cache-control", b"no-store");
    // Proxies that gather answers would hold events back.
    answer.fields.push(b"x-accel-buffering", b"no");
    turn.note.status = 200;
    turn.outgoing.close = true;
    let mut out = Vec::with_capacity(512);
    headers::answer(&mut out, answer, &turn.request.id, false);
    turn.outgoing.end_head(&mut out, Some(Length::Chunked));
    let mut alive = Deadline::new();
    let mut sent = turn.outgoing.send(&out, b"", |_| {}).await;
    while sent.is_ok() {
        alive.set(ALIVE);
        let Some(piece) = next(&mut events, &mut alive, turn.slot, turn.request).await else {
            // The end tells the client to come again, from its last event on.
            sent = turn.outgoing.finish(&wire::Fields::default()).await;
            break;
        };
        sent = turn.outgoing.send(b"", &piece, |_| {}).await;
    }
    turn.note.aborted = sent.is_err();
    Ok(if sent.is_ok() { After::Close } else { After::Abort })
}

/// The next events, or a sign of life; none if the stream or its client is at its end.
async fn next(
    events: &mut Events,
    alive: &mut Deadline,
    slot: &Slot<'_>,
    request: &Request<'_>,
) -> Option<Bytes> {
    let mut coming = pin!(events.next());
    poll_fn(|cx| {
        if let Poll::Ready(piece) = coming.as_mut().poll(cx) {
            return Poll::Ready(piece);
        }
        if alive.poll_over(cx).is_ready() {
            return Poll::Ready(Some(Bytes::from_static(sse::ALIVE.as_bytes())));
        }
        // All deadlines wake their tasks when the node begins to leave.
        let is_left = matches!(slot, Some(body) if body.inner.is_left(cx));
        if is_left || request.is_last() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}
