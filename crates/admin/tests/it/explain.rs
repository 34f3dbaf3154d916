//! What would happen to a request.

use serde_json::{Value, json};

use crate::support::Served;

async fn explain(query: &str) -> Value {
    Served::start().await.json(&format!("/api/v1/explain?{query}")).await
}

#[tokio::test]
async fn the_route_and_why_not_the_others() {
    let told = explain("url=http://Shop.Example.com:8080/api/cart?x=1&from=192.0.2.7").await;
    assert_eq!(told["host"], "shop.example.com");
    assert_eq!(told["path"], "/api/cart");
    assert_eq!(told["client"], "192.0.2.7");
    assert_eq!(told["outcome"], "forwarded");
    assert_eq!(told["route"], "shop.example.com/api/*");
    assert_eq!(told["mirror"], json!({ "service": "next", "share": 0.1 }));
    let routes = told["routes"].as_array().unwrap();
    let chosen: Vec<bool> = routes.iter().map(|route| route["chosen"].as_bool().unwrap()).collect();
    assert_eq!(chosen, [true, false, false, false]);
    assert!(routes[1]["why"].as_str().unwrap().contains("more specific"), "{told}");
    assert_eq!(routes[2]["why"], "its path is /old/*");
    assert_eq!(told["routes_omitted"], 0);
}

#[tokio::test]
async fn the_services_and_their_endpoints() {
    let told = explain("url=shop.example.com").await;
    let to = &told["to"];
    assert_eq!((&to[0]["service"], &to[0]["share"]), (&json!("shop"), &json!(0.75)));
    assert_eq!((&to[1]["service"], &to[1]["share"]), (&json!("next"), &json!(0.25)));
    assert_eq!(to[0]["hash_of"], "header:x-user");
    assert_eq!(to[0]["endpoints"].as_array().unwrap().len(), 2);
    assert_eq!(to[0]["endpoints"][1]["weight"], 3.0);
    assert_eq!(to[0]["unused"][0]["url"], "http://127.0.0.1:3003");
    assert_eq!(to[0]["unused"][0]["state"], "up");
    assert_eq!(to[0]["limit"]["in_flight"], 0);
    assert_eq!(to[1]["endpoints"][0]["why"], "its turn is next");
    assert_eq!(to[0]["retry"]["attempts"], 2);
    assert_eq!(to[0]["retry"]["only_if_unsent"], false);
    assert_eq!(to[1]["retry"]["attempts"], 0);
}

/// The endpoints that the key of this user is at home at.
async fn homes(served: &Served, user: &str) -> Vec<String> {
    let query = format!("url=shop.example.com/api/x&header=X-User:{user}");
    let told = served.json(&format!("/api/v1/explain?{query}")).await;
    let endpoints = told["to"][0]["endpoints"].as_array().unwrap().iter();
    let own = endpoints.filter(|one| one["why"].as_str().unwrap().contains("this key is its own"));
    own.map(|one| one["url"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn hashing_is_that_of_the_data_path() {
    let served = Served::start().await;
    let scores = |user: &str| {
        let registry = admin::Operations::registry(&*served.node);
        let shop = registry.get("shop").unwrap();
        let scores = shop.scores(upstream::balance::hash(user.as_bytes()), 0);
        let own = scores.into_iter().find(|(_, score)| score.why.contains("its own"));
        own.unwrap().0.url().to_string()
    };
    let mut seen = std::collections::BTreeSet::new();
    for user in 0..20 {
        let user = format!("user-{user}");
        let homes = homes(&served, &user).await;
        assert_eq!(homes, [scores(&user)]);
        seen.extend(homes);
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn a_cookie_brings_a_client_back() {
    let key = upstream::balance::hash(b"http://127.0.0.1:3002");
    let cookie = upstream::sticky::value(key);
    let told =
        explain(&format!("url=shop.example.com/api/x&header=Cookie:%20a=b;%20nearside_shop={cookie}")).await;
    let sticky: Vec<_> =
        told["to"][0]["endpoints"].as_array().unwrap().iter().map(|one| one["sticky"].clone()).collect();
    assert_eq!(sticky, [json!(false), json!(true)]);
}

#[tokio::test]
async fn what_may_not_be_repeated_says_so() {
    let told = explain("url=http://shop.example.com/api/cart&method=POST").await;
    assert_eq!(told["to"][0]["retry"]["only_if_unsent"], true);
    assert!(told["to"][0].get("hedge_after_ms").is_none());
}

#[tokio::test]
async fn answers_that_routes_hold() {
    let told = explain("url=http://any/old/a/b").await;
    assert_eq!((&told["outcome"], &told["status"]), (&json!("redirected"), &json!(308)));
    assert_eq!(told["to"], "https://shop.example.com/new/a/b");
    let told = explain("url=http://any/hello&header=X-Beta:%201").await;
    assert_eq!((&told["outcome"], &told["status"]), (&json!("responded"), &json!(200)));
}

#[tokio::test]
async fn requests_that_would_be_refused() {
    let refused = [
        ("url=http://any/hello", 404, "no route"),
        ("url=http://any/nowhere", 404, "no route"),
        ("url=http://any/hello&header=Content-Length:1&header=Transfer-Encoding:chunked", 400, "length"),
        ("url=http://any/hello&header=Content-Length:99999999999", 413, "bytes"),
        ("url=http://any/a%20b", 400, ""),
        ("url=http://any/hello&header=Expect:%20miracles", 417, ""),
        ("url=http://any/hello&header=Bad%20Name:1", 400, ""),
    ];
    for (query, status, why) in refused {
        let told = explain(query).await;
        assert_eq!(
            (&told["outcome"], &told["status"]),
            (&json!("refused"), &json!(status)),
            "{query}: {told}"
        );
        assert!(told["why"].as_str().unwrap().contains(why), "{query}: {told}");
    }
}

#[tokio::test]
async fn unclear_questions_are_problems() {
    let served = Served::start().await;
    let unclear = [
        ("", "wants `url`"),
        ("url=", "wants `url`"),
        ("url=http:///x", "not a URL"),
        ("url=ftp://shop.example.com/", "scheme"),
        ("url=http://a/&header=nocolon", "not a header field"),
        ("url=http://a/&from=somewhere", "not an IP address"),
        ("url=http://a/&colour=red", "colour"),
    ];
    for (query, why) in unclear {
        let said = served.get(&format!("/api/v1/explain?{query}")).await.problem(400);
        assert!(said.contains(why), "{query}: {said}");
    }
}
