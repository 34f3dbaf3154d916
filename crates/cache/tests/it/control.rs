//! What directives mean: in requests, in answers, and in fields for CDNs.

use cache::control::{AnswerControl, RequestControl, of_answer, of_request};
use proptest::prelude::*;
use wire::Fields;

/// A list of fields from `name: value` lines.
pub fn fields(lines: &[&str]) -> Fields {
    let mut fields = Fields::default();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        fields.push(name.as_bytes(), value.trim_matches([' ', '\t']).as_bytes());
    }
    fields
}

fn request(lines: &[&str]) -> RequestControl {
    of_request(&fields(lines))
}

/// What an answer with these lines of `Cache-Control` says.
fn answer(lines: &[&str]) -> AnswerControl {
    let mut all = Fields::default();
    for line in lines {
        all.push(b"Cache-Control", line.as_bytes());
    }
    of_answer(&all)
}

/// What an answer with these lines of `CDN-Cache-Control` says, and `Cache-Control: no-store`.
fn targeted(lines: &[&str]) -> AnswerControl {
    let mut all = fields(&["Cache-Control: no-store", "Expires: 0"]);
    for line in lines {
        all.push(b"CDN-Cache-Control", line.as_bytes());
    }
    of_answer(&all)
}

fn max_age(line: &str) -> Option<u32> {
    answer(&[line]).max_age
}

fn names(list: &[Box<[u8]>]) -> Vec<&str> {
    list.iter().map(|name| std::str::from_utf8(name).unwrap()).collect()
}

#[test]
fn a_request_says_each_of_its_wishes() {
    assert_eq!(request(&[]), RequestControl::default());
    let said = request(&[
        "Cache-Control: No-Cache, no-store ,only-if-cached, max-age=5",
        "cache-control: min-fresh=6, max-stale=7, stale-if-error=8, no-transform, unknown=9",
    ]);
    let all = RequestControl {
        no_cache: true,
        no_store: true,
        only_if_cached: true,
        max_age: Some(5),
        min_fresh: Some(6),
        max_stale: Some(7),
        stale_if_error: Some(8),
    };
    assert_eq!(said, all);
}

#[test]
fn max_stale_without_a_number_takes_any() {
    assert_eq!(request(&["Cache-Control: max-stale"]).max_stale, Some(u32::MAX));
    assert_eq!(request(&["Cache-Control: max-stale, max-stale=3"]).max_stale, Some(3));
    assert_eq!(request(&["Cache-Control: max-stale=x"]).max_stale, Some(0));
    assert_eq!(request(&["Cache-Control: max-stale="]).max_stale, Some(0));
}

#[test]
fn wishes_that_are_said_twice_or_badly_ask_for_the_most() {
    let said = request(&["Cache-Control: max-age=5, max-age=3, min-fresh=1, min-fresh=9"]);
    assert_eq!((said.max_age, said.min_fresh), (Some(3), Some(9)));
    let said = request(&["Cache-Control: max-age=five, stale-if-error=-1"]);
    assert_eq!((said.max_age, said.stale_if_error), (Some(0), Some(0)));
}

#[test]
fn pragma_counts_in_requests_without_cache_control() {
    assert!(request(&["Pragma: no-cache"]).no_cache);
    assert!(request(&["Pragma: x=y, No-Cache"]).no_cache);
    assert!(!request(&["Pragma: unknown"]).no_cache);
    assert!(!request(&["Pragma: no-cache", "Cache-Control: max-age=5"]).no_cache);
    assert!(!of_answer(&fields(&["Pragma: no-cache"])).no_cache);
}

#[test]
fn an_answer_says_each_of_its_directives() {
    let said = answer(&[
        "no-store, no-cache, private, public, must-revalidate, proxy-revalidate, must-understand",
        "s-maxage=1, max-age=2, stale-while-revalidate=3, stale-if-error=4",
        "immutable, no-transform, unknown, unknown=1, unknown=\"no, directive\"",
    ]);
    let all = AnswerControl {
        no_store: true,
        no_cache: true,
        private: true,
        public: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        s_maxage: Some(1),
        max_age: Some(2),
        stale_while_revalidate: Some(3),
        stale_if_error: Some(4),
        ..AnswerControl::default()
    };
    assert_eq!(said, all);
    assert_eq!(answer(&[]), AnswerControl::default());
}

#[test]
fn unknown_directives_say_nothing() {
    let said = answer(&["foobar, community=\"UCI\", max-age=3600, x=1, max-ages=1, smax-age=2, xno-store"]);
    assert_eq!(said, AnswerControl { max_age: Some(3600), ..AnswerControl::default() });
}

