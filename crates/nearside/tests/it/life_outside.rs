//! A node among what else runs on a machine: systemd, and whoever reads its access log.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Behaviour, Client, Endpoint, LIMIT, Nearside, shop, until};

const HELLO: &str = "[[route]]\npath = \"/*\"\nrespond = { body = \"hello\" }\n";

/// What systemd is told next.
fn notice(systemd: &UnixDatagram) -> String {
    let mut notice = [0; 1024];
    let length = systemd.recv(&mut notice).unwrap();
    String::from_utf8_lossy(&notice[..length]).into_owned()
}

#[test]
fn systemd_is_told_of_each_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(LIMIT)).unwrap();
    let mut node = Nearside::start_by(HELLO, &["--grace", "0s"], |mut command, _| {
        command.env("NOTIFY_SOCKET", &path);
        command
    });
    assert_eq!(notice(&systemd).trim(), "READY=1");
    node.signal(Signal::HUP);
    let reloading = notice(&systemd);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(notice(&systemd).trim(), "READY=1");
    node.signal(Signal::TERM);
    assert_eq!(notice(&systemd).trim(), "STOPPING=1");
    assert_eq!(node.wait(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn to_systemd_a_takeover_is_another_main_process_and_no_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(LIMIT)).unwrap();
    let mut node = Nearside::start_by(HELLO, &["--grace", "0s"], |command, _| {
        let mut shell = before("export WATCHDOG_PID=$$", &command);
        shell.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
        shell
    });
    until("the node gives signs of life", || notice(&systemd).trim() == "WATCHDOG=1");
    node.signal(Signal::USR2);
    assert_eq!(node.wait(Duration::from_secs(10)).code(), Some(0));
    systemd.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1024];
    let told: Vec<String> = std::iter::from_fn(|| {
        let length = systemd.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
    })
    .collect();
    assert!(told.iter().any(|notice| notice.starts_with("MAINPID=")), "{told:?}");
    assert!(!told.iter().any(|notice| notice.starts_with("STOPPING")), "{told:?}");
    systemd.set_nonblocking(false).unwrap();
    until("the new process gives signs of life", || notice(&systemd).trim() == "WATCHDOG=1");
}

#[test]
fn systemd_gets_its_signs_of_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(LIMIT)).unwrap();
    let _node = Nearside::start_by(HELLO, &[], |mut command, _| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
        command
    });
    assert_eq!(notice(&systemd).trim(), "READY=1");
    for _ in 0..3 {
        assert_eq!(notice(&systemd).trim(), "WATCHDOG=1");
    }
}

/// A shell that does what `script` says and then becomes `command`.
fn before(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{script}; exec \"$@\"")).arg("sh");
    shell.arg(command.get_program()).args(command.get_args());
    shell.stdin(Stdio::null());
    shell
}

/// `command` as systemd starts it with a socket, which is open as number 3.
fn activated(command: &Command, listener: TcpListener) -> Command {
    let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";
    let mut shell = before(script, command);
    shell.stdin(OwnedFd::from(listener));
    shell
}

#[test]
fn sockets_of_systemd_are_taken_over() {
    let mut early = None;
    let node = Nearside::start_by(HELLO, &["--grace", "0s"], |command, listen: SocketAddr| {
        let listener = TcpListener::bind(listen).unwrap();
        let mut client = Client::connect(listen).unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        early = Some(client);
        activated(&command, listener)
    });
    let answer = early.unwrap().answer().unwrap();
    assert_eq!(answer.text(), "hello", "who came before the node was there is answered");
    assert_eq!(node.client().get("/").unwrap().text(), "hello");
}

/// The file of a node that logs, before an endpoint.
fn logging(endpoint: &Endpoint, format: &str) -> String {
    let log = format!("[telemetry]\naccess_log = {{ path = \"access.log\", format = \"{format}\" }}\n\n");
    format!("{log}{}", shop(&[endpoint.url()], ""))
}

/// So many lines of a log, once they are there.
#[track_caller]
fn lines(log: &Path, count: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(log).unwrap_or_default();
    until("the lines are written", || read().lines().count() >= count);
    let lines: Vec<String> = read().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), count);
    lines
}

#[test]
fn each_request_is_a_line_of_the_log() {
    let endpoint = Endpoint::start(Behaviour::Body(b"hello".to_vec()));
    let node = Nearside::start(&logging(&endpoint, "json"));
    let mut client = node.client();
    let fields = "User-Agent: a \"b\"\r\nAuthorization: Basic c2VjcmV0\r\nCookie: secret=1\r\n";
    let answer = client.get_with("/a?b=\"c", fields).unwrap();
    endpoint.stop();
    assert_eq!(client.get("/").unwrap().status(), 502);
    let lines = lines(&node.folder().join("access.log"), 2);
    assert!(!lines[0].contains("secret") && !lines[0].contains("c2VjcmV0"));
    let [first, second] = [&lines[0], &lines[1]].map(|l| serde_json::from_str::<Value>(l).unwrap());
    for (key, value) in [
        ("peer", Value::from("127.0.0.1")),
        ("method", "GET".into()),
        ("target", "/a?b=\"c".into()),
        ("host", "shop.test".into()),
        ("version", "HTTP/1.1".into()),
        ("status", 200.into()),
        ("bytes", 5.into()),
        ("route", "*/*".into()),
        ("service", "shop".into()),
        ("endpoint", endpoint.url().into()),
        ("tries", 1.into()),
        ("request_id", answer.field("x-request-id").unwrap().into()),
        ("user_agent", "a \"b\"".into()),
    ] {
        assert_eq!(first[key], value, "{key} of {first}");
    }
    assert!(first["seconds"].as_f64().unwrap() >= first["upstream_seconds"].as_f64().unwrap());
    assert_eq!((&second["status"], &second["service"]), (&502.into(), &"shop".into()));
}

#[test]
fn the_log_can_be_in_the_common_format() {
    let endpoint = Endpoint::start(Behaviour::Body(b"hello".to_vec()));
    let node = Nearside::start(&logging(&endpoint, "common"));
    node.client().get_with("/a?b", "").unwrap();
    let lines = lines(&node.folder().join("access.log"), 1);
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{}", lines[0]);
    assert!(lines[0].contains(" +0000] \"GET /a?b HTTP/1.1\" 200 5 "), "{}", lines[0]);
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew() {
    let endpoint = Endpoint::start(Behaviour::Body(b"hello".to_vec()));
    let mut node = Nearside::start(&logging(&endpoint, "json"));
    let (log, moved) = (node.folder().join("access.log"), node.folder().join("access.log.1"));
    let mut client = node.client();
    client.get("/before").unwrap();
    assert!(lines(&log, 1)[0].contains("/before"));
    std::fs::rename(&log, &moved).unwrap();
    node.signal(Signal::HUP);
    until("it is begun anew", || log.exists());
    node.until_said("reloaded; nothing changed");
    client.get("/after").unwrap();
    assert!(lines(&log, 1)[0].contains("/after"));
    assert_eq!(lines(&moved, 1).len(), 1);
    client.get("/last").unwrap();
    drop(client);
    assert_eq!(node.stop().code(), Some(0));
    assert!(lines(&log, 2)[1].contains("/last"), "nothing is lost at the end");
}
