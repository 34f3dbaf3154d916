//! A message's body on its way through hyper.
//!
//! hyper wants to own a body; for a second try it is needed back. So both hold it, and whoever of the
//! two moves has it to himself: they are in one task.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::Frame;
use wire::Length;

use crate::client::{Body, BodyError};
use crate::lock;

/// A body, or none.
#[derive(Clone)]
pub(super) struct Outgoing(Option<Arc<Mutex<Carried>>>);

struct Carried {
    body: Box<dyn Body>,
    /// Its first piece was asked for.
    drawn: bool,
    failed: Option<BodyError>,
}

/// It can't be read; why is kept in [`Carried`].
#[derive(Debug, thiserror::Error)]
#[error("the message's body can't be read")]
pub(super) struct Unreadable;

impl Outgoing {
    pub fn new(body: Option<Box<dyn Body>>) -> Outgoing {
        Outgoing(body.map(|body| Arc::new(Mutex::new(Carried { body, drawn: false, failed: None }))))
    }

    /// None: there is no body.
    pub fn length(&self) -> Option<Length> {
        self.0.as_ref().map(|carried| lock(carried).body.length())
    }

    /// Makes it ready for another try; false if that can't be done.
    pub fn rewind(&self) -> bool {
        self.0.as_ref().is_none_or(|carried| {
            let mut carried = lock(carried);
            if carried.drawn && !carried.body.rewind() {
                return false;
            }
            carried.drawn = false;
            true
        })
    }

    pub fn has_failed(&self) -> bool {
        self.0.as_ref().is_some_and(|carried| lock(carried).failed.is_some())
    }

    pub fn take_failure(&self) -> Option<BodyError> {
        self.0.as_ref().and_then(|carried| lock(carried).failed.take())
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = Unreadable;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unreadable>>> {
        let Some(carried) = &self.0 else { return Poll::Ready(None) };
        let mut carried = lock(carried);
        carried.drawn = true;
        carried.body.poll_piece(cx).map(|piece| match piece {
            Ok(piece) => piece.map(|bytes| Ok(Frame::data(bytes))),
            Err(why) => {
                carried.failed = Some(why);
                Some(Err(Unreadable))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.length(), None | Some(Length::Exact(0)))
    }
}
