//! The fetch of a flight: a task of its own that asks the service, feeds all who wait, and fills the tiers.
//!
//! Whatever happens to it, its flight lands and its body ends: [`Landing`] sees to that when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use cache::control;
use cache::flight::{End, Flight};
use cache::freshness::Times;
use cache::key::Key;
use cache::{Body, Flags, Object, conditional, reuse};
use config::plan::{CacheRules, Mirror, Route};
use upstream::client::{self, BodyError};
use upstream::clock::{self, wall_ms};
use upstream::{Outcome, Permit};
use wire::{Fields, Known, Length, RequestHead, ResponseHead};

use super::{Confirmed, Kept, Landed, Visit, entry, fill};
use crate::forward;
use crate::headers;
use crate::live::{LiveRoute, Party};
use crate::mirror;
use crate::policy;
use crate::request::{Request, Trail};
use crate::respond::Refusal;
use crate::shared::Thread;
use crate::tries::{self, Answered, Asking, Interim, Sender, Terms};

/// All fetches together keep so many times the largest object of the memory tier.
const HELD_SHARE: u64 = 2;

/// Is nothing to be stored of what this request brings, because of what it says itself?
fn is_private(fields: &Fields) -> bool {
    fields.get(Known::Authorization).is_some() || control::of_request(fields).no_store
}

/// What a fetch is for.
pub(super) enum Errand {
    /// Nothing is stored that would do.
    Fill,
    /// A stored object may still hold.
    Validate(Object),
    /// More of an object that is stored in part.
    More(Object),
    /// The rest of an object whose beginning is stored.
    Complete(Object, u64),
}

impl Errand {
    /// For a request that needs more than the parts that are stored.
    pub(super) fn of_partial(object: Object, request: &Request<'_>) -> Errand {
        let begins = match object.body() {
            Body::Parts { parts, .. } => match parts.as_ref() {
                [(0, piece)] => Some(piece.len() as u64),
                _ => None,
            },
            _ => None,
        };
        let strong = object.field("etag").is_some_and(|etag| etag.starts_with(b"\""));
        match begins {
            Some(at)
                if strong
                    && request.head.fields.get(Known::Range).is_none()
                    && !is_private(&request.head.fields) =>
            {
                Errand::Complete(object, at)
            }
            _ => Errand::More(object),
        }
    }

    /// Does the client's own `Range` go to the service?
    pub(super) fn wants_range(&self) -> bool {
        matches!(self, Errand::Fill | Errand::More(_))
    }

    pub(super) fn object(&self) -> Option<&Object> {
        match self {
            Errand::Fill => None,
            Errand::Validate(object) | Errand::More(object) | Errand::Complete(object, _) => Some(object),
        }
    }
}

/// All that a fetch needs, so that it can go on without the request that began it.
pub(super) struct Job {
    pub(super) thread: Arc<Thread>,
    pub(super) route: Arc<Route>,
    party: Party,
    mirror: Option<(Party, Mirror)>,
    /// As it is sent: the client's conditions are left out.
    pub(super) head: RequestHead,
    out: Vec<u8>,
    ask: Asking,
    pub(super) key: Key,
    control: control::RequestControl,
    pub(super) errand: Errand,
    pub(super) flight: Arc<Flight<Landed>>,
    /// Others may board.
    pub(super) open: bool,
    /// Bytes of its body that it keeps.
    held: AtomicU64,
}

impl Job {
    /// Makes ready what `request` needs of `party`.
    pub(super) fn new(
        route: &LiveRoute,
        party: &Party,
        visit: &Visit<'_>,
        request: &Request<'_>,
        errand: Errand,
        flight: Arc<Flight<Landed>>,
        open: bool,
    ) -> Job {
        let mut head = request.head.clone();
        conditional::strip(&mut head.fields);
        if !errand.wants_range() || !one_range(&head.fields) {
            head.fields.remove(Known::Range);
            head.fields.remove(Known::IfRange);
        }
        match &errand {
            Errand::Fill | Errand::More(_) => {}
            Errand::Validate(object) => {
                conditional::validators(&mut head.fields, object);
            }
            Errand::Complete(object, at) => {
                head.fields.push(b"range", format!("bytes={at}-").as_bytes());
                head.fields.push(b"if-range", object.field("etag").unwrap_or_default());
            }
        }
        if errand.wants_range()
            && let Some(if_range) =
                request.head.fields.get(Known::IfRange).filter(|_| head.fields.get(Known::Range).is_some())
        {
            head.fields.set(b"if-range", if_range);
        }
        let mut out = Vec::with_capacity(512);
        let (id, name) = (&request.id, party.service.name());
        let none = Length::Exact(0);
        headers::request(&mut out, &head, &request.client, none, id, name, fastrand::u128(..));
        let ask = Asking {
            hash: forward::hash(party.hash_by.as_ref(), request.head, request.address),
            sticky: forward::sticky_key(party.service.plan(), request.head),
        };
        Job {
            thread: request.thread.clone(),
            route: route.plan.clone(),
            party: party.clone(),
            mirror: route.mirror.clone(),
            head,
            out,
            ask,
            key: visit.key.clone(),
            control: visit.control,
            errand,
            flight,
            open,
            held: AtomicU64::new(0),
        }
    }

