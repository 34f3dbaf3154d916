//! The queues: what is told of them, and what is asked of them.

use admin::queue::{DropOrder, MessageState, NewMessage, QueueError, ReplayOrder, Which};
use serde_json::{Value, json};

use crate::exposition::read;
use crate::fake_queues::Call;
use crate::support::{Answer, Served};

const FILE: &str = r#"
[[listen]]
address = "127.0.0.1:8080"

[service.shop]
endpoints = ["http://127.0.0.1:3001"]

[[route]]
path = "/hooks/*"
queue = "hooks"

[[route]]
path = "/reports/*"
service = "shop"
queue = "nightly"

[queue.hooks]
deliver = ["shop", "https://hooks.example.com/in"]
order_by = "header:X-Account"
rate = "600/m"
sign = "a battery of some length"

[queue.nightly]
deliver = ["shop"]
every = "0 3 * * *"
request = { path = "/reports", headers = { "X-Api-Key" = "hush" } }
"#;

async fn served() -> Served {
    Served::with(FILE).await
}

async fn post(served: &Served, path: &str, json: &Value) -> Answer {
    let path = format!("/api/v1/queues/{path}");
    served.ask("POST", &path, &[("Content-Type", "application/json")], &json.to_string()).await
}

fn last_call(served: &Served) -> Option<Call> {
    served.node.queues.calls.lock().unwrap().last().cloned()
}

#[tokio::test]
async fn the_queues_at_a_glance() {
    let served = served().await;
    let queues = served.json("/api/v1/queues").await;
    let hooks = json!({
        "name": "hooks", "paused": false, "in_plan": true, "waiting": 3, "delayed": 5, "running": 2,
        "done": 70, "dead": 1, "bytes": 4096, "full": 10_u64 << 30, "oldest_seconds": 12.5,
        "receivers": [
            {
                "receiver": "shop", "in_plan": true, "waiting": 3, "delayed": 1, "in_flight": 2, "dead": 0, "limit": 32,
                "concurrency": 32, "rate": 50.0,
            },
            {
                "receiver": "https://hooks.example.com/in", "in_plan": true, "waiting": 3, "delayed": 1, "in_flight": 2,
                "dead": 1, "limit": 4, "concurrency": 32, "rate": 50.0,
                "held_until": "2026-11-23T22:00:01Z", "last_error": "503",
            },
        ],
        "counters": {
            "accepted": 81, "again": 6, "done": 140, "retried": 9, "dead": 1, "refused": { "full": 4, "other_content": 0 },
        },
    });
    assert_eq!(queues[0], hooks);
    assert_eq!(queues[1]["every"], json!({ "cron": "0 3 * * *", "next": "2026-11-23T22:00:00Z" }));
    assert_eq!(served.json("/api/v1/queues/hooks").await, hooks);
    let status = served.json("/api/v1/status").await;
    assert_eq!((&status["queues"], &status["log"]), (&queues, &json!({ "bytes": 1 << 20 })));
}

#[tokio::test]
async fn a_node_without_queues_says_so() {
    let served = Served::start().await;
    assert_eq!(served.json("/api/v1/queues").await, json!([]));
    let status = served.json("/api/v1/status").await;
    assert!(status.get("queues").is_none() && status.get("log").is_none(), "{status}");
    let said = served.get("/api/v1/queues/hooks").await.problem(404);
    assert_eq!(said, "this node has no queues; write a table [queue.NAME] into its file");
}

#[tokio::test]
async fn an_unknown_queue_is_answered_with_the_nearest() {
    let served = served().await;
    let near = "this node has no queue `hook`; did you mean `hooks`?";
    for path in ["", "/messages", "/messages/msg_1"] {
        assert_eq!(served.get(&format!("/api/v1/queues/hook{path}")).await.problem(404), near, "{path}");
    }
    let all = json!({ "all": true });
    for (path, body) in [("pause", json!({})), ("resume", json!({})), ("replay", all.clone()), ("drop", all)]
    {
        assert_eq!(post(&served, &format!("hook/{path}"), &body).await.problem(404), near, "{path}");
    }
    assert_eq!(post(&served, "hook/messages", &json!({})).await.problem(404), near);
    let far = served.get("/api/v1/queues/a%0Ab").await.problem(404);
    assert_eq!(far, "this node has no queue `a\\nb`; see them at /api/v1/queues");
}

