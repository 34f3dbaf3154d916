//! A node that is none, the API in front of it, and a small client.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use admin::cache::{CacheView, Cached, NodePurged, PurgeOrder, StoredView, TierState, TierView, Usable};
use admin::queue::Queues;
use admin::{Later, Operations, ReloadError, Reloaded, Reloads};
use cache::Cache;
use config::Report;
use config::plan::CacheRules;
use edge::stats::Sample;
use edge::{Kept, Live, Shared, Stats};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use upstream::Registry;
use wire::RequestHead;

use crate::fake_queues::FakeQueues;

/// A file with one of each: services that hash, stick and limit, routes that do each thing.
pub const FILE: &str = r#"
[node]
name = "eu-1"
region = "eu"
threads = 2

[[listen]]
address = "127.0.0.1:8080"
trust = ["10.0.0.0/8"]

[service.shop]
balance = { hash = "header:X-User" }
endpoints = [
  "http://127.0.0.1:3001",
  { url = "http://127.0.0.1:3002", weight = 3 },
  { url = "http://127.0.0.1:3003", region = "us" },
]
sticky = { cookie = "nearside_shop" }
limit = { in_flight = 10 }
hedge = { after = "p95" }

[service.next]
balance = "round_robin"
endpoints = ["http://127.0.0.1:3004"]
retry = { attempts = 0 }

[[route]]
host = "shop.example.com"
path = "/api/*"
methods = ["GET", "POST"]
service = "shop"
mirror = { service = "next", share = 0.1 }
headers = { request = { set = { "X-Api-Key" = "hush" } } }

[[route]]
host = "shop.example.com"
split = [{ service = "shop", weight = 3 }, { service = "next", weight = 1 }]

[[route]]
path = "/old/*"
redirect = { to = "https://shop.example.com/new/{rest}" }

[[route]]
path = "/hello"
match = { headers = { "X-Beta" = "1" } }
respond = { body = "hello" }
"#;

/// What a fake node answers to a reload, once.
type Reload = Result<Reloaded, ReloadError>;

pub struct Fake {
    live: Arc<Live>,
    registry: Registry,
    shared: Arc<Shared>,
    pub next_reload: Mutex<Option<Reload>>,
    pub drained: AtomicBool,
    /// What the cache is said to hold for any request.
    pub cached: Mutex<Cached>,
    /// What was ordered last.
    pub purged: Mutex<Option<PurgeOrder>>,
    pub next_purge: Mutex<Result<Vec<NodePurged>, String>>,
    /// There only if the plan has queues.
    pub queues: Arc<FakeQueues>,
}

impl Operations for Fake {
    fn live(&self) -> Arc<Live> {
        self.live.clone()
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn started(&self) -> SystemTime {
        SystemTime::now() - Duration::from_secs(60)
    }

    fn reload(&self) -> Reload {
        self.next_reload.lock().unwrap().take().unwrap()
    }

    fn drain(&self) {
        self.drained.store(true, Ordering::SeqCst);
    }

    fn reloads(&self) -> Reloads {
        Reloads {
            done: 3,
            failed: 1,
            last: Some(SystemTime::now() - Duration::from_secs(5)),
            last_error: Some("line 7".to_owned()),
        }
    }

    fn cache(&self) -> CacheView {
        let memory = TierView {
            tier: "memory",
            state: TierState::Up,
            bytes: Some(1000),
            limit: Some(4 << 20),
            objects: Some(7),
            evictions: 2,
        };
        let why = "no answer within 25 ms".to_owned();
        let shared = TierView {
            tier: "shared",
            state: TierState::Down { why },
            bytes: None,
            limit: None,
            objects: None,
            evictions: 0,
        };
        CacheView { tiers: vec![memory, shared], requests: vec![("hit", 3), ("miss", 1), ("pass", 5)] }
    }

    fn cached(&self, rules: &CacheRules, request: &RequestHead) -> Cached {
        assert!(rules.default_ttl.is_some() && request.path().starts_with(b"/"));
        self.cached.lock().unwrap().clone()
    }

    fn purge(&self, order: PurgeOrder) -> Later<Result<Vec<NodePurged>, String>> {
        *self.purged.lock().unwrap() = Some(order);
        let answer = self.next_purge.lock().unwrap().clone();
        Box::pin(async { answer })
    }

    fn queues(&self) -> Option<Arc<dyn Queues>> {
        let any = !self.live.plan.queues.is_empty();
        any.then(|| self.queues.clone() as Arc<dyn Queues>)
    }
}

/// An answer in memory that is fresh for a while and for any request.
pub fn stored() -> StoredView {
    StoredView {
        tier: "memory",
        variant: String::new(),
        fits: true,
        usable: Usable::Fresh,
        why: String::new(),
        status: 200,
        age: 12,
        ttl: 48,
        bytes: 1234,
        etag: Some("\"v1\"".to_owned()),
        tags: vec!["a".to_owned(), "b".to_owned()],
    }
}

/// The API of a fake node.
pub struct Served {
    pub node: Arc<Fake>,
    pub address: SocketAddr,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<std::io::Result<()>>,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

pub fn parse(text: &str) -> Result<config::Loaded, Report> {
    config::parse(text, "nearside.toml", Path::new(""), &|_| None)
}

impl Served {
    /// The API of a node with [`FILE`].
    pub async fn start() -> Self {
        Self::with(FILE).await
    }

