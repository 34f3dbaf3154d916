//! The tries to have a service answer: an endpoint, and another one where the first fails and the
//! request may safely be repeated.
//!
//! Whoever asks (a client's connection, or a fetch for the cache) says how its body is read, who sees
//! interim answers, and how one notices that nobody waits any more.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use config::plan::RetryOn;
use upstream::balance::Tried;
use upstream::client::{Body, BodyError, Conn, Exchange, Failed, pool};
use upstream::{Ask, FailKind, Lease, NoEndpoint, Outcome, clock};
use wire::{Method, ResponseHead, write};

use crate::live::Party;
use crate::request::Trail;
use crate::respond::Refusal;
use crate::stats::Shard;

/// An answer of at most so many bytes is held till it is whole, so that an endpoint that dies in its
/// midst can still be replaced by another, and so that it leaves in one write.
const HELD: u64 = 64 * 1024;

/// Addresses of one endpoint's name that one request tries.
const ADDRESSES: usize = 3;

/// An endpoint's answer: its head, and its body too if it was held.
pub(crate) struct Answered<'h, B> {
    pub(crate) exchange: Exchange<'h, B>,
    pub(crate) head: ResponseHead,
    /// All of its body, or nothing.
    pub(crate) held: Bytes,
    pub(crate) lease: Lease,
    pub(crate) latency_ns: u64,
}

/// A try that gave no answer.
struct Tally<B> {
    /// Nothing of the request left.
    unsent: bool,
    body: Option<B>,
    lease: Lease,
    failed: Failed,
}

/// How a try ended. Boxed, since it passes through many hands.
type Attempted<'h, B> = Result<Box<Answered<'h, B>>, Box<Tally<B>>>;

/// What holds for all tries of one request.
pub(crate) struct Terms<'a> {
    pub(crate) party: &'a Party,
    /// Where retries are counted.
    pub(crate) shard: &'a Shard,
    /// Of the request, as it is sent.
    pub(crate) out: &'a [u8],
    pub(crate) method: Method,
    /// Nanoseconds of [`clock`].
    pub(crate) started: u64,
    pub(crate) has_body: bool,
    pub(crate) idempotent: bool,
    /// It asks for another protocol.
    pub(crate) upgrade: bool,
    /// Small answers are held.
    pub(crate) hold: bool,
    pub(crate) ask: Asking,
}

/// What a pick is made by.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    pub(crate) hash: u64,
    pub(crate) sticky: Option<u64>,
}

/// A body whose sender may leave while an answer is waited for.
pub(crate) trait Sender: Body {
    /// Has it? Then nobody needs an answer.
    fn is_left(&self, cx: &mut Context<'_>) -> bool;
}

/// Who sees interim answers (RFC 9110 §15.2).
pub(crate) trait Interim: Send {
    /// Sends a head that is already written.
    fn pass(&mut self, head: &[u8]) -> impl Future<Output = ()> + Send;
    /// Would it?
    fn takes(&self) -> bool;
}

/// Tries endpoints till one answers, as often as the plan and the budget allow.
pub(crate) async fn tries<'h, B: Sender>(
    terms: &Terms<'h>,
    answer: &mut ResponseHead,
    slot: &mut Option<B>,
    interim: &mut impl Interim,
    trail: &mut Trail,
) -> Result<Box<Answered<'h, B>>, Refusal> {
    let service = &terms.party.service;
    let retry = &service.plan().retry;
    let mut hedge = service
        .hedge_after()
        .filter(|_| matches!(terms.method, Method::Get | Method::Head) && !terms.has_body && !terms.upgrade);
    let mut tried = Tried::default();
    let mut left = retry.attempts;
    let mut lease = pick(terms, &tried, terms.started)?;
    loop {
        tried.insert(lease.endpoint().key());
        trail.tries += 1;
        let body = if terms.has_body { slot.take() } else { None };
        let head = std::mem::take(answer);
        let tally = match hedge.take() {
            Some(after) => while_there(slot, hedged(terms, after, &mut tried, head, lease, trail)).await?,
            None => while_there(slot, attempt(terms, head, body, lease, interim)).await?,
        };
        let (next, body) = match tally {
            Ok(answered) => {
                let again = left > 0
                    && terms.idempotent
                    && retry.on.statuses.contains(&answered.head.status)
                    && answered.exchange.can_repeat();
                match again.then(|| another(terms, &tried)).flatten() {
                    Some(next) => (next, discard(*answered)),
                    None => return Ok(answered),
                }
            }
            Err(tally) => {
                trail.endpoint = Some(tally.lease.endpoint().url().clone());
                trail.error = Some(tally.failed.to_string());
                let (next, body, failed) = blame(terms, *tally, left, &tried);
                match next {
                    Some(next) => (next, body),
                    None => {
                        slot_back(slot, body);
                        return Err(failed.into());
                    }
                }
            }
        };
        slot_back(slot, body);
        lease = next;
        left -= 1;
        terms.shard.retry(terms.party.id);
    }
}

