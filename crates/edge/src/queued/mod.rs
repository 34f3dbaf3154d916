//! Requests that may wait: kept in a queue and answered 202, delivered later, followed as events.

pub mod deliver;

mod accept;
mod events;
mod message;
mod outside;
mod status;

use std::sync::Arc;
use std::time::Duration;

use queue::Queue;
use wire::{Known, Method, RequestHead, token};

use crate::request::{After, Request, Turn};
use crate::respond::Refusal;

pub(crate) use status::{PREFIX, answer as message_status};

/// Answers a request to a route with a queue and no service.
///
/// # Errors
/// [`Refusal`]: nothing of it is kept.
pub(crate) async fn answer(name: &str, turn: &mut Turn<'_, '_, '_>) -> Result<After, Refusal> {
    let queue = find(turn.request, name).await?;
    if turn.request.head.method == Method::Get && wants_events(turn.request.head) {
        return events::answer(&queue, turn).await;
    }
    accept::answer(&queue, false, turn).await
}

/// Keeps a request to a route with a queue beside its service.
///
/// # Errors
/// [`Refusal`]: nothing of it is kept.
pub(crate) async fn later(name: &str, turn: &mut Turn<'_, '_, '_>) -> Result<After, Refusal> {
    let queue = find(turn.request, name).await?;
    accept::answer(&queue, true, turn).await
}

/// Would the client rather not wait for the service's answer (RFC 7240 §4.1)?
pub fn may_wait(head: &RequestHead) -> bool {
    let mut all = head.fields.iter().filter(|f| f.name.eq_ignore_ascii_case(b"prefer"));
    all.any(|f| token::list(f.value).any(|one| one.eq_ignore_ascii_case(b"respond-async")))
}

/// Would the client rather follow the messages, as server-sent events?
pub fn wants_events(head: &RequestHead) -> bool {
    let is_events = |one: &[u8]| {
        let kind = one.split(|&b| b == b';').next().unwrap_or_default();
        token::trim(kind).eq_ignore_ascii_case(b"text/event-stream")
    };
    head.fields.all(Known::Accept).flat_map(token::list).any(is_events)
}

/// How long a request waits for a log that another process still has.
const OPENING: Duration = Duration::from_secs(25);

async fn find(request: &Request<'_>, name: &str) -> Result<Arc<Queue>, Refusal> {
    let queues = &request.thread.shared.queues;
    let queue = match queues.find(name) {
        Some(queue) => Some(queue),
        None => queues.wait_for(name, OPENING).await,
    };
    queue.ok_or_else(|| Refusal::again(503, "the queue isn't open yet"))
}
