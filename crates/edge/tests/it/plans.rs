//! Plans made by hand, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::plan::{
    Action, Admin, Cache, HeaderRules, HostMatch, Limits, Node, PathMatch, Plan, Respond, Route, Telemetry,
};

pub fn limits(connections: u32, connections_per_client: u32) -> Limits {
    Limits {
        connections,
        connections_per_client,
        header_bytes: 32 << 10,
        headers: 128,
        body: 64 << 20,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        requests_per_connection: 0,
    }
}

pub fn plan(routes: Vec<Route>) -> Plan {
    Plan {
        node: Node { name: "n".into(), region: "local".into(), data: "data".into(), threads: 1 },
        admin: Admin { listen: ([127, 0, 0, 1], 0).into(), token: None },
        listeners: Vec::new(),
        limits: limits(20_000, 512),
        services: BTreeMap::new(),
        routes: routes.into_iter().map(Arc::new).collect(),
        cache: Cache { memory: 0, disk: None, shared: None, largest: 0, purge_from: Vec::new() },
        queues: Default::default(),
        telemetry: Telemetry { access_log: None },
    }
}

/// A route of the words of the file: `*` or empty for any host, `*.a` for a suffix, a path that ends
/// in `/` or `*` for a prefix.
pub fn route(host: &str, path: &str) -> Route {
    let host_match = match host.strip_prefix('*') {
        None if host.is_empty() => HostMatch::Any,
        Some("") => HostMatch::Any,
        Some(suffix) => HostMatch::Suffix(suffix.into()),
        None => HostMatch::Exact(host.into()),
    };
    let path_match = match path.strip_suffix('*').unwrap_or(path) {
        "" | "/" => PathMatch::Any,
        prefix if path.ends_with(['/', '*']) => PathMatch::Prefix(prefix.into()),
        _ => PathMatch::Exact(path.into()),
    };
    Route {
        name: format!("{host}{path}").into(),
        host: host_match,
        path: path_match,
        methods: Vec::new(),
        headers_match: Vec::new(),
        action: Action::Respond(Respond { status: 200, body: "".into(), content_type: "".into() }),
        cache: None,
        request_headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        line: 1,
    }
}
