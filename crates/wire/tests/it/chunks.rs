//! The chunked coding: good bodies, limits, and random ones in random pieces.

use proptest::prelude::*;
use wire::chunked::{BadChunk, EXTENSIONS, Step, TRAILER_FIELDS, TRAILERS};
use wire::{Chunked, Fields, write};

use crate::naive;

/// What came out of a body: its data, its trailers, and what was left of the input.
#[derive(Debug, Clone, PartialEq)]
struct Decoded {
    data: Vec<u8>,
    trailers: Vec<naive::Pair>,
    rest: usize,
}

/// Decodes `input`, which arrives in pieces that end at `ends`; none if more would be wanted.
fn decode(input: &[u8], ends: &[usize]) -> Result<Option<Decoded>, BadChunk> {
    let (mut body, mut data, mut at) = (Chunked::default(), Vec::new(), 0);
    for &end in ends.iter().chain([&input.len()]) {
        while at < end {
            match body.step(&input[at..end])? {
                Step::Data { skip, take } => {
                    data.extend_from_slice(&input[at + skip..][..take]);
                    at += skip + take;
                }
                Step::More => at = end,
                Step::End(len) => {
                    assert!(body.is_done());
                    let trailers =
                        body.trailers().iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
                    return Ok(Some(Decoded { data, trailers, rest: input.len() - at - len }));
                }
            }
            assert!(!body.is_done());
        }
    }
    Ok(None)
}

fn pair(name: &str, value: &str) -> naive::Pair {
    (name.into(), value.into())
}

#[test]
fn good_bodies() {
    for (input, data, trailers, rest) in [
        ("0\r\n\r\n", "", vec![], 0),
        ("0000000000000000\r\n\r\nGET", "", vec![], 3),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", vec![], 0),
        ("5;a=\"b;c\";d\tx\r\nhello\r\n6;\r\n world\r\n0;e\r\n\r\n", "hello world", vec![], 0),
        (
            "A\r\n0123456789\r\na\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n",
            "0123456789\r\n\r\n\r\n\r\n\r\n",
            vec![],
            0,
        ),
        ("0\r\nX-Sum:  1 \r\nx-b:\r\n\r\n", "", vec![pair("X-Sum", "1"), pair("x-b", "")], 0),
        (
            "0\r\nHost: b\r\nX: y\r\nContent-Length: 9\r\nCookie: c\r\nX-Forwarded-For: ::1\r\n\r\n",
            "",
            vec![pair("X", "y")],
            0,
        ),
    ] {
        let expected = Some(Decoded { data: data.as_bytes().to_vec(), trailers, rest });
        assert_eq!(decode(input.as_bytes(), &[]), Ok(expected), "{input:?}");
    }
}

#[test]
fn the_largest_size_is_taken_piece_by_piece() {
    let mut body = Chunked::default();
    assert_eq!(body.step(b"ffffffffffffffff\r\n"), Ok(Step::More));
    for _ in 0..3 {
        assert_eq!(body.step(b"data"), Ok(Step::Data { skip: 0, take: 4 }));
    }
}

#[test]
fn nothing_is_taken_after_the_end() {
    let mut body = Chunked::default();
    assert_eq!(body.step(b"0\r\n\r\n"), Ok(Step::End(5)));
    assert_eq!(body.step(b""), Ok(Step::More));
    assert!(body.step(b"5\r\n").is_err());
}

/// Each limit holds exactly, and over all chunks together.
#[test]
fn limits() {
    let extensions = |n: usize| [b"1;", "e".repeat(n).as_bytes(), b"\r\nx\r\n"].concat();
    let body = |a, b| [extensions(a), extensions(b), b"0\r\n\r\n".to_vec()].concat();
    assert!(decode(&body(EXTENSIONS, 0), &[]).is_ok());
    assert!(decode(&body(EXTENSIONS - 1, 1), &[]).is_ok());
    assert_eq!(decode(&body(EXTENSIONS, 1), &[]), Err(BadChunk::Extensions));

    let many = |n| format!("0\r\n{}\r\n", "X: y\r\n".repeat(n));
    assert!(decode(many(TRAILER_FIELDS).as_bytes(), &[]).is_ok());
    assert_eq!(decode(many(TRAILER_FIELDS + 1).as_bytes(), &[]), Err(BadChunk::Trailers));

    // `X: ` CR LF CR LF are seven.
    let large = |n| format!("0\r\nX: {}\r\n\r\n", "y".repeat(n));
    assert!(decode(large(TRAILERS - 7).as_bytes(), &[]).is_ok());
    assert_eq!(decode(large(TRAILERS - 6).as_bytes(), &[]), Err(BadChunk::Trailers));
    let endless = format!("0\r\n{}", "y".repeat(TRAILERS + 1));
    assert_eq!(decode(endless.as_bytes(), &[]), Err(BadChunk::Trailers));
}

