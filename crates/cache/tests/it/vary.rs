//! Tests of `vary`: RFC 9111 §4.1.

use cache::vary::{Star, fits, same, variant};
use proptest::prelude::*;
use wire::{Fields, Limits, RequestHead};

use crate::heads::fields;

/// The variant that an answer with these fields is, to a request with those.
fn stored(answer: &[(&str, &str)], request: &[(&str, &str)]) -> Result<Vec<u8>, Star> {
    let mut out = b"left over".to_vec();
    variant(&mut out, b"", &fields(answer), &fields(request)).map(|()| out)
}

/// Does what was stored for one request with `Vary: name` fit another one?
fn shares(name: &str, one: &[&str], other: &[&str]) -> bool {
    let of = |values: &[&str]| fields(&values.iter().map(|value| (name, *value)).collect::<Vec<_>>());
    let fits_other = |a: &[&str], b: &[&str]| {
        let mut out = Vec::new();
        variant(&mut out, b"", &fields(&[("Vary", name)]), &of(a)).unwrap();
        fits(&out, b"", &of(b))
    };
    assert_eq!(fits_other(one, other), fits_other(other, one));
    fits_other(one, other)
}

#[test]
fn an_answer_without_vary_fits_every_request() {
    let plain = stored(&[], &[("Foo", "1")]).unwrap();
    assert!(plain.is_empty());
    assert!(fits(&plain, b"", &fields(&[("Foo", "2")])));
    assert!(stored(&[("Vary", ""), ("Vary", " , ")], &[]).unwrap().is_empty());
}

#[test]
fn a_star_fits_no_request_wherever_it_stands() {
    for lines in
        [&["*"][..], &["*, *"], &["*", "*"], &[", *"], &["", "*"], &["*, Foo"], &["Foo, *"], &["Foo", "*"]]
    {
        let answer: Vec<_> = lines.iter().map(|line| ("Vary", *line)).collect();
        assert_eq!(stored(&answer, &[("Foo", "1")]), Err(Star), "{lines:?}");
    }
}

#[test]
fn what_is_no_name_fits_no_request() {
    assert_eq!(stored(&[("Vary", "Foo Bar")], &[]), Err(Star));
    assert_eq!(stored(&[("Vary", "Foo:")], &[]), Err(Star));
    assert_eq!(stored(&[("Vary", "\"Foo\"")], &[]), Err(Star));
    let names: Vec<String> = (0..33).map(|i| format!("F{i}")).collect();
    assert_eq!(stored(&[("Vary", &names.join(","))], &[]), Err(Star));
    assert!(stored(&[("Vary", &names[..32].join(","))], &[]).is_ok());
}

#[test]
fn names_are_compared_without_case_order_lines_and_repetition() {
    let request = [("Foo", "1"), ("Bar", "abc"), ("Baz", "789")];
    let one = stored(&[("Vary", "Foo, Bar, Baz")], &request).unwrap();
    assert_eq!(one, b"bar:abc\nbaz:789\nfoo:1\n");
    assert_eq!(stored(&[("Vary", "baz,,BAR"), ("vary", "foo,Foo")], &request).unwrap(), one);
    assert!(fits(&one, b"", &fields(&[("BAZ", "789"), ("FOO", "1"), ("bar", "abc"), ("Other", "2")])));
    for (name, value) in [("Foo", "2"), ("Bar", "abcde"), ("Baz", "")] {
        let mut changed = fields(&request);
        changed.set(name.as_bytes(), value.as_bytes());
        assert!(!fits(&one, b"", &changed), "{name}");
        changed.remove_named(name.as_bytes());
        assert!(!fits(&one, b"", &changed), "{name}");
    }
}

#[test]
fn a_missing_field_only_fits_a_missing_one() {
    let without = stored(&[("Vary", "Foo")], &[]).unwrap();
    assert!(fits(&without, b"", &fields(&[])));
    assert!(!fits(&without, b"", &fields(&[("Foo", "1")])));
    assert!(!fits(&without, b"", &fields(&[("Foo", "")])));
    assert!(!shares("Accept-Encoding", &[], &["identity"]));
}

