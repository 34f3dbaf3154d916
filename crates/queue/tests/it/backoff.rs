//! What an answer means, and how long the pause is.

use std::time::Duration;

use config::plan::Redelivery;
use proptest::prelude::*;
use queue::backoff::{LONGEST_WISH, Outcome, Verdict, judge, pause, retry_after};

const SECOND: u64 = 1000;

fn retry(attempts: u32) -> Redelivery {
    Redelivery { attempts, first: Duration::from_secs(1), longest: Duration::from_secs(3600) }
}

fn outcome(status: u16) -> Outcome {
    Outcome { status, ..Outcome::default() }
}

#[test]
fn statuses_are_what_the_interface_says() {
    let verdict = |status| judge(&outcome(status), 1, &retry(12), 0);
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(verdict(status), Verdict::Done, "{status}");
    }
    for status in [0, 408, 425, 429, 500, 501, 502, 503, 504, 599] {
        assert_eq!(verdict(status), Verdict::Again(0), "{status}");
    }
    for status in [100, 199, 300, 301, 302, 304, 307, 400, 401, 403, 404, 410, 422, 426, 600, 999] {
        assert_eq!(verdict(status), Verdict::Dead, "{status}");
    }
    assert_eq!(judge(&Outcome { hopeless: true, ..outcome(0) }, 1, &retry(12), 0), Verdict::Dead);
}

#[test]
fn the_last_attempt_is_the_last() {
    assert!(matches!(judge(&outcome(500), 11, &retry(12), 0), Verdict::Again(_)));
    assert_eq!(judge(&outcome(500), 12, &retry(12), 0), Verdict::Dead);
    assert_eq!(judge(&outcome(500), 13, &retry(12), 0), Verdict::Dead);
    assert_eq!(judge(&outcome(500), 1, &retry(1), 0), Verdict::Dead);
    assert_eq!(judge(&outcome(200), 12, &retry(12), 0), Verdict::Done);
}

#[test]
fn the_limit_doubles_up_to_the_longest() {
    let limits = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600];
    for (attempt, limit) in (1..).zip(limits) {
        assert_eq!(pause(&retry(12), attempt, u64::MAX), limit * SECOND, "{attempt}");
        assert_eq!(pause(&retry(12), attempt, 0), 0);
        assert_eq!(pause(&retry(12), attempt, 1 << 63), limit * SECOND / 2);
    }
    assert_eq!(pause(&retry(12), u32::MAX, u64::MAX), 3600 * SECOND);
}

#[test]
fn a_wish_is_a_number_of_seconds_or_a_date() {
    // Sun, 06 Nov 1994 08:49:37 GMT
    let now = 784_111_777_000;
    let wish = |value: &str| retry_after(value.as_bytes(), now);
    assert_eq!(wish("0"), Some(0));
    assert_eq!(wish("120"), Some(120 * SECOND));
    assert_eq!(wish(" 7\t"), Some(7 * SECOND));
    assert_eq!(wish("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30 * SECOND));
    assert_eq!(wish("Sunday, 06-Nov-94 08:50:07 GMT"), Some(30 * SECOND));
    assert_eq!(wish("Sun Nov  6 08:50:07 1994"), Some(30 * SECOND));
    assert_eq!(wish("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
    assert_eq!(wish("Tue, 01 Jan 1901 00:00:00 GMT"), Some(0));
    // However long it is.
    assert_eq!(wish("86401"), Some(LONGEST_WISH));
    assert_eq!(wish("99999999999999999999999999"), Some(LONGEST_WISH));
    assert_eq!(wish("Fri, 31 Dec 9999 23:59:59 GMT"), Some(LONGEST_WISH));
    for wrong in ["", " ", "-1", "+1", "1.5", "soon", "Sun, 06 Nov 1994 08:50:07 CET", "06 Nov 1994"] {
        assert_eq!(wish(wrong), None, "{wrong}");
    }
    assert_eq!(retry_after(b"\xff\xfe", now), None);
}

proptest! {
    #[test]
    fn a_wish_is_never_undercut(wish in 0..=LONGEST_WISH, attempt in 1u32..12, random in any::<u64>()) {
        let asked = Outcome { retry_after: Some(wish), ..outcome(503) };
        let Verdict::Again(pause) = judge(&asked, attempt, &retry(12), random) else { panic!() };
        prop_assert!(pause >= wish);
        let Verdict::Again(alone) = judge(&outcome(503), attempt, &retry(12), random) else { panic!() };
        prop_assert!(pause <= alone.max(wish + wish / 10));
    }

    #[test]
    fn any_bytes_are_safe(value in prop::collection::vec(any::<u8>(), 0..40), now in any::<u64>()) {
        prop_assert!(retry_after(&value, now).is_none_or(|wish| wish <= LONGEST_WISH));
    }

    #[test]
    fn pauses_are_spread_evenly(attempt in 1u32..20, seed in any::<u64>()) {
        let longest = pause(&retry(12), attempt, u64::MAX);
        let step = u64::MAX / 1000;
        let sum: u64 = (0..1000).map(|n| pause(&retry(12), attempt, (n * step).wrapping_add(seed))).sum();
        let mean = sum as f64 / 1000.0;
        prop_assert!((mean / longest as f64 - 0.5).abs() < 0.01, "{mean} of {longest}");
    }
}
