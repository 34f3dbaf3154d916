//! The queues as the API tells of them, and what may be asked of them.
//!
//! The types are the node's to fill in and what a command line reads again, so they are the JSON of
//! the API. What is to be done is checked in `order` and `message`, before the node is asked.

pub(crate) mod api;
mod message;
mod order;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::operations::Later;

pub use crate::api::BODY as LARGEST_ASK;
pub use message::{BadMessage, MessageAsk, NewMessage, Values, fields};
pub use order::{BadOrder, DropAsk, DropOrder, FASTEST, IDS, ReplayAsk, ReplayOrder, Which};

/// Messages of one [`Page`] if nothing else is said.
pub const PAGE: usize = 100;
/// Messages of one [`Page`] at most.
pub const LARGEST_PAGE: usize = 1000;
/// Bytes of a body that are shown.
pub const EXCERPT: usize = 1024;

/// What the API may ask of and do to a node's queues.
///
/// What waits for the log is done when it is stable there. Orders and messages have been checked, names of
/// queues and ids have not.
pub trait Queues: Send + Sync + 'static {
    /// All of them, by name: those of the file, and those that only the log still knows.
    fn list(&self) -> Vec<QueueView>;

    /// One of them.
    fn show(&self, queue: &str) -> Option<QueueView>;

    /// The log that keeps them.
    fn log(&self) -> LogView;

    /// The messages in this state (none: in any) that come after the one with the id `after`, the oldest
    /// first, at most `limit`.
    ///
    /// # Errors
    /// There is no such queue, `after` is no id of it, or the log can't be read.
    fn messages(
        &self,
        queue: &str,
        state: Option<MessageState>,
        after: Option<String>,
        limit: usize,
    ) -> Later<Result<Page, QueueError>>;

    /// One message.
    ///
    /// # Errors
    /// There is no such queue or message, or the log can't be read.
    fn message(&self, queue: &str, id: &str) -> Later<Result<MessageView, QueueError>>;

    /// Begins no further delivery, also after a restart. Messages are still accepted.
    ///
    /// # Errors
    /// There is no such queue, or the log can't be written.
    fn pause(&self, queue: &str) -> Later<Result<(), QueueError>>;

    /// Delivers again.
    ///
    /// # Errors
    /// As for [`pause`](Self::pause).
    fn resume(&self, queue: &str) -> Later<Result<(), QueueError>>;

    /// Delivers messages that have ended again, from their first attempt on. How many there are.
    ///
    /// # Errors
    /// There is no such queue, receiver or (where they are named) message, or the log can't be written.
    fn replay(&self, queue: &str, order: ReplayOrder) -> Later<Result<u64, QueueError>>;

    /// Takes messages out of the queue; they are delivered no more. How many there were.
    ///
    /// # Errors
    /// As for [`replay`](Self::replay).
    fn drop_messages(&self, queue: &str, order: DropOrder) -> Later<Result<u64, QueueError>>;

    /// Accepts a message as a route does.
    ///
    /// # Errors
    /// There is no such queue, it doesn't accept the message, or the log can't be written.
    fn send(&self, queue: &str, message: NewMessage) -> Later<Result<Sent, QueueError>>;
}

/// A moment, in milliseconds since 1970; in JSON as RFC 3339, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl fmt::Display for Moment {
    /// What no calendar has shows as its last day.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        time.unwrap_or(Timestamp::MAX).fmt(f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: Option<Timestamp> = text.parse().ok();
        let since = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
        since.map(Self).ok_or("it is not a time with its offset; write it as 2030-01-31T09:00:00Z")
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A queue at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueView {
    /// As in the file.
    pub name: String,
    /// No delivery begins, because an operator said so.
    pub paused: bool,
    /// The file names it. If not: its messages are kept, but none is accepted or delivered.
    pub in_plan: bool,
    /// Messages that are due and wait for their turn.
    pub waiting: u64,
    /// Messages that are not due yet: new ones with a delay, and those that are to be tried again.
    pub delayed: u64,
    /// Messages that are being delivered.
    pub running: u64,
    /// Messages that all receivers took, as far as they are still kept.
    pub done: u64,
    /// Dead letters.
    pub dead: u64,
    /// What all of them take in the log.
    pub bytes: u64,
    /// Bytes over which nothing is accepted; none if the file doesn't name the queue.
    pub full: Option<u64>,
    /// Seconds since the oldest message that waits could be delivered; none if none does.
    pub oldest_seconds: Option<f64>,
    /// When the clock sends a message; none if it doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<EveryView>,
    /// Why it doesn't do what it should; none if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// In the order of the file, then those that only its messages know.
    pub receivers: Vec<ReceiverView>,
    /// What was counted since the node started.
    pub counters: Counters,
}

