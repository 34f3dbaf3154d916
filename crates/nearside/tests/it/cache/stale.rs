//! Stale answers: given at once while a new one is fetched, and in place of failures; never where the
//! answer forbids it (RFC 9111 §4.2.4, RFC 5861).

use std::time::{Duration, Instant};

use super::{Scene, Setting, is_hit, numbered, reply, told};
use crate::support::{Behaviour, Client, Endpoint, Gate, Message, until};

/// A service that is asked once for each request, and given up soon.
const ONCE: &str = "retry = { attempts = 0 }\ntimeout = { response = \"1s\" }\noutliers = { errors = 1000 }";
/// Clients at once.
const CLIENTS: usize = 20;

/// Answers `old` with these fields, which should make it stale at once.
fn old(fields: &str) -> Behaviour {
    let fields = fields.to_owned();
    Behaviour::script(move |request, stream| reply(stream, request, "200 OK", &fields, b"old"))
}

/// Answers `new` once the gate is open, and it stays fresh.
fn new(gate: &Gate) -> Behaviour {
    let gate = gate.clone();
    Behaviour::script(move |request, stream| {
        gate.pass()?;
        reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\n", b"new")
    })
}

/// All ask at once, and get this from the store.
#[track_caller]
fn all_get(scene: &Scene, text: &str) {
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| scene.asking("/", "")).collect();
    for client in &mut clients {
        let answer = client.answer().unwrap();
        assert_eq!((answer.text().as_str(), is_hit(&answer)), (text, true));
    }
}

#[track_caller]
fn is_renewed_by_one_fetch(rules: &str, fields: &str) {
    let scene = Setting { rules, service: ONCE, ..Setting::default() }.before(old(fields));
    assert_eq!(scene.get("/").text(), "old");
    let gate = Gate::default();
    scene.endpoint.behave(new(&gate));
    all_get(&scene, "old");
    until("it is fetched anew", || scene.hits() == 2);
    all_get(&scene, "old");
    assert_eq!(scene.hits(), 2, "once for all");
    gate.open();
    until("the new one is there", || scene.get("/").text() == "new");
    all_get(&scene, "new");
    assert_eq!(scene.hits(), 2);
}

#[test]
fn a_stale_answer_is_given_at_once_while_one_fetch_renews_it() {
    let fields = "Cache-Control: max-age=10, stale-while-revalidate=60\r\nAge: 10\r\n";
    is_renewed_by_one_fetch("", fields);
}

#[test]
fn a_route_may_have_it_so_where_the_answer_is_silent() {
    let fields = "Cache-Control: max-age=10\r\nAge: 10\r\n";
    is_renewed_by_one_fetch("stale_while_revalidate = \"1m\"", fields);
}

#[test]
fn beyond_the_time_for_it_an_answer_is_waited_for() {
    let fields = "Cache-Control: max-age=10, stale-while-revalidate=5\r\nAge: 20\r\nETag: \"a\"\r\n";
    let scene = Scene::before(old(fields));
    assert_eq!(scene.get("/").text(), "old");
    let gate = Gate::default();
    gate.open();
    scene.endpoint.behave(new(&gate));
    let answer = scene.get("/");
    assert_eq!(answer.text(), "new");
    assert!(told(&answer).starts_with("fwd=stale"), "{}", told(&answer));
}

/// A node that has stored `old` with these fields, whose endpoint then fails in this way.
#[track_caller]
fn failing(rules: &str, fields: &str, fail: impl FnOnce(&Endpoint)) -> Scene {
    let scene = Setting { rules, service: ONCE, ..Setting::default() }.before(old(fields));
    assert_eq!(scene.get("/").text(), "old");
    fail(&scene.endpoint);
    scene
}

/// Each way in which an endpoint fails for which a stale answer stands in.
fn failures() -> Vec<Option<Behaviour>> {
    let statuses = [500, 502, 503, 504].map(Behaviour::Status);
    let others = [Behaviour::Reset, Behaviour::Close, Behaviour::Raw(b"SSH-2.0-x\r\n\r\n".to_vec())];
    let ways = statuses.into_iter().chain(others).map(Some);
    ways.chain([None]).collect()
}