#[test]
fn unknown_fields_are_joined_and_lose_white_space_around_members() {
    assert!(shares("Foo", &["1, 2"], &["1", "2"]));
    assert!(shares("Foo", &["1,2"], &[" 1,\t2 "]));
    assert!(shares("Foo", &["1,2"], &["1,,2,"]));
    assert!(!shares("Foo", &["1,2"], &["2,1"]));
    assert!(!shares("Foo", &["a"], &["A"]));
    assert!(!shares("Foo", &["1 2"], &["1  2"]));
}

#[test]
fn quoted_strings_are_left_alone() {
    assert!(!shares("Foo", &["\"a, b\""], &["\"a,b\""]));
    assert!(!shares("Foo", &["\"a\\\", b\""], &["\"a\\\",b\""]));
    assert!(shares("Foo", &["\"a, b\" , c"], &["\"a, b\",c"]));
}

#[test]
fn fields_that_are_no_lists_are_compared_as_they_stand() {
    for name in ["Cookie", "User-Agent", "Authorization", "Referer"] {
        assert!(!shares(name, &["a=1, b"], &["a=1,b"]), "{name}");
        assert!(shares(name, &["a=1, b"], &["a=1, b"]), "{name}");
    }
}

#[test]
fn languages_are_compared_without_case_white_space_order_and_way_of_writing_weights() {
    let name = "Accept-Language";
    assert!(shares(name, &["en, de"], &["de, en"]));
    assert!(shares(name, &["en, de"], &["eN, De"]));
    assert!(shares(name, &["en, de"], &[" en ,   de"]));
    assert!(shares(name, &["en, de"], &["de", "en"]));
    assert!(shares(name, &["en;q=0.50, de"], &["de;q=1.000,en ; Q=0.5"]));
    assert!(shares(name, &["en, en"], &["en"]));
    assert!(!shares(name, &["en, de;q=0.9"], &["de, en;q=0.9"]));
    assert!(!shares(name, &["en, de;q=0"], &["en"]));
    assert!(!shares(name, &["en"], &["en-GB"]));
}

#[test]
fn media_types_keep_the_case_of_their_parameters_values() {
    assert!(shares("Accept", &["text/html, */*;q=0.8"], &["*/*;q=0.80,TEXT/HTML"]));
    assert!(shares("Accept", &["text/html;Level=1"], &["text/html ; level=1"]));
    assert!(!shares("Accept", &["text/html;level=a"], &["text/html;level=A"]));
    assert!(!shares("Accept", &["text/html;level=1"], &["text/html"]));
}

#[test]
fn weights_that_cant_be_read_are_compared_as_they_stand() {
    for odd in ["en;q=x", "en;q=2", "en;q=0.1234", "en;q=1.001", "en;q", "en;q=-1", "en;q=.5", "en;v=\"a,b\""]
    {
        assert!(shares("Accept-Language", &[odd], &[odd]), "{odd}");
        assert!(!shares("Accept-Language", &[odd], &["en"]), "{odd}");
        assert!(!shares("Accept-Language", &[odd], &["en;q=0.5"]), "{odd}");
    }
    let long = |mut members: Vec<String>| {
        members.push("zz;q=0.1".into());
        members.join(",")
    };
    let forwards: Vec<String> = (0..64).map(|i| format!("l{i}")).collect();
    let backwards: Vec<String> = forwards.iter().rev().cloned().collect();
    let (forwards, backwards) = (long(forwards), long(backwards));
    assert!(shares("Accept-Language", &[&forwards], &[&forwards]));
    assert!(!shares("Accept-Language", &[&forwards], &[&backwards]));
}

