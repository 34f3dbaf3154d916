//! The files in `examples/`, files on disk, and the file that `nearside proxy` stands for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::plan::{
    Action, Balance, CacheRules, Discover, HashBy, HeaderMatch, HedgeAfter, HostMatch, LogFormat, PathMatch,
    Plan, RetryOn,
};

use crate::parse;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

#[test]
fn every_example_holds_without_a_warning() {
    let mut seen = 0;
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let loaded = config::load(&path).unwrap_or_else(|report| panic!("{report}"));
            assert_eq!(loaded.warnings, [], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 4);
}

fn everything() -> Plan {
    config::load(&examples().join("everything.toml")).unwrap().plan
}

#[test]
fn everything_means_what_it_says() {
    let plan = everything();
    assert_eq!((&*plan.node.name, &*plan.node.region), ("eu-1", "eu"));
    assert_eq!(plan.node.data, examples().join("./nearside-data"));
    assert!(plan.node.threads >= 1);
    assert_eq!(plan.admin.token, None);
    assert_eq!(plan.listeners.len(), 2);
    assert!(plan.listeners[0].trust[0].contains("10.9.9.9".parse().unwrap()));
    assert_eq!(
        (plan.limits.connections, plan.limits.header_bytes, plan.limits.body),
        (20_000, 32 << 10, 64 << 20)
    );
    let log = plan.telemetry.access_log.unwrap();
    assert_eq!((log.path, log.format), (None, LogFormat::Json));

    let shop = &plan.services["shop"];
    assert_eq!(shop.balance, Balance::LeastConnections);
    let endpoints: Vec<_> =
        shop.endpoints.iter().map(|e| (&*e.url, &*e.host, e.port, e.weight, e.region.as_deref())).collect();
    assert_eq!(
        endpoints,
        [
            ("http://10.0.1.10:3000", "10.0.1.10", 3000, 1, None),
            ("http://10.0.1.11:3000", "10.0.1.11", 3000, 3, None),
            ("http://shop.us.internal", "shop.us.internal", 80, 1, Some("us")),
        ]
    );
    assert_eq!(shop.health.as_ref().map(|health| health.status), Some((200, 399)));
    assert_eq!(shop.retry.on, RetryOn { connect: true, statuses: vec![502, 503, 504] });
    assert_eq!(shop.hedge.as_ref().map(|hedge| &hedge.after), Some(&HedgeAfter::Quantile(0.95)));
    assert_eq!(shop.slow_start, Duration::from_secs(30));

    assert_eq!(plan.services["docs"].outliers, None);
}

#[test]
fn endpoints_are_discovered_as_it_says() {
    let plan = everything();
    let next = &plan.services["shop-next"];
    assert_eq!(next.balance, Balance::Hash(HashBy::Header("x-user".into())));
    let every = Duration::from_secs(5);
    assert_eq!(next.discover, Some(Discover::Dns { host: "shop-next.internal".into(), port: 3000, every }));
    let images = plan.services["images"].discover.clone();
    assert_eq!(images, Some(Discover::Srv { name: "_http._tcp.images.internal".into(), every }));
    let docs = &plan.services["docs"];
    assert_eq!(docs.discover, Some(Discover::File { path: examples().join("docs.endpoints.toml") }));
}

