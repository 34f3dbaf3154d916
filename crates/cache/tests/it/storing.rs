//! What may be stored, what is worth storing, and what is known of it then.

use std::time::Duration;

use cache::freshness::Times;
use cache::storing::{NotStored, judge, unstored_fields};
use cache::{Facts, Flags, control};
use config::plan::CacheRules;
use proptest::prelude::*;
use wire::{Limits, RequestHead, ResponseHead};

use crate::control::fields;
use crate::freshness::{AT_ONCE, NOW, dated};

const LIMITS: Limits = Limits { bytes: 16_384, fields: 64 };

/// A request for `http://example.com/dir/page?q=1`.
pub fn request(method: &str, lines: &[&str]) -> RequestHead {
    asking(method, "/dir/page?q=1", lines)
}

fn asking(method: &str, target: &str, lines: &[&str]) -> RequestHead {
    let text = format!("{method} {target} HTTP/1.1\r\nHost: example.com\r\n{}\r\n", joined(lines));
    let mut head = RequestHead::default();
    assert!(head.read(text.as_bytes(), LIMITS).unwrap().is_some());
    head
}

/// An answer's head.
pub fn answer(status: u16, lines: &[&str]) -> ResponseHead {
    let text = format!("HTTP/1.1 {status} Whatever\r\n{}\r\n", joined(lines));
    let mut head = ResponseHead::default();
    assert!(head.read(text.as_bytes(), LIMITS).unwrap().is_some());
    head
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// What comes of an answer to a plain GET.
fn got(status: u16, lines: &[&str]) -> Result<Facts, NotStored> {
    judge(&request("GET", &[]), &answer(status, lines), &CacheRules::default(), AT_ONCE)
}

/// The facts of a 200 under rules.
fn ruled(lines: &[&str], rules: &CacheRules) -> Result<Facts, NotStored> {
    judge(&request("GET", &[]), &answer(200, lines), rules, AT_ONCE)
}

fn flags(lines: &[&str]) -> Flags {
    got(200, lines).unwrap().flags
}

const FRESH: &str = "Cache-Control: max-age=60";

#[test]
fn a_fresh_answer_gives_its_facts() {
    let times = Times { requested_ms: (NOW - 2) * 1000, received_ms: NOW * 1000 + 999 };
    let lines = ["Cache-Control: max-age=60, stale-while-revalidate=7, stale-if-error=8", "Age: 3"];
    let facts = judge(&request("GET", &[]), &answer(200, &lines), &CacheRules::default(), times).unwrap();
    let all = Facts {
        status: 200,
        flags: Flags::SAYS_STALE,
        requested_ms: (NOW - 2) * 1000,
        received: NOW as u32,
        initial_age: 5,
        lifetime: 60,
        stale_while_revalidate: 7,
        stale_if_error: 8,
    };
    assert_eq!(facts, all);
}

#[test]
fn only_get_is_stored() {
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO", "get"] {
        let stored = judge(&request(method, &[]), &answer(200, &[FRESH]), &CacheRules::default(), AT_ONCE);
        assert_eq!(stored, Err(NotStored::Method), "{method}");
    }
    assert!(got(200, &[FRESH]).is_ok());
}

#[test]
fn every_final_status_but_304_is_stored_with_explicit_freshness() {
    for status in 200..=999 {
        match got(status, &[FRESH, "Content-Range: bytes 0-1/2"]) {
            Ok(facts) => assert_eq!(facts.status, if status == 206 { 200 } else { status }),
            Err(why) => assert_eq!((status, why), (304, NotStored::Status)),
        }
        assert!(status == 304 || got(status, &[&dated("Expires", 9), "Content-Range: bytes 0-1/2"]).is_ok());
    }
}

#[test]
fn interim_answers_are_not_stored() {
    for status in [100, 101, 102, 103, 199] {
        assert_eq!(got(status, &[FRESH]), Err(NotStored::Status));
    }
}

