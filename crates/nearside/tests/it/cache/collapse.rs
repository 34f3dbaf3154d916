//! Many clients, one fetch: what one brings, all get, as it comes; and what can't be shared is fetched
//! for each at the same time.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::{Scene, Setting, is_hit, pattern, read_past, reply, told};
use crate::support::{Behaviour, Client, Gate, Message, until};

/// Clients that ask for the same.
const CLIENTS: usize = 100;
/// An answer's head without its length.
const FRESH: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
/// Bytes before the first half of a body of known length: small ones are held till they are whole, so that
/// another endpoint can stand in for one that breaks off.
const LARGE: usize = 100_000;

/// The first half of an answer of known length; the other half is ` second half`.
fn large_half() -> String {
    format!("{FRESH}Content-Length: {}\r\n\r\n{}first half,", LARGE + 23, " ".repeat(LARGE))
}

/// Sends `first`, and `second` once the gate is open.
fn in_two(first: String, second: &'static str, gate: &Gate) -> Behaviour {
    let gate = gate.clone();
    Behaviour::script(move |_, mut stream| {
        stream.write_all(first.as_bytes())?;
        gate.pass()?;
        stream.write_all(second.as_bytes())
    })
}

/// All have what `in_two` sends first, before it sends the rest, which ends for them with `end`.
#[track_caller]
fn one_fetch_feeds_all(first: String, second: &'static str, end: &str) {
    let gate = Gate::default();
    let scene = Scene::before(in_two(first, second, &gate));
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| scene.asking("/", "")).collect();
    let mut waited = 0;
    for client in &mut clients {
        let head = client.answer_head().unwrap();
        assert_eq!(head.status(), 200);
        waited += usize::from(told(&head).contains("; collapsed"));
        read_past(client, "first half,").unwrap();
    }
    gate.open();
    for client in &mut clients {
        read_past(client, end).unwrap();
    }
    assert_eq!((scene.hits(), waited), (1, CLIENTS - 1));
    assert_eq!((scene.node.results("miss"), scene.node.results("collapsed")), (1, CLIENTS as u64 - 1));
    let later = scene.get("/");
    assert_eq!((later.text().trim(), is_hit(&later)), ("first half, second half", true));
    assert_eq!(scene.hits(), 1);
}

#[test]
fn a_hundred_clients_share_one_fetch_and_get_it_as_it_comes() {
    one_fetch_feeds_all(large_half(), " second half", " second half");
}

#[test]
fn a_hundred_clients_share_one_fetch_of_unknown_length() {
    let first = format!("{FRESH}Transfer-Encoding: chunked\r\n\r\nb\r\nfirst half,\r\n");
    one_fetch_feeds_all(first, "c\r\n second half\r\n0\r\n\r\n", "\r\n0\r\n\r\n");
}

#[test]
fn who_speaks_an_old_version_shares_it_too() {
    let gate = Gate::default();
    let first = format!("{FRESH}Transfer-Encoding: chunked\r\n\r\nb\r\nfirst half,\r\n");
    let scene = Scene::before(in_two(first, "c\r\n second half\r\n0\r\n\r\n", &gate));
    let mut new = scene.asking("/", "");
    let mut old = scene.node.client();
    old.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n").unwrap();
    for client in [&mut new, &mut old] {
        read_past(client, "first half,").unwrap();
    }
    gate.open();
    assert_eq!(old.rest(), b" second half");
    read_past(&mut new, "\r\n0\r\n\r\n").unwrap();
    assert_eq!(scene.hits(), 1);
}

#[test]
fn a_fetch_goes_on_when_its_first_client_leaves() {
    let gate = Gate::default();
    let scene = Scene::before(in_two(large_half(), " second half", &gate));
    let mut pilot = scene.asking("/", "");
    read_past(&mut pilot, "first half,").unwrap();
    let mut others: Vec<Client> = (0..10).map(|_| scene.asking("/", "")).collect();
    for client in &mut others {
        read_past(client, "first half,").unwrap();
    }
    drop(pilot);
    until("it has left", || scene.node.counted("nearside_connections") == 10);
    gate.open();
    for client in &mut others {
        read_past(client, " second half").unwrap();
    }
    assert_eq!(scene.hits(), 1);
}

