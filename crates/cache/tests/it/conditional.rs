//! Tests of `conditional`: RFC 9110 §13, RFC 9111 §4.3.1 and §4.3.2.

use cache::conditional::{
    Held, Outcome, evaluate, if_range_holds, is_conditional, strip, strongly_equal, validators, weakly_equal,
};
use cache::date;
use cache::object::{Body, Facts, New, Object};
use proptest::prelude::*;

use crate::heads::fields;

/// A moment: Sun, 06 Nov 1994 08:49:37 GMT.
const THEN: u64 = 784_111_777;
const NOW: u64 = THEN + 10_000_000;

fn date(at: u64) -> String {
    String::from_utf8(date::write(at).to_vec()).unwrap()
}

fn held<'a>(etag: Option<&'a str>, modified: Option<&'a str>, date: Option<&'a str>) -> Held<'a> {
    Held {
        status: 200,
        etag: etag.map(str::as_bytes),
        last_modified: modified.map(str::as_bytes),
        date: date.map(str::as_bytes),
        received: THEN + 2,
    }
}

/// Is a request with these fields answered 304 of what is held?
fn unchanged(request: &[(&str, &str)], held: Held<'_>) -> bool {
    match evaluate(&fields(request), &held, NOW) {
        Outcome::NotModified => true,
        Outcome::Proceed => false,
        Outcome::ForOrigin => panic!("not a condition of these"),
    }
}

fn tagged(condition: &str, etag: &str) -> bool {
    unchanged(&[("If-None-Match", condition)], held(Some(etag), None, None))
}

#[test]
fn without_a_condition_there_is_none() {
    assert!(!is_conditional(&fields(&[("If-Range", "\"a\""), ("Range", "bytes=0-1")])));
    assert!(!unchanged(&[], held(Some("\"a\""), Some(&date(THEN)), None)));
    for name in ["If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"] {
        assert!(is_conditional(&fields(&[(name, "x")])), "{name}");
    }
}

#[test]
fn tags_in_if_none_match_are_compared_weakly() {
    assert!(tagged("\"abcdef\"", "\"abcdef\""));
    assert!(tagged("W/\"abcdef\"", "W/\"abcdef\""));
    assert!(tagged("W/\"abcdef\"", "\"abcdef\""));
    assert!(tagged("\"abcdef\"", "W/\"abcdef\""));
    assert!(tagged("\"abcdef\u{fc}\"", "\"abcdef\u{fc}\""));
    assert!(tagged("\"\"", "\"\""));
    assert!(!tagged("\"abcdef\"", "\"abcdeF\""));
    assert!(!tagged("\"abcde\"", "\"abcdef\""));
}

#[test]
fn tags_written_wrongly_are_taken_for_what_was_meant() {
    assert!(tagged("abcdef", "\"abcdef\""));
    assert!(tagged("abcdef", "abcdef"));
    assert!(tagged("\"abcdef\"", "abcdef"));
    assert!(tagged("w/\"abcdef\"", "w/\"abcdef\""));
    assert!(tagged("W\\\"abcdef\"", "W\\\"abcdef\""));
    assert!(tagged("W\"abcdef\"", "W\"abcdef\""));
    assert!(!tagged("\"abc", "\"abcd\""));
}

#[test]
fn any_tag_of_a_list_will_do() {
    for list in ["\"abcdef\", \"1234\"", "\"1234\",\"abcdef\" , \"5678\"", "\"1234\", ,W/\"abcdef\""] {
        assert!(tagged(list, "\"abcdef\""), "{list}");
    }
    let two = [("If-None-Match", "\"1234\""), ("If-None-Match", "\"abcdef\"")];
    assert!(unchanged(&two, held(Some("\"abcdef\""), None, None)));
    assert!(tagged("\"a,b\", \"c\"", "\"a,b\""));
    assert!(!tagged("\"x,abcdef,y\"", "\"abcdef\""), "a comma in quotes parts nothing");
    assert!(tagged("\"a\\\", \"b\"", "\"b\""), "a backslash in a tag escapes nothing");
}

#[test]
fn a_star_matches_whatever_is_stored() {
    assert!(tagged("*", "\"abcdef\""));
    assert!(unchanged(&[("If-None-Match", "*")], held(None, None, None)));
    assert!(!tagged("\"*\"", "\"abcdef\""));
    assert!(tagged("\"*\"", "\"*\""));
    assert!(!unchanged(&[("If-None-Match", "\"a\"")], held(None, None, None)));
}

