//! The queues as operators see them, and what they do to them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use admin::Later;
use admin::queue::{
    AttemptView, Counters, DeliveryView, DropOrder, EventView, EveryView, Excerpt, LogView, MessageLine,
    MessageState, MessageView, Moment, NewMessage, Page, QueueError, QueueView, ReceiverView, ReplayOrder,
    Sent, Which, fields,
};
use engine::{AppendError, ReadError};
use queue::accept::{New, NewBody, Refused};
use queue::record::{Body, Event, History, Number};
use queue::state::{self, Dropping, Replaying};
use queue::{Queue, Shown, cloud_event, when};
use upstream::clock::wall_ms;
use wire::RequestHead;
use wire::head::Limits;

/// Those of this node.
pub(crate) struct Operated(pub(crate) Arc<queue::Queues>);

impl Operated {
    fn find(&self, name: &str) -> Result<Arc<Queue>, QueueError> {
        self.0.find(name).ok_or(QueueError::NoQueue)
    }

    fn view(&self, queue: &Arc<Queue>) -> QueueView {
        let now = wall_ms();
        let (counts, plan, counted) = (queue.counts(), queue.plan(), queue.counters.get());
        let in_plan = queue.is_in_plan();
        let refused =
            [("full", counted.full), ("other_content", counted.other_content), ("stopped", counted.stopped)];
        let receivers = counts.receivers.iter().map(|receiver| ReceiverView {
            receiver: receiver.text.to_string(),
            in_plan: receiver.wanted,
            waiting: receiver.waiting.saturating_sub(receiver.delayed) as u64,
            delayed: receiver.delayed as u64,
            in_flight: receiver.in_flight.into(),
            dead: receiver.dead as u64,
            limit: receiver.limit,
            concurrency: plan.concurrency,
            rate: plan.rate,
            held_until: receiver.held_till.map(Moment),
            last_error: queue.last_error(&receiver.text),
        });
        let delayed = counts.receivers.iter().map(|receiver| receiver.delayed).max().unwrap_or(0);
        QueueView {
            name: queue.name().to_string(),
            paused: queue.is_paused(),
            in_plan,
            waiting: counts.waiting.saturating_sub(delayed) as u64,
            delayed: delayed as u64,
            running: counts.running as u64,
            done: counts.done as u64,
            dead: counts.dead as u64,
            bytes: counts.bytes,
            full: in_plan.then_some(plan.full),
            oldest_seconds: counts.oldest_waiting_at.map(|at| now.saturating_sub(at) as f64 / 1000.0),
            every: plan.every.as_ref().map(|every| EveryView {
                cron: every.cron.text().to_owned(),
                next: every.cron.next_after(now / 1000).map(|at| Moment(at * 1000)),
            }),
            trouble: self.0.trouble(),
            receivers: receivers.collect(),
            counters: Counters {
                accepted: counted.accepted,
                again: counted.again,
                done: counted.done,
                retried: counted.retried,
                dead: counted.dead,
                refused: refused.into_iter().map(|(why, count)| (why.to_owned(), count)).collect(),
            },
        }
    }
}

impl admin::queue::Queues for Operated {
    fn list(&self) -> Vec<QueueView> {
        self.0.all().iter().map(|queue| self.view(queue)).collect()
    }

    fn show(&self, queue: &str) -> Option<QueueView> {
        self.0.find(queue).map(|queue| self.view(&queue))
    }

    fn log(&self) -> LogView {
        LogView { bytes: self.0.log_bytes(), trouble: self.0.trouble() }
    }

    fn messages(
        &self,
        queue: &str,
        state: Option<MessageState>,
        after: Option<String>,
        limit: usize,
    ) -> Later<Result<Page, QueueError>> {
        let queue = self.find(queue);
        Box::pin(async move {
            let queue = queue?;
            let after = after.map_or(Ok(0), |id| number(&queue, id))?;
            let numbers = queue.list(state.map(inner), after, limit);
            let next = (numbers.len() == limit).then(|| numbers.last().map(|last| queue.id(*last))).flatten();
            let mut messages = Vec::with_capacity(numbers.len());
            for number in numbers {
                if let Some(shown) = queue.show(number).await.map_err(|error| unread(&error))? {
                    messages.push(line(&queue, &shown));
                }
            }
            Ok(Page { messages, next })
        })
    }

    fn message(&self, queue: &str, id: &str) -> Later<Result<MessageView, QueueError>> {
        let (queue, id) = (self.find(queue), id.to_owned());
        Box::pin(async move {
            let queue = queue?;
            let number = number(&queue, id.clone())?;
            let shown = queue.show(number).await.map_err(|error| unread(&error))?;
            shown.map(|shown| message(&queue, &shown)).ok_or(QueueError::NoMessage(id))
        })
    }

    fn pause(&self, queue: &str) -> Later<Result<(), QueueError>> {
        let queue = self.find(queue);
        Box::pin(async move { queue?.pause(true).await.map_err(|error| unwritten(&error)) })
    }

