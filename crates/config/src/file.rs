//! The language of the file: every table and every key that this build knows, once.
//!
//! The tables say what may be written. What must fit together across keys and tables is in `check`.

mod queue;

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::kind::{
    Absence, At, Item, Kind, Map, OrOff, Reader, Tables, Word, Wrong, choose, described, key_name, one_of,
    prose, table,
};
use crate::net::Cidr;
use crate::plan::{self, HashBy, HedgeAfter, HostMatch, LogFormat, PathMatch};
use crate::scalar::{DAY, HOUR, KIB, MIB, Off, SECOND, Share, Size, Statuses, TIB, Time, Whole};
use crate::word::{
    Authority, CookieName, DnsName, EndpointUrl, FieldName, FieldValue, Location, Method, Name, NodeName,
    OwnFieldName, Parameter, Protocol, QueryPart, RedisUrl, RetryWhen, Target, Token,
};

pub(crate) use queue::{Message, Queue, Redelivery, Signing};

table! {
    /// The configuration of a Nearside node. Strings may hold ${NAME} and ${NAME:-default} for
    /// environment variables; $$ stands for one $.
    File, as "" {
        /// Who this node is.
        node: Node => default({}),
        /// Where operators talk to it.
        admin: Admin => default({}),
        /// Where clients come in.
        listen: Tables<Listen> => required,
        /// What a client may use up. Each limit has a safe default.
        limits: Limits => default({}),
        /// Who answers, by name.
        service: Map<Name, Service> => default({}),
        /// What is asked and what then happens. The most specific route wins: exact host, then
        /// *.host, then any; exact path, then the longest prefix, then any; then the one with more
        /// conditions on methods and headers; then the first in the file.
        route: Tables<Route> => required,
        /// What is kept close of answers; only routes with `cache` use it.
        cache: Cache => default({}),
        /// What may wait, by name: requests that are kept and delivered later.
        queue: Map<Name, Queue> => default({}),
        /// What is told about requests.
        telemetry: Telemetry => default({}),
        later: "bucket" "network" "dns"
    }

    /// Who this node is.
    Node, as r#"{ name = "eu-1" }"# {
        /// The node's name. If left out: the host's name.
        name: NodeName => optional,
        /// The region it is in.
        region: Name => default("local"),
        /// The folder for what is kept on disk, relative to the file's folder.
        data: Arc<str> => default("./nearside-data"),
        /// Threads for the data path; 0 is one for each core.
        threads: Whole<0, 1024> => default(0),
    }

    /// The dashboard, the API and the metrics.
    Admin, as r#"{ listen = "127.0.0.1:9900" }"# {
        /// Where it listens.
        listen: SocketAddr => default("127.0.0.1:9900"),
        /// What a caller must know. It must be set when `listen` is not a loopback address.
        token: Token => optional,
    }

    /// A listener: where clients come in.
    Listen, as r#"{ address = "0.0.0.0:8080" }"# {
        /// The address and the port.
        address: SocketAddr => required,
        /// What it speaks.
        protocols: Vec<At<Protocol>> => default(["http/1.1"]),
        /// Whose X-Forwarded-* and X-Request-Id are believed: addresses and ranges. By default nobody's.
        trust: Vec<At<Cidr>> => default([]),
        /// Not in this build.
        to_https: Off => default(false),
        /// Not in this build.
        proxy_protocol: Off => default(false),
        later: "tls"
    }

    /// What a client may use up; a request over a limit gets the status that is named with it.
    Limits, as "{ connections = 20000 }" {
        /// Client connections of the whole node; over it: 503 and close.
        connections: Whole<1, 10_000_000> => default(20000),
        /// Connections of one client address; over it: 429 and close.
        connections_per_client: Whole<1, 10_000_000> => default(512),
        /// Size of a request's head; over it: 431.
        header_bytes: Size<KIB, {128 * KIB}> => default("32KiB"),
        /// Header fields of a request; over it: 431.
        headers: Whole<1, 10_000> => default(128),
        /// Size of a request's body; over it: 413.
        body: Size<0, TIB> => default("64MiB"),
        /// Time for a whole head to arrive; over it: 408.
        header_timeout: Time<1, HOUR> => default("10s"),
        /// How long a kept connection may be silent.
        idle_timeout: Time<1, DAY> => default("60s"),
        /// Requests on one connection; 0 is no limit.
        requests_per_connection: Whole<0, {u32::MAX}> => default(0),
    }

    /// Who answers: endpoints that are equal to each other.
    Service, as r#"{ endpoints = ["http://10.0.0.1:3000"] }"# {
        /// How an endpoint is chosen.
        balance: plan::Balance => default("two_choices"),
        /// The endpoints, as URLs or with weights and regions.
        endpoints: Vec<At<plan::Endpoint>> => default([]),
        /// Further endpoints, found as the node runs.
        discover: Discover => optional,
        /// A cookie that brings a client back to its endpoint.
        sticky: Sticky => optional,
        /// Active checks; none by default.
        health: Health => optional,
        /// Endpoints that fail requests are left out for a while; false turns this off.
        outliers: OrOff<Outliers> => default({}),
        /// How long to wait.
        timeout: Timeouts => default({}),
        /// Further tries of what is safe to repeat.
        retry: Retry => default({}),
        /// A second try for slow idempotent reads; off by default.
        hedge: Hedge => optional,
        /// How much at once; no limit by default.
        limit: Overload => optional,
        /// How long a new or recovered endpoint's share grows to its full one.
        slow_start: Time<0, HOUR> => default("0s"),
        later: "run" "scale" "tls"
    }

    /// An endpoint with more than its URL.
    WeightedEndpoint, as r#"{ url = "http://10.0.0.1:3000", weight = 3 }"# {
        /// Where it is.
        url: EndpointUrl => required,
        /// Its share of the requests beside the other endpoints' weights.
        weight: Whole<1, 1000> => default(1),
        /// The region it is in; if left out, this node's.
        region: Name => optional,
    }

    /// A file of endpoints, followed as it changes.
    Endpoints, as "" {
        /// The endpoints, as in a service.
        endpoints: Vec<At<plan::Endpoint>> => required,
    }

    /// Where endpoints are found: `dns` or `file`.
    Discover, as r#"{ dns = "shop.internal:3000", every = "5s" }"# {
        /// A name with a port, each of whose A and AAAA records is an endpoint; or "srv+_http._tcp.shop".
        dns: DnsName => optional,
        /// A TOML file with `endpoints`, relative to this file's folder, followed as it changes.
        file: Arc<str> => optional,
        /// The longest time between look-ups of `dns`; the records' TTL may shorten it.
        every: Time<100, HOUR> => default("5s"),
    }

    /// A cookie that brings a client back to its endpoint.
    Sticky, as r#"{ cookie = "nearside_shop" }"# {
        /// The cookie's name.
        cookie: CookieName => required,
    }

    /// Active checks.
    Health, as r#"{ path = "/healthz", every = "2s" }"# {
        /// What is asked.
        path: Target => default("/"),
        /// Host of the check; if left out, the endpoint's own.
        host: Authority => optional,
        /// Time between checks.
        every: Time<10, HOUR> => default("2s"),
        /// How long an answer may take.
        timeout: Time<1, HOUR> => default("1s"),
        /// Good answers in a row that make an ill endpoint well.
        rise: Whole<1, 100> => default(2),
        /// Bad answers in a row that make a well endpoint ill.
        fall: Whole<1, 100> => default(3),
        /// The statuses of good answers.
        status: Statuses => default("200-399"),
    }

    /// Endpoints that fail requests are left out for a while.
    Outliers, as "{ errors = 5 }" {
        /// Errors in a row that eject an endpoint.
        errors: Whole<1, 10_000> => default(5),
        /// How long the first time; it grows with each ejection.
        eject: Time<1, DAY> => default("30s"),
        /// The largest share of the endpoints that are ejected at once.
        at_most: Share => default(0.5),
    }

    /// How long to wait.
    Timeouts, as r#"{ connect = "1s", response = "30s" }"# {
        /// For a connection to be made.
        connect: Time<1, HOUR> => default("1s"),
        /// From the request's last byte to the head of the answer.
        response: Time<1, DAY> => default("30s"),
        /// Between two reads of an answer's body, and for a kept connection.
        idle: Time<1, DAY> => default("60s"),
    }

    /// Further tries of what is safe to repeat.
    Retry, as "{ attempts = 2 }" {
        /// Further tries after the first; 0 is none.
        attempts: Whole<0, 10> => default(2),
        /// The largest share of the service's requests that may be further tries.
        budget: Share => default(0.2),
        /// What is tried again: "connect", and statuses.
        on: Vec<At<RetryWhen>> => default(["connect", "502", "503", "504"]),
    }

    /// A second try for slow idempotent reads.
    Hedge, as r#"{ after = "p95" }"# {
        /// When it starts: a duration, or a percentile of recent answers.
        after: HedgeAfter => required,
    }

    /// How much at once; what is over it gets 503 with Retry-After.
    Overload, as r#"{ in_flight = 1000, waiting = 500, wait = "5s" }"# {
        /// Requests in flight at the service's endpoints, of the whole node.
        in_flight: Whole<1, 10_000_000> => required,
        /// Requests that may wait for a place; if left out, half of `in_flight`.
        waiting: Whole<0, 10_000_000> => optional,
        /// How long one may wait.
        wait: Time<0, HOUR> => default("5s"),
    }

    /// What is asked (`host`, `path`, `methods`, `match`) and what then happens: exactly one of
    /// `service`, `split`, `queue`, `redirect` and `respond`, or `queue` beside one of the first two.
    Route, as r#"{ path = "/*", service = "shop" }"# {
        /// A host such as "shop.example.com" or "*.example.com"; if left out, any.
        host: HostMatch => optional,
        /// A path; one that ends in "/" or "*" is a prefix. If left out, any.
        path: PathMatch => optional,
        /// The methods, such as ["GET", "HEAD"]; if left out, all.
        methods: Vec<At<Method>> => optional,
        /// Further conditions.
        r#match: Conditions => optional,
        /// The service that answers.
        service: Arc<str> => optional,
        /// Services that share the requests by weight.
        split: Vec<At<Part>> => optional,
        /// A queue that keeps the requests, answered 202 and delivered later. Beside `service` or `split`:
        /// only those with the field `Prefer: respond-async`.
        queue: Arc<str> => optional,
        /// A service that gets a copy of the requests, whose answers are thrown away.
        mirror: Mirror => optional,
        /// An answer that leads elsewhere.
        redirect: Redirect => optional,
        /// An answer as written here.
        respond: Respond => optional,
        /// Which answers may be used again; {} is exactly what RFC 9111 allows. If left out, none.
        cache: OrOff<Caching> => optional,
        /// Changes to header fields.
        headers: Headers => optional,
        later: "rate" "auth" "compress" "vary" "bucket" "index"
    }

    /// Conditions on a request beside its host, path and method. All must hold.
    Conditions, as r#"{ headers = { "X-Beta" = "1" } }"# {
        /// Header fields and the values they must have; "*" is any value.
        headers: Map<FieldName, FieldValue> => required,
    }

    /// One of the services that share a route's requests.
    Part, as r#"{ service = "shop", weight = 95 }"# {
        /// The service.
        service: Arc<str> => required,
        /// Its share of the requests beside the other weights; 0 is none.
        weight: Whole<0, 1_000_000> => default(1),
    }

    /// Who gets a copy of the requests.
    Mirror, as r#"{ service = "shop-next", share = 0.1 }"# {
        /// The service.
        service: Arc<str> => required,
        /// The share of the requests that is copied.
        share: Share => default(1),
    }

    /// An answer that leads elsewhere.
    Redirect, as r#"{ to = "https://shop.example.com/new/{rest}", status = 308 }"# {
        /// A URL or a path. {rest} is what a prefix left over, {path}, {query} and {host} are the request's.
        to: Location => required,
        /// 301, 302, 303, 307 or 308.
        status: Whole<300, 399> => default(308),
    }

    /// An answer as written here.
    Respond, as r#"{ status = 200, body = "ok" }"# {
        /// Its status.
        status: Whole<200, 599> => default(200),
        /// Its body.
        body: Arc<str> => default(""),
        /// Its Content-Type.
        content_type: FieldValue => default("text/plain; charset=utf-8"),
    }

    /// Changes to header fields: what is in `remove` goes first, then `set`, then `add`.
    Headers, as r#"{ response = { remove = ["Server"] } }"# {
        /// Of the request, before it is sent to an endpoint.
        request: Changes => optional,
        /// Of the answer, before it is sent to the client.
        response: Changes => optional,
    }

    /// Changes to header fields.
    Changes, as r#"{ set = { "X-Frame-Options" = "DENY" } }"# {
        /// Fields that are taken away.
        remove: Vec<At<OwnFieldName>> => default([]),
        /// Fields that replace all of the same name.
        set: Map<OwnFieldName, FieldValue> => default({}),
        /// Fields that are added to those of the same name.
        add: Map<OwnFieldName, FieldValue> => default({}),
    }

    /// Which answers of a route may be used again. What an answer says of itself goes first.
    Caching, as "{}" {
        /// How long an answer is fresh that says nothing of it; if left out, what RFC 9111 lets a cache guess.
        default_ttl: Time<SECOND, {365 * DAY}> => optional,
        /// How long after that it may be used while a new one is fetched.
        stale_while_revalidate: Time<0, {365 * DAY}> => optional,
        /// How long after that it may be used if no new one can be had.
        stale_if_error: Time<0, {365 * DAY}> => optional,
        /// The parameters of the query that tell answers apart, such as ["v"]. If left out, the whole query.
        vary_query: Vec<At<Parameter>> => optional,
        /// What else of a request tells answers apart.
        key: CacheKey => optional,
        /// What makes a request pass the cache by: "header:NAME", "cookie:NAME" and "query:NAME".
        bypass: Vec<At<plan::Bypass>> => default([]),
        /// The largest object worth keeping; if left out, as [cache] says.
        largest: Size<1, {1024 * TIB}> => optional,
    }

    /// What of a request tells answers apart, beside its host and path.
    CacheKey, as r#"{ query = "sorted" }"# {
        /// Of the query: "all", "sorted" (all, in any order) or "none". If left out, "all".
        query: QueryPart => optional,
        /// Header fields.
        headers: Vec<At<FieldName>> => default([]),
        /// Cookies.
        cookies: Vec<At<CookieName>> => default([]),
    }

    /// What is kept close of answers.
    Cache, as r#"{ memory = "512MiB" }"# {
        /// All that the memory tier may take, bookkeeping included.
        memory: Size<{4 * MIB}, TIB> => default("256MiB"),
        /// A tier on disk; none by default.
        disk: CacheDisk => optional,
        /// A Valkey or Redis server whose tier the nodes of a region share; none by default.
        shared: RedisUrl => optional,
        /// The largest object worth keeping.
        largest: Size<1, {1024 * TIB}> => default("1GiB"),
        /// Which clients may send PURGE: addresses and ranges. By default nobody.
        purge_from: Vec<At<Cidr>> => default([]),
        later: "shield"
    }

    /// A tier on disk.
    CacheDisk, as r#"{ path = "cache", size = "50GiB" }"# {
        /// Its folder, relative to `data` of [node].
        path: Arc<str> => default("cache"),
        /// How much of the disk it may take.
        size: Size<{64 * MIB}, {1024 * TIB}> => required,
    }

    /// What is told about requests.
    Telemetry, as r#"{ access_log = { path = "-" } }"# {
        /// A line for each request; off by default.
        access_log: AccessLog => optional,
        /// Not in this build.
        server_timing: Off => default(false),
        later: "traces"
    }

    /// A line for each request.
    AccessLog, as r#"{ path = "-", format = "json" }"# {
        /// A file, relative to this file's folder; "-" is standard output.
        path: Arc<str> => default("-"),
        /// "json" or "common".
        format: LogFormat => default("json"),
    }
}

