//! Proxied answers of three lengths, every peer beside every other.

use super::load::load;
use super::peer::{self, Peer};
use super::process::Running;
use super::turns::{Row, cheapest, in_turns};
use super::{Ground, report};
use crate::failure::Outcome;

/// What is asked for: the path, its length, and the name of that length.
pub const SIZES: &[(&str, usize, &str)] =
    &[("/1k", 1 << 10, "1 KiB"), ("/100k", 100 << 10, "100 KiB"), ("/1m", 1 << 20, "1 MiB")];

/// Measures each peer in each round, another one first each time.
pub fn measure(ground: &Ground) -> Outcome<Vec<Row>> {
    let peers = ground.among(Peer::PROXIES);
    let paths: Vec<(&str, usize)> = SIZES.iter().map(|(path, length, _)| (*path, *length)).collect();
    peer::check_all(ground, &peers, &paths)?;
    let names: Vec<&str> = SIZES.iter().map(|(_, _, name)| *name).collect();
    let start = |peer| ground.start(peer);
    let measure = |running: &Running, size: usize| load(ground, running, "localhost", SIZES[size].0);
    in_turns(ground.options.rounds, &peers, &names, start, measure)
}

/// The section of the report: a table for each length.
pub fn section(rows: &[Row]) -> String {
    let mut text = String::from("![CPU time for each request](benchmarks.svg)\n");
    for (size, (_, _, name)) in SIZES.iter().enumerate() {
        let cheaper = cheapest(rows, size, &[Peer::Nginx, Peer::Haproxy]);
        let relay = cheapest(rows, size, &[Peer::Relay]);
        text += &format!(
            "\n| {name} | CPU µs a request | to the cheaper of nginx and HAProxy | to the bare relay \
             | requests/s | p50 | p99 |\n|---|--:|--:|--:|--:|--:|--:|\n"
        );
        for row in rows {
            text += &report::line(row.peer.title(), &row.medians[size], &[cheaper, relay]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Sample;

    #[test]
    fn ratios_are_to_the_cheaper_peer_and_to_the_relay() {
        let row = |peer, cpu| {
            let sample = Sample { cpu, rate: 20_000.4, p50: 629.0, p99: 1200.0, failed: 0.0, disturbed: 0.0 };
            Row { peer, medians: vec![sample; SIZES.len()] }
        };
        let failing = Row {
            medians: vec![Sample { failed: 3.0, ..row(Peer::Relay, 8.0).medians[0] }; 3],
            peer: Peer::Relay,
        };
        let text =
            section(&[row(Peer::Nearside, 9.0), row(Peer::Nginx, 12.0), row(Peer::Haproxy, 10.0), failing]);
        assert!(text.contains("| **Nearside** | 9.00 | 0.90 | 1.12 | 20000 | 629 µs | 1.20 ms |"), "{text}");
        assert!(text.contains("| HAProxy | 10.00 | 1.00 | 1.25 |"), "{text}");
        assert!(text.contains("| bare relay (**3 failed**) | 8.00 |"), "{text}");
    }
}
