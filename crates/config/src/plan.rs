//! The checked plan: what the file meant, with every default filled in and every name resolved.
//!
//! It is immutable and shared by all threads. A reload makes a new one and compares: what is equal
//! keeps its state (connections, health, counters), so these types implement `PartialEq`.

mod queue;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::net::Cidr;

pub use queue::{Every, Queue, Receiver, Redelivery, SecretError, Url};

/// All that one node does.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Who this node is.
    pub node: Node,
    /// Where operators talk to it.
    pub admin: Admin,
    /// Where clients come in; at least one.
    pub listeners: Vec<Arc<Listener>>,
    /// What a client may use up.
    pub limits: Limits,
    /// Who answers, by name.
    pub services: BTreeMap<Arc<str>, Arc<Service>>,
    /// What is asked, in the order of the file.
    pub routes: Vec<Arc<Route>>,
    /// What is kept of answers.
    pub cache: Cache,
    /// What may wait, by name.
    pub queues: BTreeMap<Arc<str>, Arc<Queue>>,
    /// What is told about requests.
    pub telemetry: Telemetry,
}

/// `[node]`
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Default: the host's name.
    pub name: Arc<str>,
    /// Default: `local`.
    pub region: Arc<str>,
    /// Default: `./nearside-data`.
    pub data: PathBuf,
    /// Data-plane threads; already resolved, at least 1.
    pub threads: usize,
}

/// `[admin]`
#[derive(Clone, PartialEq)]
pub struct Admin {
    /// Default: 127.0.0.1:9900.
    pub listen: SocketAddr,
    /// Must be there when `listen` is not loopback. Never printed.
    pub token: Option<Secret>,
}

/// A string that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("listen", &self.listen).field("token", &self.token).finish()
    }
}

/// `[[listen]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose `X-Forwarded-*` and `X-Request-Id` are believed. Default: nobody.
    pub trust: Vec<Cidr>,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Client connections of the whole node; over it: 503 and close. Default 20,000.
    pub connections: u32,
    /// Connections of one client address; over it: 429 and close. Default 512.
    pub connections_per_client: u32,
    /// Bytes of a request's head; over it: 431. Default 32 KiB.
    pub header_bytes: usize,
    /// Header fields of a request; over it: 431. Default 128.
    pub headers: usize,
    /// Bytes of a request's body; over it: 413. Default 64 MiB.
    pub body: u64,
    /// Time for a whole request head to arrive; over it: 408. Default 10 s.
    pub header_timeout: Duration,
    /// How long a kept connection may be silent. Default 60 s.
    pub idle_timeout: Duration,
    /// Requests on one connection; 0: no limit.
    pub requests_per_connection: u32,
}

/// `[service.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name in the file.
    pub name: Arc<str>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// The endpoints that the file names; may be empty only with `discover`.
    pub endpoints: Vec<Endpoint>,
    /// Endpoints found as the node runs, in addition to `endpoints`.
    pub discover: Option<Discover>,
    /// A cookie that brings a client back to its endpoint.
    pub sticky: Option<Sticky>,
    /// Active checks.
    pub health: Option<Health>,
    /// Passive checks; on by default.
    pub outliers: Option<Outliers>,
    /// How long to wait.
    pub timeout: Timeouts,
    /// Further tries; on by default.
    pub retry: Retry,
    /// A second try for slow idempotent reads; off by default.
    pub hedge: Option<Hedge>,
    /// How much at once; none by default.
    pub limit: Option<Overload>,
    /// How long a new or recovered endpoint's share grows to its full one; zero: at once.
    pub slow_start: Duration,
}

/// `balance = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Weighted random.
    Random,
    /// The fewest requests in flight for its weight. The default is `two_choices`.
    LeastConnections,
    /// The less busy of two random ones.
    TwoChoices,
    /// The lower peak EWMA latency × load of two random ones.
    Latency,
    /// Ring hash of the client's address.
    IpHash,
    /// Ring hash with bounded load.
    Hash(HashBy),
    /// Maglev table by the client's address.
    Maglev,
}

/// What a hash is taken of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashBy {
    /// `header:NAME`, in lower case.
    Header(Arc<str>),
    /// `cookie:NAME`
    Cookie(Arc<str>),
    /// `query:NAME`
    Query(Arc<str>),
    /// `path`
    Path,
    /// `client`: the client's address.
    Client,
}

/// One address of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// As written: `http://host:port`; its identity across reloads.
    pub url: Arc<str>,
    /// Host name or address literal (IPv6 without brackets).
    pub host: Arc<str>,
    /// Port, 80 if the URL has none.
    pub port: u16,
    /// 1 to 1,000; default 1.
    pub weight: u32,
    /// Where it is; none: here.
    pub region: Option<Arc<str>>,
}

