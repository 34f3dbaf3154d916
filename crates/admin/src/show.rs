//! The plan as JSON, in the words of the file and with every default filled in.
//!
//! Here and not in `config`, since what is shown is a matter of the API: nothing secret may be in it.

use std::sync::Arc;
use std::time::Duration;

use config::plan::{
    AccessLog, Action, Balance, Bypass, Cache, CacheRules, Discover, Endpoint, Forward, HashBy, HeaderRules,
    HedgeAfter, HostMatch, Limits, Listener, LogFormat, Mirror, PathMatch, Plan, QueryKey, Queue, Retry,
    Route, Service,
};
use config::units::{show_duration, show_size};
use serde_json::{Map, Value, json};

/// What is written in the place of a secret.
const SECRET: &str = "(secret)";
/// Words in the names of header fields whose values are secrets.
const SECRET_WORDS: [&str; 7] = ["auth", "cookie", "key", "password", "secret", "signature", "token"];
/// A name that only looks like one of those.
const NO_SECRET: &str = "idempotency-key";

/// The whole plan.
pub(crate) fn plan(plan: &Plan) -> Value {
    let services = plan.services.values();
    let services: Map<String, Value> = services.map(|one| (one.name.to_string(), service(one))).collect();
    let queues = plan.queues.values();
    let queues: Map<String, Value> = queues.map(|one| (one.name.to_string(), queue(one))).collect();
    json!({
        "node": {
            "name": &*plan.node.name,
            "region": &*plan.node.region,
            "data": plan.node.data.display().to_string(),
            "threads": plan.node.threads,
        },
        "admin": table(json!({
            "listen": plan.admin.listen.to_string(),
            "token": plan.admin.token.as_ref().map(|_| SECRET),
        })),
        "listen": list(&plan.listeners, |listener| self::listener(listener)),
        "limits": limits(&plan.limits),
        "service": services,
        "route": list(&plan.routes, |one| route(one)),
        "cache": cache(&plan.cache),
        "queue": queues,
        "telemetry": table(json!({
            "access_log": plan.telemetry.access_log.as_ref().map(access_log),
        })),
    })
}

fn listener(listener: &Listener) -> Value {
    json!({
        "address": listener.address.to_string(),
        "trust": list(&listener.trust, |range| json!(range.to_string())),
    })
}

fn limits(limits: &Limits) -> Value {
    json!({
        "connections": limits.connections,
        "connections_per_client": limits.connections_per_client,
        "header_bytes": show_size(limits.header_bytes as u64).to_string(),
        "headers": limits.headers,
        "body": show_size(limits.body).to_string(),
        "header_timeout": show_duration(limits.header_timeout).to_string(),
        "idle_timeout": show_duration(limits.idle_timeout).to_string(),
        "requests_per_connection": limits.requests_per_connection,
    })
}

/// One `[service.NAME]`.
pub(crate) fn service(service: &Service) -> Value {
    table(json!({
        "balance": balance(&service.balance),
        "endpoints": list(&service.endpoints, endpoint),
        "discover": service.discover.as_ref().map(discover),
        "sticky": service.sticky.as_ref().map(|sticky| json!({ "cookie": &*sticky.cookie })),
        "health": service.health.as_ref().map(|health| table(json!({
            "path": &*health.path,
            "host": health.host.as_deref(),
            "every": show_duration(health.every).to_string(),
            "timeout": show_duration(health.timeout).to_string(),
            "rise": health.rise,
            "fall": health.fall,
            "status": format!("{}-{}", health.status.0, health.status.1),
        }))),
        "outliers": service.outliers.as_ref().map_or(json!(false), |outliers| json!({
            "errors": outliers.errors,
            "eject": show_duration(outliers.eject).to_string(),
            "at_most": outliers.at_most,
        })),
        "timeout": {
            "connect": show_duration(service.timeout.connect).to_string(),
            "response": show_duration(service.timeout.response).to_string(),
            "idle": show_duration(service.timeout.idle).to_string(),
        },
        "retry": {
            "attempts": service.retry.attempts,
            "budget": service.retry.budget,
            "on": retry_on(&service.retry),
        },
        "hedge": service.hedge.as_ref().map(|hedge| json!({ "after": hedge_after(&hedge.after) })),
        "limit": service.limit.as_ref().map(|limit| json!({
            "in_flight": limit.in_flight,
            "waiting": limit.waiting,
            "wait": show_duration(limit.wait).to_string(),
        })),
        "slow_start": show_duration(service.slow_start).to_string(),
    }))
}

