//! What an idle connection weighs: as many as one process may hold, each asked on once, then still.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::load::check_answer;
use super::peer::Peer;
use super::process::{Memory, Running};
use super::{Ground, LOAD_CORE};
use crate::failure::{Failure, Outcome, While};

const WANTED: u64 = 20_000;
/// Files a proxy needs beside its clients: listeners, its pool, logs, the runtime's own.
const SPARE: u64 = 200;
/// Processes that hold the clients' ends: each has its own limit of open files.
const HOLDERS: u64 = 4;
/// Memory is steady when it has moved by less than a hundredth in this time.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSES: usize = 15;

/// Clients in another process, and the pipes to talk to it.
struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// One line of the table.
struct Row {
    peer: Peer,
    held: u64,
    alive: u64,
    before: Memory,
    with: Memory,
}

/// Measures each peer and writes the section. The bare relay is left out: it keeps its buffer.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let peers = ground.among(&[Peer::Nearside, Peer::Nginx, Peer::Haproxy]);
    let rows: Vec<Row> = peers.into_iter().map(|peer| row(ground, peer)).collect::<Outcome<_>>()?;
    Ok(section(&rows))
}

fn row(ground: &Ground, peer: Peer) -> Outcome<Row> {
    let running = ground.start(peer)?;
    check_answer(running.port(), "localhost", "/0", 0)?;
    let before = steady_memory(&running);
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(WANTED);
    let each = WANTED.min(allowed.saturating_sub(SPARE)) / HOLDERS;
    let address = format!("127.0.0.1:{}", running.port());
    let holders = (0..HOLDERS).map(|number| Holder::start(ground, &address, each, number));
    let mut holders: Vec<Holder> = holders.collect::<Outcome<_>>()?;
    let mut held = 0;
    for holder in &mut holders {
        held += holder.count("held ")?;
    }
    let with = steady_memory(&running);
    let mut alive = 0;
    for holder in &mut holders {
        holder.input.write_all(b"\n").while_doing("waking a holder")?;
        alive += holder.count("alive ")?;
    }
    println!("    {peer}: {held} held, {alive} alive, {before:?} → {with:?}");
    Ok(Row { peer, held, alive, before, with })
}

/// Memory once it no longer moves, or after a while.
pub fn steady_memory(running: &Running) -> Memory {
    let mut last = running.memory();
    for _ in 0..PAUSES {
        sleep(PAUSE);
        let now = running.memory();
        if now.resident.abs_diff(last.resident) * 100 <= last.resident {
            return now;
        }
        last = now;
    }
    last
}

impl Holder {
    fn start(ground: &Ground, address: &str, count: u64, number: u64) -> Outcome<Self> {
        let mut child = Command::new("taskset")
            .args(["-c", LOAD_CORE])
            .arg(ground.programs.join("xtask"))
            .args(["hold", address, &count.to_string(), &format!("127.0.0.{}", number + 2)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .while_doing("starting a holder")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Unmet("a holder without pipes".into()));
        };
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// Waits for the line that begins so, and reads its number.
    fn count(&mut self, start: &str) -> Outcome<u64> {
        let mut line = String::new();
        self.output.read_line(&mut line).while_doing("listening to a holder")?;
        let count = line.strip_prefix(start).and_then(|count| count.trim().parse().ok());
        count.ok_or_else(|| Failure::Unmet(format!("a holder said `{line}`")))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn section(rows: &[Row]) -> String {
    let mut text = String::from(
        "Each connection has made one request and stays open; afterwards each is asked again. \
         Memory is that of the proxy's processes, of which nginx takes a part when it starts; what the \
         kernel keeps for a socket is the same for all and not in it.\n\n\
         | proxy | held | still answering | resident before | resident with them | bytes a connection \
         | the same, proportional |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let each = |before: u64, with: u64| with.saturating_sub(before) / row.held.max(1);
        text += &format!(
            "| {} | {} | {} | {:.1} MiB | {:.1} MiB | {} | {} |\n",
            row.peer.title(),
            row.held,
            row.alive,
            mebibytes(row.before.resident),
            mebibytes(row.with.resident),
            each(row.before.resident, row.with.resident),
            each(row.before.proportional, row.with.proportional),
        );
    }
    text
}

pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_a_connection_are_what_was_added() {
        let memory = |resident, proportional| Memory { resident, proportional };
        let (before, with) = (memory(1 << 20, 1 << 19), memory(3 << 20, 1 << 20));
        let text = section(&[Row { peer: Peer::Nginx, held: 1024, alive: 1000, before, with }]);
        assert!(text.contains("| nginx | 1024 | 1000 | 1.0 MiB | 3.0 MiB | 2048 | 512 |"), "{text}");
    }
}