#[test]
fn without_explicit_freshness_only_some_statuses_are_stored() {
    let lines = [&*dated("Last-Modified", -100_000), "Content-Range: bytes 0-1/2"];
    for status in 200..=599 {
        let may = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status);
        assert_eq!(got(status, &lines).is_ok(), may, "{status}");
        if !may {
            assert_eq!(got(status, &lines), Err(NotStored::Status), "{status}");
        }
    }
    let facts = got(599, &[lines[0], "Cache-Control: public"]).unwrap();
    assert_eq!((facts.lifetime, facts.flags), (10_000, Flags::GUESSED));
}

#[test]
fn what_only_this_request_could_get_is_not_stored() {
    let rules = CacheRules::default();
    let of = |status, line| judge(&request("GET", &[line]), &answer(status, &[FRESH]), &rules, AT_ONCE);
    assert_eq!(of(416, "Range: bytes=9-"), Err(NotStored::Status));
    assert_eq!(of(412, "If-Match: \"a\""), Err(NotStored::Status));
    assert_eq!(of(412, "If-Unmodified-Since: 0"), Err(NotStored::Status));
    assert!(of(416, "X: y").is_ok() && of(412, "X: y").is_ok() && of(404, "Range: bytes=9-").is_ok());
}

#[test]
fn no_store_is_obeyed_on_both_sides() {
    assert_eq!(got(200, &["Cache-Control: No-StOrE"]), Err(NotStored::NoStore));
    assert_eq!(
        got(200, &["Cache-Control: max-age=60, public, no-store", &dated("Expires", 60)]),
        Err(NotStored::NoStore)
    );
    let rules = CacheRules { default_ttl: Some(Duration::from_secs(9)), ..CacheRules::default() };
    assert_eq!(ruled(&["Cache-Control: no-store"], &rules), Err(NotStored::NoStore));
    let asked = request("GET", &["Cache-Control: no-store"]);
    assert_eq!(judge(&asked, &answer(200, &[FRESH]), &rules, AT_ONCE), Err(NotStored::RequestNoStore));
}

#[test]
fn private_is_not_stored_but_may_name_fields() {
    assert_eq!(got(200, &["Cache-Control: private, max-age=60, public"]), Err(NotStored::Private));
    assert_eq!(got(200, &["Cache-Control: private=\"\", max-age=60"]), Err(NotStored::Private));
    assert!(got(200, &["Cache-Control: private=\"set-cookie\", max-age=60", "Set-Cookie: a=b"]).is_ok());
}

#[test]
fn nominated_fields_are_not_stored() {
    let said =
        control::of_answer(&fields(&["Cache-Control: no-cache=\"a, b\", private=\"Set-Cookie\", max-age=9"]));
    let unstored = unstored_fields(&said);
    assert!(unstored(b"A") && unstored(b"b") && unstored(b"set-cookie"));
    assert!(!unstored(b"c") && !unstored(b"cache-control"));
    let facts = got(200, &["Cache-Control: no-cache=\"a\", max-age=9", "a: 1"]).unwrap();
    assert!(!facts.flags.has(Flags::NO_CACHE));
}

#[test]
fn must_understand_goes_before_no_store_and_wants_a_known_status() {
    assert!(got(200, &["Cache-Control: max-age=60, must-understand, no-store"]).is_ok());
    assert!(got(410, &["Cache-Control: max-age=60, must-understand"]).is_ok());
    for status in [209, 299, 306, 418, 499, 599] {
        for line in ["max-age=60, must-understand", "max-age=60, must-understand, no-store"] {
            let why = got(status, &[&format!("Cache-Control: {line}")]);
            assert_eq!(why, Err(NotStored::MustUnderstand), "{status} {line}");
        }
    }
}

