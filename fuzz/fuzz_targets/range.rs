//! One byte for the length, then a `Range` and maybe, after a line end, a `Content-Range`: what is found
//! lies within, and what is read is written back the same.
#![no_main]

use cache::range::{Wanted, content_range, parse, resolve};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&total, text)) = input.split_first() else { return };
    let total = u64::from(total);
    let mut lines = text.splitn(2, |&b| b == b'\n');
    if let Some(ranges) = lines.next().and_then(parse) {
        let found = match resolve(&ranges, total) {
            Wanted::One(range) => vec![range],
            Wanted::Several(ranges) => ranges.to_vec(),
            Wanted::All | Wanted::Unsatisfiable => vec![],
        };
        assert!(found.iter().all(|range| range.start < range.end && range.end <= total));
        assert!(found.iter().map(|range| range.end - range.start).sum::<u64>() <= total);
    }
    if let Some(part) = lines.next().and_then(content_range) {
        assert!(part.range.start < part.range.end && part.total.is_none_or(|all| part.range.end <= all));
        let mut line = Vec::new();
        part.line(&mut line);
        let value = line.strip_prefix(b"Content-Range: ").unwrap_or_default().trim_ascii_end();
        assert_eq!(content_range(value).as_ref(), Some(&part));
        part.is_of(total);
    }
});
