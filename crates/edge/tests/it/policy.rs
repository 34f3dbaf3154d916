//! Splits and mirrors over the whole range of random numbers.

use edge::policy::{mirrored, split};
use proptest::prelude::*;

/// So many random numbers, spread evenly over all of them.
fn even(count: u64) -> impl Iterator<Item = u64> {
    let step = u64::MAX / count;
    (0..count).map(move |index| index * step + step / 2)
}

#[test]
fn nobody_to_choose() {
    assert_eq!(split::<u32>(&[], 7), None);
    assert_eq!(split(&[("a", 0)], u64::MAX), None);
}

#[test]
fn shares_at_their_ends() {
    assert!(!mirrored(0.0, 0) && !mirrored(0.0, u64::MAX));
    assert!(mirrored(1.0, 0) && mirrored(1.0, u64::MAX));
}

proptest! {
    #[test]
    fn each_choice_gets_its_weight(weights in prop::collection::vec(0u32..1_000, 1..8)) {
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        prop_assume!(total > 0);
        let choices: Vec<(usize, u32)> = weights.iter().copied().enumerate().collect();
        let mut counts = vec![0u32; weights.len()];
        for random in even(total) {
            counts[*split(&choices, random).unwrap()] += 1;
        }
        prop_assert_eq!(counts, weights);
    }

    #[test]
    fn a_choice_is_always_made(
        weights in prop::collection::vec(1u32..=u32::MAX, 1..8),
        random in prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)],
    ) {
        let choices: Vec<((), u32)> = weights.into_iter().map(|weight| ((), weight)).collect();
        prop_assert!(split(&choices, random).is_some());
    }

    #[test]
    fn a_mirror_gets_its_share(percent in 0u32..=100) {
        let copied = even(10_000).filter(|&random| mirrored(f64::from(percent) / 100.0, random));
        let copied = copied.count() as i64;
        prop_assert!((copied - i64::from(percent) * 100).abs() <= 1, "{copied}");
    }
}