#[test]
fn with_authorization_it_takes_leave() {
    let asked = request("GET", &["Authorization: FOO"]);
    let stored = |line: &str| judge(&asked, &answer(200, &[line]), &CacheRules::default(), AT_ONCE);
    assert_eq!(stored(FRESH), Err(NotStored::Authorization));
    assert_eq!(stored(&dated("Expires", 60)), Err(NotStored::Authorization));
    assert_eq!(stored("Cache-Control: max-age=60, proxy-revalidate"), Err(NotStored::Authorization));
    assert_eq!(stored("Cache-Control: max-age=60, public=1"), Err(NotStored::Authorization));
    assert!(stored("Cache-Control: max-age=60, public").is_ok());
    assert!(stored("Cache-Control: max-age=60, must-revalidate").is_ok());
    assert!(stored("Cache-Control: s-maxage=60").is_ok());
    assert!(stored("CDN-Cache-Control: max-age=60, public").is_ok());
    assert_eq!(stored("CDN-Cache-Control: max-age=60"), Err(NotStored::Authorization));
}

#[test]
fn vary_star_is_not_stored() {
    assert_eq!(got(200, &[FRESH, "Vary: *"]), Err(NotStored::VaryStar));
    assert_eq!(got(200, &[FRESH, "Vary: foo", "Vary: bar , *, x"]), Err(NotStored::VaryStar));
    assert!(got(200, &[FRESH, "Vary: foo, *x"]).is_ok());
}

#[test]
fn a_cookie_is_stored_only_with_explicit_freshness() {
    let (old, cookie) = (dated("Last-Modified", -100_000), "Set-Cookie: a=b");
    let rules = CacheRules { default_ttl: Some(Duration::from_secs(9)), ..CacheRules::default() };
    assert!(got(200, &[FRESH, cookie]).is_ok());
    assert_eq!(got(200, &[&old, cookie]), Err(NotStored::SetCookie));
    assert_eq!(got(200, &["Cache-Control: public", &old, cookie]), Err(NotStored::SetCookie));
    assert_eq!(ruled(&[cookie, "ETag: \"a\""], &rules), Err(NotStored::SetCookie));
    assert!(got(200, &["Cache-Control: no-cache=\"Set-Cookie\"", &old, cookie]).is_ok());
}

#[test]
fn what_is_stale_at_once_is_stored_if_it_can_be_validated() {
    for freshness in ["no-cache", "max-age=0", "max-age=x", "s-maxage=0", "must-revalidate", "public"] {
        let line = format!("Cache-Control: {freshness}");
        assert!(got(200, &[&line, "ETag: \"a\""]).is_ok(), "{freshness}");
        assert!(got(200, &[&line, &dated("Last-Modified", 0)]).is_ok(), "{freshness}");
        let why = if freshness == "no-cache" { NotStored::NoValidator } else { NotStored::NoFreshness };
        for none in ["ETag:", "X: y", "Last-Modified: yesterday"] {
            assert_eq!(got(200, &[&line, none]), Err(why), "{freshness} {none}");
        }
    }
    assert_eq!(got(200, &[]), Err(NotStored::NoFreshness));
    assert_eq!(got(200, &["Expires: 0"]), Err(NotStored::NoFreshness));
    assert!(got(200, &["ETag: \"a\""]).is_ok());
    assert_eq!(got(200, &["Cache-Control: max-age=60, no-cache"]), Err(NotStored::NoValidator));
}

#[test]
fn what_is_stale_at_once_is_stored_if_it_may_be_used_stale() {
    assert!(got(200, &["Cache-Control: max-age=0, stale-while-revalidate=9"]).is_ok());
    assert!(got(200, &["Cache-Control: max-age=0, stale-if-error=9"]).is_ok());
    assert!(got(200, &["Cache-Control: max-age=5", "Age: 9"]).is_ok(), "a client may take it by max-stale");
}

#[test]
fn parts_are_stored_as_parts_of_a_200() {
    let facts = got(206, &[FRESH, "Content-Range: bytes 0-1/2"]).unwrap();
    assert_eq!(facts.status, 200);
    for lines in [&[FRESH] as &[&str], &[FRESH, "Content-Range: lines 0-1/2"], &[FRESH, "Content-Range: b"]] {
        assert_eq!(got(206, lines), Err(NotStored::Partial));
    }
    assert_eq!(got(206, &[FRESH, "Content-Type: multipart/byteranges; boundary=x"]), Err(NotStored::Partial));
}

