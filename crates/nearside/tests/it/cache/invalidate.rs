//! Requests that change something: what they change is not served from the store (RFC 9111 §4.4).

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::{Scene, Setting, is_hit, pattern, reply, told};
use crate::support::{Behaviour, Gate, until};

const DISK: &str = "disk = { size = \"64MiB\" }";

/// Answers GET with its number, fresh, and others with `start` and `fields`.
fn changing(start: &'static str, fields: &'static str) -> Behaviour {
    let number = AtomicU64::new(1);
    Behaviour::script(move |request, stream| match request.method() {
        "GET" => {
            let body = number.fetch_add(1, SeqCst).to_string();
            reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\n", body.as_bytes())
        }
        _ => reply(stream, request, start, fields, b"done"),
    })
}

#[test]
fn an_unsafe_request_makes_its_target_unknown() {
    for tiers in ["", DISK] {
        let scene = Setting { tiers, ..Setting::default() }.before(changing("200 OK", ""));
        let methods = ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FROBNICATE"];
        for (before, method) in (1..).zip(methods) {
            assert_eq!(scene.get("/").text(), before.to_string(), "{method}");
            assert!(is_hit(&scene.get("/")));
            let answer = scene.ask(method, "/", "");
            assert_eq!(answer.text(), "done");
            assert!(told(&answer).starts_with("fwd=method"), "{}", told(&answer));
            let next = scene.get("/");
            assert_eq!(next.text(), (before + 1).to_string(), "{method}");
        }
    }
}

#[test]
fn one_that_moves_on_does_so_too() {
    for start in ["201 Created", "204 No Content", "303 See Other"] {
        let scene = Scene::before(changing(start, ""));
        assert_eq!(scene.get("/").text(), "1");
        scene.ask("POST", "/", "");
        assert_eq!(scene.get("/").text(), "2", "{start}");
    }
}

#[test]
fn one_that_fails_changes_nothing() {
    for start in ["400 Bad Request", "404 Not Found", "500 -", "503 -"] {
        let scene = Setting { service: "retry = { attempts = 0 }", ..Setting::default() }
            .before(changing(start, "Location: /other\r\n"));
        assert_eq!(scene.get("/").text(), "1");
        assert_eq!(scene.get("/other").text(), "2");
        scene.ask("POST", "/", "");
        assert!(is_hit(&scene.get("/")) && is_hit(&scene.get("/other")), "{start}");
    }
}

#[test]
fn a_safe_one_changes_nothing() {
    let scene = Scene::before(changing("200 OK", ""));
    assert_eq!(scene.get("/").text(), "1");
    scene.ask("OPTIONS", "/", "");
    assert!(is_hit(&scene.get("/")));
}

#[test]
fn what_its_answer_names_is_unknown_too_if_it_is_of_the_same_origin() {
    let other = "Location: /a/location?x=1\r\nContent-Location: http://shop.test/content\r\n";
    let scene = Scene::before(changing("201 Created", other));
    for target in ["/a/post", "/a/location?x=1", "/content", "/a/location"] {
        scene.get(target);
    }
    assert_eq!(scene.hits(), 4);
    scene.ask("POST", "/a/post", "");
    for (target, hit) in
        [("/a/post", false), ("/a/location?x=1", false), ("/content", false), ("/a/location", true)]
    {
        assert_eq!(is_hit(&scene.get(target)), hit, "{target}");
    }
}

#[test]
fn relative_references_are_resolved() {
    let scene = Scene::before(changing("201 Created", "Location: ../b/new\r\nContent-Location: same\r\n"));
    for target in ["/a/post", "/b/new", "/a/same"] {
        scene.get(target);
    }
    scene.ask("POST", "/a/post", "");
    for target in ["/a/post", "/b/new", "/a/same"] {
        assert!(!is_hit(&scene.get(target)), "{target}");
    }
}

#[test]
fn nobody_makes_what_is_of_another_host_unknown() {
    let fields = "Location: http://other.test/a\r\nContent-Location: //other.test/b\r\n";
    let scene = Scene::before(changing("201 Created", fields));
    let mut client = scene.node.client();
    let mut other = |target: &str| {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: other.test\r\n\r\n")).unwrap();
        client.answer().unwrap()
    };
    other("/a");
    other("/b");
    scene.ask("POST", "/post", "");
    assert!(is_hit(&other("/a")) && is_hit(&other("/b")));
}

#[test]
fn all_variants_of_it_are_unknown() {
    let scene = Scene::before(Behaviour::script(|request, stream| {
        let fields = "Cache-Control: max-age=600\r\nVary: X-Language\r\n";
        reply(stream, request, "200 OK", fields, b"ok")
    }));
    for language in ["en", "de"] {
        scene.get_with("/", &format!("X-Language: {language}\r\n"));
    }
    scene.ask("PUT", "/", "");
    for language in ["en", "de"] {
        let answer = scene.get_with("/", &format!("X-Language: {language}\r\n"));
        assert!(!is_hit(&answer), "{language}: {}", told(&answer));
    }
}

