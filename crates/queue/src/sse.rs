//! A message as the text of a server-sent event (WHATWG HTML §9.2), as browsers and others read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A sign of life, which clients skip.
pub const ALIVE: &str = ": \n\n";

/// The type of events whose data is the body in base64, because it isn't text.
const BINARY: &str = "nearside-binary";
/// The type of events whose data tells how large the body is, because it doesn't fit into an event.
const LARGE: &str = "nearside-large";
/// Types that begin so are made here, and not believed of messages.
const OWN: &str = "nearside-";

/// Adds a message with its body, and its type if it is a CloudEvent. Line ends of a text, of whatever
/// kind, are line feeds to who reads it; a body that isn't UTF-8 arrives as a `nearside-binary` event in
/// base64.
pub fn event(out: &mut String, id: &str, kind: &str, body: &[u8]) {
    match std::str::from_utf8(body) {
        Ok(text) => {
            let sendable = !kind.is_empty() && !kind.contains(['\n', '\r', '\0']) && !kind.starts_with(OWN);
            head(out, id, sendable.then_some(kind));
            data(out, text);
        }
        Err(_) => {
            head(out, id, Some(BINARY));
            data(out, &BASE64.encode(body));
        }
    }
}

/// Adds a message of so many bytes that its body is left out.
pub fn large(out: &mut String, id: &str, bytes: u64) {
    head(out, id, Some(LARGE));
    data(out, &format!("{{\"bytes\":{bytes}}}"));
}

fn head(out: &mut String, id: &str, kind: Option<&str>) {
    out.push_str("id: ");
    out.push_str(id);
    out.push('\n');
    if let Some(kind) = kind {
        out.push_str("event: ");
        out.push_str(kind);
        out.push('\n');
    }
}

/// One field for each line, at least one: clients pass over an event without data.
fn data(out: &mut String, text: &str) {
    let mut rest = Some(text);
    while let Some(text) = rest {
        let end = text.find(['\n', '\r']);
        let (line, after) = text.split_at(end.unwrap_or(text.len()));
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
        rest = end.map(|_| after.strip_prefix("\r\n").unwrap_or(&after[1..]));
    }
    out.push('\n');
}
