//! A node lives long: it takes changed files, hands its place over and leaves, and no client notices.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Behaviour, Client, Endpoint, Load, Nearside, command, free_address, get, shop, until, websocket,
    websocket_echo,
};

/// Busy connections.
const BUSY: usize = 64;
/// Answers between two changes.
const SOME: u64 = 64;

/// An endpoint, and the file of a node before it.
fn service() -> (Endpoint, String) {
    let endpoint = Endpoint::start(Behaviour::Body(b"well".to_vec()));
    let file = shop(&[endpoint.url()], "");
    (endpoint, file)
}

/// Asks the node to reload with the command.
fn reload(node: &Nearside) -> std::process::Output {
    let place = format!("http://{}", node.admin);
    command().args(["reload", "--admin", &place]).output().unwrap()
}

/// Reloads that were done or failed.
fn reloads(node: &Nearside, result: &str) -> u64 {
    node.counted(&format!("nearside_config_reloads_total{{result=\"{result}\"}}"))
}

#[test]
fn no_request_is_lost_to_twenty_reloads() {
    let (endpoint, file) = service();
    let node = Nearside::start(&file);
    let load = Load::start(node.listen, BUSY, "/");
    load.until_more(SOME);
    for n in 1..=20 {
        let balance = ["round_robin", "least_connections", "two_choices"][n % 3];
        let more = format!("balance = \"{balance}\"\ntimeout = {{ response = \"{n}s\" }}");
        let other = format!("[[route]]\npath = \"/other/{n}\"\nservice = \"shop\"\n");
        node.rewrite(&format!("{}\n{other}", shop(&[endpoint.url()], &more)));
        if n % 2 == 0 {
            assert!(reload(&node).status.success());
        } else {
            node.signal(Signal::HUP);
        }
        until("it has reloaded", || reloads(&node, "done") == n as u64);
        load.until_more(SOME);
    }
    let tally = load.finish();
    tally.assert_all_well();
    let answers = "nearside_requests_total{route=\"*/*\",service=\"shop\",status=\"200\"}";
    until("all are counted, and nothing twice", || node.counted(answers) == tally.requests());
    let requests =
        format!("nearside_endpoint_requests_total{{service=\"shop\",endpoint=\"{}\"}}", endpoint.url());
    assert_eq!(node.counted(&requests), tally.requests());
    assert!(endpoint.connections() <= 3 * BUSY as u64, "{} connections", endpoint.connections());
}

#[test]
fn a_bad_file_changes_nothing() {
    let (_endpoint, file) = service();
    let node = Nearside::start(&file);
    let mut client = node.client();
    node.rewrite(&format!("{file}\n[[route]]\npath = \"/x\"\nservice = \"nobody\"\ncolour = 1\n"));
    let refused = reload(&node);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("nobody") && told.contains("colour"), "all at once: {told}");
    node.signal(Signal::HUP);
    until("both have failed", || reloads(&node, "failed") == 2);
    node.until_said("not reloaded, the plan before runs on");
    assert_eq!(reloads(&node, "done"), 0);
    assert_eq!(client.get("/").unwrap().text(), "well");
    assert_eq!(node.api("status")["routes"], 1);
    node.rewrite(&format!("{file}\n[[route]]\npath = \"/x\"\nrespond = {{ status = 202 }}\n"));
    assert!(reload(&node).status.success());
    assert_eq!(client.get("/x").unwrap().status(), 202, "a mended one is taken");
}

#[test]
fn a_websocket_survives_a_reload() {
    let url = format!("http://{}", websocket_echo());
    let node = Nearside::start(&shop(std::slice::from_ref(&url), ""));
    let mut socket = websocket(node.listen);
    node.rewrite("[[route]]\npath = \"/\"\nrespond = { status = 404 }\n");
    assert!(reload(&node).status.success());
    assert_eq!(node.client().get("/").unwrap().status(), 404);
    socket.send(Message::text("still here")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("still here"));
}

