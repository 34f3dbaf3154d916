//! Followers of a queue: what is kept from a message on, and then what comes, as text of events.
//!
//! A live event is made once and shared by all who follow. What is too long for that, and what a
//! follower is too slow for, he reads from the log when he comes to it: so that nobody is ever waited
//! for, and followers take the same memory whatever they follow.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use engine::Position;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::queue::Queue;
use crate::record::{Accepted, Body, Number, Record, What};
use crate::sse;

/// Events that are held for those who follow; who is further behind reads from the log.
pub(crate) const FOLLOWED: usize = 1024;

/// Bytes of an event's text that is held; with all of [`FOLLOWED`] it is 4 MiB.
const HELD: usize = 4 * 1024;

/// Messages that are looked up at once while a follower catches up.
const PORTION: usize = 64;

/// A message as followers see it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    number: Number,
    at: Position,
    /// None: it is made of what lies in the log.
    text: Option<Bytes>,
}

/// The events of one follower.
pub struct Events {
    queue: Arc<Queue>,
    live: broadcast::Receiver<Event>,
    /// The last message that was given; none: it follows from now on, and nothing came yet.
    last: Option<Number>,
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
        Ok(Events {
            queue: self.clone(),
            live: self.live.subscribe(),
            last: after,
            ready: VecDeque::new(),
            caught_up: after.is_none(),
        })
    }

    /// Tells those who follow, if any do, of a message that lies here.
    pub(crate) fn tell_followers(&self, at: Position, accepted: &Accepted<'_>) {
        if self.live.receiver_count() > 0 {
            let is_long = matches!(accepted.body, Body::Whole(whole) if whole.len() > HELD);
            let text = (!is_long).then(|| self.event(accepted)).filter(|text| text.len() <= HELD);
            // Whoever left meanwhile doesn't need it.
            let _ = self.live.send(Event { number: accepted.number, at, text });
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
        text.shrink_to_fit();
        text.into()
    }
}

impl Events {
    /// The next event; none: the follower can't be given all that came. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.front() {
                let (number, text) = (event.number, self.text(event).await);
                self.ready.pop_front();
                self.last = Some(number);
                if text.is_some() {
                    return text;
                }
            } else if !self.caught_up {
                self.catch_up();
            } else {
                match self.live.recv().await {
                    Ok(event) if Some(event.number) > self.last => self.ready.push_back(event),
                    // It was among what was kept.
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) if self.last.is_some() => self.caught_up = false,
                    Err(_) => return None,
                }
            }
        }
    }

    /// Looks up what is kept after the last event; if that is nothing, the rest comes live.
    fn catch_up(&mut self) {
        // Before the look, so that nothing is missed between what is kept and what comes.
        self.live = self.queue.live.subscribe();
        let portion = self.queue.lock().positions_after(self.last.unwrap_or(0), PORTION);
        self.caught_up = portion.is_empty();
        self.ready = portion.into_iter().map(|(number, at)| Event { number, at, text: None }).collect();
    }

    /// An event's text; none: its message isn't kept any more, or can't be read.
    async fn text(&self, event: &Event) -> Option<Bytes> {
        if let Some(text) = &event.text {
            return Some(text.clone());
        }
        let mut at = event.at;
        loop {
            let read = self.queue.store.read(at).await;
            // Much may be read without a wait: others have their turn between.
            tokio::task::yield_now().await;
            if let Ok(record) = read {
                return match Record::read(&record).map(|record| record.what) {
                    Ok(What::Accepted(accepted)) => Some(self.queue.event(&accepted)),
                    _ => None,
                };
            }
            let now = self.queue.lock().message(event.number)?.position;
            if now == at {
                return None;
            }
            // It was moved meanwhile.
            at = now;
        }
    }
}
