//! CloudEvents 1.0 over HTTP: recognised, so that they are known by their id and shown by their type,
//! and never changed.
//!
//! What isn't surely one event is none: a batch, an attribute twice or too long, another version.

use std::borrow::Cow;

use serde::Deserialize;

use crate::record;

/// The most bytes of a source, a type or an id.
pub const LONGEST: usize = 1024;
/// The most bytes of a body in which attributes are looked for.
pub const LARGEST: usize = 1024 * 1024;

/// What an event says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvent {
    /// Where it happened; with `id` it is what the event is known by.
    pub source: String,
    /// What happened: its `type`.
    pub kind: String,
    /// Which one of its source it is.
    pub id: String,
}

impl CloudEvent {
    /// As a record has it.
    pub fn as_record(&self) -> record::Event<'_> {
        record::Event { source: &self.source, kind: &self.kind, id: &self.id }
    }
}

/// The event that a request carries, if it does: `get` gives a field's value by its name in lower case.
///
/// In structured mode the event is the body, in JSON; else its attributes are fields named `ce-…`.
pub fn recognise<'a>(get: &impl Fn(&str) -> Option<&'a [u8]>, body: &[u8]) -> Option<CloudEvent> {
    match format(get("content-type").unwrap_or_default()) {
        Format::Json => structured(body),
        Format::None => binary(get),
        Format::Other => None,
    }
}

/// What `Content-Type` says of an event.
enum Format {
    /// Nothing: the body is what the event is about.
    None,
    /// The body is one event in JSON.
    Json,
    /// It is an event, or many, in a way that isn't read here.
    Other,
}

fn format(content_type: &[u8]) -> Format {
    const FAMILY: &[u8] = b"application/cloudevents";
    let mut parts = content_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let kind = parts.next().unwrap_or_default();
    let Some((family, suffix)) = kind.split_at_checked(FAMILY.len()) else { return Format::None };
    if !family.eq_ignore_ascii_case(FAMILY) {
        return Format::None;
    }
    let utf8 = parts.all(|parameter| match parameter.split_at_checked(8) {
        Some((name, value)) if name.eq_ignore_ascii_case(b"charset=") => {
            let value =
                value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
            value.eq_ignore_ascii_case(b"utf-8") || value.eq_ignore_ascii_case(b"us-ascii")
        }
        _ => true,
    });
    if suffix.eq_ignore_ascii_case(b"+json") && utf8 { Format::Json } else { Format::Other }
}

/// What is looked for in a body; all else is skipped.
#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

fn structured(body: &[u8]) -> Option<CloudEvent> {
    // A list of the attributes' values would be read as well, and is none.
    if body.len() > LARGEST || !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let Attributes { specversion, source, kind, id } = serde_json::from_slice(body).ok()?;
    event(&specversion, source, kind, id)
}

fn binary<'a>(get: &impl Fn(&str) -> Option<&'a [u8]>) -> Option<CloudEvent> {
    let attribute = |name: &str| decoded(get(name)?).map(Cow::Owned);
    // Most requests are none, and have not even this.
    let version = attribute("ce-specversion")?;
    event(&version, attribute("ce-source")?, attribute("ce-type")?, attribute("ce-id")?)
}

fn event(version: &str, source: Cow<'_, str>, kind: Cow<'_, str>, id: Cow<'_, str>) -> Option<CloudEvent> {
    let good = |text: Cow<'_, str>| {
        let fits = (1..=LONGEST).contains(&text.len()) && !text.contains(char::is_control);
        fits.then(|| text.into_owned())
    };
    (version == "1.0").then_some(())?;
    Some(CloudEvent { source: good(source)?, kind: good(kind)?, id: good(id)? })
}

/// The text that a field's value stands for (HTTP Protocol Binding §3.1.3.2): quotes, which older
/// senders write, are taken off, and then `%XX` stand for the bytes of UTF-8.
fn decoded(value: &[u8]) -> Option<String> {
    if value.len() > 3 * LONGEST {
        return None;
    }
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let value = quoted.map_or(Cow::Borrowed(value), |inside| Cow::Owned(unescaped(inside)));
    let mut out = Vec::with_capacity(value.len());
    let mut rest = &*value;
    while let Some((byte, after)) = rest.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pair = after.first_chunk().and_then(|[high, low]| Some(hex(*high)? << 4 | hex(*low)?));
        match pair.filter(|_| *byte == b'%') {
            Some(escaped) => {
                out.push(escaped);
                rest = &after[2..];
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// What is inside the quotes of a quoted string (RFC 9110 §5.6.4).
fn unescaped(inside: &[u8]) -> Vec<u8> {
    let mut bytes = inside.iter();
    let mut out = Vec::with_capacity(inside.len());
    while let Some(byte) = bytes.next() {
        out.push(*if *byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    out
}
