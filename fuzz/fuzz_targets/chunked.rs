//! A chunked body has one reading, whatever pieces it arrives in: the first byte of the input says how
//! large they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Chunked;
use wire::chunked::{BadChunk, Step};

#[path = "../../crates/wire/tests/it/naive.rs"]
#[allow(dead_code)] // each target needs one half of it
mod naive;

type Decoded = (Vec<u8>, Vec<naive::Pair>, usize);

fuzz_target!(|input: &[u8]| {
    let Some((&piece, input)) = input.split_first() else {
        return;
    };
    let whole = decode(input, input.len().max(1));
    assert_eq!(whole, decode(input, usize::from(piece).max(1)));
    assert_eq!(whole, decode(input, 1));
    let Ok(Some((data, trailers, len))) = whole else {
        return;
    };
    let (naive_data, mut naive_trailers, naive_len) =
        naive::chunked(input).expect("what is taken is plain");
    naive_trailers.retain(|p| wire::Known::of(&p.0).may_trail());
    assert_eq!(
        (data, trailers, len),
        (naive_data, naive_trailers, naive_len)
    );
});

/// Decodes `input` in pieces; none if more would be wanted.
fn decode(input: &[u8], piece: usize) -> Result<Option<Decoded>, BadChunk> {
    let (mut body, mut data, mut at) = (Chunked::default(), Vec::new(), 0);
    while at < input.len() {
        let end = (at + piece).min(input.len());
        match body.step(&input[at..end])? {
            Step::Data { skip, take } => {
                data.extend_from_slice(&input[at + skip..][..take]);
                at += skip + take;
            }
            Step::More => at = end,
            Step::End(len) => {
                let trailers = body
                    .trailers()
                    .iter()
                    .map(|f| (f.name.to_vec(), f.value.to_vec()))
                    .collect();
                return Ok(Some((data, trailers, at + len)));
            }
        }
    }
    Ok(None)
}
