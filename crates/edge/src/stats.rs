//! What the data path counts.
//!
//! Each data thread has a [`Shard`] that only it writes, so counting is a plain load and store
//! without a lock and without a locked instruction; [`Stats::snapshot`] adds the shards up from
//! another thread. A number may be a moment old, and never goes back. What is counted of a route or
//! a service is made when the thread first meets it, and kept by name, so a reload loses nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

mod snapshot;

pub use snapshot::{Histogram, RouteStats, ServiceStats, Snapshot, StatusCount};

/// Names of routes, and names of services, that a node counts apart in its life, reloads included.
/// Those that come later are counted together, as [`OTHER`].
pub const MAX_NAMES: usize = CHUNKS * CHUNK - 1;
/// What is counted under no name of its own.
pub const OTHER: &str = "(other)";

const CHUNK: usize = 256;
const CHUNKS: usize = 256;
/// Pairs of service and status in one piece of a route's list.
const PAIRS: usize = 8;
/// Pieces of that list; what comes later is counted with status 0.
const PIECES: usize = 16;

/// All counts of a node's data path. Lives as long as the node.
#[derive(Debug)]
pub struct Stats {
    shards: Vec<Arc<Shard>>,
    routes: Mutex<Names>,
    services: Mutex<Names>,
}

/// A route's place in the counts, the same for a name as long as the node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteId(u32);

/// A service's place in the counts, the same for a name as long as the node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceId(u32);

/// One request that was answered, or whose client went away first.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// None: no route was found.
    pub route: Option<RouteId>,
    /// None: the answer was made here.
    pub service: Option<ServiceId>,
    /// Of the answer.
    pub status: u16,
    /// From the request's first byte to the answer's last.
    pub nanos: u64,
    /// From the request's being sent to the answer's head, if an endpoint answered.
    pub upstream_nanos: Option<u64>,
    /// Of the request's body.
    pub bytes_in: u64,
    /// Of the answer's body.
    pub bytes_out: u64,
}

/// Why a request or a connection was refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// 503: the node's connections.
    Connections,
    /// 429: one client's connections.
    PerClient,
    /// 431: the head is too large.
    Head,
    /// 413: the body is too large.
    Body,
    /// 408: the head did not come in time.
    Timeout,
    /// 400: not HTTP, or ambiguous.
    Malformed,
    /// 417, 501 or 505: well formed, and nothing that we do.
    Unsupported,
    /// 404.
    NoRoute,
    /// 405.
    Method,
    /// 503: the service has all that it may have in flight and waiting.
    Overload,
    /// 503: the service has no endpoint.
    NoEndpoint,
    /// 507: the queue or the disk is full.
    QueueFull,
    /// 422: its `Idempotency-Key` was sent before with something else.
    OtherContent,
    /// 508: a message that came through this queue before.
    Loop,
}

impl Why {
    /// Each reason once, in the order of their declaration.
    pub const ALL: [Why; 14] = [
        Why::Connections,
        Why::PerClient,
        Why::Head,
        Why::Body,
        Why::Timeout,
        Why::Malformed,
        Why::Unsupported,
        Why::NoRoute,
        Why::Method,
        Why::Overload,
        Why::NoEndpoint,
        Why::QueueFull,
        Why::OtherContent,
        Why::Loop,
    ];

    /// The `why` label of `nearside_refused_total`.
    pub fn label(self) -> &'static str {
        match self {
            Why::Connections => "connections",
            Why::PerClient => "connections_per_client",
            Why::Head => "head",
            Why::Body => "body",
            Why::Timeout => "timeout",
            Why::Malformed => "malformed",
            Why::Unsupported => "unsupported",
            Why::NoRoute => "no_route",
            Why::Method => "method",
            Why::Overload => "overload",
            Why::NoEndpoint => "no_endpoint",
            Why::QueueFull => "queue_full",
            Why::OtherContent => "other_content",
            Why::Loop => "loop",
        }
    }
}

/// What the cache did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// Answered with a fresh object.
    Hit,
    /// Answered with a stale one, as it may be.
    Stale,
    /// Answered with an object that its service just confirmed.
    Revalidated,
    /// Fetched.
    Miss,
    /// Answered with what another request's fetch brought.
    Collapsed,
    /// Not looked up: the route's rules say so.
    Bypass,
    /// Not looked up: a method whose answers aren't stored.
    Pass,
}

impl CacheResult {
    /// Each once, in the order of their declaration.
    pub const ALL: [CacheResult; 7] = [
        CacheResult::Hit,
        CacheResult::Stale,
        CacheResult::Revalidated,
        CacheResult::Miss,
        CacheResult::Collapsed,
        CacheResult::Bypass,
        CacheResult::Pass,
    ];

    /// The `result` label of `nearside_cache_requests_total`.
    pub fn label(self) -> &'static str {
        match self {
            CacheResult::Hit => "hit",
            CacheResult::Stale => "stale",
            CacheResult::Revalidated => "revalidated",
            CacheResult::Miss => "miss",
            CacheResult::Collapsed => "collapsed",
            CacheResult::Bypass => "bypass",
            CacheResult::Pass => "pass",
        }
    }
}

