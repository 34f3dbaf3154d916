//! Many waiting messages: what each weighs in memory, how soon a node that was killed has them again, and
//! when the disk is free once they are done.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Node, empty_folder, received, receiver, send_all, wait};
use crate::bench::Ground;
use crate::bench::idle::{mebibytes, steady_memory};
use crate::bench::load::talk;
use crate::bench::peer::Ports;
use crate::bench::restart::empty_page_cache;
use crate::failure::{Failure, Outcome};

const CASES: &[Case] =
    &[Case { messages: 1_000_000, length: 1 << 10 }, Case { messages: 10_000_000, length: 100 }];
const FOLDER: &str = "queue-recover";
/// What is done is not kept, so that its space can be given back.
const QUEUE: &str =
    "[queue.q]\ndeliver = [\"sink\"]\nconcurrency = 64\nfull = \"30GiB\"\nkeep = { done = \"0s\" }\n";
/// The share of its highest space that a log may still take when it counts as given back.
const GIVEN_BACK: f64 = 0.05;
const TO_GIVE_BACK: Duration = Duration::from_secs(180);
const TO_ACCEPT: Duration = Duration::from_secs(60);
/// So slow no delivery may be on average.
const SLOWEST_A_SECOND: u64 = 1000;

struct Case {
    messages: u64,
    length: usize,
}

/// How long a start took.
struct Start {
    ready: Duration,
    accepts: Duration,
}

/// One line of each table. Memory and space in bytes.
struct Row {
    fresh: u64,
    recovered: u64,
    killed: Start,
    /// With nothing of the disk in memory.
    cold: Start,
    space: u64,
    delivery: Duration,
    given_back: Duration,
    space_left: u64,
}

/// Measures each case, the large one if it is asked for, and writes the section.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let cases = if ground.options.large { CASES } else { &CASES[..1] };
    let rows: Vec<(&Case, Row)> =
        cases.iter().map(|case| Ok((case, row(ground, case)?))).collect::<Outcome<_>>()?;
    let _ = empty_folder(ground, FOLDER);
    Ok(section(&rows))
}

fn row(ground: &Ground, case: &Case) -> Outcome<Row> {
    let folder = empty_folder(ground, FOLDER)?;
    let receiver = receiver(ground, "receive")?;
    let mut ports = ground.ports()?;
    ports.origin = receiver.port();
    let node = Node::start(ground, ports, &folder, QUEUE)?;
    node.order("pause")?;
    let fresh = steady_memory(&node.running).resident;
    let Case { messages, length } = case;
    let sent = send_all(ground, &format!("http {} /q/r --count {messages} --length {length}", ports.port))?;
    println!("    sent in {:?}, {:?}", sent.time, node.running.memory());
    let space = space(&folder);
    let (node, killed) = restart(ground, node, &folder, false)?;
    let recovered = steady_memory(&node.running).resident;
    println!("    {fresh} → {recovered} bytes; ready {:?}, accepts {:?}", killed.ready, killed.accepts);
    let (node, cold) = restart(ground, node, &folder, true)?;
    println!("    nothing in memory: ready {:?}, accepts {:?}", cold.ready, cold.accepts);
    let start = Instant::now();
    node.order("resume")?;
    node.drained(Duration::from_secs(messages / SLOWEST_A_SECOND))?;
    let delivery = start.elapsed();
    let delivered = received(&receiver, "r")?.count;
    if delivered != *messages {
        return Err(Failure::Unmet(format!("{messages} were accepted and {delivered} delivered")));
    }
    let few = (space as f64 * GIVEN_BACK) as u64;
    let given_back = wait(TO_GIVE_BACK, "a log that gives space back", || Ok(self::space(&folder) <= few))?;
    println!("    delivered in {delivery:?}; {space} bytes given back in {given_back:?}");
    let space_left = self::space(&folder);
    Ok(Row { fresh, recovered, killed, cold, space, delivery, given_back, space_left })
}

