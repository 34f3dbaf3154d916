//! What would happen to a request? Which route takes it and why not the others, which endpoint it
//! could go to and by what scores, what would be tried again. Nothing is sent.
//!
//! The question is written down as the request that it stands for and read like one from a client,
//! by the same reader, router and hash as the data path, so that the two agree. Only what a route
//! changes in a request's fields is not done before their hash is taken.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use config::plan::{self, Action, Balance, Forward, HashBy, Plan, Route};
use edge::route::{Ask, Found, Router, Verdict};
use edge::template;
use serde::Serialize;
use serde_json::Value;
use upstream::balance::{Score, WEIGHT_ONE};
use upstream::status::{EndpointStatus, LimitStatus};
use upstream::usable::Standing;
use upstream::{EndpointState, Service};
use wire::{Length, Method, RequestHead, framing, target};

use crate::cache::CacheReport;
use crate::operations::Operations;
use crate::queue::QueueView;
use crate::show;

/// Routes that an explanation lists; more are only counted.
pub const ROUTES: usize = 100;

/// The request that is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `http://host/path?query`; the scheme may be left out.
    pub url: String,
    /// As sent: upper case.
    pub method: String,
    /// The client's address; none: this machine's own, 127.0.0.1.
    pub from: Option<IpAddr>,
    /// Header fields, each as `Name: value`.
    pub headers: Vec<String>,
}

/// Why a question can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// There is no host in the URL.
    #[error("`{0}` is not a URL such as http://shop.example.com/cart")]
    Url(String),
    /// Another scheme than what listeners speak.
    #[error("`{0}` is not the scheme of a URL that a listener answers: http or https")]
    Scheme(String),
    /// A field without a colon.
    #[error("`{0}` is not a header field such as `Accept: text/html`")]
    Header(String),
}

/// What would happen.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// As asked.
    pub method: String,
    /// As the router sees it: lower case, without a port.
    pub host: String,
    /// As the router sees it: without the query.
    pub path: String,
    /// Who asks.
    pub client: IpAddr,
    /// What becomes of the request.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The routes whose host fits, at most [`ROUTES`]: first those whose path fits, in the order they
    /// are tried in.
    pub routes: Vec<Considered>,
    /// How many more there are.
    pub routes_omitted: usize,
}

/// What becomes of a request.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It gets an error from this node.
    Refused {
        /// Of the answer.
        status: u16,
        /// What the client is told.
        why: String,
    },
    /// The route itself holds the answer.
    Responded {
        /// Its name.
        route: String,
        /// Of the answer.
        status: u16,
    },
    /// It is sent elsewhere.
    Redirected {
        /// Its name.
        route: String,
        /// Of the answer.
        status: u16,
        /// `Location`.
        to: String,
    },
    /// It is kept in a queue and answered 202.
    Enqueued {
        /// Its name.
        route: String,
        /// The queue's.
        queue: String,
        /// To whom it is delivered, as in the file.
        deliver: Vec<String>,
        /// The queue now; none if no node was asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        now: Option<Box<QueueView>>,
    },
    /// It follows the messages of a queue as events.
    Followed {
        /// Its name.
        route: String,
        /// The queue's.
        queue: String,
    },
    /// A service answers.
    Forwarded {
        /// Its name.
        route: String,
        /// One service, or those that share the route's requests.
        to: Vec<Party>,
        /// Who gets a copy.
        #[serde(skip_serializing_if = "Option::is_none")]
        mirror: Option<Value>,
        /// If the route is cached: what becomes of the request before it goes to a service.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache: Option<Box<CacheReport>>,
        /// The queue that keeps it instead, if it says `Prefer: respond-async`.
        #[serde(skip_serializing_if = "Option::is_none")]
        queue: Option<String>,
    },
}

/// A route and why it is taken or not.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Its name.
    pub route: String,
    /// Its line in the file.
    pub line: usize,
    /// It is the one.
    pub chosen: bool,
    /// In a short line.
    pub why: String,
}