/// `work`, unless the client leaves meanwhile: nobody needs an answer then, and its place under the
/// service's limit is others'. A body that `work` has notices that itself, as long as it is read.
pub(crate) async fn while_there<T, B: Sender>(
    slot: &Option<B>,
    work: impl Future<Output = T>,
) -> Result<T, Refusal> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match (work.as_mut().poll(cx), slot) {
        (Poll::Ready(done), _) => Poll::Ready(Ok(done)),
        (Poll::Pending, Some(body)) if body.is_left(cx) => Poll::Ready(Err(BodyError::Closed.into())),
        (Poll::Pending, _) => Poll::Pending,
    })
    .await
}

fn slot_back<B>(slot: &mut Option<B>, body: Option<B>) {
    if body.is_some() {
        *slot = body;
    }
}

/// Puts a failure to its endpoint's account, and says where the request may be tried next.
fn blame<B: Body>(
    terms: &Terms<'_>,
    tally: Tally<B>,
    left: u32,
    tried: &Tried,
) -> (Option<Lease>, Option<B>, Failed) {
    let Tally { unsent, mut body, lease, failed } = tally;
    let kind = kind(&failed);
    if let Some(kind) = kind {
        lease.finish(Outcome::Failed(kind), clock::now());
    }
    let on = &terms.party.service.plan().retry.on;
    let again = left > 0
        && (terms.idempotent || unsent)
        && kind.is_some_and(|kind| repeats(on, kind))
        && body.as_mut().is_none_or(Body::rewind);
    (again.then(|| another(terms, tried)).flatten(), body, failed)
}

/// Sends the request to one endpoint and reads its answer's head, and its body if it is small.
/// A kept connection that the endpoint closed meanwhile is no failure: a new one is tried.
async fn attempt<'h, B: Body>(
    terms: &Terms<'h>,
    mut head: ResponseHead,
    mut body: Option<B>,
    lease: Lease,
    interim: &mut impl Interim,
) -> Attempted<'h, B> {
    let times = &terms.party.service.plan().timeout;
    let mut kept = pool::take_for(lease.endpoint());
    loop {
        let conn = match kept.take() {
            Some(conn) => conn,
            None => match open(&lease, times.connect).await {
                Ok(conn) => conn,
                Err(failed) => {
                    return Err(Box::new(Tally { unsent: true, body, lease, failed }));
                }
            },
        };
        let mut exchange = Exchange::new(conn, terms.out, body.take(), times.response, times.idle);
        let failed = match read(terms, &mut exchange, &mut head, interim).await {
            Ok((latency_ns, held)) => {
                return Ok(Box::new(Answered { exchange, head, held, lease, latency_ns }));
            }
            Err(failed) => failed,
        };
        let unsent = exchange.nothing_sent();
        let stale = exchange.is_reused()
            && exchange.heard_nothing()
            && matches!(failed, Failed::Closed | Failed::Broken(_))
            && (terms.idempotent || unsent);
        body = exchange.abandon();
        if !stale || !body.as_mut().is_none_or(Body::rewind) {
            return Err(Box::new(Tally { unsent, body, lease, failed }));
        }
    }
}

/// Connects to an endpoint; to the next of its name's addresses if one can't be reached.
async fn open(lease: &Lease, limit: Duration) -> Result<Conn, Failed> {
    let endpoint = lease.endpoint();
    let mut failed = Failed::Connect(io::Error::new(io::ErrorKind::NotFound, "its name has no address"));
    for _ in 0..endpoint.address_count().min(ADDRESSES) {
        let Some(address) = endpoint.address() else { break };
        match Conn::open(address, limit).await {
            Ok(conn) => return Ok(conn),
            Err(error) => failed = error,
        }
        endpoint.turn_from(address);
    }
    Err(failed)
}

/// Reads heads up to the final one, passing interim ones on; says how long that took; and then the body if it is to be held.
async fn read<B: Body>(
    terms: &Terms<'_>,
    exchange: &mut Exchange<'_, B>,
    head: &mut ResponseHead,
    interim: &mut impl Interim,
) -> Result<(u64, Bytes), Failed> {
    loop {
        exchange.head(head, terms.method).await?;
        if head.status >= 200 || head.status == 101 {
            break;
        }
        if interim.takes() {
            let mut out = Vec::with_capacity(128);
            write::status_line(&mut out, head.status, head.reason());
            head.fields.write_to(&mut out, |f| f.known.is_hop_by_hop());
            out.extend_from_slice(b"\r\n");
            interim.pass(&out).await;
        }
    }
    let waited = exchange.waited();
    let small = matches!(exchange.remaining(), Some(1..=HELD));
    Ok((waited, if terms.hold && small { hold(exchange).await? } else { Bytes::new() }))
}

