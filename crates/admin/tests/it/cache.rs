//! The cache: what is told of it, what explain says of it, and purges.

use admin::cache::{Cached, NodePurged, PurgeOrder, StoredView, Usable};
use serde_json::{Value, json};

use crate::support::{Answer, Served, stored};

const FILE: &str = r#"
[cache]
memory = "4MiB"
disk = { size = "64MiB" }
shared = "redis://:battery@10.0.0.9"
purge_from = ["10.0.0.0/8"]

[[listen]]
address = "127.0.0.1:8080"

[service.shop]
endpoints = ["http://127.0.0.1:3001"]

[[route]]
service = "shop"

[[route]]
path = "/kept/*"
service = "shop"
cache = { default_ttl = "1m", vary_query = ["v"], key = { headers = ["X-Currency"] }, bypass = ["cookie:session", "query:now"] }

[[route]]
path = "/sorted/*"
service = "shop"
cache = { key = { query = "sorted" }, largest = "1MiB" }
"#;

#[tokio::test]
async fn the_cache_at_a_glance() {
    let served = Served::with(FILE).await;
    let cache = json!({
        "requests": { "hit": 3, "miss": 1, "pass": 5 },
        "hit_ratio": 0.75,
        "tiers": [
            {
                "tier": "memory", "state": "up", "bytes": 1000, "limit": 4 << 20, "objects": 7,
                "evictions": 2,
            },
            {
                "tier": "shared", "state": "down", "why": "no answer within 25 ms", "bytes": null,
                "limit": null, "objects": null, "evictions": 0,
            },
        ],
    });
    assert_eq!(served.json("/api/v1/cache").await, cache);
    assert_eq!(served.json("/api/v1/status").await["cache"], cache);
    let without = Served::start().await.json("/api/v1/status").await;
    assert!(without.get("cache").is_none(), "{without}");
}

#[tokio::test]
async fn config_tells_of_the_cache_without_its_password() {
    let answer = Served::with(FILE).await.get("/api/v1/config").await;
    assert!(!answer.body.contains("battery"), "{}", answer.body);
    let plan = answer.json();
    assert_eq!(
        plan["cache"],
        json!({
            "memory": "4MiB", "disk": { "path": "./nearside-data/cache", "size": "64MiB" },
            "shared": "(secret)", "largest": "1GiB", "purge_from": ["10.0.0.0/8"],
        })
    );
    assert!(plan["route"][0].get("cache").is_none());
    assert_eq!(
        plan["route"][1]["cache"],
        json!({
            "default_ttl": "1m", "vary_query": ["v"],
            "key": { "headers": ["x-currency"], "cookies": [] }, "bypass": ["cookie:session", "query:now"],
        })
    );
    assert_eq!(
        plan["route"][2]["cache"],
        json!({
            "key": { "query": "sorted", "headers": [], "cookies": [] }, "bypass": [], "largest": "1MiB",
        })
    );
}

/// What explain says of the cache for a request with this method, when this is stored.
async fn explain(method: &str, bypass: bool, stored: Vec<StoredView>) -> Value {
    let served = Served::with(FILE).await;
    let key = "http://a/kept/x".to_owned();
    *served.node.cached.lock().unwrap() = Cached { key, bypass, stored };
    let told = served.json(&format!("/api/v1/explain?url=http://a/kept/x&method={method}")).await;
    assert_eq!(told["outcome"], "forwarded");
    told["cache"].clone()
}

#[tokio::test]
async fn explain_tells_what_is_stored() {
    let other = StoredView {
        tier: "disk",
        variant: "accept-encoding: gzip".to_owned(),
        fits: false,
        etag: None,
        tags: Vec::new(),
        ..stored()
    };
    let told = explain("GET", false, vec![other, stored()]).await;
    assert_eq!(
        told,
        json!({
            "key": "http://a/kept/x",
            "verdict": "hit",
            "why": "it is fresh for 48 s more",
            "stored": [
                {
                    "tier": "disk", "variant": "accept-encoding: gzip", "fits": false, "usable": "fresh",
                    "why": "", "status": 200, "age": 12, "ttl": 48, "bytes": 1234, "tags": [],
                },
                {
                    "tier": "memory", "variant": "", "fits": true, "usable": "fresh", "why": "",
                    "status": 200, "age": 12, "ttl": 48, "bytes": 1234, "etag": "\"v1\"",
                    "tags": ["a", "b"],
                },
            ],
        })
    );
}

