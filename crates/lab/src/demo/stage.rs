//! The demo's parts: endpoints, the warehouse, the node and its users, set up, looked at, and struck.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use node::{Node, Options};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use upstream::status::EndpointStatus;
use upstream::usable::Standing;
use upstream::{Event, clock};

use super::buyers::Buyers;
use super::content::{TAG, Wishes};
use super::endpoint::{Desk, Endpoint};
use super::histogram::Histogram;
use super::network::{
    self, ENDPOINTS, MORTALS, NEARSIDE, ORDER_RATE, Places, QUEUE, RANDOM_PATH, RATE, SHOP,
};
use super::orders::{CaughtUp, Ledger, Orders, Told};
use super::shop::Shop;
use super::tally::{EndpointWork, Side, Tally};
use super::users::{Arrivals, Crowd};
use super::view::{CacheRow, Happening, Opened, Row, Summary, View};
use super::warehouse::Warehouse;
use super::{DemoError, lock, operator};

/// Where the demo is, if nobody else is there.
const PORT: u16 = 8080;
/// Where its admin API is, if nobody else is there.
const ADMIN_PORT: u16 = 9900;
/// Events of the node that may wait for the next look; more are not shown.
const EVENTS: usize = 256;
/// How long the first checks may take.
const CHECKED: Duration = Duration::from_secs(2);
/// What happened that is remembered.
const HAPPENINGS: usize = 100;
/// How many looks back an endpoint's numbers go.
const LOOKS: usize = 10;
/// How long the end may wait for what the queue still has: a few times its longest pause.
const CATCH_UP: Duration = Duration::from_secs(10);

/// All that takes part.
pub struct Stage {
    pub opened: Opened,
    /// When users began; before that, when all was open.
    pub began: Instant,
    /// Nearside's users, and those of random choice.
    pub crowds: [Arc<Crowd>; 2],
    buyers: Arc<Buyers>,
    ledger: Arc<Mutex<Ledger>>,
    /// What the node said last of its queue.
    told: Told,
    /// Since when there are no users any more.
    closed: Option<Instant>,
    /// Nearside's, and those chosen at random.
    endpoints: [Vec<Endpoint<Shop>>; 2],
    warehouse: Endpoint<Warehouse>,
    node: Node,
    /// What the node keeps; it goes with the stage.
    _data: TempDir,
    events: Receiver<(Instant, Event)>,
    happenings: VecDeque<Happening>,
    /// Purges that were asked for.
    purges: u128,
    /// Are the mortal endpoints to be dead?
    dead: bool,
    /// Stale pictures that users had got when they died.
    stale_at_death: u64,
    looks: VecDeque<Look>,
}

/// What there was at one moment.
#[derive(Clone)]
struct Look {
    at: Instant,
    tally: Tally,
    /// From accepted to delivered.
    orders: Histogram,
}

impl Stage {
    /// Opens everything. To be called in a runtime.
    pub fn set() -> Result<Stage, DemoError> {
        let ledger: Arc<Mutex<Ledger>> = Arc::default();
        let endpoints = [shops()?, shops()?];
        let warehouse = start(Warehouse::new(ledger.clone()))?;
        let data = tempfile::Builder::new().prefix("nearside-demo-").tempdir().map_err(DemoError::Folder)?;
        let [near, random] = endpoints.each_ref().map(|all| addresses(all));
        let config = |listen, admin| {
            let (near, random, warehouse, data) = (&near, &random, warehouse.address(), data.path());
            network::text(&Places { listen, admin, near, random, warehouse, data })
        };
        let (tell, events) = sync_channel(EVENTS);
        let loaded = config::parse(&config(free(PORT), free(ADMIN_PORT)), "demo", Path::new(""), &|_| None);
        let node = Node::start(Options {
            plan: loaded.map_err(DemoError::Plan)?.plan,
            file: None,
            grace: Duration::ZERO,
            tell: Some(Arc::new(move |event| {
                let _ = tell.try_send((Instant::now(), event));
            })),
        })?;
        let at = node.addresses().first().copied().unwrap_or(free(PORT));
        let admin = node.admin_address();
        Ok(Stage {
            opened: Opened { node: at, admin, config: config(at, admin) },
            began: Instant::now(),
            crowds: [Crowd::new(at, ""), Crowd::new(at, RANDOM_PATH)],
            buyers: Buyers::new(at, ledger.clone()),
            ledger,
            told: Told::default(),
            closed: None,
            endpoints,
            warehouse,
            node,
            _data: data,
            events,
            happenings: VecDeque::new(),
            purges: 0,
            dead: false,
            stale_at_death: 0,
            looks: VecDeque::new(),
        })
    }

