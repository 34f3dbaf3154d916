//! The demo's parts: endpoints, the node and both crowds, set up, looked at, and struck.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use node::{Node, Options};
use tokio::time::{sleep, timeout};
use upstream::status::EndpointStatus;
use upstream::usable::Standing;
use upstream::{Event, clock};

use super::content::TAG;
use super::endpoint::Endpoint;
use super::network::{self, ENDPOINTS, MORTALS, NEARSIDE, RANDOM_PATH, SHOP};
use super::tally::{EndpointWork, Side, Tally};
use super::users::Crowd;
use super::view::{CacheRow, Happening, Opened, Row, Summary, View};
use super::{DemoError, purge};

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

/// All that takes part.
pub struct Stage {
    pub opened: Opened,
    /// When users began; before that, when all was open.
    pub began: Instant,
    /// Nearside's users, and those of random choice.
    pub crowds: [Arc<Crowd>; 2],
    /// In the same order.
    endpoints: [Vec<Endpoint>; 2],
    node: Node,
    events: Receiver<(Instant, Event)>,
    happenings: VecDeque<Happening>,
    /// Purges that were asked for.
    purges: u128,
    /// Are the mortal endpoints to be dead?
    dead: bool,
    /// Stale pictures that users had got when they died.
    stale_at_death: u64,
    looks: VecDeque<(Instant, Tally)>,
}

impl Stage {
    /// Opens everything. To be called in a runtime.
    pub fn set() -> Result<Stage, DemoError> {
        let start = || ENDPOINTS.iter().map(Endpoint::start).collect::<Result<Vec<_>, _>>();
        let endpoints = [start().map_err(DemoError::Endpoint)?, start().map_err(DemoError::Endpoint)?];
        let [near, random] = endpoints.each_ref().map(|all| addresses(all));
        let config = |port, admin| network::text(port, admin, &near, &random);
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
            endpoints,
            node,
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

    /// Kills the mortal endpoints of both sides, or brings them back, unless it is so already.
    pub fn live_or_die(&mut self, dead: bool) -> Result<(), DemoError> {
        let all = self.endpoints.iter_mut().flat_map(|side| side.iter_mut().enumerate());
        for (_, endpoint) in all.filter(|(index, _)| MORTALS.contains(index)) {
            match (dead, endpoint.alive()) {
                (true, true) => endpoint.kill(),
                (false, false) => endpoint.revive().map_err(DemoError::Endpoint)?,
                _ => {}
            }
        }
        if std::mem::replace(&mut self.dead, dead) != dead {
            self.tell_of_life(dead);
        }
        Ok(())
    }

    fn tell_of_life(&mut self, dead: bool) {
        let names = MORTALS.map(|index| ENDPOINTS[index].name).join(" and ");
        // Pictures have no other endpoint, and what the shop's dead one gave is asked of the others.
        let tally = self.crowds[0].tally();
        let stale = (SHOP..ENDPOINTS.len()).map(|index| tally.stale(index)).sum();
        let what = if dead {
            self.stale_at_death = stale;
            format!("{names} are killed: connections are reset, and nobody else has pictures")
        } else {
            let stood_in = stale.saturating_sub(self.stale_at_death);
            format!("{names} are started again; {stood_in} times a stale picture stood in")
        };
        self.remember(Instant::now(), what);
    }

    /// Purges till it was done so often.
    pub async fn purge_till(&mut self, due: u128) {
        while self.purges < due {
            self.purges += 1;
            let asked = Instant::now();
            let answer = purge::by_tag(self.opened.admin, TAG).await;
            let ms = asked.elapsed().as_secs_f64() * 1e3;
            let what = match answer {
                Ok(nodes) => {
                    let said = |node: &purge::Acknowledged| match node.done {
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
        let now = Instant::now();
        let [near, random] = [0, 1].map(|side| self.side(side));
        let tally = self.crowds[0].tally();
        let (since, before) = self.looks.front().cloned().unwrap_or((self.began, Tally::default()));
        let lately = tally.since(&before).side(EndpointWork::default());
        let seconds = (now - since).as_secs_f64().max(0.001);
        let view = View {
            elapsed: now - self.began,
            length,
            cache: CacheRow { per_second: lately.cache.answers as f64 / seconds, part: lately.cache.clone() },
            rows: self.rows(lately, seconds),
            nearside: near,
            random,
            happenings: self.happenings.iter().cloned().collect(),
        };
        self.looks.push_back((now, tally));
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
        let happenings = self.happenings.iter().cloned().collect();
        Summary { seconds: worked.as_secs_f64(), nearside, random, node_cache, happenings }
    }

    /// What a side met so far, and what it cost its endpoints.
    fn side(&self, index: usize) -> Side {
        let mut work = EndpointWork::default();
        for endpoint in &self.endpoints[index] {
            let (requests, bytes) = endpoint.work().done();
            work.requests += requests;
            work.bytes += bytes;
        }
        self.crowds[index].tally().side(work)
    }

    /// Ends the node. Not to be called in a runtime.
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
    }

    fn remember(&mut self, at: Instant, what: String) {
        let seconds = at.saturating_duration_since(self.began).as_secs_f64();
        self.happenings.push_back(Happening { seconds, what });
        if self.happenings.len() > HAPPENINGS {
            self.happenings.pop_front();
        }
    }
}

fn addresses(endpoints: &[Endpoint]) -> Vec<SocketAddr> {
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
