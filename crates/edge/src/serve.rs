//! HTTP/1.1 on one client's connection: heads read one after the other, each answered before the next.
//!
//! A connection that waits for its next request is small: a socket, a deadline and little else. What a
//! request needs is made when its first bytes come, reused for those that follow soon, and given back
//! after [`LINGER`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use config::plan::{Limits, Listener};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use upstream::client::{Deadline, Inbox};
use wire::head::may_be_whole;
use wire::{BadHead, RequestHead, ResponseHead, framing, head};

use crate::guard::Ticket;
use crate::incoming::Incoming;
use crate::live::Live;
use crate::outgoing::Outgoing;
use crate::request::{self, After};
use crate::respond::{self, Refusal};
use crate::shared::{Phase, Thread};
use crate::tunnel;

/// How long a connection keeps its memory after an answer.
const LINGER: Duration = Duration::from_millis(500);
/// How long a client that was refused may go on sending, so that it can read why.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Bytes of a refused request that are read before the connection is cut.
const LAST_BYTES: usize = 1024 * 1024;

/// A client at the other end.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The same as text.
    pub(crate) text: String,
    /// What endpoints are told of it, if it isn't trusted.
    pub(crate) said: Vec<u8>,
    /// Believed by the listener.
    pub(crate) trusted: bool,
    pub(crate) door: Arc<Listener>,
}

/// Memory that is reused from request to request.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) head: RequestHead,
    pub(crate) buffers: Buffers,
}

/// What an answer is made in.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) answer: ResponseHead,
    /// The head that an endpoint gets.
    pub(crate) sent: Vec<u8>,
    /// The head that the client gets.
    pub(crate) out: Vec<u8>,
    /// What it asks the cache for.
    pub(crate) key: cache::key::Key,
}

/// One client's connection.
struct Connection {
    thread: Arc<Thread>,
    peer: Peer,
    stream: TcpStream,
    inbox: Inbox,
    deadline: Deadline,
    served: u32,
    _ticket: Ticket,
}

/// Why serving stopped for now.
enum Next {
    /// Nothing to do till the client sends again.
    Rest,
    /// Ended in order.
    Close,
    /// Ended before the client had sent all: it is let finish, so that it can read the answer.
    LingeringClose,
    /// An answer broke off.
    Abort,
    Tunnel(Box<tunnel::Tunnel>),
}

/// What reading a head came to.
enum Head {
    Whole,
    Rest,
    Closed,
    Bad(BadHead),
    Late,
}

/// Serves a connection till it ends.
pub(crate) async fn connection(thread: Arc<Thread>, peer: Peer, stream: TcpStream, ticket: Ticket) {
    let shared = thread.shared.clone();
    shared.connections.fetch_add(1, Ordering::Relaxed);
    thread.shard.connection_opened();
    let shard = thread.shard.clone();
    let deadline = Deadline::new();
    let mut connection =
        Connection { thread, peer, stream, inbox: Inbox::default(), deadline, served: 0, _ticket: ticket };
    while connection.wait().await {
        // Boxed, so that a waiting connection doesn't hold the memory of a request.
        match Box::pin(connection.busy()).await {
            Next::Rest => {}
            Next::Close => break,
            Next::LingeringClose => {
                connection.last_words().await;
                break;
            }
            Next::Abort => {
                // A reset, not an orderly end: else a body without a length would look whole.
                let _ = socket2::SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO));
                break;
            }
            Next::Tunnel(tunnel) => {
                let early = connection.inbox.split(usize::MAX);
                shared.under_way.fetch_add(1, Ordering::Relaxed);
                Box::pin(tunnel::run(connection.stream, early, *tunnel)).await;
                shared.under_way.fetch_sub(1, Ordering::Relaxed);
                break;
            }
        }
    }
    shard.connection_closed();
    shared.connections.fetch_sub(1, Ordering::Relaxed);
}

impl Connection {
    /// Waits for the first bytes of a request; false: none will come.
    async fn wait(&mut self) -> bool {
        if !self.inbox.is_empty() {
            return true;
        }
        let live = self.thread.live();
        let limits = &live.plan.limits;
        let first = if self.served == 0 { limits.header_timeout } else { limits.idle_timeout };
        self.deadline.set(first);
        let mut hurried = false;
        std::future::poll_fn(|cx| match self.inbox.poll_fill(cx, &mut self.stream) {
            Poll::Ready(Ok(n)) => Poll::Ready(n > 0),
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Pending => {
                if self.thread.shared.phase() == Phase::Closing && !hurried {
                    // Who came in at the last moment has sent a request that is still on its way.
                    hurried = true;
                    self.deadline.set(if self.served == 0 { LINGER } else { Duration::ZERO });
                }
                self.deadline.poll_over(cx).map(|()| false)
            }
        })
        .await
    }