#[test]
fn codings_are_a_set() {
    let name = "Accept-Encoding";
    assert!(shares(name, &["gzip, deflate, br, zstd"], &["deflate, gzip, br, zstd"]));
    assert!(shares(name, &["gzip, br"], &["BR;q=0.5 , gzip;q=1"]));
    assert!(shares(name, &["gzip"], &["x-gzip, identity;q=0.1"]));
    assert!(shares(name, &["gzip, br;q=0"], &["gzip"]));
    assert!(shares(name, &[""], &["identity"]));
    assert!(!shares(name, &["gzip, br"], &["gzip"]));
    assert!(!shares(name, &["*, br;q=0"], &["*"]));
    assert!(!shares(name, &["gzip, identity;q=0"], &["gzip"]));
    assert!(!shares(name, &["gzip, *;q=0"], &["gzip"]));
    assert!(!shares(name, &["gzip;q=0.x"], &["gzip"]));
}

#[test]
fn the_language_wanted_most_is_reused_whatever_else_was_asked() {
    let answer = [("Vary", "Accept-Language"), ("Content-Language", "de")];
    let german = stored(&answer, &[("Accept-Language", "en, de")]).unwrap();
    let wants = |accepts: &str| fits(&german, b"", &fields(&[("Accept-Language", accepts)]));
    assert!(wants("fr;q=0.5, de;q=1.0"));
    assert!(wants("DE, en;q=0.9, *;q=0.1"));
    assert!(wants("de, DE"));
    assert!(wants("de, en")); // as it was asked
    assert!(!wants("fr, de;q=0.9"));
    assert!(!wants("de, fr"));
    assert!(!wants("de-AT, en;q=0.5"));
    assert!(!wants("*"));
    assert!(!wants("de;q=0"));
    assert!(!wants("de;q=9"));
    assert!(!wants(""));
    assert!(!fits(&german, b"", &fields(&[])));
}

#[test]
fn an_answer_in_several_languages_or_by_more_than_language_is_not_shared_so() {
    let wants = |answer: &[(&str, &str)], asked: &[(&str, &str)]| {
        let out = stored(answer, &[("Accept-Language", "en, de"), ("Foo", "1")]).unwrap();
        fits(&out, b"", &fields(asked))
    };
    let vary = ("Vary", "Accept-Language");
    assert!(!wants(&[vary, ("Content-Language", "de, en")], &[("Accept-Language", "de")]));
    assert!(!wants(
        &[vary, ("Content-Language", "de"), ("Content-Language", "en")],
        &[("Accept-Language", "de")]
    ));
    let more = [("Vary", "Accept-Language, Foo"), ("Content-Language", "de")];
    assert!(wants(&more, &[("Accept-Language", "de"), ("Foo", "1")]));
    assert!(!wants(&more, &[("Accept-Language", "de"), ("Foo", "2")]));
}

#[test]
fn answers_to_one_request_are_the_same_variant_whatever_language_they_chose() {
    let asked = [("Accept-Language", "en, de")];
    let vary = ("Vary", "Accept-Language");
    let german = stored(&[vary, ("Content-Language", "de")], &asked).unwrap();
    let english = stored(&[vary, ("Content-Language", "en")], &asked).unwrap();
    let none = stored(&[vary], &asked).unwrap();
    assert_ne!(german, english);
    assert!(same(&german, &english) && same(&german, &none) && same(b"", b""));
    assert!(!same(&german, b""));
    assert!(!same(&none, &stored(&[vary], &[("Accept-Language", "en")]).unwrap()));
    assert!(!same(b"a:1\n", b"a:1\nb:2\n"));
}

