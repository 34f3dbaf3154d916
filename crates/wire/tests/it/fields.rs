//! A list of fields behaves as a plain list of pairs does, whatever is done to it.

use proptest::prelude::*;
use wire::{Fields, Known, RequestHead};

use crate::LIMITS;
use crate::naive::{self, Pair};

#[derive(Debug, Clone)]
enum Edit {
    Push(Pair),
    Set(Pair),
    RemoveNamed(Vec<u8>),
    Remove(Known),
    Clear,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let names = ["Host", "via", "VIA", "Cookie", "cookie", "x-a", "X-A", "x-b", "Content-Length"];
    prop::sample::select(names.map(|n| n.as_bytes().to_vec()).to_vec())
}

fn field() -> impl Strategy<Value = Pair> {
    (name(), "([!-~]([ -~]{0,6}[!-~])?)?").prop_map(|(name, value)| (name, value.into_bytes()))
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => field().prop_map(Edit::Push),
        3 => field().prop_map(Edit::Set),
        3 => name().prop_map(Edit::RemoveNamed),
        3 => prop::sample::select(vec![Known::Host, Known::Via, Known::Cookie, Known::Range]).prop_map(Edit::Remove),
        1 => Just(Edit::Clear),
    ]
}

fn apply(fields: &mut Fields, model: &mut Vec<Pair>, edit: Edit) {
    match edit {
        Edit::Push((name, value)) => {
            fields.push(&name, &value);
            model.push((name, value));
        }
        Edit::Set((name, value)) => {
            fields.set(&name, &value);
            model.retain(|p| !p.0.eq_ignore_ascii_case(&name));
            model.push((name, value));
        }
        Edit::RemoveNamed(name) => {
            fields.remove_named(&name);
            model.retain(|p| !p.0.eq_ignore_ascii_case(&name));
        }
        Edit::Remove(known) => {
            let before = model.len();
            model.retain(|p| Known::of(&p.0) != known);
            assert_eq!(fields.remove(known), before != model.len());
        }
        Edit::Clear => {
            fields.clear();
            model.clear();
        }
    }
}

/// A head with these fields, each with its own white space around the value.
fn head(pairs: &[(Pair, &str, &str)]) -> RequestHead {
    let mut text = b"GET / HTTP/1.0\r\n".to_vec();
    for ((name, value), before, behind) in pairs {
        text.extend([name, &b":"[..], before.as_bytes(), value, behind.as_bytes(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    let mut head = RequestHead::default();
    assert_eq!(head.read(&text, LIMITS), Ok(Some(text.len())), "{}", text.escape_ascii());
    head
}

fn pairs(fields: &Fields) -> Vec<Pair> {
    fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect()
}

/// What `write_to` wrote, read by the simple reader.
fn written(fields: &Fields, skip: impl FnMut(wire::Field<'_>) -> bool) -> Vec<Pair> {
    let mut out = b"GET / HTTP/1.1\r\n".to_vec();
    fields.write_to(&mut out, skip);
    out.extend_from_slice(b"\r\n");
    naive::head(&out).expect("plain lines").1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn as_a_list_of_pairs(
        start in prop::collection::vec(
            (field(), prop::sample::select(vec!["", " ", "\t", "  "]), prop::sample::select(vec!["", " ", " \t"])),
            0..8,
        ),
        edits in prop::collection::vec(edit(), 0..12),
        skipped in name(),
    ) {
        // A head may name a host only once, and this list's values aren't hosts.
        let start: Vec<_> = start.into_iter().filter(|((name, _), ..)| Known::of(name) != Known::Host).collect();
        let mut fields = head(&start).fields;
        let mut model: Vec<Pair> = start.into_iter().map(|(pair, ..)| pair).collect();
        prop_assert_eq!(pairs(&fields), &model[..]);
        for edit in edits {
            apply(&mut fields, &mut model, edit);
            prop_assert_eq!(pairs(&fields), &model[..]);
            prop_assert_eq!((fields.len(), fields.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(written(&fields, |_| false), &model[..]);
            let named = |p: &&Pair| p.0.eq_ignore_ascii_case(&skipped);
            prop_assert_eq!(fields.get_named(&skipped), model.iter().find(named).map(|p| &p.1[..]));
            let kept: Vec<Pair> = model.iter().filter(|p| !named(p)).cloned().collect();
            prop_assert_eq!(written(&fields, |f| f.name.eq_ignore_ascii_case(&skipped)), kept);
            let vias: Vec<&[u8]> = model.iter().filter(|p| Known::of(&p.0) == Known::Via).map(|p| &p.1[..]).collect();
            prop_assert_eq!(fields.all(Known::Via).collect::<Vec<_>>(), vias);
        }
    }
}

#[test]
fn members_of_lists() {
    let mut fields = Fields::default();
    fields.push(b"Connection", b"a, Upgrade ,,close-not");
    fields.push(b"connection", b"\"close\"");
    for (member, has) in [("upgrade", true), ("A", true), ("close", false), ("", false), ("upgr", false)] {
        assert_eq!(fields.has_member(Known::Connection, member.as_bytes()), has, "{member}");
    }
}

/// The names that speak of one connection, of framing or of who asks never come from a trailer.
#[test]
fn what_may_trail() {
    for name in [
        "Transfer-Encoding",
        "Content-Length",
        "Host",
        "Authorization",
        "Cookie",
        "Content-Encoding",
        "X-Forwarded-For",
    ] {
        assert!(!Known::of(name.as_bytes()).may_trail(), "{name}");
    }
    for name in ["grpc-status", "Server-Timing", "Digest", "x-sum"] {
        assert!(Known::of(name.as_bytes()).may_trail(), "{name}");
    }
}