#[test]
fn if_none_match_goes_before_if_modified_since() {
    let (early, late) = (date(THEN - 5000), date(THEN));
    let held = held(Some("\"a\""), Some(&early), None);
    assert!(unchanged(&[("If-None-Match", "\"a\""), ("If-Modified-Since", &date(THEN - 9000))], held));
    assert!(!unchanged(&[("If-None-Match", "\"b\""), ("If-Modified-Since", &late)], held));
}

#[test]
fn if_modified_since_is_compared_with_last_modified() {
    let then = date(THEN);
    let since = |since: &str| unchanged(&[("If-Modified-Since", since)], held(None, Some(&then), None));
    assert!(since(&then));
    assert!(since(&date(THEN + 1000)));
    assert!(since(&date(NOW + 1000)));
    assert!(!since(&date(THEN - 1)));
    assert!(since("Sunday, 06-Nov-94 08:49:37 GMT"));
    assert!(since("Sun Nov  6 08:49:37 1994"));
}

#[test]
fn a_date_that_is_none_or_two_of_them_mean_nothing() {
    let then = date(THEN);
    let held = held(None, Some(&then), None);
    assert!(!unchanged(&[("If-Modified-Since", "tomorrow")], held));
    assert!(!unchanged(&[("If-Modified-Since", "")], held));
    assert!(!unchanged(&[("If-Modified-Since", &then), ("If-Modified-Since", &then)], held));
    assert!(!unchanged(&[("If-Modified-Since", &format!("{then}, {then}"))], held));
}

#[test]
fn without_last_modified_its_date_counts_or_when_it_came() {
    let then = date(THEN);
    let since = |at: u64, held: Held<'_>| unchanged(&[("If-Modified-Since", &date(at))], held);
    assert!(since(THEN, held(None, None, Some(&then))));
    assert!(!since(THEN - 3000, held(None, None, Some(&then))));
    assert!(!since(THEN + 1, held(None, None, None)));
    assert!(since(THEN + 2, held(None, None, Some("never"))));
    assert!(since(THEN, held(None, Some("never"), Some(&then))));
}

#[test]
fn answers_that_failed_know_no_conditions() {
    for status in [301, 404, 500] {
        let held = Held { status, ..held(Some("\"a\""), None, None) };
        let request = fields(&[("If-None-Match", "\"a\""), ("If-Match", "\"b\"")]);
        assert_eq!(evaluate(&request, &held, NOW), Outcome::Proceed);
    }
}

#[test]
fn if_match_and_if_unmodified_since_are_for_the_origin() {
    for name in ["If-Match", "If-Unmodified-Since"] {
        let request = fields(&[(name, "*"), ("If-None-Match", "*")]);
        assert_eq!(evaluate(&request, &held(Some("\"a\""), None, None), NOW), Outcome::ForOrigin);
    }
}

#[test]
fn if_range_wants_the_same_bytes() {
    let (then, later) = (date(THEN), date(THEN + 1));
    let holds =
        |condition: &str, held: Held<'_>| if_range_holds(&fields(&[("If-Range", condition)]), &held, NOW);
    let strong = held(Some("\"a\""), Some(&then), Some(&later));
    assert!(if_range_holds(&fields(&[]), &held(None, None, None), NOW));
    assert!(holds("\"a\"", strong));
    assert!(holds(&then, strong));
    assert!(holds("Sunday, 06-Nov-94 08:49:37 GMT", strong));
    for other in ["\"b\"", "W/\"a\"", "a", "*", "", &later, &date(THEN - 1), "\"a\", \"b\""] {
        assert!(!holds(other, strong), "{other}");
    }
    let weak = held(Some("W/\"a\""), Some(&then), Some(&then));
    assert!(!holds("\"a\"", weak) && !holds("W/\"a\"", weak));
    assert!(!holds(&then, weak), "it may have changed within that second");
    assert!(!holds(&then, held(None, Some(&then), None)));
    assert!(!holds(&then, held(None, None, Some(&then))));
    let two = fields(&[("If-Range", "\"a\""), ("If-Range", "\"a\"")]);
    assert!(!if_range_holds(&two, &strong, NOW));
}

#[test]
fn a_fetch_for_all_has_no_ones_conditions() {
    let names = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"];
    let mut request = fields(&names.map(|name| (name, "x")));
    request.push(b"Range", b"bytes=0-1");
    strip(&mut request);
    assert_eq!(request.iter().map(|field| field.name).collect::<Vec<_>>(), [b"Range"]);
}