#[test]
fn a_request_under_way_survives_the_end_of_its_service() {
    let endpoint = Endpoint::start(Behaviour::Slow(Duration::from_millis(500)));
    let node = Nearside::start(&shop(&[endpoint.url()], ""));
    let mut client = node.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    until("it is under way", || endpoint.hits() == 1);
    node.rewrite("[[route]]\npath = \"/\"\nrespond = { status = 404 }\n");
    assert!(reload(&node).status.success());
    assert_eq!(client.answer().unwrap().text(), "slow");
    assert_eq!(client.get("/").unwrap().status(), 404);
}

#[test]
fn listeners_come_and_go_with_reloads() {
    let (_endpoint, file) = service();
    let node = Nearside::start(&file);
    let second = free_address();
    node.rewrite(&format!("[[listen]]\naddress = \"{second}\"\n\n{file}"));
    assert!(reload(&node).status.success());
    let mut kept = Client::connect(second).unwrap();
    assert_eq!(kept.get("/").unwrap().text(), "well");
    node.rewrite(&file);
    assert!(reload(&node).status.success());
    until("it is closed", || Client::connect(second).is_err());
    assert_eq!(kept.get("/").unwrap().text(), "well", "who was in stays in");
    assert_eq!(get(node.listen, "/").text(), "well");
}

#[test]
fn a_listener_that_cannot_be_opened_changes_nothing() {
    let (_endpoint, file) = service();
    let node = Nearside::start(&file);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    node.rewrite(&format!(
        "[[listen]]\naddress = \"{address}\"\n\n[[route]]\npath = \"/x\"\nrespond = {{}}\n\n{file}"
    ));
    let refused = reload(&node);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains(&address.to_string()), "{told}");
    assert_eq!(node.api("status")["routes"], 1);
    assert_eq!(get(node.listen, "/").text(), "well");
}