/// When the clock sends a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EveryView {
    /// As in the file.
    pub cron: String,
    /// The next time; none if there never is one.
    pub next: Option<Moment>,
}

/// A receiver at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceiverView {
    /// A service's name or a URL, as in the file.
    pub receiver: String,
    /// The file names it. If not: its deliveries wait until it does.
    pub in_plan: bool,
    /// Deliveries that are due and wait for their turn.
    pub waiting: u64,
    /// Deliveries that are not due yet.
    pub delayed: u64,
    /// Deliveries in flight.
    pub in_flight: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Deliveries that may be in flight now; fewer than `concurrency` while the receiver is overloaded.
    pub limit: u32,
    /// Deliveries that may be in flight, as in the file.
    pub concurrency: u32,
    /// Deliveries a second, as in the file; none: no limit.
    pub rate: Option<f64>,
    /// Nothing is sent to it before this moment, because it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Moment>,
    /// What went wrong with the last delivery; none if nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// What was counted of a queue since the node started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Messages that were accepted.
    pub accepted: u64,
    /// Messages that had the `Idempotency-Key` of one before, and so are not kept again.
    pub again: u64,
    /// Deliveries that were taken.
    pub done: u64,
    /// Deliveries that failed and are tried again.
    pub retried: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Messages that were not accepted, by a short word that says why, such as `full`.
    pub refused: BTreeMap<String, u64>,
}

/// The log that keeps all queues of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// What it takes on the disk.
    pub bytes: u64,
    /// Why it accepts nothing; none if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// How a message, or its delivery to one receiver, stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// It is to be delivered, now or later.
    Waiting,
    /// It is being delivered.
    Running,
    /// It was taken.
    Done,
    /// It was given up: a dead letter.
    Dead,
}

impl MessageState {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Done, Self::Dead];

    /// As in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

impl FromStr for MessageState {
    type Err = String;

    /// By its word; the error lists all of them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = |state: &Self| state.word() == text;
        let wrong = || {
            let words = Self::ALL.map(|state| format!("`{}`", state.word())).join(", ");
            format!("`{}` is not a state; there are {words}", short(text))
        };
        Self::ALL.into_iter().find(wanted).ok_or_else(wrong)
    }
}

/// Some of a queue's messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The oldest first.
    pub messages: Vec<MessageLine>,
    /// The id that the next page begins after; none if this is the last one.
    pub next: Option<String>,
}

/// A message at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageLine {
    /// The same for all attempts.
    pub id: String,
    /// How it stands, over all receivers.
    pub state: MessageState,
    /// When it came.
    pub accepted: Moment,
    /// When it is delivered next; none if it has ended.
    pub due: Option<Moment>,
    /// Upper case.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Of its body.
    pub bytes: u64,
    /// Deliveries so far, to all receivers.
    pub attempts: u32,
    /// What went wrong last, in a short line; none if nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What a CloudEvent says of itself; none if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventView>,
}

/// All that is known of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// The same for all attempts.
    pub id: String,
    /// Its queue's name.
    pub queue: String,
    /// How it stands, over all receivers.
    pub state: MessageState,
    /// When it came.
    pub accepted: Moment,
    /// When it is delivered next; none if it has ended.
    pub due: Option<Moment>,
    /// Upper case.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Of its body.
    pub bytes: u64,
    /// What a CloudEvent says of itself; none if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventView>,
    /// Names and values, without those that are secret: as [`fields`] makes them.
    pub headers: Vec<(String, String)>,
    /// The beginning of its body.
    pub body_preview: Excerpt,
    /// One for each receiver.
    pub deliveries: Vec<DeliveryView>,
}

/// What a CloudEvent says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Where it happened.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id, which is not the message's.
    pub id: String,
}

/// How a message fares with one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// A service's name or a URL, as in the file.
    pub receiver: String,
    /// How it stands.
    pub state: MessageState,
    /// Deliveries so far, since the message came or was replayed.
    pub attempts: u32,
    /// When the next is; none if there is none.
    pub due: Option<Moment>,
    /// The last attempts, the latest at the end.
    pub history: Vec<AttemptView>,
    /// The beginning of the last answer's body, or what went wrong; none if there was no attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Excerpt>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// When it began.
    pub at: Moment,
    /// How long it took.
    pub took_ms: u64,
    /// The answer's; none if there was none.
    pub status: Option<u16>,
    /// Why there was no answer, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The beginning of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Text, or base64 if it is binary.
    pub text: String,
    /// It isn't UTF-8.
    pub binary: bool,
    /// There is more of it.
    pub cut: bool,
}