fn object(lines: &str) -> Object {
    Object::new(New {
        facts: Facts { status: 200, received: THEN as u32, ..Facts::default() },
        primary: b"http://a/",
        variant: b"",
        lines: lines.as_bytes(),
        tags: b"",
        body: Body::Whole("body".into()),
    })
}

#[test]
fn validation_asks_by_all_stored_validators_and_only_by_them() {
    let asks = |lines: &str| {
        let mut request = fields(&[("Accept", "*/*"), ("If-None-Match", "\"mine\""), ("If-Match", "*")]);
        let can = validators(&mut request, &object(lines));
        let text =
            request.iter().map(|field| [field.name, b"=", field.value].concat()).collect::<Vec<_>>().concat();
        (can, String::from_utf8(text).unwrap())
    };
    let both = asks("ETag: W/\"a\"\r\nLast-Modified: then\r\n");
    assert_eq!(both, (true, "Accept=*/*If-None-Match=W/\"a\"If-Modified-Since=then".into()));
    assert_eq!(asks("etag: abc\r\n"), (true, "Accept=*/*If-None-Match=abc".into()));
    assert_eq!(asks("Last-Modified: then\r\n"), (true, "Accept=*/*If-Modified-Since=then".into()));
    assert_eq!(asks("Date: then\r\n"), (false, "Accept=*/*".into()));
}

#[test]
fn what_is_held_of_an_object() {
    let object = object("ETag: \"a\"\r\nDate: d\r\nlast-modified: m\r\n");
    let held = Held::of(&object);
    assert_eq!((held.status, held.received), (200, THEN));
    assert_eq!((held.etag, held.date), (Some(&b"\"a\""[..]), Some(&b"d"[..])));
    assert_eq!(held.last_modified, Some(&b"m"[..]));
}

/// Another reader of the rules: RFC 9110 §13.2.2 for GET, step by step, of values that are well formed.
fn naive(tags: Option<&[usize]>, since: Option<u64>, etag: Option<usize>, modified: Option<u64>) -> bool {
    match (tags, since) {
        (Some(tags), _) => etag.is_some_and(|etag| tags.contains(&etag)),
        (None, Some(since)) => modified.unwrap_or(THEN) <= since,
        (None, None) => false,
    }
}

proptest! {
    #[test]
    fn it_agrees_with_a_naive_reading(
        tags in prop::option::of(prop::collection::vec((0usize..4, any::<bool>()), 1..4)),
        since in prop::option::of(THEN - 2..THEN + 3),
        etag in prop::option::of((0usize..4, any::<bool>())),
        modified in prop::option::of(THEN - 2..THEN + 3),
    ) {
        const TAGS: [&str; 4] = ["\"a\"", "\"a,b\"", "\"b\"", "\"\\\""];
        let write = |&(tag, weak): &(usize, bool)| format!("{}{}", if weak { "W/" } else { "" }, TAGS[tag]);
        let list = tags.as_ref().map(|tags| tags.iter().map(write).collect::<Vec<_>>().join(" ,"));
        let since_text = since.map(date);
        let mut request = Vec::new();
        request.extend(list.as_deref().map(|list| ("If-None-Match", list)));
        request.extend(since_text.as_deref().map(|since| ("If-Modified-Since", since)));
        let (etag_text, modified_text, then) = (etag.as_ref().map(write), modified.map(date), date(THEN));
        let held = held(etag_text.as_deref(), modified_text.as_deref(), Some(&then));
        let numbers: Option<Vec<usize>> = tags.map(|tags| tags.iter().map(|tag| tag.0).collect());
        let expected = naive(numbers.as_deref(), since, etag.map(|tag| tag.0), modified);
        prop_assert_eq!(unchanged(&request, held), expected);
    }

    #[test]
    fn any_tags_are_taken(one in "[ -~]{0,12}", other in "[ -~]{0,12}") {
        prop_assert!(weakly_equal(&[], &[]) && weakly_equal(one.as_bytes(), one.as_bytes()));
        prop_assert_eq!(weakly_equal(one.as_bytes(), other.as_bytes()), weakly_equal(other.as_bytes(), one.as_bytes()));
        prop_assert!(!strongly_equal(one.as_bytes(), other.as_bytes()) || weakly_equal(one.as_bytes(), other.as_bytes()));
        tagged(one.trim(), other.trim());
        if_range_holds(&fields(&[("If-Range", one.trim())]), &held(Some(&other), Some(&other), None), NOW);
    }
}
