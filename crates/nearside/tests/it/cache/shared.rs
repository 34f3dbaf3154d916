//! The tier that nodes share: what one fetched, the others have; without its server nothing but hits is
//! lost, and no time.

use std::time::{Duration, Instant};

use super::{Scene, Setting, is_hit, numbered, pattern, reply};
use crate::support::{Behaviour, Endpoint, Message, Nearside, Redis, until};

/// The most that a request may take longer than without the tier.
const DELAY: Duration = Duration::from_millis(50);

/// A node that shares a tier.
#[track_caller]
fn sharing(redis: &Redis, endpoint: &Endpoint) -> Nearside {
    let tiers = format!("shared = \"{}\"", redis.url());
    Nearside::start(&Setting { tiers: &tiers, ..Setting::default() }.file(endpoint))
}

/// Is what is stored for this target in the shared tier, as a node sees it?
#[track_caller]
fn is_shared(node: &Nearside, target: &str) -> bool {
    let told = node.api(&format!("explain?url=http://shop.test{target}"));
    told["cache"]["stored"].as_array().unwrap().iter().any(|stored| stored["tier"] == "shared")
}

#[track_caller]
fn get(node: &Nearside, target: &str) -> Message {
    node.client().get_with(target, "").unwrap()
}

#[test]
fn what_one_node_fetched_the_other_has() {
    let redis = Redis::start();
    let endpoint = Endpoint::start(numbered("Cache-Control: max-age=600\r\nETag: \"a\"\r\nX-Kept: 1\r\n"));
    let (one, other) = (sharing(&redis, &endpoint), sharing(&redis, &endpoint));
    assert_eq!(get(&one, "/a").text(), "1");
    until("it is shared", || is_shared(&one, "/a"));
    // Its connection may still be on its way, and nobody waits for it long.
    let ask = || other.client().get_with("/a", "Cache-Control: only-if-cached\r\n").unwrap();
    until("the other has it", || ask().status() == 200);
    let answer = ask();
    assert_eq!((answer.text().as_str(), is_hit(&answer)), ("1", true));
    assert_eq!((answer.field("x-kept"), answer.field("etag")), (Some("1"), Some("\"a\"")));
    assert_eq!(endpoint.hits(), 1);
}

#[test]
fn it_keeps_variants_and_larger_bodies_too() {
    let redis = Redis::start();
    let body = pattern(700_000);
    let whole = body.clone();
    let endpoint = Endpoint::start(Behaviour::script(move |request, stream| {
        let at = request.field("x-at").and_then(|at| at.parse::<usize>().ok()).unwrap_or(0);
        reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\nVary: X-At\r\n", &whole[at..])
    }));
    let (one, other) = (sharing(&redis, &endpoint), sharing(&redis, &endpoint));
    let fields = ["X-At: 1\r\n", "X-At: 2\r\n", ""];
    for fields in fields {
        one.client().get_with("/", fields).unwrap();
    }
    for (fields, at) in fields.into_iter().zip([1, 2, 0]) {
        until("the other has it", || {
            let answer = other.client().get_with("/", &format!("{fields}Cache-Control: only-if-cached\r\n"));
            let answer = answer.unwrap();
            assert!(answer.status() == 504 || answer.body == body[at..]);
            is_hit(&answer)
        });
    }
    assert_eq!(endpoint.hits(), 3);
}

/// A node that has used its tier, whose server then fails in this way.
#[track_caller]
fn without_its_server(fail: impl FnOnce(&mut Redis)) {
    let mut redis = Redis::start();
    let endpoint = Endpoint::start(numbered("Cache-Control: max-age=600\r\n"));
    let scene = Scene { node: sharing(&redis, &endpoint), endpoint };
    scene.get("/before");
    until("the tier is used", || scene.node.tier("shared")["state"] == "up");
    let usual = quantile(&times(&scene, "/usual", 50), 0.5);
    fail(&mut redis);
    let first = times(&scene, "/first", 30);
    let longest = quantile(&first, 0.9);
    assert!(longest < usual + DELAY, "{longest:?} at first, {usual:?} before: {first:?}");
    until("it is said", || {
        scene.get("/asked");
        scene.node.tier("shared")["state"] == "down"
    });
    let later = times(&scene, "/later", 100);
    let half = quantile(&later, 0.5);
    assert!(half < usual + DELAY / 5, "{half:?} later, {usual:?} before: {later:?}");
    assert!(is_hit(&scene.get("/before")), "memory goes on");
    assert!(scene.node.said().contains("shared"), "{}", scene.node.said());
}

/// How long each of so many misses takes, sorted.
#[track_caller]
fn times(scene: &Scene, target: &str, count: usize) -> Vec<Duration> {
    let mut client = scene.node.client();
    let mut time = |number| {
        let begun = Instant::now();
        let answer = client.get_with(&format!("{target}/{number}"), "").unwrap();
        assert_eq!((answer.status(), is_hit(&answer)), (200, false));
        begun.elapsed()
    };
    let mut times: Vec<Duration> = (0..count).map(&mut time).collect();
    times.sort_unstable();
    times
}

fn quantile(times: &[Duration], share: f64) -> Duration {
    times[((times.len() - 1) as f64 * share) as usize]
}

#[test]
fn a_server_that_is_gone_costs_nothing_but_hits() {
    without_its_server(Redis::kill);
}

#[test]
fn a_server_that_hangs_costs_nothing_but_hits() {
    without_its_server(|redis| redis.hang());
}

#[test]
fn a_node_starts_without_the_server() {
    let mut redis = Redis::start();
    redis.kill();
    let endpoint = Endpoint::start(numbered("Cache-Control: max-age=600\r\n"));
    let scene = Scene { node: sharing(&redis, &endpoint), endpoint };
    assert_eq!(scene.get("/").text(), "1");
    assert!(is_hit(&scene.get("/")));
}

#[test]
fn a_purged_url_is_gone_from_there_too() {
    let redis = Redis::start();
    let endpoint = Endpoint::start(numbered("Cache-Control: max-age=600\r\n"));
    let (one, other) = (sharing(&redis, &endpoint), sharing(&redis, &endpoint));
    get(&one, "/");
    until("it is shared", || is_shared(&one, "/"));
    one.purge(&serde_json::json!({ "urls": ["http://shop.test/"] }));
    let answer = get(&other, "/");
    assert_eq!((answer.text().as_str(), is_hit(&answer)), ("2", false));
}
