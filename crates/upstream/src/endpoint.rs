//! One endpoint as it lives: its address, its health, what it has in flight, what it did so far.
//!
//! It is kept across reloads and discovery rounds as long as its URL and region stay. What the
//! request path touches is atomic; the rest lies under a lock that only background tasks take.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use config::plan::{self, Endpoint};
use serde::Serialize;
use tokio::sync::Notify;

use crate::balance::{self, Load};
use crate::usable::Standing;
use crate::{health, lock, outlier};

/// Addresses kept of one name; more are ignored.
const ADDRESSES: usize = 64;

/// One endpoint of a service.
#[derive(Debug)]
pub struct EndpointState {
    plan: Endpoint,
    key: u64,
    weight: AtomicU32,
    load: Arc<Load>,
    addresses: ArcSwap<Vec<SocketAddr>>,
    /// Which address is used, modulo their number; moves on when it can't be reached.
    turn: AtomicUsize,
    /// Told when the first address is there.
    pub(crate) resolved: Notify,
    pub(crate) drained: AtomicBool,
    pub(crate) record: outlier::Record,
    pub(crate) counts: Counts,
    pub(crate) vitals: Mutex<Vitals>,
}

/// What background tasks know of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub health: health::Tracker,
    pub window: outlier::Window,
    pub ejection: outlier::Ejection,
    /// Why it was ejected last.
    pub blame: String,
    /// What the last bad check met.
    pub last_check: String,
    /// Why it has no address.
    pub unresolved: String,
    /// How it stood when last looked at.
    pub standing: Option<Standing>,
    /// It was not there or not up before, so its share grows slowly once it is up.
    pub ramps: bool,
    /// Nanoseconds since which its share grows; none: it is whole.
    pub since: Option<u64>,
}

/// What an endpoint has done since it is known.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub requests: AtomicU64,
    pub statuses: AtomicU64,
    pub failures: [AtomicU64; 4],
}

/// Why no usable answer came from an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailKind {
    /// No connection.
    Connect,
    /// The connection broke before the whole answer was there.
    Reset,
    /// No answer in time.
    Timeout,
    /// What came was not HTTP as it should be.
    BadAnswer,
}

impl EndpointState {
    /// A new endpoint; `joins`: its service was there before it, so its share grows slowly.
    pub(crate) fn new(plan: Endpoint, joins: bool) -> Self {
        let literal: Option<IpAddr> = plan.host.parse().ok();
        let addresses = literal.map(|ip| SocketAddr::new(ip, plan.port)).into_iter().collect();
        Self {
            key: balance::hash(plan.url.as_bytes()),
            weight: AtomicU32::new(plan.weight),
            load: Arc::new(Load::default()),
            addresses: ArcSwap::from_pointee(addresses),
            turn: AtomicUsize::new(0),
            resolved: Notify::new(),
            drained: AtomicBool::new(false),
            record: outlier::Record::default(),
            counts: Counts::default(),
            vitals: Mutex::new(Vitals { ramps: joins, ..Vitals::default() }),
            plan,
        }
    }

    /// `http://host:port`, as written.
    pub fn url(&self) -> &Arc<str> {
        &self.plan.url
    }

    /// Host name or address literal (IPv6 without brackets).
    pub fn host(&self) -> &Arc<str> {
        &self.plan.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.plan.port
    }

    /// Where it is; none: here.
    pub fn region(&self) -> Option<&Arc<str>> {
        self.plan.region.as_ref()
    }

    /// 1 to 1,000.
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// The stable hash of its URL: what balancing, [`crate::balance::Tried`] and sticky cookies
    /// know it by.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Its requests in flight and its latency.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Where to connect to; none while its name has no address.
    pub fn address(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.load();
        let turn = self.turn.load(Relaxed).checked_rem(addresses.len())?;
        addresses.get(turn).copied()
    }

    /// Does its name, as last looked up, have this address?
    pub fn has_address(&self, address: SocketAddr) -> bool {
        self.addresses.load().contains(&address)
    }

    /// How many addresses its name has, as last looked up: so many are worth a try.
    pub fn address_count(&self) -> usize {
        self.addresses.load().len()
    }

    /// Uses the next address of its name, as this one can't be reached; nothing if others have turned
    /// away from it already.
    pub fn turn_from(&self, address: SocketAddr) {
        let turn = self.turn();
        let addresses = self.addresses.load();
        if turn.checked_rem(addresses.len()).and_then(|i| addresses.get(i)) == Some(&address) {
            self.turn_on(turn);
        }
    }

    /// Whether an operator took it out.
    pub fn is_drained(&self) -> bool {
        self.drained.load(Relaxed)
    }

    /// Is its host a name that must be looked up?
    pub(crate) fn is_named(&self) -> bool {
        self.plan.host.parse::<IpAddr>().is_err()
    }

    /// Tells when [`EndpointState::address`] has moved on.
    pub(crate) fn turn(&self) -> usize {
        self.turn.load(Relaxed)
    }

    /// Uses the address after the one of that `turn`, unless it has moved on since.
    pub(crate) fn turn_on(&self, turn: usize) {
        let _ = self.turn.compare_exchange(turn, turn.wrapping_add(1), Relaxed, Relaxed);
    }

    /// The addresses without their port.
    pub(crate) fn ips(&self) -> Vec<IpAddr> {
        self.addresses.load().iter().map(SocketAddr::ip).collect()
    }

    /// Takes the addresses that a look-up found; true if they are others than before.
    pub(crate) fn found(&self, mut ips: Vec<IpAddr>) -> bool {
        ips.truncate(ADDRESSES);
        let new: Vec<SocketAddr> = ips.into_iter().map(|ip| SocketAddr::new(ip, self.plan.port)).collect();
        let old = self.addresses.load();
        // Name servers turn the order round with each answer; that alone is no change.
        if new.is_empty() || new.len() == old.len() && new.iter().all(|address| old.contains(address)) {
            return false;
        }
        self.addresses.store(Arc::new(new));
        self.resolved.notify_one();
        true
    }

    /// Is it still the same endpoint, and if so takes the weight that may have changed.
    pub(crate) fn stays(&self, plan: &Endpoint) -> bool {
        let same = self.plan.url == plan.url && self.plan.region == plan.region;
        if same {
            self.weight.store(plan.weight, Relaxed);
        }
        same
    }

    /// Forgets what a service that looks otherwise now no longer asks about.
    pub(crate) fn adopt(&self, service: &plan::Service) {
        let mut vitals = lock(&self.vitals);
        if service.health.is_none() {
            vitals.health = health::Tracker::default();
        }
        if service.outliers.is_none() {
            vitals.ejection = outlier::Ejection::default();
            self.record.clear();
        }
    }

    /// How it stands.
    pub(crate) fn standing(&self, vitals: &Vitals, checked: bool) -> Standing {
        if self.is_drained() {
            Standing::Drained
        } else if self.address().is_none() {
            Standing::Unresolved
        } else if checked && vitals.health.state() == health::State::Ill {
            Standing::Ill
        } else if vitals.ejection.until().is_some() {
            Standing::Ejected
        } else if checked && vitals.health.state() == health::State::Unknown {
            Standing::Unknown
        } else {
            Standing::Up
        }
    }
}