#[tokio::test]
async fn messages_are_listed_by_state_and_in_pages() {
    let served = served().await;
    let page = served.json("/api/v1/queues/hooks/messages").await;
    assert_eq!(last_call(&served), Some(Call::Messages(None, None, 100)));
    assert_eq!(
        page,
        json!({
            "messages": [{
                "id": "msg_1", "state": "dead", "accepted": "2026-11-23T22:00:00Z", "due": null,
                "method": "POST", "target": "/hooks/in?a=b", "bytes": 7, "attempts": 12, "error": "410",
            }],
            "next": "msg_1",
        })
    );
    served.json("/api/v1/queues/hooks/messages?state=dead&after=msg_1&limit=7").await;
    let call = Call::Messages(Some(MessageState::Dead), Some("msg_1".to_owned()), 7);
    assert_eq!(last_call(&served), Some(call));
    let wrong = [
        ("state=lost", "`lost` is not a state; there are `waiting`, `running`, `done`, `dead`"),
        ("limit=0", "`limit` is a number from 1 to 1000"),
        ("limit=1001", "`limit` is a number from 1 to 1000"),
        ("limit=x", "`limit` is a number from 1 to 1000"),
        ("colour=red", "messages take state, after and limit, not `colour`"),
    ];
    for (query, why) in wrong {
        let answer = served.get(&format!("/api/v1/queues/hooks/messages?{query}")).await;
        assert_eq!(answer.problem(400), why, "{query}");
    }
}

#[tokio::test]
async fn a_message_is_told_without_its_secrets() {
    let served = served().await;
    let message = served.json("/api/v1/queues/hooks/messages/msg_1").await;
    assert_eq!(
        message,
        json!({
            "id": "msg_1", "queue": "hooks", "state": "dead", "accepted": "2026-11-23T22:00:00Z",
            "due": null, "method": "POST", "target": "/hooks/in?a=b", "bytes": 7,
            "event": { "source": "/shop", "type": "order.paid", "id": "7" },
            "headers": [["Content-Type", "text/plain"], ["Authorization", "(hidden)"]],
            "body_preview": { "text": "order 7", "binary": false, "cut": false },
            "deliveries": [{
                "receiver": "shop", "state": "dead", "attempts": 2, "due": null,
                "history": [
                    { "at": "2026-11-23T22:00:00.005Z", "took_ms": 30, "status": null, "error": "reset" },
                    { "at": "2026-11-23T22:00:00.9Z", "took_ms": 4, "status": 410 },
                ],
                "answer": { "text": "gone", "binary": false, "cut": false },
            }],
        })
    );
    let said = served.get("/api/v1/queues/hooks/messages/msg_9").await.problem(404);
    assert_eq!(said, "the queue keeps no message msg_9: it never did, or its time is over");
}

#[tokio::test]
async fn deliveries_stop_and_go_on() {
    let served = served().await;
    assert_eq!(post(&served, "hooks/pause", &json!({})).await.json()["paused"], true);
    assert_eq!(served.json("/api/v1/queues/hooks").await["paused"], true);
    assert_eq!(post(&served, "hooks/resume", &json!({})).await.json()["paused"], false);
}

#[tokio::test]
async fn what_is_replayed_and_dropped_is_said_in_one_way() {
    let served = served().await;
    let order = json!({ "state": "dead", "receiver": "shop", "per_second": 50 });
    assert_eq!(post(&served, "hooks/replay", &order).await.json(), json!({ "replayed": 7 }));
    let receiver = Some("shop".to_owned());
    let order = ReplayOrder { which: Which::State(MessageState::Dead), receiver, per_second: Some(50.0) };
    assert_eq!(last_call(&served), Some(Call::Replay(order)));
    let ids = json!({ "ids": ["msg_1", "msg_2"] });
    assert_eq!(post(&served, "hooks/drop", &ids).await.json(), json!({ "dropped": 3 }));
    let which = Which::Ids(vec!["msg_1".to_owned(), "msg_2".to_owned()]);
    assert_eq!(last_call(&served), Some(Call::Drop(DropOrder { which })));

    let asked = served.node.queues.calls.lock().unwrap().len();
    let one = "say which messages by one of these: `ids`: [\"msg_…\"], `state`: \"dead\", or `all`: true";
    let bad = [
        ("replay", json!({}), one),
        ("drop", json!({}), one),
        ("drop", json!({ "all": true, "state": "done" }), one),
        ("replay", json!({ "state": "running" }), "messages that are `running` are delivered anyway"),
        ("replay", json!({ "all": true, "per_second": 0 }), "`per_second` is more than 0 and at most 100000"),
        ("drop", json!({ "state": "lost" }), "unknown variant `lost`"),
        ("drop", json!({ "all": true, "receiver": "shop" }), "unknown field `receiver`"),
        ("replay", json!({ "ids": vec!["a"; 1001] }), "`ids` names 1001; 1000 are the most at once"),
    ];
    for (path, body, why) in bad {
        let said = post(&served, &format!("hooks/{path}"), &body).await.problem(400);
        assert!(said.contains(why), "{path} {body}: {said}");
    }
    assert_eq!(served.node.queues.calls.lock().unwrap().len(), asked);
}