/// `discover = …`
#[derive(Debug, Clone, PartialEq)]
pub enum Discover {
    /// Each A and AAAA record of `host` is an endpoint at `port`.
    Dns {
        /// Name to look up.
        host: Arc<str>,
        /// Port of every endpoint found.
        port: u16,
        /// The longest time between look-ups; the records' TTL may shorten it. Default 5 s.
        every: Duration,
    },
    /// `srv+_http._tcp.NAME`: priority and weight as the records say.
    Srv {
        /// Name to look up, as `_http._tcp.shop`.
        name: Arc<str>,
        /// The longest time between look-ups. Default 5 s.
        every: Duration,
    },
    /// A TOML file with `endpoints = […]`, followed as it changes.
    File {
        /// Relative to the configuration file's folder.
        path: PathBuf,
    },
}

/// `sticky = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: Arc<str>,
}

/// `health = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked; default `/`.
    pub path: Arc<str>,
    /// `Host` of the check; default the endpoint's own authority.
    pub host: Option<Arc<str>>,
    /// Time between checks; jittered by 10 %. Default 2 s.
    pub every: Duration,
    /// Default 1 s.
    pub timeout: Duration,
    /// Good answers in a row that make an ill endpoint well. Default 2.
    pub rise: u32,
    /// Bad answers in a row that make a well endpoint ill. Default 3.
    pub fall: u32,
    /// Inclusive range of statuses that are good; default 200 to 399.
    pub status: (u16, u16),
}

/// `outliers = …`
#[derive(Debug, Clone, PartialEq)]
pub struct Outliers {
    /// Errors in a row that eject an endpoint. Default 5.
    pub errors: u32,
    /// How long the first time; grows with each ejection. Default 30 s.
    pub eject: Duration,
    /// The largest share of endpoints ejected at once, 0 to 1. Default 0.5.
    pub at_most: f64,
}

/// `timeout = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be made. Default 1 s.
    pub connect: Duration,
    /// From the request's last byte to the answer's head. Default 30 s.
    pub response: Duration,
    /// Between two reads of an answer's body, and for a kept connection. Default 60 s.
    pub idle: Duration,
}

/// `retry = …`
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Further tries after the first; 0: none. Default 2.
    pub attempts: u32,
    /// At most this share of the service's requests, 0 to 1. Default 0.2.
    pub budget: f64,
    /// Default: connect, 502, 503, 504.
    pub on: RetryOn,
}

/// What is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection, or one that broke before an answer.
    pub connect: bool,
    /// Statuses of answers that are tried again, sorted. 504 includes our own time-outs.
    pub statuses: Vec<u16>,
}

/// `hedge = …`
#[derive(Debug, Clone, PartialEq)]
pub struct Hedge {
    /// When the second try starts.
    pub after: HedgeAfter,
}

/// When a hedge starts.
#[derive(Debug, Clone, PartialEq)]
pub enum HedgeAfter {
    /// `"p95"`: when that share (0 to 1) of recent answers would have come.
    Quantile(f64),
    /// `"20ms"`
    Time(Duration),
}

/// `limit = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overload {
    /// Requests in flight at the service's endpoints, of the whole node.
    pub in_flight: u32,
    /// Requests that may wait for a place. Default: half of `in_flight`.
    pub waiting: u32,
    /// How long one may wait; then 503 with `Retry-After`. Default 5 s.
    pub wait: Duration,
}

/// `[[route]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// `host` + `path` as in the file (`*` for any host), unique: the `route` label of metrics.
    pub name: Arc<str>,
    /// Which hosts.
    pub host: HostMatch,
    /// Which paths.
    pub path: PathMatch,
    /// Upper case; empty: all.
    pub methods: Vec<Arc<str>>,
    /// Each must match.
    pub headers_match: Vec<HeaderMatch>,
    /// What happens.
    pub action: Action,
    /// Which answers may be used again; none: the route is not cached. Only with [`Action::Forward`].
    pub cache: Option<CacheRules>,
    /// Changes to the request's fields before it is sent to an endpoint.
    pub request_headers: HeaderRules,
    /// Changes to the answer's fields before it is sent to the client.
    pub response_headers: HeaderRules,
    /// Line of the `[[route]]` in the file, from 1; for messages.
    pub line: usize,
}

impl Route {
    /// How many conditions it has beside its host and path: one if it names methods, one for each
    /// header field. Of two routes with equal host and path, the one with more is asked first.
    pub fn conditions(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers_match.len()
    }
}

/// `host = …`, lower case, without a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// No `host`, or `*`.
    Any,
    /// `shop.example.com`
    Exact(Arc<str>),
    /// `*.example.com`, kept as `.example.com`.
    Suffix(Arc<str>),
}

