//! Conditions of clients, validation of what is stale, HEAD, and what clients may ask of a cache
//! (RFC 9110 §13, RFC 9111 §4.3, §5.2.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::json;

use super::{Scene, Setting, is_hit, numbered, numbered_as, reply, told, versions};
use crate::support::{Behaviour, Gate, Message, until};

/// A `Last-Modified`, what is an hour before it, and what is after it.
const MODIFIED: &str = "Tue, 01 Sep 2026 10:00:00 GMT";
const BEFORE: &str = "Tue, 01 Sep 2026 09:00:00 GMT";
const AFTER: &str = "Tue, 01 Sep 2026 11:00:00 GMT";

#[track_caller]
fn assert_not_modified(answer: &Message) {
    assert_eq!((answer.status(), answer.body.len()), (304, 0));
    assert_eq!(answer.field("etag"), Some("\"a\""));
    assert!(answer.field("date").is_some());
    assert_eq!(answer.field("cache-control"), Some("max-age=600"));
    assert_eq!(answer.field("content-type"), None, "it describes a body that isn't there");
}

/// A node that has stored an answer with both validators.
fn stored() -> Scene {
    let fields = format!(
        "Cache-Control: max-age=600\r\nContent-Type: text/plain\r\nETag: \"a\"\r\nLast-Modified: {MODIFIED}\r\n"
    );
    let scene = Scene::before(numbered(&fields));
    assert_eq!(scene.get("/").text(), "1");
    scene
}

#[test]
fn who_has_what_is_stored_is_told_so() {
    let scene = stored();
    let same =
        ["If-None-Match: \"a\"", "If-None-Match: W/\"a\"", "If-None-Match: \"x\", \"a\"", "If-None-Match: *"];
    for condition in same {
        assert_not_modified(&scene.get_with("/", &format!("{condition}\r\n")));
    }
    for since in [MODIFIED, AFTER, "Tuesday, 01-Sep-26 10:00:00 GMT", "Tue Sep  1 10:00:00 2026"] {
        assert_not_modified(&scene.get_with("/", &format!("If-Modified-Since: {since}\r\n")));
    }
    assert_eq!(scene.hits(), 1);
}

#[test]
fn who_has_something_else_gets_what_is_stored() {
    let scene = stored();
    let others = [
        "If-None-Match: \"b\"".to_owned(),
        format!("If-Modified-Since: {BEFORE}"),
        "If-Modified-Since: yesterday".to_owned(),
        format!("If-None-Match: \"b\"\r\nIf-Modified-Since: {AFTER}"), // the tag goes before the date
    ];
    for condition in others {
        let answer = scene.get_with("/", &format!("{condition}\r\n"));
        assert_eq!((answer.status(), answer.text().as_str()), (200, "1"), "{condition}");
    }
    assert_eq!(scene.hits(), 1);
}

#[test]
fn a_clients_condition_does_not_keep_an_answer_from_the_others() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\nETag: \"a\"\r\n"));
    let first = scene.get_with("/", "If-None-Match: \"a\"\r\n");
    assert_eq!((first.status(), first.body.len()), (304, 0));
    assert_eq!(scene.seen().field("if-none-match"), None, "what comes is for all");
    let second = scene.get("/");
    assert_eq!((second.text().as_str(), is_hit(&second)), ("1", true));
}

#[test]
fn what_is_stale_is_validated_and_used_on() {
    let version = Arc::new(AtomicU64::new(1));
    let scene = Scene::before(versions(&version, "Cache-Control: max-age=10\r\nAge: 10\r\n"));
    assert_eq!(scene.get("/").text(), "version 1");
    let again = scene.get("/");
    assert_eq!((again.status(), again.text().as_str()), (200, "version 1"));
    assert_eq!(scene.seen().field("if-none-match"), Some("\"v1\""));
    assert!(
        told(&again).contains("fwd=stale") && told(&again).contains("fwd-status=304"),
        "{}",
        told(&again)
    );
    version.store(2, SeqCst);
    assert_eq!(scene.get("/").text(), "version 2");
    assert_eq!(scene.hits(), 3);
}

#[test]
fn a_client_that_has_it_is_told_so_after_a_validation_too() {
    let version = Arc::new(AtomicU64::new(1));
    let scene = Scene::before(versions(&version, "Cache-Control: max-age=10\r\nAge: 10\r\n"));
    assert_eq!(scene.get("/").text(), "version 1");
    let same = scene.get_with("/", "If-None-Match: \"v1\"\r\n");
    assert_eq!((same.status(), same.body.len()), (304, 0));
    let other = scene.get_with("/", "If-None-Match: \"v0\"\r\n");
    assert_eq!((other.status(), other.text().as_str()), (200, "version 1"));
    assert_eq!(scene.seen().field("if-none-match"), Some("\"v1\""));
}

