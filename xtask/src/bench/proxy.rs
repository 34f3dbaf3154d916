//! Proxied answers of three lengths, every peer beside every other.

use super::load::{Sample, load};
use super::peer::{self, Peer};
use super::{Ground, report};
use crate::failure::Outcome;

/// What is asked for: the path, its length, and the name of that length.
pub const SIZES: &[(&str, usize, &str)] =
    &[("/1k", 1 << 10, "1 KiB"), ("/100k", 100 << 10, "100 KiB"), ("/1m", 1 << 20, "1 MiB")];

/// The medians of one peer, one for each of [`SIZES`].
pub struct Row {
    /// Who was measured.
    pub peer: Peer,
    /// In the order of [`SIZES`].
    pub medians: Vec<Sample>,
}

/// Measures each peer in each round, another one first each time.
pub fn measure(ground: &Ground) -> Outcome<Vec<Row>> {
    let peers = &ground.options.peers;
    let paths: Vec<(&str, usize)> = SIZES.iter().map(|(path, length, _)| (*path, *length)).collect();
    peer::check_all(ground, &paths)?;
    let mut samples = vec![vec![Vec::new(); SIZES.len()]; peers.len()];
    for round in 0..ground.options.rounds {
        for turn in 0..peers.len() {
            let at = (round + turn) % peers.len();
            let running = ground.start(peers[at])?;
            for (size, (path, _, name)) in SIZES.iter().enumerate() {
                let sample = load(ground, &running, "localhost", path)?;
                println!("    round {round}: {} {name}: {:.2} µs", peers[at], sample.cpu);
                samples[at][size].push(sample);
            }
        }
    }
    let medians = |sizes: &Vec<Vec<Sample>>| sizes.iter().map(|all| Sample::median_of(all)).collect();
    let rows = peers.iter().zip(&samples);
    Ok(rows.map(|(peer, sizes)| Row { peer: *peer, medians: medians(sizes) }).collect())
}

/// The section of the report: a table for each length.
pub fn section(rows: &[Row]) -> String {
    let mut text = String::from("![CPU time for each request](benchmarks.svg)\n");
    for (size, (_, _, name)) in SIZES.iter().enumerate() {
        let cost = |wanted: &[Peer]| {
            let costs = rows.iter().filter(|row| wanted.contains(&row.peer)).map(|row| row.medians[size].cpu);
            costs.fold(f64::INFINITY, f64::min)
        };
        let (cheaper, relay) = (cost(&[Peer::Nginx, Peer::Haproxy]), cost(&[Peer::Relay]));
        text += &format!(
            "\n| {name} | CPU µs a request | to the cheaper of nginx and HAProxy | to the bare relay \
             | requests/s | p50 | p99 |\n|---|--:|--:|--:|--:|--:|--:|\n"
        );
        for row in rows {
            let sample = &row.medians[size];
            text += &format!(
                "| {}{} | {:.2} | {} | {} | {:.0} | {} | {} |\n",
                row.peer.title(),
                report::marks(sample),
                sample.cpu,
                report::ratio(sample.cpu, cheaper),
                report::ratio(sample.cpu, relay),
                sample.rate,
                report::time(sample.p50),
                report::time(sample.p99),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
