//! Commands that start a node or talk to one.

use std::process::{Command, Stdio};

use insta::assert_snapshot;
use rustix::process::Signal;

use super::{folder, json, run, show};
use crate::support::{Behaviour, Endpoint, LIMIT, Nearside, command, free_address, get, until};

/// With the names of what differs from run to run instead of it.
fn named(shown: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(shown.to_owned(), |shown, (is, name)| shown.replace(is, name))
}

/// The arguments that lead to this node's admin API.
fn admin(node: &Nearside) -> String {
    format!("--admin=http://{}", node.admin)
}

fn file_for(endpoint: &Endpoint) -> String {
    format!(
        "[node]\nname = \"eu-1\"\n[service.shop]\nendpoints = [\"{}\"]\n[[route]]\nservice = \"shop\"\n",
        endpoint.url()
    )
}

#[test]
fn where_no_node_is_it_is_said_how_to_have_one() {
    let nobody = free_address();
    let admin = format!("http://{nobody}");
    for name in ["status", "reload", "drain"] {
        let by_option = run(&[name, "--admin", &admin]);
        let by_variable = show(command().arg(name).env("NEARSIDE_ADMIN", &admin));
        assert_eq!(by_option, by_variable);
    }
    let purge = run(&["purge", "--all", "--admin", &admin]);
    assert_eq!(purge, run(&["status", "--admin", &admin]));
    let shown = named(&run(&["status", "--admin", &admin]), &[(&nobody.to_string(), "[admin]")]);
    assert_snapshot!(shown, @r#"
    exit 1
    --- stderr
    error: no node answers at http://[admin]: Connection refused (os error 111)
    help: start a node with `nearside run`, or say where its [admin] listens with --admin URL or NEARSIDE_ADMIN
    "#);
}

#[test]
fn what_is_no_node_is_not_taken_for_one() {
    let names = |endpoint: &Endpoint| endpoint.address().to_string();
    let not_http = Endpoint::start(Behaviour::Raw(b"220 mail.example.com\r\n".to_vec()));
    let shown = run(&["status", "--admin", &not_http.url()]);
    assert_snapshot!(named(&shown, &[(&names(&not_http), "[admin]")]), @r#"
    exit 1
    --- stderr
    error: what answers at http://[admin] is not the admin API of a node: its answer is not HTTP/1.1
    help: start a node with `nearside run`, or say where its [admin] listens with --admin URL or NEARSIDE_ADMIN
    "#);
    let other = Endpoint::start(Behaviour::Body(b"{}".to_vec()));
    let shown = run(&["status", "--admin", &other.url()]);
    assert_snapshot!(named(&shown, &[(&names(&other), "[admin]")]), @r#"
    exit 1
    --- stderr
    error: what answers at http://[admin] is not the admin API of a node: its JSON lacks what this version looks for
    help: start a node with `nearside run`, or say where its [admin] listens with --admin URL or NEARSIDE_ADMIN
    "#);
    let cut = Endpoint::start(Behaviour::TooShort);
    let shown = run(&["status", "--admin", &cut.url()]);
    assert_snapshot!(named(&shown, &[(&names(&cut), "[admin]")]), @r#"
    exit 1
    --- stderr
    error: what answers at http://[admin] is not the admin API of a node: its answer is cut off
    help: start a node with `nearside run`, or say where its [admin] listens with --admin URL or NEARSIDE_ADMIN
    "#);
}

#[test]
fn a_proxy_stands_in_front_of_its_endpoints() {
    let endpoints = [Endpoint::start(Behaviour::Echo), Endpoint::start(Behaviour::Echo)];
    let urls = [endpoints[0].url(), endpoints[1].url()];
    let args = ["--balance", "round_robin"];
    let mut node = Nearside::proxy(&[&urls[0], &urls[1]], &args);
    let names = [
        (urls[0].as_str(), "[first]"),
        (urls[1].as_str(), "[second]"),
        (&node.listen.to_string(), "[listen]"),
        (&node.admin.to_string(), "[admin]"),
    ];
    assert_snapshot!(named(&node.said(), &names), @r#"
    nearside 0.1.0
      listens on  http://[listen]
      balances    [first], [second] (round_robin)
      admin       http://[admin]
    "#);
    for _ in 0..4 {
        let answer = get(node.listen, "/a?b");
        assert_eq!((answer.status(), &answer.json()["target"]), (200, &"/a?b".into()));
    }
    assert_eq!((endpoints[0].hits(), endpoints[1].hits()), (2, 2));
    let reloaded = run(&["reload", &admin(&node)]);
    assert_snapshot!(named(&reloaded, &names), @r#"
    exit 1
    --- stderr
    error: the node at http://[admin] refuses: this node runs without a file
    "#);
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_proxy_stands_in_front_of_a_real_server() {
    let folder = folder("# What is served.");
    let address = free_address();
    let mut server = Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", &address.port().to_string()])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Without a scheme, as people type it.
    let node = Nearside::proxy(&[&address.to_string()], &[]);
    until("the server answers", || get(node.listen, "/").status() == 200);
    let answer = get(node.listen, "/nearside.toml");
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(answer.text(), "# What is served.");
}

#[test]
fn a_proxy_is_not_started_with_options_that_no_file_could_say() {
    let shown = run(&["proxy", "--to", "ftp://a", "--balance", "rund_robin"]);
    assert_snapshot!(shown, @r#"
    exit 2
    --- stderr
    (command line):8:11: error: `rund_robin` is not known here
      |
    8 | balance = "rund_robin"
      |           ^^^^^^^^^^^^
    help: did you mean `round_robin`?

    (command line):9:14: error: `ftp://a` is not the URL of an endpoint
      |
    9 | endpoints = ["ftp://a"]
      |              ^^^^^^^^^
    help: it begins with "http://"
    "#);
    assert_snapshot!(run(&["proxy"]), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      --to <URL>

    Usage: nearside proxy --to <URL>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_node_says_in_one_line_what_it_is() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let file = file_for(&endpoint);
    let mut node = Nearside::start(&file);
    let names = [(&*node.listen.to_string(), "[listen]"), (&*node.admin.to_string(), "[admin]")];
    assert_snapshot!(named(&node.said(), &names), @"nearside 0.1.0 · node eu-1 · http://[listen] · admin http://[admin] · 1 service, 1 route");
    assert_eq!(get(node.listen, "/").status(), 200);
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn an_address_in_use_keeps_a_node_from_starting() {
    let taken = Endpoint::start(Behaviour::Echo);
    let shown = run(&["proxy", "--to", "http://a", "--listen", &taken.address().to_string()]);
    assert_snapshot!(named(&shown, &[(&taken.address().to_string(), "[taken]")]), @r#"
    exit 1
    --- stderr
    error: the node can't start: can't listen on [taken]: Address already in use (os error 98)
    "#);
}

#[test]
fn status_shows_the_services_and_their_endpoints() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = Nearside::start(&file_for(&endpoint));
    let status = json(&run(&["status", "--json", &admin(&node)]));
    assert_eq!(status["status"]["node"], "eu-1");
    assert_eq!(status["services"][0]["endpoints"][0]["url"], endpoint.url());
    let shown = run(&["status", &admin(&node)]);
    // Its width is part of the table, so a name of the same width stands for it.
    let width = endpoint.url().len();
    let names = [
        (endpoint.url(), format!("{:width$}", "[endpoint]")),
        (node.listen.to_string(), "[listen]".to_owned()),
    ];
    let names = names.each_ref().map(|(is, name)| (is.as_str(), name.as_str()));
    assert_snapshot!(steady(&named(&shown, &names)), @r#"
    exit 0
    --- stdout
    nearside 0.1.0 · node eu-1 · region local · running for [time]
    http://[listen]
    0 connections, 0 under way · 0 requests so far

    SERVICE  BALANCE      ENDPOINT                STATE  IN FLIGHT  LATENCY  REQUESTS  ERRORS
    shop     two_choices  [endpoint]              up             0        -         0       0
    "#);
}

/// Without the running time of a node.
fn steady(shown: &str) -> String {
    let words = shown.split_inclusive('\n').map(|line| match line.split_once(" for ") {
        Some((before, _)) if line.starts_with("nearside") => format!("{before} for [time]\n"),
        _ => line.to_owned(),
    });
    words.collect()
}

#[test]
fn a_reload_takes_the_file_or_shows_its_mistakes() {
    let (first, second) = (Endpoint::start(Behaviour::Echo), Endpoint::start(Behaviour::Echo));
    let node = Nearside::start(&file_for(&first));
    let admin = admin(&node);
    assert_snapshot!(run(&["reload", &admin]), @r#"
    exit 0
    --- stdout
    nothing changed
    "#);
    node.rewrite(&file_for(&second));
    assert_snapshot!(run(&["reload", &admin]), @r#"
    exit 0
    --- stdout
    reloaded
    "#);
    assert_eq!(get(node.listen, "/").json()["port"], second.address().port());

    node.rewrite("[[route]]\nservice = \"shop\"\n");
    let file = node.file().display().to_string();
    let names = [(file.as_str(), "[file]")];
    assert_snapshot!(named(&run(&["reload", &admin]), &names), @r#"
    exit 1
    --- stderr
    [file]:8:11: error: there is no service `shop`
      |
    8 | service = "shop"
      |           ^^^^^^
    help: write a table [service.shop] with its `endpoints`
    "#);
    assert_eq!(get(node.listen, "/").json()["port"], second.address().port());
    let status = named(&run(&["status", &admin]), &names);
    assert!(status.contains("the last reload failed"), "{status}");
    let json = json(&run(&["reload", "--json", &admin]));
    assert_eq!(json["diagnostics"]["omitted"], 0);
}

#[test]
fn a_signal_reloads_too() {
    let (first, second) = (Endpoint::start(Behaviour::Echo), Endpoint::start(Behaviour::Echo));
    let node = Nearside::start(&file_for(&first));
    node.rewrite(&file_for(&second));
    node.signal(Signal::HUP);
    node.until_said("reloaded");
    assert_eq!(get(node.listen, "/").json()["port"], second.address().port());
}

#[test]
fn a_drained_node_ends() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let mut node = Nearside::start(&file_for(&endpoint));
    assert_snapshot!(run(&["drain", &admin(&node)]), @r#"
    exit 0
    --- stdout
    draining: it finishes what is under way and ends
    "#);
    assert_eq!(node.wait(LIMIT).code(), Some(0));
}

#[test]
fn a_node_with_a_token_wants_it() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let token = ("NEARSIDE_ADMIN_TOKEN", "a-token-of-some-length");
    let node = Nearside::proxy_with(&[&endpoint.url()], &[], &[token]);
    let shown = run(&["status", &admin(&node)]);
    assert_snapshot!(named(&shown, &[(&node.admin.to_string(), "[admin]")]), @r#"
    exit 1
    --- stderr
    error: the node at http://[admin] wants its token
    help: put the `token` of its [admin] into NEARSIDE_ADMIN_TOKEN
    "#);
    let shown = show(command().args(["status", &admin(&node)]).env(token.0, token.1));
    assert!(shown.starts_with("exit 0\n"), "{shown}");
}

#[test]
fn explain_asks_a_node_how_its_endpoints_are() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = Nearside::start(&file_for(&endpoint));
    assert_eq!(get(node.listen, "/").status(), 200);
    let args = ["explain", "http://shop.example.com/a b", "-H", "X-User: 7", &admin(&node)];
    assert_snapshot!(run(&args), @r#"
    exit 0
    --- stdout
    GET http://shop.example.com/a b from 127.0.0.1
    refused with 400: the request target has a form or a byte that none may have (RFC 9112 §3.2)
    "#);
    let args = ["explain", "http://shop.example.com/", "-H", "X-User: 7", &admin(&node)];
    let shown = run(&args);
    for told in ["forwarded to shop", &endpoint.url(), "0 in flight", "left now"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert_eq!(endpoint.hits(), 1);
}

/// A file whose only route is cached.
fn cached_file_for(endpoint: &Endpoint) -> String {
    file_for(endpoint) + "cache = {}\n"
}

#[test]
fn a_purge_shows_what_each_node_did() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = Nearside::start(&cached_file_for(&endpoint));
    let purge = ["purge", "http://shop.example.com/a", "--tag", "a", "--soft", &admin(&node)];
    assert_snapshot!(run(&purge), @r#"
    exit 0
    --- stdout
    NODE  REGION  PURGED  OBJECTS
    eu-1  local   yes           0
    "#);
    let purged = json(&run(&["purge", "--all", "--json", &admin(&node)]));
    let nodes = serde_json::json!([{ "node": "eu-1", "region": "local", "done": true, "removed": 0 }]);
    assert_eq!(purged["nodes"], nodes);
}

#[test]
fn status_tells_of_the_cache_where_a_route_has_it() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = Nearside::proxy(&[&endpoint.url()], &["--cache"]);
    let shown = run(&["status", &admin(&node)]);
    assert!(shown.contains("\ncache: memory 0 objects in "), "{shown}");
    assert!(shown.contains(" of 256 MiB"), "{shown}");
    let without = Nearside::proxy(&[&endpoint.url()], &[]);
    assert!(!run(&["status", &admin(&without)]).contains("cache:"));
}

#[test]
fn explain_asks_a_node_what_is_stored() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = Nearside::start(&cached_file_for(&endpoint));
    let shown = run(&["explain", "http://Shop.example.com/a", &admin(&node)]);
    let cache = "\nCACHE http://shop.example.com/a\nmiss: nothing is stored under this key\n";
    assert!(shown.contains(cache), "{shown}");
    assert_eq!(endpoint.hits(), 0);
}

/// A node whose queue delivers to this endpoint.
fn with_queue(endpoint: &Endpoint) -> Nearside {
    Nearside::start(&format!(
        "[node]\nname = \"eu-1\"\n[service.shop]\nendpoints = [\"{}\"]\n[[route]]\npath = \"/hooks/*\"\nqueue = \"hooks\"\n\
         [queue.hooks]\ndeliver = [\"shop\"]\n",
        endpoint.url()
    ))
}

#[test]
fn a_dead_letter_is_found_read_and_replayed() {
    let endpoint = Endpoint::start(Behaviour::Status(410));
    let node = with_queue(&endpoint);
    let admin = admin(&node);
    let queue = |args: &[&str]| run(&[&["queue"], args, &[admin.as_str()]].concat());
    let sent = json(&queue(&["send", "hooks", "--path", "/hooks/in?a=b", "-d", "order 7", "--json"]));
    let id = sent["id"].as_str().unwrap();
    let dead = || json(&queue(&["messages", "hooks", "--state", "dead", "--json"]));
    until("a dead letter", || dead()["messages"][0]["id"] == id);
    let shown = queue(&["message", "hooks", id]);
    assert!(shown.contains("RECEIVER shop · dead after 1 attempt\n"), "{shown}");
    assert!(shown.contains("\nBODY\norder 7\n") && shown.contains("  410\n"), "{shown}");

    endpoint.behave(Behaviour::Echo);
    let replay = ["replay", "hooks", "--state", "dead", "--rate", "50/s"];
    assert_eq!(queue(&replay), "exit 0\n--- stdout\ndelivered again: 1 message\n");
    until("the message is done", || json(&queue(&["show", "hooks", "--json"]))["done"] == 1);
    let seen = endpoint.seen();
    let bodies: Vec<String> = seen.iter().map(|request| request.text()).collect();
    assert_eq!((bodies, seen[1].target()), (vec!["order 7".to_owned(); 2], "/hooks/in?a=b"));
}

#[test]
fn a_paused_queue_delivers_nothing_until_it_goes_on() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = with_queue(&endpoint);
    let admin = admin(&node);
    let queue = |args: &[&str]| run(&[&["queue"], args, &[admin.as_str()]].concat());
    assert!(queue(&["pause", "hooks"]).contains("hooks is paused"));
    let ids: Vec<String> = (0..3)
        .map(|_| json(&queue(&["send", "hooks", "--json"]))["id"].as_str().unwrap().to_owned())
        .collect();
    let listed = queue(&["list"]);
    assert!(listed.contains("hooks  paused        3"), "{listed}");
    assert_eq!(queue(&["drop", "hooks", &ids[0]]), "exit 0\n--- stdout\ndropped: 1 message\n");
    assert!(queue(&["message", "hooks", &ids[0]]).contains("keeps no message"));
    assert_eq!(endpoint.hits(), 0);
    assert!(queue(&["resume", "hooks"]).contains("hooks is delivering again"));
    until("what waited is delivered", || json(&queue(&["show", "hooks", "--json"]))["done"] == 2);
    assert_eq!(endpoint.hits(), 2);
    let late = queue(&["send", "hooks", "--delay", "400d"]);
    assert!(late.contains("a message can be put off by 365 days at most"), "{late}");
    let once = ["send", "hooks", "--key", "k", "--data", "a", "--json"];
    assert_eq!(json(&queue(&once))["id"], json(&queue(&once))["id"]);
    let other = queue(&["send", "hooks", "--key", "k", "--data", "b"]);
    assert!(other.contains("this Idempotency-Key was used for another message"), "{other}");
    let status = run(&["status", &admin]);
    assert!(status.contains("\nQUEUE  STATE "), "{status}");
}
