//! One service as it lives: who of its endpoints is used, who is chosen, how many may come in.
//!
//! The request path reads one immutable snapshot (the picker and its endpoints) and touches atomics;
//! it never takes a lock but the waiting line's, at the limit. Everything that changes the snapshot
//! (checks, ejections, discovery, drains, growing shares) happens in [`crate::tend`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use config::plan::{self, Discover, Endpoint, HedgeAfter};
use tokio::sync::Notify;

use crate::balance::{Picker, Score, Tried};
use crate::budget::Budget;
use crate::endpoint::EndpointState;
use crate::event::{Event, Tell, What};
use crate::gate::{Gate, Overloaded, Permit};
use crate::hedge::Quantile;
use crate::lease::Lease;
use crate::{clock, lock};

/// Endpoints of one service that are used; more that discovery finds are ignored.
pub const ENDPOINTS: usize = 10_000;

/// How long, in nanoseconds, endpoints whose place others took are still used while none of those
/// has an address: 3 s.
const HOLD: u64 = 3_000_000_000;

/// One service of the plan, alive.
pub struct Service {
    pub(crate) plan: Arc<plan::Service>,
    /// The node's own.
    pub(crate) region: Arc<str>,
    pub(crate) lasting: Arc<Lasting>,
    pub(crate) gate: Option<Arc<Gate>>,
    /// Only with `hedge = { after = "p…" }`.
    pub(crate) quantile: Option<Quantile>,
    pub(crate) inner: Mutex<Inner>,
    /// Tells the background task that something about the endpoints changed.
    pub(crate) changed: Notify,
    pub(crate) tell: Tell,
}

/// What stays when the service's plan changes. The snapshot is among it so that requests which
/// began under the old plan end in the picker that is used now.
pub(crate) struct Lasting {
    pub usable: ArcSwap<Usable>,
    pub budget: Budget,
    pub requests: AtomicU64,
    pub retries: AtomicU64,
    pub retries_refused: AtomicU64,
}

/// The endpoints that are used, and the picker over them in the same order.
pub(crate) struct Usable {
    pub picker: Picker,
    pub endpoints: Box<[Arc<EndpointState>]>,
    /// Tells one snapshot from another.
    pub generation: u64,
    /// What is told if there are none.
    pub none: NoEndpoint,
}

/// What only background tasks touch.
pub(crate) struct Inner {
    pub endpoints: Arc<[Arc<EndpointState>]>,
    /// What discovery found last.
    pub found: Vec<Endpoint>,
    /// Why discovery doesn't work; empty while it does.
    pub discovery_failure: String,
    /// Which endpoints (by their places in memory) are in the snapshot with which weights; none:
    /// this service has made no snapshot yet.
    pub built: Option<Vec<(usize, u32)>>,
    pub generation: u64,
    pub all_ill: bool,
    /// When the present second of the outlier windows ends.
    pub second_ends: u64,
    /// Till when the snapshot before stays if none of the present endpoints has an address yet.
    pub held_till: u64,
    /// Another service took this one's place; it must change nothing any more.
    pub retired: bool,
}

/// What a choice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Of the client's address, or of what `balance = { hash = … }` names.
    pub hash: u64,
    /// The endpoint that the client's cookie names; see [`crate::sticky`].
    pub sticky: Option<u64>,
    /// Endpoints that this request has been sent to already.
    pub tried: &'a Tried,
    /// Uniform.
    pub random: u64,
    /// [`clock::now`]
    pub now: u64,
}

/// The service has nobody to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// Discovery has found none.
    #[error("the service has no endpoints yet")]
    NoneKnown,
    /// The names of all of them are still unknown.
    #[error("no endpoint of the service has an address")]
    NoAddress,
    /// All were taken out by an operator.
    #[error("all endpoints of the service are drained")]
    AllDrained,
}

