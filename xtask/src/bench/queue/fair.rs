//! What others notice: messages with keys of their own go to a fast receiver at a steady pace, alone and
//! beside what could hold them up.

use std::time::Duration;

use super::{Node, empty_folder, received, receiver, send_all, wait};
use crate::bench::{Ground, median, report};
use crate::failure::{Failure, Outcome};
use crate::programs::Summary;

const FOLDER: &str = "queue-fair";
const PROBES: &str = "--connections 8 --pace 400 --key each";
const BUSY: u64 = 100_000;
/// Of each receiver.
const CONCURRENCY: u64 = 32;
const TO_ARRIVE: Duration = Duration::from_secs(20);

/// What the messages go beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// Each message also goes to a receiver that never answers.
    Hanging,
    /// A long row of messages with one key.
    Busy,
}

impl Beside {
    const ALL: [Self; 3] = [Self::Nothing, Self::Hanging, Self::Busy];

    fn title(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Hanging => "a receiver that hangs, 32 in flight",
            Self::Busy => "100,000 messages of one key",
        }
    }

    fn tables(self, hanging: u16) -> String {
        let (receivers, service) = match self {
            Self::Hanging => ("\"sink\", \"stuck\"", stuck(hanging)),
            _ => ("\"sink\"", String::new()),
        };
        let queue = format!("[queue.q]\ndeliver = [{receivers}]\norder_by = \"header:X-Key\"\n");
        format!("{queue}concurrency = {CONCURRENCY}\n\n{service}")
    }
}

/// The service that never answers, and is given the time to.
fn stuck(port: u16) -> String {
    let timeout = "timeout = { response = \"10m\" }";
    format!("[service.stuck]\nendpoints = [\"http://127.0.0.1:{port}\"]\n{timeout}\n")
}

/// Measures each case in each round, another one first each time, and writes the section.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let mut seen = [const { Vec::new() }; Beside::ALL.len()];
    for round in 0..ground.options.rounds {
        for turn in 0..Beside::ALL.len() {
            let at = (round + turn) % Beside::ALL.len();
            let summary = delays(ground, Beside::ALL[at])?;
            println!("    round {round}: beside {}: {summary:?}", Beside::ALL[at].title());
            seen[at].push(summary);
        }
    }
    let _ = empty_folder(ground, FOLDER);
    Ok(section(&seen))
}

/// How long messages took from sending to the receiver.
fn delays(ground: &Ground, beside: Beside) -> Outcome<Summary> {
    let folder = empty_folder(ground, FOLDER)?;
    let (receiver, hanging) = (receiver(ground, "receive")?, receiver(ground, "hang")?);
    let mut ports = ground.ports()?;
    ports.origin = receiver.port();
    let node = Node::start(ground, ports, &folder, &beside.tables(hanging.port()))?;
    if beside == Beside::Busy {
        node.order("pause")?;
        send_all(ground, &format!("http {} /q/busy --count {BUSY} --key same", ports.port))?;
        node.order("resume")?;
    }
    let seconds = ground.options.seconds;
    let probes = |name: &str, seconds| format!("http {} /q/{name} --seconds {seconds} {PROBES}", ports.port);
    send_all(ground, &probes("first", 1))?;
    let sent = send_all(ground, &probes("probe", seconds))?.accepted.count;
    wait(TO_ARRIVE, "messages that all arrive", || Ok(received(&receiver, "probe")?.count >= sent))?;
    // What they went beside must have been there to the end.
    let open = node.counts()?.open;
    if beside != Beside::Nothing && open < CONCURRENCY {
        return Err(Failure::Unmet(format!("beside {}: only {open} were left", beside.title())));
    }
    received(&receiver, "probe")
}

fn section(seen: &[Vec<Summary>]) -> String {
    let mut text = String::from(
        "400 messages a second, each with a key of its own in a queue with `order_by`, to a receiver that \
         answers at once: from sending to the receiver, the accept included. Mark: no more than 10 ms later \
         beside something than beside nothing.\n\n\
         | beside | p50 | p99 | longest | later: p50 | p99 | longest |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    let medians = |summaries: &[Summary]| {
        [|one: &Summary| one.p50, |one: &Summary| one.p99, |one: &Summary| one.longest]
            .map(|field| median(summaries.iter().map(|summary| field(summary) as f64)))
    };
    let alone = medians(&seen[0]);
    for (beside, summaries) in Beside::ALL.iter().zip(seen) {
        let delays = medians(summaries);
        let later = [0, 1, 2].map(|at| report::time((delays[at] - alone[at]).max(0.0)));
        let cells = [delays.map(report::time), later].concat().join(" | ");
        text += &format!("| {} | {cells} |\n", beside.title());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_later_is_the_difference_to_nothing() {
        let summary = |p50| vec![Summary { count: 1, p50, p99: 2 * p50, longest: 4 * p50 }];
        let text = section(&[summary(400), summary(500), summary(300)]);
        assert!(
            text.contains("in flight | 500 µs | 1.00 ms | 2.00 ms | 100 µs | 200 µs | 400 µs |"),
            "{text}"
        );
        assert!(text.contains("one key | 300 µs | 600 µs | 1.20 ms | 0 µs | 0 µs | 0 µs |"), "{text}");
    }
}
