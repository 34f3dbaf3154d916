//! Queues, as they are meant: `[queue.NAME]`, and `queue` of routes.

use std::time::Duration;

use config::plan::{Action, HashBy, Plan, Queue, Receiver, Redelivery, Secret, SecretError, Url};
use proptest::prelude::*;

use crate::{REST, parse, said};

/// A plan with a queue `hooks` of these keys, which a route uses.
fn plan(keys: &str) -> Plan {
    let text = format!("[[route]]\npath = \"/hooks\"\nqueue = \"hooks\"\n[queue.hooks]\n{keys}\n{REST}");
    let loaded = parse(&text).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings, []);
    loaded.plan
}

fn queue(keys: &str) -> Queue {
    (*plan(keys).queues["hooks"]).clone()
}

fn text(keys: &str) -> Vec<String> {
    queue(keys).deliver.iter().map(|receiver| receiver.text().to_string()).collect()
}

#[test]
fn what_is_left_out_has_its_default() {
    let queue = queue("");
    assert_eq!(
        queue,
        Queue {
            name: "hooks".into(),
            deliver: vec![],
            order_by: None,
            dedupe: Duration::from_secs(86_400),
            retry: Redelivery {
                attempts: 12,
                first: Duration::from_secs(1),
                longest: Duration::from_secs(3600),
            },
            rate: None,
            concurrency: 32,
            timeout: Duration::from_secs(30),
            keep_done: Duration::from_secs(3600),
            keep_dead: Duration::from_secs(30 * 86_400),
            sign: vec![],
            full: 10 << 30,
            every: None,
            allow_private: false,
        }
    );
}

#[test]
fn a_queue_means_what_it_says() {
    let queue = queue(
        r#"deliver = ["shop", "https://hooks.example.com:8443/in?a=b"]
order_by = "header:X-Account"
dedupe = "1h"
retry = { attempts = 3, first = "250ms" }
rate = "600/m"
concurrency = 1
timeout = "5s"
keep = { done = "1d" }
sign = "a secret of some length"
full = "1MiB""#,
    );
    assert_eq!(
        queue.deliver,
        [Receiver::Service("shop".into()), Receiver::Url("https://hooks.example.com:8443/in?a=b".into())]
    );
    assert_eq!(queue.order_by, Some(HashBy::Header("x-account".into())));
    assert_eq!((queue.dedupe, queue.timeout), (Duration::from_secs(3600), Duration::from_secs(5)));
    assert_eq!(
        queue.retry,
        Redelivery { attempts: 3, first: Duration::from_millis(250), longest: Duration::from_secs(3600) }
    );
    assert_eq!((queue.rate, queue.concurrency, queue.full), (Some(10.0), 1, 1 << 20));
    assert_eq!(
        (queue.keep_done, queue.keep_dead),
        (Duration::from_secs(86_400), Duration::from_secs(2_592_000))
    );
    assert!(!format!("{queue:?}").contains("some length"), "secrets aren't printed");
}

#[test]
fn rates_are_a_second() {
    for (written, rate) in [("1/s", 1.0), ("30/m", 0.5), ("1/h", 1.0 / 3600.0), ("1000000/s", 1e6)] {
        assert_eq!(queue(&format!("deliver = [\"shop\"]\nrate = \"{written}\"")).rate, Some(rate));
    }
}

#[test]
fn the_clock_sends_what_it_is_told() {
    let given = r#"deliver = ["shop"]
every = "30 4 * * mon"
request = { method = "PUT", path = "/reports?all", headers = { "X-Kind" = "weekly" }, body = "{}" }"#;
    let every = queue(given).every.unwrap();
    assert_eq!(
        (every.cron.text(), &*every.method, &*every.path, &*every.body),
        ("30 4 * * mon", "PUT", "/reports?all", "{}")
    );
    assert_eq!(every.headers, [("X-Kind".into(), "weekly".into())]);

    let usual = queue("every = \"@hourly\"").every.unwrap();
    assert_eq!((&*usual.method, &*usual.path, &*usual.body), ("POST", "/", ""));
    assert_eq!(usual.headers, []);
}