impl Service {
    /// Brings `plan` to life; with `before`, in the place of a service of the same name, which gives
    /// up its endpoints, counters and budget to this one.
    pub(crate) fn new(
        plan: &Arc<plan::Service>,
        region: &Arc<str>,
        tell: &Tell,
        before: Option<&Self>,
    ) -> Self {
        let (old, found, failure) = before.map_or_else(Default::default, |before| {
            let mut inner = lock(&before.inner);
            inner.retired = true;
            let same = same_source(before.plan.discover.as_ref(), plan.discover.as_ref());
            let (found, failure) = if same {
                (inner.found.clone(), inner.discovery_failure.clone())
            } else {
                Default::default()
            };
            (inner.endpoints.to_vec(), found, failure)
        });
        let service = Self {
            lasting: before
                .map_or_else(|| Arc::new(Lasting::new(plan)), |before| Arc::clone(&before.lasting)),
            gate: plan.limit.as_ref().map(|limit| gate(limit, before)),
            quantile: match plan.hedge.as_ref().map(|hedge| &hedge.after) {
                Some(HedgeAfter::Quantile(share)) => Some(Quantile::new(*share)),
                _ => None,
            },
            inner: Mutex::new(Inner {
                endpoints: gather(plan, &found, &old, before.is_some()),
                found,
                discovery_failure: failure,
                built: None,
                generation: before.map_or(0, |before| lock(&before.inner).generation),
                all_ill: false,
                second_ends: 0,
                held_till: if before.is_some() { clock::now() + HOLD } else { 0 },
                retired: false,
            }),
            changed: Notify::new(),
            tell: Arc::clone(tell),
            region: Arc::clone(region),
            plan: Arc::clone(plan),
        };
        for endpoint in service.endpoints().iter() {
            endpoint.adopt(plan);
        }
        service.turn(clock::now());
        service
    }

    /// What the file says of it.
    pub fn plan(&self) -> &plan::Service {
        &self.plan
    }

    /// Its name in the file.
    pub fn name(&self) -> &Arc<str> {
        &self.plan.name
    }

