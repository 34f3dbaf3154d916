//! From what the tables say to the plan: defaults are resolved, names are looked up, and what can't
//! be true of one key alone is checked.
//!
//! A function here gives `None` only after a mistake was noted, so a plan exists only for a file
//! without mistakes.

mod cache;
mod names;
mod queue;
mod reach;
mod route;
mod service;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::names::Names;
use crate::file::{self, File};
use crate::kind::{At, Map, Reader, Word};
use crate::plan::{self, Plan};
use crate::report::{Source, Span};
use crate::word::{Name, NodeName};

pub(crate) use service::endpoints;

/// The folder that paths in the file are relative to.
struct Base<'a>(&'a Path);

impl Base<'_> {
    fn path(&self, text: &str) -> PathBuf {
        self.0.join(text)
    }
}

/// Makes the plan.
pub(crate) fn plan(file: File, base: &Path, source: &Source<'_>, reader: &mut Reader<'_>) -> Option<Plan> {
    let base = Base(base);
    let admin = file.admin.and_then(|admin| self::admin(admin, reader));
    let listeners = file.listen.map(|listen| listeners(listen.value.0, admin.as_ref(), reader));
    let mut services = BTreeMap::new();
    let mut names =
        Known { services: Names::new("service", "endpoints"), queues: Names::new("queue", "deliver") };
    for (name, table) in file.service?.value.0 {
        names.services.add(&name);
        if let Some(service) = table.and_then(|table| service::service(&name, table.value, &base, reader)) {
            services.insert(name.value.0, Arc::new(service));
        }
    }
    let node = file.node.and_then(|node| self::node(node.value, &base));
    let cache_at = file.cache.as_ref().map(|cache| cache.at)?;
    let cache = node.as_ref().zip(file.cache);
    let cache = cache.and_then(|(node, cache)| cache::tiers(cache, &node.data, reader));
    let queues = queues(file.queue?.value, &mut names, reader);
    let holds = cache.as_ref().map(cache::holds);
    let routes = file.route.map(|routes| route::routes(routes.value.0, holds, &mut names, source, reader));
    // Where a table is broken, what it names is not known.
    if let Some(routes) = routes.as_ref().filter(|_| reader.notes.mistakes() == 0) {
        names.services.warn_of_unused("no route and no queue", reader);
        names.queues.warn_of_unused("no route", reader);
        cache::warn_of_unused(cache_at, routes, reader);
    }
    let telemetry = file.telemetry.map(|telemetry| telemetry_of(telemetry.value, &base));
    Some(Plan {
        node: node?,
        admin: admin?,
        listeners: listeners?,
        limits: limits(&file.limits?.value)?,
        services,
        routes: routes?,
        cache: cache?,
        queues,
        telemetry: telemetry??,
    })
}

/// The names of what routes and queues refer to.
struct Known {
    services: Names,
    queues: Names,
}

fn queues(
    Map(tables): Map<Name, file::Queue>,
    names: &mut Known,
    reader: &mut Reader<'_>,
) -> BTreeMap<Arc<str>, Arc<plan::Queue>> {
    let mut queues = BTreeMap::new();
    for (name, table) in tables {
        names.queues.add(&name);
        let queue = table.and_then(|table| queue::queue(&name, table, &mut names.services, reader));
        if let Some(queue) = queue {
            // The clock sends it messages, if no route does.
            if queue.every.is_some() {
                names.queues.use_it(&queue.name);
            }
            queues.insert(name.value.0, Arc::new(queue));
        }
    }
    queues
}

fn node(table: file::Node, base: &Base<'_>) -> Option<plan::Node> {
    let threads = match table.threads?.value.0 {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    };
    Some(plan::Node {
        name: table.name.map_or_else(host_name, |name| name.value.0),
        region: table.region?.value.0,
        data: base.path(&table.data?.value),
        threads,
    })
}

