//! What the API tells of the node, its services and its routes, at one moment.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use config::plan::Route;
use edge::Phase;
use edge::stats::{Histogram, RouteStats, ServiceStats, StatusCount};
use serde::Serialize;
use serde_json::Value;
use upstream::status::{EndpointStatus, ServiceStatus};
use upstream::usable::Standing;
use upstream::{Service, clock};

use crate::cache::CacheStatus;
use crate::operations::Operations;
use crate::queue::{LogView, QueueView};
use crate::show;

/// The node at a glance.
#[derive(Debug, Serialize)]
pub(crate) struct NodeStatus {
    node: String,
    region: String,
    version: &'static str,
    phase: &'static str,
    uptime_seconds: f64,
    /// Of the data path.
    threads: usize,
    listeners: Vec<String>,
    /// Client connections that are open.
    connections: u32,
    /// Requests and tunnels under way.
    under_way: u32,
    /// Requests that were answered.
    requests: u64,
    latency_ms: Quantiles,
    routes: usize,
    services: Vec<Summary>,
    /// None: no route is cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<CacheStatus>,
    /// None: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    queues: Option<Vec<QueueView>>,
    /// The one that keeps the queues; none without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<LogView>,
    reloads: ReloadsStatus,
}

/// A service at a glance.
#[derive(Debug, Serialize)]
struct Summary {
    name: String,
    endpoints: usize,
    well: usize,
    ill: usize,
    /// Not yet checked.
    unknown: usize,
    drained: usize,
    /// No endpoint is well, so all are tried.
    all_ill: bool,
}

#[derive(Debug, Serialize)]
struct ReloadsStatus {
    done: u64,
    failed: u64,
    /// None: there was none.
    last_seconds_ago: Option<f64>,
    last_error: Option<String>,
}

/// A service: what it is doing, and what the data path counted of it.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceReport {
    #[serde(flatten)]
    status: ServiceStatus,
    hedges: u64,
    /// Of endpoints' answers.
    latency_ms: Quantiles,
    /// What the file says of it; only where one service is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Value>,
}

/// A route and what was counted of it.
#[derive(Debug, Serialize)]
pub(crate) struct RouteReport {
    /// None: requests that found no route.
    name: Option<String>,
    /// What the file says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Value>,
    requests: u64,
    /// Of requests' bodies.
    bytes_in: u64,
    /// Of answers' bodies.
    bytes_out: u64,
    latency_ms: Quantiles,
    statuses: Vec<StatusCount>,
}

/// Times in milliseconds that 50, 90 and 99 of 100 did not exceed; none while nothing was counted.
#[derive(Debug, Default, Serialize)]
struct Quantiles {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

impl Quantiles {
    fn of(times: &Histogram) -> Self {
        let quantile = |share| times.quantile(share).map(|time| time.as_secs_f64() * 1e3);
        Self { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99) }
    }
}

/// The node as of now.
pub(crate) fn of_node(node: &dyn Operations) -> NodeStatus {
    let plan = node.live().plan.clone();
    let shared = node.shared();
    let counts = shared.stats.snapshot();
    let now = clock::now();
    let queues = node.queues();
    NodeStatus {
        node: plan.node.name.to_string(),
        region: plan.node.region.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        phase: phase_name(shared.phase()),
        uptime_seconds: since(node.started()).as_secs_f64(),
        threads: plan.node.threads,
        listeners: plan.listeners.iter().map(|listener| listener.address.to_string()).collect(),
        connections: shared.connections.load(Relaxed),
        under_way: shared.under_way.load(Relaxed),
        requests: counts.requests(),
        latency_ms: Quantiles::of(&counts.seconds()),
        routes: plan.routes.len(),
        services: node.registry().all().iter().map(|service| summary(service, now)).collect(),
        cache: plan.routes.iter().any(|route| route.cache.is_some()).then(|| node.cache().into()),
        queues: queues.as_ref().map(|queues| queues.list()),
        log: queues.map(|queues| queues.log()),
        reloads: reloads(node),
    }
}

fn summary(service: &Service, now: u64) -> Summary {
    let status = service.status(now);
    let count = |which: fn(Standing) -> bool| {
        let those = |endpoint: &&EndpointStatus| which(endpoint.state);
        status.endpoints.iter().filter(those).count()
    };
    Summary {
        endpoints: status.endpoints.len(),
        well: count(|state| state == Standing::Up),
        ill: count(|state| matches!(state, Standing::Ill | Standing::Ejected | Standing::Unresolved)),
        unknown: count(|state| state == Standing::Unknown),
        drained: count(|state| state == Standing::Drained),
        all_ill: status.all_ill,
        name: status.name,
    }
}

fn reloads(node: &dyn Operations) -> ReloadsStatus {
    let reloads = node.reloads();
    ReloadsStatus {
        done: reloads.done,
        failed: reloads.failed,
        last_seconds_ago: reloads.last.map(|last| since(last).as_secs_f64()),
        last_error: reloads.last_error,
    }
}

/// All services as of now, by name.
pub(crate) fn of_services(node: &dyn Operations) -> Vec<ServiceReport> {
    let counts = node.shared().stats.snapshot().services;
    let counts: HashMap<&str, &ServiceStats> =
        counts.iter().map(|stats| (stats.service.as_str(), stats)).collect();
    let services = node.registry().all();
    let services = services.iter();
    services.map(|service| report(service, counts.get(&**service.name()).copied())).collect()
}

/// One service as of now, with what the file says of it.
pub(crate) fn of_service(node: &dyn Operations, service: &Service) -> ServiceReport {
    let counts = node.shared().stats.snapshot().services;
    let counts = counts.iter().find(|stats| stats.service == **service.name());
    ServiceReport { plan: Some(show::service(service.plan())), ..report(service, counts) }
}

fn report(service: &Service, counts: Option<&ServiceStats>) -> ServiceReport {
    ServiceReport {
        status: service.status(clock::now()),
        hedges: counts.map_or(0, |counts| counts.hedges),
        latency_ms: counts.map(|counts| Quantiles::of(&counts.seconds)).unwrap_or_default(),
        plan: None,
    }
}

/// The plan's routes in the order of the file, then what found none of them.
pub(crate) fn of_routes(node: &dyn Operations) -> Vec<RouteReport> {
    let counts = node.shared().stats.snapshot().routes;
    let mut counts: HashMap<Option<String>, RouteStats> =
        counts.into_iter().map(|stats| (stats.route.clone(), stats)).collect();
    let mut report = |route: Option<&Route>| {
        let name = route.map(|route| route.name.to_string());
        let counts = counts.remove(&name).unwrap_or_default();
        RouteReport {
            name,
            plan: route.map(show::route),
            requests: counts.seconds.count(),
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            latency_ms: Quantiles::of(&counts.seconds),
            statuses: counts.statuses,
        }
    };
    let plan = node.live().plan.clone();
    let mut routes: Vec<_> = plan.routes.iter().map(|route| report(Some(route))).collect();
    routes.push(report(None));
    routes
}

/// A phase in a word.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "running",
        Phase::Leaving => "leaving",
        Phase::Closing => "closing",
    }
}

/// The time since then; none if the clock was set back meanwhile.
fn since(then: SystemTime) -> Duration {
    SystemTime::now().duration_since(then).unwrap_or_default()
}