/// A service that may answer.
#[derive(Debug, Serialize)]
pub struct Party {
    /// Its name.
    pub service: String,
    /// Its part of the route's requests, 0 to 1.
    pub share: f64,
    /// How an endpoint is chosen, as in the file.
    pub balance: Value,
    /// What the choice hashes, as in the file; the client's address if the request is without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_of: Option<String>,
    /// No endpoint is well, so all are tried.
    pub all_ill: bool,
    /// The endpoints that are used now; without a running node, all that the file names.
    pub endpoints: Vec<Candidate>,
    /// The endpoints that are not used now.
    pub unused: Vec<Unused>,
    /// With `limit`: what it does now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitStatus>,
    /// What would be tried again.
    pub retry: Retry,
    /// When a second try would start, in milliseconds; none: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge_after_ms: Option<f64>,
}

/// An endpoint that may be chosen.
#[derive(Debug, Default, Serialize)]
pub struct Candidate {
    /// `http://host:port`
    pub url: String,
    /// Its weight now; smaller than the file's while its share grows.
    pub weight: f64,
    /// The client's cookie names it, so it is the one.
    pub sticky: bool,
    /// Requests there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// Its recent peak latency in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// What its choice depends on, in a short line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// An endpoint that is not chosen.
#[derive(Debug, Serialize)]
pub struct Unused {
    /// `http://host:port`
    pub url: String,
    /// How it stands.
    pub state: Standing,
    /// Why it isn't used, in a short line.
    pub why: String,
}

/// What would be tried again.
#[derive(Debug, Serialize)]
pub struct Retry {
    /// Further tries at most.
    pub attempts: u32,
    /// `connect`, and statuses.
    pub on: Vec<String>,
    /// The method is not safe to repeat: only if nothing of the request was sent.
    pub only_if_unsent: bool,
    /// The largest share of the service's requests that may be further tries, 0 to 1.
    pub budget: f64,
    /// Further tries that the budget allows now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
}

/// A request as the data path would see it.
struct Asked {
    head: RequestHead,
    client: IpAddr,
}

/// Says what would happen to a request under `plan`, whose routes `router` searches; with a running
/// `node`, also how endpoints stand at `now` (as by [`upstream::clock::now`]) and what its cache holds.
/// Blocks till that is looked up.
///
/// # Errors
/// [`Unclear`] if no request can be made of the question.
pub fn explain(
    question: &Question,
    plan: &Plan,
    router: &Router,
    node: Option<&dyn Operations>,
    now: u64,
) -> Result<Explanation, Unclear> {
    let mut explanation = Explanation {
        method: question.method.clone(),
        host: String::new(),
        path: String::new(),
        client: question.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        outcome: Outcome::Refused { status: 400, why: "the request isn't whole".to_owned() },
        routes: Vec::new(),
        routes_omitted: 0,
    };
    let head = match read(&write(question)?, plan) {
        Ok(Some(head)) => head,
        Ok(None) => return Ok(explanation),
        Err(refused) => {
            explanation.outcome = refused;
            return Ok(explanation);
        }
    };
    let host = target::host(head.authority()).unwrap_or_default().to_ascii_lowercase();
    let header = |name: &str| head.fields.get_named(name.as_bytes());
    let ask = Ask { host: &host, path: head.path(), method: head.method_text(), header: &header };
    let verdicts = router.explain(&ask);
    explanation.routes_omitted = verdicts.len().saturating_sub(ROUTES);
    let verdicts = verdicts.iter().take(ROUTES);
    explanation.routes =
        verdicts.filter_map(|(at, verdict)| considered(plan.routes.get(*at)?, verdict)).collect();
    explanation.host = text(&host);
    explanation.path = text(head.path());
    let found = router.find(&ask);
    let asked = Asked { head, client: explanation.client };
    explanation.outcome = match found {
        Found::Route(at) => match plan.routes.get(at) {
            Some(route) => outcome(route, &asked, plan, node, now),
            None => explanation.outcome,
        },
        Found::OtherMethods(methods) => Outcome::Refused {
            status: 405,
            why: format!("this path is served for {} only", methods.join(", ")),
        },
        Found::None => Outcome::Refused {
            status: 404,
            why: "no route of this node answers for this host and path".to_owned(),
        },
    };
    Ok(explanation)
}

/// The head of the request that the question stands for.
fn write(question: &Question) -> Result<Vec<u8>, Unclear> {
    let (scheme, rest) = question.url.split_once("://").unwrap_or(("http", &question.url));
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Unclear::Scheme(scheme.to_owned()));
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() {
        return Err(Unclear::Url(question.url.clone()));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    let mut head = format!("{} {slash}{target} HTTP/1.1\r\n", question.method);
    let mut names_host = false;
    for field in &question.headers {
        let Some((name, value)) = field.split_once(':') else {
            return Err(Unclear::Header(field.clone()));
        };
        names_host |= name.eq_ignore_ascii_case("host");
        head.push_str(&format!("{name}: {}\r\n", value.trim()));
    }
    if !names_host {
        head.push_str(&format!("Host: {authority}\r\n"));
    }
    head.push_str("\r\n");
    Ok(head.into_bytes())
}

/// Reads the head as a listener does; none if it isn't whole.
fn read(text: &[u8], plan: &Plan) -> Result<Option<RequestHead>, Outcome> {
    let limits = wire::head::Limits { bytes: plan.limits.header_bytes, fields: plan.limits.headers };
    let mut head = RequestHead::default();
    let refused = |bad: wire::BadHead| Outcome::Refused { status: bad.status(), why: bad.to_string() };
    let whole = head.read(text, limits).map_err(refused)?.is_some();
    let length = framing::of_request(&head).map_err(refused)?;
    framing::expects_continue(&head).map_err(refused)?;
    if let Length::Exact(bytes) = length
        && bytes > plan.limits.body
    {
        let why = format!("the request's body may have {} bytes here", plan.limits.body);
        return Err(Outcome::Refused { status: 413, why });
    }
    Ok(whole.then_some(head))
}

fn considered(route: &Route, verdict: &Verdict) -> Option<Considered> {
    let why = match verdict {
        Verdict::Chosen => "it is the most specific route that fits".to_owned(),
        Verdict::LessSpecific => "it fits, but a more specific or an earlier one is taken".to_owned(),
        Verdict::Method => format!("it is for {} only", route.methods.join(", ")),
        Verdict::Header(name) => {
            let wanted = route.headers_match.iter().find(|wanted| wanted.name == *name)?;
            match wanted.value {
                Some(_) => format!("it wants another value of the header field {name}"),
                None => format!("it wants the header field {name}"),
            }
        }
        Verdict::Path => format!("its path is {}", route.path),
    };
    let chosen = *verdict == Verdict::Chosen;
    Some(Considered { route: route.name.to_string(), line: route.line, chosen, why })
}

fn outcome(route: &Route, asked: &Asked, plan: &Plan, node: Option<&dyn Operations>, now: u64) -> Outcome {
    let name = route.name.to_string();
    match &route.action {
        Action::Respond(respond) => Outcome::Responded { route: name, status: respond.status },
        Action::Enqueue(queue)
            if asked.head.method == Method::Get && edge::queued::wants_events(&asked.head) =>
        {
            Outcome::Followed { route: name, queue: queue.to_string() }
        }
        Action::Enqueue(queue) => enqueued(name, queue, plan, node),
        Action::Redirect(redirect) => {
            let head = &asked.head;
            let values = template::Values {
                host: target::host(head.authority()).unwrap_or_default(),
                path: head.path(),
                query: head.query().unwrap_or_default(),
                rest: template::rest(&route.path, head.path()),
            };
            match template::fill(&redirect.to, &values) {
                Some(to) => Outcome::Redirected { route: name, status: redirect.status, to },
                None => Outcome::Refused {
                    status: 400,
                    why: "no safe redirect can be made of this host and path".to_owned(),
                },
            }
        }
        Action::Forward(Forward { later: Some(queue), .. }) if edge::queued::may_wait(&asked.head) => {
            enqueued(name, queue, plan, node)
        }
        Action::Forward(forward) => Outcome::Forwarded {
            route: name,
            to: parties(forward, asked, plan, node, now),
            mirror: forward.mirror.as_ref().map(show::mirror),
            cache: route.cache.as_ref().map(|rules| {
                let cached = node.map(|node| node.cached(rules, &asked.head));
                Box::new(CacheReport::new(asked.head.method, cached))
            }),
            queue: forward.later.as_deref().map(str::to_owned),
        },
    }
}

fn enqueued(route: String, queue: &str, plan: &Plan, node: Option<&dyn Operations>) -> Outcome {
    let deliver = plan.queues.get(queue).map(|queue| queue.deliver.iter());
    let queues = node.and_then(Operations::queues);
    Outcome::Enqueued {
        route,
        queue: queue.to_owned(),
        deliver: deliver.into_iter().flatten().map(|receiver| receiver.text().to_string()).collect(),
        now: queues.and_then(|queues| queues.show(queue)).map(Box::new),
    }
}

fn parties(
    forward: &Forward,
    asked: &Asked,
    plan: &Plan,
    node: Option<&dyn Operations>,
    now: u64,
) -> Vec<Party> {
    let all: u64 = forward.to.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let party = |(name, weight): &(Arc<str>, u32)| {
        let share = f64::from(*weight) / all.max(1) as f64;
        let mut party = from_plan(plan.services.get(name)?, share, asked);
        if let Some(service) = node.and_then(|node| node.registry().get(name)) {
            live(&mut party, &service, asked, now);
        }
        Some(party)
    };
    forward.to.iter().filter_map(party).collect()
}

/// What the file alone says of a service.
fn from_plan(service: &plan::Service, share: f64, asked: &Asked) -> Party {
    let sticky = edge::sticky_key(service, &asked.head);
    let candidate = |endpoint: &plan::Endpoint| Candidate {
        sticky: sticky == Some(upstream::balance::hash(endpoint.url.as_bytes())),
        url: endpoint.url.to_string(),
        weight: f64::from(endpoint.weight),
        ..Candidate::default()
    };
    Party {
        service: service.name.to_string(),
        share,
        balance: show::balance(&service.balance),
        hash_of: hashed(&service.balance).map(show::hash_by),
        all_ill: false,
        endpoints: service.endpoints.iter().map(candidate).collect(),
        unused: Vec::new(),
        limit: None,
        retry: Retry {
            attempts: service.retry.attempts,
            on: show::retry_on(&service.retry),
            only_if_unsent: !asked.head.method.is_idempotent(),
            budget: service.retry.budget,
            left: None,
        },
        hedge_after_ms: None,
    }
}

/// Adds how the service stands in a running node.
fn live(party: &mut Party, service: &Service, asked: &Asked, now: u64) {
    let hash = edge::hash(hashed(&service.plan().balance), &asked.head, asked.client);
    let sticky = edge::sticky_key(service.plan(), &asked.head);
    let scores = service.scores(hash, now).into_iter();
    party.endpoints = scores.map(|(endpoint, score)| scored(&endpoint, score, sticky)).collect();
    let status = service.status(now);
    party.all_ill = status.all_ill;
    party.limit = status.limit;
    party.retry.left = Some(status.retries_left);
    let rest = status.endpoints.into_iter().filter(|endpoint| !endpoint.used);
    party.unused = rest.map(unused).collect();
    if matches!(asked.head.method, Method::Get | Method::Head) {
        party.hedge_after_ms = service.hedge_after().map(|after| after.as_secs_f64() * 1e3);
    }
}

fn scored(endpoint: &EndpointState, score: Score, sticky: Option<u64>) -> Candidate {
    Candidate {
        url: endpoint.url().to_string(),
        weight: f64::from(score.weight) / f64::from(WEIGHT_ONE),
        sticky: sticky == Some(score.key),
        in_flight: Some(score.in_flight),
        latency_ms: score.latency.map(|nanos| nanos as f64 / 1e6),
        why: score.why,
    }
}

fn unused(endpoint: EndpointStatus) -> Unused {
    let why = match endpoint.state {
        Standing::Up | Standing::Unknown => "nearer or better known endpoints are used",
        Standing::Ill => "its checks fail",
        Standing::Ejected => "it failed the requests of clients",
        Standing::Unresolved => "its name has no address",
        Standing::Drained => "an operator took it out",
    };
    Unused {
        url: endpoint.url,
        state: endpoint.state,
        why: endpoint.why.map_or_else(|| why.to_owned(), |cause| format!("{why}: {cause}")),
    }
}

/// What a way to balance hashes, if it does.
fn hashed(balance: &Balance) -> Option<&HashBy> {
    match balance {
        Balance::Hash(by) => Some(by),
        Balance::IpHash | Balance::Maglev => Some(&HashBy::Client),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
