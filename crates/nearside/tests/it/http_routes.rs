//! What routes do beyond passing a request on, and who of a service's endpoints gets it.

use std::collections::BTreeSet;

use crate::support::{Behaviour, Endpoint, Nearside, shop, until};

const ANSWERS: &str = r#"
[[route]]
path = "/old/*"
redirect = { to = "https://{host}/new/{rest}?{query}", status = 307 }

[[route]]
path = "/moved"
redirect = { to = "/here" }

[[route]]
path = "/hello"
methods = ["GET", "HEAD"]
respond = { status = 418, body = "short and stout" }
headers = { response = { set = { X-Set = "1" } } }
"#;

#[test]
fn redirects_fill_in_what_was_asked() {
    let node = Nearside::start(ANSWERS);
    let answer = node.client().get_with("/old/a/b?c=d", "").unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.field("location"), Some("https://shop.test/new/a/b?c=d"));
    let answer = node.client().get("/moved").unwrap();
    assert_eq!((answer.status(), answer.field("location")), (308, Some("/here")));
}

#[test]
fn a_route_can_answer_itself() {
    let node = Nearside::start(ANSWERS);
    let mut client = node.client();
    let answer = client.get("/hello").unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (418, "short and stout"));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.field("x-set"), Some("1"));
    assert!(answer.field("x-request-id").is_some());
    let head = client.ask("HEAD", "/hello", b"").unwrap();
    assert_eq!((head.status(), head.field("content-length")), (418, Some("15")));
    assert_eq!(client.get("/hello").unwrap().status(), 418);
}

#[test]
fn what_no_route_has_is_404() {
    let node = Nearside::start(ANSWERS);
    let mut client = node.client();
    let problem = client.get_with("/none", "Accept: */*\r\n").unwrap();
    assert_eq!(problem.status(), 404);
    assert_eq!(problem.field("content-type"), Some("application/problem+json"));
    let told = problem.json();
    assert_eq!((&told["status"], &told["title"]), (&404.into(), &"Not Found".into()));
    assert_eq!(told["request_id"].as_str(), problem.field("x-request-id"));
    let page = client.get_with("/none", "Accept: text/html,*/*;q=0.8\r\n").unwrap();
    assert_eq!(page.status(), 404);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("404 Not Found"), "{}", page.text());
}

#[test]
fn another_method_is_405_and_told_which_are_allowed() {
    let node = Nearside::start(ANSWERS);
    let mut client = node.client();
    let answer = client.ask("POST", "/hello", b"body").unwrap();
    assert_eq!((answer.status(), answer.field("allow")), (405, Some("GET, HEAD")));
    assert_eq!(client.get("/hello").unwrap().status(), 418, "the connection goes on");
}