#[test]
fn a_number_may_be_quoted_padded_and_large() {
    assert_eq!(max_age("max-age=3600"), Some(3600));
    assert_eq!(max_age("MaX-aGe=3600"), Some(3600));
    assert_eq!(max_age("max-age=\"3600\""), Some(3600));
    assert_eq!(max_age(r#"max-age="36\0\0""#), Some(3600));
    assert_eq!(max_age("max-age=003600"), Some(3600));
    assert_eq!(max_age("max-age=2147483648"), Some(1 << 31));
    for large in ["4294967295", "4294967296", "99999999999", "999999999999999999999999999999999999"] {
        assert_eq!(max_age(&format!("max-age={large}")), Some(u32::MAX));
    }
    assert_eq!(max_age(", ,max-age=1\t ,,"), Some(1));
}

#[test]
fn a_number_that_is_none_is_stale() {
    for value in [
        "",
        "=",
        "=-3600",
        "=+3600",
        "='3600'",
        "=3600.0",
        "=3600.5",
        "=a3600",
        "=3600a",
        "= 3600",
        " =3600",
        " = 3600",
        "=3600 3600",
        "=3600;",
        "=3600; public",
        "=\"\"",
        "=\" 3600\"",
        "=\"3600",
        "=\"3600\"x",
        "=\"3600\\\"",
        "=0x10",
        "=1e3",
        "=٣",
        ":3600",
    ] {
        assert_eq!(max_age(&format!("max-age{value}")), Some(0), "max-age{value}");
        assert_eq!(answer(&[&format!("max-age=9, s-maxage{value}")]).s_maxage, Some(0), "s-maxage{value}");
    }
}

#[test]
fn of_several_numbers_the_smallest_counts() {
    assert_eq!(max_age("max-age=1800, max-age=1"), Some(1));
    assert_eq!(max_age("max-age=1, max-age=1800"), Some(1));
    assert_eq!(answer(&["max-age=1800", "max-age=1"]).max_age, Some(1));
    assert_eq!(answer(&["max-age=1", "max-age=1800"]).max_age, Some(1));
    assert_eq!(max_age("max-age=1800, max-age=x"), Some(0));
    let said = answer(&["stale-while-revalidate=9, stale-while-revalidate=3, stale-if-error=2"]);
    assert_eq!((said.stale_while_revalidate, said.stale_if_error), (Some(3), Some(2)));
}

#[test]
fn what_stands_in_quotes_is_no_directive() {
    for line in [
        "extension=\"max-age=3600\", max-age=1",
        "max-age=1, extension=\"max-age=3600\"",
        "extension=\"max-age=3600\", max-age=\"1\"",
        r#"extension="\", max-age=0, \\", max-age=1"#,
        "extension=\"no-store, private\", max-age=1",
    ] {
        assert_eq!(answer(&[line]), AnswerControl { max_age: Some(1), ..AnswerControl::default() }, "{line}");
    }
}

#[test]
fn after_quotes_that_never_close_what_restricts_counts_and_what_permits_does_not() {
    let said = answer(&["extension=\"oops, max-age=3600, public, no-store"]);
    assert_eq!(said, AnswerControl { max_age: Some(0), no_store: true, ..AnswerControl::default() });
    assert_eq!(answer(&["x=\"oops", "max-age=5"]).max_age, Some(5), "another line is sound");
}

#[test]
fn other_separators_hide_nothing_that_restricts() {
    assert!(answer(&["no-store; max-age=9"]).no_store);
    assert!(answer(&["no-store max-age=9"]).no_store);
    assert!(answer(&["private;max-age=9"]).private);
    assert!(answer(&["\"quoted\", no-cache"]).no_cache);
    assert!(answer(&["=, @, no-cache"]).no_cache);
    assert!(!answer(&["public; max-age=9"]).public);
}

#[test]
fn an_argument_where_none_belongs_loosens_nothing() {
    let said = answer(&["no-store=x, must-revalidate=0, proxy-revalidate=\"\", must-understand=1, public=1"]);
    assert!(said.no_store && said.must_revalidate && said.proxy_revalidate && said.must_understand);
    assert!(!said.public);
    assert!(request(&["Cache-Control: no-cache=x, no-store=y"]).no_cache);
}

#[test]
fn no_cache_and_private_may_name_fields() {
    let said = answer(&["no-cache=\"Set-Cookie , x-a\", private=X-B", "no-cache=x-c, max-age=1"]);
    assert!(!said.no_cache && !said.private);
    assert_eq!(names(&said.no_cache_fields), ["Set-Cookie", "x-a", "x-c"]);
    assert_eq!(names(&said.private_fields), ["X-B"]);
    assert!(said.withholds(b"set-cookie") && said.withholds(b"X-A") && said.withholds(b"x-b"));
    assert!(!said.withholds(b"x-d"));
}

#[test]
fn no_cache_and_private_without_good_names_speak_of_the_whole_answer() {
    for argument in ["=\"\"", "=", "=\" , \"", "=\"a b\"", "=\"a\"b", "=\"a", "= a", "=(a)"] {
        let said = answer(&[&format!("no-cache{argument}"), &format!("private{argument}")]);
        assert!(said.no_cache && said.private, "{argument}");
        assert!(said.no_cache_fields.is_empty() && said.private_fields.is_empty(), "{argument}");
    }
    let said = answer(&["no-cache=\"a\", no-cache, private, private=\"b\""]);
    assert!(said.no_cache && said.private);
}

#[test]
fn a_targeted_field_alone_governs() {
    let said = targeted(&["max-age=600"]);
    assert_eq!(said, AnswerControl { max_age: Some(600), targeted: true, ..AnswerControl::default() });
    let said = targeted(&["no-store, no-cache, private, public, must-revalidate, proxy-revalidate"]);
    assert!(said.no_store && said.no_cache && said.private && said.public);
    assert!(said.must_revalidate && said.proxy_revalidate && said.targeted);
    let said = targeted(&["s-maxage=1, stale-while-revalidate=2, stale-if-error=3, must-understand"]);
    assert_eq!(
        (said.s_maxage, said.stale_while_revalidate, said.stale_if_error),
        (Some(1), Some(2), Some(3))
    );
    assert!(said.must_understand);
    assert!(!targeted(&["none"]).no_store, "an unknown directive is a valid field too");
}

#[test]
fn a_targeted_field_that_is_empty_or_no_dictionary_is_not_there() {
    for value in [
        "",
        "  ",
        ",",
        "max-age=600,",
        "max-age=600, ",
        "max-age=600, &&&&&",
        "max-age =600",
        "max-age= 600",
        "max-age=",
        "MaX-aGe=600",
        "max-age=600;",
        "max-age=600; Q",
        "max-age=600 x",
        "max-age=1234567890123456",
        "max-age=1.2345",
        "max-age=1.",
        "max-age=--1",
        "max-age=-",
        "max-age='600'",
        "max-age=\"600",
        "max-age=\"6\\00\"",
        "max-age=600, x=\"é\"",
        "x=?2",
        "x=:a:",
        "x=:a=b:",
        "x=:YWI",
        "x=(1 2",
        "x=(1\"a\")",
        "x=@1.5",
        "x=%\"%FF\"",
        "x=%\"%ff\"",
        "x=%plain",
        "1=2",
        "-a",
    ] {
        let said = targeted(&[value]);
        assert_eq!(said, AnswerControl { no_store: true, ..AnswerControl::default() }, "{value:?}");
    }
}

#[test]
fn a_targeted_field_may_hold_all_that_a_dictionary_may() {
    for value in [
        "max-age=600;a;b=1;c=\"x, no-store\"",
        "max-age=600 ,\tx=(1 a \"b\";q=1.5 :YWI=: ?0);p",
        "max-age=600, *x=?1, x.y-z_*=token/a:b, d=-12.345, e=()",
        "max-age=600, at=@-1659578233, text=%\"f%c3%bc\", bytes=:YWI:, none=::",
        " max-age=600 ",
        "max-age=1, max-age=600",
    ] {
        let said = targeted(&[value]);
        assert_eq!((said.targeted, said.max_age, said.no_store), (true, Some(600), false), "{value}");
    }
    assert_eq!(targeted(&["x=\"a", "b\", max-age=600"]).max_age, Some(600), "lines make one field");
    assert!(!targeted(&["max-age=600", ""]).targeted, "and an empty one leaves a comma at its end");
}

#[test]
fn a_targeted_value_of_another_type_is_the_strictest() {
    for value in ["\"600\"", "600.0", "?1", "?0", "-600", "a", ":YWI=:", "(600)", "@600"] {
        assert_eq!(targeted(&[&format!("max-age={value}")]).max_age, Some(0), "{value}");
    }
    assert_eq!(targeted(&["max-age"]).max_age, Some(0));
    assert_eq!(targeted(&["max-age=999999999999999"]).max_age, Some(u32::MAX));
    let said = targeted(&["no-store=1, no-cache=2, private=(\"a\"), must-revalidate=\"x\", public=1"]);
    assert!(said.no_store && said.no_cache && said.private && said.must_revalidate && !said.public);
    let said = targeted(&["no-store=?0, no-cache=?0, private=?0, must-revalidate=?0, public=?0"]);
    assert_eq!(said, AnswerControl { targeted: true, ..AnswerControl::default() });
}

#[test]
fn the_last_of_a_targeted_key_counts() {
    let said = targeted(&[
        "no-store, max-age=1, no-cache=\"a\", private",
        "no-store=?0, max-age=9, no-cache=\"b, c\"",
    ]);
    assert_eq!((said.no_store, said.no_cache, said.private, said.max_age), (false, false, true, Some(9)));
    assert_eq!(names(&said.no_cache_fields), ["b", "c"]);
    let said = targeted(&["no-cache=\"a\", no-cache"]);
    assert!(said.no_cache && said.no_cache_fields.is_empty());
}

/// Directives that say something, some of them badly.
fn directive() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("no-store".to_string()),
        Just("no-cache".to_string()),
        Just("no-cache=\"set-cookie\"".to_string()),
        Just("private=\"x-a, x-b\"".to_string()),
        Just("public".to_string()),
        Just("must-revalidate".to_string()),
        Just("must-understand=x".to_string()),
        Just("ext=\"a, max-age=7, \\\" b\"".to_string()),
        Just("only-if-cached".to_string()),
        Just("max-stale".to_string()),
        "(max-age|s-maxage|stale-while-revalidate|stale-if-error|min-fresh|max-stale)=\"?[0-9x]{1,11}\"?",
    ]
}