/// Makes it fail so; none: it is gone.
fn fail(endpoint: &Endpoint, way: Option<Behaviour>) {
    match way {
        Some(behaviour) => endpoint.behave(behaviour),
        None => endpoint.stop(),
    }
}

#[test]
fn a_stale_answer_stands_in_for_every_failure() {
    let fields = "Cache-Control: max-age=10, stale-if-error=60\r\nAge: 10\r\n";
    for way in failures() {
        let shown = format!("{way:?}");
        let scene = failing("", fields, |endpoint| fail(endpoint, way));
        for _ in 0..3 {
            let answer = scene.get("/");
            assert_eq!((answer.status(), answer.text().as_str()), (200, "old"), "{shown}");
        }
    }
}

#[test]
fn a_route_may_let_it_stand_in_where_the_answer_is_silent() {
    let fields = "Cache-Control: max-age=10\r\nAge: 10\r\n";
    for way in [Some(Behaviour::Status(500)), None] {
        let scene = failing("stale_if_error = \"1d\"", fields, |endpoint| fail(endpoint, way));
        assert_eq!(scene.get("/").text(), "old");
    }
}

#[test]
fn where_nothing_is_said_it_stands_in_for_silence_only() {
    let fields = "Cache-Control: max-age=10\r\nAge: 10\r\nETag: \"a\"\r\n";
    let silent = failing("", fields, Endpoint::stop);
    assert_eq!(silent.get("/").text(), "old");
    let answers = failing("", fields, |endpoint| endpoint.behave(Behaviour::Status(500)));
    assert_eq!(answers.get("/").status(), 500);
}

#[test]
fn what_is_no_failure_is_passed_on() {
    let fields = "Cache-Control: max-age=10, stale-if-error=60\r\nAge: 10\r\n";
    for status in [404, 410, 501] {
        let scene = failing("", fields, |endpoint| endpoint.behave(Behaviour::Status(status)));
        assert_eq!(scene.get("/").status(), status);
    }
}

#[test]
fn beyond_its_time_it_stands_in_no_more() {
    let fields = "Cache-Control: max-age=10, stale-if-error=5\r\nAge: 20\r\nETag: \"a\"\r\n";
    let scene = failing("", fields, |endpoint| endpoint.behave(Behaviour::Status(503)));
    assert_eq!(scene.get("/").status(), 503);
    let scene = failing("", fields, Endpoint::stop);
    assert_eq!(scene.get("/").status(), 502);
}

#[test]
fn what_must_be_validated_is_never_given_stale() {
    let rules = "stale_while_revalidate = \"1d\", stale_if_error = \"1d\"";
    for control in ["max-age=10, must-revalidate", "max-age=10, proxy-revalidate", "no-cache", "s-maxage=10"]
    {
        let fields = format!("Cache-Control: {control}\r\nAge: 10\r\nETag: \"a\"\r\n");
        for way in failures() {
            let shown = format!("{control} and {way:?}");
            let scene = failing(rules, &fields, |endpoint| fail(endpoint, way));
            let answer = scene.get("/");
            assert!(answer.status() >= 500, "{shown}: {}", answer.text());
            let wants = scene.get_with("/", "Cache-Control: max-stale\r\n");
            assert!(wants.status() >= 500, "{shown}: {}", wants.text());
        }
    }
}

/// How long it takes to get this.
#[track_caller]
fn timed(scene: &Scene) -> (Message, Duration) {
    let begun = Instant::now();
    let answer = scene.get("/");
    (answer, begun.elapsed())
}

#[test]
fn an_outage_is_waited_for_once() {
    let fields = "Cache-Control: max-age=10, stale-if-error=600\r\nAge: 10\r\n";
    let scene = failing("", fields, |endpoint| endpoint.behave(Behaviour::Hang));
    let (first, waited) = timed(&scene);
    assert_eq!(first.text(), "old");
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let (answer, time) = timed(&scene);
            assert_eq!(answer.text(), "old");
            time
        })
        .collect();
    times.sort_unstable();
    assert!(times[25] < Duration::from_millis(20), "a hit, half of the time: {:?}", times[25]);
    assert!(times[49] < Duration::from_millis(500), "never waited for: {:?}", times[49]);
    let asked = scene.hits();
    assert!(asked <= 5, "the endpoint was asked {asked} times during its outage");
}