    /// The API of a node with this file.
    pub async fn with(file: &str) -> Self {
        let plan = Arc::new(parse(file).unwrap().plan);
        let registry = Registry::new(upstream::Options::default(), Handle::current(), Arc::new(|_| {}));
        registry.apply(&plan);
        let kept = Kept::new(Cache::new(1 << 20, 1 << 20));
        // The data path's own, which nobody asks here.
        let none = queue::Queues::new(plan.node.threads, Handle::current(), Arc::new(|_| {}));
        let shared = Shared::new(Stats::new(plan.node.threads), kept, none);
        let node = Arc::new(Fake {
            live: Arc::new(Live::new(&plan, &registry, &shared.stats)),
            registry,
            shared,
            next_reload: Mutex::default(),
            drained: AtomicBool::default(),
            cached: Mutex::default(),
            purged: Mutex::default(),
            next_purge: Mutex::new(Ok(Vec::new())),
            queues: Arc::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(admin::serve(listener, node.clone(), plan.admin.token.clone(), async {
            let _ = stopped.await;
        }));
        Self { node, address, stop: Some(stop), task }
    }

    /// Counts an answer of a route.
    pub fn count(&self, route: Option<&str>, service: Option<&str>, status: u16, nanos: u64) {
        let stats = &self.node.shared.stats;
        stats.shard(0).request(&Sample {
            route: route.map(|name| stats.route_id(name)),
            service: service.map(|name| stats.service_id(name)),
            status,
            nanos,
            upstream_nanos: service.map(|_| nanos / 2),
            bytes_in: 10,
            bytes_out: 100,
        });
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    /// What is there, as JSON.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Asks as a well-behaved client with further `fields`; a `Host` among them takes the place of
    /// the right one.
    pub async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !fields.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {}\r\n", self.address);
        }
        if !body.is_empty() {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        self.send(&format!("{text}\r\n{body}")).await
    }

    /// Sends these bytes and reads the answer, till the end of the connection.
    pub async fn send(&self, text: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Answer::read(&answer)
    }
}

impl Answer {
    pub fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Checks that it is a problem with this status, and returns what it says.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], status);
        assert_eq!(json["type"], "about:blank");
        assert!(json["title"].is_string(), "{json}");
        json["detail"].as_str().unwrap().to_owned()
    }
}

impl Served {
    /// Was the node told to leave?
    pub fn drained(&self) -> bool {
        self.node.drained.load(Ordering::SeqCst)
    }

    /// Lets the node go on to a phase.
    pub fn advance(&self, phase: edge::Phase) {
        self.node.shared.advance(phase);
    }
}
