//! Purges: by URL, prefix, tag and all; by the API, the command and the method; exact, counted, and for
//! good, whatever is under way and whatever happens then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::{Value, json};

use super::{Scene, Setting, is_hit, pattern, read_past, reply, told};
use crate::support::{Behaviour, Endpoint, Gate, Message, command, until};

const ALLOWED: &str = "purge_from = [\"127.0.0.0/8\"]";
const DISK: &str = "memory = \"8MiB\"\ndisk = { size = \"128MiB\" }";
/// What is stored before a purge.
const TARGETS: [&str; 9] =
    ["/", "/one", "/two", "/twofold", "/dir/", "/dir/one", "/dir/two?x=1", "/dir2/one", "/directory"];

/// Answers with the number of requests of this target so far. Each segment of the path is a tag, and
/// `s-` before it another.
fn tagged() -> Behaviour {
    let numbers: Mutex<HashMap<String, u32>> = Mutex::default();
    Behaviour::script(move |request, stream| {
        let mut numbers = numbers.lock().unwrap();
        let number = numbers.entry(request.target().to_owned()).or_default();
        *number += 1;
        let path = request.target().split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let keys: Vec<String> = segments.iter().map(|s| format!("s-{s}")).collect();
        let fields = format!(
            "Cache-Control: max-age=600\r\nETag: \"{number}\"\r\nCache-Tag: {}\r\nSurrogate-Key: {}\r\n",
            segments.join(", "),
            keys.join(" ")
        );
        reply(stream, request, "200 OK", &fields, number.to_string().as_bytes())
    })
}

/// A node that has all targets stored.
#[track_caller]
fn stored(tiers: &str) -> Scene {
    let scene = Setting { tiers, ..Setting::default() }.before(tagged());
    for target in TARGETS {
        assert_eq!(scene.get(target).text(), "1");
    }
    scene
}

/// These are gone, the others are still there.
#[track_caller]
fn assert_gone(scene: &Scene, gone: &[&str]) {
    for target in TARGETS {
        let answer = scene.get(target);
        assert_eq!(!is_hit(&answer), gone.contains(&target), "{target}: {}", told(&answer));
    }
}

#[test]
fn exactly_what_is_named_is_gone() {
    let table: [(Value, &[&str]); 12] = [
        (json!({ "urls": ["http://shop.test/two"] }), &["/two"]),
        (json!({ "urls": ["HTTP://Shop.Test:80/%74wo", "http://shop.test/one"] }), &["/one", "/two"]),
        (json!({ "urls": ["http://shop.test"] }), &["/"]),
        (json!({ "urls": ["http://shop.test/dir/two"] }), &[]),
        (json!({ "urls": ["http://shop.test/dir/two?x=1"] }), &["/dir/two?x=1"]),
        (json!({ "urls": ["http://other.test/two", "https://shop.test/two"] }), &[]),
        (json!({ "prefixes": ["http://shop.test/dir/"] }), &["/dir/", "/dir/one", "/dir/two?x=1"]),
        (json!({ "prefixes": ["http://shop.test/dir/t"] }), &["/dir/two?x=1"]),
        (json!({ "prefixes": ["http://shop.test"] }), &TARGETS),
        (json!({ "tags": ["two"] }), &["/two", "/dir/two?x=1"]),
        (json!({ "tags": ["s-two", "directory"] }), &["/two", "/dir/two?x=1", "/directory"]),
        (json!({ "all": true }), &TARGETS),
    ];
    for tiers in ["", DISK] {
        for (order, gone) in &table {
            let scene = stored(tiers);
            assert_eq!(scene.node.purge(order), gone.len() as u64, "{order}");
            assert_gone(&scene, gone);
        }
    }
}

#[test]
fn all_variants_of_a_url_go_together() {
    let scene = Setting::default().before(Behaviour::script(|request, stream| {
        let fields = "Cache-Control: max-age=600\r\nVary: X-Language\r\n";
        reply(stream, request, "200 OK", fields, b"ok")
    }));
    let ask = |language: &str| scene.get_with("/a", &format!("X-Language: {language}\r\n"));
    for language in ["en", "de", "fr"] {
        ask(language);
    }
    assert_eq!(scene.node.purge(&json!({ "urls": ["http://shop.test/a"] })), 3);
    for language in ["en", "de", "fr"] {
        assert!(!is_hit(&ask(language)), "{language}");
    }
}

