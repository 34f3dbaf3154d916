//! What is told of queues and messages, to operators and to whoever has a message's id.

use std::sync::Arc;

use bytes::Bytes;
use engine::ReadError;
use serde_json::{Value, json};
use upstream::clock::wall_ms;

use crate::queue::Queue;
use crate::queues::Queues;
use crate::record::{Accepted, Attempt, History, Number, Record, What};
use crate::state::{Counts, DeliveryState, MessageState, MessageView};

/// A message and what became of it, as it lies in the log.
pub struct Shown {
    /// What the queue knows of it.
    pub view: MessageView,
    record: Bytes,
    /// Of each delivery of `view`, the record of its attempts.
    attempts: Vec<Option<Bytes>>,
}

impl Shown {
    /// What it says.
    pub fn content(&self) -> Accepted<'_> {
        match Record::read(&self.record).map(|record| record.what) {
            Ok(What::Accepted(accepted)) => *accepted,
            // It was read when it was looked up.
            _ => Accepted::default(),
        }
    }

    /// The attempts of the delivery at this place of `view`.
    pub fn history(&self, delivery: usize) -> History<'_> {
        self.attempts.get(delivery).and_then(Option::as_deref).map(history).unwrap_or_default()
    }
}

impl Queue {
    /// How much there is.
    pub fn counts(&self) -> Counts {
        self.lock().counts(wall_ms())
    }

    /// Do its deliveries rest?
    pub fn is_paused(&self) -> bool {
        self.lock().is_paused()
    }

    /// Messages in a state, or all, that come after this one; at most so many.
    pub fn list(&self, state: Option<MessageState>, after: Number, at_most: usize) -> Vec<Number> {
        self.lock().list(state, after, at_most)
    }

    /// The number in an id of this queue.
    pub fn number(&self, id: &str) -> Option<Number> {
        self.store.ids.read(id, std::iter::once(&*self.name)).map(|(_, number)| number)
    }

    /// Is there a message of this number?
    pub fn has(&self, number: Number) -> bool {
        self.message_view(number).is_some()
    }

    /// A message; none: it isn't here, or not any more.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn show(self: &Arc<Self>, number: Number) -> Result<Option<Shown>, ReadError> {
        let Some(mut view) = self.message_view(number) else { return Ok(None) };
        let record = match self.store.read(view.position).await {
            // It was moved meanwhile.
            Err(ReadError::NotThere(_)) => {
                let Some(again) = self.message_view(number) else { return Ok(None) };
                view = again;
                self.store.read(view.position).await?
            }
            read => read?,
        };
        let mut attempts = Vec::with_capacity(view.deliveries.len());
        for delivery in &view.deliveries {
            attempts.push(match delivery.last {
                Some(at) => self.store.read(at).await.ok(),
                None => None,
            });
        }
        Ok(Some(Shown { view, record, attempts }))
    }

    fn message_view(&self, number: Number) -> Option<MessageView> {
        self.lock().message(number)
    }
}

impl Queues {
    /// How a message stands, as JSON; none: it is not known here, or not any more. Who receives it and
    /// what they answered is left out: that is the operator's.
    pub async fn status(&self, id: &str) -> Option<Value> {
        let (queue, number) = self.by_id(id)?;
        let shown = queue.show(number).await.ok()??;
        let delivery = |(place, delivery): (usize, &crate::state::DeliveryView)| {
            let over = matches!(delivery.state, DeliveryState::Done | DeliveryState::Dead);
            json!({
                "state": delivery.state.word(),
                "attempts": attempts(&shown.history(place)),
                "next": (!over).then(|| time(delivery.due)),
            })
        };
        let deliveries: Vec<Value> = shown.view.deliveries.iter().enumerate().map(delivery).collect();
        Some(json!({
            "id": id,
            "queue": &**queue.name(),
            "state": shown.view.state.word(),
            "accepted": time(shown.content().at),
            "deliveries": deliveries,
        }))
    }
}

fn attempts(history: &History<'_>) -> Vec<Value> {
    let attempt = |attempt: &Attempt| {
        json!({
            "at": time(attempt.at),
            "took_ms": attempt.took,
            "status": (attempt.status > 0).then_some(attempt.status),
        })
    };
    history.last.iter().map(attempt).collect()
}

/// The attempts that a record tells of.
fn history(record: &[u8]) -> History<'_> {
    match Record::read(record).map(|record| record.what) {
        Ok(What::Tried(tried)) => tried.history,
        Ok(What::Ended(ended)) => ended.history,
        _ => History::default(),
    }
}

/// Milliseconds since 1970 as RFC 3339, in UTC.
fn time(ms: u64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(time.to_string())
}

impl MessageState {
    /// As the API has it.
    pub fn word(self) -> &'static str {
        match self {
            MessageState::Waiting => "waiting",
            MessageState::Running => "running",
            MessageState::Done => "done",
            MessageState::Dead => "dead",
        }
    }
}

impl DeliveryState {
    /// As the API has it.
    pub fn word(self) -> &'static str {
        match self {
            DeliveryState::Ready | DeliveryState::Delayed | DeliveryState::Behind => "waiting",
            DeliveryState::Running => "running",
            DeliveryState::Done => "done",
            DeliveryState::Dead => "dead",
        }
    }
}