/// The host's name, or `node` if it has none that can be a node's.
fn host_name() -> Arc<str> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_str().ok().and_then(|name| NodeName::from_text(name).ok());
    name.map_or_else(|| "node".into(), |name| name.0)
}

fn admin(table: At<file::Admin>, reader: &mut Reader<'_>) -> Option<plan::Admin> {
    let broken = table.broken;
    let listen = table.value.listen?;
    let token = table.value.token.filter(|token| !token.value.0.is_empty());
    if token.is_none() && !listen.ip().to_canonical().is_loopback() && !broken {
        reader
            .mistake(
                listen.at,
                format!("`admin` listens at {}, which others can reach, and has no token", *listen),
            )
            .help("write token = \"${NEARSIDE_ADMIN_TOKEN}\" in [admin], or listen at 127.0.0.1");
        return None;
    }
    Some(plan::Admin { listen: listen.value, token: token.map(|token| plan::Secret(token.value.0)) })
}

fn listeners(
    tables: Vec<At<file::Listen>>,
    admin: Option<&plan::Admin>,
    reader: &mut Reader<'_>,
) -> Vec<Arc<plan::Listener>> {
    let mut taken: HashMap<SocketAddr, Span> = HashMap::new();
    let mut listeners = Vec::with_capacity(tables.len());
    for table in tables {
        let file::Listen { address, protocols, trust, .. } = table.value;
        if let Some(protocols) = protocols.filter(|protocols| protocols.is_empty() && !table.value.broken) {
            reader
                .mistake(protocols.at, "this listener speaks no protocol")
                .help("write protocols = [\"http/1.1\"]");
        }
        let (Some(address), Some(trust)) = (address, trust) else {
            continue;
        };
        // Port 0 asks the system for any free port, so it can be asked for more than once.
        if address.port() != 0 {
            if let Some(first) = taken.insert(*address, address.at) {
                reader
                    .mistake(address.at, format!("there are two listeners at {}", *address))
                    .also(first, "the first one is here");
            }
            if admin.is_some_and(|admin| admin.listen == *address) {
                reader
                    .mistake(address.at, format!("{} is where `admin` listens", *address))
                    .help("give one of them another port; [admin] has 127.0.0.1:9900 by default");
            }
        }
        let trust = trust.value.into_iter().map(|range| range.value).collect();
        listeners.push(Arc::new(plan::Listener { address: *address, trust }));
    }
    listeners
}

fn limits(table: &file::Limits) -> Option<plan::Limits> {
    Some(plan::Limits {
        connections: table.connections.as_ref()?.0,
        connections_per_client: table.connections_per_client.as_ref()?.0,
        header_bytes: usize::try_from(table.header_bytes.as_ref()?.0).ok()?,
        headers: table.headers.as_ref()?.0 as usize,
        body: table.body.as_ref()?.0,
        header_timeout: table.header_timeout.as_ref()?.0,
        idle_timeout: table.idle_timeout.as_ref()?.0,
        requests_per_connection: table.requests_per_connection.as_ref()?.0,
    })
}

fn telemetry_of(table: file::Telemetry, base: &Base<'_>) -> Option<plan::Telemetry> {
    let Some(log) = table.access_log else {
        return Some(plan::Telemetry { access_log: None });
    };
    let path = log.value.path?;
    let path = (&*path.value != "-").then(|| base.path(&path));
    Some(plan::Telemetry { access_log: Some(plan::AccessLog { path, format: log.value.format?.value }) })
}

/// Notes the second of two equal names in a list.
fn once<'a, T: 'a>(
    items: impl IntoIterator<Item = &'a At<T>>,
    key: impl Fn(&T) -> String,
    what: &str,
    reader: &mut Reader<'_>,
) {
    let mut seen = HashSet::new();
    for item in items {
        let key = key(&item.value);
        if seen.contains(&key) {
            reader.mistake(item.at, format!("{what} `{key}` is here twice")).help("remove one of them");
        }
        seen.insert(key);
    }
}