#[tokio::test]
async fn explain_judges_by_what_fits() {
    let stale = |usable, why: &str| StoredView { usable, ttl: -5, why: why.to_owned(), ..stored() };
    let elsewhere = || StoredView { fits: false, ..stored() };
    let cases = [
        ("GET", vec![], "miss", "nothing is stored under this key"),
        ("GET", vec![elsewhere()], "miss", "what is stored under this key is for other requests"),
        (
            "GET",
            vec![elsewhere(), elsewhere()],
            "miss",
            "the 2 answers stored under this key are for other requests",
        ),
        ("HEAD", vec![stored()], "hit", "it is fresh for 48 s more"),
        ("GET", vec![stale(Usable::Stale, "")], "stale", "it is stale for 5 s, which is allowed"),
        (
            "GET",
            vec![stale(Usable::StaleWhileRevalidate, "")],
            "stale",
            "it is stale for 5 s, and is used while it is fetched anew",
        ),
        ("GET", vec![stale(Usable::Validated, "")], "revalidate", "it is stale for 5 s"),
        ("GET", vec![stale(Usable::Validated, "purged softly"), stored()], "revalidate", "purged softly"),
        (
            "GET",
            vec![StoredView { usable: Usable::Validated, ..stored() }],
            "revalidate",
            "it is fresh, but must be validated",
        ),
        ("POST", vec![stored()], "pass", "only GET and HEAD are answered from the cache"),
    ];
    for (method, stored, verdict, why) in cases {
        let told = explain(method, false, stored).await;
        assert_eq!((&told["verdict"], &told["why"]), (&json!(verdict), &json!(why)));
    }
    assert_eq!(explain("GET", true, vec![stored()]).await["verdict"], "bypass");
}

#[tokio::test]
async fn explain_says_nothing_of_the_cache_where_a_route_has_none() {
    let told = Served::with(FILE).await.json("/api/v1/explain?url=http://a/b").await;
    assert_eq!((&told["outcome"], told.get("cache")), (&json!("forwarded"), None));
}

async fn purge(served: &Served, body: &str) -> Answer {
    served.ask("POST", "/api/v1/purge", &[("Content-Type", "application/json")], body).await
}

#[tokio::test]
async fn a_purge_tells_what_each_node_did() {
    let served = Served::start().await;
    let node = |name: &str, done, removed, why: Option<&str>| NodePurged {
        node: name.to_owned(),
        region: "eu".to_owned(),
        done,
        removed,
        why: why.map(str::to_owned),
    };
    let nodes = vec![node("eu-1", true, 3, None), node("eu-2", false, 0, Some("no answer"))];
    *served.node.next_purge.lock().unwrap() = Ok(nodes);
    let order = r#"{"urls": ["http://a/b"], "tags": ["t"], "prefixes": ["https://a/c/"], "soft": true}"#;
    let answer = purge(&served, order).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({ "nodes": [
            { "node": "eu-1", "region": "eu", "done": true, "removed": 3 },
            { "node": "eu-2", "region": "eu", "done": false, "removed": 0, "why": "no answer" },
        ]})
    );
    let list = |text: &str| vec![text.to_owned()];
    let ordered = PurgeOrder {
        urls: list("http://a/b"),
        tags: list("t"),
        prefixes: list("https://a/c/"),
        all: false,
        soft: true,
    };
    assert_eq!(served.node.purged.lock().unwrap().take(), Some(ordered));
    assert_eq!(purge(&served, r#"{"all": true}"#).await.status, 200);
    assert!(served.node.purged.lock().unwrap().take().unwrap().all);
}

#[tokio::test]
async fn a_purge_that_is_not_clear_is_refused_and_not_done() {
    let served = Served::start().await;
    let many = json!({ "urls": vec!["http://a/"; 1001] }).to_string();
    let long = json!({ "tags": ["x".repeat(2000)] }).to_string();
    let cases = [
        ("{}", "name what to purge: `urls`, `tags`, `prefixes`, or `all`: true"),
        (r#"{"soft": true, "urls": []}"#, "name what to purge"),
        (r#"{"url": "http://a/"}"#, "unknown field `url`, expected one of `urls`, `tags`, `prefixes`"),
        (r#"{"urls": "http://a/"}"#, "expected a sequence"),
        (r#"{"urls": ["/cart"]}"#, "`/cart` is not a whole URL; write it as http://shop.example.com/cart"),
        (r#"{"prefixes": ["shop.example.com/"]}"#, "is not a whole URL"),
        (r#"{"tags": ["a b"]}"#, "`a b` is not a tag: write each tag by itself"),
        (r#"{"tags": ["a,b"]}"#, "`a,b` is not a tag"),
        (r#"{"all": true, "tags": ["a"]}"#, "`all` purges everything: leave out"),
        (&many, "`urls` names 1001; 1000 are the most at once"),
        (&long, "is too long"),
    ];
    for (body, why) in cases {
        let said = purge(&served, body).await.problem(400);
        assert!(said.contains(why), "{body}: {said}");
    }
    purge(&served, "{").await.problem(400);
    served.ask("POST", "/api/v1/purge", &[], "{}").await.problem(415);
    served.get("/api/v1/purge").await.problem(405);
    assert_eq!(*served.node.purged.lock().unwrap(), None);
}

#[tokio::test]
async fn a_purge_that_fails_says_why() {
    let served = Served::start().await;
    *served.node.next_purge.lock().unwrap() = Err("the disk is full".to_owned());
    assert_eq!(purge(&served, r#"{"all": true}"#).await.problem(503), "the disk is full");
}
