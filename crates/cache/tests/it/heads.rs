//! Heads and fields to test with.

use wire::{Fields, Limits, RequestHead, ResponseHead};

const LIMITS: Limits = Limits { bytes: 1 << 16, fields: 200 };

/// Fields of these names and values.
pub fn fields(of: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in of {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

/// A request of this first line and these fields.
pub fn request(first: &str, of: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    assert!(head.read(text(&format!("{first} HTTP/1.1"), of).as_bytes(), LIMITS).unwrap().is_some());
    head
}

/// An answer of this status and these fields.
pub fn answer(status: u16, of: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::default();
    assert!(head.read(text(&format!("HTTP/1.1 {status} X"), of).as_bytes(), LIMITS).unwrap().is_some());
    head
}

fn text(first: &str, of: &[(&str, &str)]) -> String {
    let lines: String = of.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{first}\r\n{lines}\r\n")
}
