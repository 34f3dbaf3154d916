//! Followers of a queue: what is kept from a message on, and then what comes, as text of events.
//!
//! A live event is made once and shared by all who follow; whoever falls behind reads from the log
//! again only by coming again, so that nobody is ever waited for.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::queue::Queue;
use crate::record::{Accepted, Body, Number, Record, What};
use crate::sse;

/// Events that a follower may be behind; then it is cut off, and may resume.
pub(crate) const FOLLOWED: usize = 1024;

/// Messages that are looked up at once while a follower catches up.
const PORTION: usize = 64;

/// A message as followers see it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    number: Number,
    text: Bytes,
}

/// The events of one follower.
pub struct Events {
    queue: Arc<Queue>,
    live: broadcast::Receiver<Event>,
    /// The last message that was given.
    last: Number,
    ready: VecDeque<Event>,
    caught_up: bool,
}

/// What a client gave as the last event that it saw.
#[derive(Debug, thiserror::Error)]
#[error(
    "Last-Event-ID must be the id of an event of this queue; leave it out to begin with the next one, or send 0 to begin with the oldest"
)]
pub struct UnknownEvent;

impl Queue {
    /// The messages after the one with this id, and those to come; none: only those to come; `0`: all
    /// that are kept.
    ///
    /// # Errors
    /// The id is none of this queue.
    pub fn events(self: &Arc<Self>, after: Option<&str>) -> Result<Events, UnknownEvent> {
        // First of all, so that nothing is missed between what is kept and what comes.
        let live = self.live.subscribe();
        let after = match after {
            None => None,
            Some("0") => Some(0),
            Some(id) => {
                let (queue, number) =
                    self.store.ids.read(id, std::iter::once(&*self.name)).ok_or(UnknownEvent)?;
                debug_assert_eq!(queue, &*self.name);
                Some(number)
            }
        };
        let caught_up = after.is_none();
        Ok(Events { queue: self.clone(), live, last: after.unwrap_or(0), ready: VecDeque::new(), caught_up })
    }

    /// Tells those who follow, if any do.
    pub(crate) fn tell_followers(&self, accepted: &Accepted<'_>) {
        if self.live.receiver_count() > 0 {
            let event = Event { number: accepted.number, text: self.event(accepted) };
            // Whoever left meanwhile doesn't need it.
            let _ = self.live.send(event);
        }
    }

    fn event(&self, accepted: &Accepted<'_>) -> Bytes {
        let id = self.id(accepted.number);
        let mut text = String::new();
        match &accepted.body {
            Body::Whole(whole) => sse::event(&mut text, &id, accepted.event.kind, whole),
            Body::Pieces { .. } => {
                sse::large(&mut text, &id, accepted.body.bytes());
            }
        }
        text.into()
    }
}

impl Events {
    /// The next events; none: the follower is too far behind, or the node is leaving. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.last = event.number;
                return Some(event.text);
            }
            if !self.caught_up {
                self.catch_up().await?;
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.number > self.last => {
                    self.last = event.number;
                    return Some(event.text);
                }
                // It was among what was kept.
                Ok(_) => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
            }
        }
    }

    async fn catch_up(&mut self) -> Option<()> {
        let portion = self.queue.lock().positions_after(self.last, PORTION);
        if portion.is_empty() {
            self.caught_up = true;
        }
        let mut read = VecDeque::with_capacity(portion.len());
        for (number, at) in portion {
            let text = match self.queue.store.read(at).await {
                Ok(record) => match Record::read(&record).map(|record| record.what) {
                    Ok(What::Accepted(accepted)) => self.queue.event(&accepted),
                    _ => Bytes::new(),
                },
                // It was moved or forgotten meanwhile: looked up anew, or passed over.
                Err(_) if self.queue.lock().message(number).is_some_and(|now| now.position != at) => break,
                Err(_) => Bytes::new(),
            };
            read.push_back(Event { number, text });
        }
        self.ready = read;
        Some(())
    }
}
