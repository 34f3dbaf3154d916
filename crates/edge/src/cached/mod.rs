//! A request to a route with a cache: this file owns its branches.
//!
//! `bypass or another method → pass` · `look up → serve` · `look up → board a flight → serve what it
//! brought, or stream it as it comes`. A flight's fetch is a task of its own (`fetch`), so it feeds all
//! who wait at their own pace and goes on when they leave.

mod entry;
mod fetch;
mod fill;
pub(crate) mod pass;
mod purge;
mod serve;
mod stream;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use cache::control::{self, RequestControl};
use cache::disk::Stored;
use cache::flight::{Boarding, First, Flight, Flights, Seat};
use cache::key::{self, Key};
use cache::ledger::What;
use cache::reuse::{self, Verdict, Why};
use cache::status::{CacheStatus, Fwd};
use cache::{Cache, Object, vary};
use config::net::Cidr;
use config::plan::CacheRules;
use tokio::sync::Semaphore;
use upstream::clock::wall_ms;
use wire::{Fields, Known, Length, Method, ResponseHead};

use crate::headers;
use crate::live::LiveRoute;
use crate::outgoing::Outgoing;
use crate::request::{After, Request, Trail, Turn};
use crate::respond::Refusal;
use crate::stats::CacheResult;
use crate::tries::while_there;

use entry::Unstored;
use fetch::{Errand, Job};

/// How often a request looks again when what it waited for turned out to be another's.
const ROUNDS: usize = 4;

/// Fetches of a node that go on although all who waited for them have left.
const FOR_NOBODY: usize = 1024;

/// The cache of a node and what is on its way into it.
pub struct Kept {
    /// All tiers.
    pub cache: Cache,
    flights: Flights<Landed>,
    /// Bytes that fetches under way keep.
    held: AtomicU64,
    /// Places for fetches that nobody waits for.
    for_nobody: Semaphore,
    /// When something was last purged or changed: milliseconds since 1970.
    changed_ms: AtomicU64,
}

impl Kept {
    /// Nothing on its way.
    pub fn new(cache: Cache) -> Kept {
        Kept {
            cache,
            flights: Flights::new(),
            held: AtomicU64::new(0),
            for_nobody: Semaphore::new(FOR_NOBODY),
            changed_ms: AtomicU64::new(0),
        }
    }

    /// Purges from all tiers, and what is on its way now: it isn't stored, and nobody else gets it. Tags
    /// are not known before an answer comes: nobody else boards, and the cache sees to the storing.
    /// Says how many objects went.
    ///
    /// # Errors
    /// It could not be made to last: it holds as long as this process runs.
    pub async fn purge(&self, what: What, soft: bool) -> io::Result<u64> {
        let removed = self.cache.purge(what.clone(), soft, self.change_ms()).await;
        match &what {
            What::Url(primary) => self.flights.doom(primary),
            What::Prefix(prefix) => self.flights.doom_where(|primary| primary.starts_with(prefix)),
            What::All => self.flights.doom_where(|_| true),
            What::Tag(_) => self.flights.close_all(),
        }
        removed
    }

    /// What was asked for of this URL until now is void (RFC 9111 §4.4), stored or on its way.
    async fn forget(&self, primary: &[u8]) {
        self.cache.forget(primary, self.change_ms()).await;
        self.flights.doom(primary);
    }

    /// The time of a purge or a change, in milliseconds since 1970.
    fn change_ms(&self) -> u64 {
        let now = wall_ms();
        self.changed_ms.fetch_max(now, Ordering::AcqRel).max(now)
    }

    /// The time of a request to a service, in milliseconds since 1970: later than all changes that
    /// its client can know of, even those of the same millisecond.
    fn asked_ms(&self) -> u64 {
        wall_ms().max(self.changed_ms.load(Ordering::Acquire) + 1)
    }
}

/// What a flight brought.
#[derive(Clone)]
pub(crate) enum Landed {
    /// An answer that streams behind its head.
    Answer(Arc<Arrived>),
    /// A stored object may be used: it was confirmed, or nothing better can be had.
    Stored(Arc<Confirmed>),
    /// What was stored is void: look again.
    Again,
    /// No answer.
    Failed(Arc<(Refusal, Trail)>),
}

