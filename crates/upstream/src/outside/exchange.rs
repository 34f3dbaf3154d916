//! One connection to a receiver, and requests on it one after the other.
//!
//! hyper means its connections to be run by a task of their own. Here whoever waits for an answer
//! moves the connection on, so that it ends with him and nothing needs to be spawned.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::body::Outgoing;
use super::connect::Stream;
use super::{BODY, OutsideError};

/// Bytes of an answer's head, and of what is read or written ahead.
const BUFFER: usize = 64 * 1024;
/// Fields of an answer.
const FIELDS: usize = 256;
/// Bytes of an answer's body that are read; a connection with more to come is closed.
const READ: usize = 64 * 1024;

/// A connection.
pub(super) struct Conn {
    sender: SendRequest<Outgoing>,
    /// None: it is closed.
    connection: Option<Connection<TokioIo<Stream>, Outgoing>>,
    /// Did something come since the last request?
    heard: Arc<AtomicBool>,
    /// Does it lead to an address that isn't public?
    pub private: bool,
}

impl Conn {
    /// Over a stream that notes in `heard` when something came.
    ///
    /// # Errors
    /// [`OutsideError`], if hyper has any.
    pub async fn over(stream: Stream, heard: Arc<AtomicBool>, private: bool) -> Result<Conn, OutsideError> {
        let mut builder = Builder::new();
        builder.max_buf_size(BUFFER).max_headers(FIELDS);
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|why| OutsideError::of_exchange(&why))?;
        Ok(Conn { sender, connection: Some(connection), heard, private })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// hyper's; the connection is of no more use.
    pub async fn ask(&mut self, head: &Parts, body: &Outgoing) -> hyper::Result<Response<Incoming>> {
        self.heard.store(false, Ordering::Relaxed);
        let request = Request::from_parts(head.clone(), body.clone());
        let mut answer = pin!(self.sender.send_request(request));
        std::future::poll_fn(|cx| {
            poll_connection(&mut self.connection, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Has anything come since the last request was begun?
    pub fn was_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Reads the answer's body to its end, keeping the first [`BODY`] bytes; false if it is too long or
    /// breaks off.
    pub async fn read(&mut self, mut from: Incoming, kept: &mut Vec<u8>) -> bool {
        let mut left = READ;
        loop {
            let frame = std::future::poll_fn(|cx| {
                poll_connection(&mut self.connection, cx);
                Pin::new(&mut from).poll_frame(cx)
            });
            let data = match frame.await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            kept.extend(data.iter().take(BODY.saturating_sub(kept.len())));
            match left.checked_sub(data.len()) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
    }

    /// Is it open and ready for the next request, with nothing arrived that nobody asked for?
    pub fn is_idle(&mut self) -> bool {
        poll_connection(&mut self.connection, &mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// Moves a connection on; one that has ended is dropped, which tells whoever waits for its answer.
fn poll_connection(connection: &mut Option<Connection<TokioIo<Stream>, Outgoing>>, cx: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
        *connection = None;
    }
}
