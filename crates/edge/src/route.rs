//! Which route does a request take? A table built once from the plan, and asked for each request.
//!
//! The most specific route wins: an exact host before `*.host` (longer ones first) before any host;
//! then an exact path before the longest prefix before any path; then more conditions (each header,
//! and the methods as one) before fewer; then the first in the file. Where the most specific place
//! has no route whose conditions fit, the less specific ones are tried, in this order.
//!
//! The cost must not grow with the number of routes, so exact hosts and paths are looked up by hash,
//! and prefixes are kept sorted, each linked to the longest other prefix that it begins with. The
//! greatest prefix not after the path shares more with the path than any other does; the longest
//! prefix of the path is therefore that one, or the first that fits along its links. Among many routes
//! what costs is memory that no processor cache holds, so the search goes through small dense tables
//! and looks at a prefix and at a route only in the end.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use config::plan::{HostMatch, PathMatch, Plan, Route};
use foldhash::fast::RandomState;

/// All routes of a plan, ready to be searched. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Arc<Route>>,
    /// Whether a route has no conditions beyond host and path, and so need not be looked at.
    plain: Vec<bool>,
    exact: HashMap<Box<[u8]>, Paths, RandomState>,
    /// By suffix, which begins with a dot.
    suffixes: HashMap<Box<[u8]>, Paths, RandomState>,
    /// Each length that a suffix has, longest first: a host is asked about only these, so a client's
    /// host of many labels costs no more than the file allows.
    suffix_lengths: Vec<usize>,
    any: Paths,
}

/// What a route is chosen by.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Lower case, without a port.
    pub host: &'a [u8],
    /// As sent, without the query: begins with `/`, or is `*`.
    pub path: &'a [u8],
    /// As sent; methods are case-sensitive (RFC 9110, 9.1).
    pub method: &'a [u8],
    /// The value of the request's header field of that (lower-case) name.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

/// The answer of [`Router::find`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Index in [`Plan::routes`].
    Route(usize),
    /// The path is there, but only for these methods, sorted: 405 with `Allow` (RFC 9110, 15.5.6).
    OtherMethods(Vec<Arc<str>>),
    /// 404.
    None,
}

/// Why a route was chosen or not, for `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Chosen,
    /// It fits, but a more specific or an earlier one is taken.
    LessSpecific,
    /// It wants another method.
    Method,
    /// It wants this header field, which is missing or has another value.
    Header(Arc<str>),
    /// Its host fits, its path does not.
    Path,
}

impl Router {
    /// Builds the table. Time: n log n in the number of routes.
    pub fn new(plan: &Plan) -> Router {
        let mut router = Router {
            routes: plan.routes.clone(),
            plain: plan.routes.iter().map(|route| route.conditions() == 0).collect(),
            exact: HashMap::default(),
            suffixes: HashMap::default(),
            suffix_lengths: Vec::new(),
            any: Paths::default(),
        };
        // Added in this order, the routes of one place are already in the order they are tried in.
        let mut order: Vec<usize> = (0..plan.routes.len()).collect();
        order.sort_by_key(|&index| Reverse(plan.routes[index].conditions()));
        for index in order {
            let route = &plan.routes[index];
            let paths = match &route.host {
                HostMatch::Exact(host) => router.exact.entry(key(host)).or_default(),
                HostMatch::Suffix(suffix) => router.suffixes.entry(key(suffix)).or_default(),
                HostMatch::Any => &mut router.any,
            };
            paths.add(&route.path, index);
        }
        let hosts = router.exact.values_mut().chain(router.suffixes.values_mut());
        hosts.for_each(|paths| paths.prefixes.link());
        router.any.prefixes.link();
        let lengths: BTreeSet<usize> = router.suffixes.keys().map(|suffix| suffix.len()).collect();
        router.suffix_lengths = lengths.into_iter().rev().collect();
        router
    }

    /// The route that a request takes. Allocates only to list the methods of a 405.
    pub fn find(&self, ask: &Ask<'_>) -> Found {
        let chosen = self.visit(ask, |index| {
            if self.plain[index] || fits(&self.routes[index], ask) {
                return ControlFlow::Break(index);
            }
            ControlFlow::Continue(())
        });
        if let ControlFlow::Break(index) = chosen {
            return Found::Route(index);
        }
        let methods = self.methods(ask);
        if methods.is_empty() { Found::None } else { Found::OtherMethods(methods) }
    }

