//! What the API tells: the node, the plan, services, routes.

use serde_json::{Value, json};

use crate::support::Served;

const ROUTE: &str = "shop.example.com/api/*";

#[tokio::test]
async fn status_is_the_node_at_a_glance() {
    let served = Served::start().await;
    served.count(Some(ROUTE), Some("shop"), 200, 2_000_000);
    served.count(None, None, 404, 50_000);
    let status = served.json("/api/v1/status").await;
    assert_eq!(status["node"], "eu-1");
    assert_eq!(status["region"], "eu");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["phase"], "running");
    assert_eq!(status["threads"], 2);
    assert_eq!(status["listeners"], json!(["127.0.0.1:8080"]));
    assert_eq!(status["requests"], 2);
    assert_eq!(status["routes"], 4);
    assert!(status["uptime_seconds"].as_f64().unwrap() >= 60.0);
    let shop = json!({
        "name": "shop", "endpoints": 3, "well": 3, "ill": 0, "unknown": 0, "drained": 0,
        "all_ill": false,
    });
    assert_eq!(status["services"][1], shop);
    let reloads = &status["reloads"];
    assert_eq!((&reloads["done"], &reloads["failed"]), (&json!(3), &json!(1)));
    assert!(reloads["last_seconds_ago"].as_f64().unwrap() >= 5.0);
    assert_eq!(reloads["last_error"], "line 7");
}

#[tokio::test]
async fn services_tell_of_their_endpoints() {
    let served = Served::start().await;
    served.count(Some(ROUTE), Some("shop"), 200, 2_000_000);
    let services = served.json("/api/v1/services").await;
    assert_eq!(services[0]["name"], "next");
    assert_eq!(services[0]["latency_ms"]["p50"], Value::Null);
    let shop = &services[1];
    assert_eq!(shop["name"], "shop");
    assert_eq!(shop["balance"], "hash");
    assert_eq!(shop["limit"]["in_flight"], 0);
    assert!(shop["latency_ms"]["p99"].as_f64().unwrap() <= 1.0);
    assert_eq!(shop["endpoints"][1]["weight"], 3);
    assert_eq!(shop["endpoints"][2]["used"], false);
    assert!(shop.get("plan").is_none());
    let one = served.json("/api/v1/services/shop").await;
    assert_eq!(one["endpoints"], shop["endpoints"]);
    assert_eq!(one["plan"]["balance"], json!({ "hash": "header:x-user" }));
}

#[tokio::test]
async fn routes_tell_what_was_counted() {
    let served = Served::start().await;
    for (status, nanos) in [(200, 600_000), (200, 700_000), (502, 3_000_000)] {
        served.count(Some(ROUTE), Some("shop"), status, nanos);
    }
    served.count(None, None, 404, 50_000);
    let routes = served.json("/api/v1/routes").await;
    let routes = routes.as_array().unwrap();
    assert_eq!(routes.len(), 5);
    let api = &routes[0];
    assert_eq!(api["name"], ROUTE);
    assert_eq!(api["plan"]["service"], "shop");
    assert_eq!(api["plan"]["methods"], json!(["GET", "POST"]));
    assert_eq!((&api["requests"], &api["bytes_in"], &api["bytes_out"]), (&json!(3), &json!(30), &json!(300)));
    let statuses = json!([
        { "service": "shop", "status": 200, "count": 2 },
        { "service": "shop", "status": 502, "count": 1 },
    ]);
    assert_eq!(api["statuses"], statuses);
    let quantile = |share: &str| api["latency_ms"][share].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&quantile("p50")), "{api}");
    assert!((2.5..=5.0).contains(&quantile("p99")), "{api}");
    assert_eq!(routes[1]["requests"], 0);
    assert_eq!((&routes[4]["name"], &routes[4]["requests"]), (&Value::Null, &json!(1)));
}

#[tokio::test]
async fn config_is_the_plan_in_the_words_of_the_file() {
    let plan = Served::start().await.json("/api/v1/config").await;
    assert_eq!(
        plan["node"],
        json!({
            "name": "eu-1", "region": "eu", "data": "./nearside-data", "threads": 2,
        })
    );
    assert_eq!(plan["listen"], json!([{ "address": "127.0.0.1:8080", "trust": ["10.0.0.0/8"] }]));
    assert_eq!(plan["limits"]["header_bytes"], "32KiB");
    assert_eq!(plan["limits"]["idle_timeout"], "1m");
    let shop = &plan["service"]["shop"];
    assert_eq!(shop["balance"], json!({ "hash": "header:x-user" }));
    assert_eq!(shop["endpoints"][2], json!({ "url": "http://127.0.0.1:3003", "weight": 1, "region": "us" }));
    assert_eq!(shop["hedge"], json!({ "after": "p95" }));
    assert_eq!(shop["limit"], json!({ "in_flight": 10, "waiting": 5, "wait": "5s" }));
    assert_eq!(shop["retry"]["on"], json!(["connect", "502", "503", "504"]));
    assert_eq!(plan["service"]["next"]["balance"], "round_robin");
    assert!(plan["service"]["next"].get("hedge").is_none());
    assert_eq!(
        plan["route"][1]["split"],
        json!([
            { "service": "shop", "weight": 3 }, { "service": "next", "weight": 1 },
        ])
    );
    assert_eq!(plan["route"][0]["mirror"], json!({ "service": "next", "share": 0.1 }));
    assert_eq!(plan["route"][2]["redirect"]["status"], 308);
    assert_eq!(plan["route"][3]["match"], json!({ "headers": { "x-beta": "1" } }));
}

#[tokio::test]
async fn no_secret_is_told() {
    let file = format!("[admin]\ntoken = \"correct-horse-battery-staple\"\n{}", crate::support::FILE);
    let served = Served::with(&file).await;
    let token = [("Authorization", "Bearer correct-horse-battery-staple")];
    for path in ["/api/v1/config", "/api/v1/routes", "/api/v1/status", "/metrics"] {
        let answer = served.ask("GET", path, &token, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains("battery") && !answer.body.contains("hush"), "{path}");
    }
    let plan = served.ask("GET", "/api/v1/config", &token, "").await.json();
    assert_eq!(plan["admin"]["token"], "(secret)");
    assert_eq!(plan["route"][0]["headers"]["request"]["set"], json!({ "X-Api-Key": "(secret)" }));
}
