//! A message that an operator sends, and what is shown of those that came.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wire::head::Limits;
use wire::{BadHead, Known, RequestHead, token};

use super::short;
use crate::show::is_secret;

/// What a head may be; over it, a receiver would refuse it.
const HEAD: Limits = Limits { bytes: 32 << 10, fields: 128 };
/// Bytes of an `Idempotency-Key`.
const KEY: usize = 256;
/// What is shown in the place of a secret.
const HIDDEN: &str = "(hidden)";
/// Fields of the sender's that the API's JSON has keys for.
const IN_JSON: [(&str, &str); 3] =
    [("nearside-delay", "delay"), ("nearside-at", "at"), ("idempotency-key", "idempotency_key")];
/// What the names of fields begin with that Nearside itself writes.
const OWN: [&str; 2] = ["nearside-", "webhook-"];
/// Fields that speak to who is asked, and so to Nearside.
const FOR_NEARSIDE: [&str; 2] = ["expect", "prefer"];

/// A message that is to be accepted, as if a client had sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// Upper case, as it is delivered.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names and values, as they are delivered; with the `Idempotency-Key`, if there is one.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// What a client says in `Nearside-Delay`; not yet read.
    pub delay: Option<String>,
    /// What a client says in `Nearside-At`; not yet read.
    pub at: Option<String>,
    /// What a client says in `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

/// The JSON body of `POST queues/Q/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageAsk {
    /// Default POST.
    pub method: String,
    /// Path and query; default `/`.
    pub path: String,
    /// Each name with its value or values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Values>,
    /// A text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Any bytes, in base64 (RFC 4648 §4); in the place of `body`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Such as `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// RFC 3339; in the place of `delay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// A second message with it is not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The value of a header field, or of several with the same name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Values {
    /// The only one.
    One(String),
    /// In this order.
    Many(Vec<String>),
}

/// Why a message can't be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Which of them is it?
    #[error("write `body` or `body_base64`, not both")]
    TwoBodies,
    /// Not what it says.
    #[error("`body_base64` is not base64 with its padding (RFC 4648 §4)")]
    Base64,
    /// Not what is after a host in a URL.
    #[error("`{0}` is not a path; it begins with \"/\", as in /hooks/in?from=us")]
    Path(String),
    /// Not a method.
    #[error("`{0}` is not a method; write it in upper case, such as POST")]
    Method(String),
    /// Not a field.
    #[error("`{0}` is not a header field: a name without spaces, a value without line breaks")]
    Header(String),
    /// A field that isn't the sender's to set.
    #[error("leave out the header field {0}: it is made for each delivery")]
    NotYours(String),
    /// A field that says what the JSON says.
    #[error("say it with `{0}`, not with a header field")]
    InJson(&'static str),
    /// Not a key.
    #[error("an idempotency key has 1 to {KEY} bytes and no control characters")]
    Key,
    /// No receiver would understand it.
    #[error("it can't be sent: {0}")]
    Head(BadHead),
}

impl Default for MessageAsk {
    fn default() -> Self {
        Self {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            headers: BTreeMap::new(),
            body: None,
            body_base64: None,
            delay: None,
            at: None,
            idempotency_key: None,
        }
    }
}

impl MessageAsk {
    /// The message that it asks for.
    ///
    /// # Errors
    /// [`BadMessage`], which says what to write instead.
    pub fn check(self) -> Result<NewMessage, BadMessage> {
        let body = match (self.body, self.body_base64) {
            (Some(_), Some(_)) => return Err(BadMessage::TwoBodies),
            (text, None) => text.unwrap_or_default().into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).map_err(|_| BadMessage::Base64)?,
        };
        let headers = self.headers.into_iter().flat_map(|(name, values)| {
            let values = match values {
                Values::One(value) => vec![value],
                Values::Many(values) => values,
            };
            values.into_iter().map(move |value| (name.clone(), value))
        });
        NewMessage {
            method: self.method,
            path: self.path,
            headers: headers.collect(),
            body,
            delay: self.delay,
            at: self.at,
            idempotency_key: self.idempotency_key,
        }
        .checked()
    }
}

impl NewMessage {
    /// Checks that it can be delivered, by the reader that reads what clients send, and gives it its key's
    /// field.
    ///
    /// # Errors
    /// [`BadMessage`], which says what to write instead.
    pub(super) fn checked(mut self) -> Result<Self, BadMessage> {
        let upper = !self.method.bytes().any(|byte| byte.is_ascii_lowercase());
        if !upper || !token::is_token(self.method.as_bytes()) {
            return Err(BadMessage::Method(short(&self.method)));
        }
        if !self.path.starts_with('/') || !token::is_target(self.path.as_bytes()) {
            return Err(BadMessage::Path(short(&self.path)));
        }
        let key = |key: &String| (1..=KEY).contains(&key.len()) && token::is_value(key.as_bytes());
        if !self.idempotency_key.as_ref().is_none_or(key) {
            return Err(BadMessage::Key);
        }
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let mut names_host = false;
        for (name, value) in &self.headers {
            check_field(name, value)?;
            names_host |= name.eq_ignore_ascii_case("host");
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(if names_host { "\r\n" } else { "Host: a\r\n\r\n" });
        RequestHead::default().read(head.as_bytes(), HEAD).map_err(BadMessage::Head)?;
        let field = |key: &String| ("Idempotency-Key".to_owned(), key.clone());
        self.headers.extend(self.idempotency_key.as_ref().map(field));
        Ok(self)
    }
}

fn check_field(name: &str, value: &str) -> Result<(), BadMessage> {
    if !token::is_token(name.as_bytes()) || !token::is_value(value.as_bytes()) {
        return Err(BadMessage::Header(short(name)));
    }
    let lower = name.to_ascii_lowercase();
    if let Some((_, key)) = IN_JSON.iter().find(|(own, _)| lower == *own) {
        return Err(BadMessage::InJson(key));
    }
    let own = OWN.iter().any(|own| lower.starts_with(own)) || FOR_NEARSIDE.contains(&&*lower);
    if own || Known::of(lower.as_bytes()).is_hop_by_hop() {
        return Err(BadMessage::NotYours(short(name)));
    }
    Ok(())
}

/// Field lines, each `Name: value\r\n`, as pairs that may be shown: the values of those that hold
/// secrets are hidden.
pub fn fields(lines: &[u8]) -> Vec<(String, String)> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let pair = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = if is_secret(name) { HIDDEN } else { value.trim() };
        (name.to_owned(), value.to_owned())
    };
    lines.map(pair).collect()
}

