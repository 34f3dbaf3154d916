//! Names to addresses, in the background, with the last good answer kept.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use crate::endpoint::EndpointState;
use crate::event::What;
use crate::lock;
use crate::registry::Shared;
use crate::service::Service;

/// The shortest time between two look-ups of a name, whatever its TTL.
const SOONEST: Duration = Duration::from_secs(1);
/// The longest time between two look-ups of an endpoint's name.
const LATEST: Duration = Duration::from_secs(300);
/// The longest time from a failed look-up to the next.
const RETRY: Duration = Duration::from_secs(30);
/// How long a name server may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Is an address of this kind?
type Is = fn(&IpAddr) -> bool;

/// The records with addresses, and which addresses are theirs.
const KINDS: [(RecordType, Is); 2] = [(RecordType::A, IpAddr::is_ipv4), (RecordType::AAAA, IpAddr::is_ipv6)];

/// Why a name could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("the name {0} doesn't exist")]
    NoName(String),
    #[error("the name {0} has no such records")]
    NoRecords(String),
    #[error("looking up {0} failed: {1}")]
    Failed(String, String),
    #[error("the system's resolver configuration can't be used: {0}")]
    NoResolver(String),
}

/// An answer and how long it holds.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub records: Vec<T>,
    pub ttl: Duration,
}

/// Looks names up, as the system is configured.
pub(crate) struct Names {
    resolver: Result<TokioResolver, String>,
}

impl Names {
    /// With the system's name servers, or with this one.
    pub fn new(server: Option<SocketAddr>) -> Self {
        Self { resolver: resolver(server).map_err(|why| why.to_string()) }
    }

    /// The IPv4 and IPv6 addresses of `host`. A kind that `before` had and that can't be looked up now
    /// stays as it was.
    pub async fn addresses(&self, host: &str, before: &[IpAddr]) -> Result<Found<IpAddr>, ResolveError> {
        let resolver = self.resolver()?;
        let answer = resolver.lookup_ip(host).await.map_err(|why| failure(host, &why))?;
        let ttl = ttl(answer.as_lookup().answers());
        let mut found = Found { records: answer.iter().collect(), ttl };
        let name = answer.as_lookup().query().name();
        for (kind, is) in KINDS {
            if found.records.iter().any(is) || !before.iter().any(is) {
                continue;
            }
            // The answer doesn't tell whether the name has none any more or their look-up failed.
            match resolver.lookup(name.clone(), kind).await {
                Ok(more) => found.records.extend(more.answers().iter().filter_map(|r| r.data.ip_addr())),
                Err(why) if why.is_nx_domain() || why.is_no_records_found() => {}
                Err(_) => {
                    found.records.extend(before.iter().filter(|ip| is(ip)));
                    found.ttl = found.ttl.min(RETRY);
                }
            }
        }
        Ok(found)
    }

    /// The SRV records of `name` (RFC 2782).
    pub async fn services(&self, name: &str) -> Result<Found<SRV>, ResolveError> {
        let found =
            self.resolver()?.lookup(name, RecordType::SRV).await.map_err(|why| failure(name, &why))?;
        let records = found.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv.clone()),
            _ => None,
        });
        Ok(Found { records: records.collect(), ttl: ttl(found.answers()) })
    }

    fn resolver(&self) -> Result<&TokioResolver, ResolveError> {
        self.resolver.as_ref().map_err(|why| ResolveError::NoResolver(why.clone()))
    }
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = TIMEOUT;
    // We ask again exactly when we want a new answer.
    options.cache_size = 0;
    builder.build()
}

fn ttl(records: &[Record]) -> Duration {
    Duration::from_secs(records.iter().map(|record| record.ttl).min().unwrap_or(0).into())
}

fn failure(name: &str, why: &NetError) -> ResolveError {
    let name = name.to_owned();
    if why.is_nx_domain() {
        ResolveError::NoName(name)
    } else if why.is_no_records_found() {
        ResolveError::NoRecords(name)
    } else {
        ResolveError::Failed(name, why.to_string())
    }
}

/// The time to the next look-up: the answer's TTL, at least a second, and at most `latest`.
pub(crate) fn again_in(ttl: Duration, latest: Duration) -> Duration {
    ttl.max(SOONEST).min(latest)
}

/// The time to the next look-up after so many failed ones: a second, doubling up to half a minute
/// or `latest`.
pub(crate) fn retry_in(failures: u32, latest: Duration) -> Duration {
    SOONEST.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(RETRY).min(latest)
}

/// Keeps the address of an endpoint's name, for as long as it is not stopped.
pub(crate) async fn keep(service: Arc<Service>, endpoint: Arc<EndpointState>, shared: Arc<Shared>) {
    let mut failures = 0;
    loop {
        let pause = match shared.names.addresses(endpoint.host(), &endpoint.ips()).await {
            Ok(found) => {
                failures = 0;
                lock(&endpoint.vitals).unresolved.clear();
                if endpoint.found(found.records) {
                    service.look_again();
                }
                again_in(found.ttl, LATEST)
            }
            Err(why) => {
                failures += 1;
                failed(&service, &endpoint, why.to_string());
                retry_in(failures, LATEST)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Keeps why a look-up failed, and tells it the first time if the endpoint can't be used for it.
fn failed(service: &Service, endpoint: &EndpointState, why: String) {
    let before = std::mem::replace(&mut lock(&endpoint.vitals).unresolved, why.clone());
    if before.is_empty() && endpoint.address().is_none() {
        service.tell(Some(endpoint), What::Unresolved { why });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_follow_the_ttl_within_bounds() {
        let seconds = Duration::from_secs;
        let within = |ttl| again_in(seconds(ttl), seconds(5));
        assert_eq!([0, 3, 900].map(within), [1, 3, 5].map(seconds));
        let half = Duration::from_millis(500);
        assert_eq!(again_in(seconds(9), half), half, "asked for more often than every second");
        assert_eq!([1, 2, 3, 6, 99].map(|n| retry_in(n, LATEST)), [1, 2, 4, 30, 30].map(seconds));
        assert_eq!(retry_in(9, seconds(5)), seconds(5));
    }
}
