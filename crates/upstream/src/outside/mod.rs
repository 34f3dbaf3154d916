//! Deliveries to plain URLs: receivers in the world, which nobody here checks, balances or trusts.
//!
//! An endpoint of a service is part of the site; what a plain URL leads to is not. So TLS is checked
//! against the system's certificates, an address is judged after its name was resolved and exactly
//! that address is connected to ([`is_public`]), redirects aren't followed, and of an answer no more is
//! kept than an operator needs to see. hyper speaks HTTP here and not [`crate::client`], whose
//! exchanges are bound to the bare sockets of the data path.
//!
//! All of it runs in the task that asks: a connection is moved on by whoever uses it.

mod body;
mod connect;
mod error;
mod exchange;
mod message;
mod pool;
mod target;
mod trust;

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use tokio::time::timeout;
use wire::Fields;

pub use config::public::is_public;
pub use error::{BadCertificate, OutsideError};
pub use target::Target;
pub use trust::Trust;

use crate::client::Body;
use crate::resolve::Names;
use body::Outgoing;
use exchange::Conn;
use pool::Pool;

/// What goes to a receiver.
pub struct OutsideRequest<'a> {
    /// To whom.
    pub target: &'a Target,
    /// Upper case.
    pub method: &'a str,
    /// Path and query that are asked for if the target names none.
    pub path: &'a str,
    /// Field lines, each `Name: value\r\n`. `Host` and the framing are made anew, and what is meant for
    /// a single hop isn't passed on (RFC 9110 §7.6.1).
    pub fields: &'a [u8],
    /// None: the request has none.
    pub body: Option<Box<dyn Body>>,
    /// For all of it, to the end of the answer.
    pub time: Duration,
    /// For the name's look-up, the connection and its handshake.
    pub connect: Duration,
    /// May it lead to addresses that aren't [public](is_public)?
    pub allow_private: bool,
}

/// What a receiver answered.
#[derive(Debug)]
pub struct OutsideAnswer {
    /// 200 and above, or 101.
    pub status: u16,
    /// All its fields.
    pub fields: Fields,
    /// The first [`BODY`] bytes of its body at most, or what came of them in time: the status alone
    /// says whether the receiver took the message.
    pub body: Vec<u8>,
}

/// Bytes of an answer's body that are kept.
pub const BODY: usize = 4 * 1024;

/// A client for plain URLs, with the connections that it keeps. It can be shared by threads, but a
/// connection is tied to the runtime in which it was made: each data thread has one of its own.
pub struct Outside {
    trust: Trust,
    names: Names,
    pool: Pool,
}

impl Outside {
    /// One that trusts those certificates and asks this name server; none: the system's.
    pub fn new(trust: Trust, name_server: Option<SocketAddr>) -> Outside {
        Outside { trust, names: Names::new(name_server), pool: Pool::default() }
    }

    /// Sends a request and waits for its answer. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`OutsideError`]: no status came. The receiver may have got the request all the same, unless it
    /// was never connected to.
    pub async fn send(&self, request: OutsideRequest<'_>) -> Result<OutsideAnswer, OutsideError> {
        let mut answer = None;
        let done = timeout(request.time, self.deliver(request, &mut answer)).await;
        match (answer, done) {
            (Some(answer), _) => Ok(answer),
            (None, Ok(Err(why))) => Err(why),
            (None, _) => Err(OutsideError::Timeout),
        }
    }

    /// Closes connections that were kept long enough, at this time of the [`clock`](crate::clock); to be
    /// called about once a second.
    pub fn sweep(&self, now: u64) {
        self.pool.sweep(now);
    }

    /// Connections that wait for their next use.
    pub fn kept(&self) -> usize {
        self.pool.len()
    }

    /// Leaves the answer as soon as its head is there, so that it isn't lost if its body takes too long.
    async fn deliver(
        &self,
        request: OutsideRequest<'_>,
        answer: &mut Option<OutsideAnswer>,
    ) -> Result<(), OutsideError> {
        let target = request.target;
        let (mut conn, response) = self.answered(request).await?;
        let (head, body) = response.into_parts();
        let fields = message::fields(&head.headers);
        let answer = answer.insert(OutsideAnswer { status: head.status.as_u16(), fields, body: Vec::new() });
        if conn.read(body, &mut answer.body).await && conn.is_idle() {
            self.pool.put(target, conn);
        }
        Ok(())
    }

    /// The answer's head, on a kept connection if there is one. If the receiver closed that one while it
    /// was kept, the request goes out once more on a new one: no byte came back, so it wasn't taken.
    async fn answered(
        &self,
        request: OutsideRequest<'_>,
    ) -> Result<(Conn, Response<Incoming>), OutsideError> {
        let OutsideRequest { target, connect, allow_private, .. } = request;
        let (ask, body) = message::request(request)?;
        if let Some(mut conn) = self.pool.take(target, allow_private) {
            match conn.ask(&ask, &body).await {
                Ok(response) => return Ok((conn, response)),
                Err(why) if conn.was_heard() || body.has_failed() || !body.rewind() => {
                    return Err(failure(&why, &body));
                }
                Err(_) => {}
            }
        }
        let connecting = connect::open(&self.names, &self.trust, target, allow_private, connect);
        let mut conn = Box::pin(connecting).await?;
        match conn.ask(&ask, &body).await {
            Ok(response) => Ok((conn, response)),
            Err(why) => Err(failure(&why, &body)),
        }
    }
}

/// If the body could not be read, that is the truer cause.
fn failure(why: &hyper::Error, body: &Outgoing) -> OutsideError {
    body.take_failure().map_or_else(|| OutsideError::of_exchange(why), OutsideError::Body)
}
