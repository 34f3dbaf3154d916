//! Queues that are none: they say what they were told to say and remember what they were asked.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use admin::Later;
use admin::queue::{
    AttemptView, Counters, DeliveryView, DropOrder, EventView, EveryView, Excerpt, LogView, MessageLine,
    MessageState, MessageView, Moment, NewMessage, Page, QueueError, QueueView, Queues, ReceiverView,
    ReplayOrder, Sent, fields,
};

/// What was asked of the queues.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    Messages(Option<MessageState>, Option<String>, usize),
    Replay(ReplayOrder),
    Drop(DropOrder),
    Send(NewMessage),
}

/// The queues `hooks` and `nightly`.
#[derive(Default)]
pub struct FakeQueues {
    pub paused: AtomicBool,
    pub calls: Mutex<Vec<Call>>,
    /// What the next call fails with.
    pub fails: Mutex<Option<QueueError>>,
}

/// 2026-11-23T22:00:00Z
pub const NOON: u64 = 1_795_471_200_000;

pub fn hooks() -> QueueView {
    let receiver = |receiver: &str| ReceiverView {
        receiver: receiver.to_owned(),
        in_plan: true,
        waiting: 3,
        delayed: 1,
        in_flight: 2,
        dead: 0,
        limit: 32,
        concurrency: 32,
        rate: Some(50.0),
        held_until: None,
        last_error: None,
    };
    let slow = ReceiverView {
        limit: 4,
        dead: 1,
        held_until: Some(Moment(NOON + 1000)),
        last_error: Some("503".to_owned()),
        ..receiver("https://hooks.example.com/in")
    };
    QueueView {
        name: "hooks".to_owned(),
        paused: false,
        in_plan: true,
        waiting: 3,
        delayed: 5,
        running: 2,
        done: 70,
        dead: 1,
        bytes: 4096,
        full: Some(10 << 30),
        oldest_seconds: Some(12.5),
        every: None,
        trouble: None,
        receivers: vec![receiver("shop"), slow],
        counters: Counters {
            accepted: 81,
            again: 6,
            done: 140,
            retried: 9,
            dead: 1,
            refused: [("full".to_owned(), 4), ("other_content".to_owned(), 0)].into(),
        },
    }
}

fn nightly() -> QueueView {
    QueueView {
        name: "nightly".to_owned(),
        waiting: 0,
        delayed: 0,
        running: 0,
        done: 0,
        dead: 0,
        bytes: 0,
        oldest_seconds: None,
        every: Some(EveryView { cron: "0 3 * * *".to_owned(), next: Some(Moment(NOON)) }),
        receivers: Vec::new(),
        counters: Counters::default(),
        ..hooks()
    }
}

pub fn line() -> MessageLine {
    MessageLine {
        id: "msg_1".to_owned(),
        state: MessageState::Dead,
        accepted: Moment(NOON),
        due: None,
        method: "POST".to_owned(),
        target: "/hooks/in?a=b".to_owned(),
        bytes: 7,
        attempts: 12,
        error: Some("410".to_owned()),
        event: None,
    }
}

fn message() -> MessageView {
    MessageView {
        id: "msg_1".to_owned(),
        queue: "hooks".to_owned(),
        state: MessageState::Dead,
        accepted: Moment(NOON),
        due: None,
        method: "POST".to_owned(),
        target: "/hooks/in?a=b".to_owned(),
        bytes: 7,
        event: Some(EventView { source: "/shop".into(), kind: "order.paid".into(), id: "7".into() }),
        headers: fields(b"Content-Type: text/plain\r\nAuthorization: Bearer battery\r\n"),
        body_preview: Excerpt::of(b"order 7", 7),
        deliveries: vec![DeliveryView {
            receiver: "shop".to_owned(),
            state: MessageState::Dead,
            attempts: 2,
            due: None,
            history: vec![
                AttemptView { at: Moment(NOON + 5), took_ms: 30, status: None, error: Some("reset".into()) },
                AttemptView { at: Moment(NOON + 900), took_ms: 4, status: Some(410), error: None },
            ],
            answer: Some(Excerpt::of(b"gone", 4)),
        }],
    }
}

impl FakeQueues {
    /// What to answer a call with: what it was to fail with, or else this.
    fn answer<T: Send + 'static>(
        &self,
        queue: &str,
        call: Option<Call>,
        good: T,
    ) -> Later<Result<T, QueueError>> {
        self.calls.lock().unwrap().extend(call);
        let failed = self.fails.lock().unwrap().take();
        let known = ["hooks", "nightly"].contains(&queue);
        Box::pin(async move {
            match failed {
                _ if !known => Err(QueueError::NoQueue),
                Some(error) => Err(error),
                None => Ok(good),
            }
        })
    }
}

impl Queues for FakeQueues {
    fn list(&self) -> Vec<QueueView> {
        vec![QueueView { paused: self.paused.load(SeqCst), ..hooks() }, nightly()]
    }

    fn show(&self, queue: &str) -> Option<QueueView> {
        self.list().into_iter().find(|view| view.name == queue)
    }

    fn log(&self) -> LogView {
        LogView { bytes: 1 << 20, trouble: None }
    }

    fn messages(
        &self,
        queue: &str,
        state: Option<MessageState>,
        after: Option<String>,
        limit: usize,
    ) -> Later<Result<Page, QueueError>> {
        let page = Page { messages: vec![line()], next: Some("msg_1".to_owned()) };
        self.answer(queue, Some(Call::Messages(state, after, limit)), page)
    }

    fn message(&self, queue: &str, id: &str) -> Later<Result<MessageView, QueueError>> {
        if id != "msg_1" {
            *self.fails.lock().unwrap() = Some(QueueError::NoMessage(id.to_owned()));
        }
        self.answer(queue, None, message())
    }

    fn pause(&self, queue: &str) -> Later<Result<(), QueueError>> {
        self.paused.store(true, SeqCst);
        self.answer(queue, None, ())
    }

    fn resume(&self, queue: &str) -> Later<Result<(), QueueError>> {
        self.paused.store(false, SeqCst);
        self.answer(queue, None, ())
    }

    fn replay(&self, queue: &str, order: ReplayOrder) -> Later<Result<u64, QueueError>> {
        self.answer(queue, Some(Call::Replay(order)), 7)
    }

    fn drop_messages(&self, queue: &str, order: DropOrder) -> Later<Result<u64, QueueError>> {
        self.answer(queue, Some(Call::Drop(order)), 3)
    }

    fn send(&self, queue: &str, message: NewMessage) -> Later<Result<Sent, QueueError>> {
        let sent = Sent { id: "msg_2".to_owned(), queue: queue.to_owned() };
        self.answer(queue, Some(Call::Send(message)), sent)
    }
}