    pub(super) fn rules(&self) -> &CacheRules {
        static NONE: std::sync::LazyLock<CacheRules> = std::sync::LazyLock::new(CacheRules::default);
        self.route.cache.as_ref().unwrap_or(&NONE)
    }

    /// Bytes of the largest body worth keeping.
    pub(super) fn largest(&self) -> u64 {
        self.rules().largest.unwrap_or(u64::MAX).min(self.kept().cache.largest())
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.thread.shared.kept
    }

    /// May the stored object be used although the service failed?
    fn stands_in(&self, disconnected: bool) -> Option<&Object> {
        let object = self.errand.object().filter(|object| object.body().is_whole())?;
        let now = wall_ms() / 1000;
        reuse::on_error(&object.facts(), object.is_soft(), &self.control, now, disconnected).then_some(object)
    }

    /// Takes room for so many more bytes of its body; false: all fetches together keep enough already.
    pub(super) fn hold(&self, bytes: u64) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        let all = self.kept().held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.kept().cache.memory.room_for(all / HELD_SHARE)
    }

    /// Was what it brings purged, or changed by an unsafe request, since it was asked for?
    pub(super) fn is_void(&self, object: &Object) -> bool {
        self.flight.is_doomed() || !self.kept().cache.stands(object)
    }

    /// For a while, what is stored is served at once while it is asked for anew.
    fn trouble(&self, disconnected: bool) {
        self.kept().cache.note_trouble(&self.key.primary, disconnected, wall_ms() / 1000);
    }

    /// A fetch failed: another one only for those who need it can wait a moment.
    fn tried(&self) {
        self.kept().cache.note_tried(&self.key.primary, wall_ms() / 1000);
    }

    pub(super) fn close(&self) {
        if self.open {
            self.kept().flights.close(&self.key.primary, &self.flight);
        }
    }

    /// All who wait look again for themselves.
    fn land_again(&self) {
        self.close(); // or they would board the same flight
        self.flight.land(Landed::Again, true);
    }

    /// What is stored of this URL is void in whatever tier it is, and all who wait look again.
    pub(super) async fn start_over(&self) {
        self.kept().forget(&self.key.primary).await;
        self.land_again();
    }
}

/// A client asks for several ranges at once: what comes would be of no use to others.
fn one_range(fields: &Fields) -> bool {
    fields.get(Known::Range).is_none_or(|value| !value.contains(&b','))
}

/// Begins a fetch on this thread.
pub(super) fn start(job: Job) {
    tokio::spawn(run(Landing(job)));
}

/// A job whose flight surely lands.
struct Landing(Job);

impl Drop for Landing {
    fn drop(&mut self) {
        let job = &self.0;
        job.close();
        job.kept().held.fetch_sub(job.held.load(Ordering::Relaxed), Ordering::Relaxed);
        let refusal = Refusal::new(502, None, "the fetch was broken off");
        job.flight.land(Landed::Failed(Arc::new((refusal, Trail::default()))), true);
        job.flight.end(End::Broken);
    }
}

/// A request without a body.
pub(super) struct Nobody;

impl client::Body for Nobody {
    fn length(&self) -> Length {
        Length::Exact(0)
    }

    fn poll_piece(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        Poll::Ready(Ok(None))
    }
}

impl Sender for Nobody {
    fn is_left(&self, _cx: &mut Context<'_>) -> bool {
        false
    }
}

/// Interim answers go to all who wait.
struct Board<'f>(&'f Flight<Landed>);

impl Interim for Board<'_> {
    async fn pass(&mut self, head: &[u8]) {
        self.0.interim(Bytes::copy_from_slice(head));
    }

    fn takes(&self) -> bool {
        true
    }
}

async fn run(landing: Landing) {
    let job = &landing.0;
    tokio::select! {
        biased;
        () = fetch(job) => {}
        () = unwanted(job) => {}
    }
}

/// Waits till nobody is there who wants what is fetched, while enough is fetched for nobody already.
async fn unwanted(job: &Job) {
    loop {
        job.flight.deserted().await;
        if let Ok(_place) = job.kept().for_nobody.try_acquire() {
            std::future::pending::<()>().await;
        }
        job.close();
        if !job.flight.has_passengers() {
            return; // and nobody can have boarded since
        }
    }
}