    /// Each route whose host fits: first those whose path fits too, in the order they are tried in,
    /// then the others in the order of the file. Time and memory grow with the number of routes.
    pub fn explain(&self, ask: &Ask<'_>) -> Vec<(usize, Verdict)> {
        let mut verdicts = Vec::new();
        let mut chosen = false;
        let _all = self.visit(ask, |index| {
            let route = &self.routes[index];
            let verdict = if !method_fits(route, ask) {
                Verdict::Method
            } else if let Some(name) = unmet_header(route, ask) {
                Verdict::Header(name.clone())
            } else if chosen {
                Verdict::LessSpecific
            } else {
                chosen = true;
                Verdict::Chosen
            };
            verdicts.push((index, verdict));
            ControlFlow::Continue(())
        });
        let elsewhere = self
            .routes
            .iter()
            .enumerate()
            .filter(|(_, route)| host_fits(&route.host, ask.host) && !path_fits(&route.path, ask.path));
        verdicts.extend(elsewhere.map(|(index, _)| (index, Verdict::Path)));
        verdicts
    }

    /// The methods of routes that fit but for their methods.
    fn methods(&self, ask: &Ask<'_>) -> Vec<Arc<str>> {
        let mut methods = BTreeSet::new();
        let _all = self.visit(ask, |index| {
            let route = &self.routes[index];
            if unmet_header(route, ask).is_none() {
                methods.extend(route.methods.iter().cloned());
            }
            ControlFlow::Continue(())
        });
        methods.into_iter().collect()
    }

    /// Shows `see` each route whose host and path fit, the most specific first, until it has enough.
    fn visit(&self, ask: &Ask<'_>, mut see: impl FnMut(usize) -> ControlFlow<usize>) -> ControlFlow<usize> {
        if let Some(paths) = self.exact.get(ask.host) {
            paths.visit(ask.path, &mut see)?;
        }
        for &length in &self.suffix_lengths {
            let paths = ends(ask.host, length).and_then(|end| self.suffixes.get(end));
            if let Some(paths) = paths {
                paths.visit(ask.path, &mut see)?;
            }
        }
        self.any.visit(ask.path, &mut see)
    }
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Box<[u8]>, Vec<usize>, RandomState>,
    prefixes: Prefixes,
    any: Vec<usize>,
}

impl Paths {
    fn add(&mut self, path: &PathMatch, route: usize) {
        match path {
            PathMatch::Exact(path) => self.exact.entry(key(path)).or_default().push(route),
            PathMatch::Prefix(path) => self.prefixes.add(key(path), route),
            PathMatch::Any => self.any.push(route),
        }
    }

    fn visit(&self, path: &[u8], see: &mut impl FnMut(usize) -> ControlFlow<usize>) -> ControlFlow<usize> {
        if let Some(routes) = self.exact.get(path) {
            routes.iter().copied().try_for_each(&mut *see)?;
        }
        let mut next = self.prefixes.nearest(path);
        while let Some(prefix) = next {
            if prefix_fits(&prefix.path, path) {
                prefix.routes.iter().copied().try_for_each(&mut *see)?;
            }
            next = prefix.shorter.map(|index| &self.prefixes.sorted[index]);
        }
        self.any.iter().copied().try_for_each(see)
    }
}

/// The prefixes of one host; to be searched once [`Prefixes::link`] was called.
#[derive(Debug, Default)]
struct Prefixes {
    /// By path, each once.
    sorted: Vec<Prefix>,
    /// Of each, the eight bytes after those that all begin with, as a number: where two differ, they
    /// are in the order of the paths.
    digests: Vec<u64>,
    /// How many bytes all begin with.
    common: usize,
}

#[derive(Debug)]
struct Prefix {
    path: Box<[u8]>,
    /// Index of the longest other prefix that `path` begins with.
    shorter: Option<usize>,
    routes: Vec<usize>,
}

impl Prefixes {
    fn add(&mut self, path: Box<[u8]>, route: usize) {
        self.sorted.push(Prefix { path, shorter: None, routes: vec![route] });
    }

