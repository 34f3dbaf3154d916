//! The cache as the API tells of it, and what may be asked of it.
//!
//! The types are the node's to fill in; what is judged here needs nothing but them.

use std::collections::BTreeMap;

use cache::control::RequestControl;
use cache::freshness::{age, ttl};
use cache::object::{Flags, Object};
use cache::reuse::{Verdict, Why, decide};
use serde::{Deserialize, Serialize};
use wire::Method;

/// Names in each list of a [`PurgeOrder`].
pub const NAMED: usize = 1000;
/// Bytes of a URL or a prefix in a [`PurgeOrder`].
pub const URL: usize = 16 << 10;
/// Bytes of a tag in a [`PurgeOrder`].
pub const TAG: usize = 1024;

/// The cache at a glance.
#[derive(Debug, Clone, Default)]
pub struct CacheView {
    /// The nearest first; those that the file doesn't name are left out.
    pub tiers: Vec<TierView>,
    /// What became of the requests of cached routes, by the `result` label of
    /// `nearside_cache_requests_total`: `hit`, `miss`, `stale`, `revalidated`, `pass`, `bypass`,
    /// `collapsed`.
    pub requests: Vec<(&'static str, u64)>,
}

/// A tier at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierView {
    /// `memory`, `disk` or `shared`.
    pub tier: &'static str,
    /// Can it be used?
    #[serde(flatten)]
    pub state: TierState,
    /// Bytes that it takes; none if it doesn't tell.
    pub bytes: Option<u64>,
    /// Bytes that it may take; none if others decide.
    pub limit: Option<u64>,
    /// Objects in it; none if it doesn't tell.
    pub objects: Option<u64>,
    /// Objects that had to go to make room for others, since the node started.
    pub evictions: u64,
}

/// Can a tier be used?
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TierState {
    /// Yes.
    Up,
    /// Not yet: it looks through what it holds.
    Starting,
    /// No; the node goes on without it.
    Down {
        /// Why not, in a short line.
        why: String,
    },
}

/// What `GET /api/v1/cache` answers with.
#[derive(Debug, Serialize)]
pub(crate) struct CacheStatus {
    requests: BTreeMap<&'static str, u64>,
    /// See [`hit_ratio`].
    hit_ratio: Option<f64>,
    tiers: Vec<TierView>,
}

impl From<CacheView> for CacheStatus {
    fn from(view: CacheView) -> Self {
        let hit_ratio = hit_ratio(&view.requests);
        Self { requests: view.requests.into_iter().collect(), hit_ratio, tiers: view.tiers }
    }
}

/// Of the requests that the cache may answer, the share that cost no endpoint a request of its own,
/// 0 to 1; none while there was none.
fn hit_ratio(requests: &[(&str, u64)]) -> Option<f64> {
    let sum = |results: &[&str]| {
        let those = requests.iter().filter(|(result, _)| results.contains(result));
        those.map(|(_, count)| *count).sum::<u64>()
    };
    let (saved, asked) = (sum(&["hit", "stale", "collapsed"]), sum(&["miss", "revalidated"]));
    let all = saved + asked;
    (all > 0).then(|| saved as f64 / all as f64)
}