async fn fetch(job: &Job) {
    let mut trail = Trail { party: Some(job.party.clone()), ..Trail::default() };
    let requested_ms = job.kept().asked_ms();
    let service = &job.party.service;
    service.count_request();
    let permit: Result<Permit, Refusal> = match service.try_admit() {
        Some(permit) => Ok(permit),
        None => service.admit().await.map_err(Refusal::from),
    };
    let answered = match &permit {
        Ok(_) => ask(job, &mut trail).await,
        Err(refusal) => Err(refusal.clone()),
    };
    match answered {
        Ok(answered) => {
            let times = Times { requested_ms, received_ms: wall_ms() };
            take(job, answered, times, trail).await;
        }
        Err(refusal) => fail(job, refusal, trail),
    }
}

async fn ask<'j>(job: &'j Job, trail: &mut Trail) -> Result<Box<Answered<'j, Nobody>>, Refusal> {
    let service = &job.party.service;
    let terms = Terms {
        party: &job.party,
        shard: &job.thread.shard,
        out: &job.out,
        method: job.head.method,
        started: clock::now(),
        has_body: false,
        idempotent: true,
        upgrade: false,
        hold: service.plan().retry.attempts > 0,
        ask: job.ask,
    };
    let mut head = ResponseHead::default();
    let answered =
        tries::tries(&terms, &mut head, &mut None::<Nobody>, &mut Board(&job.flight), trail).await?;
    trail.endpoint = Some(answered.lease.endpoint().url().clone());
    trail.upstream_nanos = Some(answered.latency_ns);
    trail.error = None;
    if let Some((party, plan)) = &job.mirror
        && policy::mirrored(plan.share, fastrand::u64(..))
    {
        mirror::send(party, &job.out, Length::Exact(0), &[]);
    }
    Ok(answered)
}

/// No answer: what is stored may stand in for it.
fn fail(job: &Job, mut refusal: Refusal, trail: Trail) {
    job.tried();
    let disconnected = matches!(refusal.status, 502 | 504);
    if disconnected && job.errand.object().is_some_and(|it| it.facts().flags.has(Flags::NEVER_STALE)) {
        refusal.status = 504; // RFC 9111 §5.2.2.2
    }
    match job.stands_in(disconnected).filter(|_| !refusal.mute) {
        Some(object) => {
            job.trouble(disconnected);
            confirm(job, Confirmed { object: object.clone(), status: None, disconnected, trail });
        }
        None => job.flight.land(Landed::Failed(Arc::new((refusal, trail))), true),
    }
}

fn confirm(job: &Job, confirmed: Confirmed) {
    job.flight.land(Landed::Stored(Arc::new(confirmed)), true);
}

/// Takes an answer: a stored object is confirmed or stands in, or the answer takes its place.
async fn take(job: &Job, answered: Box<Answered<'_, Nobody>>, times: Times, trail: Trail) {
    let status = answered.head.status;
    if reuse::is_error(status) {
        job.tried();
        if let Some(object) = job.stands_in(false) {
            end(answered);
            job.trouble(false);
            let (object, status) = (object.clone(), Some(status));
            return confirm(job, Confirmed { object, status, disconnected: false, trail });
        }
    } else {
        job.kept().cache.note_well(&job.key.primary);
    }
    if let Errand::Validate(stored) = &job.errand
        && status == 304
    {
        return validated(job, stored, answered, times, trail).await;
    }
    fill::stream(job, answered, times, trail).await;
}

/// What is stored still holds (RFC 9111 §4.3.3, §4.3.4).
async fn validated(
    job: &Job,
    stored: &Object,
    answered: Box<Answered<'_, Nobody>>,
    times: Times,
    trail: Trail,
) {
    let fresh = entry::freshened(stored, &job.head, &answered.head, job.rules(), times);
    end(answered);
    let cache = &job.kept().cache;
    if !cache.stands(stored) {
        return job.land_again(); // it was purged since it was found: its tag may not tell of the change
    }
    let object = match fresh {
        Some(object) => {
            if !job.flight.is_doomed() {
                cache.confirm(&object).await;
            }
            object
        }
        // It holds for who asked, and nothing is to be learnt from it.
        None if is_private(&job.head.fields) => stored.clone(),
        None => return job.start_over().await, // it may not be kept any longer
    };
    confirm(job, Confirmed { object, status: Some(304), disconnected: false, trail });
}

/// Gives an answer's connection back whose body nobody needs.
fn end(answered: Box<Answered<'_, Nobody>>) {
    let Answered { exchange, head, lease, latency_ns, .. } = *answered;
    let (key, now) = (lease.endpoint().key(), clock::now());
    lease.finish(Outcome::Answered { status: head.status, latency_ns }, now);
    exchange.release(key, now);
}