#[test]
fn a_304_renews_fields_and_freshness() {
    let asked = AtomicU64::new(0);
    let scene = Scene::before(Behaviour::script(move |request, stream| match asked.fetch_add(1, SeqCst) {
        0 => {
            let fields = "Cache-Control: max-age=10\r\nAge: 10\r\nETag: \"a\"\r\nX-Kept: 1\r\nX-New: 1\r\n";
            reply(stream, request, "200 OK", fields, b"body")
        }
        _ => {
            let fields = "Cache-Control: max-age=600\r\nETag: \"a\"\r\nX-New: 2\r\nContent-Length: 99\r\n";
            reply(stream, request, "304 Not Modified", fields, b"")
        }
    }));
    assert_eq!(scene.get("/").field("x-new"), Some("1"));
    for _ in 0..2 {
        let answer = scene.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "body"));
        let fields = ["x-kept", "x-new", "content-length", "cache-control"].map(|name| answer.field(name));
        assert_eq!(fields, [Some("1"), Some("2"), Some("4"), Some("max-age=600")]);
    }
    assert_eq!(scene.hits(), 2, "the last was a hit");
}

#[test]
fn many_who_want_what_is_stale_cost_one_validation() {
    let version = Arc::new(AtomicU64::new(1));
    let gate = Gate::default();
    let passing = gate.clone();
    let scene = Scene::before(Behaviour::script(move |request, stream| {
        let has_it = request.field("if-none-match").is_some();
        let fields = if has_it {
            passing.pass()?;
            "Cache-Control: max-age=600\r\nETag: \"a\"\r\n"
        } else {
            "Cache-Control: max-age=10\r\nAge: 10\r\nETag: \"a\"\r\n"
        };
        let start = if has_it { "304 Not Modified" } else { "200 OK" };
        reply(stream, request, start, fields, version.load(SeqCst).to_string().as_bytes())
    }));
    assert_eq!(scene.get("/").text(), "1");
    let mut clients: Vec<_> = (0..50).map(|_| scene.asking("/", "")).collect();
    until("all are there", || scene.node.counted("nearside_connections") == 50);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().text(), "1");
    }
    assert_eq!(scene.hits(), 2);
}

#[test]
fn head_is_answered_from_what_get_stored() {
    let scene = stored();
    let answer = scene.ask("HEAD", "/", "");
    assert_eq!((answer.status(), answer.field("content-length")), (200, Some("1")));
    assert!(is_hit(&answer));
    assert_not_modified(&scene.ask("HEAD", "/", "If-None-Match: \"a\"\r\n"));
    assert_eq!(scene.hits(), 1);
}

#[test]
fn head_stores_nothing_for_get() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\n"));
    let head = scene.ask("HEAD", "/", "");
    assert_eq!((head.status(), head.field("content-length")), (200, Some("1")));
    assert_eq!(scene.seen().method(), "HEAD");
    assert_eq!(scene.get("/").text(), "2");
    assert!(is_hit(&scene.get("/")));
}

#[test]
fn what_is_only_wanted_from_the_cache_is_not_fetched() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\n"));
    let wanted = "Cache-Control: only-if-cached\r\n";
    assert_eq!(scene.get_with("/", wanted).status(), 504);
    assert_eq!(scene.ask("HEAD", "/", wanted).status(), 504);
    assert_eq!(scene.hits(), 0);
    assert_eq!(scene.get("/").text(), "1");
    assert_eq!(scene.get_with("/", wanted).text(), "1");
    assert_eq!(scene.hits(), 1);
}

#[test]
fn a_client_may_want_a_newer_one() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\nAge: 100\r\n"));
    assert_eq!(scene.get("/").text(), "1");
    let wants = ["no-cache", "max-age=0", "max-age=50", "min-fresh=550"];
    for (number, want) in (2..).zip(wants) {
        let answer = scene.get_with("/", &format!("Cache-Control: {want}\r\n"));
        assert_eq!(answer.text(), number.to_string(), "{want}");
        assert!(told(&answer).starts_with("fwd=request"), "{}", told(&answer));
        assert_eq!(scene.get("/").text(), number.to_string(), "{want}: it takes the place of the old one");
    }
    let pragma = scene.get_with("/", "Pragma: no-cache\r\n");
    assert_eq!(pragma.text(), "6");
    for content in ["max-age=500", "min-fresh=100", "nothing-to-see-here"] {
        assert!(is_hit(&scene.get_with("/", &format!("Cache-Control: {content}\r\n"))), "{content}");
    }
}

