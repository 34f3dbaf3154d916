//! Who may ask, and who may not.

use crate::support::{FILE, Served};

const STATUS: &str = "/api/v1/status";
const DRAIN: &str = "/api/v1/drain";

async fn with_token() -> Served {
    let token = "[admin]\ntoken = \"correct-horse-battery-staple\"\n";
    Served::with(&format!("{token}{FILE}")).await
}

#[tokio::test]
async fn without_a_token_only_loopback_names_are_answered() {
    let served = Served::start().await;
    for host in
        ["localhost", "LOCALHOST:9900", "127.0.0.1:9900", "127.1.2.3", "[::1]:9900", "[::ffff:127.0.0.1]"]
    {
        let answer = served.ask("GET", STATUS, &[("Host", host)], "").await;
        assert_eq!(answer.status, 200, "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.example", "192.0.2.7", "127.0.0.1.evil.example", "", "a@localhost"]
    {
        served.ask("GET", STATUS, &[("Host", host)], "").await.problem(403);
    }
    let two = [("Host", "localhost"), ("Host", "evil.example")];
    served.ask("GET", STATUS, &two, "").await.problem(403);
    served.send("GET /api/v1/status HTTP/1.0\r\n\r\n").await.problem(403);
}

#[tokio::test]
async fn with_a_token_only_who_knows_it_is_answered() {
    let served = with_token().await;
    let right = "Bearer correct-horse-battery-staple";
    for value in [right, "bearer correct-horse-battery-staple"] {
        let fields = [("Authorization", value), ("Host", "eu-1.example.com")];
        assert_eq!(served.ask("GET", STATUS, &fields, "").await.status, 200, "{value}");
    }
    let wrong = [
        "Bearer correct-horse-battery-stapl",
        "Bearer correct-horse-battery-staple1",
        "Bearer Correct-horse-battery-staple",
        "Bearer ",
        "Bearer",
        "Basic correct-horse-battery-staple",
        "correct-horse-battery-staple",
    ];
    for value in wrong {
        let answer = served.ask("GET", STATUS, &[("Authorization", value)], "").await;
        answer.problem(401);
        assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
    }
    let two = [("Authorization", right), ("Authorization", "Bearer x")];
    served.ask("GET", STATUS, &two, "").await.problem(401);
    for path in ["/metrics", "/api/v1/openapi.json", "/nowhere", "/livez/x"] {
        served.get(path).await.problem(401);
    }
}

#[tokio::test]
async fn probes_are_open_to_all() {
    for served in [Served::start().await, with_token().await] {
        for (path, body) in [("/livez", "ok"), ("/readyz", "ready")] {
            let answer = served.ask("GET", path, &[("Host", "10.0.0.1:9900")], "").await;
            assert_eq!((answer.status, &*answer.body), (200, body));
        }
    }
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    for site in ["cross-site", "same-site", "anything"] {
        let served = Served::start().await;
        served.ask("POST", DRAIN, &[("Sec-Fetch-Site", site)], "").await.problem(403);
        assert_eq!(served.ask("GET", STATUS, &[("Sec-Fetch-Site", site)], "").await.status, 200);
        assert!(!served.drained());
    }
    for origin in ["http://evil.example", "null", "http://127.0.0.1", "http://localhost:9900"] {
        let served = Served::start().await;
        served.ask("POST", DRAIN, &[("Origin", origin)], "").await.problem(403);
        assert!(!served.drained());
    }
}

#[tokio::test]
async fn the_apis_own_page_and_no_page_may_change_it() {
    let served = Served::start().await;
    let origin = format!("http://{}", served.address);
    let own = [("Sec-Fetch-Site", "same-origin"), ("Origin", origin.as_str())];
    assert_eq!(served.ask("POST", DRAIN, &own, "").await.status, 202);
    assert_eq!(served.ask("POST", DRAIN, &[], "").await.status, 202);
    assert!(served.drained());
}
