//! The bytes of a request to the bytes that an endpoint gets: one request, with the same body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::head::Limits;
use wire::{Known, RequestHead, framing};

fuzz_target!(|input: &[u8]| {
    let limits = Limits { bytes: 4096, fields: 32 };
    let Ok(Some((out, length))) = edge::forwarded(input, limits) else { return };
    let wider = Limits { bytes: 3 * 4096, fields: 48 };
    let (mut came, mut went) = (RequestHead::default(), RequestHead::default());
    assert!(matches!(came.read(input, limits), Ok(Some(_))));
    assert_eq!(went.read(&out, wider), Ok(Some(out.len())));
    assert_eq!(went.method_text(), came.method_text());
    assert_eq!(went.target(), came.path_and_query());
    assert_eq!(framing::of_request(&went), Ok(length));
    assert_eq!(went.fields.all(Known::XForwardedFor).count(), 1);
    assert!(matches!(went.fields.get(Known::Connection), None | Some(b"Upgrade" | b"TE")));
});
