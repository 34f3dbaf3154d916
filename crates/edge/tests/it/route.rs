//! The router: the rule by example, and against a model that tries every route.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use config::plan::{HeaderMatch, HostMatch, PathMatch, Plan, Route};
use edge::route::{Ask, Found, Router, Verdict};
use proptest::prelude::*;

use crate::plans::{plan, route};

fn get<'a>(host: &'a str, path: &'a str) -> Ask<'a> {
    Ask { host: host.as_bytes(), path: path.as_bytes(), method: b"GET", header: &|_| None }
}

fn with_methods(route: Route, methods: &[&str]) -> Route {
    Route { methods: methods.iter().map(|&method| method.into()).collect(), ..route }
}

fn with_header(mut route: Route, name: &str, value: Option<&str>) -> Route {
    let value = value.map(Arc::from);
    route.headers_match.push(HeaderMatch { name: name.into(), value });
    route
}

#[test]
fn the_most_specific_host_and_path_win() {
    let table = [
        route("", "*"),
        route("*.example.com", "/a/*"),
        route("*.b.example.com", "*"),
        route("a.b.example.com", "/a/*"),
        route("a.b.example.com", "/a/b/*"),
        route("a.b.example.com", "/a/b"),
    ];
    let router = Router::new(&plan(table.to_vec()));
    let cases = [
        ("a.b.example.com", "/a/b", 5),
        ("a.b.example.com", "/a/b/", 4),
        ("a.b.example.com", "/a/b/c", 4),
        ("a.b.example.com", "/a/bc", 3),
        ("a.b.example.com", "/a", 3),
        ("a.b.example.com", "/", 2),
        ("c.b.example.com", "/a/b", 2),
        ("c.example.com", "/a", 1),
        ("c.example.com", "/b", 0),
        ("example.com", "/a/b", 0),
        (".example.com", "/a/b", 0),
        ("xexample.com", "/a/b", 0),
        ("", "*", 0),
    ];
    for (host, path, expected) in cases {
        assert_eq!(router.find(&get(host, path)), Found::Route(expected), "{host}{path}");
    }
}

#[test]
fn more_conditions_win_and_then_the_first() {
    let table = vec![
        route("", "/a"),
        route("", "/a"),
        with_methods(route("", "/a"), &["GET"]),
        with_header(with_methods(route("", "/a"), &["GET"]), "x-user", Some("me")),
    ];
    let router = Router::new(&plan(table));
    let me = |name: &str| (name == "x-user").then_some(b"me".as_slice());
    assert_eq!(router.find(&Ask { header: &me, ..get("h", "/a") }), Found::Route(3));
    assert_eq!(router.find(&get("h", "/a")), Found::Route(2));
    assert_eq!(router.find(&Ask { method: b"PUT", ..get("h", "/a") }), Found::Route(0));
}

#[test]
fn a_less_specific_route_is_tried_when_conditions_fail() {
    let table = vec![
        with_methods(route("h", "/a/b"), &["PUT"]),
        with_header(route("h", "/a/*"), "x-user", None),
        route("", "/a/b"),
    ];
    let router = Router::new(&plan(table));
    assert_eq!(router.find(&get("h", "/a/b")), Found::Route(2));
    let anybody = |_: &str| Some(b"".as_slice());
    assert_eq!(router.find(&Ask { header: &anybody, ..get("h", "/a/b") }), Found::Route(1));
}

#[test]
fn another_method_is_told_from_no_route() {
    let table = vec![
        with_methods(route("h", "/a"), &["PUT", "DELETE"]),
        with_methods(route("", "/a"), &["PATCH", "PUT"]),
        with_header(with_methods(route("", "/a"), &["POST"]), "x-user", None),
    ];
    let router = Router::new(&plan(table));
    let methods = ["DELETE", "PATCH", "PUT"].map(Arc::from).to_vec();
    assert_eq!(router.find(&get("h", "/a")), Found::OtherMethods(methods));
    assert_eq!(router.find(&get("h", "/b")), Found::None);
    assert_eq!(Router::new(&plan(Vec::new())).find(&get("h", "/")), Found::None);
}

#[test]
fn explain_says_why() {
    let table = vec![
        route("", "*"),
        route("h", "/b"),
        with_methods(route("h", "/a"), &["PUT"]),
        with_header(route("h", "/a"), "x-user", None),
        route("h", "/a"),
        route("other", "/a"),
    ];
    let verdicts = Router::new(&plan(table)).explain(&get("h", "/a"));
    let expected = [
        (2, Verdict::Method),
        (3, Verdict::Header("x-user".into())),
        (4, Verdict::Chosen),
        (0, Verdict::LessSpecific),
        (1, Verdict::Path),
    ];
    assert_eq!(verdicts, expected);
}

#[test]
fn a_host_of_many_labels_costs_no_more_than_the_file_allows() {
    let router = Router::new(&plan(vec![route("*.example.com", "*")]));
    let host = ".".repeat(30_000) + ".example.com";
    let started = std::time::Instant::now();
    for _ in 0..1_000 {
        assert_eq!(router.find(&get(&host, "/")), Found::Route(0));
    }
    // Asking about each label would hash 450 MB for each of them.
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}

