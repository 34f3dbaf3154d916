//! The plan's queues. A queue keeps its receivers by their text, so that one that stays in the file
//! keeps its progress over a reload.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;

use super::{HashBy, Secret};
use crate::cron::Cron;

/// `[queue.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Its name in the file.
    pub name: Arc<str>,
    /// Who receives every message, each with its own progress. Empty: messages are only followed.
    pub deliver: Vec<Receiver>,
    /// `order_by`: messages with the same value are delivered strictly one after the other.
    pub order_by: Option<HashBy>,
    /// How long an `Idempotency-Key` is remembered; zero: it is not. Default 24 h.
    pub dedupe: Duration,
    /// When a failed delivery is tried again.
    pub retry: Redelivery,
    /// Deliveries a second to each receiver; none: no limit.
    pub rate: Option<f64>,
    /// Deliveries in flight to each receiver. Default 32.
    pub concurrency: u32,
    /// How long one delivery may take, from its first byte to the end of the answer. Default 30 s.
    pub timeout: Duration,
    /// How long a message that was delivered is kept. Default 1 h.
    pub keep_done: Duration,
    /// How long a dead letter is kept. Default 30 d.
    pub keep_dead: Duration,
    /// Secrets that deliveries are signed with, the newest first, each with a
    /// [`signing_key`](Secret::signing_key); at most two. Empty: they aren't.
    pub sign: Vec<Secret>,
    /// Bytes that it may keep; over it 507. Default 10 GiB.
    pub full: u64,
    /// A message that the clock sends.
    pub every: Option<Every>,
    /// URLs may lead to private, loopback and link-local addresses.
    pub allow_private: bool,
}

/// Who receives messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// A name in [`Plan::services`](super::Plan::services).
    Service(Arc<str>),
    /// `http://` or `https://`: as written. Without a path, a message's own path is asked for.
    Url(Arc<str>),
}

impl Receiver {
    /// As in the file: its identity across reloads.
    pub fn text(&self) -> &Arc<str> {
        match self {
            Self::Service(text) | Self::Url(text) => text,
        }
    }

    /// The parts of its URL; none for a service.
    pub fn url(&self) -> Option<Url<'_>> {
        match self {
            Self::Service(_) => None,
            Self::Url(text) => Url::split(text),
        }
    }
}

/// The parts of a receiver's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    /// Is it `https://`?
    pub https: bool,
    /// Host and port as written, for `Host`.
    pub authority: &'a str,
    /// Host name or address literal (IPv6 without brackets).
    pub host: &'a str,
    /// 80 or 443 if the URL has none.
    pub port: u16,
    /// Path and query; none: a message's own.
    pub target: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// None if it begins otherwise or its port is none. What is between is not looked at.
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = crate::word::split_port(authority);
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None if https => 443,
            None => 80,
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(Self { https, authority, host, port, target: (!target.is_empty()).then_some(target) })
    }
}

/// `retry = …` of a queue
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redelivery {
    /// Deliveries of a message to a receiver in all, the first included. Default 12.
    pub attempts: u32,
    /// The longest pause after the first failure; it doubles with each. Default 1 s.
    pub first: Duration,
    /// The longest pause. Default 1 h.
    pub longest: Duration,
}

/// `every` and `request`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Every {
    /// When, in UTC; it does come.
    pub cron: Cron,
    /// Upper case; default POST.
    pub method: Arc<str>,
    /// With its query; default `/`.
    pub path: Arc<str>,
    /// Fields, names as written.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Default empty.
    pub body: Arc<str>,
}

/// How a secret begins whose key is in base64 (Standard Webhooks).
const ENCODED: &str = "whsec_";
/// Bytes of such a key.
const KEY: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a key that is written as it is.
const PLAIN: std::ops::RangeInclusive<usize> = 16..=1024;

/// Tools leave the padding out or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why nothing can be signed with a text; it doesn't repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    /// It begins with `whsec_`, and so must go on with base64.
    #[error("what follows `whsec_` is not base64")]
    Base64,
    /// The base64 stands for too few bytes, or too many.
    #[error("what follows `whsec_` stands for {0} bytes, not for 24 to 64")]
    Key(usize),
    /// A text that is the key itself is too short or too long.
    #[error("it has {0} characters, not 16 to 1024")]
    Plain(usize),
}

impl Secret {
    /// The key that deliveries are signed with: what base64 says after `whsec_`, or else the text itself.
    ///
    /// # Errors
    /// When it is no base64, or has a length that no good key has.
    pub fn signing_key(&self) -> Result<Vec<u8>, SecretError> {
        let Some(encoded) = self.0.strip_prefix(ENCODED) else {
            let key = self.0.as_bytes();
            return if PLAIN.contains(&key.len()) {
                Ok(key.to_vec())
            } else {
                Err(SecretError::Plain(key.len()))
            };
        };
        let key = BASE64.decode(encoded).map_err(|_| SecretError::Base64)?;
        if KEY.contains(&key.len()) { Ok(key) } else { Err(SecretError::Key(key.len())) }
    }
}
