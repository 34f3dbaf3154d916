//! `nearside queue`, in front of an API that is scripted: what is asked of a node, and what is printed.

use admin::queue::{
    AttemptView, Counters, DeliveryView, EventView, EveryView, Excerpt, MessageLine, MessageState,
    MessageView, Moment, Page, QueueView, ReceiverView,
};
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{json as json_of, run, run_in, show};
use crate::support::{Behaviour, Endpoint, Message, command};

/// So far from now that a slow test shows the same.
const WHILE: u64 = ((2 * 60 + 30) * 60 + 30) * 1000;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn receiver(receiver: &str) -> ReceiverView {
    ReceiverView {
        receiver: receiver.to_owned(),
        in_plan: true,
        waiting: 3,
        delayed: 1,
        in_flight: 2,
        dead: 0,
        limit: 32,
        concurrency: 32,
        rate: Some(50.0),
        held_until: None,
        last_error: None,
    }
}

fn hooks() -> QueueView {
    let slow = ReceiverView {
        limit: 4,
        dead: 1,
        held_until: Some(Moment(now() + WHILE)),
        last_error: Some("503 \u{1b}[31mnot now".to_owned()),
        ..receiver("https://hooks.example.com/in")
    };
    QueueView {
        name: "hooks".to_owned(),
        paused: false,
        in_plan: true,
        waiting: 1234,
        delayed: 5,
        running: 2,
        done: 70,
        dead: 1,
        bytes: 4096,
        full: Some(10 << 30),
        oldest_seconds: Some(12.5),
        every: None,
        trouble: None,
        receivers: vec![receiver("shop"), slow],
        counters: Counters {
            accepted: 1312,
            again: 6,
            done: 140,
            retried: 9,
            dead: 1,
            refused: [("full".to_owned(), 4), ("other_content".to_owned(), 0)].into(),
        },
    }
}

fn nightly() -> QueueView {
    QueueView {
        name: "nightly".to_owned(),
        paused: true,
        waiting: 0,
        delayed: 0,
        running: 0,
        done: 0,
        dead: 0,
        bytes: 0,
        oldest_seconds: None,
        every: Some(EveryView { cron: "0 3 * * *".to_owned(), next: Some(Moment(now() + WHILE)) }),
        trouble: Some("the disk is full".to_owned()),
        receivers: Vec::new(),
        counters: Counters::default(),
        ..hooks()
    }
}

fn page() -> Page {
    let dead = MessageLine {
        id: "msg_1".to_owned(),
        state: MessageState::Dead,
        accepted: Moment(now() - WHILE),
        due: None,
        method: "POST".to_owned(),
        target: "/hooks/in?a=b".to_owned(),
        bytes: 7,
        attempts: 12,
        error: Some("410".to_owned()),
        event: Some(EventView { source: "/shop".into(), kind: "order.paid".into(), id: "7".into() }),
    };
    let waiting = MessageLine {
        id: "msg_20".to_owned(),
        state: MessageState::Waiting,
        due: Some(Moment(now() + WHILE)),
        target: format!("/{}", "x".repeat(100)),
        bytes: 1 << 20,
        attempts: 0,
        error: None,
        event: None,
        ..dead.clone()
    };
    Page { messages: vec![dead, waiting], next: Some("msg_20".to_owned()) }
}

/// 2026-11-23T22:00:00Z
const FIXED: u64 = 1_795_471_200_000;

