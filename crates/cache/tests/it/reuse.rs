//! When what is stored may be used: fresh, stale, while it is fetched anew, or because nothing else is left.

use cache::control::{RequestControl, of_request};
use cache::freshness::ttl;
use cache::reuse::{Verdict, Why, decide, is_error, on_error};
use cache::storing::judge;
use cache::{Facts, Flags};
use config::plan::CacheRules;
use proptest::prelude::*;

use crate::control::fields;
use crate::freshness::{AT_ONCE, NOW};
use crate::storing::{answer, request};

/// The facts of a 200 that came at [`NOW`] with this `Cache-Control`.
fn stored(control: &str) -> Facts {
    let lines = [&*format!("Cache-Control: {control}"), "ETag: \"a\""];
    judge(&request("GET", &[]), &answer(200, &lines), &CacheRules::default(), AT_ONCE).unwrap()
}

fn wish(control: &str) -> RequestControl {
    of_request(&fields(&[&format!("Cache-Control: {control}")]))
}

/// What is decided so many seconds after it came, for a request that wishes nothing.
fn plainly(control: &str, after: u64) -> Verdict {
    decide(&stored(control), false, &RequestControl::default(), NOW + after)
}

/// For a request with this `Cache-Control`.
fn wished(control: &str, wishes: &str, after: u64) -> Verdict {
    decide(&stored(control), false, &wish(wishes), NOW + after)
}

/// May it be used because endpoints answer with an error, or don't answer?
fn left(control: &str, wishes: &str, after: u64) -> (bool, bool) {
    let (facts, wishes, now) = (stored(control), wish(wishes), NOW + after);
    (on_error(&facts, false, &wishes, now, false), on_error(&facts, false, &wishes, now, true))
}

const STALE: Verdict = Verdict::Validate(Why::Stale);
const REQUEST: Verdict = Verdict::Validate(Why::Request);

#[test]
fn it_is_fresh_while_its_lifetime_exceeds_its_age() {
    assert_eq!(plainly("max-age=10", 0), Verdict::Fresh);
    assert_eq!(plainly("max-age=10", 9), Verdict::Fresh);
    assert_eq!(plainly("max-age=10", 10), STALE);
    assert_eq!(plainly("max-age=10", 11), STALE);
    assert_eq!(plainly("max-age=0", 0), STALE);
    assert_eq!(plainly("max-age=10, must-revalidate", 9), Verdict::Fresh);
    assert_eq!(plainly("max-age=10, immutable", 9), Verdict::Fresh);
    assert_eq!(plainly("max-age=10, immutable", 10), STALE);
}

#[test]
fn no_cache_is_always_validated() {
    for control in ["no-cache", "no-cache, max-age=99", "no-cache, max-age=99, stale-while-revalidate=99"] {
        assert_eq!(plainly(control, 1), STALE, "{control}");
        assert_eq!(wished(control, "max-stale", 1), STALE, "{control}");
        assert_eq!(left(control, "max-stale, stale-if-error=99", 1), (false, false), "{control}");
    }
    assert_eq!(plainly("no-cache=\"x\", max-age=99", 1), Verdict::Fresh);
}

#[test]
fn while_it_is_fetched_anew_it_is_used_as_long_as_it_says() {
    let control = "max-age=10, stale-while-revalidate=5";
    assert_eq!(plainly(control, 9), Verdict::Fresh);
    assert_eq!(plainly(control, 10), Verdict::StaleWhileRevalidate);
    assert_eq!(plainly(control, 14), Verdict::StaleWhileRevalidate);
    assert_eq!(plainly(control, 15), STALE);
    assert_eq!(plainly(&format!("{control}, must-revalidate"), 10), STALE);
    assert_eq!(plainly(&format!("{control}, proxy-revalidate"), 10), STALE);
    assert_eq!(plainly("s-maxage=10, stale-while-revalidate=5", 12), Verdict::StaleWhileRevalidate);
}

#[test]
fn a_client_that_says_how_fresh_gets_nothing_stale() {
    let control = "max-age=10, stale-while-revalidate=5";
    assert_eq!(wished(control, "no-cache", 12), STALE);
    assert_eq!(wished(control, "max-age=99", 12), STALE);
    assert_eq!(wished(control, "min-fresh=1", 12), STALE);
    assert_eq!(wished(control, "max-age=99, max-stale", 12), Verdict::Stale);
    assert_eq!(wished(control, "only-if-cached", 12), Verdict::StaleWhileRevalidate);
}

