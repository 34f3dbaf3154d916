//! Each command as an operator types it, mistakes included, and all that it prints.

use std::path::Path;
use std::process::{Command, Output};

use insta::assert_snapshot;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Behaviour, Endpoint, LIMIT, Nearside, command, free_address, get, until};

const SHOP: &str = r#"
[[listen]]
address = "127.0.0.1:8080"

[service.shop]
balance = "least_connections"
endpoints = ["http://10.0.1.10:3000", { url = "http://10.0.1.11:3000", weight = 3 }]

[service.next]
endpoints = ["http://10.0.1.12:3000"]

[[route]]
host = "shop.example.com"
path = "/api/*"
methods = ["GET", "POST"]
split = [{ service = "shop", weight = 95 }, { service = "next", weight = 5 }]

[[route]]
path = "/old/*"
redirect = { to = "https://shop.example.com/new/{rest}" }

[[route]]
path = "/hello"
respond = { body = "hello" }

[[route]]
host = "shop.example.com"
service = "shop"
"#;

/// A folder with `nearside.toml` in it.
fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nearside.toml"), config).unwrap();
    folder
}

/// What the program does with these arguments in a folder.
fn run_in(folder: &Path, args: &[&str]) -> String {
    show(command().args(args).current_dir(folder))
}

fn run(args: &[&str]) -> String {
    run_in(tempfile::tempdir().unwrap().path(), args)
}

fn show(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let mut shown = format!("exit {}\n", status.code().unwrap());
    for (name, bytes) in [("stdout", stdout), ("stderr", stderr)] {
        if !bytes.is_empty() {
            shown += &format!("--- {name}\n{}", String::from_utf8(bytes).unwrap());
        }
    }
    shown
}

/// The output of `run`, which must be JSON on standard output alone.
fn json(shown: &str) -> serde_json::Value {
    let (_, text) = shown
        .split_once("--- stdout\n")
        .unwrap_or_else(|| panic!("{shown}"));
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{shown}"))
}

/// With the names of what differs from run to run instead of it.
fn named(shown: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(shown.to_owned(), |shown, (is, name)| {
        shown.replace(is, name)
    })
}

/// The arguments that lead to this node's admin API.
fn admin(node: &Nearside) -> String {
    format!("--admin=http://{}", node.admin)
}

#[test]
fn without_a_command_it_lists_them() {
    assert_snapshot!(run(&[]), @"");
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands = [
        "run",
        "proxy",
        "check",
        "schema",
        "explain",
        "status",
        "reload",
        "drain",
        "completions",
        "version",
    ];
    for command in commands {
        let help = run(&[command, "--help"]);
        assert!(help.starts_with("exit 0\n--- stdout\n"), "{help}");
        assert!(
            help.contains(&format!("Example: nearside {command}")),
            "{help}"
        );
    }
}

#[test]
fn a_command_that_is_not_known_is_wrong_use() {
    assert_snapshot!(run(&["reloda"]), @"");
}

#[test]
fn an_option_that_says_what_can_not_be_is_wrong_use() {
    assert_snapshot!(run(&["run", "--grace", "5"]), @"");
    assert_snapshot!(run(&["status", "--admin", "https://127.0.0.1:9900"]), @"");
    assert_snapshot!(run(&["explain", "http://a/", "-H", "X-User 7"]), @"");
}

