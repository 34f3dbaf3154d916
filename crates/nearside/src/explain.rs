//! `nearside explain`: what would happen to a request, and why.
//!
//! The file tells it alone, or a running node does, in the same words; both come as the JSON of the
//! admin API, of which this prints what a person wants to see.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;

use admin::explain::{Question, explain as explanation};
use admin::queue::QueueView;
use edge::route::Router;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::api::{Api, Place, escape};
use crate::check::load;
use crate::cli;
use crate::failure::Failure;
use crate::terminal::{self, Align, Paint, bytes, count, counted, lasting, ms, percent, plain, table};

/// What is shown of an explanation.
#[derive(Debug, Deserialize)]
struct Explained {
    client: IpAddr,
    #[serde(flatten)]
    outcome: Outcome,
    routes: Vec<Considered>,
    routes_omitted: u64,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Refused { status: u16, why: String },
    Responded { status: u16 },
    Redirected { status: u16, to: String },
    Enqueued { queue: String, deliver: Vec<String>, now: Option<Box<QueueView>> },
    Followed { queue: String },
    Forwarded { to: Vec<Party>, mirror: Option<Mirror>, cache: Option<Cache>, queue: Option<String> },
}

#[derive(Debug, Deserialize)]
struct Considered {
    route: String,
    line: usize,
    chosen: bool,
    why: String,
}

#[derive(Debug, Deserialize)]
struct Cache {
    key: Option<String>,
    #[serde(default)]
    stored: Vec<Stored>,
    verdict: String,
    why: String,
}

