//! What changes a node: reloads, drains.

use admin::{ReloadError, Reloaded};
use edge::Phase;
use serde_json::json;

use crate::support::{Served, parse};

async fn reload(result: Result<Reloaded, ReloadError>) -> crate::support::Answer {
    let served = Served::start().await;
    *served.node.next_reload.lock().unwrap() = Some(result);
    served.ask("POST", "/api/v1/reload", &[], "").await
}

#[tokio::test]
async fn a_reload_tells_what_it_did() {
    let answer = reload(Ok(Reloaded { warnings: Vec::new(), changed: true })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "changed": true, "warnings": [] })));
}

#[tokio::test]
async fn a_file_with_mistakes_lists_them() {
    let report = parse("[node]\nnmae = \"x\"\nthreads = -1").unwrap_err();
    let mistakes = report.diagnostics.len();
    let answer = reload(Err(ReloadError::Config(report))).await;
    answer.problem(422);
    let listed = &answer.json()["diagnostics"]["listed"];
    assert_eq!(listed.as_array().unwrap().len(), mistakes);
    assert_eq!(listed[0]["line"], 2);
    assert_eq!(listed[0]["severity"], "error");
}

#[tokio::test]
async fn what_the_system_refuses_is_a_conflict() {
    let refused = "0.0.0.0:80 is taken";
    let answer = reload(Err(ReloadError::Bind(refused.to_owned()))).await;
    assert_eq!(answer.problem(409), refused);
    assert_eq!(reload(Err(ReloadError::NoFile)).await.problem(409), "this node runs without a file");
}

#[tokio::test]
async fn an_endpoint_is_taken_out_and_back_in() {
    let served = Served::start().await;
    let path = "/api/v1/services/shop/endpoints/drain";
    let json_type = [("Content-Type", "application/json")];
    for (drain, state) in [("true", "drained"), ("false", "up")] {
        let body = format!(r#"{{"endpoint": "http://127.0.0.1:3002", "drain": {drain}}}"#);
        let answer = served.ask("POST", path, &json_type, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["endpoints"][1]["state"], state);
    }
}

#[tokio::test]
async fn a_drain_of_nothing_is_refused() {
    let served = Served::start().await;
    let path = "/api/v1/services/shop/endpoints/drain";
    let json_type = [("Content-Type", "application/json")];
    let unknown = r#"{"endpoint": "http://127.0.0.1:9", "drain": true}"#;
    let said = served.ask("POST", path, &json_type, unknown).await.problem(404);
    assert!(said.contains("http://127.0.0.1:9"), "{said}");
    let elsewhere = path.replace("shop", "none");
    served.ask("POST", &elsewhere, &json_type, unknown).await.problem(404);
    served.ask("POST", path, &json_type, "{").await.problem(400);
    served.ask("POST", path, &json_type, r#"{"drain": true}"#).await.problem(422);
    let more = r#"{"endpoint": "http://127.0.0.1:3001", "drain": true, "x": 1}"#;
    served.ask("POST", path, &json_type, more).await.problem(422);
    served.ask("POST", path, &[], unknown).await.problem(415);
}

#[tokio::test]
async fn a_drain_begins_and_a_leaving_node_is_not_ready() {
    let served = Served::start().await;
    assert_eq!(served.ask("POST", "/api/v1/drain", &[], "").await.status, 202);
    assert!(served.drained());
    for (phase, name) in [(Phase::Leaving, "leaving"), (Phase::Closing, "closing")] {
        served.advance(phase);
        let ready = served.get("/readyz").await;
        assert_eq!(ready.status, 503);
        assert!(ready.body.starts_with("the node "), "{}", ready.body);
        assert_eq!(served.get("/livez").await.status, 200);
        assert_eq!(served.json("/api/v1/status").await["phase"], name);
    }
}
