//! A stored message on its way out: its body from the log, and what its deliveries say of it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use queue::sign::Signer;
use queue::{Message, Pieces, Task};
use upstream::client::{Body, BodyError};
use upstream::clock::wall_ms;
use wire::Length;

use crate::tries::Sender;

/// A body as it lies in the log.
pub(super) struct Stored {
    bytes: u64,
    whole: Bytes,
    /// `whole` was given.
    given: bool,
    pieces: Option<Pieces>,
}

impl Stored {
    pub(super) fn new(task: &Task, message: &Message) -> Stored {
        Stored { bytes: message.bytes(), whole: message.whole(), given: false, pieces: message.pieces(task) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Body for Stored {
    fn length(&self) -> Length {
        Length::Exact(self.bytes)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        match &mut self.pieces {
            Some(pieces) => Poll::Ready(match ready!(pieces.poll_next(cx)) {
                Some(Ok(piece)) => Ok(Some(piece)),
                Some(Err(error)) => Err(BodyError::Broken(std::io::Error::other(error))),
                None => Ok(None),
            }),
            None => {
                let first = !std::mem::replace(&mut self.given, true) && !self.whole.is_empty();
                Poll::Ready(Ok(first.then(|| self.whole.clone())))
            }
        }
    }

    fn can_rewind(&self) -> bool {
        true
    }

    fn rewind(&mut self) -> bool {
        self.given = false;
        if let Some(pieces) = &mut self.pieces {
            pieces.rewind();
        }
        true
    }
}

impl Sender for Stored {
    fn is_left(&self, _cx: &mut Context<'_>) -> bool {
        false
    }
}

/// The field lines that are another's in each delivery: `webhook-…` (Standard Webhooks), which attempt
/// it is, and the queues that it came through.
///
/// # Errors
/// A piece of the body can't be read.
pub(super) async fn signatures(task: &Task, message: &Message) -> Result<Vec<u8>, engine::ReadError> {
    let id = task.id();
    let mut lines = format!(
        "webhook-id: {id}\r\nNearside-Attempt: {}\r\nNearside-Hops: {}\r\n",
        task.attempt(),
        task.hops(message)
    );
    let secrets = task.secrets();
    let timestamp = wall_ms() / 1000;
    lines.push_str(&format!("webhook-timestamp: {timestamp}\r\n"));
    if !secrets.is_empty() {
        let mut signer = Signer::new(&secrets, &id, timestamp);
        match message.pieces(task) {
            None => signer.update(&message.whole()),
            Some(mut pieces) => {
                while let Some(piece) = std::future::poll_fn(|cx| pieces.poll_next(cx)).await {
                    signer.update(&piece?);
                    // All may be read without a wait: others have their turn between.
                    tokio::task::yield_now().await;
                }
            }
        }
        lines.push_str(&format!("webhook-signature: {}\r\n", signer.finish()));
    }
    Ok(lines.into_bytes())
}
