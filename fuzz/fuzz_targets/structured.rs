//! Dictionaries of structured fields: two of them, a line feed between them.
#![no_main]

use cache::structured::{Value, dictionary};
use libfuzzer_sys::fuzz_target;

type Member = (Vec<u8>, Vec<u8>);

fuzz_target!(|input: &[u8]| {
    let (one, other) = match input.iter().position(|&b| b == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &b"a"[..]),
    };
    let other = wire::token::trim(other); // before the first member a tab is wrong, after a comma it isn't
    let (first, second) = (read(one), read(other));
    let joined = read(&[one, b"\t , ", other].concat());
    match (&first, &second) {
        (Some(first), Some(second)) => {
            assert_eq!(
                joined,
                Some([&first[..], &second[..]].concat()),
                "a list of both"
            );
        }
        // Quotes or brackets that one leaves open the other may close, and its spaces may end a list.
        _ => assert!(joined.is_none() || one.iter().any(|b| b"\"(".contains(b))),
    }
    let Some(members) = first else { return };
    assert!(!members.is_empty());
    assert_eq!(read(&[b"  ", one, b"  "].concat()).as_ref(), Some(&members));
    for (key, value) in members {
        let text = [&key[..], b"=", &value].concat();
        assert_eq!(read(&text), Some(vec![(key, value)]));
    }
});

/// The members, their values written so that they read back equal.
fn read(text: &[u8]) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    dictionary(text, |key, value| {
        members.push((key.to_vec(), written(value)))
    })?;
    Some(members)
}

fn written(value: Value<'_>) -> Vec<u8> {
    match value {
        Value::Integer(n) => n.to_string().into_bytes(),
        Value::String(text) => [b"\"", text, b"\""].concat(),
        Value::Token(text) => text.to_vec(),
        Value::Boolean(is) => if is { b"?1" } else { b"?0" }.to_vec(),
        Value::Decimal => b"1.5".to_vec(),
        Value::Bytes => b":YWI=:".to_vec(),
        Value::Date => b"@7".to_vec(),
        Value::Display => b"%\"%c3%bc\"".to_vec(),
        Value::List => b"(1 2)".to_vec(),
    }
}
