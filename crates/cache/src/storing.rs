//! Which answers a shared cache may store, and which it is of use to store (RFC 9111 §3).

use std::time::Duration;

use config::plan::CacheRules;
use wire::{Fields, Known, Method, RequestHead, ResponseHead, token};

use crate::control::{self, AnswerControl};
use crate::freshness::{self, Lifetime, Times};
use crate::{Facts, Flags, date};

/// Why an answer isn't stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotStored {
    /// Only GET's answers are, and a POST's that say that they are what GET would get (RFC 9110 §9.3.3).
    #[error("an answer to this method isn't stored")]
    Method,
    /// RFC 9111 §5.2.1.5
    #[error("the request says no-store")]
    RequestNoStore,
    /// RFC 9111 §5.2.2.5
    #[error("the answer says no-store")]
    NoStore,
    /// RFC 9111 §5.2.2.7
    #[error("the answer says private")]
    Private,
    /// RFC 9111 §3.5
    #[error("the request has Authorization and the answer says none of public, s-maxage, must-revalidate")]
    Authorization,
    /// Of a kind that isn't stored, or not without explicit freshness.
    #[error("an answer with this status isn't stored")]
    Status,
    /// RFC 9111 §5.2.2.3
    #[error("the answer says must-understand and its status isn't known here")]
    MustUnderstand,
    /// It could never be used again: not fresh, and without a validator.
    #[error("the answer isn't fresh and can't be validated")]
    NoFreshness,
    /// It is only for use after validation, and has no validator.
    #[error("the answer says no-cache and can't be validated")]
    NoValidator,
    /// RFC 9111 §4.1: it would fit no request.
    #[error("the answer says Vary: *")]
    VaryStar,
    /// Some part, but not said which, or several at once.
    #[error("it isn't one range of bytes")]
    Partial,
    /// Larger than the route or the node wants to keep.
    #[error("the answer is too large")]
    TooLarge,
    /// A cookie, and nobody said that the answer may be used for others.
    #[error("the answer sets a cookie and doesn't say how long it is fresh")]
    SetCookie,
}

impl NotStored {
    /// The token for `detail` in `Cache-Status` (RFC 9211 §2.8).
    pub fn detail(&self) -> &'static str {
        match self {
            NotStored::Method => "method",
            NotStored::RequestNoStore => "request-no-store",
            NotStored::NoStore => "no-store",
            NotStored::Private => "private",
            NotStored::Authorization => "authorization",
            NotStored::Status => "status",
            NotStored::MustUnderstand => "must-understand",
            NotStored::NoFreshness => "no-freshness",
            NotStored::NoValidator => "no-validator",
            NotStored::VaryStar => "vary-star",
            NotStored::Partial => "partial",
            NotStored::TooLarge => "too-large",
            NotStored::SetCookie => "set-cookie",
        }
    }
}

/// May this answer be stored, and what is then known of it? A 206 gives the facts of the 200 that it is
/// part of.
///
/// # Errors
/// Why not.
pub fn judge(
    request: &RequestHead,
    answer: &ResponseHead,
    rules: &CacheRules,
    times: Times,
) -> Result<Facts, NotStored> {
    let control = control::of_answer(&answer.fields);
    match request.method {
        Method::Get => {}
        Method::Post if content_is_of_target(request, answer) => {}
        _ => return Err(NotStored::Method),
    }
    if !is_of_the_resource(request, answer.status) {
        return Err(NotStored::Status);
    }
    permitted(request, answer, &control)?;
    let lifetime = freshness::lifetime(answer.status, &answer.fields, &control, rules.default_ttl, times);
    is_based(request, answer, &control, lifetime)?;
    fits(answer, rules)?;
    let facts = facts(answer, &control, rules, lifetime, times);
    of_use(&answer.fields, &facts)?;
    Ok(facts)
}

/// Is this field, by its name, not to be stored, as the answer wishes (RFC 9111 §5.2.2.4, §5.2.2.7)?
pub fn unstored_fields(control: &AnswerControl) -> impl Fn(&[u8]) -> bool {
    |name| control.withholds(name)
}

/// Statuses that say nothing of the resource to anyone but this client are out: interim ones, and those
/// that answer its conditions or its range.
fn is_of_the_resource(request: &RequestHead, status: u16) -> bool {
    let has = |names: &[Known]| names.iter().any(|&name| request.fields.get(name).is_some());
    match status {
        0..200 | 304 => false,
        206 => request.method == Method::Get,
        412 => !has(&[Known::IfMatch, Known::IfNoneMatch, Known::IfModifiedSince, Known::IfUnmodifiedSince]),
        416 => !has(&[Known::Range]),
        _ => true,
    }
}

/// What forbids storing (RFC 9111 §3).
fn permitted(request: &RequestHead, answer: &ResponseHead, control: &AnswerControl) -> Result<(), NotStored> {
    if control::of_request(&request.fields).no_store {
        return Err(NotStored::RequestNoStore);
    }
    match (control.must_understand, is_understood(answer.status)) {
        (true, false) => return Err(NotStored::MustUnderstand),
        (false, _) if control.no_store => return Err(NotStored::NoStore),
        _ => {}
    }
    if control.private {
        return Err(NotStored::Private);
    }
    if request.fields.get(Known::Authorization).is_some() && !control.permits_shared_use() {
        return Err(NotStored::Authorization);
    }
    if answer.fields.has_member(Known::Vary, b"*") {
        return Err(NotStored::VaryStar);
    }
    Ok(())
}