fn message() -> MessageView {
    let history = vec![
        AttemptView { at: Moment(FIXED + 5), took_ms: 30_000, status: None, error: Some("timeout".into()) },
        AttemptView { at: Moment(FIXED + 40_000), took_ms: 4, status: Some(410), error: None },
    ];
    let dead = DeliveryView {
        receiver: "shop".to_owned(),
        state: MessageState::Dead,
        attempts: 2,
        due: None,
        history,
        answer: Some(Excerpt::of(b"gone\x1b[2J\nfor good", 18)),
    };
    let waiting = DeliveryView {
        receiver: "https://hooks.example.com/in".to_owned(),
        state: MessageState::Waiting,
        attempts: 0,
        due: Some(Moment(FIXED + 60_000)),
        history: Vec::new(),
        answer: None,
    };
    MessageView {
        id: "msg_1".to_owned(),
        queue: "hooks".to_owned(),
        state: MessageState::Waiting,
        accepted: Moment(FIXED),
        due: Some(Moment(FIXED + 60_000)),
        method: "POST".to_owned(),
        target: "/hooks/in?a=b".to_owned(),
        bytes: 2000,
        event: Some(EventView { source: "/shop".into(), kind: "order.paid".into(), id: "7".into() }),
        headers: vec![("Content-Type".into(), "text/plain".into()), ("Cookie".into(), "(hidden)".into())],
        body_preview: Excerpt::of(b"order 7\nof many", 2000),
        deliveries: vec![dead, waiting],
    }
}

fn status() -> Value {
    json!({
        "node": "eu-1", "region": "eu", "version": "0.1.0", "phase": "running", "uptime_seconds": 5,
        "listeners": ["127.0.0.1:8080"], "connections": 0, "under_way": 0, "requests": 0,
        "latency_ms": {}, "reloads": {}, "queues": [hooks()],
        "log": { "bytes": 1, "trouble": "fsync failed: input/output error" },
    })
}

/// What the API answers to a request line.
fn answer(start: &str) -> (u16, Value) {
    let path = start.trim_end_matches(" HTTP/1.1").replace(" /api/v1/queues", " ");
    let path = path.split('?').next().unwrap();
    match path {
        "GET " => (200, json!([hooks(), nightly()])),
        "GET /hooks" => (200, json!(hooks())),
        "GET /nightly" => (200, json!(nightly())),
        "GET /hooks/messages" => (200, json!(page())),
        "GET /hooks/messages/msg_1" => (200, json!(message())),
        "POST /hooks/pause" | "POST /hooks/resume" => (200, json!(hooks())),
        "POST /hooks/replay" => (200, json!({ "replayed": 1234 })),
        "POST /hooks/drop" => (200, json!({ "dropped": 1 })),
        "POST /hooks/messages" => (202, json!({ "id": "msg_2", "queue": "hooks" })),
        "GET /api/v1/status" => (200, status()),
        "GET /api/v1/services" => (200, json!([])),
        _ => (
            404,
            json!({ "title": "Not Found", "detail": "this node has no queue `hook`; did you mean `hooks`?" }),
        ),
    }
}

/// An API with these queues.
struct Api {
    endpoint: Endpoint,
    admin: String,
}

impl Api {
    fn start() -> Self {
        let endpoint = Endpoint::start(Behaviour::script(|request, mut stream| {
            let (status, body) = answer(&request.start);
            let body = body.to_string();
            write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }));
        let admin = format!("--admin={}", endpoint.url());
        Self { endpoint, admin }
    }

    fn run(&self, args: &[&str]) -> String {
        let all = [&["queue"], args, &[self.admin.as_str()]].concat();
        run(&all).replace(&self.endpoint.address().to_string(), "[admin]")
    }

    /// The last request.
    fn asked(&self) -> Message {
        self.endpoint.seen().last().cloned().unwrap()
    }

    /// Its target beneath `/api/v1/queues`, and its body.
    fn asked_json(&self) -> (String, Value) {
        let asked = self.asked();
        let target = asked.target().strip_prefix("/api/v1/queues").unwrap().to_owned();
        (target, serde_json::from_slice(&asked.body).unwrap_or_default())
    }
}

