//! Ways that go by load: the least busy is chosen, the quicker is preferred, scores say why.

use config::plan::{Balance, HashBy};
use proptest::prelude::*;
use upstream::balance::{Candidate, Picker, Tried, WEIGHT_ONE};

use super::{candidates, client, end, pick};

const S: u64 = 1_000_000_000;

/// Whether a with one request more is busier than b with one request more, exactly.
fn busier(a: &Candidate, in_flight_before: u32, b: &Candidate) -> bool {
    let (f, g) = (u64::from(in_flight_before) + 1, u64::from(b.load.in_flight()) + 1);
    f * u64::from(b.weight) > g * u64::from(a.weight)
}

proptest! {
    #[test]
    fn least_connections_never_picks_a_busier_one(
        weights in prop::collection::vec(1u32..=1000, 1..90),
        seed: u64,
    ) {
        let all = candidates(&weights);
        let picker = Picker::new(&Balance::LeastConnections, all.clone(), seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut open = Vec::new();
        for _ in 0..600 {
            if !open.is_empty() && random.u32(..100) < 45 {
                end(&picker, &all, open.swap_remove(random.usize(..open.len())));
                continue;
            }
            let mut tried = Tried::default();
            (0..random.usize(..4)).for_each(|_| tried.insert(all[random.usize(..all.len())].key));
            let i = picker.pick(0, random.u64(..), 0, &tried).unwrap();
            open.push(i);
            let before = all[i].load.in_flight() - 1;
            let all_tried = all.iter().all(|c| tried.contains(c.key));
            let others = all.iter().filter(|c| c.key != all[i].key);
            for other in others.filter(|c| all_tried || !tried.contains(c.key)) {
                prop_assert!(!busier(&all[i], before, other), "{:?} over {other:?}", all[i]);
            }
        }
    }
}

#[test]
fn equals_take_turns_in_least_connections() {
    let all = candidates(&[2; 20]);
    let picker = Picker::new(&Balance::LeastConnections, all.clone(), 11);
    for _ in 0..5 {
        let mut counts = [0; 20];
        for k in 0..20 {
            let i = pick(&picker, 0, client(k));
            counts[i] += 1;
            end(&picker, &all, i);
        }
        assert_eq!(counts, [1; 20]);
    }
}

#[test]
fn least_connections_hears_of_requests_that_ended_elsewhere() {
    let all = candidates(&[1; 50]);
    (0..50).for_each(|i| (0..100 * (i % 2)).for_each(|_| begin(&all, i)));
    let picker = Picker::new(&Balance::LeastConnections, all.clone(), 1);
    // Those of the odd ones end without a word to this Picker, as if begun through another.
    (0..50).for_each(|i| (0..100 * (i % 2)).for_each(|_| all[i].load.end()));
    let picks: Vec<usize> = (0..20_000).map(|k| pick(&picker, 0, client(k))).collect();
    assert!(picks.len() == 20_000 && all.iter().all(|c| (398..=402).contains(&c.load.in_flight())));
}

/// One more request in flight at `i`, counted through a Picker of its own.
fn begin(all: &[Candidate], i: usize) {
    Picker::new(&Balance::Random, vec![all[i].clone()], 0).begin(0);
}

#[test]
fn two_choices_takes_the_less_busy_of_two() {
    let all = candidates(&[1; 10]);
    let picker = Picker::new(&Balance::TwoChoices, all, 1);
    (0..100).for_each(|_| picker.begin(3));
    // Only two draws of the same would choose it, and they differ.
    (0..500).for_each(|k| assert_ne!(pick(&picker, 0, client(k)), 3));
}

#[test]
fn two_choices_reaches_everyone() {
    let all = candidates(&[1; 10]);
    let picker = Picker::new(&Balance::TwoChoices, all.clone(), 1);
    (0..1000).for_each(|k| {
        pick(&picker, 0, client(k));
    });
    assert!(all.iter().all(|c| (96..=104).contains(&c.load.in_flight())));
}

#[test]
fn latency_prefers_the_quicker_and_tries_the_slow_again() {
    let all = candidates(&[1, 1]);
    let picker = Picker::new(&Balance::Latency, all.clone(), 1);
    let choose = |now: u64, k: u64| {
        let i = picker.pick(0, client(k), now, &Tried::default()).unwrap();
        end(&picker, &all, i);
        i
    };
    all[0].load.observe(S, 20_000_000);
    all[1].load.observe(S, 10_000_000);
    let slow = |now: u64| (0..1000).filter(|&k| choose(now, k) == 0).count();
    // The first of a thousand draws may be of one only: the second is then looked for eight times.
    assert!(slow(S) < 20);
    // It is not asked, and sinks; the other one is, and stays.
    (2..20).for_each(|s| all[1].load.observe(s * S, 10_000_000));
    assert!(slow(20 * S) > 980);
}

#[test]
fn unknown_latency_is_no_stampede() {
    let all = candidates(&[1; 10]);
    let picker = Picker::new(&Balance::Latency, all.clone(), 1);
    (1..10).for_each(|i| all[i].load.observe(S, 50_000_000));
    (0..100).for_each(|k| {
        picker.pick(0, client(k), S, &Tried::default());
    });
    assert!((8..=12).contains(&all[0].load.in_flight()), "{}", all[0].load.in_flight());
}

#[test]
fn scores_say_why() {
    let all = candidates(&[1, 3]);
    let why = |how: &Balance| {
        let picker = Picker::new(how, all.clone(), 0);
        let scores = picker.scores(client(1), S);
        assert!(scores.iter().zip(&all).all(|(s, c)| s.key == c.key && s.weight == c.weight));
        scores.into_iter().map(|score| score.why).collect::<Vec<_>>()
    };
    begin(&all, 1);
    all[1].load.observe(S, 2 * S / 1000);
    assert_eq!(WEIGHT_ONE, 1000);
    assert_eq!(why(&Balance::Random), ["drawn 25.0 % of the time", "drawn 75.0 % of the time"]);
    let least = ["(0 in flight + 1) / 1 = 1.00", "(1 in flight + 1) / 3 = 0.67"];
    assert_eq!(why(&Balance::LeastConnections), least);
    assert_eq!(why(&Balance::TwoChoices), least);
    let latency = ["latency unknown; (0 in flight + 1) / 1 = 1.00", "2.0 ms × (1 in flight + 1) / 3 = 0.67"];
    assert_eq!(why(&Balance::Latency), latency);
    let hashed = why(&Balance::Hash(HashBy::Path)).join("\n");
    assert!(hashed.contains("this key is its own; "), "{hashed}");
    assert!(hashed.contains("1 of at most 2 in flight"), "{hashed}");
    for how in [Balance::IpHash, Balance::Maglev] {
        let own = why(&how).iter().filter(|why| *why == "this key is its own").count();
        assert_eq!(own, 1);
    }
    let next = why(&Balance::RoundRobin).iter().filter(|why| *why == "its turn is next").count();
    assert_eq!(next, 1);
}
