//! What `/metrics` tells. Labels are names of the file and words of our own, never what a client sent.

use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

use edge::stats::{OTHER, Snapshot};
use upstream::clock;
use upstream::status::{EndpointStatus, Errors, ServiceStatus};
use upstream::usable::Standing;

use crate::cache::{CacheView, TierView};
use crate::exposition::{Family, Page};
use crate::operations::Operations;
use crate::queue::{LogView, QueueView};

/// The label of what has no name: a request that found no route, an answer that was made here.
const NONE: &str = "(none)";

/// The page as of now.
pub(crate) fn page(node: &dyn Operations) -> String {
    let mut page = Page::default();
    let now = clock::now();
    let services: Vec<_> = node.registry().all().iter().map(|service| service.status(now)).collect();
    requests(&mut page, &node.shared().stats.snapshot());
    endpoints(&mut page, &services);
    health(&mut page, &services);
    cache(&mut page, &node.cache());
    let kept = node.queues();
    queues(&mut page, &kept.as_ref().map(|queues| queues.list()).unwrap_or_default());
    queue_log(&mut page, kept.map(|queues| queues.log()).as_ref());
    this_node(&mut page, node);
    page.into_text()
}

fn requests(page: &mut Page, counts: &Snapshot) {
    let mut family = page.counter("nearside_requests_total", "Requests that were answered.");
    for route in &counts.routes {
        let name = route.route.as_deref().unwrap_or(NONE);
        for answers in &route.statuses {
            let service = answers.service.as_deref().unwrap_or(NONE);
            let status = match answers.status {
                0 => OTHER.to_owned(),
                status => status.to_string(),
            };
            let labels = [("route", name), ("service", service), ("status", &status)];
            family.add(&labels, answers.count);
        }
    }
    let help = "Time from a request's first byte to its answer's last.";
    let mut family = page.histogram("nearside_request_seconds", help);
    for route in &counts.routes {
        family.times(("route", route.route.as_deref().unwrap_or(NONE)), &route.seconds);
    }
    let help = "Time from a request's being sent to an endpoint to the head of the answer.";
    let mut family = page.histogram("nearside_upstream_seconds", help);
    for service in &counts.services {
        family.times(("service", &service.service), &service.seconds);
    }
    let help = "Further tries at another endpoint.";
    let mut family = page.counter("nearside_retries_total", help);
    for service in &counts.services {
        family.add(&[("service", &service.service)], service.retries);
    }
    let help = "Second tries of slow requests.";
    let mut family = page.counter("nearside_hedges_total", help);
    for service in &counts.services {
        family.add(&[("service", &service.service)], service.hedges);
    }
    let help = "Requests and connections that were refused here.";
    let mut family = page.counter("nearside_refused_total", help);
    for (why, count) in &counts.refused {
        family.add(&[("why", why)], count);
    }
    let help = "Lines of the access log that were dropped because they could not be written.";
    page.counter("nearside_log_dropped_total", help).add(&[], counts.log_dropped);
}

fn endpoints(page: &mut Page, services: &[ServiceStatus]) {
    let of_each = |family: &mut Family<'_>, value: &dyn Fn(&EndpointStatus) -> u64| {
        for service in services {
            for endpoint in &service.endpoints {
                let labels = [("service", &*service.name), ("endpoint", &*endpoint.url)];
                family.add(&labels, value(endpoint));
            }
        }
    };
    let help = "1 if the endpoint is well, as far as is known.";
    of_each(&mut page.gauge("nearside_endpoint_up", help), &|endpoint| {
        u64::from(endpoint.state == Standing::Up)
    });
    let help = "Requests that the endpoint has now.";
    of_each(&mut page.gauge("nearside_endpoint_in_flight", help), &|endpoint| u64::from(endpoint.in_flight));
    let help = "Requests that were sent to the endpoint.";
    of_each(&mut page.counter("nearside_endpoint_requests_total", help), &|endpoint| endpoint.requests);
    let help = "Requests that the endpoint failed; kind=\"status\" is an answer with 500 to 599.";
    let mut family = page.counter("nearside_endpoint_failures_total", help);
    for service in services {
        for endpoint in &service.endpoints {
            for (kind, count) in kinds(&endpoint.errors) {
                let (service, url) = (&*service.name, &*endpoint.url);
                family.add(&[("service", service), ("endpoint", url), ("kind", kind)], count);
            }
        }
    }
}