#[test]
fn what_is_larger_than_the_route_wants_is_not_stored() {
    let rules = CacheRules { largest: Some(1000), ..CacheRules::default() };
    assert!(ruled(&[FRESH, "Content-Length: 1000"], &rules).is_ok());
    assert_eq!(ruled(&[FRESH, "Content-Length: 1001"], &rules), Err(NotStored::TooLarge));
    assert!(ruled(&[FRESH], &rules).is_ok(), "it shows while it comes");
    assert!(got(200, &[FRESH, "Content-Length: 1000000000000"]).is_ok());
}

#[test]
fn a_targeted_field_alone_decides() {
    assert!(got(200, &["CDN-Cache-Control: max-age=60", "Cache-Control: no-store"]).is_ok());
    assert_eq!(got(200, &["CDN-Cache-Control: no-store", FRESH]), Err(NotStored::NoStore));
    assert_eq!(got(200, &["CDN-Cache-Control: private", FRESH]), Err(NotStored::Private));
    assert_eq!(got(200, &["CDN-Cache-Control: no-cache", FRESH]), Err(NotStored::NoValidator));
    assert!(flags(&["CDN-Cache-Control: no-cache", FRESH, "ETag: \"a\""]).has(Flags::NO_CACHE));
    assert!(flags(&["CDN-Cache-Control: must-revalidate, max-age=1"]).has(Flags::NEVER_STALE));
    assert_eq!(
        got(200, &["CDN-Cache-Control: max-age=60, &", "Cache-Control: no-store"]),
        Err(NotStored::NoStore)
    );
    assert_eq!(got(200, &["CDN-Cache-Control: max-age=\"60\"", FRESH]), Err(NotStored::NoFreshness));
}

#[test]
fn rules_fill_in_what_the_answer_does_not_say() {
    let seconds = |n| Some(Duration::from_secs(n));
    let rules = CacheRules {
        default_ttl: seconds(10),
        stale_while_revalidate: seconds(20),
        stale_if_error: seconds(30),
        ..CacheRules::default()
    };
    let of = |line: &str| {
        let facts = ruled(&[line], &rules).unwrap();
        (facts.lifetime, facts.stale_while_revalidate, facts.stale_if_error)
    };
    assert_eq!(of("X: y"), (10, 20, 30));
    assert_eq!(of("Cache-Control: max-age=1"), (1, 20, 30));
    assert_eq!(of("Cache-Control: max-age=1, stale-while-revalidate=2"), (1, 2, 30));
    assert_eq!(of("Cache-Control: max-age=1, stale-if-error=0"), (1, 20, 0));
    assert_eq!(of("Cache-Control: max-age=1, stale-while-revalidate=x"), (1, 0, 30));
    assert_eq!(of("Cache-Control: max-age=1, must-revalidate"), (1, 0, 0));
    assert_eq!(of("Cache-Control: max-age=1, proxy-revalidate"), (1, 0, 0));
    assert_eq!(of("Cache-Control: s-maxage=1"), (1, 0, 0));
    assert!(ruled(&["X: y"], &rules).unwrap().flags.has(Flags::GUESSED));
    assert!(!ruled(&[FRESH], &rules).unwrap().flags.has(Flags::GUESSED));
}

#[test]
fn the_answer_itself_may_lift_what_s_maxage_forbids_but_not_must_revalidate() {
    let of = |line: &str| {
        let facts =
            got(200, &[&format!("Cache-Control: {line}, stale-while-revalidate=2, stale-if-error=3")])
                .unwrap();
        (facts.stale_while_revalidate, facts.stale_if_error, facts.flags.has(Flags::NEVER_STALE))
    };
    assert_eq!(of("s-maxage=1"), (2, 3, true));
    assert_eq!(of("max-age=1"), (2, 3, false));
    assert_eq!(of("s-maxage=1, must-revalidate"), (0, 0, true));
    assert_eq!(of("max-age=1, proxy-revalidate"), (0, 0, true));
}