#[test]
fn a_url_is_found_as_its_route_keeps_it() {
    let rules = "vary_query = [\"v\"]";
    let scene = Setting { rules, ..Setting::default() }.before(tagged());
    scene.get("/a?v=1&x=2");
    assert_eq!(scene.node.purge(&json!({ "urls": ["http://shop.test/a?y=3&v=1"] })), 1);
    assert!(!is_hit(&scene.get("/a?v=1")));
}

#[test]
fn the_command_purges_and_says_what_it_did() {
    let scene = stored("");
    let admin = format!("http://{}", scene.node.admin);
    let purge = |args: &[&str]| {
        let output = command().arg("purge").args(args).args(["--admin", &admin, "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        shown["nodes"][0]["removed"].as_u64().unwrap()
    };
    assert_eq!(purge(&["http://shop.test/two", "--tag", "twofold"]), 2);
    assert_gone(&scene, &["/two", "/twofold"]);
    assert_eq!(purge(&["--prefix", "http://shop.test/dir"]), 5);
    assert_eq!(purge(&["--all"]), TARGETS.len() as u64 - 5);
    assert_gone(&scene, &TARGETS);
}

#[test]
fn the_method_purges_what_it_asks_for() {
    for tiers in [ALLOWED.to_owned(), format!("{ALLOWED}\n{DISK}")] {
        let scene = stored(&tiers);
        let answer = scene.ask("PURGE", "/two", "");
        assert_eq!((answer.status(), answer.text().trim()), (200, "{\"removed\":1}"));
        assert_gone(&scene, &["/two"]);
        let answer = scene.ask("PURGE", "/never", "");
        assert_eq!((answer.status(), answer.text().trim()), (200, "{\"removed\":0}"));
        assert!(scene.endpoint.seen().iter().all(|request| request.method() == "GET"));
    }
}

#[test]
fn the_method_is_for_those_who_may() {
    for tiers in ["", "purge_from = [\"192.0.2.0/24\"]"] {
        let scene = stored(tiers);
        assert_eq!(scene.ask("PURGE", "/two", "").status(), 403);
        // Nobody of that address may say so either.
        assert_eq!(scene.ask("PURGE", "/two", "X-Forwarded-For: 192.0.2.1\r\n").status(), 403);
        assert_gone(&scene, &[]);
    }
}

/// A node that has stored an answer with these fields and was then told to purge it softly.
#[track_caller]
fn softly(fields: &str) -> Scene {
    let service = "retry = { attempts = 0 }";
    let scene = Setting { service, tiers: ALLOWED, ..Setting::default() }.before(super::numbered(fields));
    assert_eq!(scene.get("/").text(), "1");
    assert!(is_hit(&scene.get("/")));
    assert_eq!(scene.node.purge(&json!({ "urls": ["http://shop.test/"], "soft": true })), 1);
    scene
}

#[test]
fn what_is_purged_softly_is_validated() {
    let scene = softly("Cache-Control: max-age=600\r\nETag: \"a\"\r\n");
    scene.endpoint.behave(Behaviour::script(|request, stream| {
        reply(stream, request, "304 Not Modified", "ETag: \"a\"\r\nCache-Control: max-age=600\r\n", b"")
    }));
    let answer = scene.get("/");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "1"));
    assert!(told(&answer).contains("fwd-status=304"), "{}", told(&answer));
    assert_eq!(scene.seen().field("if-none-match"), Some("\"a\""));
    until("it is fresh again", || is_hit(&scene.get("/")));
}

#[test]
fn what_is_purged_softly_stands_in_for_a_failure_and_what_is_purged_does_not() {
    let fields = "Cache-Control: max-age=600, stale-if-error=600\r\n";
    let soft = softly(fields);
    soft.endpoint.stop();
    assert_eq!(soft.get("/").text(), "1");
    let hard = softly(fields);
    hard.node.purge(&json!({ "urls": ["http://shop.test/"] }));
    hard.endpoint.stop();
    assert_eq!(hard.get("/").status(), 502);
}

#[test]
fn what_is_purged_softly_is_given_at_once_while_it_is_renewed() {
    let scene = softly("Cache-Control: max-age=600, stale-while-revalidate=600\r\n");
    let answer = scene.get("/");
    assert_eq!((answer.text().as_str(), is_hit(&answer)), ("1", true));
    until("it is renewed", || scene.get("/").text() == "2");
    assert_eq!(scene.hits(), 2);
}

