//! What the runtime asks before it does something.

use engine::Position;

use super::accept::Refused;
use super::{MOST_MESSAGES, State};
use crate::record::{Number, What};

/// What is to be done with a record that lies at the log's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It may go.
    Over,
    /// It is appended again, as it is.
    Copied,
    /// All records of this message are appended again, since they name each other's places.
    Together(Number),
    /// It is of this upload, which is under way: only who writes it knows where its pieces lie.
    Coming(Number),
}

impl State {
    /// Is there room for one more message of so many bytes?
    ///
    /// # Errors
    /// As [`State::admit`].
    pub fn has_room(&self, bytes: u64) -> Result<(), Refused> {
        if self.open.numbers.len() + self.dead.numbers.len() + self.reserved.len() >= MOST_MESSAGES {
            return Err(Refused::TooMany);
        }
        self.room_for(0, bytes)
    }

    /// Would [`State::take`] give something? Cheap, and true rather than false.
    pub fn may_take(&mut self, now: u64) -> bool {
        let mut receivers = self.receivers.values_mut();
        !self.paused
            && receivers.any(|receiver| {
                receiver.wanted && receiver.pace.may_start(now).is_ok() && receiver.first_ready(now).is_some()
            })
    }

    /// About how many bytes of the log are needed for what is kept.
    pub fn kept_bytes(&self) -> u64 {
        self.open.bytes + self.done.bytes + self.dead.bytes + self.reserved.bytes
    }

    /// What is to be done with the record at this position before the log is trimmed beyond it.
    pub fn fate(&self, position: Position, what: &What<'_>) -> Fate {
        match what {
            What::Piece { upload, .. } if self.is_uploading(*upload) => Fate::Coming(*upload),
            _ if !self.is_live(position, what) => Fate::Over,
            What::Piece { upload, .. } => {
                let message = self.uploads.get(upload).and_then(|upload| upload.message);
                message.map_or(Fate::Over, Fate::Together)
            }
            _ => Fate::Copied,
        }
    }
}
