//! How old an answer is, and how long it is fresh (RFC 9111 §4.2).
//!
//! Ages are whole seconds; sums are made in 64 bits and kept in 32, where the greatest number stands for
//! all that are greater (RFC 9111 §1.2.2), so nothing wraps.

use std::time::Duration;

use wire::{Fields, Known, token};

use crate::Facts;
use crate::control::{AnswerControl, delta_seconds};
use crate::date;

/// The longest that an answer is taken to be fresh if it doesn't say: a day.
pub const LONGEST_GUESS: u32 = 24 * 60 * 60;

/// A guess is this part of the time since the last change: a tenth (RFC 9111 §4.2.2).
const PART: u64 = 10;

/// When a request was sent and its answer's head came, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// `request_time` (RFC 9111 §4.2.3).
    pub requested_ms: u64,
    /// `response_time`.
    pub received_ms: u64,
}

impl Times {
    /// Seconds since 1970 of the answer.
    pub fn received(self) -> u64 {
        self.received_ms / 1000
    }

    /// When the endpoint says that it made the answer, else when it came (RFC 9110 §6.6.1); seconds since
    /// 1970.
    fn made(self, fields: &Fields) -> u64 {
        date_of(fields, Known::Date, self.received()).unwrap_or(self.received())
    }
}

/// How long an answer is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Of age.
    pub seconds: u32,
    /// It doesn't say so itself.
    pub guessed: bool,
}

fn date_of(fields: &Fields, name: Known, now: u64) -> Option<u64> {
    fields.get(name).and_then(|value| date::parse(value, now))
}

fn clamp(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// `corrected_initial_age` (RFC 9111 §4.2.3) in seconds. Of a list of ages the first counts, and one that
/// is no number says nothing (§5.1).
pub fn initial_age(fields: &Fields, times: Times) -> u32 {
    let first = fields.get(Known::Age).and_then(|value| token::list(value).next());
    let age = first.and_then(|age| delta_seconds(age.iter().copied())).unwrap_or(0);
    let delay = times.received_ms.saturating_sub(times.requested_ms) / 1000;
    let apparent = times.received().saturating_sub(times.made(fields));
    clamp(apparent.max(u64::from(age).saturating_add(delay)))
}

/// How long an answer with this status is fresh (RFC 9111 §4.2.1): as it says, else `default_ttl` or
/// some of the time since it changed, where a guess is allowed.
pub fn lifetime(
    status: u16,
    fields: &Fields,
    control: &AnswerControl,
    default_ttl: Option<Duration>,
    times: Times,
) -> Lifetime {
    let said = control.s_maxage.or(control.max_age).or_else(|| expires(fields, control, times));
    if let Some(seconds) = said {
        return Lifetime { seconds, guessed: false };
    }
    let seconds = match default_ttl {
        _ if !may_be_guessed(status, control) => 0,
        Some(ttl) => clamp(ttl.as_secs()),
        None => guess(fields, times),
    };
    Lifetime { seconds, guessed: true }
}

/// `Expires` less `Date` (§5.3): 0 if any of its lines is no date, else of the earliest.
fn expires(fields: &Fields, control: &AnswerControl, times: Times) -> Option<u32> {
    if control.targeted {
        return None;
    }
    let dates = fields.all(Known::Expires).map(|value| date::parse(value, times.received()).unwrap_or(0));
    dates.min().map(|earliest| clamp(earliest.saturating_sub(times.made(fields))))
}

/// May its freshness be guessed (RFC 9111 §4.2.2; the statuses are those of RFC 9110 §15.1)?
pub fn may_be_guessed(status: u16, control: &AnswerControl) -> bool {
    control.public || matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn guess(fields: &Fields, times: Times) -> u32 {
    date_of(fields, Known::LastModified, times.received())
        .map_or(0, |changed| clamp(times.made(fields).saturating_sub(changed) / PART).min(LONGEST_GUESS))
}

/// `current_age` (RFC 9111 §4.2.3) in seconds, at `now` in seconds since 1970.
#[inline]
pub fn age(facts: &Facts, now: u64) -> u64 {
    now.saturating_sub(u64::from(facts.received)).saturating_add(u64::from(facts.initial_age))
}

/// Seconds for which it stays fresh; 0 or less: it is stale by so many.
#[inline]
pub fn ttl(facts: &Facts, now: u64) -> i64 {
    i64::from(facts.lifetime).saturating_sub_unsigned(age(facts, now))
}
