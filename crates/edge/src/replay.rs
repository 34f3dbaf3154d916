//! A request's body that can be sent again: what has passed is remembered while it is small.
//!
//! Pieces are shared, not copied. Once the body outgrows [`REMEMBERED`] all of it is forgotten, and
//! the request can't be sent to another endpoint any more.

use std::task::{Context, Poll};

use bytes::Bytes;
use upstream::client::{Body, BodyError};
use wire::{Fields, Length};

/// Bytes that are remembered at most.
pub(crate) const REMEMBERED: usize = 64 * 1024;
/// Pieces that are remembered at most: each may hold on to a whole buffer.
const PIECES: usize = 16;

pub(crate) struct Replay<B> {
    pub(crate) inner: B,
    kept: Vec<Bytes>,
    /// Index in `kept` of the next piece to send again.
    at: usize,
    bytes: usize,
    forgotten: bool,
    ended: bool,
}

impl<B: Body> Replay<B> {
    pub(crate) fn new(inner: B) -> Self {
        Replay { inner, kept: Vec::new(), at: 0, bytes: 0, forgotten: false, ended: false }
    }

    /// The whole body, if it has passed and was remembered, or if there is none.
    pub(crate) fn whole(&self) -> Option<&[Bytes]> {
        let whole = self.ended || self.inner.length() == Length::Exact(0);
        (whole && !self.forgotten).then_some(&self.kept)
    }

    fn remember(&mut self, piece: &Bytes) {
        self.bytes += piece.len();
        if self.forgotten || self.bytes > REMEMBERED || self.kept.len() == PIECES {
            self.forgotten = true;
            self.kept.clear();
            self.at = 0;
        } else {
            self.kept.push(piece.clone());
            self.at = self.kept.len();
        }
    }
}

impl<B: Body> Body for Replay<B> {
    fn length(&self) -> Length {
        self.inner.length()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if let Some(piece) = self.kept.get(self.at) {
            self.at += 1;
            return Poll::Ready(Ok(Some(piece.clone())));
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