#[tokio::test]
async fn a_message_is_sent_as_json() {
    let served = served().await;
    let ask = json!({
        "method": "PUT", "path": "/hooks/in?a=b", "headers": { "X-Account": "7" }, "body": "größe",
        "delay": "30s", "idempotency_key": "k",
    });
    let answer = post(&served, "hooks/messages", &ask).await;
    assert_eq!((answer.status, answer.json()), (202, json!({ "id": "msg_2", "queue": "hooks" })));
    assert!(answer.head.contains("\r\nlocation: /api/v1/queues/hooks/messages/msg_2"), "{}", answer.head);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let message = NewMessage {
        method: "PUT".to_owned(),
        path: "/hooks/in?a=b".to_owned(),
        headers: vec![header("X-Account", "7"), header("Idempotency-Key", "k")],
        body: "größe".as_bytes().to_vec(),
        delay: Some("30s".to_owned()),
        at: None,
        idempotency_key: Some("k".to_owned()),
    };
    assert_eq!(last_call(&served), Some(Call::Send(message)));
    let bad = [
        (json!({ "colour": "red" }), "unknown field `colour`"),
        (json!({ "body": "", "body_base64": "" }), "not both"),
        (json!({ "path": "in" }), "`in` is not a path"),
        (json!([]), "invalid"),
    ];
    for (body, why) in bad {
        let said = post(&served, "hooks/messages", &body).await.problem(400);
        assert!(said.contains(why), "{body}: {said}");
    }
    let query = post(&served, "hooks/messages?path=/a", &json!({})).await.problem(400);
    assert_eq!(query, "say `path` in the JSON, not in the query");
    let json = [("Content-Type", "application/json")];
    assert!(!served.ask("POST", "/api/v1/queues/hooks/messages", &json, "{").await.problem(400).is_empty());
}

#[tokio::test]
async fn a_body_of_another_kind_is_the_message() {
    let served = served().await;
    let fields = [
        ("Content-Type", "application/cloudevents+json"),
        ("CE-Id", "7"),
        ("X-Account", "7"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Authorization", "Bearer battery"),
        ("Cookie", "a=b"),
        ("Nearside-At", "2026-11-23T22:00:00Z"),
        ("Idempotency-Key", "k"),
    ];
    let path = "/api/v1/queues/hooks/messages?path=/in%3Fa=b&method=PUT";
    assert_eq!(served.ask("POST", path, &fields, "{}").await.status, 202);
    let Some(Call::Send(message)) = last_call(&served) else { panic!("nothing was sent") };
    let headers: Vec<_> = message.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        headers,
        [
            ("content-type", "application/cloudevents+json"),
            ("ce-id", "7"),
            ("x-account", "7"),
            ("Idempotency-Key", "k"),
        ]
    );
    assert_eq!((&*message.method, &*message.path, &*message.body), ("PUT", "/in?a=b", b"{}".as_slice()));
    assert_eq!(message.at.as_deref(), Some("2026-11-23T22:00:00Z"));

    let path = "/api/v1/queues/hooks/messages";
    assert_eq!(served.ask("POST", path, &[], "").await.status, 202);
    let plain = NewMessage { method: "POST".into(), path: "/".into(), ..NewMessage::default() };
    assert_eq!(last_call(&served), Some(Call::Send(plain)));
    let twice = [("Nearside-Delay", "1s"), ("Nearside-Delay", "2s")];
    assert!(
        served.ask("POST", path, &twice, "").await.problem(400).contains("nearside-delay is there twice")
    );
    let query = served.ask("POST", &format!("{path}?to=/a"), &[], "").await.problem(400);
    assert_eq!(query, "a message takes method and path, not `to`");
    let large = "x".repeat((1 << 20) + 1);
    let said = served.ask("POST", path, &[], &large).await.problem(413);
    assert!(said.contains("send larger ones to a route with this queue"), "{said}");
}