#[test]
fn a_post_is_stored_if_it_says_that_it_is_what_a_get_would_give() {
    let stored = |target: &str, status, lines: &[&str]| {
        let asked = asking("POST", target, &["Content-Length: 0"]);
        judge(&asked, &answer(status, lines), &CacheRules::default(), AT_ONCE).is_ok()
    };
    let at = |target: &str, location: &str| {
        stored(target, 200, &[FRESH, &format!("Content-Location: {location}")])
    };
    for same in [
        "/dir/page?q=1",
        "",
        "?q=1",
        "page?q=1",
        "http://EXAMPLE.com/dir/page?q=1",
        "//example.com/dir/page?q=1",
    ] {
        assert!(at("/dir/page?q=1", same), "{same}");
    }
    assert!(at("/", "http://example.com") && at("/", "/") && at("/page", "page"));
    for other in [
        "/dir/page",
        "/dir/page?q=2",
        "?q=2",
        "page",
        "./page?q=1",
        "../dir/page?q=1",
        "/dir/page?q=1#x",
        "http://example.com:81/dir/page?q=1",
        "http://example.org/dir/page?q=1",
        "http://example.com",
        "ftp://example.com/dir/page?q=1",
        "/x",
    ] {
        assert!(!at("/dir/page?q=1", other), "{other}");
    }
    let here = "Content-Location: /p";
    assert!(stored("/p", 200, &[FRESH, here]) && stored("/p", 200, &[&dated("Expires", 9), here]));
    assert!(!stored("/p", 200, &[FRESH]), "it doesn't say what it is");
    assert!(!stored("/p", 201, &[FRESH, here]) && !stored("/p", 404, &[FRESH, here]));
    assert!(!stored("/p", 200, &[&dated("Last-Modified", -100_000), here]), "guesses aren't for POST");
    assert!(!stored("/p", 200, &["Cache-Control: no-store, max-age=9", here]));
}

#[test]
fn every_reason_has_a_token_of_its_own() {
    use NotStored::*;
    let all = [
        Method,
        RequestNoStore,
        NoStore,
        Private,
        Authorization,
        Status,
        MustUnderstand,
        NoFreshness,
        NoValidator,
        VaryStar,
        Partial,
        TooLarge,
        SetCookie,
    ];
    let tokens: std::collections::HashSet<&str> = all.iter().map(NotStored::detail).collect();
    assert_eq!(tokens.len(), all.len());
    assert!(tokens.iter().all(|token| wire::token::is_token(token.as_bytes())));
}

proptest! {
    #[test]
    fn nothing_forbidden_is_ever_stored(
        lines in prop::collection::vec(prop_oneof![
            Just("Cache-Control: max-age=60"), Just("Cache-Control: public"), Just("Cache-Control: s-maxage=9"),
            Just("Cache-Control: must-revalidate"), Just("Cache-Control: stale-if-error=9"), Just("ETag: \"a\""),
            Just("Cache-Control: no-cache=\"x\""), Just("Set-Cookie: a=b"), Just("Expires: 0"), Just("Vary: foo"),
            Just("Content-Range: bytes 0-1/2"), Just("Cache-Control: private=\"y\""),
        ], 0..8),
        forbidding in prop_oneof![
            Just("Cache-Control: no-store"), Just("Cache-Control: private"), Just("Vary: *"),
            Just("CDN-Cache-Control: no-store, max-age=9"), Just("CDN-Cache-Control: private"),
        ],
        at in 0usize..8, status in 100u16..1000, credentials: bool,
    ) {
        let asked = request("GET", if credentials { &["Authorization: x"] } else { &[] });
        let mut lines = lines;
        let leave = ["public", "must-revalidate", "s-maxage"];
        let permitted = lines.iter().any(|line| leave.iter().any(|word| line.contains(word)));
        let plain = judge(&asked, &answer(status, &lines), &CacheRules::default(), AT_ONCE);
        prop_assert!(!credentials || permitted || plain.is_err());
        if let Ok(facts) = plain {
            prop_assert!((200..1000).contains(&facts.status) && facts.status != 206 && facts.status != 304);
        }
        lines.insert(at.min(lines.len()), forbidding);
        prop_assert!(judge(&asked, &answer(status, &lines), &CacheRules::default(), AT_ONCE).is_err());
    }
}
