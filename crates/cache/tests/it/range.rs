//! Tests of `range`: RFC 9110 §14, §15.3.7, RFC 9111 §3.3 and §3.4.

use std::ops::Range;

use bytes::Bytes;
use cache::range::{
    ContentRange, MOST_PARTS, MOST_RANGES, Multipart, Part, Wanted, asked, content_range, covers, merge,
    parse, resolve, unsatisfied_line,
};
use proptest::prelude::*;

use crate::heads::fields;

fn of(value: &str, total: u64) -> Wanted {
    parse(value.as_bytes()).map_or(Wanted::All, |ranges| resolve(&ranges, total))
}

fn several(ranges: &[Range<u64>]) -> Wanted {
    Wanted::Several(ranges.iter().cloned().collect())
}

#[test]
fn one_range() {
    assert_eq!(of("bytes=0-1", 11), Wanted::One(0..2));
    assert_eq!(of("bytes=1-", 11), Wanted::One(1..11));
    assert_eq!(of("bytes=-1", 11), Wanted::One(10..11));
    assert_eq!(of("bytes=0-0", 11), Wanted::One(0..1));
    assert_eq!(of("bytes=10-10", 11), Wanted::One(10..11));
    assert_eq!(of("bytes=0-", 11), Wanted::One(0..11));
}

#[test]
fn a_range_that_reaches_beyond_the_end_stops_there() {
    assert_eq!(of("bytes=5-99", 11), Wanted::One(5..11));
    assert_eq!(of("bytes=-99", 11), Wanted::One(0..11));
    assert_eq!(of("bytes=5-18446744073709551615", 11), Wanted::One(5..11));
    assert_eq!(of("bytes=5-99999999999999999999999", 11), Wanted::One(5..11));
    assert_eq!(of("bytes=-99999999999999999999999", 11), Wanted::One(0..11));
}

#[test]
fn a_range_behind_the_end_or_of_nothing_cant_be_satisfied() {
    assert_eq!(of("bytes=11-", 11), Wanted::Unsatisfiable);
    assert_eq!(of("bytes=11-12", 11), Wanted::Unsatisfiable);
    assert_eq!(of("bytes=-0", 11), Wanted::Unsatisfiable);
    assert_eq!(of("bytes=-0, 99-", 11), Wanted::Unsatisfiable);
    assert_eq!(of("bytes=99999999999999999999999-", 11), Wanted::Unsatisfiable);
    assert_eq!(of("bytes=0-", 0), Wanted::Unsatisfiable);
}

#[test]
fn the_end_of_nothing_is_nothing() {
    assert_eq!(of("bytes=-5", 0), Wanted::All);
    assert_eq!(of("bytes=-0", 0), Wanted::Unsatisfiable);
}