/// An endpoint's answer, as it begins to stream.
pub(crate) struct Arrived {
    /// As clients get it; tags and route rules are done with.
    pub(crate) head: ResponseHead,
    /// Bytes of its body, if known.
    pub(crate) length: Option<u64>,
    /// What is stored of it, or why nothing is.
    pub(crate) stored: Result<Object, Unstored>,
    /// The body on disk, for who falls behind, and the offset in it of the answer's first byte.
    pub(crate) disk: OnceLock<(Arc<Stored>, u64)>,
    pub(crate) trail: Trail,
}

/// A stored object that a fetch led back to.
pub(crate) struct Confirmed {
    pub(crate) object: Object,
    /// What the endpoint answered, if it did: 304, or a failure that the object stands in for.
    pub(crate) status: Option<u16>,
    /// No endpoint answered at all.
    pub(crate) disconnected: bool,
    pub(crate) trail: Trail,
}

/// What one request asks of the cache.
pub(crate) struct Visit<'a> {
    pub(crate) kept: &'a Kept,
    pub(crate) key: Key,
    pub(crate) control: RequestControl,
    /// Milliseconds since 1970.
    pub(crate) now_ms: u64,
}

impl Visit<'_> {
    /// Seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.now_ms / 1000
    }
}

/// Answers a request to a route with a cache.
///
/// # Errors
/// [`Refusal`] if neither the cache nor a service gave an answer.
pub(crate) async fn answer(
    route: &LiveRoute,
    rules: &CacheRules,
    purge_from: &[Cidr],
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    // Borrowed of the thread: counting references would be memory that all threads write to.
    let kept: &Kept = &turn.request.thread.shared.kept;
    let request = &mut *turn.request;
    headers::drop_unsent(&mut request.head.fields, request.client.trusted);
    let mut key = std::mem::take(&mut turn.buffers.key);
    key.make(request.client.scheme, request.head, &rules.key);
    let looks = looks_up(request);
    let own_conditions = [Known::IfMatch, Known::IfUnmodifiedSince];
    let for_origin = own_conditions.iter().any(|&name| request.head.fields.get(name).is_some());
    if looks && !for_origin && !key::bypasses(request.head, &rules.bypass) {
        let control = control::of_request(&request.head.fields);
        let mut visit = Visit { kept, key, control, now_ms: wall_ms() };
        let after = look(route, &mut visit, turn).await;
        turn.buffers.key = visit.key;
        return after;
    }
    if request.head.method_text() == b"PURGE" {
        return purge::answer(kept, &key, purge_from, turn).await;
    }
    let fwd = match (looks, for_origin) {
        (false, _) => Fwd::Method,
        (true, true) => Fwd::Request, // only the origin can judge these (RFC 9111 §4.3.2)
        (true, false) => Fwd::Bypass,
    };
    let result = if looks { CacheResult::Bypass } else { CacheResult::Pass };
    request.thread.shard.cache(result);
    pass::forward(route, key, fwd, turn).await
}

/// Is it a question that a stored answer could be the answer to?
fn looks_up(request: &Request<'_>) -> bool {
    matches!(request.head.method, Method::Get | Method::Head)
        && request.length == Length::Exact(0)
        && headers::upgrade(request.head, request.length).is_none()
}

/// What a look into the tiers came to.
enum Next {
    Serve(Object, How),
    Fetch(Fwd, Errand),
}

/// Why a stored object may be served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Fresh,
    /// Stale, and asked for anew meanwhile.
    Refreshing,
    /// The client takes stale ones.
    Stale,
    /// The service just said that it still holds.
    Revalidated,
    /// The service failed.
    OnError,
}

