//! Who gets how many requests: round robin exactly, random ones by their weights; and `tried`.

use config::plan::Balance;
use proptest::prelude::*;
use upstream::balance::{Picker, Tried};

use super::{candidates, client, end, pick, ways};

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

proptest! {
    #[test]
    fn round_robin_is_exact_in_every_window(
        weights in prop::collection::vec(1u32..=40, 1..30),
        seed: u64,
        skip in 0usize..500,
    ) {
        let all = candidates(&weights);
        let picker = Picker::new(&Balance::RoundRobin, all, seed);
        (0..skip).for_each(|_| { pick(&picker, 0, 0); });
        let common = weights.iter().fold(0, |a, &b| gcd(a, b));
        let window: u32 = weights.iter().map(|w| w / common).sum();
        let mut counts = vec![0; weights.len()];
        (0..window).for_each(|_| counts[pick(&picker, 0, 0)] += 1);
        let expected: Vec<u32> = weights.iter().map(|w| w / common).collect();
        prop_assert_eq!(counts, expected);
    }

    #[test]
    fn round_robin_is_smooth(weights in prop::collection::vec(1u32..=40, 2..30), seed: u64) {
        let picker = Picker::new(&Balance::RoundRobin, candidates(&weights), seed);
        let sum: u32 = weights.iter().sum();
        let picks: Vec<usize> = (0..2 * sum).map(|_| pick(&picker, 0, 0)).collect();
        for (i, &weight) in weights.iter().enumerate() {
            let turns: Vec<usize> = (0..picks.len()).filter(|&at| picks[at] == i).collect();
            let even = f64::from(sum) / f64::from(weight);
            for pair in turns.windows(2) {
                // In the time between two turns each other candidate has its share, give or take one.
                let gap = (pair[1] - pair[0]) as f64;
                prop_assert!(gap < even + weights.len() as f64, "gap {gap}, evenly {even}");
            }
        }
    }

    #[test]
    fn what_was_tried_is_avoided_while_others_are_left(
        weights in prop::collection::vec(prop_oneof![1u32..=3, Just(1000)], 1..12),
        hash: u64,
        seed: u64,
    ) {
        for how in ways() {
            let all = candidates(&weights);
            let picker = Picker::new(&how, all.clone(), seed);
            let mut tried = Tried::default();
            for round in 0..weights.len().min(Tried::MAX) {
                let i = picker.pick(hash, seed ^ round as u64, 0, &tried).unwrap();
                prop_assert!(!tried.contains(all[i].key), "{how:?} tried {i} again");
                tried.insert(all[i].key);
            }
            // When all were tried there still is an answer.
            prop_assert!(picker.pick(hash, seed, 0, &tried).is_some());
        }
    }

    #[test]
    fn every_request_in_flight_is_counted_once(
        weights in prop::collection::vec(1u32..=1000, 1..12),
        seeds in prop::collection::vec(any::<u64>(), 1..50),
    ) {
        for how in ways() {
            let all = candidates(&weights);
            let picker = Picker::new(&how, all.clone(), 1);
            let picks: Vec<usize> = seeds.iter().map(|&s| pick(&picker, s, !s)).collect();
            let in_flight: u32 = all.iter().map(|c| c.load.in_flight()).sum();
            prop_assert_eq!(in_flight as usize, picks.len());
            picks.into_iter().for_each(|i| end(&picker, &all, i));
            prop_assert!(all.iter().all(|c| c.load.in_flight() == 0));
        }
    }
}

#[test]
fn random_ways_give_everyone_its_share() {
    let weights = [1, 2, 3, 4, 90];
    for how in [Balance::Random, Balance::IpHash, Balance::Maglev] {
        let all = candidates(&weights);
        let picker = Picker::new(&how, all, 3);
        let mut counts = [0u32; 5];
        (0..100_000).for_each(|k| counts[pick(&picker, client(k), client(!k))] += 1);
        for (count, weight) in counts.iter().zip(weights) {
            let share = f64::from(*count) / (1000.0 * f64::from(weight));
            assert!((0.75..1.25).contains(&share), "{how:?} {counts:?}");
        }
    }
}

#[test]
fn nobody_to_choose_from() {
    for how in ways() {
        let picker = Picker::new(&how, Vec::new(), 1);
        assert_eq!(picker.pick(1, 2, 3, &Tried::default()), None);
        assert!(picker.is_empty() && picker.scores(1, 2).is_empty());
        picker.begin(0);
        picker.refresh(0);
    }
}

#[test]
fn tried_forgets_the_first_when_it_is_full() {
    let mut tried = Tried::default();
    for key in 0..100u64 {
        tried.insert(key);
        assert!(!tried.is_empty());
        let known: Vec<u64> = (0..=key).filter(|&k| tried.contains(k)).collect();
        let expected: Vec<u64> = (key.saturating_sub(Tried::MAX as u64 - 1)..=key).collect();
        assert_eq!(known, expected);
    }
}

#[test]
fn candidates_are_found_by_their_key() {
    let all = candidates(&[1; 100]);
    let picker = Picker::new(&Balance::Random, all.clone(), 1);
    for (i, candidate) in all.iter().enumerate() {
        assert_eq!(picker.find(candidate.key), Some(i));
    }
    assert_eq!(picker.find(1), None);
}