/// In base64, as in the API's JSON.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: serde_json::Value) -> Result<NewMessage, BadMessage> {
        serde_json::from_value::<MessageAsk>(json).unwrap().check()
    }

    #[test]
    fn a_message_has_defaults_and_keeps_what_it_is_given() {
        let plain = NewMessage { method: "POST".into(), path: "/".into(), ..NewMessage::default() };
        assert_eq!(check(serde_json::json!({})), Ok(plain));
        let all = serde_json::json!({
            "method": "PUT", "path": "/a?b=c%20d", "body_base64": "/wA=",
            "headers": { "X-A": "1", "x-b": ["2", "3"], "Host": "shop.example.com" },
            "delay": "30s", "idempotency_key": "order 7",
        });
        let headers = [
            ("Host", "shop.example.com"),
            ("X-A", "1"),
            ("x-b", "2"),
            ("x-b", "3"),
            ("Idempotency-Key", "order 7"),
        ];
        let message = NewMessage {
            method: "PUT".into(),
            path: "/a?b=c%20d".into(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: vec![0xff, 0],
            delay: Some("30s".into()),
            at: None,
            idempotency_key: Some("order 7".into()),
        };
        assert_eq!(check(all), Ok(message));
    }

    #[test]
    fn what_no_receiver_would_understand_is_refused() {
        let refused = |json| check(json).unwrap_err();
        assert_eq!(refused(serde_json::json!({ "body": "", "body_base64": "" })), BadMessage::TwoBodies);
        assert_eq!(refused(serde_json::json!({ "body_base64": "/w" })), BadMessage::Base64);
        for path in ["", "a", "http://a/", "/a b", "/ä", "/a\r\nX: y", "/a#b"] {
            let refused = refused(serde_json::json!({ "path": path }));
            assert_eq!(refused, BadMessage::Path(short(path)));
        }
        assert_eq!(refused(serde_json::json!({ "path": "/a/../b" })), BadMessage::Head(BadHead::DotSegment));
        for method in ["", "post", "P T", "GET /x HTTP/1.1\r\nA: b"] {
            assert_eq!(refused(serde_json::json!({ "method": method })), BadMessage::Method(short(method)));
        }
        assert_eq!(refused(serde_json::json!({ "method": "CONNECT" })), BadMessage::Head(BadHead::Connect));
        for key in ["", "a\nb", &"x".repeat(KEY + 1)] {
            assert_eq!(refused(serde_json::json!({ "idempotency_key": key })), BadMessage::Key);
        }
    }

    #[test]
    fn a_message_can_not_smuggle_a_field() {
        let with = |name: &str, value: &str| check(serde_json::json!({ "headers": { name: value } }));
        for (name, value) in
            [("", "a"), ("a b", "c"), ("a:", "b"), ("a", "b\r\nc: d"), ("a", "b\nc"), ("a", "\0")]
        {
            assert_eq!(with(name, value), Err(BadMessage::Header(short(name))));
        }
        let not_yours = ["Content-Length", "transfer-encoding", "Connection", "Expect", "Webhook-Id"];
        for name in not_yours.into_iter().chain(["Nearside-Hops", "Prefer", "Upgrade"]) {
            assert_eq!(with(name, "1"), Err(BadMessage::NotYours(name.to_owned())));
        }
        assert_eq!(with("Nearside-Delay", "1s"), Err(BadMessage::InJson("delay")));
        assert_eq!(with("Idempotency-key", "1"), Err(BadMessage::InJson("idempotency_key")));
        assert!(matches!(with("Host", "a b"), Err(BadMessage::Head(BadHead::Host))));
        let many = |count| {
            let values: Vec<String> = vec!["v".to_owned(); count];
            check(serde_json::json!({ "headers": { "a": values } }))
        };
        assert!(many(HEAD.fields - 1).is_ok());
        assert!(matches!(many(HEAD.fields), Err(BadMessage::Head(_))));
    }

    #[test]
    fn secrets_among_fields_are_hidden() {
        let lines = b"X-Account: 7\r\nauthorization: Bearer abc\r\nCookie: a=b\r\nX-Api-Key:k\r\n\
                      Idempotency-Key: order-7\r\nwebhook-signature: v1,abc\r\nX-Raw: \xff\r\n";
        let shown = fields(lines);
        let shown: Vec<(&str, &str)> = shown.iter().map(|(name, value)| (&**name, &**value)).collect();
        let hidden = "(hidden)";
        assert_eq!(
            shown,
            [
                ("X-Account", "7"),
                ("authorization", hidden),
                ("Cookie", hidden),
                ("X-Api-Key", hidden),
                ("Idempotency-Key", "order-7"),
                ("webhook-signature", hidden),
                ("X-Raw", "\u{fffd}"),
            ]
        );
        assert!(fields(b"").is_empty());
    }
}