#[test]
fn a_fetch_that_its_only_client_left_is_finished_and_stored() {
    let gate = Gate::default();
    let scene = Scene::before(in_two(large_half(), " second half", &gate));
    let mut client = scene.asking("/", "");
    read_past(&mut client, "first half,").unwrap();
    drop(client);
    until("it has left", || scene.node.counted("nearside_connections") == 0);
    gate.open();
    assert_eq!(scene.get("/").text().trim(), "first half, second half");
    assert_eq!(scene.hits(), 1);
}

#[test]
fn interim_answers_reach_all_who_wait_and_nobody_later() {
    let gate = Gate::default();
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n".to_owned();
    let rest = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok";
    let scene = Scene::before(in_two(interim, rest, &gate));
    let mut clients: Vec<Client> = (0..10).map(|_| scene.asking("/", "")).collect();
    for client in &mut clients {
        let hints = client.answer().unwrap();
        assert_eq!((hints.status(), hints.field("link")), (103, Some("</a.css>; rel=preload")));
    }
    gate.open();
    for client in &mut clients {
        let answer = client.answer().unwrap();
        assert_eq!((answer.status(), answer.field("link")), (200, None));
    }
    assert_eq!(scene.get("/").status(), 200);
    assert_eq!(scene.hits(), 1);
}

/// Answers each with its own number and `no-store`: the first when one gate opens, the next
/// `CLIENTS - 1` when another does, and later ones when the last does.
fn one_then_all(gates: [Gate; 3]) -> Behaviour {
    let number = AtomicUsize::new(0);
    Behaviour::script(move |request, stream| {
        let number = number.fetch_add(1, SeqCst);
        let [first, all, later] = &gates;
        match number {
            0 => first.pass()?,
            1..CLIENTS => all.pass()?,
            _ => later.pass()?,
        }
        reply(stream, request, "200 OK", "Cache-Control: no-store\r\n", number.to_string().as_bytes())
    })
}

#[test]
fn what_turns_out_to_be_for_one_only_is_fetched_for_all_others_at_once() {
    let gates = [(); 3].map(|()| Gate::default());
    let scene = Scene::before(one_then_all(gates.clone()));
    let [first, all, later] = gates;
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| scene.asking("/", "")).collect();
    until("all are there", || scene.node.counted("nearside_connections") == CLIENTS as u64);
    first.open();
    until("all are asked for at once", || scene.hits() == CLIENTS);
    all.open();
    let bodies: BTreeSet<String> = clients.iter_mut().map(|c| c.answer().unwrap().text()).collect();
    assert_eq!(bodies.len(), CLIENTS, "nobody got another's answer");
    let more: Vec<Client> = (0..10).map(|_| scene.asking("/", "")).collect();
    until("nobody waits for another any more", || scene.hits() == CLIENTS + more.len());
    later.open();
}

/// Answers with the language that is asked for, once the gate is open.
fn in_languages(gate: &Gate) -> Behaviour {
    let gate = gate.clone();
    Behaviour::script(move |request, stream| {
        gate.pass()?;
        let language = request.field("x-language").unwrap_or_default();
        let fields = "Cache-Control: max-age=60\r\nVary: X-Language\r\n";
        reply(stream, request, "200 OK", fields, language.as_bytes())
    })
}

