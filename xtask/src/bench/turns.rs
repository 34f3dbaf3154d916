//! Peers that take turns, and what each of them did.

use super::load::Sample;
use super::peer::Peer;
use crate::failure::Outcome;

/// The medians of one peer, one for each of the lengths that were asked for.
pub struct Row {
    /// Who was measured.
    pub peer: Peer,
    /// In the order of the lengths.
    pub medians: Vec<Sample>,
}

/// Measures each peer with each of `lengths` (their names) in each round, another peer first each time.
pub fn in_turns<S>(
    rounds: usize,
    peers: &[Peer],
    lengths: &[&str],
    start: impl Fn(Peer) -> Outcome<S>,
    measure: impl Fn(&S, usize) -> Outcome<Sample>,
) -> Outcome<Vec<Row>> {
    let mut samples = vec![vec![Vec::new(); lengths.len()]; peers.len()];
    for round in 0..rounds {
        for turn in 0..peers.len() {
            let at = (round + turn) % peers.len();
            let running = start(peers[at])?;
            for (length, name) in lengths.iter().enumerate() {
                let sample = measure(&running, length)?;
                let Sample { cpu, rate, .. } = sample;
                println!("    round {round}: {} {name}: {cpu:.2} µs, {rate:.0}/s", peers[at]);
                samples[at][length].push(sample);
            }
        }
    }
    let medians = |lengths: &Vec<Vec<Sample>>| lengths.iter().map(|all| Sample::median_of(all)).collect();
    let rows = peers.iter().zip(&samples);
    Ok(rows.map(|(peer, lengths)| Row { peer: *peer, medians: medians(lengths) }).collect())
}

/// The lowest cost among some peers, for one length; infinite if none of them was measured.
pub fn cheapest(rows: &[Row], length: usize, among: &[Peer]) -> f64 {
    let costs = rows.iter().filter(|row| among.contains(&row.peer)).map(|row| row.medians[length].cpu);
    costs.fold(f64::INFINITY, f64::min)
}
