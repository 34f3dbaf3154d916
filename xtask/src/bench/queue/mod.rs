//! Queues: what a durable accept costs beside other logs, what a delivery costs, how a node with many
//! waiting messages starts, and whether one receiver or key holds up others.
//!
//! One program sends on all wires (`xtask send`) and one receives (`xtask receive`). All data lies in one
//! folder, so on one disk.

mod accept;
mod deliver;
mod engine;
mod fair;
mod recover;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::{exchange, talk};
use super::peer::{Peer, Ports};
use super::process::Running;
use super::{Ground, LOAD_CORE, free_port};
use crate::failure::{Failure, Outcome, While};
use crate::programs::Summary;

/// How long a node may take to be ready.
const TO_BE_READY: Duration = Duration::from_secs(60);
/// How often what is waited for is looked at: rarely enough to take nothing of the cores.
const GLANCE: Duration = Duration::from_millis(20);

/// What can be measured of queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Accepts beside other logs.
    Accept,
    /// The log alone.
    Engine,
    /// From accepting to done.
    Deliver,
    /// Starting with many messages.
    Recover,
    /// What others notice of a receiver that hangs, and of a long row of one key.
    Fair,
}

impl Part {
    /// In the order of the page.
    pub const ALL: [Self; 5] = [Self::Accept, Self::Engine, Self::Deliver, Self::Recover, Self::Fair];

    /// The part with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.words().strip_prefix("queue ") == Some(name))
    }

    /// How the command line asks for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Accept => "queue accept",
            Self::Engine => "queue engine",
            Self::Deliver => "queue deliver",
            Self::Recover => "queue recover",
            Self::Fair => "queue fair",
        }
    }

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accept => "Queues: durable accepts",
            Self::Engine => "Queues: the log alone",
            Self::Deliver => "Queues: accepted, delivered and done",
            Self::Recover => "Queues: starting with many waiting messages",
            Self::Fair => "Queues: what others notice",
        }
    }

    /// Measures it and writes its section.
    pub fn measure(self) -> fn(&Ground) -> Outcome<String> {
        match self {
            Self::Accept => accept::measure,
            Self::Engine => engine::measure,
            Self::Deliver => deliver::measure,
            Self::Recover => recover::measure,
            Self::Fair => fair::measure,
        }
    }
}

/// A node with the queue `q`, which takes what is sent to `/q/NAME`.
struct Node {
    running: Running,
    ports: Ports,
}

/// How many of a queue's messages are in which state.
#[derive(Debug, Clone, Copy)]
struct Counts {
    /// Neither done nor dead.
    open: u64,
    dead: u64,
}

impl Node {
    /// Starts a node on the data in `folder` and waits until it is ready. `tables` are those of its queue
    /// and services.
    fn start(ground: &Ground, ports: Ports, folder: &Path, tables: &str) -> Outcome<Self> {
        let config = config(ports, folder, tables);
        let node = Self { running: ground.start_with(Peer::Nearside, ports, &config)?, ports };
        wait(TO_BE_READY, "a node that is ready", || Ok(node.is_ready()))?;
        Ok(node)
    }

    fn is_ready(&self) -> bool {
        let answer = exchange(self.ports.admin, "localhost", "/readyz");
        answer.is_ok_and(|(head, _)| head.starts_with("HTTP/1.1 200"))
    }

    /// Orders `pause` or `resume`.
    fn order(&self, order: &str) -> Outcome<()> {
        let path = format!("/api/v1/queues/q/{order}");
        let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        let (head, body) = talk(self.ports.admin, &request).while_doing(format!("asking for {path}"))?;
        if head.starts_with("HTTP/1.1 20") {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&body);
        Err(Failure::Unmet(format!("{path} was answered with:\n{head}{said}")))
    }

    fn counts(&self) -> Outcome<Counts> {
        let asked = exchange(self.ports.admin, "localhost", "/api/v1/queues/q");
        let (head, body) = asked.while_doing("asking for a queue's counts")?;
        let counts = counts(&body);
        counts.ok_or_else(|| Failure::Unmet(format!("a queue's counts were not told:\n{head}")))
    }

    /// Waits until every message is done, and sees that none is dead.
    fn drained(&self, limit: Duration) -> Outcome<Duration> {
        let mut dead = 0;
        let time = wait(limit, "a queue whose messages are done", || {
            let counts = self.counts()?;
            dead = counts.dead;
            Ok(counts.open == 0)
        })?;
        if dead == 0 { Ok(time) } else { Err(Failure::Unmet(format!("{dead} messages are dead letters"))) }
    }
}

