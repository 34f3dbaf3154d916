//! Two heads of requests, parted by a line `---`, of which the second is the answer's as well: what the
//! answer is stored as must fit its own request, and another one only if it asks for the same.
#![no_main]

use cache::vary::{fits, same, variant};
use libfuzzer_sys::fuzz_target;
use wire::head::Limits;
use wire::{Known, RequestHead};

fuzz_target!(|input: &[u8]| {
    const APART: &[u8] = b"---\r\n";
    let Some(at) = input.windows(APART.len()).position(|window| window == APART) else { return };
    let read = |text: &[u8]| {
        let mut head = RequestHead::default();
        let text = [b"GET / HTTP/1.1\r\nHost: a\r\n", text, b"\r\n"].concat();
        matches!(head.read(&text, Limits { bytes: 8192, fields: 64 }), Ok(Some(_))).then_some(head.fields)
    };
    let (Some(one), Some(other)) = (read(&input[..at]), read(&input[at + APART.len()..])) else { return };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    if variant(&mut first, b"", &other, &one).is_err() {
        assert!(other.get(Known::Vary).is_some());
        return;
    }
    assert!(variant(&mut second, b"", &other, &other).is_ok());
    assert!(fits(&first, b"", &one));
    assert!(fits(&second, b"", &other));
    // An answer's own language may make it fit more requests, but never fewer.
    if same(&first, &second) {
        assert!(fits(&first, b"", &other));
    } else if other.get_named(b"content-language").is_none() {
        assert!(!fits(&first, b"", &other));
    }
    fits(input, b"", &one);
});