#[test]
fn version_says_which() {
    assert_eq!(run(&["version"]), run(&["--version"]));
    let version = json(&run(&["version", "--json"]));
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn completions_are_a_script_of_the_shell() {
    let script = run(&["completions", "bash"]);
    assert!(script.contains("complete -F _nearside"), "{script}");
    assert!(run(&["completions", "cmd"]).starts_with("exit 2\n"));
}

#[test]
fn the_schema_knows_the_tables() {
    let schema = json(&run(&["schema"]));
    for table in [
        "node",
        "admin",
        "listen",
        "limits",
        "service",
        "route",
        "telemetry",
    ] {
        assert!(schema["properties"][table].is_object(), "{table}");
    }
}

#[test]
fn a_file_that_holds_is_said_to() {
    let folder = folder(SHOP);
    assert_snapshot!(run_in(folder.path(), &["check"]), @"");
    let checked = json(&run_in(folder.path(), &["check", "--json"]));
    assert_eq!(checked["holds"], true);
}

#[test]
fn a_warning_does_not_keep_a_file_from_holding() {
    let folder = folder(&format!(
        "{SHOP}\n[[route]]\npath = \"/hello\"\nservice = \"next\"\n"
    ));
    assert_snapshot!(run_in(folder.path(), &["check"]), @"");
}

#[test]
fn no_file_is_said_with_what_to_do() {
    assert_snapshot!(run(&["check"]), @"");
    assert_snapshot!(run(&["run", "-c", "other.toml"]), @"");
}

#[test]
fn all_mistakes_of_a_file_are_shown_at_once() {
    let folder = folder(
        r#"
[[listen]]
adress = "127.0.0.1:8080"

[service.shop]
balance = "least_conections"
endpoints = ["http://10.0.1.10:3000"]
timeout = { connect = "1 s" }

[[route]]
path = "api"
service = "shpo"
"#,
    );
    assert_snapshot!(run_in(folder.path(), &["check"]), @"");
    let started = run_in(folder.path(), &["run"]);
    assert!(
        started.starts_with("exit 1\n--- stderr\nnearside.toml:"),
        "{started}"
    );
    let checked = json(&run_in(folder.path(), &["check", "--json"]));
    assert_eq!(checked["holds"], false);
    assert_eq!(checked["diagnostics"][0]["file"], "nearside.toml");
}

#[test]
fn explain_tells_by_the_file_where_a_request_goes() {
    let folder = folder(SHOP);
    let explain = |args: &[&str]| run_in(folder.path(), &[&["explain"], args].concat());
    assert_snapshot!(
        explain(&["http://shop.example.com/api/cart?a=b", "-X", "POST", "--from", "192.0.2.1"]),
        @""
    );
    assert_snapshot!(explain(&["http://shop.example.com/old/a"]), @"");
    assert_snapshot!(explain(&["http://other.example.com/hello"]), @"");
    assert_snapshot!(explain(&["http://other.example.com/"]), @"");
    assert_snapshot!(explain(&["ftp://other.example.com/"]), @"");
    let json = json(&explain(&["http://shop.example.com/", "--json"]));
    assert_eq!(json["outcome"], "forwarded");
}

#[test]
fn where_no_node_is_it_is_said_how_to_have_one() {
    let nobody = free_address();
    let admin = format!("http://{nobody}");
    for command in ["status", "reload", "drain"] {
        let by_option = run(&[command, "--admin", &admin]);
        let by_variable = show(
            crate::support::command()
                .arg(command)
                .env("NEARSIDE_ADMIN", &admin),
        );
        assert_eq!(by_option, by_variable);
    }
    let shown = named(
        &run(&["status", "--admin", &admin]),
        &[(&nobody.to_string(), "[admin]")],
    );
    assert_snapshot!(shown, @"");
}

#[test]
fn what_is_no_node_is_not_taken_for_one() {
    let names = |endpoint: &Endpoint| endpoint.address().to_string();
    let not_http = Endpoint::start(Behaviour::Raw(b"220 mail.example.com\r\n".to_vec()));
    let shown = run(&["status", "--admin", &not_http.url()]);
    assert_snapshot!(named(&shown, &[(&names(&not_http), "[admin]")]), @"");
    let other = Endpoint::start(Behaviour::Body(b"{}".to_vec()));
    let shown = run(&["status", "--admin", &other.url()]);
    assert_snapshot!(named(&shown, &[(&names(&other), "[admin]")]), @"");
    let cut = Endpoint::start(Behaviour::TooShort);
    let shown = run(&["status", "--admin", &cut.url()]);
    assert_snapshot!(named(&shown, &[(&names(&cut), "[admin]")]), @"");
}

#[test]
fn a_proxy_stands_in_front_of_its_endpoints() {
    let endpoints = [
        Endpoint::start(Behaviour::Echo),
        Endpoint::start(Behaviour::Echo),
    ];
    let urls = [endpoints[0].url(), endpoints[1].url()];
    let args = ["--balance", "round_robin"];
    let mut node = Nearside::proxy(&[&urls[0], &urls[1]], &args);
    let names = [
        (urls[0].as_str(), "[first]"),
        (urls[1].as_str(), "[second]"),
        (&node.listen.to_string(), "[listen]"),
        (&node.admin.to_string(), "[admin]"),
    ];
    assert_snapshot!(named(&node.said(), &names), @"");
    for _ in 0..4 {
        let answer = get(node.listen, "/a?b");
        assert_eq!(
            (answer.status(), &answer.json()["target"]),
            (200, &"/a?b".into())
        );
    }
    assert_eq!((endpoints[0].hits(), endpoints[1].hits()), (2, 2));
    let reloaded = run(&["reload", &admin(&node)]);
    assert_snapshot!(named(&reloaded, &names), @"");
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_proxy_stands_in_front_of_a_real_server() {
    let folder = folder("# What is served.");
    let address = free_address();
    let mut server = Command::new("python3")
        .args([
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            &address.port().to_string(),
        ])
        .current_dir(folder.path())
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Without a scheme, as people type it.
    let node = Nearside::proxy(&[&address.to_string()], &[]);
    until("the server answers", || {
        get(node.listen, "/").status() == 200
    });
    let answer = get(node.listen, "/nearside.toml");
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(answer.text(), "# What is served.");
}

#[test]
fn a_proxy_is_not_started_with_options_that_no_file_could_say() {
    let shown = run(&["proxy", "--to", "ftp://a", "--balance", "rund_robin"]);
    assert_snapshot!(shown, @"");
    assert_snapshot!(run(&["proxy"]), @"");
}

#[test]
fn a_node_says_in_one_line_what_it_is() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let file = file_for(&endpoint);
    let mut node = Nearside::start(&file);
    let names = [
        (&*node.listen.to_string(), "[listen]"),
        (&*node.admin.to_string(), "[admin]"),
    ];
    assert_snapshot!(named(&node.said(), &names), @"");
    assert_eq!(get(node.listen, "/").status(), 200);
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn an_address_in_use_keeps_a_node_from_starting() {
    let taken = Endpoint::start(Behaviour::Echo);
    let shown = run(&[
        "proxy",
        "--to",
        "http://a",
        "--listen",
        &taken.address().to_string(),
    ]);
    assert_snapshot!(named(&shown, &[(&taken.address().to_string(), "[taken]")]), @"");
}

fn file_for(endpoint: &Endpoint) -> String {
    format!(
        "[node]\nname = \"eu-1\"\n[service.shop]\nendpoints = [\"{}\"]\n[[route]]\nservice = \"shop\"\n",
        endpoint.url()
    )
}

#[test]
fn status_shows_the_services_and_their_endpoints() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = Nearside::start(&file_for(&endpoint));
    let status = json(&run(&["status", "--json", &admin(&node)]));
    assert_eq!(status["status"]["node"], "eu-1");
    assert_eq!(status["services"][0]["endpoints"][0]["url"], endpoint.url());
    let shown = run(&["status", &admin(&node)]);
    // Its width is part of the table, so a name of the same width stands for it.
    let width = endpoint.url().len();
    let names = [
        (endpoint.url(), format!("{:width$}", "[endpoint]")),
        (node.listen.to_string(), "[listen]".to_owned()),
    ];
    let names = names
        .each_ref()
        .map(|(is, name)| (is.as_str(), name.as_str()));
    assert_snapshot!(steady(&named(&shown, &names)), @"");
}

/// Without the running time of a node.
fn steady(shown: &str) -> String {
    let words = shown
        .split_inclusive('\n')
        .map(|line| match line.split_once(" for ") {
            Some((before, _)) if line.starts_with("nearside") => format!("{before} for [time]\n"),
            _ => line.to_owned(),
        });
    words.collect()
}

#[test]
fn a_reload_takes_the_file_or_shows_its_mistakes() {
    let (first, second) = (
        Endpoint::start(Behaviour::Echo),
        Endpoint::start(Behaviour::Echo),
    );
    let node = Nearside::start(&file_for(&first));
    let admin = admin(&node);
    assert_snapshot!(run(&["reload", &admin]), @"");
    node.rewrite(&file_for(&second));
    assert_snapshot!(run(&["reload", &admin]), @"");
    assert_eq!(
        get(node.listen, "/").json()["port"],
        second.address().port()
    );

    node.rewrite("[[route]]\nservice = \"shop\"\n");
    let file = node.file().display().to_string();
    let names = [(file.as_str(), "[file]")];
    assert_snapshot!(named(&run(&["reload", &admin]), &names), @"");
    assert_eq!(
        get(node.listen, "/").json()["port"],
        second.address().port()
    );
    let status = named(&run(&["status", &admin]), &names);
    assert!(status.contains("the last reload failed"), "{status}");
    let json = json(&run(&["reload", "--json", &admin]));
    assert_eq!(json["diagnostics"]["omitted"], 0);
}

#[test]
fn a_signal_reloads_too() {
    let (first, second) = (
        Endpoint::start(Behaviour::Echo),
        Endpoint::start(Behaviour::Echo),
    );
    let node = Nearside::start(&file_for(&first));
    node.rewrite(&file_for(&second));
    node.signal(Signal::HUP);
    node.until_said("reloaded");
    assert_eq!(
        get(node.listen, "/").json()["port"],
        second.address().port()
    );
}

#[test]
fn a_drained_node_ends() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let mut node = Nearside::start(&file_for(&endpoint));
    assert_snapshot!(run(&["drain", &admin(&node)]), @"");
    assert_eq!(node.wait(LIMIT).code(), Some(0));
}

