//! Durable accepts: messages of 1 KiB from 64 senders that each wait until theirs is on the disk, beside
//! Redis streams and NATS JetStream, each set up to acknowledge nothing that a power cut could take.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::{Node, empty_folder, send};
use crate::bench::load::{Sample, least_disturbed, watched};
use crate::bench::peer::{Peer, Ports};
use crate::bench::process::Running;
use crate::bench::turns::{Row, in_turns};
use crate::bench::{Ground, report};
use crate::failure::{Failure, Outcome, While};

/// Sends before a measurement, so that files are open and buffers have grown.
const WARM_UP_SECONDS: u32 = 1;
const ANSWER_TIME: Duration = Duration::from_secs(5);
const FOLDER: &str = "queue-accept";
/// What the issue asks for: times the rate of NATS.
const TIMES_NATS: f64 = 8.0;
/// Nobody takes the messages: they are only kept.
const QUEUE: &str = "[queue.q]\ndeliver = [\"sink\"]\n";
/// All that is sent to `q` is kept in a file.
const STREAM: &str = r#"{"name":"q","subjects":["q"],"storage":"file"}"#;

/// A log that takes messages, and how they are sent to it.
struct Started {
    running: Running,
    wire: &'static str,
    name: &'static str,
}

/// Measures each log in each round, another one first each time, and writes the section.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let peers = ground.among(Peer::LOGS);
    let rounds = ground.options.rounds;
    let rows = in_turns(rounds, &peers, &["1 KiB"], |peer| start(ground, peer), |log, _| load(ground, log));
    let _ = empty_folder(ground, FOLDER);
    Ok(section(&rows?))
}

fn start(ground: &Ground, peer: Peer) -> Outcome<Started> {
    let ports = ground.ports()?;
    let folder = empty_folder(ground, FOLDER)?;
    if peer == Peer::Nearside {
        let node = Node::start(ground, ports, &folder, QUEUE)?;
        node.order("pause")?;
        return Ok(Started { running: node.running, wire: "http", name: "/q/accept" });
    }
    let running = ground.start_with(peer, ports, &config(peer, ports, &folder))?;
    if peer == Peer::Redis {
        return Ok(Started { running, wire: "redis", name: "q" });
    }
    let answer = create_stream(ports.port).while_doing("creating a stream")?;
    if !answer.contains("\"config\":") {
        return Err(Failure::Unmet(format!("NATS made no stream: {answer}")));
    }
    Ok(Started { running, wire: "nats", name: "q" })
}

/// Asks a NATS server for the stream; gives what it said to that.
fn create_stream(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    let connect = r#"CONNECT {"verbose":false,"pedantic":false,"protocol":1}"#;
    let publish = format!("PUB $JS.API.STREAM.CREATE.q _INBOX.c {}\r\n{STREAM}", STREAM.len());
    write!(stream, "{connect}\r\nSUB _INBOX.c 1\r\n{publish}\r\n")?;
    let (mut said, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer)?;
        said += &String::from_utf8_lossy(&buffer[..read]);
        let answer = said.split_once("MSG ").map(|(_, answer)| answer);
        match answer.filter(|answer| answer.matches("\r\n").count() >= 2) {
            Some(answer) => return Ok(answer.to_owned()),
            None if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    }
}

/// Redis never rewrites its file here: that would be counted as a cost of its accepts.
fn config(peer: Peer, ports: Ports, folder: &Path) -> String {
    let port = ports.port;
    match peer {
        Peer::Redis => format!(
            "bind 127.0.0.1\nport {port}\ndir {folder:?}\nsave \"\"\nappendonly yes\nappendfsync always\n\
             auto-aof-rewrite-percentage 0\n"
        ),
        _ => {
            let sync = if peer == Peer::Nats { "sync_interval: always" } else { "" };
            format!("listen: \"127.0.0.1:{port}\"\njetstream {{\nstore_dir: {folder:?}\n{sync}\n}}\n")
        }
    }
}

fn load(ground: &Ground, log: &Started) -> Outcome<Sample> {
    let Started { running, wire, name } = log;
    let words = |seconds| format!("{wire} {} {name} --seconds {seconds}", running.port());
    send(ground, &words(WARM_UP_SECONDS))?;
    least_disturbed(|| {
        let seen = watched(running, &[], || send(ground, &words(ground.options.seconds)))?;
        let accepted = seen.result.accepted;
        if accepted.count == 0 {
            return Err(Failure::Unmet(format!("nothing was accepted: `send {}`", words(1))));
        }
        Ok(Sample {
            cpu: seen.used.as_secs_f64() * 1e6 / accepted.count as f64,
            rate: accepted.count as f64 / seen.result.time.as_secs_f64(),
            p50: accepted.p50 as f64,
            p99: accepted.p99 as f64,
            failed: seen.result.refused as f64,
            disturbed: seen.disturbed,
        })
    })
}

fn section(rows: &[Row]) -> String {
    let rate = |peer| rows.iter().find(|row| row.peer == peer).map_or(f64::NAN, |row| row.medians[0].rate);
    let [redis, nats] = [Peer::Redis, Peer::Nats].map(rate);
    let mut text = format!(
        "Messages of 1 KiB on 64 connections, each sent when the one before on its connection was \
         acknowledged. Each log has the other core to itself, and all of them the same disk. Nearside is \
         asked by `POST`, Redis by `XADD`, NATS by publications that its stream acknowledges. Marks: as \
         many as Redis, {TIMES_NATS:.0} times as many as NATS where it syncs.\n\n\
         | log | accepts/s | to Redis | to NATS, synced | p50 | p99 | CPU µs an accept |\n\
         |---|--:|--:|--:|--:|--:|--:|\n"
    );
    for row in rows {
        let sample = &row.medians[0];
        text += &format!(
            "| {}{} | {:.0} | {} | {} | {} | {} | {:.2} |\n",
            row.peer.title(),
            report::marks(sample),
            sample.rate,
            report::ratio(sample.rate, redis),
            report::ratio(sample.rate, nats),
            report::time(sample.p50),
            report::time(sample.p99),
            sample.cpu,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_compared_with_both_others() {
        let row = |peer, rate| {
            let sample = Sample { cpu: 8.0, rate, p50: 629.0, p99: 1200.0, failed: 0.0, disturbed: 0.0 };
            Row { peer, medians: vec![sample] }
        };
        let nearside = row(Peer::Nearside, 60_000.0);
        let text = section(&[nearside, row(Peer::Redis, 40_000.0), row(Peer::Nats, 5_000.0)]);
        assert!(text.contains("| **Nearside** | 60000 | 1.50 | 12.00 | 629 µs | 1.20 ms | 8.00 |"), "{text}");
    }

    #[test]
    fn only_the_synced_log_syncs() {
        let ports = Ports { port: 1001, admin: 1002, origin: 1003 };
        let text = |peer| config(peer, ports, Path::new("/data"));
        assert!(text(Peer::Redis).contains("dir \"/data\"\n") && text(Peer::Redis).contains("fsync always"));
        assert!(text(Peer::Nats).contains("sync_interval: always"));
        assert!(!text(Peer::NatsUnsynced).contains("sync"));
    }
}
