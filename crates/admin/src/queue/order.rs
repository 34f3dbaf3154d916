//! Which messages an operator means, and how fast they come back.

use serde::{Deserialize, Serialize};

use super::{MessageState, short};

/// Ids in one order.
pub const IDS: usize = 1000;
/// The most messages a second that a replay may bring back.
pub const FASTEST: f64 = 100_000.0;
/// Bytes of an id, and of a receiver.
const NAME: usize = 2048;

/// Which messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These; at least one.
    Ids(Vec<String>),
    /// Those in this state.
    State(MessageState),
    /// All of them: of a replay, all that have ended.
    All,
}

/// What is to be delivered again.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayOrder {
    /// Which messages; a state is one that they end in.
    pub which: Which,
    /// Only to this receiver, as in the file; none: to all that the messages had.
    pub receiver: Option<String>,
    /// Messages a second, more than 0; none: as fast as the queue delivers.
    pub per_second: Option<f64>,
}

/// What is to be taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropOrder {
    /// Which messages.
    pub which: Which,
}

/// The body of `POST queues/Q/replay`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayAsk {
    /// Messages by their ids.
    pub ids: Vec<String>,
    /// Those in this state: `dead` or `done`.
    pub state: Option<MessageState>,
    /// All that have ended.
    pub all: bool,
    /// Only to this receiver, as in the file.
    pub receiver: Option<String>,
    /// Messages a second.
    pub per_second: Option<f64>,
}

/// The body of `POST queues/Q/drop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DropAsk {
    /// Messages by their ids.
    pub ids: Vec<String>,
    /// Those in this state.
    pub state: Option<MessageState>,
    /// All.
    pub all: bool,
}

/// Why something can't be done as ordered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOrder {
    /// It must be clear which messages are meant.
    #[error("say which messages by one of these: `ids`: [\"msg_…\"], `state`: \"dead\", or `all`: true")]
    NotOne,
    /// The list is too long.
    #[error("`ids` names {0}; {IDS} are the most at once")]
    TooMany(usize),
    /// No message and no receiver is named so.
    #[error("`{0}` can't be the name of anything here")]
    Name(String),
    /// What hasn't ended can't begin again.
    #[error(
        "messages that are `{}` are delivered anyway; replay those that are `dead` or `done`",
        .0.word()
    )]
    NotEnded(MessageState),
    /// Not a number that makes sense.
    #[error("`per_second` is more than 0 and at most {FASTEST}, in messages")]
    PerSecond,
}

impl ReplayAsk {
    /// What it orders.
    ///
    /// # Errors
    /// [`BadOrder`], which says what to write instead.
    pub fn check(self) -> Result<ReplayOrder, BadOrder> {
        let which = which(self.ids, self.state, self.all)?;
        if let Which::State(state @ (MessageState::Waiting | MessageState::Running)) = which {
            return Err(BadOrder::NotEnded(state));
        }
        self.receiver.as_deref().map_or(Ok(()), check_name)?;
        // So that what is not a number is none either.
        if self.per_second.is_some_and(|rate| !(rate > 0.0 && rate <= FASTEST)) {
            return Err(BadOrder::PerSecond);
        }
        Ok(ReplayOrder { which, receiver: self.receiver, per_second: self.per_second })
    }
}

impl DropAsk {
    /// What it orders.
    ///
    /// # Errors
    /// [`BadOrder`], which says what to write instead.
    pub fn check(self) -> Result<DropOrder, BadOrder> {
        Ok(DropOrder { which: which(self.ids, self.state, self.all)? })
    }
}

fn which(ids: Vec<String>, state: Option<MessageState>, all: bool) -> Result<Which, BadOrder> {
    if ids.len() > IDS {
        return Err(BadOrder::TooMany(ids.len()));
    }
    ids.iter().try_for_each(|id| check_name(id))?;
    match (ids.is_empty(), state, all) {
        (false, None, false) => Ok(Which::Ids(ids)),
        (true, Some(state), false) => Ok(Which::State(state)),
        (true, None, true) => Ok(Which::All),
        _ => Err(BadOrder::NotOne),
    }
}

fn check_name(name: &str) -> Result<(), BadOrder> {
    let visible = name.bytes().all(|byte| byte.is_ascii_graphic());
    let good = visible && (1..=NAME).contains(&name.len());
    if good { Ok(()) } else { Err(BadOrder::Name(short(name))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(ids: &[&str], state: Option<MessageState>, all: bool) -> Result<Which, BadOrder> {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        DropAsk { ids, state, all }.check().map(|order| order.which)
    }

    #[test]
    fn an_order_says_in_one_way_which_messages_it_means() {
        let dead = MessageState::Dead;
        assert_eq!(drop(&["a"], None, false), Ok(Which::Ids(vec!["a".to_owned()])));
        assert_eq!(drop(&[], Some(dead), false), Ok(Which::State(dead)));
        assert_eq!(drop(&[], None, true), Ok(Which::All));
        for (ids, state, all) in [
            (&[][..], None, false),
            (&["a"], Some(dead), false),
            (&["a"], None, true),
            (&[], Some(dead), true),
        ] {
            assert_eq!(drop(ids, state, all), Err(BadOrder::NotOne), "{ids:?} {state:?} {all}");
        }
        assert!(drop(&["a"; IDS], None, false).is_ok());
        assert_eq!(drop(&["a"; IDS + 1], None, false), Err(BadOrder::TooMany(IDS + 1)));
        for id in ["", "a b", "a\n", "ä", &"a".repeat(NAME + 1)] {
            assert!(matches!(drop(&[id], None, false), Err(BadOrder::Name(_))), "{id}");
        }
    }

    #[test]
    fn a_replay_brings_back_what_has_ended_at_a_rate_that_can_be() {
        let of = |state| ReplayAsk { state: Some(state), ..ReplayAsk::default() };
        assert!(of(MessageState::Dead).check().is_ok() && of(MessageState::Done).check().is_ok());
        for state in [MessageState::Waiting, MessageState::Running] {
            assert_eq!(of(state).check(), Err(BadOrder::NotEnded(state)));
        }
        let at = |rate| {
            let ask = ReplayAsk { all: true, per_second: Some(rate), ..ReplayAsk::default() };
            ask.check().map(|order| order.per_second)
        };
        assert_eq!((at(0.5), at(FASTEST)), (Ok(Some(0.5)), Ok(Some(FASTEST))));
        for rate in [0.0, -1.0, FASTEST + 1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(at(rate), Err(BadOrder::PerSecond), "{rate}");
        }
        let to = |receiver: &str| {
            let receiver = Some(receiver.to_owned());
            ReplayAsk { all: true, receiver, ..ReplayAsk::default() }.check()
        };
        assert!(to("https://hooks.example.com/in").is_ok());
        assert_eq!(to("a b"), Err(BadOrder::Name("a b".to_owned())));
    }
}