impl fmt::Display for HostMatch {
    /// As in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// `path = …`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// No `path`, or `/*`, or `/`.
    Any,
    /// `/livez`
    Exact(Arc<str>),
    /// A path that ends in `/` or `*`; kept without the `*`. `/api/*` is the prefix `/api/`, and matches `/api` too.
    Prefix(Arc<str>),
}

impl fmt::Display for PathMatch {
    /// As in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("/*"),
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// `match = { headers = { NAME = "value" } }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: Arc<str>,
    /// None (`"*"`): any value, as long as it is there.
    pub value: Option<Arc<str>>,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `service` or `split`
    Forward(Forward),
    /// `queue` without a service: a name in [`Plan::queues`].
    Enqueue(Arc<str>),
    /// `redirect`
    Redirect(Redirect),
    /// `respond`
    Respond(Respond),
}

/// To whom a request goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Names in [`Plan::services`] with weights of 1 or more; never empty.
    pub to: Vec<(Arc<str>, u32)>,
    /// Who else gets a copy.
    pub mirror: Option<Mirror>,
    /// `queue` beside the service: where a request goes that says `Prefer: respond-async`; a name in
    /// [`Plan::queues`].
    pub later: Option<Arc<str>>,
}

/// `mirror = …`
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// A name in [`Plan::services`].
    pub service: Arc<str>,
    /// 0 to 1; default 1.
    pub share: f64,
}

/// `redirect = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// With `{rest}` (what a prefix left over), `{path}`, `{query}`, `{host}` to be filled in.
    pub to: Arc<str>,
    /// 301, 302, 303, 307 or 308; default 308.
    pub status: u16,
}

/// `respond = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// 200 to 599; default 200.
    pub status: u16,
    /// Default empty.
    pub body: Arc<str>,
    /// Default `text/plain; charset=utf-8`.
    pub content_type: Arc<str>,
}

/// `headers = { request = …, response = … }`; removal comes first, then `set`, then `add`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderRules {
    /// Lower-case names.
    pub remove: Vec<Arc<str>>,
    /// Replaces all fields of that name; the name as written.
    pub set: Vec<(Arc<str>, Arc<str>)>,
    /// One more field; the name as written.
    pub add: Vec<(Arc<str>, Arc<str>)>,
}

/// `[cache]`: the tiers of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Bytes that the memory tier may take, bookkeeping included. Default 256 MiB.
    pub memory: u64,
    /// None: no disk tier.
    pub disk: Option<CacheDisk>,
    /// `redis://host:port[/db]`, maybe with a password; none: no shared tier.
    pub shared: Option<Secret>,
    /// Bytes of the largest object worth keeping. Default 1 GiB.
    pub largest: u64,
    /// Which clients may send PURGE; by default nobody.
    pub purge_from: Vec<Cidr>,
}

/// `disk = { path, size }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDisk {
    /// Resolved against `node.data`.
    pub path: PathBuf,
    /// Bytes of it that may be used.
    pub size: u64,
}

/// A route's `cache = {…}`. All at their defaults: exactly what RFC 9111 allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheRules {
    /// How long an answer that says nothing of its freshness is fresh.
    pub default_ttl: Option<Duration>,
    /// How long after that it may be used while a new one is fetched, if it doesn't say itself.
    pub stale_while_revalidate: Option<Duration>,
    /// How long after that it may be used if no new one can be had, if it doesn't say itself.
    pub stale_if_error: Option<Duration>,
    /// `key = {…}` and `vary_query`: what makes two requests ask for the same object, beside host and path.
    pub key: CacheKey,
    /// Requests with one of these are passed to the service, and their answers are not stored.
    pub bypass: Vec<Bypass>,
    /// Bytes of the largest object worth keeping here; none: as `[cache]` says.
    pub largest: Option<u64>,
}

/// What of a request is part of the key, beside scheme, host and path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheKey {
    /// Of the query.
    pub query: QueryKey,
    /// Fields, in lower case, sorted.
    pub headers: Vec<Arc<str>>,
    /// Cookies, sorted.
    pub cookies: Vec<Arc<str>>,
}

/// Which part of a query is part of the key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QueryKey {
    /// All of it, as sent: the default.
    #[default]
    All,
    /// All of it, its parameters sorted.
    Sorted,
    /// Nothing.
    None,
    /// Parameters of these names (`vary_query`), sorted; the list is sorted too.
    Named(Vec<Arc<str>>),
}

/// What makes a request bypass the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bypass {
    /// `header:NAME`, in lower case.
    Header(Arc<str>),
    /// `cookie:NAME`
    Cookie(Arc<str>),
    /// `query:NAME`
    Query(Arc<str>),
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// None: no access log (the default of `run` is none).
    pub access_log: Option<AccessLog>,
}

/// `access_log = …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// None: standard output (`-`).
    pub path: Option<PathBuf>,
    /// Default JSON.
    pub format: LogFormat,
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// The Common Log Format, with the request's time at the end.
    Common,
}
