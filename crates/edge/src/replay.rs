//! A request's body that can be sent again: what has passed is remembered while it is small.
//!
//! It is copied, since a few bytes kept as they came would keep the whole buffer that they came in.
//! Once the body outgrows [`REMEMBERED`] all of it is forgotten, and the request can't be sent to
//! another endpoint any more.

use std::task::{Context, Poll};

use bytes::Bytes;
use upstream::client::{Body, BodyError};
use wire::{Fields, Length};

/// Bytes that are remembered at most.
pub(crate) const REMEMBERED: usize = 64 * 1024;

pub(crate) struct Replay<B> {
    pub(crate) inner: B,
    kept: Vec<u8>,
    /// In `kept`, of the next byte to send again.
    at: usize,
    forgotten: bool,
    ended: bool,
}

impl<B: Body> Replay<B> {
    pub(crate) fn new(inner: B) -> Self {
        Replay { inner, kept: Vec::new(), at: 0, forgotten: false, ended: false }
    }

    /// The whole body, if it has passed and was remembered, or if there is none.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        let whole = self.ended || self.inner.length() == Length::Exact(0);
        (whole && !self.forgotten).then_some(&self.kept)
    }

    fn remember(&mut self, piece: &[u8]) {
        if self.forgotten || self.kept.len() + piece.len() > REMEMBERED {
            self.forgotten = true;
            self.kept = Vec::new();
        } else {
            self.kept.extend_from_slice(piece);
        }
        self.at = self.kept.len();
    }
}

impl<B: Body> Body for Replay<B> {
    fn length(&self) -> Length {
        self.inner.length()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if self.at < self.kept.len() {
            let again = Bytes::copy_from_slice(&self.kept[self.at..]);
            self.at = self.kept.len();
            return Poll::Ready(Ok(Some(again)));
        }
        let polled = self.inner.poll_piece(cx);
        match &polled {
            Poll::Ready(Ok(Some(piece))) => self.remember(piece),
            Poll::Ready(Ok(None)) => self.ended = true,
            _ => {}
        }
        polled
    }

    fn can_rewind(&self) -> bool {
        !self.forgotten
    }

    fn rewind(&mut self) -> bool {
        self.at = 0;
        !self.forgotten
    }

    fn trailers(&self) -> Option<&Fields> {
        self.inner.trailers()
    }
}