table! {
    /// A hash of something in the request.
    BalanceHash, as r#"{ hash = "header:X-User" }"# {
        /// "header:NAME", "cookie:NAME", "query:NAME", "path" or "client".
        hash: HashBy => required,
    }
}

/// The ways to balance that have a name alone.
const BALANCES: [(&str, plan::Balance); 7] = [
    ("round_robin", plan::Balance::RoundRobin),
    ("random", plan::Balance::Random),
    ("least_connections", plan::Balance::LeastConnections),
    ("two_choices", plan::Balance::TwoChoices),
    ("latency", plan::Balance::Latency),
    ("ip_hash", plan::Balance::IpHash),
    ("maglev", plan::Balance::Maglev),
];

/// `balance`: a word, or a table with `hash`.
impl Kind for plan::Balance {
    fn wanted() -> String {
        "the name of a way to balance".to_owned()
    }

    fn example() -> String {
        "\"least_connections\"".to_owned()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match item.value {
            DeValue::Table(_) => BalanceHash::read(item, reader)?.hash.map(|hash| Self::Hash(hash.value)),
            DeValue::String(text) if text == "hash" => {
                reader
                    .mistake(item.at, "`hash` needs to know what the hash is taken of")
                    .help(format!("for example: balance = {}", BalanceHash::example()));
                None
            }
            DeValue::String(_) => BalanceName::read(item, reader).map(|name| name.0),
            _ => reader.other_type(item),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [BalanceName::shape(), BalanceHash::schema()] })
    }
}

/// A way to balance that has a name alone.
struct BalanceName(plan::Balance);

impl Word for BalanceName {
    const WANTED: &'static str = "the name of a way to balance";
    const EXAMPLE: &'static str = "least_connections";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        choose(text, &BALANCES).map(Self)
    }

    fn shape() -> Json {
        one_of(&BALANCES.each_ref().map(|(name, _)| *name))
    }
}

/// An endpoint: its URL, or a table with more than that.
impl Kind for plan::Endpoint {
    fn wanted() -> String {
        "a URL or a table with `url`".to_owned()
    }

    fn example() -> String {
        EndpointUrl::example()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match item.value {
            DeValue::String(_) => EndpointUrl::read(item, reader).map(|url| url.0),
            DeValue::Table(_) => {
                let table = WeightedEndpoint::read(item, reader)?;
                let region = table.region.map(|region| region.value.0);
                Some(Self { weight: table.weight?.value.0, region, ..table.url?.value.0 })
            }
            _ => reader.other_type(item),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [EndpointUrl::shape(), WeightedEndpoint::schema()] })
    }
}
