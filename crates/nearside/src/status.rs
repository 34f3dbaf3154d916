//! `nearside status`: a running node, its services and their endpoints at a glance.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use admin::queue::{LogView, QueueView};
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::cli;
use crate::failure::Failure;
use crate::queue::overview;
use crate::terminal::{self, Align, Paint, bytes, count, counted, lasting, ms, percent, plain, table};

/// What is shown of a node.
#[derive(Debug, Deserialize)]
struct Node {
    node: String,
    region: String,
    version: String,
    phase: String,
    uptime_seconds: f64,
    listeners: Vec<String>,
    connections: usize,
    under_way: u64,
    requests: usize,
    latency_ms: Quantiles,
    cache: Option<Cache>,
    #[serde(default)]
    queues: Vec<QueueView>,
    log: Option<LogView>,
    reloads: Reloads,
}

/// What is shown of the cache.
#[derive(Debug, Deserialize)]
struct Cache {
    hit_ratio: Option<f64>,
    tiers: Vec<Tier>,
}

#[derive(Debug, Deserialize)]
struct Tier {
    tier: String,
    state: String,
    why: Option<String>,
    bytes: Option<u64>,
    limit: Option<u64>,
    objects: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Quantiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Reloads {
    last_seconds_ago: Option<f64>,
    last_error: Option<String>,
}

/// What is shown of a service.
#[derive(Debug, Deserialize)]
struct Service {
    name: String,
    balance: String,
    all_ill: bool,
    discovery_failure: Option<String>,
    endpoints: Vec<Endpoint>,
}

/// What is shown of an endpoint.
#[derive(Debug, Deserialize)]
struct Endpoint {
    url: String,
    state: String,
    why: Option<String>,
    in_flight: u64,
    latency_ms: Option<f64>,
    requests: u64,
    errors: BTreeMap<String, u64>,
}

const HEADINGS: [&str; 9] =
    ["SERVICE", "BALANCE", "ENDPOINT", "STATE", "IN FLIGHT", "LATENCY", "REQUESTS", "ERRORS", ""];
const ALIGN: [Align; 9] = [
    Align::Left,
    Align::Left,
    Align::Left,
    Align::Left,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Left,
];
/// The column that is coloured.
const STATE: usize = 3;

/// Asks the node and prints what it tells.
///
/// # Errors
/// When there is no node, or it refuses.
pub fn status(ask: &cli::Node) -> Result<ExitCode, Failure> {
    let api = Api::at(&ask.admin.place);
    let (node, services) = (api.get("status")?, api.get("services")?);
    if ask.json {
        terminal::print_json(&json!({ "status": node, "services": services }));
        return Ok(ExitCode::SUCCESS);
    }
    let foreign = |_| Failure::foreign(&ask.admin.place);
    let node = Node::deserialize(node).map_err(foreign)?;
    let services = Vec::<Service>::deserialize(services).map_err(foreign)?;
    let paint = Paint::stdout();
    terminal::print(&(about(&node, paint) + &endpoints(&services, paint) + &queues(&node, paint)));
    Ok(ExitCode::SUCCESS)
}

fn about(node: &Node, paint: Paint) -> String {
    let phase = match node.phase.as_str() {
        "running" => paint.green("running"),
        other => paint.yellow(other),
    };
    let urls: Vec<String> = node.listeners.iter().map(|at| format!("http://{at}")).collect();
    let mut text = format!(
        "nearside {} · node {} · region {} · {phase} for {}\n{}\n{}, {} under way · {} so far{}\n",
        node.version,
        paint.bold(&node.node),
        node.region,
        lasting(node.uptime_seconds),
        urls.join(" · "),
        counted(node.connections, "connection"),
        count(node.under_way),
        counted(node.requests, "request"),
        quantiles(&node.latency_ms),
    );
    if let Some(cache) = &node.cache {
        text += &about_cache(cache, paint);
    }
    if let Some(why) = &node.reloads.last_error {
        let ago = node.reloads.last_seconds_ago.map_or_else(String::new, lasting);
        let _ = writeln!(text, "{} {ago} ago:\n{why}", paint.red("the last reload failed"));
    }
    text
}

/// One line: the hit ratio, and how full each tier is.
fn about_cache(cache: &Cache, paint: Paint) -> String {
    let mut parts: Vec<String> = cache.tiers.iter().map(|tier| about_tier(tier, paint)).collect();
    parts.extend(cache.hit_ratio.map(|ratio| format!("hit ratio {}", percent(ratio))));
    format!("cache: {}\n", parts.join(" · "))
}

fn about_tier(tier: &Tier, paint: Paint) -> String {
    let mut about = match tier.state.as_str() {
        "up" => tier.tier.clone(),
        state => format!("{} {}", tier.tier, paint.yellow(state)),
    };
    if let Some(why) = &tier.why {
        let _ = write!(about, ": {why}");
    }
    if let Some(objects) = tier.objects {
        let _ = write!(about, " {} in", counted(objects, "object"));
    }
    match (tier.bytes, tier.limit) {
        (Some(taken), Some(limit)) => about += &format!(" {} of {}", bytes(taken), bytes(limit)),
        (Some(taken), None) => about += &format!(" {}", bytes(taken)),
        _ => {}
    }
    about
}

fn queues(node: &Node, paint: Paint) -> String {
    let mut text = match node.queues.as_slice() {
        [] => String::new(),
        queues => format!("\n{}", overview(queues, paint)),
    };
    if let Some(why) = node.log.as_ref().and_then(|log| log.trouble.as_deref()) {
        let _ = writeln!(text, "{}: {}", paint.red("the queues accept nothing"), plain(why));
    }
    text
}

fn quantiles(times: &Quantiles) -> String {
    match (times.p50, times.p99) {
        (Some(p50), Some(p99)) => format!(", half within {}, 99 % within {}", ms(p50), ms(p99)),
        _ => String::new(),
    }
}

fn endpoints(services: &[Service], paint: Paint) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for service in services {
        let mut labels = (service.name.as_str(), service.balance.as_str());
        for endpoint in &service.endpoints {
            rows.push(row(labels, endpoint));
            labels = ("", "");
        }
    }
    let mut text = String::from("\n");
    text += &table(&rows, &ALIGN, |column, row, cell| match (row, column) {
        (0, _) => paint.dim(cell),
        (_, STATE) => match cell.trim_end() {
            "up" => paint.green(cell),
            "unknown" | "drained" => paint.yellow(cell),
            _ => paint.red(cell),
        },
        _ => cell.to_owned(),
    });
    for service in services {
        if service.all_ill {
            let _ = writeln!(text, "{}: no endpoint is well, so all are tried", service.name);
        }
        if let Some(why) = &service.discovery_failure {
            let _ = writeln!(text, "{}: discovery doesn't work: {why}", service.name);
        }
    }
    text
}