#[test]
fn routes_keep_requests_at_once_or_if_asked() {
    let text = r#"[[route]]
path = "/a"
queue = "hooks"
headers = { request = { remove = ["Cookie"] } }
[[route]]
path = "/b"
split = [{ service = "shop" }]
queue = "hooks"
cache = {}
[queue.hooks]
deliver = ["shop"]
"#;
    let loaded = parse(&format!("{text}{REST}")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings, []);
    let routes = loaded.plan.routes;
    assert_eq!(routes[0].action, Action::Enqueue("hooks".into()));
    let Action::Forward(forward) = &routes[1].action else { panic!("{:?}", routes[1]) };
    assert_eq!((forward.later.as_deref(), forward.to.len()), (Some("hooks"), 1));
    let Action::Forward(forward) = &routes[2].action else { panic!("{:?}", routes[2]) };
    assert_eq!(forward.later, None);
}

#[test]
fn a_service_that_only_a_queue_names_is_used() {
    let text = r#"[[listen]]
address = "127.0.0.1:8080"
[service.shop]
endpoints = ["http://10.0.0.1:3000"]
[queue.nightly]
deliver = ["shop"]
every = "@daily"
[[route]]
respond = {}
"#;
    assert_eq!(said(text), "");
}

#[test]
fn receivers_are_services_and_urls() {
    let urls =
        r#"["http://a.example", "https://a.example/", "http://[2a00::1]:81/x%20y?a=b", "https://8.8.8.8"]"#;
    let receivers = queue(&format!("deliver = {urls}")).deliver;
    let parts: Vec<_> = receivers.iter().map(|receiver| receiver.url().unwrap()).collect();
    let url = |https, authority, host, port, target| Url { https, authority, host, port, target };
    assert_eq!(
        parts,
        [
            url(false, "a.example", "a.example", 80, None),
            url(true, "a.example", "a.example", 443, Some("/")),
            url(false, "[2a00::1]:81", "2a00::1", 81, Some("/x%20y?a=b")),
            url(true, "8.8.8.8", "8.8.8.8", 443, None),
        ]
    );
    assert_eq!(Receiver::Service("shop".into()).url(), None);
    let private = r#"["http://localhost:3000", "http://127.0.0.1", "http://10.0.0.1/"]"#;
    assert_eq!(text(&format!("deliver = {private}\nallow_private_addresses = true")).len(), 3);
}

#[test]
fn keys_are_what_secrets_say() {
    let key = |text: &str| Secret(text.into()).signing_key();
    assert_eq!(key("0123456789abcdef"), Ok(b"0123456789abcdef".to_vec()));
    assert_eq!(key("0123456789abcde"), Err(SecretError::Plain(15)));
    assert_eq!(key(&"a".repeat(1025)), Err(SecretError::Plain(1025)));
    assert_eq!(key("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), Ok(vec![0; 24]));
    assert_eq!(key("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="), Ok(vec![0; 25]));
    assert_eq!(key("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), Ok(vec![0; 25]));
    assert_eq!(key("whsec_AAAA"), Err(SecretError::Key(3)));
    assert_eq!(key(&format!("whsec_{}", "AAAA".repeat(22))), Err(SecretError::Key(66)));
    assert_eq!(key("whsec_a-secret-of-some-length"), Err(SecretError::Base64));
}

proptest! {
    /// A receiver that is taken has parts that make up the URL.
    #[test]
    fn urls_are_the_sum_of_their_parts(text in "(http|https|ftp)://[a-z.:0-9\\[\\]]{1,12}([/?#][a-z/?=%2]{0,8})?") {
        let file = format!("[queue.q]\ndeliver = [\"{text}\"]\nallow_private_addresses = true\n{REST}");
        if let Ok(loaded) = parse(&file) {
            let receiver = &loaded.plan.queues["q"].deliver[0];
            let url = receiver.url().unwrap();
            let scheme = if url.https { "https" } else { "http" };
            let written = format!("{scheme}://{}{}", url.authority, url.target.unwrap_or_default());
            prop_assert_eq!(&written, &text);
            prop_assert!(url.port > 0 && !url.host.is_empty() && url.authority.contains(url.host));
            prop_assert!(url.target.is_none_or(|target| target.starts_with('/')));
        }
    }
}
