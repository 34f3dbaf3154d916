//! How old answers are and how long they are fresh, with broken dates, ages and numbers.

use std::time::Duration;

use cache::control::of_answer;
use cache::freshness::{LONGEST_GUESS, Lifetime, Times, age, initial_age, lifetime, ttl};
use cache::{Facts, date};
use proptest::prelude::*;

use crate::control::fields;

/// When the answers of these tests come: 1 July 2026, in seconds since 1970.
pub const NOW: u64 = 1_782_864_000;

/// Asked and answered at [`NOW`].
pub const AT_ONCE: Times = Times { requested_ms: NOW * 1000, received_ms: NOW * 1000 };

/// `name: date`, so many seconds after [`NOW`].
pub fn dated(name: &str, seconds: i64) -> String {
    let at = NOW.checked_add_signed(seconds).unwrap();
    format!("{name}: {}", std::str::from_utf8(&date::write(at)).unwrap())
}

fn of_status(status: u16, lines: &[&str], default_ttl: Option<Duration>) -> Lifetime {
    let fields = fields(lines);
    lifetime(status, &fields, &of_answer(&fields), default_ttl, AT_ONCE)
}

fn said(lines: &[&str]) -> Option<u32> {
    let Lifetime { seconds, guessed } = of_status(200, lines, None);
    (!guessed).then_some(seconds)
}

fn guessed(lines: &[&str]) -> u32 {
    let Lifetime { seconds, guessed } = of_status(200, lines, None);
    assert!(guessed);
    seconds
}

fn aged(lines: &[&str]) -> u32 {
    initial_age(&fields(lines), AT_ONCE)
}

#[test]
fn s_maxage_goes_before_max_age_and_that_before_expires() {
    let late = dated("Expires", 30);
    assert_eq!(said(&["Cache-Control: max-age=10, s-maxage=20", &late]), Some(20));
    assert_eq!(said(&["Cache-Control: s-maxage=5, max-age=10", &late]), Some(5));
    assert_eq!(said(&["Cache-Control: max-age=10", "Cache-Control: s-maxage=0"]), Some(0));
    assert_eq!(said(&["Cache-Control: max-age=10", &late]), Some(10));
    assert_eq!(said(&["Cache-Control: max-age=0", &late]), Some(0));
    assert_eq!(said(&["Cache-Control: max-age=10", &dated("Expires", -30)]), Some(10));
    assert_eq!(said(&["Cache-Control: max-age=10", "Expires: 0"]), Some(10));
    assert_eq!(said(&["Cache-Control: public", &late]), Some(30));
}

#[test]
fn bad_numbers_are_stale_and_nothing_stands_in_for_them() {
    let late = dated("Expires", 30);
    assert_eq!(said(&["Cache-Control: max-age=3600.0", &late]), Some(0));
    assert_eq!(said(&["Cache-Control: s-maxage=x, max-age=10", &late]), Some(0));
    assert_eq!(said(&["Cache-Control: max-age=-1", &dated("Last-Modified", -1000)]), Some(0));
}

#[test]
fn expires_counts_from_date() {
    assert_eq!(said(&[&dated("Date", 0), &dated("Expires", 30)]), Some(30));
    assert_eq!(said(&[&dated("Date", -10), &dated("Expires", 30)]), Some(40));
    assert_eq!(said(&[&dated("Date", 400), &dated("Expires", 300)]), Some(0), "both clocks are fast");
    assert_eq!(said(&[&dated("Date", 400), &dated("Expires", 700)]), Some(300));
    assert_eq!(said(&[&dated("Date", 0), &dated("Expires", 0)]), Some(0));
    assert_eq!(said(&[&dated("Date", 0), &dated("Expires", -2_592_000)]), Some(0));
    assert_eq!(said(&["Date: foo", &dated("Expires", 30)]), Some(30), "a bad Date is none");
    assert_eq!(said(&[&dated("Expires", 30)]), Some(30));
    assert_eq!(said(&["Expires: Fri, 31 Dec 9999 23:59:59 GMT"]), Some(u32::MAX));
    assert_eq!(said(&["Expires: Sun, 21 Nov 2286 17:46:39 GMT"]), Some(u32::MAX), "more than 32 bits hold");
}

#[test]
fn expires_that_is_no_date_is_past() {
    for value in
        ["0", "-1", "", "now", "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 2050 2:01:18 GMT", "3600"]
    {
        assert_eq!(said(&[&format!("Expires: {value}")]), Some(0), "{value:?}");
        assert_eq!(
            said(&[&format!("Expires: {value}"), &dated("Last-Modified", -1000)]),
            Some(0),
            "{value:?}"
        );
    }
}