#[test]
fn a_node_with_a_token_wants_it() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let token = ("NEARSIDE_ADMIN_TOKEN", "a token of some length");
    let node = Nearside::proxy_with(&[&endpoint.url()], &[], &[token]);
    let shown = run(&["status", &admin(&node)]);
    assert_snapshot!(named(&shown, &[(&node.admin.to_string(), "[admin]")]), @"");
    let shown = show(
        command()
            .args(["status", &admin(&node)])
            .env(token.0, token.1),
    );
    assert!(shown.starts_with("exit 0\n"), "{shown}");
}

#[test]
fn explain_asks_a_node_how_its_endpoints_are() {
    let endpoint = Endpoint::start(Behaviour::Echo);
    let node = Nearside::start(&file_for(&endpoint));
    assert_eq!(get(node.listen, "/").status(), 200);
    let args = [
        "explain",
        "http://shop.example.com/a b",
        "-H",
        "X-User: 7",
        &admin(&node),
    ];
    assert_snapshot!(run(&args), @"");
    let args = [
        "explain",
        "http://shop.example.com/",
        "-H",
        "X-User: 7",
        &admin(&node),
    ];
    let shown = run(&args);
    for told in [
        "forwarded to shop",
        &endpoint.url(),
        "0 in flight",
        "left now",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert_eq!(endpoint.hits(), 1);
}
