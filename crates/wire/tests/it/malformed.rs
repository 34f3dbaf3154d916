//! Each request of the corpus is refused with its status, at whatever place it is cut.

use std::collections::HashSet;

use wire::chunked::Step;
use wire::{Chunked, Length, RequestHead, framing};

use crate::LIMITS;
use crate::corpus::corpus;

/// Reads requests till one is bad; none if all were good or the last isn't whole.
fn refusal(mut input: &[u8]) -> Option<u16> {
    let mut head = RequestHead::default();
    while !input.is_empty() {
        let read = match head.read(input, LIMITS) {
            Ok(read) => read?,
            Err(bad) => return Some(bad.status()),
        };
        input = &input[read..];
        if let Err(bad) = framing::expects_continue(&head) {
            return Some(bad.status());
        }
        match framing::of_request(&head) {
            Err(bad) => return Some(bad.status()),
            Ok(Length::Exact(n)) => input = input.get(usize::try_from(n).unwrap()..)?,
            Ok(Length::Chunked) => match chunks(input) {
                Ok(len) => input = &input[len?..],
                Err(()) => return Some(400),
            },
            Ok(Length::UntilClose) => panic!("a request's body never ends with the connection"),
        }
    }
    None
}

fn chunks(input: &[u8]) -> Result<Option<usize>, ()> {
    let (mut body, mut at) = (Chunked::default(), 0);
    loop {
        match body.step(&input[at..]).map_err(drop)? {
            Step::Data { skip, take } => at += skip + take,
            Step::More => return Ok(None),
            Step::End(len) => return Ok(Some(at + len)),
        }
    }
}

#[test]
fn each_is_refused_with_its_status() {
    let wrong: Vec<String> = corpus()
        .iter()
        .filter(|case| refusal(&case.bytes) != Some(case.status))
        .map(|case| format!("{}: {:?}, not {}", case.name, refusal(&case.bytes), case.status))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever of it has arrived, it is either too early to tell or refused in the same way.
#[test]
fn no_front_of_one_is_refused_otherwise() {
    for case in corpus() {
        for end in 0..case.bytes.len().min(400) {
            let early = refusal(&case.bytes[..end]);
            assert!(early.is_none() || early == Some(case.status), "{}: {early:?} after {end}", case.name);
        }
    }
}

#[test]
fn names_are_unique() {
    let mut seen = HashSet::new();
    for case in corpus() {
        assert!(seen.insert(case.name.clone()), "{}", case.name);
    }
}

/// The frame that the corpus puts its rows in is good; else all rows would be refused for nothing.
#[test]
fn the_frame_is_good() {
    for good in [
        &b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        assert_eq!(refusal(good), None);
    }
}