/// Text that is often nearly a chunked body.
fn nearly_a_body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![&b"5\r\nhello\r\n"[..], b"1;x=y\r\n\n\r\n", b"02\r\n\r\n\r\n", b"a\r\n0123456789\r\n"]),
        2 => prop::sample::select(vec![&b"0\r\n"[..], b"0;x\r\n", b"00\r\n\r\n", b"X: y\r\n", b"Host:z\r\n", b"\r\n"]),
        1 => prop::sample::select(vec![&b"\n"[..], b"\r", b" ", b"+", b"0x", b";", b"ffffffffffffffff", b"3\r\nab", b"\0"]),
    ];
    let end = prop::sample::select(vec![&b"0\r\n\r\n"[..], b"0\r\nX: y\r\n\r\n", b"0\r\n\r\nmore", b""]);
    (prop::collection::vec(piece, 0..8), end).prop_map(|(pieces, end)| [&pieces.concat(), end].concat())
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => nearly_a_body(), 1 => prop::collection::vec(any::<u8>(), 0..100)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pieces_never_change_a_result(input in any_body(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let mut ends: Vec<usize> = cuts.iter().map(|c| c.index(input.len() + 1)).collect();
        ends.sort_unstable();
        let each: Vec<usize> = (0..input.len()).collect();
        let whole = decode(&input, &[]);
        prop_assert_eq!(&decode(&input, &ends), &whole);
        prop_assert_eq!(&decode(&input, &each), &whole);
    }

    /// A body that is taken has only one reading.
    #[test]
    fn one_reading(input in any_body()) {
        let Ok(Some(decoded)) = decode(&input, &[]) else { return Ok(()) };
        let (data, trailers, len) = naive::chunked(&input).expect("what is taken is plain");
        prop_assert_eq!(decoded.data, data);
        prop_assert_eq!(decoded.rest, input.len() - len);
        let may_trail = |p: &naive::Pair| wire::Known::of(&p.0).may_trail();
        prop_assert_eq!(decoded.trailers, trailers.into_iter().filter(may_trail).collect::<Vec<_>>());
    }

    #[test]
    fn round_trip(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
        values in prop::collection::vec("[!-~]{0,8}", 0..4),
        ends in prop::collection::vec(0usize..2600, 0..20),
    ) {
        let mut out = Vec::new();
        for chunk in &chunks {
            write::chunk_size(&mut out, chunk.len());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        let mut trailers = Fields::default();
        for value in &values {
            trailers.push(b"x-sum", value.as_bytes());
        }
        write::last_chunk(&mut out, Some(&trailers).filter(|t| !t.is_empty()));
        let mut ends: Vec<usize> = ends.into_iter().filter(|&end| end < out.len()).collect();
        ends.sort_unstable();
        let trailers = values.iter().map(|v| pair("x-sum", v)).collect();
        prop_assert_eq!(decode(&out, &ends), Ok(Some(Decoded { data: chunks.concat(), trailers, rest: 0 })));
    }

    #[test]
    fn sizes(n in 1usize..) {
        let mut out = Vec::new();
        write::chunk_size(&mut out, n);
        prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{n:x}\r\n"));
    }

    #[test]
    fn decimals(n: u64) {
        let mut out = Vec::new();
        write::decimal(&mut out, n);
        prop_assert_eq!(String::from_utf8(out.clone()).unwrap(), n.to_string());
        let back = (out.len() <= 19).then_some(n);
        prop_assert_eq!(wire::token::decimal(&out), back);
    }
}