/// What the cache knows of a request. Nothing of it is sent anywhere.
#[derive(Debug, Clone, Default)]
pub struct Cached {
    /// What the answer is kept under: the URL, normalised.
    pub key: String,
    /// The route lets this request pass the cache by.
    pub bypass: bool,
    /// What is kept under the key in any tier, the newest first.
    pub stored: Vec<StoredView>,
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredView {
    /// `memory`, `disk` or `shared`.
    pub tier: &'static str,
    /// Which requests it is for, as in `accept-encoding: gzip`; empty if for all with this key.
    pub variant: String,
    /// It is for this request.
    pub fits: bool,
    /// May it be used for this request as it is?
    pub usable: Usable,
    /// What makes it so where its age doesn't, such as `purged softly` or `no-cache`; else empty.
    pub why: String,
    /// Of the answer.
    pub status: u16,
    /// In seconds.
    pub age: u64,
    /// Seconds for which it is still fresh; negative: since when it is stale.
    pub ttl: i64,
    /// Of its body, as far as it is kept.
    pub bytes: u64,
    /// As sent, with quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What a purge may name it by.
    pub tags: Vec<String>,
}

impl StoredView {
    /// How an object of a tier stands to a request that wants this of a cache, at `now` in seconds since
    /// 1970. `fits`: it is the request's variant; `bytes` are those of its body that are kept.
    pub fn of(
        tier: &'static str,
        object: &Object,
        fits: bool,
        bytes: u64,
        request: &RequestControl,
        now: u64,
    ) -> Self {
        let facts = object.facts();
        let verdict = decide(&facts, object.is_soft(), request, now);
        let why = match verdict {
            Verdict::Validate(Why::Request) => "the request wants a newer one",
            _ if facts.flags.has(Flags::NO_CACHE) => "it says no-cache: never used without validation",
            _ if object.is_soft() => "it was purged softly",
            _ => "",
        };
        Self {
            tier,
            variant: visible(object.variant()),
            fits,
            usable: match verdict {
                Verdict::Fresh => Usable::Fresh,
                Verdict::Stale => Usable::Stale,
                Verdict::StaleWhileRevalidate => Usable::StaleWhileRevalidate,
                Verdict::Validate(_) => Usable::Validated,
            },
            why: why.to_owned(),
            status: facts.status,
            age: age(&facts, now),
            ttl: ttl(&facts, now),
            bytes,
            etag: object.field("etag").map(visible),
            tags: object
                .tags()
                .split(|byte| *byte == b'\n')
                .filter(|tag| !tag.is_empty())
                .map(visible)
                .collect(),
        }
    }
}

/// Bytes as text, with a space for each run of what can't be shown.
fn visible(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// May a stored answer be used as it is?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Usable {
    /// It is fresh.
    Fresh,
    /// It is stale, and allowed to be.
    Stale,
    /// It is stale, and allowed to be while it is fetched anew.
    StaleWhileRevalidate,
    /// Only once an endpoint says that it still holds.
    Validated,
}

/// What the cache would do with a request.
#[derive(Debug, Serialize)]
pub struct CacheReport {
    /// What the answer is kept under; none if no node was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is kept there, the newest first; none if no node was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Vec<StoredView>>,
    /// `hit`, `stale`, `revalidate`, `miss`, `bypass`, `pass`, or `unknown` if no node was asked.
    pub verdict: &'static str,
    /// In a short line.
    pub why: String,
}

impl CacheReport {
    /// Judges a request with this method by what a running node knows, if one was asked.
    pub(crate) fn new(method: Method, cached: Option<Cached>) -> Self {
        let (verdict, why) = match &cached {
            _ if !matches!(method, Method::Get | Method::Head) => {
                ("pass", "only GET and HEAD are answered from the cache".to_owned())
            }
            None => ("unknown", "what is stored, a running node knows".to_owned()),
            Some(cached) => judge(cached),
        };
        let (key, stored) = cached.map(|cached| (cached.key, cached.stored)).unzip();
        Self { key, stored, verdict, why }
    }
}

fn judge(cached: &Cached) -> (&'static str, String) {
    if cached.bypass {
        return ("bypass", "the request has something that the route's `bypass` names".to_owned());
    }
    let Some(found) = cached.stored.iter().find(|stored| stored.fits) else {
        let why = match cached.stored.len() {
            0 => "nothing is stored under this key".to_owned(),
            1 => "what is stored under this key is for other requests".to_owned(),
            other => format!("the {other} answers stored under this key are for other requests"),
        };
        return ("miss", why);
    };
    let stale = found.ttl.unsigned_abs();
    let because = |why: String| if found.why.is_empty() { why } else { found.why.clone() };
    match found.usable {
        Usable::Fresh => ("hit", because(format!("it is fresh for {} s more", found.ttl))),
        Usable::Stale => ("stale", because(format!("it is stale for {stale} s, which is allowed"))),
        Usable::StaleWhileRevalidate => {
            ("stale", because(format!("it is stale for {stale} s, and is used while it is fetched anew")))
        }
        Usable::Validated if found.ttl > 0 => {
            ("revalidate", because("it is fresh, but must be validated".to_owned()))
        }
        Usable::Validated => ("revalidate", because(format!("it is stale for {stale} s"))),
    }
}

/// What is to be purged: all that any of these names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PurgeOrder {
    /// These URLs, all variants.
    pub urls: Vec<String>,
    /// What has one of these tags.
    pub tags: Vec<String>,
    /// The URLs that begin with one of these.
    pub prefixes: Vec<String>,
    /// Everything.
    pub all: bool,
    /// What is purged may still be used stale, where that is allowed.
    pub soft: bool,
}

