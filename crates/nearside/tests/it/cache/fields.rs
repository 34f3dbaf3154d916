//! What answers say of themselves and what is said of them: `Cache-Status` (RFC 9211), `Age`, `Date`,
//! tags, cookies, authorization (RFC 9111 §3, §5).

use super::{Scene, Setting, is_hit, numbered, numbered_as, reply, told};
use crate::support::Behaviour;

#[test]
fn what_the_cache_did_is_said_with_each_answer() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\n"));
    let miss = scene.get("/");
    assert!(told(&miss).starts_with("fwd=uri-miss"), "{}", told(&miss));
    assert!(told(&miss).contains("; stored"), "{}", told(&miss));
    let hit = scene.get("/");
    let ttl = told(&hit).strip_prefix("hit; ttl=").unwrap().parse::<u64>().unwrap();
    assert!((590..=600).contains(&ttl), "{ttl}");
    assert_eq!(hit.all("cache-status").count(), 1);
}

#[test]
fn why_an_answer_is_not_stored_is_said() {
    let table = [
        ("Cache-Control: no-store\r\n", "", "no-store"),
        ("Cache-Control: private\r\n", "", "private"),
        ("CDN-Cache-Control: private\r\nCache-Control: max-age=60\r\n", "", "private"),
        ("", "", "no-freshness"),
        ("Cache-Control: no-cache\r\n", "", "no-validator"),
        ("Cache-Control: max-age=60\r\nVary: *\r\n", "", "vary-star"),
        ("Cache-Control: max-age=60\r\nVary: Accept, *\r\n", "", "vary-star"),
        ("Cache-Control: max-age=60\r\n", "Authorization: Basic YTpi\r\n", "authorization"),
        ("Cache-Control: max-age=60\r\n", "Cache-Control: no-store\r\n", "request-no-store"),
        ("Last-Modified: Tue, 01 Sep 2026 10:00:00 GMT\r\nSet-Cookie: a=b\r\n", "", "set-cookie"),
    ];
    for (answers, asks, detail) in table {
        let scene = Scene::before(numbered(answers));
        for number in ["1", "2"] {
            let answer = scene.get_with("/", asks);
            assert_eq!(answer.text(), number, "{answers}");
            let told = told(&answer);
            assert!(told.contains(&format!("detail={detail}")), "{answers}: {told}");
            assert!(!told.contains("; stored") && !is_hit(&answer), "{answers}: {told}");
        }
    }
}

#[test]
fn what_other_caches_said_stays_before_it() {
    let fields = "Cache-Control: max-age=600\r\nCache-Status: inner; hit; ttl=5\r\n";
    let scene = Scene::before(numbered(fields));
    for _ in 0..2 {
        let answer = scene.get("/");
        let all: Vec<&str> = answer.all("cache-status").collect();
        assert_eq!(all.join(", ").matches("inner; hit; ttl=5").count(), 1, "{all:?}");
        assert!(all.join(", ").starts_with("inner; hit; ttl=5, nearside; "), "{all:?}");
    }
}

#[test]
fn an_uncached_route_says_nothing_of_a_cache() {
    let endpoint = crate::support::Endpoint::start(numbered("Cache-Control: max-age=600\r\n"));
    let node = crate::support::Nearside::start(&crate::support::shop(&[endpoint.url()], ""));
    for number in ["1", "2"] {
        let answer = node.client().get_with("/", "").unwrap();
        assert_eq!((answer.text().as_str(), answer.field("cache-status")), (number, None));
    }
}

#[test]
fn tags_are_not_passed_on() {
    let scene =
        Scene::before(numbered("Cache-Control: max-age=600\r\nCache-Tag: a, b\r\nSurrogate-Key: c d\r\n"));
    for answer in [scene.get("/"), scene.get("/"), scene.ask("HEAD", "/", ""), scene.ask("POST", "/", "")] {
        assert_eq!((answer.field("cache-tag"), answer.field("surrogate-key")), (None, None));
    }
    let scene = Scene::before(numbered("Cache-Control: no-store\r\nCache-Tag: a\r\nSurrogate-Key: c\r\n"));
    let answer = scene.get("/");
    assert_eq!((answer.field("cache-tag"), answer.field("surrogate-key")), (None, None));
}

#[test]
fn age_grows_from_what_the_answer_came_with_and_date_stays() {
    let date = "Tue, 01 Sep 2026 10:00:00 GMT";
    let fields = format!("Cache-Control: max-age=9999999999\r\nAge: 30\r\nDate: {date}\r\n");
    let scene = Scene::before(numbered(&fields));
    let miss = scene.get("/");
    assert_eq!((miss.field("age"), miss.field("date")), (Some("30"), Some(date)), "as it came");
    let hit = scene.get("/");
    assert!(is_hit(&hit));
    assert_eq!((hit.all("age").count(), hit.all("date").count()), (1, 1));
    assert_eq!(hit.field("date"), Some(date));
    assert!(hit.field("age").unwrap().parse::<u64>().unwrap() > 30, "as old as its Date says");
}

#[test]
fn a_stored_answer_without_a_date_gets_one() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\n"));
    scene.get("/");
    let hit = scene.get("/");
    assert!(hit.field("date").is_some_and(|date| date.ends_with(" GMT")));
    assert!(hit.field("age").unwrap().parse::<u64>().unwrap() < 10);
}

