//! No request is lost to a bad endpoint while another one is well: endpoints fail in each way that
//! they do, under load, and the metrics tell the truth about it.

use std::time::{Duration, Instant};

use crate::support::{
    Behaviour, Client, Endpoint, Load, Nearside, Tally, answer, request, scripted, shop, until,
};

/// Clients at once.
const CLIENTS: usize = 16;
/// Answers that are waited for.
const ANSWERS: u64 = 1000;
/// What good endpoints answer.
const BODY: &[u8] = b"well";
/// The share of requests that may be tried again, and how many before there were any.
const BUDGET: (f64, f64) = (0.2, 10.0);

/// A node before three good endpoints and a fourth.
struct Scene {
    node: Nearside,
    good: Vec<Endpoint>,
}

impl Scene {
    fn with(fourth: &str, more: &str) -> Self {
        let good: Vec<Endpoint> = (0..3).map(|_| Endpoint::start(Behaviour::Body(BODY.to_vec()))).collect();
        let mut urls: Vec<String> = good.iter().map(Endpoint::url).collect();
        urls.push(fourth.to_owned());
        let node = Nearside::start(&shop(&urls, more));
        Self { node, good }
    }

    /// Some load, during which `then` happens.
    fn load(&self, then: impl FnOnce()) -> Tally {
        let load = Load::start(self.node.listen, CLIENTS, "/");
        load.until_more(ANSWERS / 2);
        then();
        load.until_more(ANSWERS);
        load.finish()
    }

    /// All were answered well, with few further tries, and all are counted.
    #[track_caller]
    fn assert_promises(&self, tally: &Tally) {
        tally.assert_all_well();
        let requests = tally.requests();
        let retries = self.node.counted("nearside_retries_total{service=\"shop\"}");
        let allowed = BUDGET.0 * requests as f64 + BUDGET.1;
        assert!(retries as f64 <= allowed, "{retries} retries of {requests} requests");
        let answers = "nearside_requests_total{route=\"*/*\",service=\"shop\",status=\"200\"}";
        until("all answers are counted", || self.node.counted(answers) == requests);
        until("nothing is under way", || {
            self.node.counted("nearside_endpoint_in_flight{") == 0
                && self.node.counted("nearside_connections") == 0
        });
    }

    /// How often the metrics say that the endpoint failed so.
    fn failures(&self, url: &str, kind: &str) -> u64 {
        let labels = format!("service=\"shop\",endpoint=\"{url}\",kind=\"{kind}\"");
        self.node.counted(&format!("nearside_endpoint_failures_total{{{labels}}}"))
    }

    /// Do the metrics say that it is up?
    fn is_up(&self, url: &str) -> bool {
        let labels = format!("service=\"shop\",endpoint=\"{url}\"");
        self.node.counted(&format!("nearside_endpoint_up{{{labels}}}")) == 1
    }

    /// The fourth failed in this way, several times and only so, and was taken out for it; the
    /// others are up and failed in no way.
    #[track_caller]
    fn assert_blamed(&self, bad: &str, kinds: &[&str]) {
        let all = ["connect", "reset", "timeout", "bad_answer", "status"];
        let of_kinds: u64 = kinds.iter().map(|kind| self.failures(bad, kind)).sum();
        let of_all: u64 = all.iter().map(|kind| self.failures(bad, kind)).sum();
        assert!(of_kinds >= 5, "{of_kinds} failures of {kinds:?}");
        assert_eq!(of_kinds, of_all);
        until("five failures in a row eject it", || !self.is_up(bad));
        for good in &self.good {
            assert!(self.is_up(&good.url()));
            assert!(all.iter().all(|kind| self.failures(&good.url(), kind) == 0));
        }
    }
}

/// An endpoint that behaves so is among good ones under load; it is to blame for such failures.
#[track_caller]
fn nobody_notices(behaviour: Behaviour, more: &str, kinds: &[&str]) {
    let bad = Endpoint::start(behaviour);
    let scene = Scene::with(&bad.url(), more);
    let tally = scene.load(|| {});
    scene.assert_promises(&tally);
    assert_eq!(tally.bodies.into_iter().collect::<Vec<_>>(), [BODY]);
    scene.assert_blamed(&bad.url(), kinds);
    let hits: usize = scene.good.iter().map(Endpoint::hits).sum();
    assert_eq!(hits as u64, tally.statuses[&200], "each was answered once");
}

#[test]
fn nobody_notices_an_endpoint_that_is_killed() {
    let bad = Endpoint::start(Behaviour::Body(BODY.to_vec()));
    let scene = Scene::with(&bad.url(), "balance = \"round_robin\"");
    let tally = scene.load(|| bad.stop());
    scene.assert_promises(&tally);
    scene.assert_blamed(&bad.url(), &["connect", "reset"]);
    assert!(bad.hits() > 0);
}