/// What a node did of a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodePurged {
    /// Its name.
    pub node: String,
    /// Where it is.
    pub region: String,
    /// What is purged is served by it no more.
    pub done: bool,
    /// Objects that were removed (or became stale, if softly).
    pub removed: u64,
    /// Why it isn't done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Why a purge can't be done as ordered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPurge {
    /// It names nothing.
    #[error("name what to purge: `urls`, `tags`, `prefixes`, or `all`: true")]
    Nothing,
    /// Names beside `all` would be lost in it.
    #[error("`all` purges everything: leave out `urls`, `tags` and `prefixes`, or `all`")]
    More,
    /// A list is too long.
    #[error("`{0}` names {1}; {NAMED} are the most at once")]
    TooMany(&'static str, usize),
    /// A URL without a scheme and a host.
    #[error("`{0}` is not a whole URL; write it as http://shop.example.com/cart")]
    Url(String),
    /// Not a tag.
    #[error("`{0}` is not a tag: write each tag by itself, without spaces and commas")]
    Tag(String),
    /// A name that is too long.
    #[error("`{0}…` is too long: a URL has at most {URL} bytes and a tag {TAG}")]
    TooLong(String),
}

impl PurgeOrder {
    /// Checks that it can be done.
    ///
    /// # Errors
    /// [`BadPurge`], which says what to write instead.
    pub fn check(&self) -> Result<(), BadPurge> {
        let lists = [("urls", &self.urls), ("tags", &self.tags), ("prefixes", &self.prefixes)];
        let named = lists.iter().any(|(_, list)| !list.is_empty());
        match (named, self.all) {
            (false, false) => return Err(BadPurge::Nothing),
            (true, true) => return Err(BadPurge::More),
            _ => {}
        }
        if let Some((name, list)) = lists.iter().find(|(_, list)| list.len() > NAMED) {
            return Err(BadPurge::TooMany(name, list.len()));
        }
        self.urls.iter().chain(&self.prefixes).try_for_each(|url| check_url(url))?;
        self.tags.iter().try_for_each(|tag| check_tag(tag))
    }
}

/// Checks that a URL or a prefix has a scheme and a host, so that it is clear what it names.
///
/// # Errors
/// [`BadPurge::Url`] or [`BadPurge::TooLong`].
pub fn check_url(url: &str) -> Result<(), BadPurge> {
    if url.len() > URL {
        return Err(BadPurge::TooLong(short(url)));
    }
    let host = url.split_once("://").and_then(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#']).next()?;
        let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        known.then(|| wire::target::host(authority.as_bytes()))?
    });
    let visible = url.bytes().all(|byte| byte.is_ascii_graphic());
    let good = visible && host.is_some_and(|host| !host.is_empty());
    if good { Ok(()) } else { Err(BadPurge::Url(short(url))) }
}

/// Checks that a tag could be one of an answer's: `Surrogate-Key` has spaces between tags, and
/// `Cache-Tag` commas.
///
/// # Errors
/// [`BadPurge::Tag`] or [`BadPurge::TooLong`].
pub fn check_tag(tag: &str) -> Result<(), BadPurge> {
    if tag.len() > TAG {
        return Err(BadPurge::TooLong(short(tag)));
    }
    let good = !tag.is_empty() && !tag.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',');
    if good { Ok(()) } else { Err(BadPurge::Tag(short(tag))) }
}