#[tokio::test]
async fn what_a_queue_refuses_has_a_status_of_its_own() {
    let served = served().await;
    let refusals = [
        (QueueError::Wrong("a delay of 2y is too long".to_owned()), 400, "a delay of 2y"),
        (QueueError::NotInPlan, 409, "doesn't name this queue any more"),
        (QueueError::OtherContent, 422, "take a new one"),
        (QueueError::Full, 507, "full"),
        (QueueError::TooLarge("a body has 64 MiB".to_owned()), 413, "64 MiB"),
        (QueueError::Unavailable("the disk failed".to_owned()), 503, "the disk failed"),
    ];
    for (error, status, why) in refusals {
        *served.node.queues.fails.lock().unwrap() = Some(error);
        let said = post(&served, "hooks/messages", &json!({})).await.problem(status);
        assert!(said.contains(why), "{said}");
    }
    *served.node.queues.fails.lock().unwrap() = Some(QueueError::Unavailable("the disk failed".to_owned()));
    post(&served, "hooks/pause", &json!({})).await.problem(503);
}

#[tokio::test]
async fn config_tells_of_the_queues_without_their_secrets() {
    let answer = served().await.get("/api/v1/config").await;
    assert!(!answer.body.contains("battery") && !answer.body.contains("hush"), "{}", answer.body);
    let plan = answer.json();
    let hooks = json!({
        "deliver": ["shop", "https://hooks.example.com/in"], "order_by": "header:x-account",
        "dedupe": "1d", "retry": { "attempts": 12, "first": "1s", "longest": "1h" }, "rate": "10/s",
        "concurrency": 32, "timeout": "30s", "keep": { "done": "1h", "dead": "30d" }, "sign": ["(secret)"],
        "full": "10GiB", "allow_private_addresses": false,
    });
    assert_eq!(plan["queue"]["hooks"], hooks);
    let nightly = &plan["queue"]["nightly"];
    assert_eq!(nightly["every"], "0 3 * * *");
    assert_eq!(nightly["request"]["headers"], json!({ "X-Api-Key": "(secret)" }));
    assert_eq!(plan["route"][0]["queue"], "hooks");
    assert_eq!(
        (&plan["route"][1]["service"], &plan["route"][1]["queue"]),
        (&json!("shop"), &json!("nightly"))
    );
}

#[tokio::test]
async fn explain_tells_what_is_kept_and_what_is_followed() {
    let served = served().await;
    let told = served.json("/api/v1/explain?url=http://a/hooks/in&method=POST").await;
    assert_eq!((&told["outcome"], &told["queue"]), (&json!("enqueued"), &json!("hooks")));
    assert_eq!(told["deliver"], json!(["shop", "https://hooks.example.com/in"]));
    assert_eq!(told["now"]["waiting"], 3);
    let told = served.json("/api/v1/explain?url=http://a/hooks/in&header=Accept:text/event-stream").await;
    assert_eq!((&told["outcome"], &told["queue"]), (&json!("followed"), &json!("hooks")));
    let told = served.json("/api/v1/explain?url=http://a/reports/x").await;
    assert_eq!((&told["outcome"], &told["queue"]), (&json!("forwarded"), &json!("nightly")));
    let told = served.json("/api/v1/explain?url=http://a/reports/x&header=Prefer:%20respond-async").await;
    assert_eq!((&told["outcome"], &told["queue"]), (&json!("enqueued"), &json!("nightly")));
}

#[tokio::test]
async fn metrics_tell_of_each_queue() {
    let page = read(&served().await.get("/metrics").await.body);
    let queue = ("queue", "hooks");
    let of = |name: &str, label: (&str, &str)| page[name].value(&[queue, label]);
    let states = [("waiting", 3.0), ("delayed", 5.0), ("running", 2.0), ("done", 70.0), ("dead", 1.0)];
    for (state, count) in states {
        assert_eq!(of("nearside_queue_messages", ("state", state)), count, "{state}");
    }
    for (outcome, count) in [("done", 140.0), ("retried", 9.0), ("dead", 1.0)] {
        assert_eq!(of("nearside_deliveries_total", ("outcome", outcome)), count, "{outcome}");
    }
    assert_eq!(of("nearside_queue_refused_total", ("why", "full")), 4.0);
    let value = |name: &str| page[name].value(&[queue]);
    assert_eq!(value("nearside_queue_oldest_seconds"), 12.5);
    assert_eq!(value("nearside_queue_bytes"), 4096.0);
    assert_eq!(value("nearside_queue_paused"), 0.0);
    assert_eq!(value("nearside_queue_accepted_total"), 81.0);
    assert_eq!(value("nearside_queue_again_total"), 6.0);
    let idle = [("queue", "nightly")];
    assert_eq!(page["nearside_queue_oldest_seconds"].value(&idle), 0.0);
    assert_eq!(page["nearside_log_bytes"].value(&[]), 1_048_576.0);
    assert_eq!(page["nearside_log_trouble"].value(&[]), 0.0);
}