#[test]
fn fields_for_one_connection_are_not_stored() {
    let fields = "Cache-Control: max-age=600\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Stays: 2\r\n\
                  Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: a\r\n";
    let scene = Scene::before(numbered(fields));
    scene.get("/");
    let hit = scene.get("/");
    assert!(is_hit(&hit));
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "proxy-authentication-info"] {
        assert_eq!(hit.field(name), None, "{name}");
    }
    assert_eq!(hit.field("x-stays"), Some("2"));
}

#[test]
fn each_answer_has_a_request_id_of_its_own() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\nX-Request-Id: theirs\r\n"));
    let ids: Vec<String> = (0..3)
        .map(|_| {
            let answer = scene.get("/");
            let ids: Vec<&str> = answer.all("x-request-id").collect();
            assert_eq!(ids.len(), 1, "{ids:?}");
            ids[0].to_owned()
        })
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn a_cookie_is_stored_only_with_an_answer_that_says_how_long_it_is_fresh() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\nSet-Cookie: a=b\r\n"));
    for number in ["1", "1"] {
        let answer = scene.get("/");
        assert_eq!((answer.text().as_str(), answer.field("set-cookie")), (number, Some("a=b")));
    }
    let rules = "default_ttl = \"10m\"";
    let scene = Setting { rules, ..Setting::default() }.before(numbered("Set-Cookie: a=b\r\n"));
    for number in ["1", "2"] {
        assert_eq!(scene.get("/").text(), number);
    }
    let fields = "Cache-Control: max-age=600, no-cache=\"Set-Cookie\"\r\nSet-Cookie: a=b\r\n";
    let scene = Scene::before(numbered(fields));
    for cookie in [Some("a=b"), None] {
        let answer = scene.get("/");
        assert_eq!((answer.text().as_str(), answer.field("set-cookie")), ("1", cookie));
    }
}

#[test]
fn who_is_authorized_shares_only_what_says_so() {
    let authorized = "Authorization: Basic YTpi\r\n";
    for control in ["public, max-age=600", "s-maxage=600", "max-age=600, must-revalidate"] {
        let scene = Scene::before(numbered(&format!("Cache-Control: {control}\r\n")));
        assert_eq!(scene.get_with("/", authorized).text(), "1");
        let other = scene.get("/");
        assert_eq!((other.text().as_str(), is_hit(&other)), ("1", true), "{control}");
    }
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\n"));
    assert_eq!(scene.get_with("/", authorized).text(), "1");
    assert_eq!(scene.get_with("/", authorized).text(), "2");
    assert_eq!(scene.get("/").text(), "3");
    assert!(is_hit(&scene.get("/")));
}

#[test]
fn any_status_is_stored_for_as_long_as_it_says() {
    let starts = ["203 -", "204 -", "301 -", "404 Not Found", "410 Gone", "451 -", "500 -", "503 -", "599 -"];
    for start in starts {
        let scene = Setting { service: "retry = { attempts = 0 }", ..Setting::default() }
            .before(numbered_as(start, "Cache-Control: max-age=600\r\n"));
        let first = scene.get("/");
        let second = scene.get("/");
        assert_eq!((second.status(), second.text()), (first.status(), first.text()));
        assert!(is_hit(&second), "{start}: {}", told(&second));
        assert_eq!(scene.hits(), 1, "{start}");
    }
}

#[test]
fn cdn_cache_control_goes_before_cache_control_and_is_passed_on() {
    let fields = "CDN-Cache-Control: max-age=600\r\nCache-Control: no-store\r\n";
    let scene = Scene::before(numbered(fields));
    for number in ["1", "1"] {
        let answer = scene.get("/");
        assert_eq!(answer.text(), number);
        assert_eq!(answer.field("cdn-cache-control"), Some("max-age=600"));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }
    let fields = "CDN-Cache-Control: no-store\r\nCache-Control: max-age=600\r\n";
    let scene = Scene::before(numbered(fields));
    for number in ["1", "2"] {
        assert_eq!(scene.get("/").text(), number);
    }
}

#[test]
fn where_an_answer_is_silent_the_routes_time_holds() {
    let rules = "default_ttl = \"10m\"";
    let scene = Setting { rules, ..Setting::default() }.before(numbered(""));
    assert_eq!(scene.get("/").text(), "1");
    let hit = scene.get("/");
    assert!(told(&hit).starts_with("hit; ttl=") && hit.text() == "1", "{}", told(&hit));
    for control in ["no-store", "private", "max-age=0"] {
        let fields = format!("Cache-Control: {control}\r\n");
        let scene = Setting { rules, ..Setting::default() }.before(numbered(&fields));
        for number in ["1", "2"] {
            assert_eq!(scene.get("/").text(), number, "{control}");
        }
    }
}

#[test]
fn the_routes_changes_to_fields_are_on_every_answer_once() {
    let route = "headers = { response = { add = { X-Own = \"1\" }, remove = [\"Server\"] } }";
    let scene = Setting { route, ..Setting::default() }.before(Behaviour::script(|request, stream| {
        reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\nServer: s\r\n", b"ok")
    }));
    for hit in [false, true] {
        let answer = scene.get("/");
        assert_eq!(is_hit(&answer), hit);
        assert_eq!(answer.all("x-own").collect::<Vec<_>>(), ["1"]);
        assert_eq!(answer.field("server"), None);
    }
}