#[test]
fn nobody_notices_an_endpoint_that_was_never_there() {
    let bad = crate::support::free_address();
    let scene = Scene::with(&format!("http://{bad}"), "");
    scene.assert_promises(&scene.load(|| {}));
    scene.assert_blamed(&format!("http://{bad}"), &["connect"]);
}

#[test]
fn nobody_notices_an_endpoint_that_hangs() {
    nobody_notices(Behaviour::Hang, "timeout = { response = \"300ms\" }", &["timeout"]);
}

#[test]
fn nobody_notices_an_endpoint_that_resets() {
    nobody_notices(Behaviour::Reset, "", &["reset"]);
}

#[test]
fn nobody_notices_an_endpoint_that_closes() {
    nobody_notices(Behaviour::Close, "", &["reset"]);
}

#[test]
fn nobody_notices_an_endpoint_that_resets_in_the_midst_of_small_answers() {
    nobody_notices(Behaviour::ResetMidAnswer, "", &["reset"]);
}

#[test]
fn nobody_notices_an_endpoint_whose_answers_are_shorter_than_it_says() {
    nobody_notices(Behaviour::TooShort, "", &["reset"]);
}

#[test]
fn nobody_notices_an_endpoint_that_speaks_something_else() {
    nobody_notices(Behaviour::Raw(b"SSH-2.0-x\r\n\r\n".to_vec()), "", &["bad_answer"]);
}

#[test]
fn nobody_notices_an_endpoint_that_answers_503() {
    nobody_notices(Behaviour::Status(503), "", &["status"]);
}

#[test]
fn a_slow_endpoint_slows_only_its_own_share() {
    let slow = Endpoint::start(Behaviour::Slow(Duration::from_millis(200)));
    let scene = Scene::with(&slow.url(), "balance = \"least_connections\"");
    let tally = scene.load(|| {});
    scene.assert_promises(&tally);
    let of_slow = slow.hits() as f64 / tally.requests() as f64;
    assert!(of_slow < 0.1, "it got {of_slow} of the requests");
    assert!(tally.quantile(0.5) < Duration::from_millis(150));
    assert!(scene.is_up(&slow.url()), "slow is not ill");
}

#[test]
fn what_is_sent_beyond_an_answers_length_is_in_no_answer() {
    let bad = Endpoint::start(Behaviour::TooLong);
    let scene = Scene::with(&bad.url(), "balance = \"round_robin\"");
    let tally = scene.load(|| {});
    scene.assert_promises(&tally);
    assert_eq!(tally.bodies.into_iter().collect::<Vec<_>>(), [BODY, &[b'x'; 10]]);
    assert!(bad.hits() as u64 >= tally.statuses[&200] / 5, "its answers are good as they are");
}

#[test]
fn a_large_answer_is_whole_or_seen_to_be_broken() {
    let large = vec![b'x'; 300_000];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len());
    let cut = [head.as_bytes(), &large[..200_000]].concat();
    let bad = Endpoint::start(Behaviour::Raw(cut));
    let scene = Scene::with(&bad.url(), "balance = \"round_robin\"");
    for good in &scene.good {
        good.behave(Behaviour::Body(large.clone()));
    }
    let tally = scene.load(|| {});
    assert_eq!(tally.statuses.keys().collect::<Vec<_>>(), [&200]);
    assert!(tally.bodies.iter().all(|body| *body == large), "none is short");
    assert_eq!(tally.broken.len(), bad.hits(), "{:?}", tally.broken);
    scene.assert_blamed(&bad.url(), &["reset"]);
}

#[test]
fn nobody_is_to_blame_when_a_client_leaves() {
    let endpoint = Endpoint::start(Behaviour::Hang);
    let node = Nearside::start(&shop(&[endpoint.url()], "timeout = { response = \"60s\" }"));
    let clients: Vec<Client> = (0..10).map(|_| asking(&node)).collect();
    until("all are under way", || endpoint.hits() == 10);
    assert_eq!(node.counted("nearside_endpoint_in_flight{"), 10);
    drop(clients);
    until("the endpoint is left too", || node.counted("nearside_endpoint_in_flight{") == 0);
    until("the connections are gone", || node.counted("nearside_connections") == 0);
    assert_eq!(node.counted("nearside_endpoint_failures_total{"), 0);
}