/// Kills a node, starts it anew on its data, and waits until it accepts a message.
fn restart(ground: &Ground, node: Node, folder: &Path, cold: bool) -> Outcome<(Node, Start)> {
    let ports = node.ports;
    node.running.end(Signal::KILL)?;
    if cold {
        empty_page_cache();
    }
    let start = Instant::now();
    let node = Node::start(ground, ports, folder, QUEUE)?;
    let ready = start.elapsed();
    wait(TO_ACCEPT, "a node that accepts", || Ok(accepts(ports)))?;
    Ok((node, Start { ready, accepts: start.elapsed() }))
}

fn accepts(ports: Ports) -> bool {
    let request = "POST /q/first HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    talk(ports.port, request).is_ok_and(|(head, _)| head.starts_with("HTTP/1.1 202"))
}

/// What a folder and all in it take of the disk, in bytes.
fn space(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let one = |path: &Path| match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => space(path),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(|entry| one(&entry.path())).sum()
}

fn section(rows: &[(&Case, Row)]) -> String {
    let mut text = String::from(
        "Messages that wait in a paused queue; the node is ended by kill -9 and started again, once as it \
         is and once with the system's page cache emptied (if it may be). Time is from starting the program \
         to `/readyz` and to the first message that is accepted. Memory is the process's, beside that of a \
         node without messages. Marks: ready in 2 s, 100 bytes a message.\n\n\
         | messages | length | ready | accepts | page cache empty: ready | accepts | resident, no messages \
         | with them | bytes a message |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for (Case { messages, length }, row) in rows {
        text += &format!(
            "| {messages} | {length} B | {} | {} | {} | {} | {:.1} MiB | {:.1} MiB | {} |\n",
            seconds(row.killed.ready),
            seconds(row.killed.accepts),
            seconds(row.cold.ready),
            seconds(row.cold.accepts),
            mebibytes(row.fresh),
            mebibytes(row.recovered),
            row.recovered.saturating_sub(row.fresh) / messages,
        );
    }
    text += &format!(
        "\nThen deliveries go on, and what is done isn't kept. Given back: until the data take {:.0} % of \
         what they took. Mark: within a minute.\n\n\
         | messages | on disk | all delivered in | given back after | left on disk |\n|--:|--:|--:|--:|--:|\n",
        GIVEN_BACK * 100.0
    );
    for (case, row) in rows {
        text += &format!(
            "| {} | {:.1} MiB | {} | {} | {:.1} MiB |\n",
            case.messages,
            mebibytes(row.space),
            seconds(row.delivery),
            seconds(row.given_back),
            mebibytes(row.space_left),
        );
    }
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_a_message_are_what_was_added() {
        let start = || Start { ready: Duration::from_millis(500), accepts: Duration::from_millis(510) };
        let row = Row {
            fresh: 1 << 20,
            recovered: (1 << 20) + 64_000_000,
            killed: start(),
            cold: start(),
            space: 1 << 30,
            delivery: Duration::from_secs(70),
            given_back: Duration::from_secs(2),
            space_left: 32 << 20,
        };
        let text = section(&[(&CASES[0], row)]);
        assert!(
            text.contains("| 1000000 | 1024 B | 0.50 s | 0.51 s |") && text.contains("| 64 |\n"),
            "{text}"
        );
        assert!(text.contains("| 1000000 | 1024.0 MiB | 70.00 s | 2.00 s | 32.0 MiB |"), "{text}");
    }

    #[test]
    fn space_is_that_of_all_files_in_all_folders() {
        let folder = std::env::temp_dir().join(format!("nearside-space-{}", std::process::id()));
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("a/b/c"), vec![1; 20_000]).unwrap();
        fs::write(folder.join("d"), vec![1; 20_000]).unwrap();
        let space = space(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert!(space >= 40_000, "{space}");
    }
}