#[test]
fn what_must_be_validated_is_so_after_a_soft_purge_too() {
    let scene = softly("Cache-Control: max-age=600, must-revalidate, stale-if-error=600\r\nETag: \"a\"\r\n");
    scene.endpoint.stop();
    assert_eq!(scene.get("/").status(), 504, "as RFC 9111 §5.2.2.2 has it");
}

/// Each way to purge `/dir/two`.
fn ways() -> Vec<Value> {
    vec![
        json!({ "urls": ["http://shop.test/dir/two"] }),
        json!({ "prefixes": ["http://shop.test/dir/"] }),
        json!({ "tags": ["two"] }),
        json!({ "all": true }),
        json!({ "urls": ["http://shop.test/dir/two"], "soft": true }),
    ]
}

/// Sends the first answer in two parts, `before` and after the gate, and later ones at once.
fn slowly(before: &str, after: &str, gate: &Gate) -> Behaviour {
    let (before, after) = (before.to_owned(), after.to_owned());
    let (gate, first) = (gate.clone(), Mutex::new(true));
    Behaviour::script(move |request, stream| {
        if !std::mem::take(&mut *first.lock().unwrap()) {
            return reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\n", b"new");
        }
        crate::support::answer(stream, &before)?;
        gate.pass()?;
        crate::support::answer(stream, &after)
    })
}

#[test]
fn what_is_purged_while_it_is_fetched_is_not_stored() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nCache-Tag: two\r\n";
    // Small ones are held till they are whole.
    let half = format!("{head}Content-Length: 100023\r\n\r\n{}first half,", " ".repeat(100_000));
    let whole = half.clone() + " second half";
    for (before, after) in [("", whole.as_str()), (&half, " second half")] {
        for tiers in ["", DISK] {
            for way in ways() {
                let gate = Gate::default();
                let scene = Setting { tiers, ..Setting::default() }.before(slowly(before, after, &gate));
                let mut early = scene.asking("/dir/two", "");
                until("it is being fetched", || scene.hits() == 1);
                if !before.is_empty() {
                    read_past(&mut early, "first half,").unwrap();
                }
                scene.node.purge(&way);
                gate.open();
                read_past(&mut early, "second half").unwrap();
                let next = scene.get("/dir/two");
                assert_eq!(next.text(), "new", "{way} after {} bytes: {}", before.len(), told(&next));
            }
        }
    }
}

#[test]
fn who_asks_after_a_purge_does_not_get_what_was_being_fetched() {
    let whole = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\nold";
    for way in ways().into_iter().filter(|way| way["tags"].is_null()) {
        let gate = Gate::default();
        let scene = Setting::default().before(slowly("", whole, &gate));
        let mut early = scene.asking("/dir/two", "");
        until("it is being fetched", || scene.hits() == 1);
        scene.node.purge(&way);
        assert_eq!(scene.get("/dir/two").text(), "new", "{way}");
        gate.open();
        assert_eq!(early.answer().unwrap().text(), "old");
        assert_eq!(scene.get("/dir/two").text(), "new", "{way}");
    }
}

/// Answers `/SIZE/NAME` with so many bytes that tell the version they are of, and the tag NAME.
fn sized() -> Behaviour {
    Behaviour::script(|request, stream| {
        let (size, name) = request.target()[1..].split_once('/').unwrap_or(("0", ""));
        let fields = format!("Cache-Control: max-age=3600\r\nCache-Tag: {name}\r\n");
        reply(stream, request, "200 OK", &fields, &pattern(size.parse().unwrap_or(0)))
    })
}

