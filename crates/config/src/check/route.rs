//! The routes: each does one thing, with services that exist, under a name of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::names::Names;
use super::{Known, cache, once, reach};
use crate::file::{self, Headers};
use crate::kind::{At, Map, Reader};
use crate::plan::{self, Action, CacheRules, Forward, HeaderMatch, HeaderRules, HostMatch, PathMatch, Route};
use crate::report::{Source, Span};
use crate::word::{FieldName, FieldValue, Method, OwnFieldName};

/// A route and where it shows best what it is about.
pub(super) struct Placed {
    pub route: Arc<Route>,
    pub at: Span,
}

/// The routes; `holds` is how large an object may be to be cached, if that is known.
pub(super) fn routes(
    tables: Vec<At<file::Route>>,
    holds: Option<u64>,
    known: &mut Known,
    source: &Source<'_>,
    reader: &mut Reader<'_>,
) -> Vec<Arc<Route>> {
    let mut names = HashMap::new();
    let mut placed = Vec::with_capacity(tables.len());
    for table in tables {
        let path_at = table.path.as_ref().map(|path| path.at);
        let at = path_at.or(table.host.as_ref().map(|host| host.at)).unwrap_or(table.at);
        let line = source.line(table.at);
        if let Some(route) = route(table, line, holds, known, &mut names, reader) {
            placed.push(Placed { route: Arc::new(route), at });
        }
    }
    if reader.notes.mistakes() == 0 {
        reach::warn_of_unreachable(&placed, source, reader);
    }
    placed.into_iter().map(|placed| placed.route).collect()
}