#[test]
fn routes_mean_what_they_say() {
    let plan = everything();
    let names: Vec<_> = plan.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(
        names,
        [
            "shop.example.com/api/*",
            "shop.example.com/*",
            "shop.example.com/* #2",
            "shop.example.com/static/*",
            "*.images.example.com/*",
            "docs.example.com/*",
            "*/hooks/*",
            "*/reports/*",
            "*/old/*",
            "*/livez",
        ]
    );
    let api = &plan.routes[0];
    assert_eq!(
        (&api.host, &api.path),
        (&HostMatch::Exact("shop.example.com".into()), &PathMatch::Prefix("/api/".into()))
    );
    assert_eq!(api.response_headers.remove, ["server".into()]);
    let Action::Forward(forward) = &api.action else { panic!("{api:?}") };
    assert_eq!(
        forward.mirror.as_ref().map(|mirror| (&*mirror.service, mirror.share)),
        Some(("shop-next", 0.1))
    );
    let Action::Forward(forward) = &plan.routes[1].action else { panic!() };
    assert_eq!(forward.to, [("shop".into(), 95), ("shop-next".into(), 5)]);
    assert_eq!(
        plan.routes[2].headers_match,
        [HeaderMatch { name: "x-beta".into(), value: Some("1".into()) }]
    );
    assert_eq!(plan.routes[4].host, HostMatch::Suffix(".images.example.com".into()));
    assert_eq!(plan.routes[4].methods, ["GET".into(), "HEAD".into()]);
    assert_eq!(plan.routes[9].path, PathMatch::Exact("/livez".into()));
    let text = std::fs::read_to_string(examples().join("everything.toml")).unwrap();
    for route in &plan.routes {
        assert_eq!(text.lines().nth(route.line - 1), Some("[[route]]"));
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let plan = parse(crate::REST).unwrap().plan;
    assert_eq!(plan.node.region, "local".into());
    assert_eq!(plan.node.data, Path::new("/etc/nearside/./nearside-data"));
    assert_eq!(plan.admin.listen, "127.0.0.1:9900".parse().unwrap());
    assert_eq!(plan.telemetry.access_log, None);
    let shop = &plan.services["shop"];
    assert_eq!(shop.balance, Balance::TwoChoices);
    assert!(shop.outliers.is_some() && shop.health.is_none() && shop.hedge.is_none() && shop.limit.is_none());
    assert_eq!((shop.retry.attempts, shop.retry.budget), (2, 0.2));
    assert_eq!(shop.timeout.response, Duration::from_secs(30));
    assert_eq!((&plan.routes[0].host, &plan.routes[0].path), (&HostMatch::Any, &PathMatch::Any));
}

#[test]
fn variables_are_filled_in_and_the_token_stays_unseen() {
    let text = "[admin]\nlisten = \"0.0.0.0:9900\"\ntoken = \"${TOKEN}\"\n".to_owned() + crate::REST;
    let env = |name: &str| (name == "TOKEN").then(|| "hunter2".to_owned());
    let plan = config::parse(&text, "nearside.toml", Path::new(""), &env).unwrap().plan;
    assert_eq!(plan.admin.token.as_ref().map(|token| &*token.0), Some("hunter2"));
    assert!(!format!("{plan:?}").contains("hunter2"));
}

#[test]
fn a_proxy_stands_for_a_file() {
    let to = ["http://a:1".to_owned(), "b:2".to_owned()];
    let text = config::proxy_text(&to, "127.0.0.1:8080", Some("header:X-User"), false);
    let plan = parse(&text).unwrap_or_else(|report| panic!("{report}")).plan;
    let proxy = &plan.services["proxy"];
    assert_eq!(proxy.endpoints.iter().map(|e| &*e.url).collect::<Vec<_>>(), ["http://a:1", "http://b:2"]);
    assert_eq!(proxy.balance, Balance::Hash(HashBy::Header("x-user".into())));
    assert!(proxy.health.is_none() && proxy.outliers.is_some());

    let named = config::proxy_text(&to, "127.0.0.1:8080", Some("maglev"), true);
    let plan_with_cache = parse(&named).unwrap().plan;
    assert_eq!(plan_with_cache.services["proxy"].balance, Balance::Maglev);
    assert_eq!(plan_with_cache.routes[0].cache, Some(CacheRules::default()));
    assert_eq!(plan.routes[0].cache, None);
    let unquotable = ["http://a\"]\n[x]\u{7f}\u{0}".to_owned()];
    let report = parse(&config::proxy_text(&unquotable, "127.0.0.1:8080", None, false)).unwrap_err();
    assert!(report.diagnostics[0].message.contains("is not the name of a host"), "{report}");
}

#[test]
fn endpoints_are_read_from_a_file_of_their_own() {
    let text = r#"endpoints = ["http://a:1", { url = "http://[::1]:2", weight = 7, region = "us" }]"#;
    let endpoints = config::endpoints_file(text, "shop.endpoints.toml").unwrap();
    assert_eq!((&*endpoints[1].host, endpoints[1].port, endpoints[1].weight), ("::1", 2, 7));
    insta::assert_snapshot!(config::endpoints_file("endpoints = [\"http://a\", \"a:80\"]\nweight = 1\n", "e.toml").unwrap_err(), @r#"
    e.toml:1:26: error: `a:80` is not the URL of an endpoint
      |
    1 | endpoints = ["http://a", "a:80"]
      |                          ^^^^^^
    help: write "http://a:80"

    e.toml:2:1: error: `weight` is not a key that is known here
      |
    2 | weight = 1
      | ^^^^^^
    help: known here: endpoints
    "#);
    insta::assert_snapshot!(config::endpoints_file("", "e.toml").unwrap_err(), @r#"
    e.toml: error: `endpoints` is missing
    help: for example: endpoints = ["http://10.0.0.1:3000"]
    "#);
}

#[test]
fn a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nearside.toml");
    let said = || config::load(&path).unwrap_err().to_string().replace(&*folder.path().to_string_lossy(), "");
    insta::assert_snapshot!(said(), @"/nearside.toml: error: can't be read: No such file or directory (os error 2)");
    std::fs::write(&path, b"# one\n# two \xff\n").unwrap();
    insta::assert_snapshot!(said(), @r"
    /nearside.toml: error: line 2 is not UTF-8
    help: save the file with the encoding UTF-8
    ");
    std::fs::write(&path, vec![b' '; config::MAX_FILE + 1]).unwrap();
    insta::assert_snapshot!(said(), @"/nearside.toml: error: is larger than 16MiB");
}