    /// Waits till the node has checked all endpoints, so that users don't all meet the first one. What
    /// it said of them is no news.
    pub async fn checked(&self) {
        let all = async {
            while self.told().iter().any(|endpoint| endpoint.state == Standing::Unknown) {
                sleep(CHECKED / 100).await;
            }
        };
        // If a check hangs, the users will see why.
        let _ = timeout(CHECKED, all).await;
        while self.events.try_recv().is_ok() {}
    }

    /// Brings users: the same to both sides, and those who order, to Nearside.
    pub fn arrivals(&self) -> io::Result<[Arrivals; 2]> {
        let (mut sides, wishes) = (self.crowds.clone(), Wishes::new());
        let users = Arrivals::start(RATE, move |due, runtime| {
            let path = wishes.path(fastrand::f64(), fastrand::f64()).into();
            sides.iter().for_each(|crowd| crowd.send(due, &path, runtime));
            // Neither side is always the second.
            sides.reverse();
        })?;
        let (buyers, mut orders) = (self.buyers.clone(), 0);
        let buyers = Arrivals::start(ORDER_RATE, move |_, runtime| {
            orders += 1;
            buyers.send(orders, runtime);
        })?;
        Ok([users, buyers])
    }

    /// No users come any more; waits for those that are still there.
    pub async fn close(&mut self) {
        self.closed = Some(Instant::now());
        for crowd in &self.crowds {
            crowd.leave().await;
        }
        self.buyers.leave().await;
    }

    /// Waits till the queue has delivered what it has, with all endpoints alive; not for ever.
    pub async fn catch_up(&mut self) -> Result<(), DemoError> {
        let began = Instant::now();
        while began.elapsed() < CATCH_UP {
            self.live_or_die(false)?;
            if self.ask().await && self.told.open() == 0 {
                break;
            }
            sleep(CATCH_UP / 200).await;
        }
        Ok(())
    }

    /// Asks the node how its queue is. Did it say? If not, what it said before is shown.
    pub async fn ask(&mut self) -> bool {
        let told = operator::queue(self.opened.admin, QUEUE).await;
        self.told = told.as_ref().copied().unwrap_or(self.told);
        told.is_ok()
    }

    /// Kills the mortal endpoints of both sides and the warehouse, or brings them back, unless it is so already.
    pub fn live_or_die(&mut self, dead: bool) -> Result<(), DemoError> {
        let all = self.endpoints.iter_mut().flat_map(|side| side.iter_mut().enumerate());
        for (_, endpoint) in all.filter(|(index, _)| MORTALS.contains(index)) {
            endpoint.live_or_die(dead).map_err(DemoError::Endpoint)?;
        }
        self.warehouse.live_or_die(dead).map_err(DemoError::Endpoint)?;
        if std::mem::replace(&mut self.dead, dead) != dead {
            self.tell_of_life(dead);
        }
        Ok(())
    }

    fn tell_of_life(&mut self, dead: bool) {
        let now = Instant::now();
        let names = MORTALS.map(|index| ENDPOINTS[index].name).join(", ");
        // Pictures have no other endpoint, and what the shop's dead one gave is asked of the others.
        let tally = self.crowds[0].tally();
        let stale = (SHOP..ENDPOINTS.len()).map(|index| tally.stale(index)).sum();
        let what = if dead {
            self.stale_at_death = stale;
            format!("{names} and the warehouse die: nobody else has pictures or takes orders")
        } else {
            let stood_in = stale.saturating_sub(self.stale_at_death);
            lock(&self.ledger).returned(now);
            format!("{names} and the warehouse return; {stood_in} times a stale picture stood in")
        };
        self.remember(now, what);
    }

    /// Purges till it was done so often.
    pub async fn purge_till(&mut self, due: u128) {
        while self.purges < due {
            self.purges += 1;
            let asked = Instant::now();
            let answer = operator::purge(self.opened.admin, TAG).await;
            let ms = asked.elapsed().as_secs_f64() * 1e3;
            let what = match answer {
                Ok(nodes) => {
                    let said = |node: &operator::Acknowledged| match node.done {
                        true => format!("node {} acknowledges, {} removed", node.node, node.removed),
                        false => format!("node {} did not do it", node.node),
                    };
                    let said: Vec<String> = nodes.iter().map(said).collect();
                    format!("tag {TAG} is purged: {} ({ms:.1} ms)", said.join(", "))
                }
                Err(why) => format!("tag {TAG} could not be purged: {why}"),
            };
            self.remember(asked, what);
        }
    }

