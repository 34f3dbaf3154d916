//! What operators do to a queue: pause it, bring messages back, take messages out.

use std::sync::Arc;

use engine::{AppendError, Room};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use upstream::clock::wall_ms;

use crate::queue::Queue;
use crate::record::{Number, ReceiverIndex, What};
use crate::state::{Dropping, Replaying, State};

/// Records that are written before their end is waited for.
const PORTION: usize = 256;

impl Queue {
    /// Begins no delivery any more, or delivers again; done when that lasts.
    ///
    /// # Errors
    /// It can't be written.
    pub async fn pause(self: &Arc<Self>, paused: bool) -> Result<(), AppendError> {
        self.write_all(vec![What::Paused(paused)]).await?;
        self.store.wake.all();
        Ok(())
    }

    /// The receiver of this name, as in the file.
    pub fn receiver_index(&self, text: &str) -> Option<ReceiverIndex> {
        let counts = self.lock().counts(wall_ms());
        counts.receivers.iter().find(|receiver| &*receiver.text == text).map(|receiver| receiver.index)
    }

    /// Brings messages back; says how many.
    ///
    /// # Errors
    /// It can't be written; what was written before holds.
    pub async fn replay(self: &Arc<Self>, mut replaying: Replaying) -> Result<u64, AppendError> {
        while !replaying.is_over() {
            let portion = self.lock().replay(&mut replaying, PORTION);
            self.write_all(portion).await?;
            // A portion may be empty, and others want the thread too.
            yield_now().await;
        }
        Ok(replaying.sent())
    }

    /// Takes messages out; says how many.
    ///
    /// # Errors
    /// It can't be written; what was written before holds.
    pub async fn drop_all(self: &Arc<Self>, mut dropping: Dropping) -> Result<u64, AppendError> {
        let mut dropped = 0;
        while !dropping.is_over() {
            let portion = State::drop(&self.lock(), &mut dropping, PORTION);
            dropped += portion.len() as u64;
            self.write_all(portion).await?;
        }
        Ok(dropped)
    }

    /// Takes one message out; false: it isn't there.
    ///
    /// # Errors
    /// It can't be written.
    pub async fn drop_one(self: &Arc<Self>, number: Number) -> Result<bool, AppendError> {
        if self.lock().message(number).is_none() {
            return Ok(false);
        }
        self.write_all(vec![What::Dropped { number, receiver: None }]).await?;
        Ok(true)
    }

    async fn write_all(self: &Arc<Self>, all: Vec<What<'_>>) -> Result<(), AppendError> {
        let mut written = Vec::with_capacity(all.len());
        for what in &all {
            let (tell, told) = oneshot::channel();
            self.write(what, Room::Reserve, move |at| {
                let _ = tell.send(at.clone());
            });
            written.push(told);
        }
        for told in written {
            told.await.unwrap_or(Err(AppendError::Closed))?;
        }
        Ok(())
    }
}
