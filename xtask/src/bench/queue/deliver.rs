//! From accepting to done: messages are sent, stored, delivered to a fast receiver, and what became of
//! them is stored, all on one data thread.

use std::time::Duration;

use super::{Node, empty_folder, received, receiver, send_all};
use crate::bench::load::{Sample, least_disturbed, watched};
use crate::bench::{Ground, report};
use crate::failure::{Failure, Outcome};
use crate::programs::Summary;

/// What is sent: as fast as it is accepted, then less than it could take, to see how long one takes.
const CASES: &[(&str, &str)] =
    &[("as many as are accepted", ""), ("2,000 a second", "--connections 8 --pace 2000")];
const FOLDER: &str = "queue-deliver";
const QUEUE: &str = "[queue.q]\ndeliver = [\"sink\"]\nconcurrency = 64\n";
/// How long what was accepted may take to be done.
const TO_DRAIN: Duration = Duration::from_secs(300);

/// Measures each case in each round and writes the section.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let mut samples = vec![Vec::new(); CASES.len()];
    for round in 0..ground.options.rounds {
        for (case, (name, pace)) in CASES.iter().enumerate() {
            let sample = least_disturbed(|| sample(ground, pace))?;
            println!("    round {round}: {name}: {:.0}/s, {:.2} µs", sample.rate, sample.cpu);
            samples[case].push(sample);
        }
    }
    let _ = empty_folder(ground, FOLDER);
    let medians: Vec<Sample> = samples.iter().map(|samples| Sample::median_of(samples)).collect();
    Ok(section(&medians))
}

/// Sends to a fresh node for the time asked for, and waits until all is done. The rate is of all that time.
fn sample(ground: &Ground, pace: &str) -> Outcome<Sample> {
    let folder = empty_folder(ground, FOLDER)?;
    let receiver = receiver(ground, "receive")?;
    let mut ports = ground.ports()?;
    ports.origin = receiver.port();
    let node = Node::start(ground, ports, &folder, QUEUE)?;
    let words = format!("http {} /q/deliver --seconds {} {pace}", ports.port, ground.options.seconds);
    let seen = watched(&node.running, &[&receiver], || {
        let sent = send_all(ground, &words)?;
        node.drained(TO_DRAIN)?;
        Ok(sent.accepted.count)
    })?;
    let Summary { count, p50, p99, .. } = received(&receiver, "deliver")?;
    if count != seen.result {
        return Err(Failure::Unmet(format!("{} were accepted and {count} delivered", seen.result)));
    }
    Ok(Sample {
        cpu: seen.used.as_secs_f64() * 1e6 / count as f64,
        rate: count as f64 / seen.time.as_secs_f64(),
        p50: p50 as f64,
        p99: p99 as f64,
        failed: 0.0,
        disturbed: seen.disturbed,
    })
}

fn section(medians: &[Sample]) -> String {
    let mut text = String::from(
        "Messages of 1 KiB; at most 64 deliveries in flight to a receiver that answers at once. Each counts \
         when it is accepted, delivered, and known to be done after a power cut. The delay is from sending \
         to the receiver; where more is accepted than delivered it is the length of the row. \
         Mark: 10,000 a second.\n\n\
         | sent | done/s | CPU µs a message | delay p50 | p99 |\n|---|--:|--:|--:|--:|\n",
    );
    for ((name, _), sample) in CASES.iter().zip(medians) {
        text += &format!(
            "| {name}{} | {:.0} | {:.2} | {} | {} |\n",
            report::marks(sample),
            sample.rate,
            sample.cpu,
            report::time(sample.p50),
            report::time(sample.p99),
        );
    }
    text
}