    /// Sorts the prefixes, makes those that are equal one, and sets their links and digests.
    fn link(&mut self) {
        self.sorted.sort_by(|a, b| a.path.cmp(&b.path));
        self.sorted.dedup_by(|later, kept| {
            let same = later.path == kept.path;
            if same {
                kept.routes.append(&mut later.routes);
            }
            same
        });
        let mut open: Vec<usize> = Vec::new();
        for index in 0..self.sorted.len() {
            let path = &self.sorted[index].path;
            while open.pop_if(|last| !path.starts_with(&self.sorted[*last].path)).is_some() {}
            self.sorted[index].shorter = open.last().copied();
            open.push(index);
        }
        if let (Some(first), Some(last)) = (self.sorted.first(), self.sorted.last()) {
            // What the first and the last share, all between them share too.
            self.common = first.path.iter().zip(&last.path).take_while(|(a, b)| a == b).count();
        }
        let digests = self.sorted.iter().map(|prefix| digest(&prefix.path[self.common..], b""));
        self.digests = digests.collect();
    }

    /// The prefix from which the links lead to all that fit: the greatest not after `path` with a slash
    /// at its end, since with that a prefix that ends in a slash fits a path that does not. It need not
    /// fit itself.
    fn nearest(&self, path: &[u8]) -> Option<&Prefix> {
        let first = self.sorted.first()?;
        let Some((head, rest)) = path.split_at_checked(self.common) else {
            return Some(first); // All others are longer still.
        };
        if !first.path.starts_with(head) {
            return None;
        }
        let digest = digest(rest, b"/");
        let last = self.digests.partition_point(|&other| other <= digest).checked_sub(1)?;
        if self.digests[last] < digest {
            return self.sorted.get(last);
        }
        let after = self.sorted[..=last].partition_point(|prefix| {
            let (head, tail) = prefix.path.split_at(prefix.path.len().min(path.len()));
            head.cmp(path).then_with(|| tail.cmp(b"/")).is_le()
        });
        self.sorted.get(after.checked_sub(1)?)
    }
}

/// The first eight bytes of `text` and `end`, the first one the most significant.
fn digest(text: &[u8], end: &[u8]) -> u64 {
    if let Some(bytes) = text.first_chunk() {
        return u64::from_be_bytes(*bytes);
    }
    let bytes = text.iter().chain(end).chain(&[0; 8]).take(8);
    bytes.fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn key(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

fn fits(route: &Route, ask: &Ask<'_>) -> bool {
    method_fits(route, ask) && unmet_header(route, ask).is_none()
}

fn method_fits(route: &Route, ask: &Ask<'_>) -> bool {
    route.methods.is_empty() || route.methods.iter().any(|method| method.as_bytes() == ask.method)
}

/// The first header field that the route wants and the request does not have so.
fn unmet_header<'r>(route: &'r Route, ask: &Ask<'_>) -> Option<&'r Arc<str>> {
    let unmet = route.headers_match.iter().find(|wanted| {
        let sent = (ask.header)(&wanted.name);
        match &wanted.value {
            Some(value) => sent != Some(value.as_bytes()),
            None => sent.is_none(),
        }
    });
    unmet.map(|wanted| &wanted.name)
}

/// The last `length` bytes of `host`, if they begin with a dot and something is before it.
fn ends(host: &[u8], length: usize) -> Option<&[u8]> {
    let start = host.len().checked_sub(length).filter(|&start| start > 0)?;
    host.get(start..).filter(|end| end.first() == Some(&b'.'))
}

fn host_fits(wanted: &HostMatch, host: &[u8]) -> bool {
    match wanted {
        HostMatch::Any => true,
        HostMatch::Exact(name) => name.as_bytes() == host,
        HostMatch::Suffix(suffix) => ends(host, suffix.len()) == Some(suffix.as_bytes()),
    }
}

fn path_fits(wanted: &PathMatch, path: &[u8]) -> bool {
    match wanted {
        PathMatch::Any => true,
        PathMatch::Exact(exact) => exact.as_bytes() == path,
        PathMatch::Prefix(prefix) => prefix_fits(prefix.as_bytes(), path),
    }
}

/// `/api/` is a prefix of `/api/x`, of `/api/`, and of `/api`.
fn prefix_fits(prefix: &[u8], path: &[u8]) -> bool {
    path.starts_with(prefix) || prefix.strip_suffix(b"/") == Some(path)
}