fn row((service, balance): (&str, &str), endpoint: &Endpoint) -> [String; 9] {
    [
        service.to_owned(),
        balance.to_owned(),
        endpoint.url.clone(),
        endpoint.state.clone(),
        count(endpoint.in_flight),
        endpoint.latency_ms.map_or_else(|| "-".to_owned(), ms),
        count(endpoint.requests),
        count(endpoint.errors.values().sum()),
        endpoint.why.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_in_one_line() {
        let tier = |tier: &str, state: &str, why: Option<&str>, told: Option<u64>| Tier {
            tier: tier.to_owned(),
            state: state.to_owned(),
            why: why.map(str::to_owned),
            bytes: told.map(|objects| objects << 20),
            limit: told.map(|_| 256 << 20),
            objects: told.map(|objects| objects as usize),
        };
        let tiers = vec![
            tier("memory", "up", None, Some(2)),
            tier("disk", "starting", None, None),
            tier("shared", "down", Some("no answer"), None),
        ];
        let cache = Cache { hit_ratio: Some(0.75), tiers };
        assert_eq!(
            about_cache(&cache, Paint::PLAIN),
            "cache: memory 2 objects in 2 MiB of 256 MiB · disk starting · shared down: no answer · hit ratio 75 %\n"
        );
    }
}