impl Stats {
    /// Counts for so many data threads, at least one.
    pub fn new(threads: usize) -> Arc<Stats> {
        Arc::new(Stats {
            shards: (0..threads.max(1)).map(|_| Arc::default()).collect(),
            routes: Mutex::default(),
            services: Mutex::default(),
        })
    }

    /// The counts of one data thread, numbered from 0. Two threads must not write the same shard:
    /// nothing would break, but some of what they count would be lost.
    pub fn shard(&self, thread: usize) -> Arc<Shard> {
        Arc::clone(&self.shards[thread % self.shards.len()])
    }

    /// Takes a lock; for the making of a plan's tables, not for the request path.
    pub fn route_id(&self, route: &str) -> RouteId {
        RouteId(lock(&self.routes).id(route))
    }

    /// Takes a lock; for the making of a plan's tables, not for the request path.
    pub fn service_id(&self, name: &str) -> ServiceId {
        ServiceId(lock(&self.services).id(name))
    }

    /// All counts of all threads as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let (routes, services) = (lock(&self.routes).list(), lock(&self.services).list());
        let sum = |of: fn(&Shard) -> &Counter| self.shards.iter().map(|s| of(s).get()).sum();
        Snapshot {
            connections_opened: sum(|shard| &shard.opened),
            connections_closed: sum(|shard| &shard.closed),
            log_dropped: sum(|shard| &shard.log_dropped),
            refused: Why::ALL
                .map(|why| {
                    let count = self.shards.iter().map(|s| s.refused[why as usize].get()).sum();
                    (why.label(), count)
                })
                .to_vec(),
            cache: CacheResult::ALL
                .map(|result| {
                    let count = self.shards.iter().map(|s| s.cache[result as usize].get()).sum();
                    (result.label(), count)
                })
                .to_vec(),
            routes: (0..=routes.len()).filter_map(|at| self.route(at, &routes, &services)).collect(),
            services: (0..services.len()).map(|at| self.service(at, &services[at])).collect(),
        }
    }

    /// What all threads counted at one place of [`Shard::routes`]; None if nothing.
    fn route(&self, at: usize, routes: &[Arc<str>], services: &[Arc<str>]) -> Option<RouteStats> {
        let mut stats =
            RouteStats { route: at.checked_sub(1).map(|id| routes[id].to_string()), ..RouteStats::default() };
        let mut statuses = BTreeMap::new();
        for block in self.shards.iter().filter_map(|shard| shard.routes.get(at)) {
            block.times.add_to(&mut stats.seconds);
            stats.bytes_in += block.bytes_in.get();
            stats.bytes_out += block.bytes_out.get();
            block.statuses.each(|status, service, count| {
                *statuses.entry((service, status)).or_default() += count;
            });
        }
        let name = |id: usize| services.get(id).map_or(OTHER, |name| name).to_string();
        let counts = statuses.into_iter().map(|((service, status), count)| StatusCount {
            service: service.map(name),
            status,
            count,
        });
        stats.statuses = counts.collect();
        (stats.seconds.count() > 0).then_some(stats)
    }

    fn service(&self, at: usize, name: &Arc<str>) -> ServiceStats {
        let mut stats = ServiceStats { service: name.to_string(), ..ServiceStats::default() };
        for block in self.shards.iter().filter_map(|shard| shard.services.get(at)) {
            block.times.add_to(&mut stats.seconds);
            stats.retries += block.retries.get();
            stats.hedges += block.hedges.get();
        }
        stats
    }
}

/// What one data thread counts. Aligned so that no two threads write to one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    opened: Counter,
    closed: Counter,
    log_dropped: Counter,
    refused: [Counter; Why::ALL.len()],
    cache: [Counter; CacheResult::ALL.len()],
    /// Place 0 is for requests without a route; a route has the place after its id.
    routes: Blocks<RouteBlock>,
    services: Blocks<ServiceBlock>,
}

impl Shard {
    /// Counts a request that has ended.
    pub fn request(&self, sample: &Sample) {
        let place = sample.route.map_or(0, |RouteId(id)| id as usize + 1);
        let block = self.routes.get_or_make(place);
        block.times.add(sample.nanos);
        block.bytes_in.add(sample.bytes_in);
        block.bytes_out.add(sample.bytes_out);
        block.statuses.add(sample.status, sample.service);
        if let (Some(service), Some(nanos)) = (sample.service, sample.upstream_nanos) {
            self.service(service).times.add(nanos);
        }
    }

    /// Counts a refusal; a request that was refused is also given to [`Shard::request`].
    pub fn refused(&self, why: Why) {
        self.refused[why as usize].add(1);
    }

    /// The cache did this for a request.
    pub fn cache(&self, result: CacheResult) {
        self.cache[result as usize].add(1);
    }

    /// A client's connection was accepted.
    pub fn connection_opened(&self) {
        self.opened.add(1);
    }