fn kinds(errors: &Errors) -> [(&'static str, u64); 5] {
    [
        ("connect", errors.connect),
        ("reset", errors.reset),
        ("timeout", errors.timeout),
        ("bad_answer", errors.bad_answer),
        ("status", errors.status),
    ]
}

fn health(page: &mut Page, services: &[ServiceStatus]) {
    let help = "1 if no endpoint of the service is well, so that all are tried.";
    let mut family = page.gauge("nearside_service_all_ill", help);
    for service in services {
        family.add(&[("service", &service.name)], u8::from(service.all_ill));
    }
}

fn cache(page: &mut Page, cache: &CacheView) {
    let help = "Requests of cached routes, by what the cache did with them.";
    let mut family = page.counter("nearside_cache_requests_total", help);
    for (result, count) in &cache.requests {
        family.add(&[("result", result)], count);
    }
    let of_each = |mut family: Family<'_>, value: fn(&TierView) -> Option<u64>| {
        for tier in &cache.tiers {
            if let Some(value) = value(tier) {
                family.add(&[("tier", tier.tier)], value);
            }
        }
    };
    of_each(page.gauge("nearside_cache_bytes", "Bytes that the tier takes."), |tier| tier.bytes);
    of_each(page.gauge("nearside_cache_objects", "Objects in the tier."), |tier| tier.objects);
    let help = "Objects that had to make room for others.";
    of_each(page.counter("nearside_cache_evictions_total", help), |tier| Some(tier.evictions));
}

fn queues(page: &mut Page, queues: &[QueueView]) {
    let mut family = page.gauge("nearside_queue_messages", "Messages that are kept, by how they stand.");
    for queue in queues {
        for (state, count) in states(queue) {
            family.add(&[("queue", &queue.name), ("state", state)], count);
        }
    }
    let of_each = |mut family: Family<'_>, value: fn(&QueueView) -> f64| {
        for queue in queues {
            family.add(&[("queue", &queue.name)], value(queue));
        }
    };
    let help = "Time since the oldest message that waits could be delivered; 0 if none does.";
    let oldest = |queue: &QueueView| queue.oldest_seconds.unwrap_or(0.0);
    of_each(page.gauge("nearside_queue_oldest_seconds", help), oldest);
    let help = "Bytes that the messages take in the log.";
    of_each(page.gauge("nearside_queue_bytes", help), |queue| queue.bytes as f64);
    let help = "1 if an operator stopped the deliveries.";
    of_each(page.gauge("nearside_queue_paused", help), |queue| f64::from(u8::from(queue.paused)));
    let help = "Messages that were accepted.";
    of_each(page.counter("nearside_queue_accepted_total", help), |queue| queue.counters.accepted as f64);
    let help = "Messages that had the Idempotency-Key of one before.";
    of_each(page.counter("nearside_queue_again_total", help), |queue| queue.counters.again as f64);
    let mut family = page.counter("nearside_queue_refused_total", "Messages that were not accepted.");
    for queue in queues {
        for (why, count) in &queue.counters.refused {
            family.add(&[("queue", &queue.name), ("why", why)], count);
        }
    }
    let help = "Deliveries, by what became of them; retried: they failed and are tried again.";
    let mut family = page.counter("nearside_deliveries_total", help);
    for queue in queues {
        let counted = &queue.counters;
        let outcomes = [("done", counted.done), ("retried", counted.retried), ("dead", counted.dead)];
        for (outcome, count) in outcomes {
            family.add(&[("queue", &queue.name), ("outcome", outcome)], count);
        }
    }
}

fn states(queue: &QueueView) -> [(&'static str, u64); 5] {
    [
        ("waiting", queue.waiting),
        ("delayed", queue.delayed),
        ("running", queue.running),
        ("done", queue.done),
        ("dead", queue.dead),
    ]
}

fn queue_log(page: &mut Page, log: Option<&LogView>) {
    let help = "Bytes on disk of the log that keeps the queues.";
    let mut family = page.gauge("nearside_log_bytes", help);
    if let Some(log) = log {
        family.add(&[], log.bytes);
    }
    let help = "1 if the log that keeps the queues accepts nothing.";
    let mut family = page.gauge("nearside_log_trouble", help);
    if let Some(log) = log {
        family.add(&[], u8::from(log.trouble.is_some()));
    }
}

fn this_node(page: &mut Page, node: &dyn Operations) {
    let connections = node.shared().connections.load(Relaxed);
    page.gauge("nearside_connections", "Client connections that are open.").add(&[], connections);
    let reloads = node.reloads();
    let mut family = page.counter("nearside_config_reloads_total", "Times that the file was read anew.");
    family.add(&[("result", "done")], reloads.done);
    family.add(&[("result", "failed")], reloads.failed);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.gauge("nearside_build_info", "Always 1; the labels tell what is running.").add(&version, 1);
    let started = node.started().duration_since(UNIX_EPOCH).unwrap_or_default();
    let help = "When the process started, in seconds since 1970.";
    page.gauge("process_start_time_seconds", help).add(&[], started.as_secs_f64());
    if let Some(bytes) = resident_bytes() {
        page.gauge("process_resident_memory_bytes", "Memory of the process.").add(&[], bytes);
    }
}

/// The memory of this process, where the system tells it (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}