impl Excerpt {
    /// Of a body with this many bytes in all, of which `beginning` is known: at most [`EXCERPT`] of them.
    pub fn of(beginning: &[u8], bytes: u64) -> Self {
        let shown = beginning.get(..EXCERPT).unwrap_or(beginning);
        let cut = (shown.len() as u64) < bytes;
        match std::str::from_utf8(shown) {
            Ok(text) => Self { text: text.to_owned(), binary: false, cut },
            // A character that the cut went through is no sign of a binary body.
            Err(error) if cut && error.error_len().is_none() => {
                let whole = shown.get(..error.valid_up_to()).unwrap_or_default();
                Self { text: String::from_utf8_lossy(whole).into_owned(), binary: false, cut }
            }
            Err(_) => Self { text: message::base64(shown), binary: true, cut },
        }
    }
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its id; the one of an earlier message, if that had the same `Idempotency-Key`.
    pub id: String,
    /// Its queue's name.
    pub queue: String,
}

/// Why something is not done to a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// There is none of that name.
    #[error("this node has no such queue")]
    NoQueue,
    /// This id is no message's.
    #[error("the queue keeps no message {0}: it never did, or its time is over")]
    NoMessage(String),
    /// What is asked for can't be: in words that say what could.
    #[error("{0}")]
    Wrong(String),
    /// The log has messages of it, but the file doesn't name it.
    #[error("the file doesn't name this queue any more, so it takes nothing and delivers nothing")]
    NotInPlan,
    /// Its `Idempotency-Key` was used for another message.
    #[error("this Idempotency-Key was used for another message: take a new one")]
    OtherContent,
    /// It may keep no more.
    #[error("the queue is full: nothing is accepted that can't be kept")]
    Full,
    /// A body or a head that is larger than messages may be.
    #[error("{0}")]
    TooLarge(String),
    /// The log can't be read or written, or the node is on its way out.
    #[error("{0}")]
    Unavailable(String),
}

/// The beginning of what somebody wrote, fit for a message to them.
fn short(text: &str) -> String {
    let short: String = text.chars().take(100).collect();
    short.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_and_read_as_rfc_3339() {
        let shown = |ms| serde_json::to_string(&Moment(ms)).unwrap();
        assert_eq!(shown(0), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(shown(1_700_000_000_250), "\"2023-11-14T22:13:20.25Z\"");
        assert!(shown(u64::MAX).starts_with("\"9999-12-"));
        let read = |text| serde_json::from_str::<Moment>(text).map(|moment| moment.0).ok();
        assert_eq!(read("\"2023-11-14T23:13:20.25+01:00\""), Some(1_700_000_000_250));
        for wrong in ["\"1969-12-31T23:59:59Z\"", "\"2023-11-14\"", "7", "\"\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_state_is_read_by_the_word_that_it_has_in_json() {
        for state in MessageState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
            assert_eq!(state.word().parse(), Ok(state));
        }
        let wrong = "Dead\n".parse::<MessageState>().unwrap_err();
        assert_eq!(wrong, "`Dead\\n` is not a state; there are `waiting`, `running`, `done`, `dead`");
    }

    #[test]
    fn an_excerpt_is_text_where_that_is_what_the_body_is() {
        let excerpt = |bytes: &[u8]| {
            let Excerpt { text, binary, cut } = Excerpt::of(bytes, bytes.len() as u64);
            (text, binary, cut)
        };
        assert_eq!(excerpt(b""), (String::new(), false, false));
        assert_eq!(excerpt("größe".as_bytes()), ("größe".to_owned(), false, false));
        assert_eq!(excerpt(b"\xff\x00"), ("/wA=".to_owned(), true, false));
        // Not cut, so the half character is the body's own.
        assert_eq!(excerpt(b"a\xc3"), ("YcM=".to_owned(), true, false));
        let long = format!("{}ößig", "x".repeat(EXCERPT - 1));
        assert_eq!(excerpt(long.as_bytes()), ("x".repeat(EXCERPT - 1), false, true));
        assert_eq!(Excerpt::of(b"abc", 4), Excerpt { text: "abc".to_owned(), binary: false, cut: true });
    }
}