/// An endpoint that breaks off in the midst of an answer too large to be held, in this way.
fn breaking_off(head: &'static str, reset: bool) -> Nearside {
    let address = scripted(move |stream| {
        request(stream)?;
        answer(stream, head)?;
        for _ in 0..8 {
            answer(stream, format!("8000\r\n{}\r\n", "x".repeat(0x8000)))?;
        }
        if reset {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    });
    Nearside::start(&shop(&[format!("http://{address}")], ""))
}

#[test]
fn an_answer_that_is_cut_short_is_seen_to_be() {
    let exact = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let closing = "HTTP/1.1 200 OK\r\n\r\n";
    for (head, reset) in [(exact, false), (exact, true), (chunked, false), (chunked, true), (closing, true)] {
        let node = breaking_off(head, reset);
        for version in ["1.0", "1.1"] {
            let mut client = node.client();
            client.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n")).unwrap();
            let answer = client.answer();
            assert!(answer.is_err(), "{head:?} to HTTP/{version}");
        }
        until("the failures are counted", || node.counted("nearside_endpoint_failures_total{") == 2);
    }
}

#[test]
fn a_post_is_not_sent_twice() {
    for behaviour in [Behaviour::Close, Behaviour::Reset, Behaviour::ResetMidAnswer, Behaviour::Status(503)] {
        let endpoints = [(); 3].map(|()| Endpoint::start(behaviour.clone()));
        let urls = endpoints.each_ref().map(Endpoint::url);
        let node = Nearside::start(&shop(&urls, ""));
        for sent in 1..=3 {
            let answer = node.client().ask("POST", "/", b"body");
            match behaviour {
                Behaviour::ResetMidAnswer => assert!(answer.is_err()),
                Behaviour::Status(_) => assert_eq!(answer.unwrap().status(), 503),
                _ => assert_eq!(answer.unwrap().status(), 502),
            }
            let hits: usize = endpoints.iter().map(Endpoint::hits).sum();
            assert_eq!(hits, sent, "{behaviour:?}");
        }
        assert_eq!(node.counted("nearside_retries_total"), 0);
    }
}

#[test]
fn a_post_goes_on_to_another_endpoint_if_nothing_of_it_was_sent() {
    let well = Endpoint::start(Behaviour::Echo);
    let gone = format!("http://{}", crate::support::free_address());
    let node = Nearside::start(&shop(&[gone, well.url()], "balance = \"round_robin\""));
    for sent in 1..=6 {
        let answer = node.client().ask("POST", "/", b"body").unwrap();
        assert_eq!(answer.json()["body"], "body");
        assert_eq!(well.hits(), sent);
    }
    assert!(node.counted("nearside_retries_total") > 0);
}

#[test]
fn a_put_is_sent_again_with_its_body() {
    let bad = Endpoint::start(Behaviour::Reset);
    let well = Endpoint::start(Behaviour::Echo);
    let node = Nearside::start(&shop(&[bad.url(), well.url()], "balance = \"round_robin\""));
    let body = "x".repeat(10_000);
    for _ in 0..4 {
        let answer = node.client().ask("PUT", "/", body.as_bytes()).unwrap();
        assert_eq!(answer.json()["body"], body.as_str());
    }
    assert!(bad.hits() > 0);
}

#[test]
fn an_outage_of_all_is_not_amplified() {
    let endpoints = [(); 3].map(|()| Endpoint::start(Behaviour::Status(503)));
    let urls = endpoints.each_ref().map(Endpoint::url);
    let node = Nearside::start(&shop(&urls, ""));
    let load = Load::start(node.listen, CLIENTS, "/");
    load.until_more(ANSWERS);
    let tally = load.finish();
    assert_eq!(tally.broken, Vec::<String>::new());
    assert_eq!(tally.statuses.keys().collect::<Vec<_>>(), [&503]);
    let requests = tally.requests() as f64;
    let tries = endpoints.iter().map(Endpoint::hits).sum::<usize>() as f64;
    assert!(tries <= requests * (1.0 + BUDGET.0) + BUDGET.1, "{tries} tries of {requests}");
    assert!(tries > requests * 1.1, "the budget is used");
    assert_eq!(node.counted("nearside_retries_total") as f64, tries - requests);
}

#[test]
fn when_all_are_ill_all_are_tried_and_the_status_says_so() {
    let endpoints = [(); 3].map(|()| Endpoint::start(Behaviour::Status(503)));
    let urls = endpoints.each_ref().map(Endpoint::url);
    let checks = "health = { path = \"/health\", every = \"100ms\", fall = 1, rise = 2 }";
    let node = Nearside::start(&shop(&urls, checks));
    let all_ill = || node.counted("nearside_service_all_ill{service=\"shop\"}") == 1;
    until("all are ill", all_ill);
    node.until_said("service shop: no endpoint is well, so all are tried");
    assert_eq!(node.counted("nearside_endpoint_up{"), 0);
    assert_eq!(node.api("services/shop")["all_ill"], true);
    for _ in 0..20 {
        assert_eq!(node.client().get("/asked").unwrap().status(), 503);
    }
    let asked = |endpoint: &Endpoint| endpoint.seen().iter().any(|m| m.target() == "/asked");
    assert!(endpoints.iter().all(asked), "all are tried");
    for endpoint in &endpoints {
        endpoint.behave(Behaviour::Body(BODY.to_vec()));
    }
    assert_eq!(node.client().get("/").unwrap().status(), 200);
    until("some are well", || !all_ill());
    node.until_said("an endpoint is well again");
}

#[test]
fn an_endpoint_that_is_well_again_is_used_again() {
    let ill = Endpoint::start(Behaviour::Status(503));
    let checks = "balance = \"round_robin\"\nhealth = { every = \"100ms\", fall = 2, rise = 2 }";
    let scene = Scene::with(&ill.url(), checks);
    until("it is ill", || !scene.is_up(&ill.url()));
    ill.behave(Behaviour::Body(b"again".to_vec()));
    until("it is well", || scene.is_up(&ill.url()));
    let mut client = scene.node.client();
    let answers: Vec<String> = (0..8).map(|_| client.get("/").unwrap().text()).collect();
    assert_eq!(answers.iter().filter(|text| *text == "again").count(), 2);
}

/// A client that has asked and will wait.
fn asking(node: &Nearside) -> Client {
    let mut client = node.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client
}

#[test]
fn what_is_over_the_limit_waits_for_a_while_and_is_refused() {
    let endpoint = Endpoint::start(Behaviour::Hang);
    let limit = "limit = { in_flight = 2, waiting = 2, wait = \"500ms\" }\n\
                 timeout = { response = \"2s\" }\nretry = { attempts = 0 }";
    let node = Nearside::start(&shop(&[endpoint.url()], limit));
    let mut inside: Vec<Client> = (0..2).map(|_| asking(&node)).collect();
    until("two are inside", || endpoint.hits() == 2);
    let begun = Instant::now();
    let mut waiting: Vec<Client> = (0..2).map(|_| asking(&node)).collect();
    until("two wait", || node.api("services/shop")["limit"]["waiting"] == 2);
    waiting.push(asking(&node));
    for client in &mut waiting {
        let refused = client.answer().unwrap();
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.field("retry-after"), Some("1"));
        assert!(!refused.has("connection", "close"));
    }
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(500) && waited < Duration::from_secs(2), "{waited:?}");
    assert_eq!(endpoint.hits(), 2, "they never got in");
    assert_eq!(node.counted("nearside_refused_total{why=\"overload\"}"), 3);
    for client in &mut inside {
        assert_eq!(client.answer().unwrap().status(), 504, "its own time was not shortened");
    }
}

