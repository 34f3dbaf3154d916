//! Deliveries: each data thread takes what is due, sends it as it would a client's request, and tells
//! the queue what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use config::plan::Receiver;
use queue::backoff;
use queue::state::Outcome;
use queue::{Message, Task};
use tokio::time::{Instant, sleep, timeout_at};
use upstream::clock::{self, wall_ms};
use wire::{Known, Length, Method, ResponseHead, write};

use super::message::Stored;
use super::outside::World;
use crate::request::Trail;
use crate::respond::Refusal;
use crate::shared::Thread;
use crate::tries::{self, Answered, Asking, Interim, Terms};

/// Of an answer's body that is kept for operators.
pub(super) const EXCERPT: usize = 1024;

/// Of an answer's body that is read, so that its connection can be kept.
const READ: usize = 64 * 1024;

/// The longest sleep: what is due may have changed with the wall clock.
const LONGEST: Duration = Duration::from_secs(1);

/// What came back.
pub(super) struct Came {
    /// 0: no answer.
    pub(super) status: u16,
    /// Milliseconds that it asked us to wait.
    pub(super) retry_after: Option<u64>,
    /// The beginning of its body, or what went wrong.
    pub(super) text: Vec<u8>,
    /// It would be the same another time.
    pub(super) hopeless: bool,
}

impl Came {
    pub(super) fn failed(why: &dyn fmt::Display) -> Came {
        Came { status: 0, retry_after: None, text: why.to_string().into_bytes(), hopeless: false }
    }

    pub(super) fn hopeless(why: &dyn fmt::Display) -> Came {
        Came { hopeless: true, ..Came::failed(why) }
    }

    pub(super) fn late() -> Came {
        Came::failed(&"no whole answer in time")
    }
}

/// Takes and delivers as long as the thread lives; `index` tells threads apart.
pub async fn run(thread: Arc<Thread>, index: usize) {
    let outside = Arc::new(World::new(&thread.shared));
    let queues = thread.shared.queues.clone();
    loop {
        let next = loop {
            match queues.take(index, wall_ms()) {
                Ok(task) => {
                    let (thread, outside) = (thread.clone(), outside.clone());
                    tokio::spawn(async move { deliver(&thread, &outside, task).await });
                }
                Err(next) => break next,
            }
        };
        outside.sweep();
        let wait =
            next.map_or(LONGEST, |at| Duration::from_millis(at.saturating_sub(wall_ms())).min(LONGEST));
        tokio::select! {
            () = queues.woken(index) => {}
            () = sleep(wait) => {}
        }
    }
}

async fn deliver(thread: &Arc<Thread>, outside: &World, task: Task) {
    let (began, started) = (wall_ms(), Instant::now());
    let message = match task.message().await {
        Ok(message) => message,
        Err(error) => return task.unreadable(&error),
    };
    let came = send(thread, outside, &task, &message, started + task.timeout()).await;
    let took = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let Came { status, retry_after, hopeless, .. } = came;
    let outcome = Outcome { status, retry_after, hopeless, began, took };
    task.settle(&message, &outcome, &came.text);
}

async fn send(
    thread: &Arc<Thread>,
    outside: &World,
    task: &Task,
    message: &Message,
    deadline: Instant,
) -> Came {
    let signatures = match timeout_at(deadline, super::message::signatures(task, message)).await {
        Ok(Ok(signatures)) => signatures,
        Ok(Err(error)) => return Came::failed(&error),
        Err(_) => return Came::late(),
    };
    match task.receiver() {
        Some(Receiver::Service(name)) => {
            let sent = to_service(thread, task, message, &signatures, &name);
            timeout_at(deadline, sent).await.unwrap_or_else(|_| Came::late())
        }
        // It heeds the deadline itself, since a status that came in time counts.
        Some(Receiver::Url(url)) => {
            super::outside::send(outside, task, message, &signatures, &url, deadline).await
        }
        None => Came::failed(&"the receiver isn't in the configuration any more"),
    }
}

/// Interim answers mean nothing to a queue.
struct Nobody;

impl Interim for Nobody {
    async fn pass(&mut self, _head: &[u8]) {}

    fn takes(&self) -> bool {
        false
    }
}

async fn to_service(
    thread: &Arc<Thread>,
    task: &Task,
    message: &Message,
    signatures: &[u8],
    name: &str,
) -> Came {
    let live = thread.live();
    let Some(party) = live.receiver(name) else {
        return Came::failed(&"the service isn't in the configuration any more");
    };
    party.service.count_request();
    let permit = match party.service.try_admit() {
        Some(permit) => Ok(permit),
        None => party.service.admit().await,
    };
    let Ok(_permit) = permit else { return Came::failed(&"the service has all the requests it can take") };
    let content = message.content();
    let mut out = Vec::with_capacity(content.fields.len() + 512);
    out.extend_from_slice(content.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(content.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(content.fields);
    out.extend_from_slice(signatures);
    let body = Stored::new(task, message);
    let bytes = body.bytes();
    if bytes > 0 || !matches!(content.method, "GET" | "HEAD" | "DELETE" | "OPTIONS") {
        write::length(&mut out, Length::Exact(bytes));
    }
    out.extend_from_slice(b"\r\n");
    let method = Method::of(content.method.as_bytes());
    let terms = Terms {
        party,
        shard: &thread.shard,
        out: &out,
        method,
        started: clock::now(),
        has_body: bytes > 0,
        idempotent: method.is_idempotent(),
        upgrade: false,
        hold: false,
        ask: Asking { hash: content.order.unwrap_or(content.number), sticky: None },
    };
    let (mut answer, mut slot, mut trail) = (ResponseHead::default(), Some(body), Trail::default());
    match tries::tries(&terms, &mut answer, &mut slot, &mut Nobody, &mut trail).await {
        Ok(answered) => read(*answered).await,
        Err(refusal) => failed(&refusal, &trail),
    }
}

fn failed(refusal: &Refusal, trail: &Trail) -> Came {
    match &trail.error {
        Some(error) => Came::failed(&format!("{}: {error}", refusal.detail)),
        None => Came::failed(&refusal.detail),
    }
}

/// Reads an answer: what counts is its status, that it is whole, and how it begins.
async fn read(answered: Answered<'_, Stored>) -> Came {
    let Answered { mut exchange, head, lease, latency_ns, .. } = answered;
    let mut text = Vec::new();
    let mut read = 0;
    let whole = loop {
        match exchange.piece().await {
            Ok(Some(piece)) => {
                text.extend_from_slice(&piece[..piece.len().min(EXCERPT - text.len())]);
                read += piece.len();
                if read > READ {
                    break Ok(false);
                }
            }
            Ok(None) => break Ok(true),
            Err(failed) => break Err(failed),
        }
    };
    let now = clock::now();
    match whole {
        Ok(whole) => {
            let key = lease.endpoint().key();
            lease.finish(upstream::Outcome::Answered { status: head.status, latency_ns }, now);
            if whole {
                exchange.release(key, now);
            }
            let retry_after = head.fields.get(Known::RetryAfter);
            let retry_after = retry_after.and_then(|value| backoff::retry_after(value, wall_ms()));
            Came { status: head.status, retry_after, text, hopeless: false }
        }
        Err(failed) => {
            if let Some(kind) = tries::kind(&failed) {
                lease.finish(upstream::Outcome::Failed(kind), now);
            }
            Came::failed(&failed)
        }
    }
}