fn route(
    table: At<file::Route>,
    line: usize,
    holds: Option<u64>,
    known: &mut Known,
    names: &mut HashMap<String, usize>,
    reader: &mut Reader<'_>,
) -> Option<Route> {
    let At { value: mut table, at } = table;
    let host = table.host.take().map_or(HostMatch::Any, |host| host.value);
    let path = table.path.take().map_or(PathMatch::Any, |path| path.value);
    let methods = methods(table.methods.take(), table.broken, reader);
    let headers_match = conditions(table.r#match.take(), reader);
    let for_services = for_services(&table);
    let headers = table.headers.take();
    let cache = match table.cache.take().and_then(|cache| cache.value.0) {
        Some(rules) => cache::rules(rules, holds, reader).map(Some),
        None => Some(None),
    };
    let cache = cache.map(|rules| rules.map(|rules| told_apart(rules, headers_match.as_deref())));
    let action = action(table, at, &for_services, known, reader);
    let (request_headers, response_headers) = match headers {
        Some(headers) => {
            let Headers { request, response, .. } = headers.value;
            (changes(request, &WRITTEN, reader), changes(response, &WRITTEN_TO_CLIENTS, reader))
        }
        None => Default::default(),
    };
    Some(Route {
        name: name(&host, &path, names),
        host,
        path,
        methods,
        headers_match: headers_match?,
        action: action?,
        cache: cache?,
        request_headers,
        response_headers,
        line,
    })
}

/// Two routes for one URL that differ in the fields they want may lead to different services, so what a
/// route wants of a field is part of its key.
fn told_apart(mut rules: CacheRules, wanted: Option<&[HeaderMatch]>) -> CacheRules {
    rules.key.headers.extend(wanted.unwrap_or_default().iter().map(|field| Arc::clone(&field.name)));
    rules.key.headers.sort();
    rules.key.headers.dedup();
    rules
}

/// `host` and `path` as in the file, and a number from the second of its kind on.
fn name(host: &HostMatch, path: &PathMatch, names: &mut HashMap<String, usize>) -> Arc<str> {
    let name = format!("{host}{path}");
    let count = names.entry(name.clone()).or_insert(0);
    *count += 1;
    if *count == 1 { name.into() } else { format!("{name} #{count}").into() }
}

fn methods(list: Option<At<Vec<At<Method>>>>, broken: bool, reader: &mut Reader<'_>) -> Vec<Arc<str>> {
    let Some(list) = list else { return Vec::new() };
    if list.is_empty() && !broken {
        reader.mistake(list.at, "`methods` names no method").help("leave it out for all methods");
    }
    once(&list.value, |method| method.0.to_string(), "the method", reader);
    list.value.into_iter().map(|method| method.value.0).collect()
}

fn conditions(table: Option<At<file::Conditions>>, reader: &mut Reader<'_>) -> Option<Vec<HeaderMatch>> {
    let Some(table) = table else {
        return Some(Vec::new());
    };
    let Map(fields) = table.value.headers?.value;
    let lower = |name: &FieldName| name.0.to_ascii_lowercase();
    once(fields.iter().map(|(name, _)| name), lower, "the field", reader);
    let condition = |(name, value): (At<FieldName>, Option<At<FieldValue>>)| {
        let value = value?.value.0;
        Some(HeaderMatch { name: lower(&name).into(), value: (&*value != "*").then_some(value) })
    };
    fields.into_iter().map(condition).collect()
}

/// The keys of a route that have an effect only on what a service answers.
fn for_services(table: &file::Route) -> Vec<(&'static str, Span)> {
    let request = table.headers.as_ref().and_then(|headers| headers.request.as_ref());
    let cache = table.cache.as_ref().filter(|cache| cache.0.is_some());
    let keys = [
        request.map(|key| ("headers.request", key.at)),
        table.mirror.as_ref().map(|key| ("mirror", key.at)),
        cache.map(|key| ("cache", key.at)),
    ];
    keys.into_iter().flatten().collect()
}

fn action(
    table: file::Route,
    at: Span,
    for_services: &[(&str, Span)],
    known: &mut Known,
    reader: &mut Reader<'_>,
) -> Option<Action> {
    one_thing(&table, at, for_services, reader);
    let queue = match table.queue {
        Some(queue) => Some(known.queues.find(queue, reader)),
        None => None,
    };
    let to = match (table.service, table.split) {
        (Some(service), _) => Some(known.services.find(service, reader).map(|service| vec![(service, 1)])),
        (None, Some(split)) => Some(self::split(split, &mut known.services, reader)),
        (None, None) => None,
    };
    if let Some(to) = to {
        let mirror = mirror(table.mirror, &mut known.services, reader)?;
        let later = match queue {
            Some(queue) => Some(queue?),
            None => None,
        };
        return Some(Action::Forward(Forward { to: to?, mirror, later }));
    }
    match (queue, table.redirect, table.respond) {
        (Some(queue), ..) => queue.map(Action::Enqueue),
        (_, Some(redirect), _) => self::redirect(redirect.value, reader).map(Action::Redirect),
        (_, _, Some(respond)) => self::respond(respond.value, reader).map(Action::Respond),
        _ => None,
    }
}

/// Notes it where a route does nothing, or more than one thing, or says how to do what it doesn't.
fn one_thing(table: &file::Route, at: Span, for_services: &[(&str, Span)], reader: &mut Reader<'_>) {
    let service = table.service.as_ref().map(|key| ("service", key.at));
    let split = table.split.as_ref().map(|key| ("split", key.at));
    let forwards = service.is_some() || split.is_some();
    // Beside a service a queue takes what may wait.
    let queue = table.queue.as_ref().map(|key| ("queue", key.at));
    let given = [
        service,
        split,
        queue.filter(|_| !forwards),
        table.redirect.as_ref().map(|key| ("redirect", key.at)),
        table.respond.as_ref().map(|key| ("respond", key.at)),
    ];
    let given: Vec<(&str, Span)> = given.into_iter().flatten().collect();
    match given[..] {
        [] if !table.broken => {
            reader.mistake(at, "this route does nothing").help(
                "give it one of `service`, `split`, `queue`, `redirect` and `respond`, such as service = \"shop\"",
            );
        }
        [(first, _), (second, at), ..] => {
            reader
                .mistake(at, format!("this route has both `{first}` and `{second}`"))
                .help("a route does one thing: keep one of them");
        }
        _ => {}
    }
    if forwards || given.is_empty() {
        return;
    }
    // Changes to a request are kept with it in a queue.
    let of_no_use = |key: &&(&str, Span)| queue.is_none() || key.0 != "headers.request";
    for (key, at) in for_services.iter().filter(of_no_use) {
        reader
            .mistake(*at, format!("`{key}` has no effect: this route sends nothing to a service"))
            .help("remove it, or give the route a `service`");
    }
}

fn split(
    parts: At<Vec<At<file::Part>>>,
    services: &mut Names,
    reader: &mut Reader<'_>,
) -> Option<Vec<(Arc<str>, u32)>> {
    let before = reader.notes.mistakes();
    let mut to = Vec::with_capacity(parts.len());
    let mut seen = HashSet::new();
    for part in parts.value {
        let service = part.value.service?;
        let at = service.at;
        let service = services.find(service, reader)?;
        if !seen.insert(Arc::clone(&service)) {
            reader
                .mistake(at, format!("the service `{service}` is here twice"))
                .help("add its weights together");
        }
        to.push((service, part.value.weight?.value.0));
    }
    to.retain(|(_, weight)| *weight > 0);
    if to.is_empty() && reader.notes.mistakes() == before {
        reader
            .mistake(parts.at, "`split` gives no service any weight")
            .help("for example: split = [{ service = \"shop\", weight = 95 }, { service = \"shop-next\", weight = 5 }]");
    }
    (reader.notes.mistakes() == before).then_some(to)
}

/// `Some(None)` where there is no mirror, `None` after a mistake.
fn mirror(
    table: Option<At<file::Mirror>>,
    services: &mut Names,
    reader: &mut Reader<'_>,
) -> Option<Option<plan::Mirror>> {
    let Some(table) = table else {
        return Some(None);
    };
    let service = services.find(table.value.service?, reader)?;
    Some(Some(plan::Mirror { service, share: table.value.share?.value.0 }))
}

fn redirect(table: file::Redirect, reader: &mut Reader<'_>) -> Option<plan::Redirect> {
    let (to, status) = (table.to?, table.status?);
    if ![301, 302, 303, 307, 308].contains(&status.0) {
        reader.mistake(status.at, format!("{} is not the status of a redirect", status.0)).help(
            "write 308 (for good) or 307 (for now); 301, 302 and 303 let clients turn a POST into a GET",
        );
    }
    Some(plan::Redirect { to: to.value.0, status: u16::try_from(status.0).ok()? })
}

fn respond(table: file::Respond, reader: &mut Reader<'_>) -> Option<plan::Respond> {
    let (status, body) = (table.status?, table.body?);
    // RFC 9110 §15.3.5, §15.3.6 and §15.4.5.
    if matches!(status.0, 204 | 205 | 304) && !body.is_empty() {
        reader
            .mistake(body.at, format!("an answer with status {} has no body", status.0))
            .help("remove `body`, or write status = 200");
    }
    Some(plan::Respond {
        status: u16::try_from(status.0).ok()?,
        body: body.value,
        content_type: table.content_type?.value.0,
    })
}

/// Fields that this node judges and writes itself in each request to an endpoint.
const WRITTEN: [&str; 7] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];
/// Those in each answer.
const WRITTEN_TO_CLIENTS: [&str; 2] = ["via", "x-request-id"];