    /// Answers requests as long as they come.
    async fn busy(&mut self) -> Next {
        let mut scratch = Scratch::default();
        let mut live = self.thread.live();
        loop {
            match self.read_head(&mut scratch.head, &live.plan.limits).await {
                Head::Whole => {}
                Head::Rest => return Next::Rest,
                Head::Closed => return Next::Close,
                Head::Bad(bad) => return self.refuse(bad.into(), &mut scratch).await,
                Head::Late => return self.refuse(Refusal::header_timeout(), &mut scratch).await,
            }
            live = self.thread.live(); // a reload may have come while the head did
            let length = match framing::of_request(&scratch.head) {
                Ok(length) => length,
                Err(bad) => return self.refuse(bad.into(), &mut scratch).await,
            };
            self.served += 1;
            let shared = self.thread.shared.clone();
            shared.under_way.fetch_add(1, Ordering::Relaxed);
            let next = self.answer(&live, &mut scratch, length).await;
            shared.under_way.fetch_sub(1, Ordering::Relaxed);
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// Answers one request; none: the next one may come.
    async fn answer(&mut self, live: &Live, scratch: &mut Scratch, length: wire::Length) -> Option<Next> {
        let limits = &live.plan.limits;
        let head = &scratch.head;
        let (read, write) = self.stream.split();
        let mut outgoing = Outgoing::new(write, limits.idle_timeout, head.version, head.method);
        let asked = !framing::keeps_alive(head.version, &head.fields);
        outgoing.close =
            asked || (limits.requests_per_connection != 0 && self.served >= limits.requests_per_connection);
        let mut incoming = Incoming::new(
            read,
            &mut self.inbox,
            &mut self.deadline,
            length,
            limits.idle_timeout,
            limits.body,
        );
        incoming.awaits_continue = framing::expects_continue(head).unwrap_or(false);
        let after =
            request::answer(&self.thread, live, &self.peer, scratch, length, incoming, &mut outgoing).await;
        match after {
            After::Keep => None,
            // It asked for the end itself, and has nothing more to say.
            After::Close if asked && length == wire::Length::Exact(0) => Some(Next::Close),
            After::Close => Some(Next::LingeringClose),
            After::Abort => Some(Next::Abort),
            After::Tunnel(tunnel) => Some(Next::Tunnel(tunnel)),
        }
    }

    async fn read_head(&mut self, head: &mut RequestHead, limits: &Limits) -> Head {
        let most = head::Limits { bytes: limits.header_bytes, fields: limits.headers };
        let mut seen = 0;
        // A request of which something is there must come whole in time; before that it may rest.
        let mut begun = !self.inbox.is_empty();
        self.deadline.set(if begun { limits.header_timeout } else { LINGER });
        std::future::poll_fn(|cx| {
            loop {
                let data = self.inbox.data();
                if data.len() >= most.bytes || (!data.is_empty() && (seen == 0 || may_be_whole(data, seen))) {
                    match head.read(data, most) {
                        Ok(Some(len)) => {
                            self.inbox.consume(len);
                            self.deadline.clear();
                            return Poll::Ready(Head::Whole);
                        }
                        Ok(None) => {}
                        Err(bad) => return Poll::Ready(Head::Bad(bad)),
                    }
                }
                seen = data.len();
                if seen > 0 && !begun {
                    begun = true;
                    self.deadline.set(limits.header_timeout);
                }
                match self.poll_more(cx, begun) {
                    Poll::Ready(None) => {}
                    Poll::Ready(Some(head)) => return Poll::Ready(head),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// More bytes; or why there are none.
    fn poll_more(&mut self, cx: &mut Context<'_>, begun: bool) -> Poll<Option<Head>> {
        match self.inbox.poll_fill(cx, &mut self.stream) {
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => Poll::Ready(Some(Head::Closed)),
            Poll::Ready(Ok(_)) => Poll::Ready(None),
            Poll::Pending => {
                let over = self.deadline.poll_over(cx).is_ready();
                match (over, begun) {
                    (true, true) => Poll::Ready(Some(Head::Late)),
                    (true, false) => Poll::Ready(Some(Head::Rest)),
                    (false, false) if self.thread.shared.phase() == Phase::Closing => {
                        Poll::Ready(Some(Head::Closed))
                    }
                    _ => Poll::Pending,
                }
            }
        }
    }

    /// Tells a client that its request can't be read. What follows on the connection can't either.
    async fn refuse(&mut self, refusal: Refusal, scratch: &mut Scratch) -> Next {
        self.deadline.set(LAST_WORDS);
        refuse(&self.thread, &mut self.stream, &refusal, scratch).await;
        Next::LingeringClose
    }

    /// Closes in a way that lets the client read the answer: it is told that nothing more comes, and
    /// what it still sends is read for a while, since a reset would throw the answer away (RFC 9112 §9.6).
    async fn last_words(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        self.deadline.set(LAST_WORDS);
        let mut left = LAST_BYTES;
        while left > 0 {
            self.inbox.consume(usize::MAX);
            let (inbox, stream) = (&mut self.inbox, &mut self.stream);
            match self.deadline.limit(|cx| inbox.poll_fill(cx, stream)).await {
                Some(Ok(n)) if n > 0 => left = left.saturating_sub(n),
                _ => return,
            }
        }
    }
}

/// Sends a refusal on a connection that will be closed.
pub(crate) async fn refuse(
    thread: &Thread,
    stream: &mut TcpStream,
    refusal: &Refusal,
    scratch: &mut Scratch,
) {
    if let Some(why) = refusal.why {
        thread.shard.refused(why);
    }
    let id = crate::headers::new_id(fastrand::u128(..));
    let mut body = Vec::new();
    respond::refusal(refusal, &id, false, &mut scratch.buffers.answer, &mut body);
    let mut out = Vec::with_capacity(512);
    crate::headers::answer(&mut out, &scratch.buffers.answer, &id, false);
    wire::write::length(&mut out, wire::Length::Exact(body.len() as u64));
    out.extend_from_slice(b"connection: close\r\n\r\n");
    out.extend_from_slice(&body);
    // It fits in any socket's buffer; a client that is gone needs no answer.
    let _ = stream.try_write(&out);
}