#[test]
fn who_waited_for_another_variant_gets_its_own() {
    let gate = Gate::default();
    let scene = Scene::before(in_languages(&gate));
    let languages = ["en", "de", "fr", "nl", "da", "fi", "el", "sv"];
    let clients: Vec<(&str, Client)> = (0..CLIENTS)
        .map(|i| languages[i % languages.len()])
        .map(|language| (language, scene.asking("/", &format!("X-Language: {language}\r\n"))))
        .collect();
    until("all are there", || scene.node.counted("nearside_connections") == CLIENTS as u64);
    gate.open();
    for (language, mut client) in clients {
        assert_eq!(client.answer().unwrap().text(), language);
    }
    for language in languages {
        let again = scene.get_with("/", &format!("X-Language: {language}\r\n"));
        assert_eq!((again.text().as_str(), is_hit(&again)), (language, true));
    }
    assert!(scene.hits() <= 2 * languages.len(), "{} fetches of {} variants", scene.hits(), languages.len());
}

/// Answers each language with a large body; in English the end comes when the gate opens.
fn slow_in_english(gate: &Gate) -> Behaviour {
    let gate = gate.clone();
    Behaviour::script(move |request, mut stream| {
        let language = request.field("x-language").unwrap_or_default();
        let body = language.repeat(LARGE);
        let head = format!("{FRESH}Vary: X-Language\r\nContent-Length: {}\r\n\r\n", body.len());
        let (first, second) = body.split_at(LARGE);
        stream.write_all([&head, first].concat().as_bytes())?;
        if language == "en" {
            gate.pass()?;
        }
        stream.write_all(second.as_bytes())
    })
}

#[test]
fn two_variants_are_two_fetches_however_many_wait() {
    let gate = Gate::default();
    let scene = Scene::before(slow_in_english(&gate));
    let mut english = vec![scene.asking("/", "X-Language: en\r\n")];
    until("its fetch is under way", || scene.hits() == 1);
    let german = (0..20).map(|_| scene.asking("/", "X-Language: de\r\n"));
    let mut german: Vec<Client> = german.collect();
    english.extend((0..20).map(|_| scene.asking("/", "X-Language: en\r\n")));
    for client in &mut german {
        assert!(client.answer().unwrap().text() == "de".repeat(LARGE), "it waits for no other language");
    }
    gate.open();
    for client in &mut english {
        assert!(client.answer().unwrap().text() == "en".repeat(LARGE));
    }
    assert_eq!(scene.hits(), 2);
}

/// Sends a head and too little, and ends when the gate is open, with RST if told to.
fn breaking_off(head: &'static str, reset: bool, gate: &Gate) -> Behaviour {
    let gate = gate.clone();
    Behaviour::script(move |_, mut stream: &TcpStream| {
        stream.write_all(head.as_bytes())?;
        stream.write_all(b"10000\r\n")?;
        stream.write_all(&pattern(0x10000))?;
        stream.write_all(b"\r\n")?;
        gate.pass()?;
        if reset {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
        }
        Err(std::io::ErrorKind::BrokenPipe.into())
    })
}

#[test]
fn an_answer_that_breaks_off_looks_whole_to_nobody_and_is_not_stored() {
    let exact = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1000000\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (head, reset) in [(exact, false), (exact, true), (chunked, false), (chunked, true)] {
        let gate = Gate::default();
        let scene = Setting { service: "retry = { attempts = 0 }", ..Setting::default() }
            .before(breaking_off(head, reset, &gate));
        let mut clients: Vec<Client> = (0..10).map(|_| scene.asking("/", "")).collect();
        let mut heads: Vec<Message> = clients.iter_mut().map(|c| c.answer_head().unwrap()).collect();
        gate.open();
        for (client, head) in clients.iter_mut().zip(&mut heads) {
            let mut reader = std::io::BufReader::new(client.reader());
            assert!(head.read_body(&mut reader).is_err(), "{} bytes of {head:?}", head.body.len());
        }
        assert_eq!(scene.hits(), 1);
        scene.endpoint.behave(super::numbered("Cache-Control: max-age=60\r\n"));
        let again = scene.get("/");
        assert_eq!((again.text().as_str(), is_hit(&again)), ("1", false));
    }
}

