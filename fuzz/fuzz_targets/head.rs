//! A request that is taken has one reading: a simple reader sees the same in it, it is the same
//! however it arrives, and what is written of it reads back equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::head::may_be_whole;
use wire::{BadHead, Fields, Known, Limits, RequestHead, ResponseHead, Version, framing, target};

#[path = "../../crates/wire/tests/it/naive.rs"]
#[allow(dead_code)] // each target needs one half of it
mod naive;

const LIMITS: Limits = Limits {
    bytes: 4096,
    fields: 16,
};

fuzz_target!(|input: &[u8]| {
    request(input);
    answer(input);
});

fn request(input: &[u8]) {
    let mut head = RequestHead::default();
    let result = head.read(input, LIMITS);
    for end in 0..input.len() {
        let early = RequestHead::default().read(&input[..end], LIMITS);
        assert!(early == Ok(None) || early == result);
    }
    let _ = (
        head.path(),
        head.query(),
        head.authority(),
        pairs(&head.fields),
    );
    let Ok(Some(len)) = result else { return };
    assert!(may_be_whole(&input[..len], len - 1));

    let line = first_line(&head);
    let (naive_line, naive_pairs) = naive::head(&input[..len]).expect("what is taken is plain");
    assert_eq!(naive_line[..naive_line.len() - 3], line[..line.len() - 3]);
    assert_eq!(naive_pairs, pairs(&head.fields));
    assert!(!target::has_dot_segment(head.path()));
    one_length(&head, &naive_pairs);

    let mut out = line.clone();
    out.extend_from_slice(b"\r\n");
    head.fields.write_to(&mut out, |_| false);
    out.extend_from_slice(b"\r\n");
    if out.len() > LIMITS.bytes {
        return; // `name:value` grew by a space
    }
    let mut again = RequestHead::default();
    assert_eq!(again.read(&out, LIMITS), Ok(Some(out.len())));
    assert_eq!(
        (line, pairs(&head.fields)),
        (first_line(&again), pairs(&again.fields))
    );
    assert_eq!(head.path_and_query(), again.path_and_query());
    assert_eq!(
        (head.form(), head.authority()),
        (again.form(), again.authority())
    );
    assert_eq!(framing::of_request(&head), framing::of_request(&again));
}

/// Where a length is taken, all that could speak of one says the same.
fn one_length(head: &RequestHead, pairs: &[naive::Pair]) {
    let named = |name: &str| {
        pairs
            .iter()
            .filter(|p| p.0.eq_ignore_ascii_case(name.as_bytes()))
            .count()
    };
    let (lengths, codings, hosts) = (
        named("content-length"),
        named("transfer-encoding"),
        named("host"),
    );
    assert!(hosts == 1 || (hosts == 0 && head.version == Version::Http10));
    match framing::of_request(head) {
        Ok(wire::Length::Exact(n)) => {
            assert_eq!(codings, 0);
            let text = head.fields.get(Known::ContentLength).unwrap_or(b"0");
            assert!(lengths <= 1 && text.iter().all(u8::is_ascii_digit));
            assert_eq!(std::str::from_utf8(text).unwrap().parse(), Ok(n));
        }
        Ok(wire::Length::Chunked) => {
            assert_eq!((lengths, codings, head.version), (0, 1, Version::Http11))
        }
        Ok(wire::Length::UntilClose) => panic!("a request's body never ends with the connection"),
        Err(BadHead::ContentLength) => assert!(lengths > 0 && codings == 0),
        Err(_) => assert!(codings > 0),
    }
}

fn answer(input: &[u8]) {
    let mut head = ResponseHead::default();
    let result = head.read(input, LIMITS);
    let _ = (
        head.reason(),
        framing::of_answer(&head, wire::Method::Get),
        pairs(&head.fields),
    );
    let Ok(Some(len)) = result else { return };
    let (line, naive_pairs) = naive::head(&input[..len]).expect("what is taken is plain");
    assert!(line.ends_with(head.reason()));
    assert_eq!(naive_pairs, pairs(&head.fields));
}

/// With the version as it was sent, but for its minor digit.
fn first_line(head: &RequestHead) -> Vec<u8> {
    let version: &[u8] = if head.version == Version::Http10 {
        b" HTTP/1.0"
    } else {
        b" HTTP/1.1"
    };
    [head.method_text(), b" ", head.target(), version].concat()
}

fn pairs(fields: &Fields) -> Vec<naive::Pair> {
    fields
        .iter()
        .map(|f| (f.name.to_vec(), f.value.to_vec()))
        .collect()
}
