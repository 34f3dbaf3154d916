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

use super::DemoError;
use super::endpoint::Endpoint;
use super::network::{self, ENDPOINTS, MORTAL, NEARSIDE, RANDOM_PATH};
use super::tally::Tally;
use super::users::Crowd;
use super::view::{Happening, Opened, Row, Summary, View};

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
            crowds: [Crowd::new(at, "/"), Crowd::new(at, RANDOM_PATH)],
            endpoints,
            node,
            events,
            happenings: VecDeque::new(),
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

    /// Kills the mortal endpoint of both sides, or brings it back, unless it is so already.
    pub fn live_or_die(&mut self, dead: bool) -> Result<(), DemoError> {
        let name = ENDPOINTS[MORTAL].name;
        let mut changed = false;
        for side in &mut self.endpoints {
            let endpoint = &mut side[MORTAL];
            match (dead, endpoint.alive()) {
                (true, true) => endpoint.kill(),
                (false, false) => endpoint.revive().map_err(DemoError::Endpoint)?,
                _ => continue,
            }
            changed = true;
        }
        if changed {
            let what = if dead { "is killed: its connections are reset" } else { "is started again" };
            self.remember(Instant::now(), format!("{name} {what}"));
        }
        Ok(())
    }

    /// How it is now.
    pub fn view(&mut self, length: Option<Duration>) -> View {
        self.hear();
        let now = Instant::now();
        let [near, random] = self.crowds.each_ref().map(|crowd| crowd.tally());
        let (since, before) = self.looks.front().cloned().unwrap_or((self.began, Tally::default()));
        let view = View {
            elapsed: now - self.began,
            length,
            rows: self.rows(&near.since(&before), now - since),
            nearside: near.side(),
            random: random.side(),
            happenings: self.happenings.iter().cloned().collect(),
        };
        self.looks.push_back((now, near));
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        view
    }

    /// What it came to, after so much work.
    pub fn summary(&mut self, worked: Duration) -> Summary {
        self.hear();
        let [nearside, random] = self.crowds.each_ref().map(|crowd| crowd.tally().side());
        let happenings = self.happenings.iter().cloned().collect();
        Summary { seconds: worked.as_secs_f64(), nearside, random, happenings }
    }

    /// Ends the node. Not to be called in a runtime.
    pub fn strike(self) {
        self.node.stop();
    }

    /// What the node thinks of Nearside's endpoints, in their order.
    fn told(&self) -> Vec<EndpointStatus> {
        let service = self.node.registry().get(NEARSIDE);
        service.map(|service| service.status(clock::now()).endpoints).unwrap_or_default()
    }

    fn rows(&self, lately: &Tally, time: Duration) -> Vec<Row> {
        let parts = lately.side().endpoints.into_iter().zip(&ENDPOINTS);
        let seen = self.endpoints[0].iter().zip(self.told());
        let rows = parts.zip(seen).map(|((part, character), (endpoint, told))| Row {
            typical: character.typical,
            alive: endpoint.alive(),
            standing: told.state,
            per_second: part.answers as f64 / time.as_secs_f64().max(0.001),
            in_flight: told.in_flight,
            part,
        });
        rows.collect()
    }

    /// Takes in what the node told.
    fn hear(&mut self) {
        while let Ok((at, event)) = self.events.try_recv() {
            let mut said = event.to_string();
            for (endpoint, character) in self.endpoints[0].iter().zip(&ENDPOINTS) {
                let long = format!("service {NEARSIDE}, endpoint http://{}: ", endpoint.address());
                said = said.replace(&long, &format!("node: {} ", character.name));
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
