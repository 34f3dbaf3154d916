//! One queue: its receivers exist and are different, and no key of it is written for nothing.

use std::net::IpAddr;
use std::sync::Arc;

use super::names::Names;
use super::once;
use crate::cron::Cron;
use crate::file;
use crate::kind::{At, Map, Reader};
use crate::plan::{Every, Queue, Receiver, Redelivery, Secret};
use crate::public::is_public;
use crate::report::{Span, quote};
use crate::units::show_duration;
use crate::word::{FieldValue, Name, OwnFieldName};

/// The most receivers of a queue: each has its own progress with every message.
const MAX_RECEIVERS: usize = 100;
/// The most secrets: the one that is used, and the one that it replaces.
const MAX_SECRETS: usize = 2;

pub(super) fn queue(
    name: &At<Name>,
    table: At<file::Queue>,
    services: &mut Names,
    reader: &mut Reader<'_>,
) -> Option<Queue> {
    let At { value: mut table, at } = table;
    let deliver = table.deliver.take()?;
    if deliver.is_empty() && !table.broken {
        refuse_without_receivers(&table, at, reader);
    }
    let allow_private = table.allow_private_addresses?;
    let deliver = receivers(deliver, allow_private.value, services, reader);
    if allow_private.at != at && !deliver.is_empty() && deliver.iter().all(|one| one.url().is_none()) {
        reader
            .mistake(allow_private.at, "`allow_private_addresses` has no effect: no receiver is a URL")
            .help("remove it: the endpoints of services may have any address");
    }
    let keep = table.keep?.value;
    Some(Queue {
        name: Arc::clone(&name.value.0),
        deliver,
        order_by: table.order_by.map(|by| by.value),
        dedupe: table.dedupe?.value.0,
        retry: redelivery(table.retry?, reader)?,
        rate: table.rate.map(|rate| rate.value.0),
        concurrency: table.concurrency?.value.0,
        timeout: table.timeout?.value.0,
        keep_done: keep.done?.value.0,
        keep_dead: keep.dead?.value.0,
        sign: secrets(table.sign, reader),
        full: table.full?.value.0,
        every: every(table.every.map(|cron| cron.value), table.request, reader)?,
        allow_private: allow_private.value,
    })
}

/// Refuses what is about deliveries where there are none. What is left out is where the table is.
fn refuse_without_receivers(table: &file::Queue, at: Span, reader: &mut Reader<'_>) {
    let keys = [
        ("order_by", table.order_by.as_ref().map(|key| key.at)),
        ("retry", table.retry.as_ref().map(|key| key.at)),
        ("rate", table.rate.as_ref().map(|key| key.at)),
        ("concurrency", table.concurrency.as_ref().map(|key| key.at)),
        ("timeout", table.timeout.as_ref().map(|key| key.at)),
        ("sign", table.sign.as_ref().map(|key| key.at)),
        ("allow_private_addresses", table.allow_private_addresses.as_ref().map(|key| key.at)),
    ];
    for (key, key_at) in keys {
        if let Some(key_at) = key_at.filter(|key_at| *key_at != at) {
            reader
                .mistake(key_at, format!("`{key}` has no effect: this queue delivers to nobody"))
                .help("remove it, or name receivers in `deliver`");
        }
    }
}

fn receivers(
    list: At<Vec<At<Receiver>>>,
    allow_private: bool,
    services: &mut Names,
    reader: &mut Reader<'_>,
) -> Vec<Receiver> {
    if list.len() > MAX_RECEIVERS {
        reader.mistake(list.at, format!("there are {} receivers; {MAX_RECEIVERS} are the most", list.len()));
    }
    once(&list.value, |receiver| receiver.text().to_string(), "the receiver", reader);
    let mut found = Vec::with_capacity(list.len());
    for At { value: receiver, at } in list.value {
        match receiver {
            Receiver::Service(value) => {
                found.extend(services.find(At { value, at }, reader).map(Receiver::Service));
            }
            Receiver::Url(_) => {
                if !allow_private && leads_inside(&receiver) {
                    reader
                        .mistake(at, format!("{} leads to a private address", quote(receiver.text())))
                        .help("write allow_private_addresses = true in this queue, or make it a service's endpoint");
                }
                found.push(receiver);
            }
        }
    }
    found
}

/// Will it surely be refused when it is delivered to? What a name means is known only then.
fn leads_inside(receiver: &Receiver) -> bool {
    let Some(url) = receiver.url() else { return false };
    url.host
        .parse::<IpAddr>()
        .map_or_else(|_| url.host.eq_ignore_ascii_case("localhost"), |ip| !is_public(ip))
}

fn redelivery(table: At<file::Redelivery>, reader: &mut Reader<'_>) -> Option<Redelivery> {
    let At { value: table, at } = table;
    let (first, longest) = (table.first?, table.longest?);
    if longest.value.0 < first.value.0 {
        let at = if longest.at == at { first.at } else { longest.at };
        let (first, longest) = (show_duration(first.value.0), show_duration(longest.value.0));
        reader
            .mistake(at, format!("`longest`, {longest}, is shorter than `first`, {first}"))
            .help("pauses begin with `first` and double up to `longest`");
    }
    Some(Redelivery { attempts: table.attempts?.value.0, first: first.value.0, longest: longest.value.0 })
}

fn secrets(sign: Option<At<file::Signing>>, reader: &mut Reader<'_>) -> Vec<Secret> {
    let Some(At { value: file::Signing(secrets), at }) = sign else {
        return Vec::new();
    };
    if secrets.is_empty() {
        reader.mistake(at, "`sign` names no secret").help("leave it out for deliveries without a signature");
    }
    if secrets.len() > MAX_SECRETS {
        reader
            .mistake(at, format!("`sign` has {} secrets; {MAX_SECRETS} are the most", secrets.len()))
            .help("write the new one and the one that it replaces");
    }
    secrets
}

/// Fields that this node writes itself in each delivery.
const WRITTEN: [&str; 5] =
    ["nearside-attempt", "nearside-hops", "webhook-id", "webhook-signature", "webhook-timestamp"];

/// `Some(None)` where the clock sends nothing, `None` after a mistake.
fn every(
    cron: Option<Cron>,
    request: Option<At<file::Message>>,
    reader: &mut Reader<'_>,
) -> Option<Option<Every>> {
    let Some(cron) = cron else {
        if let Some(request) = request {
            reader
                .mistake(request.at, "`request` has no effect without `every`")
                .help("write when it is sent, such as every = \"0 3 * * *\", or remove it");
        }
        return Some(None);
    };
    let Some(At { value: request, .. }) = request else {
        let (method, path) = ("POST".into(), "/".into());
        return Some(Some(Every { cron, method, path, headers: Vec::new(), body: "".into() }));
    };
    Some(Some(Every {
        cron,
        method: request.method?.value.0,
        path: request.path?.value.0,
        headers: fields(request.headers?.value, reader),
        body: request.body?.value,
    }))
}

fn fields(Map(fields): Map<OwnFieldName, FieldValue>, reader: &mut Reader<'_>) -> Vec<(Arc<str>, Arc<str>)> {
    once(fields.iter().map(|(name, _)| name), |name| name.0.to_ascii_lowercase(), "the field", reader);
    for (name, _) in &fields {
        if WRITTEN.iter().any(|written| name.0.eq_ignore_ascii_case(written)) {
            let message = format!("`{}` can't be written here: each delivery has its own", name.0);
            reader.mistake(name.at, message).help("remove it");
        }
    }
    fields.into_iter().filter_map(|(name, value)| Some((name.value.0, value?.value.0))).collect()
}