#[test]
fn what_was_being_fetched_when_it_changed_is_not_stored() {
    let gate = Gate::default();
    let (passing, number) = (gate.clone(), AtomicU64::new(1));
    let scene = Scene::before(Behaviour::script(move |request, stream| {
        if request.method() == "POST" {
            return reply(stream, request, "204 No Content", "", b"");
        }
        let number = number.fetch_add(1, SeqCst);
        if number == 1 {
            passing.pass()?;
        }
        reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\n", number.to_string().as_bytes())
    }));
    let mut early = scene.asking("/", "");
    until("it is being fetched", || scene.hits() == 1);
    assert_eq!(scene.ask("POST", "/", "").status(), 204);
    let mut late = scene.asking("/", "");
    assert_eq!(late.answer().unwrap().text(), "2", "who asks after the change doesn't wait for the old one");
    gate.open();
    assert_eq!(early.answer().unwrap().text(), "1");
    let now = scene.get("/");
    assert_eq!((now.text().as_str(), is_hit(&now)), ("2", true));
}

#[test]
fn an_answer_to_post_that_is_what_get_would_give_is_stored() {
    let scene = Scene::before(changing("200 OK", "Content-Location: /a\r\nCache-Control: max-age=600\r\n"));
    let answer = scene.ask("POST", "/a", "");
    assert!(told(&answer).contains("; stored"), "{}", told(&answer));
    let get = scene.get("/a");
    assert_eq!((get.text().as_str(), is_hit(&get)), ("done", true));
    let scene = Scene::before(changing("200 OK", "Content-Location: /b\r\nCache-Control: max-age=600\r\n"));
    scene.ask("POST", "/a", "");
    for target in ["/a", "/b"] {
        assert!(!is_hit(&scene.get(target)), "{target}");
    }
}

#[test]
fn a_put_with_a_body_reaches_the_endpoint_whole() {
    let scene = Scene::before(Behaviour::Echo);
    let body = "x".repeat(100_000);
    let answer = scene.node.client().ask("PUT", "/", body.as_bytes()).unwrap();
    assert_eq!(answer.json()["body"], body.as_str());
}

#[test]
fn what_one_client_fetches_for_itself_is_not_stored_either_if_it_changes_meanwhile() {
    for tiers in ["", DISK] {
        let gate = Gate::default();
        let (passing, number) = (gate.clone(), AtomicU64::new(1));
        let scene =
            Setting { tiers, ..Setting::default() }.before(Behaviour::script(move |request, stream| {
                if request.method() == "POST" {
                    return reply(stream, request, "204 No Content", "", b"");
                }
                let number = number.fetch_add(1, SeqCst);
                if number == 2 {
                    passing.pass()?;
                }
                let body = number.to_string();
                reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\n", body.as_bytes())
            }));
        assert_eq!(scene.get("/").text(), "1");
        let mut own = scene.asking("/", "Cache-Control: no-cache\r\n");
        until("it is being fetched", || scene.hits() == 2);
        assert_eq!(scene.ask("POST", "/", "").status(), 204);
        gate.open();
        assert_eq!(own.answer().unwrap().text(), "2");
        let now = scene.get("/");
        assert_eq!((now.text().as_str(), is_hit(&now)), ("3", false));
        assert!(is_hit(&scene.get("/")), "what is asked for after the change is stored");
    }
}

#[test]
fn of_a_large_one_that_changes_while_it_is_written_to_disk_nothing_stays() {
    let (gate, body) = (Gate::default(), pattern(4 << 20));
    let (passing, whole) = (gate.clone(), body.clone());
    let tiers = "memory = \"8MiB\"\ndisk = { size = \"64MiB\" }";
    let scene =
        Setting { tiers, ..Setting::default() }.before(Behaviour::script(move |request, mut stream| {
            if request.method() == "POST" {
                return reply(stream, request, "204 No Content", "", b"");
            }
            let (first, second) = whole.split_at(whole.len() / 2);
            let length = whole.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            stream.write_all(first)?;
            passing.pass()?;
            stream.write_all(second)
        }));
    let mut early = scene.asking("/", "");
    assert_eq!(early.answer_head().unwrap().status(), 200);
    let (mut first, mut second) = (vec![0; body.len() / 2], vec![0; body.len() / 2]);
    early.reader().read_exact(&mut first).unwrap();
    until("it is being written", || scene.node.tier("disk")["objects"] == 1);
    assert_eq!(scene.ask("POST", "/", "").status(), 204);
    gate.open();
    early.reader().read_exact(&mut second).unwrap();
    assert!([first, second].concat() == body, "who reads along gets all of it");
    until("nothing of it stays", || scene.node.tier("disk")["objects"] == 0);
    assert!(!is_hit(&scene.get("/")));
}

#[test]
fn an_answer_to_post_for_who_passes_the_cache_by_is_not_stored() {
    let fields = "Content-Location: /a\r\nCache-Control: max-age=600\r\n";
    let rules = "bypass = [\"cookie:session\"]";
    let scene = Setting { rules, ..Setting::default() }.before(changing("200 OK", fields));
    let answer = scene.ask("POST", "/a", "Cookie: session=1\r\n");
    assert!(!told(&answer).contains("; stored"), "{}", told(&answer));
    assert!(!is_hit(&scene.get("/a")));
}