    /// Chooses an endpoint and counts the request in flight there till the lease ends.
    ///
    /// # Errors
    /// [`NoEndpoint`] if there is none at all; ill ones are chosen when no other is left.
    pub fn pick(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Lease, NoEndpoint> {
        let usable = self.lasting.usable.load();
        let sticky = ask.sticky.filter(|&key| self.plan.sticky.is_some() && !ask.tried.contains(key));
        let place = match sticky.and_then(|key| usable.picker.find(key)) {
            Some(place) => {
                usable.picker.begin(place);
                Some(place)
            }
            None => usable.picker.pick(ask.hash, ask.random, ask.now, ask.tried),
        };
        let endpoint = place.and_then(|place| usable.endpoints.get(place));
        let (Some(place), Some(endpoint)) = (place, endpoint) else {
            return Err(usable.none);
        };
        Ok(Lease::new(self, endpoint, place, usable.generation))
    }

    /// Takes a place under the service's limit, if one is free.
    pub fn try_admit(&self) -> Option<Permit> {
        self.gate.as_ref().map_or_else(|| Some(Permit::free()), Gate::try_enter)
    }

    /// Takes a place under the service's limit, or waits in line for one.
    ///
    /// # Errors
    /// [`Overloaded`] if the line is full or didn't move in time.
    pub async fn admit(&self) -> Result<Permit, Overloaded> {
        match &self.gate {
            None => Ok(Permit::free()),
            Some(gate) => gate.enter().await,
        }
    }

    /// Counts a client's request, which pays into the retry budget.
    pub fn count_request(&self) {
        self.lasting.requests.fetch_add(1, Relaxed);
        self.lasting.budget.add(self.plan.retry.budget);
    }

    /// Takes one further try, a retry or a hedge, out of the budget; false if there is none left.
    pub fn may_retry(&self) -> bool {
        let may = self.plan.retry.budget > 0.0 && self.lasting.budget.take();
        let counter = if may { &self.lasting.retries } else { &self.lasting.retries_refused };
        counter.fetch_add(1, Relaxed);
        may
    }

    /// How long to wait for an answer before a second try; none: no second try.
    pub fn hedge_after(&self) -> Option<Duration> {
        match self.plan.hedge.as_ref()?.after {
            HedgeAfter::Time(time) => Some(time),
            HedgeAfter::Quantile(_) => self.quantile.as_ref()?.estimate(),
        }
    }

    /// All its endpoints, used or not.
    pub fn endpoints(&self) -> Arc<[Arc<EndpointState>]> {
        Arc::clone(&lock(&self.inner).endpoints)
    }

    /// Is there anybody to choose now?
    pub fn is_usable(&self) -> bool {
        !self.lasting.usable.load().endpoints.is_empty()
    }

    /// Is there nobody to choose, and could a name server or discovery still change that?
    pub fn is_awaited(&self) -> bool {
        let usable = self.lasting.usable.load();
        let hopes = self.plan.discover.is_some() || !self.plan.endpoints.is_empty();
        hopes && usable.endpoints.is_empty() && usable.none != NoEndpoint::AllDrained
    }

    /// For each endpoint in use, what the choice would go by.
    pub fn scores(&self, hash: u64, now: u64) -> Vec<(Arc<EndpointState>, Score)> {
        let usable = self.lasting.usable.load();
        usable.endpoints.iter().cloned().zip(usable.picker.scores(hash, now)).collect()
    }

    /// Takes the endpoint out (it finishes what it has), or back in; false if there is none such.
    pub fn drain(&self, url: &str, on: bool) -> bool {
        let endpoints = self.endpoints();
        let Some(endpoint) = endpoints.iter().find(|endpoint| &**endpoint.url() == url) else {
            return false;
        };
        endpoint.drained.store(on, Relaxed);
        self.turn(clock::now());
        self.look_again();
        true
    }

    /// Asks the background task to look at the endpoints now.
    pub(crate) fn look_again(&self) {
        self.changed.notify_one();
    }

    /// What discovery found last.
    pub(crate) fn found(&self) -> Vec<Endpoint> {
        lock(&self.inner).found.clone()
    }

    /// Takes what discovery found: all endpoints that there are now.
    pub(crate) fn discovered(&self, found: Vec<Endpoint>) {
        let mut inner = lock(&self.inner);
        inner.discovery_failure.clear();
        if inner.found == found {
            return;
        }
        // Those found at the very start are no newcomers: there is nobody beside whom to be careful.
        let joins = !inner.endpoints.is_empty();
        inner.endpoints = gather(&self.plan, &found, &inner.endpoints, joins);
        let endpoints = found.len();
        inner.found = found;
        inner.held_till = clock::now() + HOLD;
        drop(inner);
        self.tell(None, What::Discovered { endpoints });
        self.look_again();
    }

    /// Notes that discovery failed; what it found last stays.
    pub(crate) fn discovery_failed(&self, why: String) {
        let mut inner = lock(&self.inner);
        if inner.discovery_failure != why {
            inner.discovery_failure.clone_from(&why);
            drop(inner);
            self.tell(None, What::DiscoveryFailed { why });
        }
    }

    pub(crate) fn tell(&self, endpoint: Option<&EndpointState>, what: What) {
        let endpoint = endpoint.map(|endpoint| endpoint.url().to_string());
        (self.tell)(Event { service: self.name().to_string(), endpoint, what });
    }
}

impl Lasting {
    fn new(plan: &plan::Service) -> Self {
        Self {
            usable: ArcSwap::from_pointee(Usable {
                picker: Picker::new(&plan.balance, Vec::new(), 0),
                endpoints: Box::default(),
                generation: 0,
                none: NoEndpoint::NoneKnown,
            }),
            budget: Budget::default(),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            retries_refused: AtomicU64::new(0),
        }
    }
}

/// Is the same asked, however often?
fn same_source(a: Option<&Discover>, b: Option<&Discover>) -> bool {
    match (a, b) {
        (Some(Discover::Dns { host: a, port: p, .. }), Some(Discover::Dns { host: b, port: q, .. })) => {
            (a, p) == (b, q)
        }
        (Some(Discover::Srv { name: a, .. }), Some(Discover::Srv { name: b, .. })) => a == b,
        _ => a == b,
    }
}

/// The gate for `limit`: the one before with its requests inside, if there was one.
fn gate(limit: &plan::Overload, before: Option<&Service>) -> Arc<Gate> {
    match before.and_then(|before| before.gate.as_ref()) {
        Some(gate) => {
            gate.retune(limit);
            Arc::clone(gate)
        }
        None => Arc::new(Gate::new(limit)),
    }
}

/// The endpoints that the file names and those that discovery found, each URL once, and each that
/// was there before as it was.
fn gather(
    plan: &plan::Service,
    found: &[Endpoint],
    old: &[Arc<EndpointState>],
    joins: bool,
) -> Arc<[Arc<EndpointState>]> {
    let mut old: HashMap<&str, &Arc<EndpointState>> =
        old.iter().map(|state| (&**state.url(), state)).collect();
    let mut seen = std::collections::HashSet::new();
    let wanted = plan.endpoints.iter().chain(found).filter(|endpoint| seen.insert(&*endpoint.url));
    wanted
        .take(ENDPOINTS)
        .map(|endpoint| match old.remove(&*endpoint.url) {
            Some(state) if state.stays(endpoint) => Arc::clone(state),
            _ => Arc::new(EndpointState::new(endpoint.clone(), joins)),
        })
        .collect()
}