#[test]
fn units_have_no_case_and_other_units_are_passed_over() {
    assert_eq!(of("Bytes=0-1", 11), Wanted::One(0..2));
    for other in ["items=0-1", "bytes 0-1", "bytes", "", "=0-1", "bytes =0-1"] {
        assert_eq!(parse(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn what_isnt_well_formed_is_passed_over_as_a_whole() {
    for bad in [
        "", "-", "a-b", "1", "1-2-3", "2-1", "--1", "+1-2", "1 -2", "1- 2", "0x1-2", "0-1, 2-1", "0-1;3",
        "0-1,x",
    ] {
        assert_eq!(parse(format!("bytes={bad}").as_bytes()), None, "{bad}");
    }
}

#[test]
fn several_ranges_stay_in_their_order() {
    assert_eq!(of("bytes=0-1,4-5", 11), several(&[0..2, 4..6]));
    assert_eq!(of("bytes= -2 ,, 0-1 ,", 11), several(&[9..11, 0..2]));
}

#[test]
fn of_several_only_those_count_that_are_there() {
    assert_eq!(of("bytes=0-1, 99-", 11), Wanted::One(0..2));
    assert_eq!(of("bytes=99-, 0-1, 5-5", 11), several(&[0..2, 5..6]));
}

#[test]
fn ranges_that_cost_more_than_the_whole_get_the_whole() {
    assert_eq!(of("bytes=0-,0-,0-", 11), Wanted::All);
    assert_eq!(of("bytes=0-6,5-9", 11), Wanted::All);
    assert_eq!(of("bytes=0-5,5-9", 11), several(&[0..6, 5..10]));
    let many = |n: usize| format!("bytes={}", vec!["0-0"; n].join(","));
    assert!(matches!(of(&many(MOST_RANGES), 100), Wanted::Several(_)));
    assert_eq!(of(&many(MOST_RANGES + 1), 100), Wanted::All);
}

#[test]
fn two_range_fields_are_none() {
    assert_eq!(asked(&fields(&[("Range", "bytes=0-1")])), parse(b"bytes=0-1"));
    assert_eq!(asked(&fields(&[("Range", "bytes=0-1"), ("Range", "bytes=0-1")])), None);
    assert_eq!(asked(&fields(&[])), None);
}

#[test]
fn a_parts_place_is_read_strictly() {
    let read = |value: &str| content_range(value.as_bytes());
    assert_eq!(read("bytes 4-9/10"), Some(ContentRange { range: 4..10, total: Some(10) }));
    assert_eq!(read("BYTES 0-0/*"), Some(ContentRange { range: 0..1, total: None }));
    for bad in [
        "bytes */10",
        "bytes 4-9",
        "bytes 9-4/10",
        "bytes 4-10/10",
        "bytes 4-9/",
        "bytes -9/10",
        "bytes 4-/10",
        "bytes=4-9/10",
        "items 4-9/10",
        "bytes 4-9/1x",
        "bytes 4-9,4-9/10",
        "4-9/10",
        "",
        "bytes",
        "bytes ",
        "bytes 4-99999999999999999999/*",
        "bytes +4-9/10",
        "bytes 4-9/10 ",
    ] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn a_part_is_as_long_as_it_says() {
    let part = |total| ContentRange { range: 4..10, total };
    assert!(part(Some(10)).is_of(6) && part(None).is_of(6));
    for length in [0, 5, 7] {
        assert!(!part(Some(10)).is_of(length) && !part(None).is_of(length), "{length}");
    }
}

#[test]
fn a_parts_place_is_written_as_it_is_read() {
    let mut out = Vec::new();
    ContentRange { range: 4..10, total: Some(10) }.line(&mut out);
    ContentRange { range: 0..1, total: None }.line(&mut out);
    unsatisfied_line(&mut out, u64::MAX);
    let lines = "Content-Range: bytes 4-9/10\r\nContent-Range: bytes 0-0/*\r\n\
                 Content-Range: bytes */18446744073709551615\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), lines);
}

#[test]
fn several_ranges_are_written_with_their_exact_length() {
    let whole = b"0123456789A";
    let ranges = [0..2, 9..11];
    let multipart =
        Multipart { boundary: "b0undary", content_type: Some(b"text/plain"), ranges: &ranges, total: 11 };
    let mut body = Vec::new();
    for range in &ranges {
        multipart.head(&mut body, range);
        body.extend_from_slice(&whole[range.start as usize..range.end as usize]);
    }
    multipart.tail(&mut body);
    let expected = "\r\n--b0undary\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/11\r\n\r\n01\
                    \r\n--b0undary\r\nContent-Type: text/plain\r\nContent-Range: bytes 9-10/11\r\n\r\n9A\
                    \r\n--b0undary--\r\n";
    assert_eq!(String::from_utf8(body.clone()).unwrap(), expected);
    assert_eq!(multipart.length(), body.len() as u64);
    let mut line = Vec::new();
    multipart.line(&mut line);
    assert_eq!(line, b"Content-Type: multipart/byteranges; boundary=b0undary\r\n");
}

/// A part of a body whose bytes are their own offsets.
fn part(range: Range<u64>) -> Part {
    (range.start, range.map(|at| at as u8).collect::<Vec<u8>>().into())
}

#[test]
fn parts_are_joined_and_what_is_there_is_known() {
    let first = merge(&[], &[part(0..5)]);
    assert!(covers(&first, &(1..5)) && !covers(&first, &(4..6)));
    let both = merge(&first, &[part(3..10)]);
    assert_eq!(both, [part(0..5), part(5..10)]);
    assert!(covers(&both, &(0..10)) && !covers(&both, &(9..11)) && covers(&both, &(3..3)));
}

#[test]
fn joining_copies_nothing() {
    let bytes = Bytes::from_static(b"0123456789");
    let merged = merge(&[(0, bytes.slice(0..4))], &[(2, bytes.slice(2..10))]);
    assert_eq!(merged[1].1.as_ptr(), bytes[4..].as_ptr());
}

#[test]
fn of_too_many_parts_the_smallest_go() {
    let many: Vec<Part> = (0..MOST_PARTS as u64 + 8).map(|i| part(i * 10..i * 10 + 2)).collect();
    let merged = merge(&many, &[part(10_000..10_009)]);
    assert_eq!(merged.len(), MOST_PARTS);
    assert_eq!(merged.last(), Some(&part(10_000..10_009)));
    assert!(merged.is_sorted_by_key(|part| part.0));
}

#[test]
fn a_part_that_ends_beyond_all_numbers_is_none() {
    assert_eq!(merge(&[], &[(u64::MAX, Bytes::from_static(b"ab")), (3, Bytes::new())]), []);
}

fn some_parts() -> impl Strategy<Value = Vec<Part>> {
    let one = (0u64..60, 0u64..20).prop_map(|(start, length)| part(start..start + length));
    prop::collection::vec(one, 0..6)
}

fn positions(parts: &[Part]) -> std::collections::BTreeMap<u64, u8> {
    parts.iter().flat_map(|(start, bytes)| (*start..).zip(bytes.iter().copied())).collect()
}

proptest! {
    #[test]
    fn what_is_found_lies_within(value in "[Bb]ytes=[0-9, -]{0,24}", total in 0u64..30) {
        let found: Vec<Range<u64>> = match of(&value, total) {
            Wanted::All | Wanted::Unsatisfiable => vec![],
            Wanted::One(range) => vec![range],
            Wanted::Several(ranges) => {
                prop_assert!(ranges.len() > 1);
                ranges.to_vec()
            }
        };
        prop_assert!(found.iter().all(|range| range.start < range.end && range.end <= total));
        prop_assert!(found.iter().map(|range| range.end - range.start).sum::<u64>() <= total);
    }

    #[test]
    fn any_bytes_are_taken(value in prop::collection::vec(any::<u8>(), 0..40), total: u64) {
        if let Some(ranges) = parse(&value) {
            resolve(&ranges, total);
        }
        if let Some(found) = content_range(&value) {
            prop_assert!(found.range.start < found.range.end && found.total.is_none_or(|all| found.range.end <= all));
            found.is_of(total);
        }
    }

    #[test]
    fn what_is_written_reads_back(start in 0u64..1 << 60, length in 1u64..1 << 60, more in 0u64..1 << 60, known: bool) {
        let range = start..start + length;
        let written = ContentRange { total: known.then_some(range.end + more), range };
        let mut out = Vec::new();
        written.line(&mut out);
        let value = out.strip_prefix(b"Content-Range: ").unwrap().trim_ascii_end();
        prop_assert_eq!(content_range(value), Some(written));
    }

    #[test]
    fn joining_keeps_each_byte_in_whatever_order(one in some_parts(), other in some_parts()) {
        let merged = merge(&merge(&[], &one), &other);
        let all = [one.clone(), other.clone()].concat();
        prop_assert_eq!(positions(&merged), positions(&all));
        prop_assert_eq!(positions(&merge(&merge(&[], &other), &one)), positions(&all));
        let apart = |pair: &[Part]| pair[0].0 + pair[0].1.len() as u64 <= pair[1].0;
        prop_assert!(merged.windows(2).all(apart) && merged.iter().all(|part| !part.1.is_empty()));
    }

    #[test]
    fn a_range_is_covered_if_each_byte_of_it_is_there(parts in some_parts(), start in 0u64..90, length in 0u64..20) {
        let parts = merge(&[], &parts);
        let there = positions(&parts);
        let range = start..start + length;
        prop_assert_eq!(covers(&parts, &range), range.into_iter().all(|at| there.contains_key(&at)));
    }
}