    /// A client's connection ended.
    pub fn connection_closed(&self) {
        self.closed.add(1);
    }

    /// A request was sent to a further endpoint because the one before failed.
    pub fn retry(&self, service: ServiceId) {
        self.service(service).retries.add(1);
    }

    /// A slow request was sent to a second endpoint.
    pub fn hedge(&self, service: ServiceId) {
        self.service(service).hedges.add(1);
    }

    /// So many lines of the access log were dropped.
    pub fn log_dropped(&self, lines: u64) {
        self.log_dropped.add(lines);
    }

    fn service(&self, ServiceId(id): ServiceId) -> &ServiceBlock {
        self.services.get_or_make(id as usize)
    }
}

#[derive(Debug, Default)]
struct RouteBlock {
    times: Times,
    bytes_in: Counter,
    bytes_out: Counter,
    statuses: Statuses,
}

#[derive(Debug, Default)]
struct ServiceBlock {
    times: Times,
    retries: Counter,
    hedges: Counter,
}

/// A number with one writer.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A histogram with one writer.
#[derive(Debug, Default)]
struct Times {
    counts: [Counter; Histogram::BUCKETS],
    nanos: Counter,
}

impl Times {
    fn add(&self, nanos: u64) {
        self.counts[Histogram::bucket(nanos)].add(1);
        self.nanos.add(nanos);
    }

    fn add_to(&self, histogram: &mut Histogram) {
        for (sum, count) in histogram.counts.iter_mut().zip(&self.counts) {
            *sum += count.get();
        }
        histogram.nanos = histogram.nanos.wrapping_add(self.nanos.get());
    }
}

/// How many answers a route gave, by status and service: a list with one writer, in the order of
/// first use, so the usual answer is found at once.
#[derive(Debug, Default)]
struct Statuses {
    /// A key of 0 is a free place.
    pairs: [(AtomicU64, Counter); PAIRS],
    next: OnceLock<Box<Statuses>>,
}

impl Statuses {
    const TAKEN: u64 = 1 << 63;

    fn add(&self, status: u16, service: Option<ServiceId>) {
        let service = service.map_or(0, |ServiceId(id)| u64::from(id) + 1);
        let key = Statuses::TAKEN | service << 16 | u64::from(status);
        let mut piece = self;
        for _ in 1..PIECES {
            if piece.add_here(key) {
                return;
            }
            piece = piece.next.get_or_init(Box::default);
        }
        // The last piece holds only what has found no place.
        piece.add_here(Statuses::TAKEN);
    }

    fn add_here(&self, key: u64) -> bool {
        for (held, count) in &self.pairs {
            let found = held.load(Relaxed);
            if found == 0 {
                held.store(key, Relaxed);
            } else if found != key {
                continue;
            }
            count.add(1);
            return true;
        }
        false
    }

    /// Shows each count with its status and the service's place.
    fn each(&self, mut see: impl FnMut(u16, Option<usize>, u64)) {
        let mut next = Some(self);
        while let Some(piece) = next {
            for (held, count) in &piece.pairs {
                let key = held.load(Relaxed);
                if key != 0 {
                    let service = ((key & !Statuses::TAKEN) >> 16).checked_sub(1);
                    see(key as u16, service.map(|id| id as usize), count.get());
                }
            }
            next = piece.next.get().map(Box::as_ref);
        }
    }
}

/// Blocks by their place, made when they are first asked for, and never moved, so that a reader may
/// walk them while the writer makes more.
#[derive(Debug)]
struct Blocks<T>([OnceLock<Box<Chunk<T>>>; CHUNKS]);

type Chunk<T> = [OnceLock<Box<T>>; CHUNK];

impl<T> Default for Blocks<T> {
    fn default() -> Blocks<T> {
        Blocks([const { OnceLock::new() }; CHUNKS])
    }
}

impl<T: Default> Blocks<T> {
    /// `place` is at most [`MAX_NAMES`].
    fn get_or_make(&self, place: usize) -> &T {
        let chunk =
            self.0[place / CHUNK % CHUNKS].get_or_init(|| Box::new([const { OnceLock::new() }; CHUNK]));
        chunk[place % CHUNK].get_or_init(Box::default)
    }

    fn get(&self, place: usize) -> Option<&T> {
        self.0[place / CHUNK % CHUNKS].get()?[place % CHUNK].get().map(Box::as_ref)
    }
}

/// Names by their ids, which count up from 0 and are never used again.
#[derive(Debug, Default)]
struct Names {
    ids: HashMap<Arc<str>, u32>,
    list: Vec<Arc<str>>,
}

impl Names {
    fn id(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        if self.list.len() + 1 >= MAX_NAMES && name != OTHER {
            return self.id(OTHER);
        }
        let (id, name) = (self.list.len() as u32, Arc::<str>::from(name));
        self.list.push(Arc::clone(&name));
        self.ids.insert(name, id);
        id
    }

    fn list(&self) -> Vec<Arc<str>> {
        self.list.clone()
    }
}

/// Names are only added, so a poisoned lock is as good as another.
fn lock(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}
