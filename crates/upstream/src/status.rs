//! What the API and the metrics tell of a service.

use std::sync::atomic::Ordering::Relaxed;

use config::plan::Balance;
use serde::Serialize;

use crate::endpoint::EndpointState;
use crate::lock;
use crate::service::Service;
use crate::usable::Standing;

/// A service at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceStatus {
    /// Its name in the file.
    pub name: String,
    /// How an endpoint is chosen.
    pub balance: &'static str,
    /// No endpoint is well, so all are tried.
    pub all_ill: bool,
    /// Client requests so far.
    pub requests: u64,
    /// Further tries so far, hedges among them.
    pub retries: u64,
    /// Further tries that the budget didn't allow.
    pub retries_refused: u64,
    /// Further tries that the budget allows now.
    pub retries_left: u32,
    /// With `limit`: what it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitStatus>,
    /// With `discover`: how many endpoints were found last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered: Option<usize>,
    /// Why discovery doesn't work now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery_failure: Option<String>,
    /// All endpoints, used or not.
    pub endpoints: Vec<EndpointStatus>,
}

/// A service's limit at one moment.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LimitStatus {
    /// Requests inside.
    pub in_flight: u32,
    /// Requests in line.
    pub waiting: u32,
    /// Requests refused so far.
    pub refused: u64,
}

/// An endpoint at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointStatus {
    /// `http://host:port`
    pub url: String,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// 1 to 1,000.
    pub weight: u32,
    /// How it stands.
    pub state: Standing,
    /// Why it stands so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// It takes requests now.
    pub used: bool,
    /// Where its name points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Requests there now.
    pub in_flight: u32,
    /// Its recent peak latency in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Requests so far.
    pub requests: u64,
    /// Errors so far.
    pub errors: Errors,
}

/// An endpoint's errors by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Errors {
    /// No connection.
    pub connect: u64,
    /// Broken connections.
    pub reset: u64,
    /// No answer in time.
    pub timeout: u64,
    /// Not HTTP as it should be.
    pub bad_answer: u64,
    /// Answers with 500 to 599.
    pub status: u64,
}

impl Service {
    /// What there is to tell of it; `now` as by [`crate::clock::now`].
    pub fn status(&self, now: u64) -> ServiceStatus {
        let lasting = &self.lasting;
        let inner = lock(&self.inner);
        let usable = lasting.usable.load();
        let endpoints = inner.endpoints.iter().map(|endpoint| {
            let used = usable.picker.find(endpoint.key()).is_some();
            endpoint.status(self.plan.health.is_some(), used, now)
        });
        ServiceStatus {
            name: self.name().to_string(),
            balance: balance_name(&self.plan.balance),
            all_ill: inner.all_ill,
            requests: lasting.requests.load(Relaxed),
            retries: lasting.retries.load(Relaxed),
            retries_refused: lasting.retries_refused.load(Relaxed),
            retries_left: lasting.budget.left(),
            limit: self.gate.as_ref().map(|gate| LimitStatus {
                in_flight: gate.taken(),
                waiting: gate.waiting(),
                refused: gate.refused(),
            }),
            discovered: self.plan.discover.is_some().then_some(inner.found.len()),
            discovery_failure: some(&inner.discovery_failure),
            endpoints: endpoints.collect(),
        }
    }
}

impl EndpointState {
    fn status(&self, checked: bool, used: bool, now: u64) -> EndpointStatus {
        let vitals = lock(&self.vitals);
        let state = self.standing(&vitals, checked);
        let failures = self.counts.failures.each_ref().map(|count| count.load(Relaxed));
        let [connect, reset, timeout, bad_answer] = failures;
        EndpointStatus {
            url: self.url().to_string(),
            region: self.region().map(ToString::to_string),
            weight: self.weight(),
            state,
            why: match state {
                Standing::Ill => some(&vitals.last_check),
                Standing::Ejected => some(&vitals.blame),
                _ => some(&vitals.unresolved),
            },
            used,
            address: self.address().map(|address| address.to_string()),
            in_flight: self.load().in_flight(),
            latency_ms: self.load().latency(now).map(|ns| ns as f64 / 1e6),
            requests: self.counts.requests.load(Relaxed),
            errors: Errors {
                connect,
                reset,
                timeout,
                bad_answer,
                status: self.counts.statuses.load(Relaxed),
            },
        }
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn balance_name(balance: &Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "round_robin",
        Balance::Random => "random",
        Balance::LeastConnections => "least_connections",
        Balance::TwoChoices => "two_choices",
        Balance::Latency => "latency",
        Balance::IpHash => "ip_hash",
        Balance::Hash(_) => "hash",
        Balance::Maglev => "maglev",
    }
}
