//! Commands that need no running node.

use std::process::Command;

use insta::assert_snapshot;

use super::{folder, json, run, run_in, show};
use crate::support::command;

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

#[test]
fn without_a_command_it_lists_them() {
    assert_snapshot!(run(&[]), @r#"
    exit 2
    --- stderr
    Every service answers from the near side: a self-hosted edge network in one binary

    Usage: nearside <COMMAND>

    Commands:
      demo         Show a node at work, with example endpoints and users; nothing to install or write
      run          Run a node
      proxy        Run a node without a file, in front of the endpoints named here
      check        Check a file: every mistake with its place and what to write instead
      schema       Print the JSON Schema of the configuration file, for editors
      explain      Tell what would happen to a request, and why; nothing is sent
      status       Show the node, its services and their endpoints at a glance
      reload       Have the node read its file again; a file with a mistake changes nothing
      drain        Have the node finish what is under way and end
      purge        Take answers out of the cache of all nodes, so that none of them serves them again
      queue        See and operate the queues: requests that are kept, and delivered later
      completions  Print a script that completes commands and options in a shell
      version      Print the version

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Example: nearside proxy --to http://127.0.0.1:3000 --to http://127.0.0.1:3001
    "#);
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands = "demo run proxy check schema explain status reload drain purge queue completions version";
    let queue = "list show messages message replay drop pause resume send".split(' ');
    let all = commands.split(' ').map(str::to_owned).chain(queue.map(|name| format!("queue {name}")));
    for command in all {
        let help = run(&command.split(' ').chain(["--help"]).collect::<Vec<_>>());
        assert!(help.starts_with("exit 0\n--- stdout\n"), "{help}");
        let (_, example) = help.split_once("\nExample: ").unwrap_or_else(|| panic!("{help}"));
        assert!(example.contains(&format!("nearside {command}")), "{help}");
    }
}

#[test]
fn a_command_that_is_not_known_is_wrong_use() {
    assert_snapshot!(run(&["reloda"]), @r#"
    exit 2
    --- stderr
    error: unrecognized subcommand 'reloda'

      tip: a similar subcommand exists: 'reload'

    Usage: nearside <COMMAND>

    For more information, try '--help'.
    "#);
}

#[test]
fn an_option_that_says_what_can_not_be_is_wrong_use() {
    assert_snapshot!(run(&["run", "--grace", "5"]), @r#"
    exit 2
    --- stderr
    error: invalid value '5' for '--grace <TIME>': it has no unit; write it as 500ms, 5s or 1m

    For more information, try '--help'.
    "#);
    assert_snapshot!(run(&["status", "--admin", "https://127.0.0.1:9900"]), @r#"
    exit 2
    --- stderr
    error: invalid value 'https://127.0.0.1:9900' for '--admin <URL>': the admin API speaks plain http; write it as http://127.0.0.1:9900

    For more information, try '--help'.
    "#);
    assert_snapshot!(run(&["explain", "http://a/", "-H", "X-User 7"]), @r#"
    exit 2
    --- stderr
    error: invalid value 'X-User 7' for '--header <NAME: VALUE>': it has no colon; write it as 'Name: value'

    For more information, try '--help'.
    "#);
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
    for table in ["node", "admin", "listen", "limits", "service", "route", "telemetry"] {
        assert!(schema["properties"][table].is_object(), "{table}");
    }
}

#[test]
fn a_file_that_holds_is_said_to() {
    let folder = folder(SHOP);
    assert_snapshot!(run_in(folder.path(), &["check"]), @r#"
    exit 0
    --- stdout
    nearside.toml holds: 1 listener, 2 services, 4 routes
    "#);
    let checked = json(&run_in(folder.path(), &["check", "--json"]));
    assert_eq!(checked["holds"], true);
    let queues = run(&["check", "-c", concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/queue.toml")]);
    assert!(queues.ends_with("holds: 1 listener, 1 service, 2 routes, 3 queues\n"), "{queues}");
}

#[test]
fn a_warning_does_not_keep_a_file_from_holding() {
    let folder = folder(&format!("{SHOP}\n[[route]]\npath = \"/hello\"\nservice = \"next\"\n"));
    assert_snapshot!(run_in(folder.path(), &["check"]), @r#"
    exit 0
    --- stdout
    nearside.toml:31:8: warning: this route can't be reached
       |
    31 | path = "/hello"
       |        ^^^^^^^^
    nearside.toml:23:8: this one takes all its requests
       |
    23 | path = "/hello"
       |        ^^^^^^^^
    help: remove it, or give it conditions that the one at line 23 doesn't have

    nearside.toml holds: 1 listener, 2 services, 5 routes
    "#);
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let folder = tempfile::tempdir().unwrap();
    let on_terminal = |no_color: &str| {
        let mut terminal = Command::new("python3");
        terminal.args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"]);
        terminal.arg(command().get_program()).arg("check").current_dir(folder.path());
        show(terminal.env("TERM", "xterm").env("NO_COLOR", no_color))
    };
    let coloured = on_terminal("");
    assert!(coloured.contains("\x1b[1;31merror\x1b[0m: can't be read"), "{coloured}");
    let plain = on_terminal("1");
    assert!(plain.contains("nearside.toml: error: can't be read"), "{plain}");
}

#[test]
fn no_file_is_said_with_what_to_do() {
    assert_snapshot!(run(&["check"]), @r#"
    exit 1
    --- stdout
    nearside.toml: error: can't be read: No such file or directory (os error 2)
    help: name another with -c FILE; `nearside proxy --to URL` needs none
    "#);
    assert_snapshot!(run(&["run", "-c", "other.toml"]), @r#"
    exit 1
    --- stderr
    other.toml: error: can't be read: No such file or directory (os error 2)
    help: name another with -c FILE; `nearside proxy --to URL` needs none
    "#);
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
    assert_snapshot!(run_in(folder.path(), &["check"]), @r#"
    exit 1
    --- stdout
    nearside.toml:2:1: error: `address` is missing
      |
    2 | [[listen]]
      | ^^^^^^^^^^
    help: for example: address = "0.0.0.0:8080"

    nearside.toml:3:1: error: `adress` is not a key that is known here
      |
    3 | adress = "127.0.0.1:8080"
      | ^^^^^^
    help: did you mean `address`?

    nearside.toml:6:11: error: `least_conections` is not known here
      |
    6 | balance = "least_conections"
      |           ^^^^^^^^^^^^^^^^^^
    help: did you mean `least_connections`?

    nearside.toml:8:23: error: `1 s` is not a duration: its unit is not known
      |
    8 | timeout = { connect = "1 s" }
      |                       ^^^^^
    help: write a whole number and ms, s, m, h or d, such as "250ms" or "10s"

    nearside.toml:11:8: error: `api` is not a path
       |
    11 | path = "api"
       |        ^^^^^
    help: a path begins with "/": write "/api"

    nearside.toml:12:11: error: there is no service `shpo`
       |
    12 | service = "shpo"
       |           ^^^^^^
    help: did you mean `shop`?
    "#);
    let started = run_in(folder.path(), &["run"]);
    assert!(started.starts_with("exit 1\n--- stderr\nnearside.toml:"), "{started}");
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
        @r#"
        exit 0
        --- stdout
        POST http://shop.example.com/api/cart?a=b from 192.0.2.1
        forwarded to shop (95 %) or next (5 %)

        ROUTES
          →  shop.example.com/api/*  line 12  it is the most specific route that fits
             shop.example.com/*      line 26  it fits, but a more specific or an earlier one is taken
             */old/*                 line 18  its path is /old/*
             */hello                 line 22  its path is /hello

        SERVICE shop · least_connections
          http://10.0.1.10:3000  weight 1
          http://10.0.1.11:3000  weight 3
        tried again up to 2 times on connect, 502, 503, 504, only if nothing of the request was sent, by at most 20 % of requests

        SERVICE next · two_choices
          http://10.0.1.12:3000  weight 1
        tried again up to 2 times on connect, 502, 503, 504, only if nothing of the request was sent, by at most 20 % of requests

        How the endpoints are now, a running node knows: ask it with --admin URL.
        "#
    );
}

#[test]
fn explain_tells_by_the_file_what_no_service_answers() {
    let folder = folder(SHOP);
    let explain = |args: &[&str]| run_in(folder.path(), &[&["explain"], args].concat());
    assert_snapshot!(explain(&["http://other.example.com/old/a"]), @r#"
    exit 0
    --- stdout
    GET http://other.example.com/old/a from 127.0.0.1
    redirected with 308 to https://shop.example.com/new/a

    ROUTES
      →  */old/*  line 18  it is the most specific route that fits
         */hello  line 22  its path is /hello
    "#);
    assert_snapshot!(explain(&["http://other.example.com/hello"]), @r#"
    exit 0
    --- stdout
    GET http://other.example.com/hello from 127.0.0.1
    answered by the route itself with 200

    ROUTES
      →  */hello  line 22  it is the most specific route that fits
         */old/*  line 18  its path is /old/*
    "#);
    assert_snapshot!(explain(&["http://other.example.com/"]), @r#"
    exit 0
    --- stdout
    GET http://other.example.com/ from 127.0.0.1
    refused with 404: no route of this node answers for this host and path

    ROUTES
      */old/*  line 18  its path is /old/*
      */hello  line 22  its path is /hello
    "#);
    assert_snapshot!(explain(&["ftp://other.example.com/"]), @r#"
    exit 2
    --- stderr
    error: `ftp` is not the scheme of a URL that a listener answers: http or https
    "#);
    let json = json(&explain(&["http://shop.example.com/", "--json"]));
    assert_eq!(json["outcome"], "forwarded");
}

#[test]
fn explain_tells_of_a_cached_route_what_the_file_can_tell() {
    let cached = SHOP.trim_end().to_owned() + "\ncache = {}\n";
    let folder = folder(&cached);
    let shown = run_in(folder.path(), &["explain", "http://shop.example.com/"]);
    assert!(shown.contains("\nCACHE\nunknown: what is stored, a running node knows\n"), "{shown}");
    let shown = run_in(folder.path(), &["explain", "-X", "PUT", "http://shop.example.com/"]);
    assert!(shown.contains("\nCACHE\npass: only GET and HEAD are answered from the cache\n"), "{shown}");
    let shown = run_in(folder.path(), &["explain", "http://shop.example.com/api/"]);
    assert!(!shown.contains("CACHE"), "{shown}");
}

#[test]
fn a_purge_that_names_nothing_or_not_well_is_wrong_use() {
    assert_snapshot!(run(&["purge"]), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <URL|--tag <TAG>|--prefix <URL>|--all>

    Usage: nearside purge <URL|--tag <TAG>|--prefix <URL>|--all>

    For more information, try '--help'.
    "#);
    assert_snapshot!(run(&["purge", "/cart"]), @r#"
    exit 2
    --- stderr
    error: invalid value '/cart' for '[URL]...': `/cart` is not a whole URL; write it as http://shop.example.com/cart

    For more information, try '--help'.
    "#);
    assert_snapshot!(run(&["purge", "--tag", "a b"]), @r#"
    exit 2
    --- stderr
    error: invalid value 'a b' for '--tag <TAG>': `a b` is not a tag: write each tag by itself, without spaces and commas

    For more information, try '--help'.
    "#);
    assert_snapshot!(run(&["purge", "--all", "--prefix", "http://a/"]), @r#"
    exit 2
    --- stderr
    error: the argument '--all' cannot be used with '--prefix <URL>'

    Usage: nearside purge <URL|--tag <TAG>|--prefix <URL>|--all>

    For more information, try '--help'.
    "#);
}

#[test]
fn explain_tells_by_the_file_what_is_kept_in_a_queue() {
    let folder = folder(
        r#"
[[listen]]
address = "127.0.0.1:8080"

[service.shop]
endpoints = ["http://10.0.1.10:3000"]

[[route]]
path = "/hooks/*"
queue = "hooks"

[[route]]
path = "/reports"
service = "shop"
queue = "reports"

[queue.hooks]
deliver = ["shop", "https://hooks.example.com/in"]

[queue.reports]
deliver = ["shop"]
"#,
    );
    let explain = |args: &[&str]| run_in(folder.path(), &[&["explain"], args].concat());
    assert_snapshot!(explain(&["http://a/hooks/in", "-X", "POST"]), @r#"
    exit 0
    --- stdout
    POST http://a/hooks/in from 127.0.0.1
    answered with 202, kept in the queue hooks and delivered to shop and https://hooks.example.com/in

    ROUTES
      →  */hooks/*  line 8   it is the most specific route that fits
         */reports  line 12  its path is /reports
    "#);
    assert_snapshot!(explain(&["http://a/hooks/in", "-H", "Accept: text/event-stream"]), @r#"
    exit 0
    --- stdout
    GET http://a/hooks/in from 127.0.0.1
    follows the messages of the queue hooks as events

    ROUTES
      →  */hooks/*  line 8   it is the most specific route that fits
         */reports  line 12  its path is /reports
    "#);
    assert_snapshot!(explain(&["http://a/reports"]), @r#"
    exit 0
    --- stdout
    GET http://a/reports from 127.0.0.1
    forwarded to shop

    ROUTES
      →  */reports  line 12  it is the most specific route that fits
         */hooks/*  line 8   its path is /hooks/*

    SERVICE shop · two_choices
      http://10.0.1.10:3000  weight 1
    tried again up to 2 times on connect, 502, 503, 504, by at most 20 % of requests

    with `Prefer: respond-async` it is kept in the queue reports instead

    How the endpoints are now, a running node knows: ask it with --admin URL.
    "#);
    let kept = explain(&["http://a/reports", "-H", "Prefer: respond-async"]);
    assert!(kept.contains("answered with 202, kept in the queue reports and delivered to shop\n"), "{kept}");
}