#[test]
fn all_who_wait_are_told_of_a_failure_that_happened_once() {
    let gate = Gate::default();
    let passing = gate.clone();
    let closing = Behaviour::script(move |_, _| {
        passing.pass()?;
        Err(std::io::ErrorKind::BrokenPipe.into())
    });
    let scene = Setting { service: "retry = { attempts = 0 }", ..Setting::default() }.before(closing);
    let mut clients: Vec<Client> = (0..20).map(|_| scene.asking("/", "")).collect();
    until("all are there", || scene.node.counted("nearside_connections") == 20);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().status(), 502);
    }
    // A client whose request was read after the failure asks for itself.
    assert!(scene.hits() <= 3, "{} times", scene.hits());
}

/// So many clients ask for `/` at the same time, and cost one fetch.
#[track_caller]
fn assert_shared(scene: &Scene, clients: usize) {
    let gate = Gate::default();
    let passing = gate.clone();
    scene.endpoint.behave(Behaviour::script(move |request, stream| {
        passing.pass()?;
        reply(stream, request, "200 OK", "Cache-Control: max-age=60\r\n", b"shared")
    }));
    let before = scene.hits();
    let mut clients: Vec<Client> = (0..clients).map(|_| scene.asking("/", "")).collect();
    until("all are there", || scene.node.counted("nearside_connections") == clients.len() as u64);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().text(), "shared");
    }
    assert_eq!(scene.hits() - before, 1);
}

#[test]
fn what_a_request_or_a_failure_keeps_from_the_store_does_not_end_sharing() {
    let fresh = "Cache-Control: max-age=60\r\n";
    let table = [
        ("200 OK", fresh, "Authorization: Basic YTpi\r\n"),
        ("200 OK", fresh, "Cache-Control: no-store\r\n"),
        ("503 Service Unavailable", "Cache-Control: no-store\r\n", ""),
    ];
    for (start, answers, asks) in table {
        let scene = Setting { service: "retry = { attempts = 0 }", ..Setting::default() }
            .before(super::numbered_as(start, answers));
        let first = scene.get_with("/", asks);
        assert!(told(&first).contains("; detail="), "{}", told(&first));
        assert_shared(&scene, 20);
    }
}

#[test]
fn who_waited_with_one_that_found_no_place_waits_once_more_and_not_in_line() {
    let service = "retry = { attempts = 0 }\nlimit = { in_flight = 1, waiting = 500, wait = \"1s\" }";
    let scene = Setting { service, ..Setting::default() }.before(Behaviour::Hang);
    let _busy = scene.asking("/busy", "");
    until("it has the only place", || scene.hits() == 1);
    let begun = Instant::now();
    let mut clients: Vec<Client> = (0..20).map(|_| scene.asking("/", "")).collect();
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().status(), 503);
    }
    assert!(begun.elapsed() < Duration::from_millis(3500), "{:?}", begun.elapsed());
}

#[test]
fn of_fetches_whose_clients_have_left_only_so_many_go_on() {
    const BATCHES: usize = 6;
    const BATCH: usize = 200;
    const GO_ON: u64 = 1024;
    let service = "retry = { attempts = 0 }\ntimeout = { response = \"60s\" }";
    let scene = Setting { service, ..Setting::default() }.before(Behaviour::Hang);
    for batch in 0..BATCHES {
        let ask = |number| scene.asking(&format!("/{batch}/{number}"), "");
        let clients: Vec<Client> = (0..BATCH).map(ask).collect();
        until("all are asked for", || scene.hits() == (batch + 1) * BATCH);
        drop(clients);
        until("all have left", || scene.node.counted("nearside_connections") == 0);
    }
    until("the others end", || scene.node.counted("nearside_endpoint_in_flight") == GO_ON);
    // A client that waits is not one of them.
    let mut client = scene.asking("/waits", "");
    until("it is asked for", || scene.hits() == BATCHES * BATCH + 1);
    assert_eq!(scene.node.counted("nearside_endpoint_in_flight"), GO_ON + 1);
    scene.endpoint.stop();
    assert_eq!(client.answer().unwrap().status(), 502);
}