#[test]
fn what_a_client_wants_unstored_is_not_stored() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\n"));
    let answer = scene.get_with("/", "Cache-Control: no-store\r\n");
    assert!(!told(&answer).contains("; stored"), "{}", told(&answer));
    assert!(told(&answer).contains("detail=request-no-store"), "{}", told(&answer));
    assert_eq!(scene.get("/").text(), "2");
}

#[test]
fn conditions_are_about_answers_that_succeed() {
    let fields = "Cache-Control: max-age=600\r\nETag: \"a\"\r\n";
    let scene = Scene::before(numbered_as("404 Not Found", fields));
    assert_eq!(scene.get("/").status(), 404);
    let answer = scene.get_with("/", "If-None-Match: \"a\"\r\n");
    assert_eq!((answer.status(), answer.text().as_str(), is_hit(&answer)), (404, "1", true));
}

#[test]
fn what_is_confirmed_to_one_whose_answers_are_not_kept_stays_for_the_others() {
    let scene = Scene::before(versions(&Arc::new(AtomicU64::new(1)), "Cache-Control: max-age=600\r\n"));
    assert_eq!(scene.get("/").text(), "version 1");
    for private in
        ["Cache-Control: no-cache, no-store\r\n", "Cache-Control: no-cache\r\nAuthorization: x\r\n"]
    {
        let own = scene.get_with("/", private);
        assert_eq!(own.text(), "version 1");
        assert!(told(&own).contains("fwd-status=304"), "{}", told(&own));
        assert!(is_hit(&scene.get("/")), "{private}");
    }
}

/// A node whose route has these rules and that has stored an answer with these fields. To HEAD its endpoint
/// answers with the others, and says `X-Session` to who has a cookie, once the gate is open.
fn before_head(rules: &str, fields: &'static str, to_head: &'static str, gate: &Gate) -> Scene {
    let gate = gate.clone();
    let scene = Setting { rules, ..Setting::default() }.before(Behaviour::script(move |request, stream| {
        let session = request.field("cookie").map_or("", |_| "X-Session: 1\r\n");
        let fields = match request.method() {
            "HEAD" => {
                gate.pass()?;
                to_head
            }
            _ => fields,
        };
        reply(stream, request, "200 OK", &format!("{fields}{session}ETag: \"a\"\r\n"), b"body")
    }));
    assert_eq!(scene.get("/").text(), "body");
    scene
}

fn open() -> Gate {
    let gate = Gate::default();
    gate.open();
    gate
}

#[test]
fn an_answer_to_head_renews_what_is_stored() {
    let stale = "Cache-Control: max-age=10\r\nAge: 10\r\n";
    let scene = before_head("", stale, "Cache-Control: max-age=600\r\nX-New: 1\r\n", &open());
    assert!(!is_hit(&scene.ask("HEAD", "/", "")));
    let answer = scene.get("/");
    assert_eq!((answer.text().as_str(), answer.field("x-new"), is_hit(&answer)), ("body", Some("1"), true));
}

#[test]
fn it_does_so_by_the_rules_of_the_route() {
    let scene = before_head("default_ttl = \"10m\"", "Age: 700\r\n", "", &open());
    assert!(!is_hit(&scene.ask("HEAD", "/", "")));
    assert!(is_hit(&scene.get("/")), "it is fresh for ten minutes again");
}

#[test]
fn it_does_not_undo_a_soft_purge_that_came_meanwhile() {
    let gate = Gate::default();
    let stale = "Cache-Control: max-age=10\r\nAge: 10\r\n";
    let scene = before_head("", stale, "Cache-Control: max-age=600\r\n", &gate);
    let mut client = scene.node.client();
    client.send("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n").unwrap();
    until("it is on its way", || scene.hits() == 2);
    scene.node.purge(&json!({ "urls": ["http://shop.test/"], "soft": true }));
    gate.open();
    assert_eq!(client.answer_head().unwrap().status(), 200);
    let answer = scene.get("/");
    assert!(told(&answer).starts_with("fwd=stale"), "{}", told(&answer));
}

#[test]
fn what_head_brings_to_who_passes_the_cache_by_is_for_nobody_else() {
    let fresh = "Cache-Control: max-age=600\r\n";
    let scene = before_head("bypass = [\"cookie:session\"]", fresh, fresh, &open());
    let own = scene.ask("HEAD", "/", "Cookie: session=1\r\n");
    assert_eq!((own.field("x-session"), is_hit(&own)), (Some("1"), false));
    let answer = scene.get("/");
    assert_eq!((answer.field("x-session"), is_hit(&answer)), (None, true));
}