#[derive(Debug, Deserialize)]
struct Stored {
    tier: String,
    variant: String,
    fits: bool,
    usable: String,
    status: u16,
    age: u64,
    bytes: u64,
    etag: Option<String>,
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Mirror {
    service: String,
    share: f64,
}

#[derive(Debug, Deserialize)]
struct Party {
    service: String,
    share: f64,
    balance: Json,
    all_ill: bool,
    endpoints: Vec<Candidate>,
    unused: Vec<Unused>,
    retry: Retry,
    hedge_after_ms: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    url: String,
    weight: f64,
    sticky: bool,
    in_flight: Option<u64>,
    latency_ms: Option<f64>,
    #[serde(default)]
    why: String,
}

#[derive(Debug, Deserialize)]
struct Unused {
    url: String,
    why: String,
}

#[derive(Debug, Deserialize)]
struct Retry {
    attempts: usize,
    on: Vec<String>,
    only_if_unsent: bool,
    budget: f64,
    left: Option<u64>,
}

/// Explains one request.
///
/// # Errors
/// When the file has a mistake, there is no node, or what is asked about is no request.
pub fn explain(ask: &cli::Explain) -> Result<ExitCode, Failure> {
    let json = match &ask.admin {
        Some(place) => by_node(ask, place)?,
        None => by_file(ask)?,
    };
    if ask.json {
        terminal::print_json(&json);
        return Ok(ExitCode::SUCCESS);
    }
    let explained = Explained::deserialize(json).map_err(|_| match &ask.admin {
        Some(place) => Failure::foreign(place),
        None => Failure::Request("the explanation can't be shown; see it with --json".to_owned()),
    })?;
    let mut text = show(ask, &explained, Paint::stdout());
    if ask.admin.is_none() && matches!(explained.outcome, Outcome::Forwarded { .. }) {
        text += "\nHow the endpoints are now, a running node knows: ask it with --admin URL.\n";
    }
    terminal::print(&text);
    Ok(ExitCode::SUCCESS)
}

fn by_file(ask: &cli::Explain) -> Result<Json, Failure> {
    let plan = load(&ask.file)?.plan;
    let question = Question {
        url: ask.url.clone(),
        method: ask.method.clone(),
        from: ask.from,
        headers: ask.headers.clone(),
    };
    explanation(&question, &plan, &Router::new(&plan), None, 0)
        .map_err(|unclear| unclear.to_string())
        .and_then(|explained| serde_json::to_value(explained).map_err(|error| error.to_string()))
        .map_err(Failure::Request)
}

fn by_node(ask: &cli::Explain, place: &Place) -> Result<Json, Failure> {
    let mut path = format!("explain?url={}&method={}", escape(&ask.url), escape(&ask.method));
    if let Some(from) = ask.from {
        let _ = write!(path, "&from={}", escape(&from.to_string()));
    }
    for header in &ask.headers {
        let _ = write!(path, "&header={}", escape(header));
    }
    Ok(Api::at(place).get(&path)?)
}

fn show(ask: &cli::Explain, explained: &Explained, paint: Paint) -> String {
    let asked = format!("{} {}", ask.method, ask.url);
    let mut text = format!("{} from {}\n", paint.bold(&asked), explained.client);
    text += &match &explained.outcome {
        Outcome::Refused { status, why } => {
            format!("{} with {status}: {why}\n", paint.red("refused"))
        }
        Outcome::Responded { status } => format!("answered by the route itself with {status}\n"),
        Outcome::Redirected { status, to } => format!("redirected with {status} to {to}\n"),
        Outcome::Enqueued { queue, deliver, now } => enqueued(queue, deliver, now.as_deref(), paint),
        Outcome::Followed { queue } => format!("follows the messages of the queue {queue} as events\n"),
        Outcome::Forwarded { to, .. } => format!("forwarded to {}\n", shares(to)),
    };
    text += &routes(explained, paint);
    if let Outcome::Forwarded { to, mirror, cache, queue } = &explained.outcome {
        text += &cache.as_ref().map_or_else(String::new, |cache| show_cache(cache, paint));
        for party in to {
            text += &show_party(party, paint);
        }
        if let Some(mirror) = mirror {
            let share = percent(mirror.share);
            let _ = writeln!(text, "\ncopied to {}: {share} of requests", mirror.service);
        }
        if let Some(queue) = queue {
            let _ = writeln!(text, "\nwith `Prefer: respond-async` it is kept in the queue {queue} instead");
        }
    }
    text
}

fn enqueued(queue: &str, deliver: &[String], now: Option<&QueueView>, paint: Paint) -> String {
    let to = match deliver {
        [] => "for those who follow it".to_owned(),
        receivers => format!("and delivered to {}", receivers.join(" and ")),
    };
    let mut text = format!("answered with 202, kept in the queue {} {to}\n", paint.bold(queue));
    if let Some(now) = now {
        let paused = if now.paused { " · paused" } else { "" };
        let _ = writeln!(text, "now in it: {} waiting, {} dead{paused}", count(now.waiting), count(now.dead));
        if let Some(trouble) = &now.trouble {
            let _ = writeln!(text, "{}: {}", paint.red("trouble"), plain(trouble));
        }
    }
    text
}

/// `shop`, or `shop (95 %) or shop-next (5 %)`.
fn shares(to: &[Party]) -> String {
    if let [only] = to {
        return only.service.clone();
    }
    let parts: Vec<String> =
        to.iter().map(|party| format!("{} ({})", party.service, percent(party.share))).collect();
    parts.join(" or ")
}

fn routes(explained: &Explained, paint: Paint) -> String {
    if explained.routes.is_empty() {
        return String::new();
    }
    let row = |considered: &Considered| {
        let mark = if considered.chosen { "  →" } else { "" };
        let line = format!("line {}", considered.line);
        [mark.to_owned(), considered.route.clone(), line, considered.why.clone()]
    };
    let rows: Vec<[String; 4]> = explained.routes.iter().map(row).collect();
    let mut text = format!("\n{}\n", paint.dim("ROUTES"));
    text += &table(&rows, &[Align::Right, Align::Left, Align::Left, Align::Left], |_, row, cell| {
        if explained.routes.get(row).is_some_and(|route| route.chosen) {
            paint.bold(cell)
        } else {
            cell.to_owned()
        }
    });
    if explained.routes_omitted > 0 {
        let _ = writeln!(text, "and {} more", count(explained.routes_omitted));
    }
    text
}

fn show_cache(cache: &Cache, paint: Paint) -> String {
    let key = cache.key.as_deref().map_or_else(String::new, |key| format!(" {}", paint.bold(key)));
    let mut text = format!("\n{}{key}\n{}: {}\n", paint.dim("CACHE"), cache.verdict, cache.why);
    let chosen = cache.stored.iter().position(|stored| stored.fits);
    let row = |(at, stored): (usize, &Stored)| {
        let mark = if Some(at) == chosen { "  →" } else { "" };
        let mut about = vec![bytes(stored.bytes), stored.usable.replace('_', " ")];
        about.extend(stored.etag.clone());
        about.extend((!stored.variant.is_empty()).then(|| format!("for {}", stored.variant)));
        about.extend((!stored.tags.is_empty()).then(|| format!("tagged {}", stored.tags.join(" "))));
        let age = format!("{} old", lasting(stored.age as f64));
        [mark.to_owned(), stored.tier.clone(), stored.status.to_string(), age, about.join(", ")]
    };
    let rows: Vec<[String; 5]> = cache.stored.iter().enumerate().map(row).collect();
    let align = [Align::Right, Align::Left, Align::Left, Align::Right, Align::Left];
    text += &table(&rows, &align, |_, _, cell| cell.to_owned());
    text
}

fn show_party(party: &Party, paint: Paint) -> String {
    let balance = match &party.balance {
        Json::String(name) => name.clone(),
        by => format!("hash of {}", by["hash"].as_str().unwrap_or("the request")),
    };
    let mut text = format!("\n{} {} · {balance}\n", paint.dim("SERVICE"), paint.bold(&party.service));
    let used = party.endpoints.iter().map(candidate);
    let unused = party.unused.iter().map(|unused| {
        let why = format!("not used: {}", unused.why);
        [String::new(), unused.url.clone(), why]
    });
    let rows: Vec<[String; 3]> = used.chain(unused).collect();
    text += &table(&rows, &[Align::Left; 3], |_, _, cell| cell.to_owned());
    if party.all_ill {
        text += "no endpoint is well, so all are tried\n";
    }
    text += &retry(&party.retry);
    if let Some(after) = party.hedge_after_ms {
        let _ = writeln!(text, "a second try starts after {}", ms(after));
    }
    text
}

/// An endpoint with all that is known of it.
fn candidate(candidate: &Candidate) -> [String; 3] {
    let mut known = vec![format!("weight {}", candidate.weight)];
    known.extend(candidate.in_flight.map(|requests| format!("{} in flight", count(requests))));
    known.extend(candidate.latency_ms.map(ms));
    known.extend(candidate.sticky.then(|| "named by the client's cookie".to_owned()));
    known.extend((!candidate.why.is_empty()).then(|| candidate.why.clone()));
    [String::new(), candidate.url.clone(), known.join(", ")]
}

fn retry(retry: &Retry) -> String {
    if retry.attempts == 0 {
        return "nothing is tried again\n".to_owned();
    }
    let unsent = if retry.only_if_unsent { ", only if nothing of the request was sent" } else { "" };
    let left = retry.left.map_or_else(String::new, |left| format!(" ({} left now)", count(left)));
    format!(
        "tried again up to {} on {}{unsent}, by at most {} of requests{left}\n",
        counted(retry.attempts, "time"),
        retry.on.join(", "),
        percent(retry.budget),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_listed_and_what_is_used_marked() {
        let cache = serde_json::json!({
            "key": "http://a/b",
            "verdict": "hit",
            "why": "it is fresh for 48 s more",
            "stored": [
                {
                    "tier": "disk", "variant": "accept-encoding: br", "fits": false, "usable": "validated",
                    "why": "", "status": 200, "age": 7260, "ttl": -5, "bytes": 2048, "tags": [],
                },
                {
                    "tier": "memory", "variant": "", "fits": true, "usable": "fresh", "why": "",
                    "status": 404, "age": 12, "ttl": 48, "bytes": 9, "etag": "\"v1\"", "tags": ["a", "b"],
                },
            ],
        });
        let cache = Cache::deserialize(cache).unwrap();
        assert_eq!(
            show_cache(&cache, Paint::PLAIN),
            "\nCACHE http://a/b\n\
             hit: it is fresh for 48 s more\n     \
             disk    200  2h 1m old  2 KiB, validated, for accept-encoding: br\n  \
             →  memory  404    12s old  9 B, fresh, \"v1\", tagged a b\n"
        );
    }
}