#[test]
fn expires_is_read_in_each_format_and_any_case() {
    let seconds = said(&["Expires: Thu, 18 Aug 2050 02:01:18 GMT"]).unwrap();
    assert!(seconds > 700_000_000);
    for value in
        ["Thursday, 18-Aug-50 02:01:18 GMT", "Thu Aug 18 02:01:18 2050", "THU, 18 AUG 2050 02:01:18 gMT"]
    {
        assert_eq!(said(&[&format!("Expires: {value}")]), Some(seconds), "{value}");
    }
}

#[test]
fn of_several_expires_the_earliest_counts() {
    assert_eq!(said(&[&dated("Expires", 30), &dated("Expires", 20)]), Some(20));
    assert_eq!(said(&[&dated("Expires", 20), &dated("Expires", 30)]), Some(20));
    assert_eq!(said(&[&dated("Expires", 20), "Expires: 0"]), Some(0));
}

#[test]
fn expires_says_nothing_beside_a_targeted_field() {
    let late = dated("Expires", 30);
    assert_eq!(
        said(&["CDN-Cache-Control: max-age=5", "Cache-Control: max-age=9, s-maxage=8", &late]),
        Some(5)
    );
    assert_eq!(said(&["CDN-Cache-Control: max-age=0", &late]), Some(0));
    assert_eq!(said(&["CDN-Cache-Control: max-age=5", "Expires: 0"]), Some(5));
    assert_eq!(said(&["CDN-Cache-Control: none", "Cache-Control: max-age=9", &late]), None);
    assert_eq!(said(&["CDN-Cache-Control: &", "Cache-Control: max-age=9", &late]), Some(9));
}

#[test]
fn a_guess_is_a_tenth_of_the_time_since_the_last_change_and_a_day_at_most() {
    assert_eq!(guessed(&[&dated("Last-Modified", -1000)]), 100);
    assert_eq!(guessed(&[&dated("Last-Modified", -1000), &dated("Date", -500)]), 50);
    assert_eq!(guessed(&[&dated("Last-Modified", -9)]), 0);
    assert_eq!(guessed(&[&dated("Last-Modified", 1000)]), 0, "it can't have changed yet");
    assert_eq!(guessed(&[&dated("Last-Modified", -100_000_000)]), LONGEST_GUESS);
    assert_eq!(guessed(&["Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT"]), LONGEST_GUESS);
    assert_eq!(guessed(&["Last-Modified: yesterday"]), 0);
    assert_eq!(guessed(&[]), 0);
    assert_eq!(guessed(&["ETag: \"a\""]), 0);
}

#[test]
fn nothing_is_guessed_beside_explicit_freshness() {
    let old = dated("Last-Modified", -100_000);
    assert_eq!(said(&[&old, "Cache-Control: max-age=1"]), Some(1));
    assert_eq!(said(&[&old, &dated("Expires", 2)]), Some(2));
    let one = of_status(200, &["Cache-Control: max-age=1"], Some(Duration::from_secs(60)));
    assert_eq!(one, Lifetime { seconds: 1, guessed: false });
}

#[test]
fn only_some_statuses_may_be_guessed() {
    let old = dated("Last-Modified", -100_000);
    for status in 200..=599 {
        let may = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status);
        assert_eq!(of_status(status, &[&old], None).seconds > 0, may, "{status}");
        let public = of_status(status, &[&old, "Cache-Control: public"], None);
        assert_eq!(public, Lifetime { seconds: 10_000, guessed: true }, "{status}");
    }
}

#[test]
fn the_default_ttl_goes_before_a_guess_where_one_is_allowed() {
    let ttl = Some(Duration::from_secs(60));
    let old = dated("Last-Modified", -100_000);
    assert_eq!(of_status(200, &[], ttl), Lifetime { seconds: 60, guessed: true });
    assert_eq!(of_status(404, &[&old], ttl), Lifetime { seconds: 60, guessed: true });
    assert_eq!(of_status(503, &[], ttl), Lifetime { seconds: 0, guessed: true });
    assert_eq!(of_status(503, &["Cache-Control: public"], ttl), Lifetime { seconds: 60, guessed: true });
    assert_eq!(of_status(200, &[], Some(Duration::MAX)).seconds, u32::MAX);
}

#[test]
fn age_is_a_number_and_of_a_list_the_first() {
    assert_eq!(aged(&[]), 0);
    assert_eq!(aged(&["Age: 30"]), 30);
    assert_eq!(aged(&["Age: 0030"]), 30);
    assert_eq!(aged(&["Age: 7200, 0"]), 7200);
    assert_eq!(aged(&["Age: 0, 7200"]), 0);
    assert_eq!(aged(&["Age: 7200", "Age: 0"]), 7200);
    assert_eq!(aged(&["Age: 0", "Age: 7200"]), 0);
    assert_eq!(aged(&["Age: 3600", "Age: 3600"]), 3600);
}