/// `balance = …`
pub(crate) fn balance(balance: &Balance) -> Value {
    match balance {
        Balance::RoundRobin => json!("round_robin"),
        Balance::Random => json!("random"),
        Balance::LeastConnections => json!("least_connections"),
        Balance::TwoChoices => json!("two_choices"),
        Balance::Latency => json!("latency"),
        Balance::IpHash => json!("ip_hash"),
        Balance::Maglev => json!("maglev"),
        Balance::Hash(by) => json!({ "hash": hash_by(by) }),
    }
}

/// `hash = …`
pub(crate) fn hash_by(by: &HashBy) -> String {
    match by {
        HashBy::Header(name) => format!("header:{name}"),
        HashBy::Cookie(name) => format!("cookie:{name}"),
        HashBy::Query(name) => format!("query:{name}"),
        HashBy::Path => "path".to_owned(),
        HashBy::Client => "client".to_owned(),
    }
}

fn endpoint(endpoint: &Endpoint) -> Value {
    table(json!({
        "url": &*endpoint.url,
        "weight": endpoint.weight,
        "region": endpoint.region.as_deref(),
    }))
}

fn discover(discover: &Discover) -> Value {
    let every = |every| show_duration(every).to_string();
    match discover {
        Discover::Dns { host, port, every: time } => {
            json!({ "dns": format!("{host}:{port}"), "every": every(*time) })
        }
        Discover::Srv { name, every: time } => {
            json!({ "dns": format!("srv+{name}"), "every": every(*time) })
        }
        Discover::File { path } => json!({ "file": path.display().to_string() }),
    }
}

/// `on = …`
pub(crate) fn retry_on(retry: &Retry) -> Vec<String> {
    let connect = retry.on.connect.then(|| "connect".to_owned());
    let statuses = retry.on.statuses.iter().map(ToString::to_string);
    connect.into_iter().chain(statuses).collect()
}

fn hedge_after(after: &HedgeAfter) -> String {
    match after {
        // A share of 0.29 must not show as p28.999999999999996.
        HedgeAfter::Quantile(share) => format!("p{}", (share * 1e5).round() / 1e3),
        HedgeAfter::Time(time) => show_duration(*time).to_string(),
    }
}

/// One `[[route]]`.
pub(crate) fn route(route: &Route) -> Value {
    let conditions = route.headers_match.iter().map(|condition| {
        let value = condition.value.as_deref().unwrap_or("*");
        (condition.name.to_string(), json!(unless_secret(&condition.name, value)))
    });
    let conditions: Map<String, Value> = conditions.collect();
    let mut shown = json!({
        "line": route.line,
        "host": (route.host != HostMatch::Any).then(|| route.host.to_string()),
        "path": (route.path != PathMatch::Any).then(|| route.path.to_string()),
        "methods": (!route.methods.is_empty()).then(|| list(&route.methods, |method| json!(**method))),
        "match": (!conditions.is_empty()).then(|| json!({ "headers": conditions })),
        "cache": route.cache.as_ref().map(rules),
        "headers": headers(route),
    });
    match &route.action {
        Action::Forward(forward) => show_forward(forward, &mut shown),
        Action::Enqueue(queue) => shown["queue"] = json!(**queue),
        Action::Redirect(redirect) => {
            shown["redirect"] = json!({ "to": &*redirect.to, "status": redirect.status });
        }
        Action::Respond(respond) => {
            shown["respond"] = json!({
                "status": respond.status,
                "body": &*respond.body,
                "content_type": &*respond.content_type,
            });
        }
    }
    table(shown)
}

fn show_forward(forward: &Forward, shown: &mut Value) {
    match &*forward.to {
        [(only, _)] => shown["service"] = json!(**only),
        parts => {
            let part =
                |(service, weight): &(Arc<str>, u32)| json!({ "service": **service, "weight": weight });
            shown["split"] = list(parts, part);
        }
    }
    shown["mirror"] = forward.mirror.as_ref().map_or(Value::Null, mirror);
    shown["queue"] = json!(forward.later.as_deref());
}

/// `[cache]`
fn cache(cache: &Cache) -> Value {
    table(json!({
        "memory": show_size(cache.memory).to_string(),
        "disk": cache.disk.as_ref().map(|disk| json!({
            "path": disk.path.display().to_string(),
            "size": show_size(disk.size).to_string(),
        })),
        "shared": cache.shared.as_ref().map(|_| SECRET),
        "largest": show_size(cache.largest).to_string(),
        "purge_from": list(&cache.purge_from, |range| json!(range.to_string())),
    }))
}