fn refuse_written(name: &At<OwnFieldName>, written: &[&str], reader: &mut Reader<'_>) {
    let text = &name.value.0;
    if written.iter().any(|written| text.eq_ignore_ascii_case(written)) {
        reader
            .mistake(name.at, format!("`{text}` can't be changed by a route: this node writes it itself"))
            .help("remove it; to keep what a peer says of the client, put the peer's address in `trust` of [[listen]]");
    }
}

fn changes(table: Option<At<file::Changes>>, written: &[&str], reader: &mut Reader<'_>) -> HeaderRules {
    let Some(At { value: table, .. }) = table else {
        return HeaderRules::default();
    };
    let names =
        [&table.set, &table.add].into_iter().flatten().flat_map(|map| map.0.iter().map(|(name, _)| name));
    for name in names.chain(table.remove.iter().flat_map(|names| &names.value)) {
        refuse_written(name, written, reader);
    }
    let mut pairs = |map: Option<At<Map<OwnFieldName, FieldValue>>>| {
        let Some(At { value: Map(fields), .. }) = map else {
            return Vec::new();
        };
        once(fields.iter().map(|(name, _)| name), |name| name.0.to_ascii_lowercase(), "the field", reader);
        let pair =
            |(name, value): (At<OwnFieldName>, Option<At<FieldValue>>)| Some((name.value.0, value?.value.0));
        fields.into_iter().filter_map(pair).collect()
    };
    let (set, add) = (pairs(table.set), pairs(table.add));
    let remove = table.remove.map(|names| names.value).unwrap_or_default();
    HeaderRules {
        remove: remove.into_iter().map(|name| name.0.to_ascii_lowercase().into()).collect(),
        set,
        add,
    }
}