#[test]
fn nothing_that_was_purged_comes_back_after_a_crash() {
    let targets: Vec<String> = [100, 5_000, 100_000, 2_000_000]
        .iter()
        .flat_map(|size| ["url", "prefix", "tag", "stays"].map(|name| format!("/{size}/{name}")))
        .collect();
    let mut scene = Setting { tiers: DISK, ..Setting::default() }.before(sized());
    for target in &targets {
        scene.get(target);
    }
    scene.until_written("/2000000/stays");
    let named = |name: &str| -> Vec<String> {
        let those = targets.iter().filter(|target| target.ends_with(name));
        those.map(|target| format!("http://shop.test{target}")).collect()
    };
    let order = json!({ "urls": named("/url"), "prefixes": named("/prefix"), "tags": ["tag"] });
    // Of what is only on disk, a purge by prefix or tag can't say how much it is.
    assert!((10..=12).contains(&scene.node.purge(&order)));
    scene.node.kill();
    scene.node.start_again();
    until("the tier is there", || scene.node.tier("disk")["state"] == "up");
    for target in &targets {
        let answer: Message = scene.get(target);
        let size: usize = target[1..].split('/').next().unwrap().parse().unwrap();
        assert!(answer.body == pattern(size));
        assert_eq!(is_hit(&answer), target.ends_with("/stays"), "{target}: {}", told(&answer));
    }
}

#[test]
fn a_purge_of_everything_lasts_too() {
    let mut scene = Setting { tiers: DISK, ..Setting::default() }.before(sized());
    let targets = ["/100/a", "/100000/a", "/2000000/a"];
    for target in targets {
        scene.get(target);
    }
    scene.until_written("/2000000/a");
    assert_eq!(scene.node.purge(&json!({ "all": true })), 3);
    scene.node.kill();
    scene.node.start_again();
    for target in targets {
        assert!(!is_hit(&scene.get(target)), "{target}");
    }
}

#[test]
fn what_a_softly_purged_object_is_stays_known_after_a_crash() {
    let fields = "Cache-Control: max-age=600, stale-if-error=600\r\nETag: \"a\"\r\n";
    let mut scene = Setting { tiers: DISK, ..Setting::default() }.before(super::numbered(fields));
    scene.get("/");
    assert_eq!(scene.node.tier("disk")["objects"], 1);
    scene.node.purge(&json!({ "all": true, "soft": true }));
    scene.node.kill();
    scene.node.start_again();
    let answer = scene.get("/");
    assert_eq!(answer.text(), "2", "it was not fresh: {}", told(&answer));
}

#[test]
fn an_endpoint_is_not_asked_to_purge() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = crate::support::Nearside::start(&crate::support::shop(&[endpoint.url()], ""));
    let answer = node.client().ask("PURGE", "/", b"").unwrap();
    assert_eq!(answer.json()["method"], "PURGE", "without a cache it is a method as any other");
}

#[test]
fn those_who_wait_for_what_is_purged_share_one_new_fetch() {
    const CLIENTS: usize = 50;
    let whole =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nCache-Tag: two\r\nContent-Length: 3\r\n\r\nold";
    for way in ways() {
        let gate = Gate::default();
        let scene = Setting::default().before(slowly("", whole, &gate));
        let mut clients = vec![scene.asking("/dir/two", "")];
        until("it is being fetched", || scene.hits() == 1);
        clients.extend((1..CLIENTS).map(|_| scene.asking("/dir/two", "")));
        until("all are there", || scene.node.counted("nearside_connections") == CLIENTS as u64);
        scene.node.purge(&way);
        gate.open();
        let texts = clients.iter_mut().map(|client| client.answer().unwrap().text());
        assert!(texts.skip(1).all(|text| text == "new"), "{way}");
        assert!(scene.hits() < 10, "{way}: {} fetches", scene.hits());
    }
}

#[test]
fn a_validation_that_a_purge_overtakes_is_not_believed() {
    let gate = Gate::default();
    let (passing, number) = (gate.clone(), AtomicU64::new(1));
    // Its tag stays the same though the body doesn't: that is what it is purged for.
    let scene = Scene::before(Behaviour::script(move |request, stream| {
        let fields = "Cache-Control: max-age=10\r\nAge: 10\r\nETag: \"a\"\r\n";
        if request.field("if-none-match").is_some() {
            passing.pass()?;
            return reply(stream, request, "304 Not Modified", fields, b"");
        }
        let number = number.fetch_add(1, SeqCst).to_string();
        reply(stream, request, "200 OK", fields, number.as_bytes())
    }));
    assert_eq!(scene.get("/").text(), "1");
    let mut early = scene.asking("/", "");
    until("it is being validated", || scene.hits() == 2);
    scene.node.purge(&json!({ "urls": ["http://shop.test/"] }));
    gate.open();
    assert_eq!(early.answer().unwrap().text(), "2");
    assert_eq!(scene.get("/").text(), "2");
}