    fn resume(&self, queue: &str) -> Later<Result<(), QueueError>> {
        let queue = self.find(queue);
        Box::pin(async move { queue?.pause(false).await.map_err(|error| unwritten(&error)) })
    }

    fn replay(&self, queue: &str, order: ReplayOrder) -> Later<Result<u64, QueueError>> {
        let queue = self.find(queue);
        Box::pin(async move {
            let queue = queue?;
            let only = match &order.receiver {
                Some(text) => Some(queue.receiver_index(text).ok_or_else(|| no_receiver(&queue, text))?),
                None => None,
            };
            let now = wall_ms();
            let begin = |which, one| Replaying::new(which, one, only, order.per_second, now);
            match order.which {
                Which::Ids(ids) => {
                    let numbers = ids.into_iter().map(|id| there(&queue, id));
                    let numbers = numbers.collect::<Result<Vec<Number>, QueueError>>()?;
                    let mut replayed = 0;
                    for number in numbers {
                        // Where some receivers took it, only the others get it again.
                        for which in [state::Which::Dead, state::Which::Done] {
                            let again = queue.replay(begin(which, Some(number))).await;
                            let again = again.map_err(|error| unwritten(&error))?;
                            replayed += again.min(1);
                            if again > 0 {
                                break;
                            }
                        }
                    }
                    Ok(replayed)
                }
                Which::State(MessageState::Done) => {
                    queue.replay(begin(state::Which::Done, None)).await.map_err(|error| unwritten(&error))
                }
                Which::State(_) => {
                    queue.replay(begin(state::Which::Dead, None)).await.map_err(|error| unwritten(&error))
                }
                Which::All => {
                    queue.replay(begin(state::Which::All, None)).await.map_err(|error| unwritten(&error))
                }
            }
        })
    }

    fn drop_messages(&self, queue: &str, order: DropOrder) -> Later<Result<u64, QueueError>> {
        let queue = self.find(queue);
        Box::pin(async move {
            let queue = queue?;
            let all = |state: Option<MessageState>| Dropping::new(state.map(inner), None);
            match order.which {
                Which::Ids(ids) => {
                    let numbers = ids.into_iter().map(|id| there(&queue, id));
                    let mut dropped = 0;
                    for number in numbers.collect::<Result<Vec<Number>, QueueError>>()? {
                        let there = queue.drop_one(number).await.map_err(|error| unwritten(&error))?;
                        dropped += u64::from(there);
                    }
                    Ok(dropped)
                }
                Which::State(state) => {
                    queue.drop_all(all(Some(state))).await.map_err(|error| unwritten(&error))
                }
                Which::All => queue.drop_all(all(None)).await.map_err(|error| unwritten(&error)),
            }
        })
    }

    fn send(&self, queue: &str, message: NewMessage) -> Later<Result<Sent, QueueError>> {
        let queue = self.find(queue);
        Box::pin(async move {
            let queue = queue?;
            if !queue.is_in_plan() {
                return Err(QueueError::NotInPlan);
            }
            let (delay, at) = (message.delay.as_deref(), message.at.as_deref());
            let due = when::due(delay.map(str::as_bytes), at.map(str::as_bytes), wall_ms());
            let due = due.map_err(|wrong| QueueError::Wrong(wrong.to_string()))?;
            let mut lines = String::new();
            for (name, value) in &message.headers {
                lines.push_str(&format!("{name}: {value}\r\n"));
            }
            if !message.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
                lines.push_str("Host: nearside\r\n");
            }
            let get = |name: &str| {
                let mut headers = message.headers.iter();
                headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
            };
            let event = cloud_event::recognise(&get, &message.body);
            let new = New {
                method: message.method.as_bytes(),
                target: message.path.as_bytes(),
                fields: lines.as_bytes(),
                body: NewBody::Whole(message.body.clone().into()),
                order: order(&queue, &message, &lines),
                key: message.idempotency_key.as_deref().map(str::as_bytes),
                due,
                hops: &queue.hop(),
                event: event.as_ref(),
                fired: None,
            };
            let accepted = queue.accept(new).await.map_err(|why| refused(&why))?;
            Ok(Sent { id: accepted.id, queue: queue.name().to_string() })
        })
    }
}

fn number(queue: &Queue, id: String) -> Result<Number, QueueError> {
    queue.number(&id).ok_or(QueueError::NoMessage(id))
}

/// The hash of what orders a message, as if a client had sent it.
fn order(queue: &Queue, message: &NewMessage, lines: &str) -> Option<u64> {
    let by = queue.order_by()?;
    let text = format!("{} {} HTTP/1.1\r\n{lines}\r\n", message.method, message.path);
    let mut head = RequestHead::default();
    head.read(text.as_bytes(), Limits { bytes: text.len(), fields: 1024 }).ok()??;
    edge::hashed(&by, &head, Ipv4Addr::UNSPECIFIED.into())
}

/// The number of a message that the queue has.
fn there(queue: &Queue, id: String) -> Result<Number, QueueError> {
    let known = queue.number(&id).filter(|number| queue.has(*number));
    known.ok_or(QueueError::NoMessage(id))
}

