//! Counting: what goes in comes out, from several threads and across reloads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use edge::stats::{Histogram, MAX_NAMES, OTHER, Sample, Stats, StatusCount, Why};
use proptest::prelude::*;

const SAMPLE: Sample = Sample {
    route: None,
    service: None,
    status: 200,
    nanos: 1_000_000,
    upstream_nanos: None,
    bytes_in: 0,
    bytes_out: 0,
};

fn counted(service: Option<&str>, status: u16, count: u64) -> StatusCount {
    StatusCount { service: service.map(str::to_owned), status, count }
}

#[test]
fn what_goes_in_comes_out() {
    let stats = Stats::new(1);
    let (shard, shop) = (stats.shard(0), stats.service_id("shop"));
    let route = Some(stats.route_id("*/*"));
    let forwarded = Sample {
        route,
        service: Some(shop),
        upstream_nanos: Some(400_000),
        bytes_in: 3,
        bytes_out: 5,
        ..SAMPLE
    };
    shard.request(&forwarded);
    shard.request(&forwarded);
    shard.request(&Sample { status: 502, ..forwarded });
    shard.request(&Sample { status: 405, route, ..SAMPLE });
    shard.request(&Sample { status: 404, ..SAMPLE });
    shard.retry(shop);
    shard.hedge(shop);
    shard.hedge(shop);

    let snapshot = stats.snapshot();
    assert_eq!(snapshot.requests(), 5);
    let [unrouted, all] = snapshot.routes.as_slice() else { panic!("{snapshot:?}") };
    assert_eq!((unrouted.route.as_deref(), all.route.as_deref()), (None, Some("*/*")));
    assert_eq!(unrouted.statuses, [counted(None, 404, 1)]);
    let expected = [counted(None, 405, 1), counted(Some("shop"), 200, 2), counted(Some("shop"), 502, 1)];
    assert_eq!(all.statuses, expected);
    assert_eq!((all.bytes_in, all.bytes_out, all.seconds.nanos), (9, 15, 4_000_000));
    let [service] = snapshot.services.as_slice() else { panic!("{snapshot:?}") };
    assert_eq!((service.retries, service.hedges, service.seconds.count()), (1, 2, 3));
}

#[test]
fn what_is_not_a_request_is_counted_too() {
    let stats = Stats::new(1);
    let shard = stats.shard(0);
    shard.connection_opened();
    shard.connection_opened();
    shard.connection_closed();
    shard.log_dropped(7);
    shard.refused(Why::NoRoute);

    let snapshot = stats.snapshot();
    assert_eq!((snapshot.connections(), snapshot.log_dropped), (1, 7));
    for (why, count) in snapshot.refused {
        assert_eq!(count, u64::from(why == "no_route"), "{why}");
    }
}

#[test]
fn names_keep_their_counts() {
    let stats = Stats::new(2);
    let first = stats.route_id("a/*");
    stats.shard(0).request(&Sample { route: Some(first), ..SAMPLE });
    stats.route_id("b/*");
    let again = stats.route_id("a/*");
    assert_eq!(first, again);
    stats.shard(1).request(&Sample { route: Some(again), ..SAMPLE });
    let snapshot = stats.snapshot();
    assert_eq!(snapshot.routes.len(), 1, "b was never asked for");
    assert_eq!(snapshot.routes[0].statuses, [counted(None, 200, 2)]);
}

#[test]
fn names_without_end_are_counted_together() {
    let stats = Stats::new(1);
    let ids: Vec<_> = (0..MAX_NAMES + 10).map(|n| stats.route_id(&n.to_string())).collect();
    let shard = stats.shard(0);
    for &id in &ids {
        shard.request(&Sample { route: Some(id), ..SAMPLE });
    }
    assert_eq!(stats.route_id("5"), ids[5]);
    let snapshot = stats.snapshot();
    assert_eq!(snapshot.routes.len(), MAX_NAMES);
    let last = snapshot.routes.last().unwrap();
    assert_eq!((last.route.as_deref(), last.seconds.count()), (Some(OTHER), 11));
    assert_eq!(snapshot.requests(), MAX_NAMES as u64 + 10);
}

#[test]
fn statuses_without_end_are_counted_together() {
    let stats = Stats::new(1);
    for status in 100..1_000 {
        stats.shard(0).request(&Sample { status, ..SAMPLE });
    }
    let statuses = &stats.snapshot().routes[0].statuses;
    assert_eq!(statuses.iter().map(|counted| counted.count).sum::<u64>(), 900);
    assert_eq!((statuses.len(), statuses[0].status, statuses[0].count), (121, 0, 780));
}

#[test]
fn each_thread_counts_and_another_reads() {
    const REQUESTS: u64 = 20_000;
    let stats = Stats::new(2);
    let services = [stats.service_id("a"), stats.service_id("b")];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers = [0, 1].map(|thread| {
            let (shard, stats) = (stats.shard(thread), &stats);
            scope.spawn(move || {
                for request in 0..REQUESTS {
                    let route = Some(stats.route_id(&format!("/{}", request % 300)));
                    let service = Some(services[(request % 2) as usize]);
                    shard.request(&Sample { route, service, upstream_nanos: Some(1), ..SAMPLE });
                }
            })
        });
        let reader = scope.spawn(|| {
            let mut before = 0;
            while !done.load(Ordering::Relaxed) {
                let now = stats.snapshot().requests();
                assert!(now >= before);
                before = now;
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    let snapshot = stats.snapshot();
    assert_eq!(snapshot.requests(), 2 * REQUESTS);
    let by_status = snapshot.routes.iter().flat_map(|route| &route.statuses);
    assert_eq!(by_status.map(|counted| counted.count).sum::<u64>(), 2 * REQUESTS);
    let by_service: Vec<_> = snapshot.services.iter().map(|s| s.seconds.count()).collect();
    assert_eq!(by_service, [REQUESTS, REQUESTS]);
}

#[test]
fn a_quantile_is_in_its_bucket() {
    assert_eq!(Histogram::default().quantile(0.5), None);
    let mut histogram = Histogram::default();
    histogram.counts[Histogram::bucket(750_000)] = 100;
    assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(750)));
    assert_eq!(histogram.quantile(1.0), Some(Duration::from_millis(1)));
    histogram.counts[Histogram::BUCKETS - 1] = 100;
    assert_eq!(histogram.quantile(0.99), Some(Duration::from_secs(60)));
    let later = Histogram { nanos: histogram.nanos + 5, ..histogram };
    assert_eq!(later.since(&histogram), Histogram { nanos: 5, ..Histogram::default() });
}

proptest! {
    #[test]
    fn a_quantile_is_as_near_as_its_bucket(
        mut nanos in prop::collection::vec(0u64..60_000_000_000, 1..200),
        q in 0.0..=1.0f64,
    ) {
        let stats = Stats::new(1);
        nanos.iter().for_each(|&nanos| stats.shard(0).request(&Sample { nanos, ..SAMPLE }));
        let histogram = stats.snapshot().seconds();
        prop_assert_eq!(histogram.nanos, nanos.iter().sum::<u64>());
        nanos.sort_unstable();
        let rank = (q * nanos.len() as f64).ceil().max(1.0) as usize;
        let exact = Histogram::bucket(nanos[rank - 1]);
        let estimate = histogram.quantile(q).unwrap().as_nanos() as u64;
        let lower = exact.checked_sub(1).map_or(0, |below| Histogram::BOUNDS[below]);
        prop_assert!((lower..=Histogram::BOUNDS[exact]).contains(&estimate));
    }
}
