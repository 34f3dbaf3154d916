//! Signatures of deliveries as Standard Webhooks has them: HMAC-SHA256 over `id.timestamp.body`.
//!
//! With two secrets there are two signatures, so that receivers can change from one to the other at
//! their own time.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use config::plan::Secret;
use thiserror::Error;

/// What a signature of this kind begins with.
const VERSION: &str = "v1";
/// Bytes of a signature.
const SIGNATURE: usize = 32;
/// The most bytes of `webhook-id` that are read.
const LONGEST_ID: usize = 256;
/// The most bytes of `webhook-signature` that are read.
const LONGEST: usize = 2048;

/// Makes `webhook-signature` of a body that comes in pieces.
pub struct Signer {
    contexts: Vec<hmac::Context>,
}

impl Signer {
    /// Signs with each of these secrets; one that has no
    /// [`signing_key`](Secret::signing_key), which no plan holds, is left out. `timestamp`, in seconds
    /// since 1970, is sent as `webhook-timestamp`, and `id`, without a dot in it, as `webhook-id`.
    pub fn new(secrets: &[Secret], id: &str, timestamp: u64) -> Self {
        let start = format!("{id}.{timestamp}.");
        let context = |key: Vec<u8>| {
            let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
            context.update(start.as_bytes());
            context
        };
        Self { contexts: secrets.iter().flat_map(Secret::signing_key).map(context).collect() }
    }

    /// Adds a piece of the body.
    pub fn update(&mut self, body: &[u8]) {
        for context in &mut self.contexts {
            context.update(body);
        }
    }

    /// The value of `webhook-signature`: one for each secret, in their order.
    pub fn finish(self) -> String {
        let signature = |context: hmac::Context| format!("{VERSION},{}", BASE64.encode(context.sign()));
        self.contexts.into_iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

/// The fields of a delivery that say who sent it, as they came.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `webhook-id`
    pub id: &'a [u8],
    /// `webhook-timestamp`
    pub timestamp: &'a [u8],
    /// `webhook-signature`
    pub signature: &'a [u8],
}

/// Why a delivery isn't to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unverified {
    /// An id is visible ASCII without a dot: with one, id and timestamp could be read in two ways.
    #[error("webhook-id is not the id of a message")]
    Id,
    /// A timestamp is a decimal number.
    #[error("webhook-timestamp is not a number of seconds")]
    Timestamp,
    /// It may have been sent before, by somebody who listened.
    #[error("webhook-timestamp is too long ago, or in the future")]
    Time,
    /// The list has an entry that is none, or none that is known here.
    #[error("webhook-signature is not a list such as `v1,BASE64 v1,BASE64`")]
    Malformed,
    /// Nobody who knows a secret signed this.
    #[error("no signature fits")]
    Signature,
}

impl Signed<'_> {
    /// Did somebody sign this body who knows one of the secrets? `now` and `tolerance`, by which clocks
    /// may differ and deliveries be slow, are in seconds.
    ///
    /// # Errors
    /// [`Unverified`]
    pub fn verify(
        &self,
        body: &[u8],
        secrets: &[Secret],
        now: u64,
        tolerance: u64,
    ) -> Result<(), Unverified> {
        let good_id = |id: &&str| {
            let good = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
            (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(good)
        };
        let id = std::str::from_utf8(self.id).ok().filter(good_id).ok_or(Unverified::Id)?;
        let timestamp = seconds(self.timestamp).ok_or(Unverified::Timestamp)?;
        let given = signatures(self.signature)?;
        if now.abs_diff(timestamp) > tolerance {
            return Err(Unverified::Time);
        }
        let mut signer = Signer::new(secrets, id, timestamp);
        signer.update(body);
        let made: Vec<hmac::Tag> = signer.contexts.into_iter().map(hmac::Context::sign).collect();
        let fits = |given: &[u8; SIGNATURE]| {
            made.iter().any(|made| verify_slices_are_equal(made.as_ref(), given).is_ok())
        };
        if given.iter().any(fits) { Ok(()) } else { Err(Unverified::Signature) }
    }
}

/// A decimal number, as it is signed: without zeros before it.
fn seconds(text: &[u8]) -> Option<u64> {
    wire::token::decimal(text).filter(|_| text == b"0" || !text.starts_with(b"0"))
}

/// The signatures of our version; those of others, which are newer or asymmetric, are left out.
fn signatures(list: &[u8]) -> Result<Vec<[u8; SIGNATURE]>, Unverified> {
    let text = std::str::from_utf8(list).ok().filter(|text| text.len() <= LONGEST);
    let mut signatures = Vec::new();
    for entry in text.ok_or(Unverified::Malformed)?.split(' ') {
        let (version, encoded) = entry.split_once(',').ok_or(Unverified::Malformed)?;
        let is_version =
            version.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let decoded = BASE64.decode(encoded).ok().filter(|_| is_version).ok_or(Unverified::Malformed)?;
        if version == VERSION {
            signatures.push(decoded.try_into().map_err(|_| Unverified::Malformed)?);
        }
    }
    Ok(signatures)
}
