//! Plans, small servers and waiting for the tests.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use config::plan::{
    Admin, Balance, Cache, Endpoint, Health, Limits, Node, Outliers, Plan, Retry, RetryOn, Service,
    Telemetry, Timeouts,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Handle;
use upstream::balance::Tried;
use upstream::{Ask, Event, Lease, NoEndpoint, Options, Outcome, Registry, What, clock};

/// Waits until it holds, 10 s at most.
#[track_caller]
pub fn until(what: &'static str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(10), "never: {what} ({caller})");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A service without checks, outliers or limit, in turns over endpoints at these URLs' authorities.
pub fn service(name: &str, endpoints: &[&str]) -> Service {
    Service {
        name: name.into(),
        balance: Balance::RoundRobin,
        endpoints: endpoints.iter().map(|authority| endpoint(authority)).collect(),
        discover: None,
        sticky: None,
        health: None,
        outliers: None,
        timeout: Timeouts { connect: ms(500), response: ms(500), idle: ms(500) },
        retry: Retry {
            attempts: 2,
            budget: 0.2,
            on: RetryOn { connect: true, statuses: vec![502, 503, 504] },
        },
        hedge: None,
        limit: None,
        slow_start: Duration::ZERO,
    }
}

pub fn endpoint(authority: &str) -> Endpoint {
    let (host, port) = authority.rsplit_once(':').unwrap();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let url = format!("http://{authority}").into();
    Endpoint { url, host: host.into(), port: port.parse().unwrap(), weight: 1, region: None }
}

pub fn health() -> Health {
    Health {
        path: "/healthz".into(),
        host: None,
        every: ms(20),
        timeout: ms(200),
        rise: 2,
        fall: 2,
        status: (200, 399),
    }
}

pub fn outliers() -> Outliers {
    Outliers { errors: 3, eject: ms(500), at_most: 0.5 }
}

pub fn plan(services: impl IntoIterator<Item = Service>) -> Plan {
    let services = services.into_iter().map(|service| (service.name.clone(), Arc::new(service)));
    Plan {
        node: Node { name: "n".into(), region: "here".into(), data: "data".into(), threads: 1 },
        admin: Admin { listen: ([127, 0, 0, 1], 9900).into(), token: None },
        listeners: Vec::new(),
        limits: Limits {
            connections: 1,
            connections_per_client: 1,
            header_bytes: 1,
            headers: 1,
            body: 1,
            header_timeout: ms(1),
            idle_timeout: ms(1),
            requests_per_connection: 0,
        },
        services: services.collect(),
        routes: Vec::new(),
        cache: Cache { memory: 1, disk: None, shared: None, largest: 1, purge_from: Vec::new() },
        queues: Default::default(),
        telemetry: Telemetry { access_log: None },
    }
}

/// A registry and what it told.
pub struct World {
    pub registry: Registry,
    told: Arc<Mutex<Vec<Event>>>,
}

impl World {
    pub fn new(options: Options) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let tell = Arc::new(move |event| tell.lock().unwrap().push(event));
        Self { registry: Registry::new(options, Handle::current(), tell), told }
    }

    /// One that runs this service.
    pub fn of(service: Service) -> (Self, Arc<upstream::Service>) {
        let world = Self::new(Options::default());
        let living = world.apply(service);
        (world, living)
    }

    pub fn apply(&self, service: Service) -> Arc<upstream::Service> {
        let name = Arc::clone(&service.name);
        self.registry.apply(&plan([service]));
        self.registry.get(&name).unwrap()
    }

    /// What was told so far, in order; the endpoint's URL, or nothing for the whole service.
    pub fn told(&self) -> Vec<(String, What)> {
        let told = self.told.lock().unwrap();
        told.iter().map(|event| (event.endpoint.clone().unwrap_or_default(), event.what.clone())).collect()
    }

    pub fn was_told(&self, what: impl Fn(&What) -> bool) -> bool {
        self.told().iter().any(|(_, told)| what(told))
    }
}

/// A choice that depends on nothing.
pub fn pick(service: &Arc<upstream::Service>) -> Result<Lease, NoEndpoint> {
    let tried = Tried::default();
    service.pick(&Ask {
        hash: fastrand::u64(..),
        sticky: None,
        tried: &tried,
        random: fastrand::u64(..),
        now: clock::now(),
    })
}

/// An answer that came soon.
pub fn answered(status: u16) -> Outcome {
    Outcome::Answered { status, latency_ns: 1_000 }
}

/// The URL of one choice, whose request is answered well.
pub fn ask(service: &Arc<upstream::Service>) -> String {
    let lease = pick(service).unwrap();
    let url = lease.endpoint().url().to_string();
    lease.finish(answered(200), clock::now());
    url
}