#[test]
fn the_routes_own_key_must_be_the_same() {
    let mut out = Vec::new();
    variant(&mut out, b";device=tv\n", &fields(&[("Vary", "Foo")]), &fields(&[("Foo", "1")])).unwrap();
    assert!(fits(&out, b";device=tv\n", &fields(&[("Foo", "1")])));
    assert!(!fits(&out, b";device=pc\n", &fields(&[("Foo", "1")])));
    assert!(!fits(&out, b";device=tv\n", &fields(&[("Foo", "2")])));
    // After a reload without that key: nobody knows which cookie the request would have needed.
    assert!(!fits(&out, b"", &fields(&[("Foo", "1")])));
    assert!(!fits(b"foo:1", b"", &fields(&[("Foo", "1")])), "a line that is cut off");
}

const NAMES: [&str; 7] =
    ["foo", "accept", "accept-language", "accept-encoding", "accept-charset", "cookie", "user-agent"];

/// Bytes that a field's value may hold, those more often that mean something.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        8 => prop::sample::select(b" ,;=q01.\"\\*aAz-/\t".to_vec()),
        1 => any::<u8>().prop_filter("no control byte", |b| *b >= 0x20 && *b != 0x7f),
    ];
    prop::collection::vec(byte, 0..40).prop_map(|bytes| wire::token::trim(&bytes).to_vec())
}

fn some_fields() -> impl Strategy<Value = Fields> {
    prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..6).prop_map(|all| {
        let mut fields = Fields::default();
        for (name, value) in &all {
            fields.push(name.as_bytes(), value);
        }
        fields
    })
}

proptest! {
    #[test]
    fn an_answer_fits_its_own_request(request in some_fields(), names in prop::sample::subsequence(&NAMES[..], 0..7)) {
        let mut out = Vec::new();
        let answer = fields(&[("Vary", &names.join(",")), ("Content-Language", "de")]);
        variant(&mut out, b"", &answer, &request).unwrap();
        prop_assert!(fits(&out, b"", &request));
        prop_assert!(same(&out, &out));
    }

    #[test]
    fn fitting_without_a_language_is_having_the_same_variant(one in some_fields(), other in some_fields()) {
        let answer = fields(&[("Vary", &NAMES.join(","))]);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        variant(&mut first, b"", &answer, &one).unwrap();
        variant(&mut second, b"", &answer, &other).unwrap();
        prop_assert_eq!(fits(&first, b"", &other), first == second);
    }

    #[test]
    fn the_order_of_a_weighted_list_means_nothing(
        (members, shuffled) in prop::collection::vec("[a-c]{1,2}(;q=(0(\\.[0-9]{1,3})?|1))?", 1..6)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        for name in ["Accept", "Accept-Language", "Accept-Charset", "Accept-Encoding"] {
            prop_assert!(shares(name, &[&members.join(", ")], &[&shuffled.join(",")]));
        }
    }

    #[test]
    fn other_weights_are_another_wish(tag in "[a-c]{1,3}", one in 0u16..=1000, other in 0u16..=1000) {
        let member = |w: u16| if w == 1000 { tag.clone() } else { format!("{tag};q=0.{w:03}") };
        prop_assert_eq!(shares("Accept-Language", &[&member(one)], &[&member(other)]), one == other);
    }

    #[test]
    fn any_bytes_are_taken(variant in prop::collection::vec(any::<u8>(), 0..60), rule in prop::collection::vec(any::<u8>(), 0..3), request in some_fields()) {
        fits(&variant, &rule, &request);
        same(&variant, &rule);
    }

    #[test]
    fn any_head_has_a_variant_or_none(block in prop::collection::vec(prop::sample::select(b"Vary:*,a -\"\r\n\x80Accept".to_vec()), 0..80)) {
        let text = [&b"GET / HTTP/1.1\r\nHost: a\r\n"[..], &block, b"\r\n\r\n"].concat();
        let mut head = RequestHead::default();
        if let Ok(Some(_)) = head.read(&text, Limits { bytes: 4096, fields: 50 }) {
            let mut out = Vec::new();
            if variant(&mut out, b"", &head.fields, &head.fields).is_ok() {
                prop_assert!(fits(&out, b"", &head.fields));
            }
        }
    }
}
