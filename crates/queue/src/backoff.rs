//! What does an answer mean for a delivery, and when is it tried again?
//!
//! The pauses have full jitter: anything from nothing to twice the limit before, so that deliveries that
//! failed together don't come back together.

use config::plan::Redelivery;
use jiff::civil;
use jiff::fmt::strtime;

/// A receiver that asks for a longer pause than this doesn't get it, in milliseconds.
pub const LONGEST_WISH: u64 = 24 * 60 * 60 * 1000;

/// What is added to a receiver's wish is at most so long, in milliseconds.
const LONGEST_JITTER: u64 = 5_000;

/// What came of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The answer's; 0: there was none.
    pub status: u16,
    /// From its `Retry-After`, in milliseconds from now on; see [`retry_after`].
    pub retry_after: Option<u64>,
    /// No answer, and none will come another time.
    pub hopeless: bool,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// How long it took, in milliseconds.
    pub took: u32,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more.
    Done,
    /// It is tried again after so many milliseconds.
    Again(u64),
    /// Nothing can be.
    Dead,
}

/// Judges the `attempt`-th delivery, the first being 1. `random` is any number.
pub fn judge(outcome: &Outcome, attempt: u32, retry: &Redelivery, random: u64) -> Verdict {
    match outcome.status {
        _ if outcome.hopeless => Verdict::Dead,
        200..=299 => Verdict::Done,
        0 | 408 | 425 | 429 | 500..=599 if attempt < retry.attempts => {
            let least = outcome.retry_after.map_or(0, |wish| wish + jitter(wish, random));
            Verdict::Again(pause(retry, attempt, random).max(least))
        }
        _ => Verdict::Dead,
    }
}

/// Milliseconds between the `attempt`-th delivery and the next.
pub fn pause(retry: &Redelivery, attempt: u32, random: u64) -> u64 {
    let doubled = 1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
    let limit = milliseconds(retry.first).saturating_mul(doubled).min(milliseconds(retry.longest));
    uniform(limit, random)
}

/// So that those who were told the same time don't all come at it.
fn jitter(wish: u64, random: u64) -> u64 {
    uniform((wish / 10).min(LONGEST_JITTER), random)
}

/// One of 0 to `most`, each as likely, if `random` is.
fn uniform(most: u64, random: u64) -> u64 {
    ((u128::from(random) * (u128::from(most) + 1)) >> u64::BITS) as u64
}

pub(crate) fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `Retry-After` (RFC 9110 §10.2.3), seconds or a date, in milliseconds from `now` on; at most
/// [`LONGEST_WISH`]. None: it is neither.
pub fn retry_after(value: &[u8], now: u64) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let wish = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().unwrap_or(u64::MAX).saturating_mul(1000)
    } else {
        date(text)?.saturating_sub(now)
    };
    Some(wish.min(LONGEST_WISH))
}

/// One of the three forms of an HTTP date (RFC 9110 §5.6.7), in milliseconds since 1970.
fn date(text: &str) -> Option<u64> {
    const FORMS: [&str; 3] =
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let read = |form: &&str| strtime::parse(form, text).ok()?.to_datetime().ok();
    let date = FORMS.iter().find_map(read)?;
    let since = date.duration_since(civil::date(1970, 1, 1).to_datetime(civil::Time::midnight()));
    Some(u64::try_from(since.as_millis()).unwrap_or(0))
}