#[test]
fn when_the_endpoint_is_well_again_its_answers_are_taken() {
    let fields = "Cache-Control: max-age=10, stale-if-error=600\r\nAge: 10\r\n";
    for way in [Behaviour::Status(503), Behaviour::Close] {
        let scene = failing("", fields, |endpoint| endpoint.behave(way));
        for _ in 0..3 {
            assert_eq!(scene.get("/").text(), "old");
        }
        let gate = Gate::default();
        gate.open();
        scene.endpoint.behave(new(&gate));
        until("the new one is there", || scene.get("/").text() == "new");
        let again = scene.get("/");
        assert_eq!((again.text().as_str(), is_hit(&again)), ("new", true));
    }
}

#[test]
fn an_endpoint_that_comes_back_at_its_address_is_used() {
    let fields = "Cache-Control: max-age=10, stale-if-error=600\r\nAge: 10\r\n";
    let scene = failing("", fields, Endpoint::stop);
    assert_eq!(scene.get("/").text(), "old");
    let back = Endpoint::start_at(scene.endpoint.address(), numbered("Cache-Control: max-age=600\r\n"));
    until("it is used", || scene.get("/").text() == "1");
    assert!(is_hit(&scene.get("/")));
    assert_eq!(back.hits(), 1);
}

#[test]
fn a_client_may_ask_for_stale_ones() {
    let fields = "Cache-Control: max-age=10\r\nAge: 20\r\nETag: \"a\"\r\n";
    let scene = Scene::before(old(fields));
    assert_eq!(scene.get("/").text(), "old");
    for (wants, hits) in [("max-stale", 1), ("max-stale=100", 1), ("max-stale=5", 2)] {
        let answer = scene.get_with("/", &format!("Cache-Control: {wants}\r\n"));
        assert_eq!((answer.text().as_str(), scene.hits()), ("old", hits), "{wants}");
    }
}

#[test]
fn a_service_that_fails_at_once_is_not_asked_at_every_hit() {
    const WHILE: Duration = Duration::from_secs(3);
    for (control, way) in [
        ("stale-if-error=600", Behaviour::Close),
        ("stale-if-error=600", Behaviour::Status(503)),
        ("stale-while-revalidate=600", Behaviour::Close),
        ("stale-while-revalidate=600", Behaviour::Status(503)),
    ] {
        let shown = format!("{control} and {way:?}");
        let fields = format!("Cache-Control: max-age=10, {control}\r\nAge: 10\r\n");
        let scene = failing("", &fields, |endpoint| endpoint.behave(way));
        let (begun, mut answers) = (Instant::now(), 0);
        while begun.elapsed() < WHILE {
            assert_eq!(scene.get("/").text(), "old", "{shown}");
            answers += 1;
        }
        let asked = scene.hits() - 1;
        assert!(answers > 100, "{shown}: {answers} answers");
        assert!((2..=5).contains(&asked), "{shown}: {asked} times for {answers} answers");
    }
}

#[test]
fn that_the_service_is_full_is_no_silence_to_those_who_waited_along() {
    let service = "retry = { attempts = 0 }\nlimit = { in_flight = 1, waiting = 10, wait = \"1s\" }";
    let fields = "Cache-Control: max-age=10\r\nAge: 10\r\nETag: \"a\"\r\n";
    let scene = Setting { service, ..Setting::default() }.before(old(fields));
    assert_eq!(scene.get("/").text(), "old");
    scene.endpoint.behave(Behaviour::Hang);
    let _busy = scene.asking("/busy", "");
    until("it has the only place", || scene.hits() == 2);
    let mut takes_stale = scene.asking("/", "Cache-Control: stale-if-error=600\r\n");
    until("it is there", || scene.node.counted("nearside_connections") == 2);
    let mut other = scene.asking("/", "");
    assert_eq!(takes_stale.answer().unwrap().text(), "old");
    assert_eq!(other.answer().unwrap().status(), 503);
}