#[test]
fn queues_are_listed() {
    let api = Api::start();
    assert_snapshot!(api.run(&["list"]), @r#"
    exit 0
    --- stdout
    QUEUE    STATE   WAITING  DELAYED  RUNNING  DONE  DEAD  OLDEST  BYTES
    hooks    active    1,234        5        2    70     1     12s  4 KiB
    nightly  paused        0        0        0     0     0       -    0 B  the disk is full
    "#);
    assert_eq!(json_of(&api.run(&["list", "--json"]))[0]["name"], "hooks");
}

#[test]
fn status_shows_the_queues() {
    let api = Api::start();
    assert_snapshot!(run(&["status", &api.admin]), @r#"
    exit 0
    --- stdout
    nearside 0.1.0 · node eu-1 · region eu · running for 5s
    http://127.0.0.1:8080
    0 connections, 0 under way · 0 requests so far

    SERVICE  BALANCE  ENDPOINT  STATE  IN FLIGHT  LATENCY  REQUESTS  ERRORS

    QUEUE  STATE   WAITING  DELAYED  RUNNING  DONE  DEAD  OLDEST  BYTES
    hooks  active    1,234        5        2    70     1     12s  4 KiB
    the queues accept nothing: fsync failed: input/output error
    "#);
}

#[test]
fn a_queue_is_shown_with_its_receivers() {
    let api = Api::start();
    assert_snapshot!(api.run(&["show", "hooks"]), @r#"
    exit 0
    --- stdout
    hooks · active · 4 KiB of 10 GiB
    1,234 waiting (the oldest for 12s) · 5 delayed · 2 running · 70 done · 1 dead
    since the start: 1,312 accepted · 140 delivered · 9 retried · 1 dead · 6 known by their key · 4 refused (full)

    RECEIVER                      WAITING  DELAYED  IN FLIGHT  AT MOST  RATE  DEAD
    shop                                3        1          2       32  50/s     0
    https://hooks.example.com/in        3        1          2  4 of 32  50/s     1  held for 2h 30m; 503 \u{1b}[31mnot now
    "#);
    assert_snapshot!(api.run(&["show", "nightly"]), @r#"
    exit 0
    --- stdout
    nightly · paused · 0 B of 10 GiB
    0 waiting · 0 delayed · 0 running · 0 done · 0 dead
    since the start: 0 accepted · 0 delivered · 0 retried · 0 dead
    sent by the clock (0 3 * * *): the next one in 2h 30m
    trouble: the disk is full
    nobody receives its messages; they are kept for those who follow it
    "#);
    assert_snapshot!(api.run(&["show", "hook"]), @r#"
    exit 1
    --- stderr
    error: the node at http://[admin] refuses: this node has no queue `hook`; did you mean `hooks`?
    "#);
    assert_eq!(api.asked().target(), "/api/v1/queues/hook");
    api.run(&["show", "a/b c"]);
    assert_eq!(api.asked().target(), "/api/v1/queues/a%2Fb%20c");
}

#[test]
fn messages_are_listed() {
    let api = Api::start();
    assert_snapshot!(api.run(&["messages", "hooks"]), @r#"
    exit 0
    --- stdout
    ID      STATE      ACCEPTED        DUE  ATTEMPTS  BYTES  REQUEST
    msg_1   dead     2h 30m ago          -        12    7 B  POST /hooks/in?a=b                                             order.paid; 410
    msg_20  waiting  2h 30m ago  in 2h 30m         0  1 MiB  POST /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    there may be more: add --after msg_20
    "#);
    assert_eq!(api.asked_json().0, "/hooks/messages?limit=100");
    api.run(&["messages", "hooks", "--state", "dead", "--after", "msg 1", "--limit", "7"]);
    assert_eq!(api.asked_json().0, "/hooks/messages?limit=7&state=dead&after=msg%201");
    assert_snapshot!(api.run(&["messages", "hooks", "--state", "lost"]), @r#"
    exit 2
    --- stderr
    error: invalid value 'lost' for '--state <STATE>': `lost` is not a state; there are `waiting`, `running`, `done`, `dead`

    For more information, try '--help'.
    "#);
    assert!(api.run(&["messages", "hooks", "--limit", "1001"]).starts_with("exit 2\n"));
}

#[test]
fn a_message_is_shown_with_its_attempts() {
    let api = Api::start();
    assert_snapshot!(api.run(&["message", "hooks", "msg_1"]), @r#"
    exit 0
    --- stdout
    msg_1 · hooks · waiting
    POST /hooks/in?a=b · 2 KiB · accepted 2026-11-23T22:00:00Z · due 2026-11-23T22:01:00Z
    event order.paid of /shop, id 7

    HEADERS
    Content-Type: text/plain
    Cookie: (hidden)

    BODY
    order 7
    of many
    (and more)

    RECEIVER shop · dead after 2 attempts
      2026-11-23T22:00:00.005Z  30.0 s  no answer: timeout
      2026-11-23T22:00:40Z        4 ms  410
      it said:
      gone\u{1b}[2J
      for good
      (and more)

    RECEIVER https://hooks.example.com/in · waiting, due 2026-11-23T22:01:00Z
    "#);
    assert_eq!(json_of(&api.run(&["message", "hooks", "msg_1", "--json"]))["deliveries"][0]["attempts"], 2);
}

#[test]
fn deliveries_stop_and_go_on() {
    let api = Api::start();
    assert_snapshot!(api.run(&["pause", "hooks"]), @r#"
    exit 0
    --- stdout
    hooks is paused: messages are accepted, and wait
    "#);
    assert_eq!(api.asked().start, "POST /api/v1/queues/hooks/pause HTTP/1.1");
    assert_snapshot!(api.run(&["resume", "hooks"]), @r#"
    exit 0
    --- stdout
    hooks is delivering again
    "#);
    assert_eq!(api.asked().start, "POST /api/v1/queues/hooks/resume HTTP/1.1");
}

#[test]
fn messages_are_replayed() {
    let api = Api::start();
    let args = ["replay", "hooks", "--state", "dead", "--receiver", "shop", "--rate", "600/m"];
    assert_snapshot!(api.run(&args), @r#"
    exit 0
    --- stdout
    delivered again: 1,234 messages
    "#);
    let order = json!({ "ids": [], "state": "dead", "all": false, "receiver": "shop", "per_second": 10.0 });
    assert_eq!(api.asked_json(), ("/hooks/replay".to_owned(), order));
    assert_eq!(json_of(&api.run(&["replay", "hooks", "msg_1", "msg_2", "--json"]))["replayed"], 1234);
    assert_eq!(api.asked_json().1["ids"], json!(["msg_1", "msg_2"]));
    let asked = api.endpoint.hits();
    assert_snapshot!(api.run(&["replay", "hooks"]), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <ID|--state <STATE>|--all>

    Usage: nearside queue replay --admin <URL> <ID|--state <STATE>|--all> <QUEUE>

    For more information, try '--help'.
    "#);
    assert_snapshot!(api.run(&["replay", "hooks", "--state", "waiting"]), @r#"
    exit 2
    --- stderr
    error: messages that are `waiting` are delivered anyway; replay those that are `dead` or `done`
    "#);
    assert_snapshot!(api.run(&["replay", "hooks", "--all", "--rate", "50"]), @r#"
    exit 2
    --- stderr
    error: invalid value '50' for '--rate <RATE>': write it as 50/s, 600/m or 10/h; at most 100000/s

    For more information, try '--help'.
    "#);
    assert!(api.run(&["replay", "hooks", "msg_1", "--all"]).starts_with("exit 2\n"));
    assert_eq!(api.endpoint.hits(), asked);
}

#[test]
fn many_messages_are_dropped_only_if_that_is_meant() {
    let api = Api::start();
    assert_snapshot!(api.run(&["drop", "hooks", "msg_1"]), @r#"
    exit 0
    --- stdout
    dropped: 1 message
    "#);
    assert_eq!(
        api.asked_json(),
        ("/hooks/drop".to_owned(), json!({ "ids": ["msg_1"], "state": null, "all": false }))
    );
    let asked = api.endpoint.hits();
    assert_snapshot!(api.run(&["drop", "hooks", "--all"]), @r#"
    exit 2
    --- stderr
    error: what is dropped can't be brought back; add --yes if it is meant
    "#);
    assert_eq!(
        api.run(&["drop", "hooks", "--state", "dead", "--json"]),
        api.run(&["drop", "hooks", "--all"])
    );
    assert_eq!(api.endpoint.hits(), asked);
    assert!(api.run(&["drop", "hooks", "--all", "--yes"]).starts_with("exit 0\n"));
    assert_eq!(api.asked_json().1["all"], true);
}

#[test]
fn a_message_is_sent() {
    let api = Api::start();
    let what = ["send", "hooks", "--path", "/hooks/in?a=b", "-X", "PUT", "--data", "{\"order\":7}"];
    let how = ["-H", "X-A: 1", "-H", "X-A:2", "--delay", "90s", "--key", "order-7"];
    assert_snapshot!(api.run(&[what, how].concat()), @r#"
    exit 0
    --- stdout
    msg_2 is kept in hooks
    "#);
    let message = json!({
        "method": "PUT", "path": "/hooks/in?a=b", "headers": { "X-A": ["1", "2"] },
        "body": "{\"order\":7}", "delay": "90s", "idempotency_key": "order-7",
    });
    assert_eq!(api.asked_json(), ("/hooks/messages".to_owned(), message));
    api.run(&["send", "hooks", "--at", "2030-01-31T10:00:00+01:00"]);
    let message = json!({ "method": "POST", "path": "/", "body": "", "at": "2030-01-31T09:00:00Z" });
    assert_eq!(api.asked_json().1, message);
}

#[test]
fn a_body_comes_from_a_file_or_from_standard_input() {
    let api = Api::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body"), b"\xff\x00").unwrap();
    assert!(
        run_in(folder.path(), &["queue", "send", "hooks", "-d", "@body", &api.admin]).starts_with("exit 0\n")
    );
    assert_eq!(api.asked_json().1["body_base64"], "/wA=");
    assert_snapshot!(api.run(&["send", "hooks", "-d", "@none"]), @r#"
    exit 2
    --- stderr
    error: none can't be read: No such file or directory (os error 2)
    "#);
    let large = std::fs::File::create(folder.path().join("large")).unwrap();
    large.set_len((1 << 20) + 1).unwrap();
    let shown = run_in(folder.path(), &["queue", "send", "hooks", "-d", "@large", &api.admin]);
    assert!(shown.contains("large is too large for this command"), "{shown}");

    let mut piped = command();
    let input = std::fs::File::open(folder.path().join("body")).unwrap();
    std::fs::write(folder.path().join("body"), "piped").unwrap();
    piped.args(["queue", "send", "hooks", "--data", "-", &api.admin]).stdin(Stdio::from(input));
    assert!(show(&mut piped).starts_with("exit 0\n"));
    assert_eq!(api.asked_json().1["body"], "piped");
}

#[test]
fn what_can_not_be_sent_is_wrong_use() {
    let api = Api::start();
    assert_snapshot!(api.run(&["send", "hooks", "--path", "in"]), @r#"
    exit 2
    --- stderr
    error: `in` is not a path; it begins with "/", as in /hooks/in?from=us
    "#);
    assert_snapshot!(api.run(&["send", "hooks", "-H", "Nearside-Delay: 1s"]), @r#"
    exit 2
    --- stderr
    error: say it with `delay`, not with a header field
    "#);
    assert_snapshot!(api.run(&["send", "hooks", "--at", "tomorrow"]), @r#"
    exit 2
    --- stderr
    error: invalid value 'tomorrow' for '--at <TIME>': it is not a time with its offset; write it as 2030-01-31T09:00:00Z

    For more information, try '--help'.
    "#);
    assert!(
        api.run(&["send", "hooks", "--at", "2030-01-31T09:00:00Z", "--delay", "1s"]).starts_with("exit 2\n")
    );
    assert_eq!(api.endpoint.hits(), 0);
}
