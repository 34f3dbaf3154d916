//! May what is stored be used for this request, now (RFC 9111 §4, §4.2.4, §5.2.1; RFC 5861)?
//!
//! That the request asks for this very object is settled before: `key` and `vary` see to it.

use crate::control::RequestControl;
use crate::freshness::{age, ttl};
use crate::{Facts, Flags};

/// What may be done with a stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Used.
    Fresh,
    /// Used, and fetched anew for those who come later (RFC 5861 §3).
    StaleWhileRevalidate,
    /// Used though it is stale: the request wants it so (RFC 9111 §5.2.1.2).
    Stale,
    /// Used only once an endpoint confirmed it, or if none can: see [`on_error`].
    Validate(Why),
}

/// Why it isn't used as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It is stale, was purged softly, or is never used without validation.
    Stale,
    /// The request wants a newer one.
    Request,
}

impl Why {
    /// The token for `fwd` in `Cache-Status` (RFC 9211 §2.2).
    pub fn token(self) -> &'static str {
        match self {
            Why::Stale => "stale",
            Why::Request => "request",
        }
    }
}

/// What may be done with it at `now`, in seconds since 1970. `soft`: it was purged softly, so it is stale.
#[inline]
pub fn decide(facts: &Facts, soft: bool, request: &RequestControl, now: u64) -> Verdict {
    if facts.flags.has(Flags::NO_CACHE) {
        return Verdict::Validate(Why::Stale);
    }
    let stale = staleness(facts, soft, now);
    if request.no_cache || wants_newer(facts, request, now) {
        return Verdict::Validate(if stale.is_some() { Why::Stale } else { Why::Request });
    }
    let Some(stale) = stale else {
        return Verdict::Fresh;
    };
    if client_takes_stale(facts, request, stale) {
        return Verdict::Stale;
    }
    // Who says how old or fresh it must be doesn't want it stale, unless max-stale says so.
    let wants_fresh = request.max_age.is_some() || request.min_fresh.is_some();
    if !wants_fresh && stale < u64::from(facts.stale_while_revalidate) {
        return Verdict::StaleWhileRevalidate;
    }
    Verdict::Validate(Why::Stale)
}

/// May it be used at `now`, in seconds since 1970, because no new answer can be had? `disconnected`: no
/// endpoint answered at all (RFC 9111 §4.2.4), rather than with an error such as 503.
pub fn on_error(facts: &Facts, soft: bool, request: &RequestControl, now: u64, disconnected: bool) -> bool {
    let insists = request.no_cache && request.stale_if_error.is_none();
    if insists || facts.flags.has(Flags::NO_CACHE) {
        return false;
    }
    let Some(stale) = staleness(facts, soft, now) else {
        return true;
    };
    let within = |seconds: u32| stale < u64::from(seconds);
    if within(facts.stale_if_error) {
        return true; // whatever else is said of freshness (RFC 5861 §4)
    }
    if facts.flags.has(Flags::NEVER_STALE) {
        return false;
    }
    request.stale_if_error.is_some_and(within)
        || client_takes_stale(facts, request, stale)
        || (disconnected && !facts.flags.has(Flags::SAYS_STALE))
}

/// Is an answer with this status a failure for which `stale-if-error` stands in (RFC 5861 §4)?
pub fn is_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// For how many seconds it is stale already; none if it is fresh.
#[inline]
fn staleness(facts: &Facts, soft: bool, now: u64) -> Option<u64> {
    let ttl = ttl(facts, now);
    (soft || ttl <= 0).then(|| ttl.min(0).unsigned_abs())
}

/// Whole seconds hide up to one of age, so `max-age=0` is never met.
#[inline]
fn wants_newer(facts: &Facts, request: &RequestControl, now: u64) -> bool {
    let too_old = |max: u32| max == 0 || age(facts, now) > u64::from(max);
    let too_short = |min: u32| min > 0 && ttl(facts, now) < i64::from(min);
    request.max_age.is_some_and(too_old)
        || (request.max_stale.is_none() && request.min_fresh.is_some_and(too_short))
}

/// `max-stale`, unless the answer forbids stale use.
#[inline]
fn client_takes_stale(facts: &Facts, request: &RequestControl, stale: u64) -> bool {
    let takes = |max: u32| max == u32::MAX || stale <= u64::from(max);
    !facts.flags.has(Flags::NEVER_STALE) && request.max_stale.is_some_and(takes)
}