/// Serves what is stored, or has it fetched.
async fn look(
    route: &LiveRoute,
    visit: &mut Visit<'_>,
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    let mut collapsed = false;
    let mut wanted = Wanted::default();
    for round in 0..=ROUNDS {
        let (fwd, errand) = match find(visit, turn.request).await {
            Next::Serve(object, how) => {
                if matches!(how, How::Refreshing | How::OnError) {
                    refresh(route, visit, turn.request, &object);
                }
                return serve::object(&object, how, None, visit, turn).await;
            }
            Next::Fetch(fwd, errand) => (fwd, errand),
        };
        let mut status = CacheStatus { fwd: Some(fwd), ..CacheStatus::default() };
        if visit.control.only_if_cached {
            turn.note.cache = Some(status);
            return Err(Refusal::new(504, None, "it is not stored here, and only what is was asked for"));
        }
        if turn.request.head.method == Method::Head {
            turn.request.thread.shard.cache(CacheResult::Miss);
            let key = visit.key.clone();
            return pass::forward(route, key, fwd, turn).await;
        }
        let solo = wanted.alone || round == ROUNDS || is_solo(visit, fwd);
        let boarding = depart(route, visit, turn.request, errand, wanted.rest.as_deref(), solo)?;
        let Boarding { mut seat, pilot } = boarding;
        collapsed |= !pilot;
        status.collapsed = collapsed;
        let landed = while_there(turn.slot, landing(&mut seat, turn.outgoing)).await?;
        visit.now_ms = wall_ms();
        let count = |result| turn.request.thread.shard.cache(result);
        match landed {
            _ if !(pilot || is_for(&landed, visit, turn.request)) => {
                wanted.learn(&landed, visit, turn.request);
            }
            Landed::Answer(arrived) => {
                count(if pilot { CacheResult::Miss } else { CacheResult::Collapsed });
                return stream::answer(&arrived, seat, status, visit, turn).await;
            }
            Landed::Stored(confirmed) => {
                turn.note.trail = confirmed.trail.clone();
                status.fwd_status = confirmed.status;
                let how = if confirmed.status == Some(304) { How::Revalidated } else { How::OnError };
                return serve::object(&confirmed.object, how, Some(status), visit, turn).await;
            }
            Landed::Failed(failed) => {
                count(CacheResult::Miss);
                turn.note.trail = failed.1.clone();
                turn.note.cache = Some(status);
                return Err(failed.0.clone());
            }
            Landed::Again => {}
        }
    }
    Err(Refusal::new(503, None, "the answer changed each time it was asked for"))
}

/// May a request that only waited along have what another one's fetch brought?
fn is_for(landed: &Landed, visit: &Visit<'_>, request: &Request<'_>) -> bool {
    match landed {
        Landed::Answer(arrived) => stream::suits(arrived, visit, request),
        Landed::Stored(it) => {
            let (object, facts, now) = (&it.object, it.object.facts(), visit.now());
            let usable = match it.status {
                Some(304) => reuse::decide(&facts, false, &visit.control, now) == Verdict::Fresh,
                _ => reuse::on_error(&facts, object.is_soft(), &visit.control, now, it.disconnected),
            };
            usable
                && serve::covers(object, request, now)
                && vary::fits(object.variant(), &visit.key.rule, &request.head.fields)
        }
        Landed::Failed(failed) => is_shared(&failed.0),
        Landed::Again => false,
    }
}

/// Is a failure worth telling all who waited? That the service is full is not: each may try for itself.
fn is_shared(refusal: &Refusal) -> bool {
    refusal.status != 503
}

fn of_why(why: Why) -> Fwd {
    match why {
        Why::Stale => Fwd::Stale,
        Why::Request => Fwd::Request,
    }
}

/// Says in an answer what the cache did, after those caches that it came through.
pub(crate) fn tell(fields: &mut Fields, status: &CacheStatus<'_>) {
    let mut line = Vec::new();
    status.line(&mut line);
    if let Some(at) = memchr::memchr(b':', &line) {
        fields.push(&line[..at], line[at + 1..].trim_ascii());
    }
}