/// How often each endpoint is chosen in so many choices.
pub fn shares(service: &Arc<upstream::Service>, choices: usize) -> HashMap<String, usize> {
    let mut shares = HashMap::new();
    (0..choices).for_each(|_| *shares.entry(ask(service)).or_default() += 1);
    shares
}

/// An endpoint that answers each request with its status; 0: it accepts and never answers.
pub struct Origin {
    pub address: SocketAddr,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicU64>,
    pub last: Arc<Mutex<String>>,
}

impl Origin {
    pub async fn start(status: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(AtomicU16::new(status));
        let (asked, last) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(String::new())));
        let origin = Self { address, status: status.clone(), asked: asked.clone(), last: last.clone() };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (status, asked, last) = (status.clone(), asked.clone(), last.clone());
                tokio::spawn(async move {
                    let mut head = [0; 1024];
                    let n = stream.read(&mut head).await.unwrap_or(0);
                    *last.lock().unwrap() = String::from_utf8_lossy(&head[..n]).into_owned();
                    asked.fetch_add(1, SeqCst);
                    match status.load(SeqCst) {
                        0 => std::future::pending().await,
                        1 => stream.write_all(b"220 mail.example ready\r\n").await,
                        status => {
                            stream
                                .write_all(
                                    format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes(),
                                )
                                .await
                        }
                    }
                });
            }
        });
        origin
    }

    pub fn set(&self, status: u16) {
        self.status.store(status, SeqCst);
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(SeqCst)
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// What a name server knows: by name (with a dot at its end) and type, the TTL and records' data.
type Records = HashMap<(String, u16), (u32, Vec<Vec<u8>>)>;

pub const A: u16 = 1;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;

/// A small name server (RFC 1035) on UDP.
pub struct NameServer {
    pub address: SocketAddr,
    /// None: it answers SERVFAIL.
    records: Arc<Mutex<Option<Records>>>,
    /// Records of this type it can't look up; 0: of none.
    broken: Arc<AtomicU16>,
    asked: Arc<AtomicU64>,
}

impl NameServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let records = Arc::new(Mutex::new(Some(Records::new())));
        let asked = Arc::new(AtomicU64::new(0));
        let broken = Arc::new(AtomicU16::new(0));
        let (known, count, without) = (records.clone(), asked.clone(), broken.clone());
        tokio::spawn(async move {
            let mut query = [0; 1500];
            while let Ok((n, from)) = socket.recv_from(&mut query).await {
                let answer = answer(&query[..n], known.lock().unwrap().as_ref(), without.load(SeqCst));
                count.fetch_add(1, SeqCst);
                let _ = socket.send_to(&answer, from).await;
            }
        });
        Self { address, records, broken, asked }
    }

    pub fn set(&self, name: &str, kind: u16, ttl: u32, records: impl IntoIterator<Item = Vec<u8>>) {
        let mut known = self.records.lock().unwrap();
        known.get_or_insert_default().insert((name.to_owned(), kind), (ttl, records.into_iter().collect()));
    }

    /// Knows nothing any more.
    pub fn forget(&self) {
        *self.records.lock().unwrap() = Some(Records::new());
    }

    /// Fails for records of this type from now on.
    pub fn fail_for(&self, kind: u16) {
        self.broken.store(kind, SeqCst);
    }

    /// Fails from now on.
    pub fn fail(&self) {
        *self.records.lock().unwrap() = None;
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(SeqCst)
    }

    pub fn options(&self) -> Options {
        Options { name_server: Some(self.address), ..Options::default() }
    }
}

/// The data of an SRV record.
pub fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Vec<u8> {
    let mut data: Vec<u8> = [priority, weight, port].iter().flat_map(|n| n.to_be_bytes()).collect();
    for label in target.split('.').filter(|label| !label.is_empty()) {
        data.push(label.len() as u8);
        data.extend(label.as_bytes());
    }
    data.push(0);
    data
}

fn answer(query: &[u8], records: Option<&Records>, broken: u16) -> Vec<u8> {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + query[at] as usize;
        name += &String::from_utf8_lossy(&query[at + 1..end]).to_lowercase();
        name.push('.');
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    let none = (0, Vec::new());
    let (code, (ttl, found)) = match records {
        None => (2, &none),
        Some(_) if kind == broken => (2, &none),
        Some(all) if all.keys().all(|(known, _)| *known != name) => (3, &none),
        Some(all) => (0, all.get(&(name, kind)).unwrap_or(&none)),
    };
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, found.len() as u8, 0, 0, 0, 0]);
    answer.extend(question);
    for data in found {
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(ttl.to_be_bytes());
        answer.extend((data.len() as u16).to_be_bytes());
        answer.extend(data);
    }
    answer
}