#[test]
fn a_node_that_is_told_to_end_finishes_what_is_under_way() {
    let endpoint = Endpoint::start(Behaviour::Slow(Duration::from_secs(1)));
    let mut node = Nearside::start_with(&shop(&[endpoint.url()], ""), &["--grace", "500ms"]);
    let mut idle = node.client();
    assert_eq!(idle.get("/").unwrap().text(), "slow");
    let mut busy = node.client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    until("it is under way", || endpoint.hits() == 2);
    node.signal(Signal::TERM);
    let told = Instant::now();
    until("it isn't ready", || node.ask("/readyz").status() == 503);
    assert!(told.elapsed() < Duration::from_millis(400), "at once");
    assert_eq!(node.ask("/livez").status(), 200);
    let mut late = node.client();
    late.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    for client in [&mut busy, &mut late] {
        let answer = client.answer().unwrap();
        assert_eq!(answer.text(), "slow");
        assert!(answer.has("connection", "close"));
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(idle.rest(), b"");
    assert_eq!(node.wait(Duration::from_secs(5)).code(), Some(0));
    assert!(Client::connect(node.listen).is_err());
}

#[test]
fn drain_ends_a_node_as_sigterm_does() {
    let (_endpoint, file) = service();
    let mut node = Nearside::start(&file);
    let place = format!("http://{}", node.admin);
    let told = command().args(["drain", "--admin", &place]).output().unwrap();
    assert!(told.status.success());
    assert_eq!(node.wait(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn a_second_word_to_end_ends_it_at_once() {
    let endpoint = Endpoint::start(Behaviour::Hang);
    let mut node = Nearside::start(&shop(&[endpoint.url()], ""));
    let mut client = node.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    until("it is under way", || endpoint.hits() == 1);
    node.signal(Signal::TERM);
    node.until_said("leaving");
    node.signal(Signal::TERM);
    node.wait(Duration::from_secs(3));
    assert!(client.answer().is_err());
}

/// The process that the node says has taken over.
fn successor(node: &Nearside) -> u32 {
    node.until_said("has taken over");
    let said = node.said();
    let words = said.split("process ").nth(1).and_then(|rest| rest.split(' ').next());
    words.unwrap().parse().unwrap()
}

#[test]
fn no_request_is_lost_to_a_takeover() {
    let (_endpoint, file) = service();
    let mut node = Nearside::start_with(&file, &["--grace", "5s"]);
    let load = Load::start(node.listen, BUSY, "/");
    load.until_more(SOME);
    node.rewrite(&format!("{file}\n[[route]]\npath = \"/new\"\nrespond = {{ status = 202 }}\n"));
    node.signal(Signal::USR2);
    let new = successor(&node);
    load.until_more(SOME);
    assert_eq!(node.wait(Duration::from_secs(10)).code(), Some(0), "{}", node.said());
    load.until_more(SOME);
    load.finish().assert_all_well();
    assert_ne!(new, node.id());
    assert_eq!(get(node.listen, "/new").status(), 202, "the new one has the new file");
    assert_eq!(node.ask("/readyz").status(), 200);
    assert!(std::path::Path::new(&format!("/proc/{new}")).exists());
}

#[test]
fn while_the_old_process_finishes_the_new_one_speaks_for_the_node() {
    let endpoint = Endpoint::start(Behaviour::Slow(Duration::from_secs(1)));
    let mut node = Nearside::start(&shop(&[endpoint.url()], ""));
    let mut slow = node.client();
    slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    until("it is under way", || endpoint.hits() == 1);
    node.signal(Signal::USR2);
    successor(&node);
    until("the new one speaks", || node.ask("/readyz").status() == 200);
    for _ in 0..50 {
        assert_eq!(node.ask("/readyz").status(), 200);
    }
    let answer = slow.answer().unwrap();
    assert_eq!(answer.text(), "slow");
    assert!(answer.has("connection", "close"));
    assert_eq!(node.wait(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn a_client_that_has_just_come_in_is_answered_by_a_node_that_leaves() {
    let (_endpoint, file) = service();
    let mut node = Nearside::start(&file);
    let mut clients: Vec<Client> = (0..20).map(|_| node.client()).collect();
    node.signal(Signal::TERM);
    node.until_said("leaving");
    for client in &mut clients {
        assert_eq!(client.get("/").unwrap().text(), "well");
    }
    assert_eq!(node.wait(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn a_successor_can_be_succeeded() {
    let (_endpoint, file) = service();
    let mut node = Nearside::start(&file);
    node.signal(Signal::USR2);
    let second = successor(&node);
    assert_eq!(node.wait(Duration::from_secs(10)).code(), Some(0));
    let pid = rustix::process::Pid::from_raw(second.try_into().unwrap()).unwrap();
    until("it serves", || get(node.admin, "/readyz").status() == 200);
    rustix::process::kill_process(pid, Signal::USR2).unwrap();
    until("two have taken over", || node.said().matches("has taken over").count() == 2);
    assert_eq!(get(node.listen, "/").text(), "well");
}

#[test]
fn a_takeover_with_a_bad_file_leaves_the_old_node_at_work() {
    let (_endpoint, file) = service();
    let node = Nearside::start(&file);
    let load = Load::start(node.listen, 8, "/");
    node.rewrite("[[route]]\nservice = \"nobody\"\n");
    node.signal(Signal::USR2);
    node.until_said("no process took over, this one goes on");
    load.until_more(SOME);
    load.finish().assert_all_well();
    assert_eq!(node.ask("/readyz").status(), 200);
    node.rewrite(&file);
    assert!(reload(&node).status.success(), "and it still follows");
}

#[test]
fn an_admin_api_that_others_can_reach_needs_a_token() {
    let (_endpoint, file) = service();
    let folder = tempfile::tempdir().unwrap();
    let (listen, admin) = (free_address(), free_address());
    let listen = format!("[[listen]]\naddress = \"{listen}\"\n");
    let admin = format!("[admin]\nlisten = \"0.0.0.0:{}\"\n", admin.port());
    std::fs::write(folder.path().join("nearside.toml"), [listen, admin, file].join("\n")).unwrap();
    let refused = command().arg("run").current_dir(folder.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("token"), "{told}");
}
