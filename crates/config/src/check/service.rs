//! One service: its endpoints are different, it has some, and its parts fit together.

use std::collections::HashMap;
use std::sync::Arc;

use super::Base;
use crate::file;
use crate::kind::{At, Reader};
use crate::plan::{self, Discover, Endpoint, Service};
use crate::report::{Span, quote};
use crate::word::{DnsName, Name, RetryWhen};

/// The most endpoints of one service: the balancer's tables are sized by their number.
const MAX_ENDPOINTS: usize = 10_000;

pub(super) fn service(
    name: &At<Name>,
    table: file::Service,
    base: &Base<'_>,
    reader: &mut Reader<'_>,
) -> Option<Service> {
    let broken = table.broken;
    let endpoints = endpoints(table.endpoints?, reader);
    let discover = match table.discover {
        Some(table) => Some(discover(table, base, reader)?),
        None => None,
    };
    if endpoints.is_empty() && discover.is_none() && !broken {
        reader
            .mistake(name.at, format!("the service `{}` has no endpoints", name.0))
            .help("for example: endpoints = [\"http://10.0.0.1:3000\"]");
    }
    Some(Service {
        name: Arc::clone(&name.0),
        balance: table.balance?.value,
        endpoints,
        discover,
        sticky: sticky(table.sticky)?,
        health: health(table.health)?,
        outliers: outliers(table.outliers?.value.0)?,
        timeout: timeouts(&table.timeout?.value)?,
        retry: retry(table.retry?.value)?,
        hedge: hedge(table.hedge)?,
        limit: overload(table.limit)?,
        slow_start: table.slow_start?.value.0,
    })
}

/// The endpoints of a list, none of them twice.
pub(crate) fn endpoints(list: At<Vec<At<Endpoint>>>, reader: &mut Reader<'_>) -> Vec<Endpoint> {
    if list.len() > MAX_ENDPOINTS {
        reader.mistake(list.at, format!("there are {} endpoints; {MAX_ENDPOINTS} are the most", list.len()));
    }
    let mut seen: HashMap<(Arc<str>, u16), Span> = HashMap::new();
    for endpoint in &list.value {
        if let Some(first) = seen.insert((Arc::clone(&endpoint.host), endpoint.port), endpoint.at) {
            reader
                .mistake(endpoint.at, format!("the endpoint {} is here twice", quote(&endpoint.url)))
                .also(first, "the first one is here")
                .help("remove one of them; to give it more requests, write a `weight`");
        }
    }
    list.value.into_iter().map(|endpoint| endpoint.value).collect()
}

fn discover(table: At<file::Discover>, base: &Base<'_>, reader: &mut Reader<'_>) -> Option<Discover> {
    let every = table.value.every?.value.0;
    match (table.value.dns, table.value.file) {
        (Some(dns), None) => Some(match dns.value {
            DnsName::Address { host, port } => Discover::Dns { host, port, every },
            DnsName::Srv(name) => Discover::Srv { name, every },
        }),
        (None, Some(file)) => Some(Discover::File { path: base.path(&file) }),
        _ if table.value.broken => None,
        _ => {
            reader
                .mistake(table.at, "`discover` must have either `dns` or `file`")
                .help("for example: discover = { dns = \"shop.internal:3000\" }");
            None
        }
    }
}

/// What follows gives `Some(None)` for a table that was left out, and `None` after a mistake.
fn sticky(table: Option<At<file::Sticky>>) -> Option<Option<plan::Sticky>> {
    let Some(table) = table else {
        return Some(None);
    };
    Some(Some(plan::Sticky { cookie: table.value.cookie?.value.0 }))
}

fn health(table: Option<At<file::Health>>) -> Option<Option<plan::Health>> {
    let Some(At { value: table, .. }) = table else {
        return Some(None);
    };
    Some(Some(plan::Health {
        path: table.path?.value.0,
        host: table.host.map(|host| host.value.0),
        every: table.every?.value.0,
        timeout: table.timeout?.value.0,
        rise: table.rise?.value.0,
        fall: table.fall?.value.0,
        status: table.status?.value.0,
    }))
}

fn outliers(table: Option<file::Outliers>) -> Option<Option<plan::Outliers>> {
    let Some(table) = table else {
        return Some(None);
    };
    Some(Some(plan::Outliers {
        errors: table.errors?.value.0,
        eject: table.eject?.value.0,
        at_most: table.at_most?.value.0,
    }))
}

fn timeouts(table: &file::Timeouts) -> Option<plan::Timeouts> {
    Some(plan::Timeouts {
        connect: table.connect.as_ref()?.0,
        response: table.response.as_ref()?.0,
        idle: table.idle.as_ref()?.0,
    })
}

fn retry(table: file::Retry) -> Option<plan::Retry> {
    let on = table.on?.value;
    let mut statuses: Vec<u16> = on
        .iter()
        .filter_map(|when| match when.value {
            RetryWhen::Status(status) => Some(status),
            RetryWhen::Connect => None,
        })
        .collect();
    statuses.sort_unstable();
    statuses.dedup();
    let connect = on.iter().any(|when| when.value == RetryWhen::Connect);
    Some(plan::Retry {
        attempts: table.attempts?.value.0,
        budget: table.budget?.value.0,
        on: plan::RetryOn { connect, statuses },
    })
}

fn hedge(table: Option<At<file::Hedge>>) -> Option<Option<plan::Hedge>> {
    let Some(table) = table else {
        return Some(None);
    };
    Some(Some(plan::Hedge { after: table.value.after?.value }))
}

fn overload(table: Option<At<file::Overload>>) -> Option<Option<plan::Overload>> {
    let Some(At { value: table, .. }) = table else {
        return Some(None);
    };
    let in_flight = table.in_flight?.value.0;
    Some(Some(plan::Overload {
        in_flight,
        waiting: table.waiting.map_or(in_flight / 2, |waiting| waiting.value.0),
        wait: table.wait?.value.0,
    }))
}