/// The beginning of a name, fit for a terminal.
fn short(name: &str) -> String {
    let short: String = name.chars().take(100).collect();
    short.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use cache::object::{Body, Facts, New};

    use super::*;

    #[test]
    fn the_hit_ratio_is_the_share_that_cost_no_request() {
        assert_eq!(hit_ratio(&[("pass", 7), ("bypass", 2), ("hit", 0), ("miss", 0)]), None);
        let counts = [
            ("hit", 5),
            ("stale", 1),
            ("collapsed", 3),
            ("miss", 2),
            ("revalidated", 1),
            ("pass", 90),
            ("bypass", 9),
        ];
        assert_eq!(hit_ratio(&counts), Some(0.75));
    }

    fn object(flags: Flags) -> Object {
        let facts =
            Facts { status: 200, flags, received: 1000, initial_age: 2, lifetime: 60, ..Facts::default() };
        Object::new(New {
            facts,
            primary: b"http://a/",
            variant: b"accept-encoding\0gzip\n",
            lines: b"ETag: \"v1\"\r\n",
            tags: b"one\ntwo\n",
            body: Body::Whole(b"hello".as_slice().into()),
        })
    }

    #[test]
    fn a_stored_answer_tells_how_it_stands() {
        let view = |object: &Object, request: &RequestControl, now| {
            let view = StoredView::of("memory", object, true, 5, request, now);
            (view.usable, view.why, view.age, view.ttl)
        };
        let (plain, any) = (object(Flags::default()), RequestControl::default());
        assert_eq!(view(&plain, &any, 1010), (Usable::Fresh, String::new(), 12, 48));
        assert_eq!(view(&plain, &any, 1065), (Usable::Validated, String::new(), 67, -7));
        let newer = RequestControl { no_cache: true, ..RequestControl::default() };
        let why = "the request wants a newer one".to_owned();
        assert_eq!(view(&plain, &newer, 1010), (Usable::Validated, why, 12, 48));
        let why = "it says no-cache: never used without validation".to_owned();
        assert_eq!(view(&object(Flags::NO_CACHE), &any, 1010), (Usable::Validated, why, 12, 48));
        plain.soften();
        assert_eq!(view(&plain, &any, 1010).1, "it was purged softly");
        let told = StoredView::of("disk", &plain, false, 5, &any, 1010);
        assert_eq!((told.variant.as_str(), told.etag.as_deref()), ("accept-encoding gzip", Some("\"v1\"")));
        assert_eq!((told.tags, told.bytes, told.fits), (vec!["one".to_owned(), "two".to_owned()], 5, false));
    }

    #[test]
    fn a_purge_names_whole_urls_and_single_tags() {
        for url in ["http://a", "https://a:8443/b?c", "HTTP://[::1]/*", "http://a/b%20c"] {
            assert_eq!(check_url(url), Ok(()));
        }
        for url in
            ["", "/a", "a/b", "ftp://a/", "http://", "http:///a", "http://a b/", "http://a/b c", "//a/b"]
        {
            assert_eq!(check_url(url), Err(BadPurge::Url(url.to_owned())));
        }
        assert_eq!((check_tag("post:7"), check_tag("größe")), (Ok(()), Ok(())));
        for tag in ["", "a b", "a,b", "a\tb"] {
            assert!(matches!(check_tag(tag), Err(BadPurge::Tag(_))), "{tag}");
        }
        assert!(matches!(check_tag(&"x".repeat(TAG + 1)), Err(BadPurge::TooLong(_))));
        assert!(matches!(check_url(&("http://a/".to_owned() + &"x".repeat(URL))), Err(BadPurge::TooLong(_))));
    }

    #[test]
    fn a_purge_of_nothing_of_too_much_or_of_all_and_more_is_refused() {
        let mut order = PurgeOrder { soft: true, ..PurgeOrder::default() };
        assert_eq!(order.check(), Err(BadPurge::Nothing));
        order.all = true;
        assert_eq!(order.check(), Ok(()));
        let tags = |count| PurgeOrder { tags: vec!["a".to_owned(); count], ..PurgeOrder::default() };
        assert_eq!(PurgeOrder { all: true, ..tags(1) }.check(), Err(BadPurge::More));
        assert_eq!(tags(NAMED).check(), Ok(()));
        assert_eq!(tags(NAMED + 1).check(), Err(BadPurge::TooMany("tags", NAMED + 1)));
    }
}
