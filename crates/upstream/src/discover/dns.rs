//! Discovery by DNS: each address of a name, or each target of its SRV records, is an endpoint.

use std::net::IpAddr;
use std::time::Duration;

use config::plan::Endpoint;
use hickory_resolver::proto::rr::rdata::SRV;

use crate::registry::Shared;
use crate::resolve::{Found, ResolveError, again_in, retry_in};
use crate::service::Service;

/// The largest weight that an endpoint may have.
const HEAVIEST: u64 = 1000;

/// Each A and AAAA record of `host` is an endpoint at `port`.
pub(super) async fn follow_addresses(
    service: &Service,
    shared: &Shared,
    host: &str,
    port: u16,
    every: Duration,
) {
    let mut failures = 0;
    loop {
        let before =
            service.found().iter().filter_map(|endpoint| endpoint.host.parse().ok()).collect::<Vec<_>>();
        let found = shared.names.addresses(host, &before).await.map(|found| Found {
            records: found.records.into_iter().map(|ip| at(ip, port)).collect(),
            ttl: found.ttl,
        });
        tokio::time::sleep(take(service, found, &mut failures, every)).await;
    }
}

/// Each target of the SRV records of `name` with the lowest priority is an endpoint.
pub(super) async fn follow_services(service: &Service, shared: &Shared, name: &str, every: Duration) {
    let mut failures = 0;
    loop {
        let found = shared.names.services(name).await.and_then(|found| {
            let records = chosen(&found.records);
            if records.is_empty() {
                return Err(ResolveError::NoRecords(name.to_owned()));
            }
            Ok(Found { records, ttl: found.ttl })
        });
        tokio::time::sleep(take(service, found, &mut failures, every)).await;
    }
}

/// Hands on what was found and says when to look again.
fn take(
    service: &Service,
    found: Result<Found<Endpoint>, ResolveError>,
    failures: &mut u32,
    every: Duration,
) -> Duration {
    match found {
        Ok(mut found) => {
            *failures = 0;
            // The same set in another order is the same answer.
            found.records.sort_by(|a, b| a.url.cmp(&b.url));
            found.records.dedup_by(|a, b| a.url == b.url);
            service.discovered(found.records);
            again_in(found.ttl, every)
        }
        Err(why) => {
            *failures = failures.saturating_add(1);
            service.discovery_failed(why.to_string());
            retry_in(*failures, every)
        }
    }
}

fn at(ip: IpAddr, port: u16) -> Endpoint {
    let url = match ip {
        IpAddr::V4(ip) => format!("http://{ip}:{port}"),
        IpAddr::V6(ip) => format!("http://[{ip}]:{port}"),
    };
    Endpoint { url: url.into(), host: ip.to_string().into(), port, weight: 1, region: None }
}

/// The targets with the lowest priority, their weights brought into 1 to 1,000. A target of "."
/// says that the service is not there (RFC 2782).
fn chosen(records: &[SRV]) -> Vec<Endpoint> {
    let Some(lowest) = records.iter().map(|srv| srv.priority).min() else {
        return Vec::new();
    };
    let those = records.iter().filter(|srv| srv.priority == lowest && !srv.target.is_root());
    let heaviest = those.clone().map(|srv| u64::from(srv.weight)).max().unwrap_or(0);
    those
        .map(|srv| {
            let host = srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase();
            let weight = u64::from(srv.weight) * HEAVIEST / heaviest.max(HEAVIEST);
            Endpoint {
                url: format!("http://{host}:{}", srv.port).into(),
                host: host.into(),
                port: srv.port,
                weight: u32::try_from(weight).unwrap_or(1).max(1),
                region: None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::Name;

    fn srv(priority: u16, weight: u16, target: &str) -> SRV {
        SRV::new(priority, weight, 8080, Name::from_ascii(target).unwrap())
    }

    #[test]
    fn only_the_lowest_priority_is_taken_and_weights_are_brought_into_range() {
        let records = [srv(10, 30, "A.shop."), srv(10, 0, "b.shop."), srv(20, 5, "c.shop.")];
        let found: Vec<_> = chosen(&records).into_iter().map(|e| (e.url, e.weight)).collect();
        assert_eq!(found, [("http://a.shop:8080".into(), 30), ("http://b.shop:8080".into(), 1)]);
        let large = [srv(1, 60_000, "a."), srv(1, 30_000, "b."), srv(1, 1, "c.")];
        assert_eq!(chosen(&large).iter().map(|e| e.weight).collect::<Vec<_>>(), [1000, 500, 1]);
        assert!(chosen(&[srv(0, 0, ".")]).is_empty() && chosen(&[]).is_empty());
    }

    #[test]
    fn an_address_becomes_a_url() {
        assert_eq!(&*at("10.0.0.1".parse().unwrap(), 80).url, "http://10.0.0.1:80");
        let six = at("2001:db8::1".parse().unwrap(), 80);
        assert_eq!((&*six.url, &*six.host), ("http://[2001:db8::1]:80", "2001:db8::1"));
    }
}