fn counts(body: &[u8]) -> Option<Counts> {
    let queue: Value = serde_json::from_slice(body).ok()?;
    let count = |state: &str| queue.get(state)?.as_u64();
    Some(Counts { open: count("waiting")? + count("delayed")? + count("running")?, dead: count("dead")? })
}

/// nearside's configuration: one queue, one data thread, the service `sink` that receives.
fn config(ports: Ports, folder: &Path, tables: &str) -> String {
    let Ports { port, admin, origin } = ports;
    format!(
        r#"[node]
name = "bench"
threads = 1
data = {folder:?}

[admin]
listen = "127.0.0.1:{admin}"

[[listen]]
address = "127.0.0.1:{port}"

[service.sink]
endpoints = ["http://127.0.0.1:{origin}"]

[[route]]
path = "/q/*"
queue = "q"

{tables}
"#
    )
}

/// An empty folder of this name, on the disk that all share.
fn empty_folder(ground: &Ground, name: &str) -> Outcome<PathBuf> {
    let folder = ground.folder.join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).while_doing(format!("making {}", folder.display()))?;
    Ok(folder)
}

/// Starts `xtask receive` or `xtask hang` on the core of the load.
fn receiver(ground: &Ground, program: &str) -> Outcome<Running> {
    let port = free_port()?;
    let line =
        [ground.programs.join("xtask").to_string_lossy().into_owned(), program.into(), port.to_string()];
    Running::start(LOAD_CORE, &line, &ground.folder.join(format!("{program}.log")), port)
}

/// What a receiver tells of messages whose path ends in this name.
fn received(receiver: &Running, name: &str) -> Outcome<Summary> {
    let asked = exchange(receiver.port(), "localhost", &format!("/report/{name}"));
    let (_, body) = asked.while_doing("asking a receiver")?;
    let text = String::from_utf8_lossy(&body);
    text.parse().map_err(|()| Failure::Unmet(format!("a receiver told `{text}`")))
}

/// What a sender told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    refused: u64,
    time: Duration,
    /// How long those took that were accepted.
    accepted: Summary,
}

/// Sends messages from the core of the load with `xtask send`; the words are its arguments.
fn send(ground: &Ground, words: &str) -> Outcome<Sent> {
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE])
        .arg(ground.programs.join("xtask"))
        .arg("send")
        .args(words.split_whitespace())
        .output()
        .while_doing("starting a sender")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    sent(&said).ok_or_else(|| Failure::Unmet(format!("`send {words}` said: {said}{errors}")))
}

fn sent(said: &str) -> Option<Sent> {
    let (refused, rest) = said.trim().split_once(' ')?;
    let (time, accepted) = rest.split_once(' ')?;
    let time = Duration::from_micros(time.parse().ok()?);
    Some(Sent { refused: refused.parse().ok()?, time, accepted: accepted.parse().ok()? })
}

/// The same, for parts that need every message accepted.
fn send_all(ground: &Ground, words: &str) -> Outcome<Sent> {
    let sent = send(ground, words)?;
    if sent.refused == 0 && sent.accepted.count > 0 {
        return Ok(sent);
    }
    Err(Failure::Unmet(format!("{} accepted and {} refused by `{words}`", sent.accepted.count, sent.refused)))
}

/// Waits until something holds; how long that took.
fn wait(limit: Duration, what: &str, mut holds: impl FnMut() -> Outcome<bool>) -> Outcome<Duration> {
    let start = Instant::now();
    while !holds()? {
        if start.elapsed() > limit {
            return Err(Failure::Unmet(format!("{what}: not in {} s", limit.as_secs())));
        }
        sleep(GLANCE);
    }
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sender_tells_is_read() {
        let sent = sent("2 5000000 7 50 99 100\n").unwrap();
        let accepted = Summary { count: 7, p50: 50, p99: 99, longest: 100 };
        assert_eq!(sent, Sent { refused: 2, time: Duration::from_secs(5), accepted });
        assert_eq!(super::sent("2 5000000 7 50 99"), None);
    }

    #[test]
    fn open_messages_are_those_that_have_not_ended() {
        let text = br#"{"name":"q","waiting":1,"delayed":2,"running":4,"done":8,"dead":16}"#;
        let counts = counts(text).unwrap();
        assert_eq!((counts.open, counts.dead), (7, 16));
        assert!(super::counts(b"{}").is_none());
    }
}