/// What the cache did, in a word for the log.
pub(crate) fn word(status: &CacheStatus<'_>) -> &'static str {
    status.fwd.map_or("hit", Fwd::token)
}

/// Looks into the tiers, the near ones first.
async fn find(visit: &Visit<'_>, request: &Request<'_>) -> Next {
    let fields = &request.head.fields;
    let rule = &visit.key.rule;
    let fits = |object: &Object| vary::fits(object.variant(), rule, fields);
    let cache = &visit.kept.cache;
    let mut found = cache.memory.get(&visit.key.primary, fits);
    if found.is_none() && cache.is_deep() {
        found = cache.deeper(&visit.key.primary, fits).await;
    }
    let Some(object) = found else {
        let varies = cache.memory.peek(&visit.key.primary, |_| true).is_some();
        return Next::Fetch(if varies { Fwd::VaryMiss } else { Fwd::UriMiss }, Errand::Fill);
    };
    if !serve::covers(&object, request, visit.now()) {
        return Next::Fetch(Fwd::Partial, Errand::of_partial(object, request));
    }
    match reuse::decide(&object.facts(), object.is_soft(), &visit.control, visit.now()) {
        Verdict::Fresh => Next::Serve(object, How::Fresh),
        Verdict::StaleWhileRevalidate => Next::Serve(object, How::Refreshing),
        Verdict::Stale => Next::Serve(object, How::Stale),
        Verdict::Validate(_) if stands_in(visit, &object) => Next::Serve(object, How::OnError),
        Verdict::Validate(why) => Next::Fetch(of_why(why), Errand::Validate(object)),
    }
}

/// Has its service failed a moment ago, so that it needn't be waited for again?
fn stands_in(visit: &Visit<'_>, object: &Object) -> bool {
    let Some(disconnected) = visit.kept.cache.trouble(&visit.key.primary, visit.now()) else { return false };
    object.body().is_whole()
        && reuse::on_error(&object.facts(), object.is_soft(), &visit.control, visit.now(), disconnected)
}

/// Must this request's fetch be its own?
fn is_solo(visit: &Visit<'_>, fwd: Fwd) -> bool {
    fwd == Fwd::Request
        || visit.control.no_store
        || visit.kept.cache.is_passing(&visit.key.primary, visit.now())
}

/// Which flight a request may board.
#[derive(Default)]
struct Wanted {
    /// What beside the URL tells it apart; none: what the route's key says.
    rest: Option<Vec<u8>>,
    /// None: what the request wants is for it alone.
    alone: bool,
}

impl Wanted {
    /// A flight brought what is of no use to this request: if that is because it wants another variant,
    /// those who want the same one wait together.
    fn learn(&mut self, landed: &Landed, visit: &Visit<'_>, request: &Request<'_>) {
        let (rule, fields) = (&visit.key.rule, &request.head.fields);
        match landed {
            Landed::Answer(arrived) => match &arrived.stored {
                Ok(object) if !vary::fits(object.variant(), rule, fields) => {
                    let rest = self.rest.get_or_insert_default();
                    self.alone = vary::variant(rest, rule, &arrived.head.fields, fields).is_err();
                }
                Err(Unstored::Purged) => {} // the next one may well be for all
                _ => self.alone = true,
            },
            // What must be validated for each, or waits for a place, is asked for by each at once.
            Landed::Stored(_) | Landed::Failed(_) => self.alone = true,
            Landed::Again => {}
        }
    }
}

/// Boards the flight for an errand, and begins it if there was none.
fn depart(
    route: &LiveRoute,
    visit: &Visit<'_>,
    request: &Request<'_>,
    errand: Errand,
    rest: Option<&[u8]>,
    solo: bool,
) -> Result<Boarding<Landed>, Refusal> {
    let party = crate::request::party(route)?; // before boarding: others would wait for what can't begin
    let boarding = board(visit, request, &errand, rest, solo);
    if boarding.pilot {
        let flight = boarding.seat.flight().clone();
        fetch::start(Job::new(route, party, visit, request, errand, flight, !solo));
    }
    Ok(boarding)
}

fn board(
    visit: &Visit<'_>,
    request: &Request<'_>,
    errand: &Errand,
    rest: Option<&[u8]>,
    solo: bool,
) -> Boarding<Landed> {
    if solo {
        return Boarding { seat: Flight::solo().seat(), pilot: true };
    }
    let rest = rest.unwrap_or(&visit.key.rule);
    let mut rest = errand.object().map_or(rest, Object::variant).to_vec();
    if errand.wants_range()
        && let Some(range) = request.head.fields.get(Known::Range)
    {
        rest.extend_from_slice(b"\0");
        rest.extend_from_slice(range);
        if let Some(if_range) = request.head.fields.get(Known::IfRange) {
            rest.extend_from_slice(b"\0");
            rest.extend_from_slice(if_range);
        }
    }
    visit.kept.flights.board(&visit.key.primary, &rest)
}

/// Has a stale object fetched anew, unless that is under way or just failed.
fn refresh(route: &LiveRoute, visit: &Visit<'_>, request: &Request<'_>, object: &Object) {
    if !visit.kept.cache.was_tried(&visit.key.primary, visit.now()) {
        // Nobody waits for it; if it can't begin, the next request sees why.
        drop(depart(route, visit, request, Errand::Validate(object.clone()), None, false));
    }
}

/// Passes interim answers on till the flight has landed.
async fn landing(seat: &mut Seat<Landed>, outgoing: &mut Outgoing<'_>) -> Landed {
    use crate::tries::Interim;
    loop {
        match seat.first().await {
            First::Interim(head) if outgoing.takes() => outgoing.pass(&head).await,
            First::Interim(_) => {}
            First::Landed(landed) => return landed,
        }
    }
}
