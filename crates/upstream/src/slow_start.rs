//! How large the share of an endpoint is that has just come into use: a tenth at first, growing
//! evenly to all of it, so that cold caches and pools get time to warm.

use std::time::Duration;

use crate::clock::nanos;

/// The share at the start, in thousandths.
pub const FIRST: u32 = 100;
/// All of it, in thousandths.
pub const WHOLE: u32 = 1000;

/// The share in thousandths of an endpoint in use since `since`, where growing takes `over`.
pub fn share(since: u64, now: u64, over: Duration) -> u32 {
    let (age, over) = (now.saturating_sub(since), nanos(over));
    if age >= over {
        return WHOLE;
    }
    let grown = u128::from(WHOLE - FIRST) * u128::from(age) / u128::from(over);
    FIRST + grown as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn grows_from_a_tenth_to_all(since in 0..u64::MAX / 2, a: u32, b: u32, ms in 0u64..1_000_000) {
            let over = Duration::from_millis(ms);
            let at = |after: u64| share(since, since + after, over);
            let (early, late) = (u64::from(a.min(b)) * 300, u64::from(a.max(b)) * 300);
            prop_assert!((FIRST..=WHOLE).contains(&at(early)) && at(early) <= at(late));
            prop_assert_eq!(at(nanos(over)), WHOLE);
            prop_assert!(ms == 0 || at(0) == FIRST);
        }
    }

    #[test]
    fn is_half_way_half_way() {
        assert_eq!(share(7, 7 + 15_000_000_000, Duration::from_secs(30)), 550);
    }
}