/// `cache = …` of a route
fn rules(rules: &CacheRules) -> Value {
    let time = |time: Option<Duration>| time.map(|time| show_duration(time).to_string());
    let query = match rules.key.query {
        QueryKey::All => Some("all"),
        QueryKey::Sorted => Some("sorted"),
        QueryKey::None => Some("none"),
        QueryKey::Named(_) => None,
    };
    table(json!({
        "default_ttl": time(rules.default_ttl),
        "stale_while_revalidate": time(rules.stale_while_revalidate),
        "stale_if_error": time(rules.stale_if_error),
        "vary_query": match &rules.key.query {
            QueryKey::Named(names) => Some(list(names, |name| json!(**name))),
            _ => None,
        },
        "key": table(json!({
            "query": query,
            "headers": list(&rules.key.headers, |name| json!(**name)),
            "cookies": list(&rules.key.cookies, |name| json!(**name)),
        })),
        "bypass": list(&rules.bypass, |one| json!(match one {
            Bypass::Header(name) => format!("header:{name}"),
            Bypass::Cookie(name) => format!("cookie:{name}"),
            Bypass::Query(name) => format!("query:{name}"),
        })),
        "largest": rules.largest.map(|bytes| show_size(bytes).to_string()),
    }))
}

/// One `[queue.NAME]`.
fn queue(queue: &Queue) -> Value {
    let time = |time: Duration| show_duration(time).to_string();
    let (retry, every) = (&queue.retry, queue.every.as_ref());
    table(json!({
        "deliver": list(&queue.deliver, |receiver| json!(**receiver.text())),
        "order_by": queue.order_by.as_ref().map(hash_by),
        "dedupe": time(queue.dedupe),
        "retry": {
            "attempts": retry.attempts, "first": time(retry.first), "longest": time(retry.longest),
        },
        "rate": queue.rate.map(rate),
        "concurrency": queue.concurrency,
        "timeout": time(queue.timeout),
        "keep": { "done": time(queue.keep_done), "dead": time(queue.keep_dead) },
        "sign": list(&queue.sign, |_| json!(SECRET)),
        "full": show_size(queue.full).to_string(),
        "allow_private_addresses": queue.allow_private,
        "every": every.map(|every| every.cron.text()),
        "request": every.map(|every| json!({
            "method": &*every.method,
            "path": &*every.path,
            "headers": pairs(&every.headers),
            "body": &*every.body,
        })),
    }))
}

/// `rate = …`, in the shortest time that makes it a whole number.
fn rate(per_second: f64) -> String {
    let times = [(1.0, "s"), (60.0, "m"), (3600.0, "h")];
    let whole = |(seconds, _): &&(f64, &str)| {
        let number = per_second * seconds;
        number >= 1.0 && (number - number.round()).abs() < 1e-6
    };
    let (seconds, unit) = times.iter().find(whole).unwrap_or(&times[2]);
    format!("{}/{unit}", (per_second * seconds).round())
}

/// `mirror = …`
pub(crate) fn mirror(mirror: &Mirror) -> Value {
    json!({ "service": &*mirror.service, "share": mirror.share })
}

fn headers(route: &Route) -> Option<Value> {
    let changes = |rules: &HeaderRules| {
        (*rules != HeaderRules::default()).then(|| {
            json!({
                "remove": list(&rules.remove, |name| json!(**name)),
                "set": pairs(&rules.set),
                "add": pairs(&rules.add),
            })
        })
    };
    let (request, response) = (changes(&route.request_headers), changes(&route.response_headers));
    let any = request.is_some() || response.is_some();
    any.then(|| table(json!({ "request": request, "response": response })))
}

fn pairs(pairs: &[(Arc<str>, Arc<str>)]) -> Map<String, Value> {
    let pairs = pairs.iter();
    pairs.map(|(name, value)| (name.to_string(), json!(unless_secret(name, value)))).collect()
}

fn unless_secret<'v>(name: &str, value: &'v str) -> &'v str {
    if value != "*" && is_secret(name) { SECRET } else { value }
}

/// Does a header field of this name hold a secret?
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != NO_SECRET && SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn access_log(log: &AccessLog) -> Value {
    let path = log.path.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string());
    let format = match log.format {
        LogFormat::Json => "json",
        LogFormat::Common => "common",
    };
    json!({ "path": path, "format": format })
}

fn list<T>(items: &[T], show: impl FnMut(&T) -> Value) -> Value {
    items.iter().map(show).collect()
}

/// A table without the keys that have no value, as a file leaves them out.
fn table(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}