/// The same with names sorted, since their order tells nothing.
fn sorted(mut control: AnswerControl) -> AnswerControl {
    control.no_cache_fields.sort();
    control.private_fields.sort();
    control
}

proptest! {
    #[test]
    fn the_order_of_directives_does_not_matter(
        (list, shuffled) in prop::collection::vec(directive(), 0..8)
            .prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
    ) {
        let closed = |d: &&String| d.matches('"').count().is_multiple_of(2) || d.contains('\\');
        let list: Vec<&str> = list.iter().filter(closed).map(String::as_str).collect();
        let shuffled: Vec<&str> = shuffled.iter().filter(closed).map(String::as_str).collect();
        let (one, other) = (list.join(","), shuffled.join(","));
        prop_assert_eq!(sorted(answer(&[&one])), sorted(answer(&[&other])));
        prop_assert_eq!(sorted(answer(&[&one])), sorted(answer(&shuffled)), "one line or several");
        let of = |line: &str| request(&[&format!("Cache-Control: {line}")]);
        prop_assert_eq!(of(&one), of(&other));
    }

    #[test]
    fn white_space_and_case_do_not_matter(
        list in prop::collection::vec((directive(), "[ \t]{0,2}", "[ \t]{0,2}"), 0..8),
    ) {
        let plain: Vec<&str> = list.iter().map(|(d, _, _)| d.as_str()).collect();
        let plain = plain.join(",");
        let spaced: Vec<String> = list.iter().map(|(d, a, b)| format!("{a}{d}{b}")).collect();
        let spaced = spaced.join(",");
        let spaced = spaced.trim();
        prop_assert_eq!(answer(&[&plain]), answer(&[spaced]));
        let quiet = |control: AnswerControl| AnswerControl {
            no_cache_fields: control.no_cache_fields.iter().map(|n| n.to_ascii_lowercase().into()).collect(),
            private_fields: control.private_fields.iter().map(|n| n.to_ascii_lowercase().into()).collect(),
            ..control
        };
        prop_assert_eq!(answer(&[&plain]), quiet(answer(&[&plain.to_uppercase()])));
    }

    #[test]
    fn any_value_is_read_without_panic(lines in prop::collection::vec("[ -~\t\u{80}-\u{ff}]{0,60}", 0..4)) {
        let mut all = Fields::default();
        for (at, line) in lines.iter().enumerate() {
            let name: &[u8] = if at % 2 == 0 { b"Cache-Control" } else { b"CDN-Cache-Control" };
            all.push(name, line.as_bytes());
        }
        of_request(&all);
        of_answer(&all);
    }

    #[test]
    fn any_likely_value_is_read_without_panic(line in "((no-cache|max-age|x)[=\"\\\\, ]{0,4}[a0?:@%(;)]{0,3}){0,6}") {
        let (one, other) = (answer(&[&line]), targeted(&[&line]));
        prop_assert!(!one.targeted);
        prop_assert!(other.targeted || other.no_store, "what isn't read leaves Cache-Control to govern");
    }

    #[test]
    fn no_store_is_found_whatever_stands_beside_it(
        before in "([a-z]{1,5}(=[a-z0-9]{0,3})?[,; ]{1,2}){0,4}", after in "[,; ][ -~]{0,20}",
    ) {
        // What stands before must end in a comma, or it is part of the directive before it.
        let line = format!("{before},no-store{after}");
        prop_assert!(answer(&[line.trim()]).no_store, "{line}");
    }
}
