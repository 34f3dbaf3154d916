//! `nearside status`: a running node, its services and their endpoints at a glance.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::cli;
use crate::failure::Failure;
use crate::terminal::{self, Align, Paint, count, counted, ms, table};

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
    reloads: Reloads,
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
    let api = Api::at(&ask.admin);
    let (node, services) = (api.get("status")?, api.get("services")?);
    if ask.json {
        terminal::print_json(&json!({ "status": node, "services": services }));
        return Ok(ExitCode::SUCCESS);
    }
    let foreign = |_| Failure::foreign(&ask.admin);
    let node = Node::deserialize(node).map_err(foreign)?;
    let services = Vec::<Service>::deserialize(services).map_err(foreign)?;
    let paint = Paint::stdout();
    terminal::print(&(about(&node, paint) + &endpoints(&services, paint)));
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
    if let Some(why) = &node.reloads.last_error {
        let ago = node.reloads.last_seconds_ago.map_or_else(String::new, lasting);
        let _ = writeln!(text, "{} {ago} ago:\n{why}", paint.red("the last reload failed"));
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

/// A time in its two largest units.
fn lasting(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let shown = [0.4, 59.9, 61.0, 7_260.0, 90_000.0].map(lasting);
        assert_eq!(shown, ["0s", "59s", "1m 1s", "2h 1m", "1d 1h"]);
    }
}
