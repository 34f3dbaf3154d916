//! How the API takes and ends connections.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{FILE, Served};

/// Longer than anything here takes, shorter than a test may hang.
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn every_documented_operation_is_served_and_no_other_method() {
    let served = Served::with(&format!("{FILE}\n[queue.hooks]\ndeliver = [\"shop\"]\n")).await;
    let document = served.json("/api/v1/openapi.json").await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let names = [("{service}", "shop"), ("{queue}", "hooks"), ("{id}", "msg_1")];
        let path = names.iter().fold(path.clone(), |path, (name, is)| path.replace(name, is));
        for method in ["GET", "POST", "DELETE"] {
            let documented = operations.get(method.to_ascii_lowercase()).is_some();
            if documented && path.ends_with("/reload") {
                continue; // tested where a fake node knows what to answer
            }
            let answer = served.ask(method, &path, &[], "").await;
            if documented {
                assert_ne!(answer.status, 405, "{method} {path}");
                assert_ne!(answer.status, 404, "{method} {path}");
            } else {
                answer.problem(405);
                assert!(answer.head.contains("\r\nallow: "), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_document_refers_only_to_what_it_holds() {
    let document = Served::start().await.json("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(operations) {
        ids.push(operation["operationId"].as_str().unwrap().to_owned());
        assert!(operation["summary"].is_string());
        assert!(!operation["responses"].as_object().unwrap().is_empty());
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    assert!(document["components"]["schemas"]["Problem"].is_object());
}

fn operations(path: &Value) -> impl Iterator<Item = &Value> {
    path.as_object().unwrap().values()
}

#[tokio::test]
async fn unknown_paths_are_problems() {
    let served = Served::start().await;
    for path in ["/", "/api/v1", "/api/v2/status", "/api/v1/services/none", "/livez/"] {
        assert!(!served.get(path).await.problem(404).is_empty(), "{path}");
    }
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let served = Served::start().await;
    let json_type = [("Content-Type", "application/json")];
    let body = " ".repeat((1 << 20) + 1);
    let path = "/api/v1/services/shop/endpoints/drain";
    served.ask("POST", path, &json_type, &body).await.problem(413);
}

#[tokio::test]
async fn stops_when_told_and_finishes_idle_connections() {
    let mut served = Served::start().await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    let ask = format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
    idle.write_all(ask.as_bytes()).await.unwrap();
    let mut byte = [0; 1];
    idle.read_exact(&mut byte).await.unwrap();
    served.stop.take().unwrap().send(()).unwrap();
    timeout(LIMIT, served.task).await.unwrap().unwrap().unwrap();
    let mut rest = Vec::new();
    timeout(LIMIT, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with(b"ok"));
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_cut_off() {
    let served = Served::start().await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /livez HTT").await.unwrap();
    let mut rest = Vec::new();
    timeout(LIMIT, slow.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(!rest.ends_with(b"ok"));
}
