//! Rings and Maglev: a key stays with its candidate; few move when the candidates change; load is
//! bounded where that is promised.

use config::plan::{Balance, HashBy};
use proptest::prelude::*;
use upstream::balance::{Candidate, Picker};

use super::{candidates, client, end, home, pick};

const KEYS: u64 = 20_000;

fn hashed() -> [Balance; 3] {
    [Balance::IpHash, Balance::Hash(HashBy::Client), Balance::Maglev]
}

fn homes(how: &Balance, all: &[Candidate]) -> Vec<u64> {
    let picker = Picker::new(how, all.to_vec(), 1);
    (0..KEYS).map(|k| home(&picker, all, client(k))).collect()
}

/// The share of keys that moved from one candidate to another though theirs is still there.
fn moved_needlessly(before: &[u64], after: &[u64], gone: &[u64]) -> f64 {
    let moves = before.iter().zip(after).filter(|(b, a)| b != a && !gone.contains(b)).count();
    moves as f64 / before.len() as f64
}

fn share_of(homes: &[u64], key: u64) -> f64 {
    homes.iter().filter(|&&home| home == key).count() as f64 / homes.len() as f64
}

#[test]
fn few_keys_move_when_one_leaves() {
    for n in [2, 10, 100, 900] {
        for how in hashed() {
            let mut all = candidates(&vec![1; n]);
            let before = homes(&how, &all);
            let gone = all.remove(n / 2);
            let after = homes(&how, &all);
            let needless = moved_needlessly(&before, &after, &[gone.key]);
            // Of a ring only the keys of the one that left move; of Maglev a few others too.
            let most = if how == Balance::Maglev { 0.02 } else { 0.0 };
            assert!(needless <= most, "{how:?}, {n}: {needless} moved for nothing");
            let share = share_of(&before, gone.key);
            assert!(share <= 1.5 / n as f64 + 0.001, "{how:?}, {n}: it had {share}");
        }
    }
}

#[test]
fn the_order_of_candidates_is_of_no_account() {
    for how in hashed() {
        let mut all = candidates(&[1, 2, 3, 4, 5, 6, 7]);
        let before = homes(&how, &all);
        all.reverse();
        assert_eq!(before, homes(&how, &all), "{how:?}");
    }
}

#[test]
fn large_weights_still_move_little() {
    // 100,000 in all is more than the ring has points for, so it is scaled.
    for how in hashed() {
        let mut all = candidates(&[1000; 100]);
        let before = homes(&how, &all);
        let gone = all.remove(50);
        let needless = moved_needlessly(&before, &homes(&how, &all), &[gone.key]);
        assert!(needless <= 0.02, "{how:?}: {needless} moved for nothing");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn few_keys_move_with_any_weights(
        weights in prop::collection::vec(1u32..=20, 2..40),
        which: prop::sample::Index,
    ) {
        for how in hashed() {
            let mut all = candidates(&weights);
            let before = homes(&how, &all);
            let gone = all.remove(which.index(weights.len()));
            let needless = moved_needlessly(&before, &homes(&how, &all), &[gone.key]);
            let most = if how == Balance::Maglev { 0.05 } else { 0.0 };
            prop_assert!(needless <= most, "{:?}: {} moved for nothing", how, needless);
        }
    }

    #[test]
    fn bounded_load_holds_its_bound(
        weights in prop::collection::vec(1u32..=20, 1..40),
        seed: u64,
        keys in 1u64..50,
    ) {
        let all = candidates(&weights);
        let picker = Picker::new(&Balance::Hash(HashBy::Path), all.clone(), seed);
        let sum: u64 = weights.iter().copied().map(u64::from).sum();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut open = Vec::new();
        for _ in 0..800 {
            if !open.is_empty() && random.u32(..100) < 40 {
                end(&picker, &all, open.swap_remove(random.usize(..open.len())));
                continue;
            }
            // Few keys, so that without a bound few candidates would have it all.
            let i = pick(&picker, client(random.u64(..keys)), random.u64(..));
            open.push(i);
            let capacity = (5 * open.len() as u64 * u64::from(weights[i])).div_ceil(4 * sum);
            prop_assert!(u64::from(all[i].load.in_flight()) <= capacity);
        }
    }
}

#[test]
fn a_full_candidate_hands_on_to_the_same_next_one() {
    let all = candidates(&[1; 10]);
    let picker = Picker::new(&Balance::Hash(HashBy::Path), all.clone(), 1);
    let key = client(7);
    let first: Vec<usize> = (0..5).map(|_| pick(&picker, key, 0)).collect();
    first.iter().for_each(|&i| end(&picker, &all, i));
    let again: Vec<usize> = (0..5).map(|_| pick(&picker, key, !0)).collect();
    assert_eq!(first, again);
    assert!(first.iter().any(|&i| i != first[0]));
}