fn no_receiver(queue: &Queue, text: &str) -> QueueError {
    let known: Vec<String> = queue.counts().receivers.iter().map(|one| format!("`{}`", one.text)).collect();
    QueueError::Wrong(format!("the queue has no receiver `{text}`; it has {}", known.join(", ")))
}

fn inner(state: MessageState) -> state::MessageState {
    match state {
        MessageState::Waiting => state::MessageState::Waiting,
        MessageState::Running => state::MessageState::Running,
        MessageState::Done => state::MessageState::Done,
        MessageState::Dead => state::MessageState::Dead,
    }
}

fn outer(state: state::MessageState) -> MessageState {
    match state {
        state::MessageState::Waiting => MessageState::Waiting,
        state::MessageState::Running => MessageState::Running,
        state::MessageState::Done => MessageState::Done,
        state::MessageState::Dead => MessageState::Dead,
    }
}

fn unwritten(error: &AppendError) -> QueueError {
    QueueError::Unavailable(error.to_string())
}

fn unread(error: &ReadError) -> QueueError {
    QueueError::Unavailable(error.to_string())
}

fn refused(refused: &Refused) -> QueueError {
    match refused {
        Refused::Full { .. } | Refused::TooMany => QueueError::Full,
        Refused::OtherContent => QueueError::OtherContent,
        Refused::TooLarge { .. } => QueueError::TooLarge(refused.to_string()),
        Refused::Busy | Refused::Left | Refused::Stopped(_) | Refused::Closed => {
            QueueError::Unavailable(refused.to_string())
        }
    }
}

fn event(event: Event<'_>) -> Option<EventView> {
    let Event { source, kind, id } = event;
    let there = !id.is_empty();
    there.then(|| EventView { source: source.to_owned(), kind: kind.to_owned(), id: id.to_owned() })
}

/// When a message is delivered next.
fn due(shown: &Shown) -> Option<Moment> {
    let open = |delivery: &&state::DeliveryView| {
        !matches!(delivery.state, state::DeliveryState::Done | state::DeliveryState::Dead)
    };
    shown.view.deliveries.iter().filter(open).map(|delivery| Moment(delivery.due)).min()
}

fn line(queue: &Queue, shown: &Shown) -> MessageLine {
    let content = shown.content();
    let histories = (0..shown.view.deliveries.len()).map(|place| shown.history(place));
    let error = histories.clone().find_map(|history| error_of(&history));
    MessageLine {
        id: queue.id(shown.view.number),
        state: outer(shown.view.state),
        accepted: Moment(content.at),
        due: due(shown),
        method: content.method.to_owned(),
        target: content.target.to_owned(),
        bytes: content.body.bytes(),
        attempts: histories.map(|history| history.attempts).sum(),
        error,
        event: event(content.event),
    }
}

/// What went wrong last, in a short line; none: the last attempt was taken.
fn error_of(history: &History<'_>) -> Option<String> {
    let last = history.last.last()?;
    match last.status {
        200..=299 => None,
        0 => Some(String::from_utf8_lossy(history.answer).chars().take(200).collect()),
        status => Some(format!("answered {status}")),
    }
}

fn message(queue: &Queue, shown: &Shown) -> MessageView {
    let content = shown.content();
    let body: &[u8] = match &content.body {
        Body::Whole(whole) => whole,
        Body::Pieces { .. } => b"",
    };
    let deliveries = shown.view.deliveries.iter().enumerate();
    MessageView {
        id: queue.id(shown.view.number),
        queue: queue.name().to_string(),
        state: outer(shown.view.state),
        accepted: Moment(content.at),
        due: due(shown),
        method: content.method.to_owned(),
        target: content.target.to_owned(),
        bytes: content.body.bytes(),
        event: event(content.event),
        headers: fields(content.fields),
        body_preview: Excerpt::of(body, content.body.bytes()),
        deliveries: deliveries.map(|(place, one)| delivery(one, &shown.history(place))).collect(),
    }
}

fn delivery(delivery: &state::DeliveryView, history: &History<'_>) -> DeliveryView {
    let over = matches!(delivery.state, state::DeliveryState::Done | state::DeliveryState::Dead);
    let state = match delivery.state {
        state::DeliveryState::Running => MessageState::Running,
        state::DeliveryState::Done => MessageState::Done,
        state::DeliveryState::Dead => MessageState::Dead,
        _ => MessageState::Waiting,
    };
    let last = history.last.len().saturating_sub(1);
    let attempts = history.last.iter().enumerate().map(|(place, attempt)| AttemptView {
        at: Moment(attempt.at),
        took_ms: attempt.took.into(),
        status: (attempt.status > 0).then_some(attempt.status),
        error: (attempt.status == 0 && place == last).then(|| error_of(history)).flatten(),
    });
    DeliveryView {
        receiver: delivery.receiver.to_string(),
        state,
        attempts: history.attempts,
        due: (!over).then_some(Moment(delivery.due)),
        history: attempts.collect(),
        answer: (!history.last.is_empty()).then(|| Excerpt::of(history.answer, history.answer.len() as u64)),
    }
}