    /// How it is now.
    pub fn view(&mut self, length: Option<Duration>) -> View {
        self.hear();
        let now = self.closed.unwrap_or_else(Instant::now);
        let look =
            Look { at: now, tally: self.crowds[0].tally(), orders: lock(&self.ledger).times().clone() };
        let before = self.looks.front().cloned();
        let before = before.unwrap_or_else(|| Look {
            at: self.began,
            tally: Tally::default(),
            orders: Histogram::default(),
        });
        let lately = look.tally.since(&before.tally).side(EndpointWork::default());
        let seconds = (now - before.at).as_secs_f64().max(0.001);
        let view = View {
            elapsed: now - self.began,
            length,
            cache: CacheRow { per_second: lately.cache.answers as f64 / seconds, part: lately.cache.clone() },
            rows: self.rows(lately, seconds),
            nearside: self.side(0),
            random: self.side(1),
            orders: self.orders(&look.orders.since(&before.orders)),
            happenings: self.happenings.iter().cloned().collect(),
        };
        self.looks.push_back(look);
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        view
    }

    /// What it came to, after so much work.
    pub fn summary(&mut self, worked: Duration) -> Summary {
        self.hear();
        let [nearside, random] = [0, 1].map(|side| self.side(side));
        let node_cache = self.node.stats().snapshot().cache.into_iter().collect();
        let times = lock(&self.ledger).times().clone();
        let orders = self.orders(&times);
        let happenings = self.happenings.iter().cloned().collect();
        Summary { seconds: worked.as_secs_f64(), nearside, random, orders, node_cache, happenings }
    }

    /// The orders so far, but only these times of them.
    fn orders(&self, times: &Histogram) -> Orders {
        lock(&self.ledger).orders(times, &self.told)
    }

    /// What a side met so far, and what it cost its endpoints.
    fn side(&self, index: usize) -> Side {
        let mut work = EndpointWork::default();
        for endpoint in &self.endpoints[index] {
            let (requests, bytes) = endpoint.desk().done();
            work.requests += requests;
            work.bytes += bytes;
        }
        self.crowds[index].tally().side(work)
    }

    /// Ends the node, and removes what it kept. Not to be called in a runtime.
    pub fn strike(self) {
        self.node.stop();
    }

    /// What the node thinks of Nearside's endpoints, in their order.
    fn told(&self) -> Vec<EndpointStatus> {
        let services = NEARSIDE.iter().filter_map(|name| self.node.registry().get(name));
        services.flat_map(|service| service.status(clock::now()).endpoints).collect()
    }

    fn rows(&self, lately: Side, seconds: f64) -> Vec<Row> {
        let parts = lately.endpoints.into_iter().zip(&ENDPOINTS);
        let seen = self.endpoints[0].iter().zip(self.told());
        let rows = parts.zip(seen).map(|((part, character), (endpoint, told))| Row {
            typical: character.typical,
            alive: endpoint.alive(),
            standing: told.state,
            per_second: part.answers as f64 / seconds,
            in_flight: told.in_flight,
            part,
        });
        rows.collect()
    }

    /// Takes in what the node told.
    fn hear(&mut self) {
        while let Ok((at, event)) = self.events.try_recv() {
            let mut said = event.to_string();
            for (index, (endpoint, is)) in self.endpoints[0].iter().zip(&ENDPOINTS).enumerate() {
                let service = NEARSIDE[usize::from(index >= SHOP)];
                let long = format!("service {service}, endpoint http://{}: ", endpoint.address());
                said = said.replace(&long, &format!("node: {} ", is.name));
            }
            self.remember(at, said);
        }
        let caught_up = lock(&self.ledger).caught_up();
        if let Some(CaughtUp { orders, at, after }) = caught_up {
            let after = after.as_secs_f64();
            self.remember(
                at,
                format!("the warehouse has the {orders} orders that waited, {after:.1} s after its return"),
            );
        }
    }

    fn remember(&mut self, at: Instant, what: String) {
        let seconds = at.saturating_duration_since(self.began).as_secs_f64();
        self.happenings.push_back(Happening { seconds, what });
        if self.happenings.len() > HAPPENINGS {
            self.happenings.pop_front();
        }
    }
}

fn start<D: Desk>(desk: D) -> Result<Endpoint<D>, DemoError> {
    Endpoint::start(desk).map_err(DemoError::Endpoint)
}

fn shops() -> Result<Vec<Endpoint<Shop>>, DemoError> {
    ENDPOINTS.iter().map(|character| start(Shop::new(character))).collect()
}

fn addresses(endpoints: &[Endpoint<Shop>]) -> Vec<SocketAddr> {
    endpoints.iter().map(Endpoint::address).collect()
}

/// The loopback address with this port if nobody listens there, or else with any.
fn free(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}