#[test]
fn age_that_is_no_number_says_nothing() {
    for value in
        ["abc", "-7200", "+7200", "7200.0", "7200;foo=bar", "", ",", "\"7200\"", "7200s", "72 00", "x, 7200"]
    {
        assert_eq!(aged(&[&format!("Age: {value}")]), 0, "{value:?}");
    }
}

#[test]
fn a_large_age_does_not_wrap() {
    assert_eq!(aged(&["Age: 2147483647"]), i32::MAX as u32);
    assert_eq!(aged(&["Age: 2147483648"]), 1 << 31);
    for large in ["4294967295", "4294967296", "99999999999999999999999999"] {
        assert_eq!(aged(&[&format!("Age: {large}")]), u32::MAX);
    }
    let slow = Times { requested_ms: 0, received_ms: u64::MAX };
    assert_eq!(initial_age(&fields(&["Age: 4294967295"]), slow), u32::MAX);
}

#[test]
fn the_age_at_first_is_the_larger_of_two_views() {
    assert_eq!(aged(&[&dated("Date", -7200)]), 7200, "apparent age");
    assert_eq!(aged(&[&dated("Date", -10), "Age: 25"]), 25);
    assert_eq!(aged(&[&dated("Date", -25), "Age: 10"]), 25);
    assert_eq!(aged(&[&dated("Date", 10), "Age: 15"]), 15, "a fast clock makes nothing younger");
    assert_eq!(aged(&[&dated("Date", 7200)]), 0);
    assert_eq!(aged(&["Date: foo"]), 0);
    assert_eq!(aged(&["Date: 0", "Age: 5"]), 5);
}

#[test]
fn the_way_of_the_answer_counts_from_the_request_on() {
    let slow = Times { requested_ms: (NOW - 8) * 1000, received_ms: NOW * 1000 };
    assert_eq!(initial_age(&fields(&["Age: 30"]), slow), 38);
    assert_eq!(initial_age(&fields(&[]), slow), 8);
    assert_eq!(initial_age(&fields(&[&dated("Date", -3)]), slow), 8);
    let stepped = Times { requested_ms: (NOW + 8) * 1000, received_ms: NOW * 1000 };
    assert_eq!(initial_age(&fields(&["Age: 30"]), stepped), 30, "a clock that was set back");
}

#[test]
fn age_grows_while_it_is_stored() {
    let facts = Facts { received: NOW as u32, initial_age: 30, lifetime: 100, ..Facts::default() };
    assert_eq!((age(&facts, NOW), ttl(&facts, NOW)), (30, 70));
    assert_eq!((age(&facts, NOW + 69), ttl(&facts, NOW + 69)), (99, 1));
    assert_eq!((age(&facts, NOW + 71), ttl(&facts, NOW + 71)), (101, -1));
    assert_eq!(age(&facts, NOW - 1000), 30, "a clock that was set back");
}

proptest! {
    #[test]
    fn ages_never_wrap(received: u32, initial_age: u32, lifetime: u32, now: u64, later: u64) {
        let facts = Facts { received, initial_age, lifetime, ..Facts::default() };
        let (early, late) = (now.min(later), now.max(later));
        prop_assert!(age(&facts, early) <= age(&facts, late));
        prop_assert!(age(&facts, early) >= u64::from(initial_age));
        prop_assert!(ttl(&facts, early) >= ttl(&facts, late));
        prop_assert!(ttl(&facts, early) <= i64::from(lifetime));
    }

    #[test]
    fn an_older_answer_is_never_taken_to_be_younger(
        age in prop::num::u64::ANY, more: u32, at: i32, requested_ms in 0..NOW * 2000, received_ms in 0..NOW * 2000,
    ) {
        let times = Times { requested_ms, received_ms };
        let of = |age: u64, at: i64| initial_age(&fields(&[&format!("Age: {age}"), &dated("Date", at)]), times);
        let base = of(age, i64::from(at) / 2);
        prop_assert!(of(age.saturating_add(more.into()), i64::from(at) / 2) >= base);
        prop_assert!(of(age, i64::from(at) / 2 - 1000) >= base);
        prop_assert!(u64::from(base) >= age.min(u32::MAX.into()));
    }

    #[test]
    fn any_fields_are_read_without_panic(
        values in prop::collection::vec("[ -~]{0,40}|[0-9]{1,25}", 5), status: u16, requested_ms: u64, received_ms: u64,
    ) {
        let names = ["Age", "Date", "Expires", "Last-Modified", "Cache-Control"];
        let lines: Vec<String> = names.iter().zip(&values).map(|(name, value)| format!("{name}: {value}")).collect();
        let all = fields(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let times = Times { requested_ms, received_ms };
        initial_age(&all, times);
        lifetime(status, &all, &of_answer(&all), None, times);
    }
}