#[test]
fn request_max_age_bounds_the_age() {
    assert_eq!(wished("max-age=100", "max-age=0", 0), REQUEST);
    assert_eq!(wished("max-age=100", "max-age=1", 1), Verdict::Fresh);
    assert_eq!(wished("max-age=100", "max-age=1", 2), REQUEST);
    assert_eq!(wished("max-age=100", "max-age=x", 1), REQUEST);
    assert_eq!(wished("max-age=100", "max-age=1, max-stale", 2), REQUEST);
}

#[test]
fn request_min_fresh_bounds_what_is_left() {
    assert_eq!(wished("max-age=100", "min-fresh=40", 60), Verdict::Fresh);
    assert_eq!(wished("max-age=100", "min-fresh=41", 60), REQUEST);
    assert_eq!(wished("max-age=100", "min-fresh=0", 99), Verdict::Fresh);
    assert_eq!(wished("max-age=100", "min-fresh=99999999999", 0), REQUEST);
}

#[test]
fn request_no_cache_validates_and_no_store_does_not_keep_from_using() {
    assert_eq!(wished("max-age=100", "no-cache", 1), REQUEST);
    assert_eq!(wished("max-age=100", "no-store", 1), Verdict::Fresh);
    let pragma = of_request(&fields(&["Pragma: no-cache"]));
    assert_eq!(decide(&stored("max-age=100"), false, &pragma, NOW), REQUEST);
}

#[test]
fn max_stale_takes_stale_unless_the_answer_forbids() {
    assert_eq!(wished("max-age=10", "max-stale=5", 15), Verdict::Stale);
    assert_eq!(wished("max-age=10", "max-stale=5", 16), STALE);
    assert_eq!(wished("max-age=10", "max-stale", 1_000_000), Verdict::Stale);
    assert_eq!(wished("max-age=10", "max-stale=x", 11), STALE);
    assert_eq!(wished("max-age=10", "max-stale", 5), Verdict::Fresh);
    for forbids in ["must-revalidate", "proxy-revalidate", "s-maxage=10"] {
        assert_eq!(wished(&format!("max-age=10, {forbids}"), "max-stale", 15), STALE, "{forbids}");
    }
}

#[test]
fn what_was_purged_softly_is_stale() {
    let plain = RequestControl::default();
    let soft = |control, wishes: &RequestControl| decide(&stored(control), true, wishes, NOW + 1);
    assert_eq!(soft("max-age=100", &plain), STALE);
    assert_eq!(soft("max-age=100, stale-while-revalidate=5", &plain), Verdict::StaleWhileRevalidate);
    assert_eq!(soft("max-age=100", &wish("max-stale=0")), Verdict::Stale);
    assert_eq!(soft("max-age=100, must-revalidate", &wish("max-stale")), STALE);
    let left = |control, disconnected| on_error(&stored(control), true, &plain, NOW + 1, disconnected);
    assert!(left("max-age=100, stale-if-error=9", false) && left("max-age=100", true));
    assert!(!left("max-age=100", false) && !left("max-age=100, must-revalidate", true));
}

#[test]
fn an_error_is_covered_only_within_stale_if_error() {
    let control = "max-age=10, stale-if-error=20";
    assert_eq!(left(control, "", 29), (true, true));
    assert_eq!(left(control, "", 30), (false, false), "its own bound holds for all failures");
    assert_eq!(left("max-age=10", "", 11), (false, true));
    assert_eq!(left("max-age=10, stale-if-error=0", "", 11), (false, false));
    assert_eq!(left("max-age=10, stale-while-revalidate=5", "", 99), (false, true));
    assert_eq!(left("s-maxage=10, stale-if-error=20", "", 29), (true, true));
}

#[test]
fn the_route_bounds_stale_use_too() {
    let rules =
        CacheRules { stale_if_error: Some(std::time::Duration::from_secs(20)), ..CacheRules::default() };
    let lines = ["Cache-Control: max-age=10"];
    let facts = judge(&request("GET", &[]), &answer(200, &lines), &rules, AT_ONCE).unwrap();
    let left =
        |after, disconnected| on_error(&facts, false, &RequestControl::default(), NOW + after, disconnected);
    assert!(left(29, false) && left(29, true));
    assert!(!left(30, false) && !left(30, true));
}