#[test]
fn who_leaves_gives_up_its_place() {
    let endpoint = Endpoint::start(Behaviour::Hang);
    let limit = "limit = { in_flight = 1, waiting = 1, wait = \"60s\" }\n\
                 timeout = { response = \"60s\" }";
    let node = Nearside::start(&shop(&[endpoint.url()], limit));
    let limit = |what: &str| node.api("services/shop")["limit"][what].clone();
    let inside = asking(&node);
    until("one is inside", || endpoint.hits() == 1);
    let waiting = asking(&node);
    until("one waits", || limit("waiting") == 1);
    drop(waiting);
    until("nobody waits", || limit("waiting") == 0);
    drop(inside);
    until("nobody is inside", || limit("in_flight") == 0);
    endpoint.behave(Behaviour::Body(BODY.to_vec()));
    assert_eq!(node.client().get("/").unwrap().status(), 200);
}

#[test]
fn who_waits_gets_in_when_there_is_room() {
    let endpoint = Endpoint::start(Behaviour::Slow(Duration::from_millis(100)));
    let limit = "limit = { in_flight = 2, waiting = 100, wait = \"10s\" }";
    let node = Nearside::start(&shop(&[endpoint.url()], limit));
    let mut clients: Vec<Client> = (0..10).map(|_| asking(&node)).collect();
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().status(), 200);
    }
    until("all have left", || node.api("services/shop")["limit"]["in_flight"] == 0);
}

#[test]
fn a_second_try_answers_for_a_slow_one() {
    const SLOW: Duration = Duration::from_secs(3);
    let slow = Endpoint::start(Behaviour::Slow(SLOW));
    let hedge = "balance = \"round_robin\"\nhedge = { after = \"150ms\" }";
    let scene = Scene::with(&slow.url(), hedge);
    let mut client = scene.node.client();
    for _ in 0..32 {
        let begun = Instant::now();
        assert_eq!(client.get("/").unwrap().text(), "well");
        assert!(begun.elapsed() < SLOW / 2, "{:?}", begun.elapsed());
    }
    let hedges = scene.node.counted("nearside_hedges_total{service=\"shop\"}");
    assert!((5..=16).contains(&hedges), "{hedges}, where a quarter is slow");
}