#[test]
fn header_rules_change_what_passes() {
    let raw = "HTTP/1.1 200 OK\r\nServer: X\r\nX-Set: old\r\nContent-Length: 2\r\n\r\nok";
    let endpoint = Endpoint::start(Behaviour::Raw(raw.into()));
    let rules = r#"headers = { request = { remove = ["Cookie"], set = { X-Set = "new" }, add = { X-Add = "2" } }, response = { remove = ["Server"], set = { X-Set = "new" }, add = { X-Add = "2" } } }"#;
    let node = Nearside::start(&format!("{}{rules}\n", shop(&[endpoint.url()], "")));
    let fields = "Cookie: a=1\r\nX-Set: old\r\nX-Set: older\r\nX-Add: 1\r\n";
    let answer = node.client().get_with("/", fields).unwrap();
    let seen = endpoint.seen();
    assert_eq!(seen[0].field("cookie"), None);
    assert_eq!(answer.field("server"), None);
    assert_eq!(seen[0].all("x-add").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(answer.all("x-add").collect::<Vec<_>>(), ["2"]);
    for message in [&seen[0], &answer] {
        assert_eq!(message.all("x-set").collect::<Vec<_>>(), ["new"]);
    }
}

#[test]
fn a_split_gives_each_service_its_share() {
    let (most, few) = (Endpoint::start(Behaviour::Echo), Endpoint::start(Behaviour::Echo));
    let node = Nearside::start(&format!(
        "[service.most]\nendpoints = [\"{}\"]\n[service.few]\nendpoints = [\"{}\"]\n[[route]]\n\
         split = [{{ service = \"most\", weight = 3 }}, {{ service = \"few\", weight = 1 }}]\n",
        most.url(),
        few.url(),
    ));
    let mut client = node.client();
    for _ in 0..400 {
        assert_eq!(client.get("/").unwrap().status(), 200);
    }
    assert_eq!(most.hits() + few.hits(), 400);
    // Six standard deviations around 100.
    assert!((48..=152).contains(&few.hits()), "{}", few.hits());
}

#[test]
fn a_mirror_gets_a_copy_and_nobody_its_answer() {
    let (shown, copied) = (Endpoint::start(Behaviour::Echo), Endpoint::start(Behaviour::Status(500)));
    let node = Nearside::start(&format!(
        "{}mirror = {{ service = \"next\" }}\n\n[service.next]\nendpoints = [\"{}\"]\n",
        shop(&[shown.url()], ""),
        copied.url(),
    ));
    let mut client = node.client();
    for n in 0..10 {
        let answer = client.ask("POST", &format!("/{n}"), b"body").unwrap();
        assert_eq!((answer.status(), &answer.json()["port"]), (200, &shown.address().port().into()));
    }
    until("ten copies", || copied.hits() == 10);
    let targets: BTreeSet<String> = copied.seen().iter().map(|m| m.target().to_owned()).collect();
    assert_eq!(targets.len(), 10);
    assert!(copied.seen().iter().all(|copy| copy.method() == "POST" && copy.text() == "body"));
}

#[test]
fn a_mirror_that_hangs_delays_nobody() {
    let (shown, hanging) = (Endpoint::start(Behaviour::Echo), Endpoint::start(Behaviour::Hang));
    let node = Nearside::start(&format!(
        "{}mirror = {{ service = \"next\" }}\n\n[service.next]\nendpoints = [\"{}\"]\n",
        shop(&[shown.url()], ""),
        hanging.url(),
    ));
    let mut client = node.client();
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(client.get("/").unwrap().status(), 200);
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    until("copies are under way", || hanging.hits() == 20);
}

/// Three endpoints, and a node that balances over them in this way.
fn three(more: &str) -> (Nearside, [Endpoint; 3]) {
    let endpoints = [(); 3].map(|()| Endpoint::start(Behaviour::Echo));
    let urls = endpoints.each_ref().map(Endpoint::url);
    (Nearside::start(&shop(&urls, more)), endpoints)
}

#[test]
fn round_robin_is_exactly_fair() {
    let (node, endpoints) = three("balance = \"round_robin\"");
    let mut client = node.client();
    for _ in 0..30 {
        client.get("/").unwrap();
    }
    assert_eq!(endpoints.each_ref().map(Endpoint::hits), [10, 10, 10]);
}

#[test]
fn a_cookie_brings_a_client_back() {
    let (node, endpoints) = three("balance = \"round_robin\"\nsticky = { cookie = \"at\" }");
    let mut client = node.client();
    let first = client.get("/").unwrap();
    let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("at="), "{cookie}");
    for _ in 0..10 {
        let again = client.get_with("/", &format!("Cookie: a=b; {cookie}\r\n")).unwrap();
        assert_eq!(again.json()["port"], first.json()["port"]);
        assert_eq!(again.field("set-cookie"), None, "it is told once");
    }
    // Its endpoint is gone: it is told of another one.
    let gone = endpoints.iter().find(|e| first.json()["port"] == e.address().port()).unwrap();
    gone.stop();
    let moved = client.get_with("/", &format!("Cookie: {cookie}\r\n")).unwrap();
    assert_eq!(moved.status(), 200);
    assert_ne!(moved.json()["port"], first.json()["port"]);
    assert!(moved.field("set-cookie").unwrap().starts_with("at="));
}

#[test]
fn a_hash_keeps_its_endpoint() {
    let (node, _endpoints) = three("balance = { hash = \"header:X-User\" }");
    let (mut client, mut ports) = (node.client(), BTreeSet::new());
    for user in 0..20 {
        let field = format!("X-User: {user}\r\n");
        let of_user: BTreeSet<String> =
            (0..5).map(|_| client.get_with("/", &field).unwrap().json()["port"].to_string()).collect();
        assert_eq!(of_user.len(), 1, "user {user}");
        ports.extend(of_user);
    }
    assert_eq!(ports.len(), 3, "the users are spread");
}

#[test]
fn a_drained_endpoint_gets_nothing_more() {
    let (node, endpoints) = three("");
    let body = format!("{{\"endpoint\":\"{}\",\"drain\":true}}", endpoints[0].url());
    let mut admin = crate::support::Client::connect(node.admin).unwrap();
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    admin
        .send(format!(
            "POST /api/v1/services/shop/endpoints/drain HTTP/1.1\r\nHost: {}\r\n{fields}\r\n{body}",
            node.admin
        ))
        .unwrap();
    let drained = admin.answer().unwrap();
    assert!((200..300).contains(&drained.status()), "{}", drained.text());
    let mut client = node.client();
    for _ in 0..30 {
        assert_eq!(client.get("/").unwrap().status(), 200);
    }
    assert_eq!(endpoints[0].hits(), 0);
    assert_eq!(endpoints[1].hits() + endpoints[2].hits(), 30);
}