/// All of a small body. What comes in pieces is copied, so that no piece keeps a buffer while the next
/// one is waited for.
async fn hold<B: Body>(exchange: &mut Exchange<'_, B>) -> Result<Bytes, Failed> {
    let mut whole = Vec::new();
    while let Some(piece) = exchange.piece().await? {
        if whole.is_empty() && exchange.remaining() == Some(0) {
            return Ok(piece);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Bytes::from(whole))
}

/// The first try, and beside it a second one at another endpoint if it takes long; the first answer
/// wins, and the other try is broken off.
async fn hedged<'h, B: Body>(
    terms: &Terms<'h>,
    after: Duration,
    tried: &mut Tried,
    head: ResponseHead,
    lease: Lease,
    trail: &mut Trail,
) -> Attempted<'h, B> {
    let (mut unseen, mut unseen_too) = (Unseen, Unseen);
    let mut first = pin!(attempt(terms, head, None, lease, &mut unseen));
    if let Ok(result) = tokio::time::timeout(after, first.as_mut()).await {
        return result;
    }
    let Some(lease) = another(terms, tried) else {
        return first.await;
    };
    tried.insert(lease.endpoint().key());
    trail.tries += 1;
    trail.hedged = true;
    let mut second = pin!(attempt(terms, ResponseHead::default(), None, lease, &mut unseen_too));
    let (mut done_first, mut done_second) = (None, None);
    let on = &terms.party.service.plan().retry.on;
    let is_good = |done: &Option<Attempted<'h, B>>| matches!(done, Some(Ok(answered)) if !on.statuses.contains(&answered.head.status));
    std::future::poll_fn(|cx| {
        let mut poll = |mut racer: Pin<&mut dyn Racer<'h, B>>, done: &mut Option<Attempted<'h, B>>| {
            if done.is_none()
                && let Poll::Ready(result) = racer.as_mut().poll(cx)
            {
                *done = Some(result);
            }
        };
        poll(first.as_mut(), &mut done_first);
        poll(second.as_mut(), &mut done_second);
        let both = done_first.is_some() && done_second.is_some();
        if both || is_good(&done_first) || is_good(&done_second) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let first_wins = is_good(&done_first) || !(is_good(&done_second) || matches!(done_second, Some(Ok(_))));
    let (won, lost) = if first_wins { (done_first, done_second) } else { (done_second, done_first) };
    forget(lost);
    // One of them is done, or the wait would not be over.
    match won {
        Some(won) => won,
        None => first.await,
    }
}

/// Puts what a lost try met to its endpoint's account; one still under way is broken off.
fn forget<B: Body>(lost: Option<Attempted<'_, B>>) {
    match lost {
        Some(Ok(answered)) => drop(discard(*answered)),
        Some(Err(tally)) => {
            if let Some(kind) = kind(&tally.failed) {
                tally.lease.finish(Outcome::Failed(kind), clock::now());
            }
        }
        None => {}
    }
}

/// Two tries side by side can't both be heard.
struct Unseen;

impl Interim for Unseen {
    async fn pass(&mut self, _head: &[u8]) {}

    fn takes(&self) -> bool {
        false
    }
}

trait Racer<'h, B>: Future<Output = Attempted<'h, B>> + Send {}
impl<'h, B, F: Future<Output = Attempted<'h, B>> + Send> Racer<'h, B> for F {}

fn pick(terms: &Terms<'_>, tried: &Tried, now: u64) -> Result<Lease, NoEndpoint> {
    let Asking { hash, sticky } = terms.ask;
    let ask = Ask {
        hash,
        sticky: sticky.filter(|key| !tried.contains(*key)),
        tried,
        random: fastrand::u64(..),
        now,
    };
    terms.party.service.pick(&ask)
}

/// An endpoint that wasn't tried yet, if there is one and the budget allows another try.
fn another(terms: &Terms<'_>, tried: &Tried) -> Option<Lease> {
    let lease = pick(terms, tried, clock::now()).ok()?;
    let new = !tried.contains(lease.endpoint().key());
    (new && terms.party.service.may_retry()).then_some(lease)
}

/// Gives an answer up for another endpoint's.
fn discard<B: Body>(answered: Answered<'_, B>) -> Option<B> {
    let Answered { exchange, head, lease, latency_ns, .. } = answered;
    let key = lease.endpoint().key();
    let now = clock::now();
    lease.finish(Outcome::Answered { status: head.status, latency_ns }, now);
    let mut body = exchange.release(key, now);
    if let Some(body) = &mut body {
        body.rewind();
    }
    body
}

/// Whose fault a failure is; none: the client's.
pub(crate) fn kind(failed: &Failed) -> Option<FailKind> {
    match failed {
        Failed::Client(_) => None,
        Failed::Connect(_) | Failed::ConnectTimeout => Some(FailKind::Connect),
        Failed::Broken(_) | Failed::Closed => Some(FailKind::Reset),
        Failed::Timeout => Some(FailKind::Timeout),
        Failed::BadHead(_) | Failed::BadChunk(_) | Failed::Interim => Some(FailKind::BadAnswer),
    }
}

/// Does the plan want this kind of failure tried again?
fn repeats(on: &RetryOn, kind: FailKind) -> bool {
    match kind {
        FailKind::Connect | FailKind::Reset => on.connect,
        FailKind::Timeout => on.statuses.contains(&504),
        FailKind::BadAnswer => on.statuses.contains(&502),
    }
}