#[test]
fn disconnected_it_is_used_unless_that_is_forbidden() {
    assert_eq!(left("max-age=2", "", 9), (false, true));
    assert_eq!(left("max-age=0", "", 1_000_000), (false, true));
    for forbids in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2"] {
        assert_eq!(left(&format!("max-age=2, {forbids}"), "", 9), (false, false), "{forbids}");
        assert_eq!(
            left(&format!("max-age=2, {forbids}"), "stale-if-error=99", 9),
            (false, false),
            "{forbids}"
        );
    }
}

#[test]
fn on_error_the_request_has_a_say() {
    assert_eq!(left("max-age=10", "stale-if-error=5", 14), (true, true));
    assert_eq!(left("max-age=10", "stale-if-error=5", 15), (false, true));
    assert_eq!(left("max-age=10", "max-stale=5", 15), (true, true));
    assert_eq!(left("max-age=10, stale-if-error=9", "max-age=0", 12), (true, true), "a reload");
    assert_eq!(left("max-age=10, stale-if-error=9", "no-cache", 12), (false, false), "one that insists");
    assert_eq!(left("max-age=10, stale-if-error=9", "no-cache, stale-if-error=9", 12), (true, true));
}

#[test]
fn what_is_fresh_is_used_when_its_validation_fails() {
    assert_eq!(left("max-age=100", "max-age=0", 1), (true, true));
    assert_eq!(left("max-age=100, must-revalidate", "max-age=0", 1), (true, true));
    assert_eq!(left("max-age=100", "no-cache", 1), (false, false));
}

#[test]
fn four_statuses_are_errors_for_stale_if_error() {
    let errors: Vec<u16> = (100..1000).filter(|&status| is_error(status)).collect();
    assert_eq!(errors, [500, 502, 503, 504]);
}

#[test]
fn the_reasons_are_those_of_cache_status() {
    assert_eq!((Why::Stale.token(), Why::Request.token()), ("stale", "request"));
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let number = || prop_oneof![0u32..100, any::<u32>()];
    (0u16..16, number(), number(), number(), number(), number()).prop_map(
        |(flags, received, initial_age, lifetime, stale_while_revalidate, stale_if_error)| Facts {
            status: 200,
            flags: Flags(flags),
            requested_ms: 0,
            received,
            initial_age,
            lifetime,
            stale_while_revalidate,
            stale_if_error,
        },
    )
}

prop_compose! {
    fn any_wish()(
        no_cache: bool, max_age in prop::option::of(0u32..200), min_fresh in prop::option::of(0u32..200),
        max_stale in prop::option::of(prop_oneof![0u32..200, Just(u32::MAX)]),
        stale_if_error in prop::option::of(0u32..200),
    ) -> RequestControl {
        RequestControl { no_cache, max_age, min_fresh, max_stale, stale_if_error, ..RequestControl::default() }
    }
}

proptest! {
    #[test]
    fn what_is_used_is_allowed(facts in any_facts(), soft: bool, wish in any_wish(), now in 0u64..400) {
        let is_stale = soft || ttl(&facts, now) <= 0;
        match decide(&facts, soft, &wish, now) {
            Verdict::Fresh => prop_assert!(!is_stale && !facts.flags.has(Flags::NO_CACHE) && !wish.no_cache),
            Verdict::StaleWhileRevalidate => prop_assert!(is_stale && facts.stale_while_revalidate > 0),
            Verdict::Stale => {
                prop_assert!(is_stale && wish.max_stale.is_some() && !facts.flags.has(Flags::NEVER_STALE));
            }
            Verdict::Validate(Why::Request) => prop_assert!(!is_stale),
            Verdict::Validate(Why::Stale) => prop_assert!(is_stale || facts.flags.has(Flags::NO_CACHE)),
        }
    }

    #[test]
    fn with_time_it_never_becomes_more_usable(
        facts in any_facts(), soft: bool, wish in any_wish(), now in 0u64..400, later in 0u64..400,
    ) {
        let usable = |now| !matches!(decide(&facts, soft, &wish, now), Verdict::Validate(_));
        prop_assert!(usable(now) || !usable(now + later));
        for disconnected in [false, true] {
            let left = |now| on_error(&facts, soft, &wish, now, disconnected);
            prop_assert!(left(now) || !left(now + later));
        }
        let (error, none) = (on_error(&facts, soft, &wish, now, false), on_error(&facts, soft, &wish, now, true));
        prop_assert!(none || !error, "who doesn't answer at all is covered at least as well");
    }

    #[test]
    fn what_is_purged_softly_is_never_fresh(facts in any_facts(), wish in any_wish(), now in 0u64..400) {
        prop_assert_ne!(decide(&facts, true, &wish, now), Verdict::Fresh);
    }
}