// ---------------------------------------------------------------- the model

fn model_fits(route: &Route, host: &str, path: &str) -> bool {
    let host_fits = match &route.host {
        HostMatch::Any => true,
        HostMatch::Exact(name) => **name == *host,
        HostMatch::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
    };
    host_fits
        && match &route.path {
            PathMatch::Any => true,
            PathMatch::Exact(exact) => **exact == *path,
            PathMatch::Prefix(prefix) => path.starts_with(&**prefix) || **prefix == format!("{path}/"),
        }
}

fn model_headers_fit(route: &Route, header: Option<&str>) -> bool {
    route.headers_match.iter().all(|wanted| match (&wanted.value, header) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(value), Some(sent)) => **value == *sent,
    })
}

fn model_rank(index: usize, route: &Route) -> impl Ord + use<> {
    let host = match &route.host {
        HostMatch::Any => 0,
        HostMatch::Suffix(suffix) => suffix.len(),
        HostMatch::Exact(_) => usize::MAX,
    };
    let path = match &route.path {
        PathMatch::Any => 0,
        PathMatch::Prefix(prefix) => prefix.len(),
        PathMatch::Exact(_) => usize::MAX,
    };
    let conditions = route.headers_match.len() + usize::from(!route.methods.is_empty());
    (host, path, conditions, Reverse(index))
}

fn model_find(plan: &Plan, host: &str, path: &str, method: &str, header: Option<&str>) -> Found {
    let there = plan
        .routes
        .iter()
        .enumerate()
        .filter(|(_, route)| model_fits(route, host, path) && model_headers_fit(route, header));
    let there: Vec<_> = there.collect();
    let method_fits =
        |route: &Route| route.methods.is_empty() || route.methods.iter().any(|m| **m == *method);
    let best = there.iter().filter(|(_, route)| method_fits(route));
    if let Some((index, _)) = best.max_by_key(|(index, route)| model_rank(*index, route)) {
        return Found::Route(*index);
    }
    let methods: BTreeSet<_> = there.iter().flat_map(|(_, route)| route.methods.clone()).collect();
    if methods.is_empty() { Found::None } else { Found::OtherMethods(methods.into_iter().collect()) }
}

fn hosts() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{0,2}", 1..4).prop_map(|labels| labels.join("."))
}

fn paths() -> impl Strategy<Value = String> {
    // Half begin with more equal bytes than a digest has.
    prop_oneof![
        9 => "(/[ab]{0,2}){1,4}",
        9 => "/abababab(/[ab]{0,2}){1,3}",
        1 => Just("*".to_owned()),
    ]
}

fn routes() -> impl Strategy<Value = Route> {
    let host = (hosts(), 0..3).prop_map(|(host, kind)| match kind {
        0 => String::new(),
        1 => format!("*.{host}"),
        _ => host,
    });
    let path = (paths(), any::<bool>()).prop_map(|(path, more)| path + if more { "*" } else { "" });
    let methods = prop::sample::subsequence(vec!["GET", "POST", "PUT"], 0..3);
    let header = prop::option::weighted(0.3, prop::option::of("[xy]"));
    (host, path, methods, header).prop_map(|(host, path, methods, header)| {
        let route = with_methods(route(&host, &path), &methods);
        match header {
            Some(value) => with_header(route, "x-user", value.as_deref()),
            None => route,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_router_does_what_the_model_does(
        table in prop::collection::vec(routes(), 0..40),
        asks in prop::collection::vec(
            (hosts(), paths(), prop::sample::select(vec!["GET", "PUT"]), prop::option::of("[xy]")),
            1..40,
        ),
    ) {
        let plan = plan(table);
        let router = Router::new(&plan);
        for (host, path, method, sent) in asks {
            let header = |name: &str| (name == "x-user").then_some(sent.as_ref()?.as_bytes());
            let ask = Ask { method: method.as_bytes(), header: &header, ..get(&host, &path) };
            let found = router.find(&ask);
            prop_assert_eq!(&found, &model_find(&plan, &host, &path, method, sent.as_deref()));

            let verdicts = router.explain(&ask);
            let chosen = verdicts.iter().find(|(_, verdict)| *verdict == Verdict::Chosen);
            let taken = if let Found::Route(index) = found { Some(index) } else { None };
            prop_assert_eq!(chosen.map(|(index, _)| *index), taken);
            let mut there: Vec<usize> = verdicts
                .iter()
                .filter(|(_, verdict)| *verdict != Verdict::Path)
                .map(|(index, _)| *index)
                .collect();
            there.sort_unstable();
            let fitting = plan.routes.iter().enumerate().filter(|(_, r)| model_fits(r, &host, &path));
            prop_assert_eq!(there, fitting.map(|(index, _)| index).collect::<Vec<_>>());
        }
    }
}