/// Statuses whose meaning for caches RFC 9110 §15 defines; what they ask is done here.
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=206 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// What must be there for storing at all: explicit freshness, `public`, or a status that allows a guess
/// (RFC 9111 §3). Guesses are not for what sets a cookie or answers a POST.
fn is_based(
    request: &RequestHead,
    answer: &ResponseHead,
    control: &AnswerControl,
    lifetime: Lifetime,
) -> Result<(), NotStored> {
    let sets_cookie = answer.fields.get(Known::SetCookie).is_some() && !control.withholds(b"set-cookie");
    match () {
        () if !lifetime.guessed => Ok(()),
        () if request.method == Method::Post => Err(NotStored::NoFreshness),
        () if sets_cookie => Err(NotStored::SetCookie),
        () if freshness::may_be_guessed(answer.status, control) => Ok(()),
        () => Err(NotStored::Status),
    }
}

/// One range of bytes of a part, and not more of a whole than the route wants.
fn fits(answer: &ResponseHead, rules: &CacheRules) -> Result<(), NotStored> {
    let fields = &answer.fields;
    if answer.status == 206 {
        // Several ranges have no Content-Range of their own (RFC 9110 §15.3.7.2).
        let unit = fields.get(Known::ContentRange).and_then(|range| range.get(..6));
        let is_bytes = unit.is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes "));
        return if is_bytes { Ok(()) } else { Err(NotStored::Partial) };
    }
    let length = fields.get(Known::ContentLength).and_then(token::decimal);
    match (length, rules.largest) {
        (Some(length), Some(largest)) if length > largest => Err(NotStored::TooLarge),
        _ => Ok(()),
    }
}

fn facts(
    answer: &ResponseHead,
    control: &AnswerControl,
    rules: &CacheRules,
    lifetime: Lifetime,
    times: Times,
) -> Facts {
    let never = control.no_cache || control.must_revalidate || control.proxy_revalidate;
    let stale = |said: Option<u32>, ruled: Option<Duration>| match said {
        _ if never => 0,
        Some(seconds) => seconds,
        // `s-maxage` forbids stale use but where the answer itself permits it.
        None if control.s_maxage.is_some() => 0,
        None => ruled.map_or(0, |ruled| u32::try_from(ruled.as_secs()).unwrap_or(u32::MAX)),
    };
    let flags = [
        (control.no_cache, Flags::NO_CACHE),
        (never || control.s_maxage.is_some(), Flags::NEVER_STALE),
        (lifetime.guessed, Flags::GUESSED),
        (never || control.stale_if_error.is_some() || rules.stale_if_error.is_some(), Flags::SAYS_STALE),
    ];
    Facts {
        status: if answer.status == 206 { 200 } else { answer.status },
        flags: flags.iter().filter(|(holds, _)| *holds).fold(Flags(0), |all, (_, flag)| all.with(*flag)),
        requested_ms: times.requested_ms,
        received: u32::try_from(times.received()).unwrap_or(u32::MAX),
        initial_age: freshness::initial_age(&answer.fields, times),
        lifetime: lifetime.seconds,
        stale_while_revalidate: stale(control.stale_while_revalidate, rules.stale_while_revalidate),
        stale_if_error: stale(control.stale_if_error, rules.stale_if_error),
    }
}

/// What is never fresh is worth keeping only if it can be validated or used stale.
fn of_use(fields: &Fields, facts: &Facts) -> Result<(), NotStored> {
    let etag = fields.get(Known::Etag).is_some_and(|etag| !etag.is_empty());
    let modified =
        || fields.get(Known::LastModified).and_then(|at| date::parse(at, u64::from(facts.received)));
    if etag || modified().is_some() {
        return Ok(());
    }
    if facts.flags.has(Flags::NO_CACHE) {
        return Err(NotStored::NoValidator);
    }
    if facts.lifetime.max(facts.stale_while_revalidate).max(facts.stale_if_error) == 0 {
        return Err(NotStored::NoFreshness);
    }
    Ok(())
}

/// Does `Content-Location` name the target of the request itself, so that a 200 to a POST is what a GET
/// would give (RFC 9110 §8.7)? What is written another way than the target counts as another.
fn content_is_of_target(request: &RequestHead, answer: &ResponseHead) -> bool {
    let Some(location) = answer.fields.get(Known::ContentLocation).filter(|_| answer.status == 200) else {
        return false;
    };
    let strip = |scheme: &[u8]| {
        let (front, rest) = location.split_at_checked(scheme.len())?;
        front.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let own = request.path_and_query();
    match strip(b"http://").or_else(|| strip(b"https://")).or_else(|| strip(b"//")) {
        Some(rest) => {
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            authority.eq_ignore_ascii_case(request.authority())
                && (path == own || (path.is_empty() && own == b"/"))
        }
        None => is_relative_to(location, request),
    }
}

/// Does a reference without an authority name the target (RFC 3986 §5.2)? With dot segments it doesn't.
fn is_relative_to(reference: &[u8], request: &RequestHead) -> bool {
    let (own, path) = (request.path_and_query(), request.path());
    match reference {
        [] => true,
        [b'/', ..] => reference == own,
        [b'?', ..] => own.strip_prefix(path) == Some(reference),
        _ => {
            let folder = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
            own.get(folder..) == Some(reference)
        }
    }
}
