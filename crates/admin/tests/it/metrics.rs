//! What `/metrics` tells, read by a strict reader.

use edge::stats::{Histogram, Why};

use crate::exposition::{Page, read};
use crate::support::Served;

const ROUTE: &str = "shop.example.com/api/*";

async fn page(served: &Served) -> Page {
    let answer = served.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    read(&answer.body)
}

#[tokio::test]
async fn all_names_are_there_from_the_start() {
    let page = page(&Served::start().await).await;
    let kinds: Vec<(&str, &str)> =
        page.iter().map(|(name, family)| (name.as_str(), family.kind.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("nearside_build_info", "gauge"),
            ("nearside_cache_bytes", "gauge"),
            ("nearside_cache_evictions_total", "counter"),
            ("nearside_cache_objects", "gauge"),
            ("nearside_cache_requests_total", "counter"),
            ("nearside_config_reloads_total", "counter"),
            ("nearside_connections", "gauge"),
            ("nearside_deliveries_total", "counter"),
            ("nearside_endpoint_failures_total", "counter"),
            ("nearside_endpoint_in_flight", "gauge"),
            ("nearside_endpoint_requests_total", "counter"),
            ("nearside_endpoint_up", "gauge"),
            ("nearside_hedges_total", "counter"),
            ("nearside_log_bytes", "gauge"),
            ("nearside_log_dropped_total", "counter"),
            ("nearside_log_trouble", "gauge"),
            ("nearside_queue_accepted_total", "counter"),
            ("nearside_queue_again_total", "counter"),
            ("nearside_queue_bytes", "gauge"),
            ("nearside_queue_messages", "gauge"),
            ("nearside_queue_oldest_seconds", "gauge"),
            ("nearside_queue_paused", "gauge"),
            ("nearside_queue_refused_total", "counter"),
            ("nearside_refused_total", "counter"),
            ("nearside_request_seconds", "histogram"),
            ("nearside_requests_total", "counter"),
            ("nearside_retries_total", "counter"),
            ("nearside_service_all_ill", "gauge"),
            ("nearside_upstream_seconds", "histogram"),
            ("process_resident_memory_bytes", "gauge"),
            ("process_start_time_seconds", "gauge"),
        ]
    );
    assert_eq!(page["nearside_refused_total"].samples.len(), Why::ALL.len());
    let build = &page["nearside_build_info"];
    assert_eq!(build.value(&[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(page["process_resident_memory_bytes"].value(&[]) > 1e6);
    assert!(page["process_start_time_seconds"].value(&[]) > 1.5e9);
    let reloads = &page["nearside_config_reloads_total"];
    assert_eq!(reloads.value(&[("result", "done")]), 3.0);
    assert_eq!(reloads.value(&[("result", "failed")]), 1.0);
}

#[tokio::test]
async fn requests_are_told_by_route_service_and_status() {
    let served = Served::start().await;
    for (status, nanos) in [(200, 600_000), (200, 700_000), (502, 90_000_000_000)] {
        served.count(Some(ROUTE), Some("shop"), status, nanos);
    }
    served.count(None, None, 404, 50_000);
    let page = page(&served).await;
    let requests = &page["nearside_requests_total"];
    let labels = |status| [("route", ROUTE), ("service", "shop"), ("status", status)];
    assert_eq!(requests.value(&labels("200")), 2.0);
    assert_eq!(requests.value(&labels("502")), 1.0);
    let none = [("route", "(none)"), ("service", "(none)"), ("status", "404")];
    assert_eq!(requests.value(&none), 1.0);
    let times = &page["nearside_request_seconds"];
    let below = |bound| times.value(&[("route", ROUTE), ("le", bound)]);
    assert_eq!((below("0.0005"), below("0.001"), below("60"), below("+Inf")), (0.0, 2.0, 2.0, 3.0));
    let of_route: Vec<_> = times.samples.iter().filter(|sample| sample.labels["route"] == ROUTE).collect();
    assert_eq!(of_route.len(), Histogram::BUCKETS + 2);
    let sum = of_route.iter().find(|sample| sample.name.ends_with("_sum")).unwrap();
    assert!((sum.value - 90.0013).abs() < 1e-9, "{sum:?}");
    let upstream = &page["nearside_upstream_seconds"];
    assert_eq!(upstream.value(&[("service", "shop"), ("le", "+Inf")]), 3.0);
}

#[tokio::test]
async fn endpoints_are_told_by_service() {
    let served = Served::start().await;
    let body = r#"{"endpoint": "http://127.0.0.1:3002", "drain": true}"#;
    let json_type = [("Content-Type", "application/json")];
    served.ask("POST", "/api/v1/services/shop/endpoints/drain", &json_type, body).await;
    let page = page(&served).await;
    let up = |url| page["nearside_endpoint_up"].value(&[("service", "shop"), ("endpoint", url)]);
    assert_eq!((up("http://127.0.0.1:3001"), up("http://127.0.0.1:3002")), (1.0, 0.0));
    let failures = &page["nearside_endpoint_failures_total"];
    assert_eq!(failures.samples.len(), 4 * 5);
    assert_eq!(page["nearside_service_all_ill"].value(&[("service", "shop")]), 0.0);
    assert_eq!(page["nearside_retries_total"].value(&[("service", "next")]), 0.0);
}

#[tokio::test]
async fn labels_are_escaped() {
    let served = Served::start().await;
    let name = "a\"b\\c\nd\\n{},é/";
    served.count(Some(name), None, 200, 1);
    let page = page(&served).await;
    let labels = [("route", name), ("service", "(none)"), ("status", "200")];
    assert_eq!(page["nearside_requests_total"].value(&labels), 1.0);
}

#[tokio::test]
async fn the_cache_is_told_by_result_and_tier() {
    let page = page(&Served::start().await).await;
    let value = |name: &str, label| page[name].value(&[label]);
    assert_eq!(value("nearside_cache_requests_total", ("result", "hit")), 3.0);
    assert_eq!(value("nearside_cache_requests_total", ("result", "pass")), 5.0);
    let memory = ("tier", "memory");
    assert_eq!(value("nearside_cache_bytes", memory), 1000.0);
    assert_eq!(value("nearside_cache_objects", memory), 7.0);
    assert_eq!(value("nearside_cache_evictions_total", memory), 2.0);
    // A tier that doesn't tell has no sample, rather than a false one.
    assert_eq!(page["nearside_cache_bytes"].samples.len(), 1);
    assert_eq!(page["nearside_cache_objects"].samples.len(), 1);
}
