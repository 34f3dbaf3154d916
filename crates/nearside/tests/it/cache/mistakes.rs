//! What goes wrong by mistake is refused, in words that help.

use std::fs::File;
use std::path::Path;

use serde_json::json;

use super::{Scene, Setting, is_hit, numbered};
use crate::support::{Behaviour, Endpoint, LIMIT, comes_true, command};

/// What the program says to this file, and with which status it ends, which it must soon.
#[track_caller]
fn said_to(name: &str, file: &str, prepare: impl FnOnce(&Path)) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nearside.toml"), file).unwrap();
    prepare(folder.path());
    let said = File::create(folder.path().join("said")).unwrap();
    let mut command = command();
    command.arg(name).current_dir(folder.path());
    command.stdout(said.try_clone().unwrap()).stderr(said);
    let mut child = command.spawn().unwrap();
    let ended = comes_true(LIMIT, || child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap().code();
    (status, std::fs::read_to_string(folder.path().join("said")).unwrap())
}

#[test]
fn a_purge_that_names_nothing_it_could_mean_is_refused() {
    let scene = Scene::before(numbered("Cache-Control: max-age=600\r\n"));
    scene.get("/");
    let orders = [
        json!({}),
        json!({ "urls": ["/"] }),
        json!({ "urls": ["shop.test/"] }),
        json!({ "urls": ["ftp://shop.test/"] }),
        json!({ "prefixes": ["/dir/"] }),
        json!({ "tags": ["a b"] }),
        json!({ "all": true, "urls": ["http://shop.test/"] }),
        json!({ "url": ["http://shop.test/"] }),
        json!({ "urls": "http://shop.test/" }),
    ];
    for order in orders {
        let answer = scene.node.order_purge(&order);
        assert_eq!(answer.status(), 400, "{order}: {}", answer.text());
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
        assert!(!answer.json()["detail"].as_str().unwrap_or_default().is_empty());
    }
    assert!(is_hit(&scene.get("/")));
}

#[test]
fn the_command_refuses_a_relative_url_before_it_asks_a_node() {
    for args in [["purge", "/cart"], ["purge", "cart"], ["purge", "--soft"]] {
        let output = command().args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
    }
}

#[test]
fn a_cache_where_nothing_is_fetched_is_a_mistake() {
    for action in ["redirect = { to = \"https://a.test/\" }", "respond = { status = 200 }"] {
        let file = format!("[[listen]]\naddress = \"127.0.0.1:8080\"\n\n[[route]]\n{action}\ncache = {{}}\n");
        let (status, said) = said_to("check", &file, |_| {});
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("cache"), "{said}");
    }
}

#[test]
fn a_disk_path_that_is_a_file_is_named() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let tiers = "disk = { path = \"taken\", size = \"64MiB\" }";
    let file = Setting { tiers, ..Setting::default() }.file(&endpoint);
    let listen = format!(
        "[[listen]]\naddress = \"{}\"\n\n[admin]\nlisten = \"{}\"\n\n",
        crate::support::free_address(),
        crate::support::free_address()
    );
    let (status, said) = said_to("run", &(listen + &file), |folder| {
        std::fs::create_dir(folder.join("nearside-data")).unwrap();
        std::fs::write(folder.join("nearside-data/taken"), "not a folder").unwrap();
    });
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("taken") && !said.contains("panicked"), "{said}");
}
