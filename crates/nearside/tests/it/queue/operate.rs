//! The queue as its operator sees it: the commands of the real program at a real node, and its metrics.

use super::{OK, Receiver, Scene, id};
use crate::support::{command, until};

/// What `nearside queue` does with these arguments: its exit status, and all that it says.
fn run(scene: &Scene, args: &[&str]) -> (i32, String) {
    let admin = format!("http://{}", scene.node.admin);
    let output = command().arg("queue").args(args).args(["--admin", &admin]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// What it says when it is done.
#[track_caller]
fn say(scene: &Scene, args: &[&str]) -> String {
    let (status, said) = run(scene, args);
    assert_eq!(status, 0, "{args:?}: {said}");
    said
}

#[track_caller]
fn json(scene: &Scene, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&say(scene, &[args, &["--json"]].concat())).unwrap()
}

fn picky() -> Receiver {
    Receiver::start(|request| Ok(if request.text().contains("bad") { "410 -" } else { OK }.to_owned()))
}

#[test]
fn the_commands_work_at_a_node() {
    let scene = Scene::start("", picky());
    let sent = json(
        &scene,
        &["send", "hooks", "--path", "/hooks/in?a=b", "-X", "PUT", "-d", "a bad one", "-H", "X-A: 1"],
    );
    let bad = sent["id"].as_str().unwrap().to_owned();
    scene.until_state(&bad, "dead");
    let came = scene.shop.deliveries().remove(0);
    assert_eq!((came.request.start.as_str(), came.id()), ("PUT /hooks/in?a=b HTTP/1.1", bad.as_str()));
    assert_eq!((came.request.field("x-a"), came.body().as_str()), (Some("1"), "a bad one"));
    let key = ["send", "hooks", "-d", "good", "--key", "k"];
    let good = json(&scene, &key)["id"].as_str().unwrap().to_owned();
    assert_eq!(json(&scene, &key)["id"], good);
    assert_eq!(run(&scene, &["send", "hooks", "-d", "other", "--key", "k"]).0, 1);
    scene.until_state(&good, "done");
    let later = json(&scene, &["send", "hooks", "--delay", "1h"])["id"].as_str().unwrap().to_owned();

    assert!(say(&scene, &["list"]).lines().any(|line| line.starts_with("hooks ")));
    assert!(say(&scene, &["show", "hooks"]).contains("shop"));
    assert_eq!(run(&scene, &["show", "hook"]).0, 1);
    let dead = say(&scene, &["messages", "hooks", "--state", "dead"]);
    assert!(dead.contains(&bad) && dead.contains("410") && !dead.contains(&good), "{dead}");
    let message = say(&scene, &["message", "hooks", &bad]);
    assert!(message.contains("a bad one") && message.contains("dead after 1 attempt"), "{message}");
    assert_eq!(run(&scene, &["message", "hooks", "msg_1"]).0, 1);

    assert_eq!(json(&scene, &["replay", "hooks", &bad])["replayed"], 1);
    scene.shop.until_count(3);
    scene.until_state(&bad, "dead");
    assert_eq!(json(&scene, &["drop", "hooks", &later])["dropped"], 1);
    assert_eq!(run(&scene, &["drop", "hooks", &later]).0, 1, "it is gone");
    say(&scene, &["pause", "hooks"]);
    let waiting = id(&scene.send("", "good"));
    super::assert_no_more(&scene.shop, 3);
    assert_eq!(scene.told(&waiting).1["state"], "waiting");
    say(&scene, &["resume", "hooks"]);
    scene.until_state(&waiting, "done");
    assert_eq!(json(&scene, &["drop", "hooks", "--all", "--yes"])["dropped"], 3);
}

#[test]
fn messages_come_page_by_page() {
    let scene = Scene::start("", Receiver::well());
    scene.order("pause", &serde_json::json!({}));
    let ids: Vec<String> = (0..25).map(|number| scene.accepted("", number.to_string())).collect();
    let mut listed = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut args = vec!["messages", "hooks", "--limit", "10", "--state", "waiting"];
        if let Some(after) = &after {
            args.extend(["--after", after]);
        }
        let page = json(&scene, &args);
        let lines = page["messages"].as_array().unwrap();
        assert!(lines.len() <= 10);
        listed.extend(lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(listed, ids);
}

#[test]
fn metrics_tell_of_messages_and_deliveries() {
    let scene = Scene::start("", picky());
    for body in ["good", "good", "bad"] {
        scene.accepted("", body);
    }
    scene.until_quiet();
    scene.accepted("Nearside-Delay: 1h\r\n", "later");
    for (series, count) in [
        ("nearside_queue_messages{queue=\"hooks\",state=\"done\"}", 2),
        ("nearside_queue_messages{queue=\"hooks\",state=\"dead\"}", 1),
        ("nearside_queue_messages{queue=\"hooks\",state=\"delayed\"}", 1),
        ("nearside_queue_accepted_total{queue=\"hooks\"}", 4),
        ("nearside_deliveries_total{queue=\"hooks\",outcome=\"done\"}", 2),
        ("nearside_deliveries_total{queue=\"hooks\",outcome=\"dead\"}", 1),
        ("nearside_requests_total{route=\"*/*\",service=\"(none)\",status=\"202\"}", 4),
    ] {
        until(&format!("{series} is {count}"), || scene.node.counted(series) == count);
    }
    assert!(scene.node.counted("nearside_queue_bytes{queue=\"hooks\"}") > 0);
}
