//! What `Cache-Control`, `CDN-Cache-Control` and `Pragma` say (RFC 9111 §5.2, §5.4; RFC 9213; RFC 5861).
//!
//! In doubt the stricter reading holds. A directive that restricts counts whatever argument it has; one
//! that permits counts only as it is defined. A number that can't be read is 0, which is stale for an
//! answer and asks for nothing stale in a request. Of a number that is said more than once the smallest
//! counts: RFC 9111 §4.2.1 wants the first to be used or the answer to be stale, and at any moment the
//! smallest does as one of the two would. So the order of directives never matters.

use wire::{Fields, Known, token};

use crate::structured::{self, Value};

/// What a client wishes of a cache. All of it is advice (RFC 9111 §5.2.1), and all of it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestControl {
    /// Nothing stored without validation.
    pub no_cache: bool,
    /// Its answer isn't stored.
    pub no_store: bool,
    /// Only what is stored, else 504.
    pub only_if_cached: bool,
    /// Seconds of age that it may have at most.
    pub max_age: Option<u32>,
    /// Seconds that it must stay fresh at least.
    pub min_fresh: Option<u32>,
    /// Seconds that it may be stale; [`u32::MAX`]: any.
    pub max_stale: Option<u32>,
    /// Seconds that it may be stale if no new answer can be had (RFC 5861 §4).
    pub stale_if_error: Option<u32>,
}

/// What an answer says of its use by a shared cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerControl {
    /// Not stored (RFC 9111 §5.2.2.5).
    pub no_store: bool,
    /// Never used without validation (§5.2.2.4).
    pub no_cache: bool,
    /// Fields that `no-cache="…"` names: not sent again without validation.
    pub no_cache_fields: Vec<Box<[u8]>>,
    /// For one user, so not stored (§5.2.2.7).
    pub private: bool,
    /// Fields that `private="…"` names: not stored.
    pub private_fields: Vec<Box<[u8]>>,
    /// May be stored where it otherwise mightn't (§5.2.2.9).
    pub public: bool,
    /// Never used stale (§5.2.2.2).
    pub must_revalidate: bool,
    /// Never used stale by a shared cache (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// Stored only by who understands its status, and then `no-store` says nothing (§5.2.2.3).
    pub must_understand: bool,
    /// Seconds of age up to which it is fresh in a shared cache (§5.2.2.10).
    pub s_maxage: Option<u32>,
    /// Seconds of age up to which it is fresh (§5.2.2.1).
    pub max_age: Option<u32>,
    /// Seconds that it may be stale while it is fetched anew (RFC 5861 §3).
    pub stale_while_revalidate: Option<u32>,
    /// Seconds that it may be stale if no new one can be had (RFC 5861 §4).
    pub stale_if_error: Option<u32>,
    /// `CDN-Cache-Control` says all this, so `Expires` says nothing (RFC 9213 §2.2).
    pub targeted: bool,
}

impl AnswerControl {
    /// Is this field nominated not to be stored?
    pub fn withholds(&self, name: &[u8]) -> bool {
        self.no_cache_fields.iter().chain(&self.private_fields).any(|held| held.eq_ignore_ascii_case(name))
    }

    /// Does it let a shared cache store an answer to a request with credentials (RFC 9111 §3.5)?
    pub fn permits_shared_use(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }
}

/// Reads a request's wishes. `Pragma: no-cache` counts if there is no `Cache-Control`.
#[inline]
pub fn of_request(fields: &Fields) -> RequestControl {
    let mut control = RequestControl::default();
    if fields.get(Known::CacheControl).is_none() {
        control.no_cache = fields.has_member(Known::Pragma, b"no-cache");
        return control;
    }
    for line in fields.all(Known::CacheControl) {
        for (name, argument) in directives(line) {
            control.add(name, argument);
        }
    }
    control
}

impl RequestControl {
    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            lower(&mut self.max_age, argument.seconds());
        } else if is("min-fresh") {
            self.min_fresh = self.min_fresh.max(Some(argument.seconds()));
        } else if is("max-stale") {
            let any = matches!(argument, Argument::None);
            lower(&mut self.max_stale, if any { u32::MAX } else { argument.seconds() });
        } else if is("stale-if-error") {
            lower(&mut self.stale_if_error, argument.seconds());
        }
    }
}

/// Reads what an answer says. `CDN-Cache-Control` alone counts if it is a dictionary and not empty.
pub fn of_answer(fields: &Fields) -> AnswerControl {
    if let Some(control) = targeted(fields) {
        return control;
    }
    let mut control = AnswerControl::default();
    for line in fields.all(Known::CacheControl) {
        for (name, argument) in directives(line) {
            control.add(name, argument);
        }
    }
    control
}

/// The field's lines make one dictionary together (RFC 9651 §4.2).
fn targeted(fields: &Fields) -> Option<AnswerControl> {
    let mut lines = fields.all(Known::CdnCacheControl);
    let (first, second) = (lines.next()?, lines.next());
    let joined: Vec<u8>;
    let value = if second.is_none() {
        first
    } else {
        joined = fields.all(Known::CdnCacheControl).collect::<Vec<_>>().join(&b", "[..]);
        &joined
    };
    let mut control = AnswerControl { targeted: true, ..AnswerControl::default() };
    structured::dictionary(value, |key, value| control.set(key, value))?;
    Some(control)
}

impl AnswerControl {
    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("max-age") {
            lower(&mut self.max_age, argument.seconds());
        } else if is("s-maxage") {
            lower(&mut self.s_maxage, argument.seconds());
        } else if is("stale-while-revalidate") {
            lower(&mut self.stale_while_revalidate, argument.seconds());
        } else if is("stale-if-error") {
            lower(&mut self.stale_if_error, argument.seconds());
        } else if is("public") {
            self.public |= matches!(argument, Argument::None);
        } else if is("no-cache") {
            match argument.names() {
                Some(names) => self.no_cache_fields.extend(names),
                None => self.no_cache = true,
            }
        } else if is("private") {
            match argument.names() {
                Some(names) => self.private_fields.extend(names),
                None => self.private = true,
            }
        } else if let Some(flag) = self.flag(name) {
            *flag = true;
        }
    }

    /// A member of a targeted field: the last of a key counts, a value of another type than the
    /// directive has is the strictest that it could be (RFC 9213 §2.1), and false is not there.
    fn set(&mut self, key: &[u8], value: Value<'_>) {
        let seconds = match value {
            Value::Integer(n) => u32::try_from(n.max(0)).unwrap_or(u32::MAX),
            _ => 0,
        };
        let is_there = value != Value::Boolean(false);
        match key {
            b"max-age" => self.max_age = Some(seconds),
            b"s-maxage" => self.s_maxage = Some(seconds),
            b"stale-while-revalidate" => self.stale_while_revalidate = Some(seconds),
            b"stale-if-error" => self.stale_if_error = Some(seconds),
            b"public" => self.public = value == Value::Boolean(true),
            b"no-cache" | b"private" => {
                let names = match value {
                    Value::String(list) => names(list),
                    _ => None,
                };
                let all = is_there && names.is_none();
                let names = names.unwrap_or_default();
                if key == b"private" {
                    (self.private, self.private_fields) = (all, names);
                } else {
                    (self.no_cache, self.no_cache_fields) = (all, names);
                }
            }
            _ => {
                if let Some(flag) = self.flag(key) {
                    *flag = is_there;
                }
            }
        }
    }

    /// The directives that restrict and have no argument.
    fn flag(&mut self, name: &[u8]) -> Option<&mut bool> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("no-store") {
            Some(&mut self.no_store)
        } else if is("must-revalidate") {
            Some(&mut self.must_revalidate)
        } else if is("proxy-revalidate") {
            Some(&mut self.proxy_revalidate)
        } else if is("must-understand") {
            Some(&mut self.must_understand)
        } else {
            None
        }
    }
}

fn lower(slot: &mut Option<u32>, seconds: u32) {
    *slot = Some(slot.map_or(seconds, |before| before.min(seconds)));
}

/// What follows the `=` of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument<'a> {
    None,
    Token(&'a [u8]),
    /// What stands between the quotes, with its backslashes.
    Quoted(&'a [u8]),
    /// What the grammar doesn't know.
    Bad,
}

impl Argument<'_> {
    /// `delta-seconds`, quoted or not (RFC 9111 §5.2); too large ones are the largest there is (§1.2.2).
    fn seconds(self) -> u32 {
        match self {
            Argument::Token(text) => delta_seconds(text.iter().copied()),
            Argument::Quoted(text) => delta_seconds(unescaped(text)),
            Argument::None | Argument::Bad => None,
        }
        .unwrap_or(0)
    }

    /// None unless it is a list of at least one name: then the directive speaks of the whole answer.
    fn names(self) -> Option<Vec<Box<[u8]>>> {
        match self {
            Argument::Token(text) | Argument::Quoted(text) => names(text),
            Argument::None | Argument::Bad => None,
        }
    }
}

/// A decimal number without a sign (RFC 9111 §1.2.2), however long; over 32 bits it is [`u32::MAX`].
pub(crate) fn delta_seconds(digits: impl IntoIterator<Item = u8>) -> Option<u32> {
    let mut digits = digits.into_iter().peekable();
    digits.peek()?;
    digits.try_fold(0u32, |n, b| {
        let digit = b.is_ascii_digit().then(|| u32::from(b - b'0'))?;
        Some(n.saturating_mul(10).saturating_add(digit))
    })
}

/// What a quoted string means (RFC 9110 §5.6.4).
fn unescaped(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut escaped = false;
    text.iter().copied().filter(move |&b| {
        escaped = b == b'\\' && !escaped;
        !escaped
    })
}

/// A list of field names, from within a quoted string.
fn names(text: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let text: Vec<u8> = unescaped(text).collect();
    let names: Vec<Box<[u8]>> = token::list(&text).map(Box::from).collect();
    (!names.is_empty() && names.iter().all(|name| token::is_token(name))).then_some(names)
}

/// The directives of one line. A name ends where a token ends; what isn't a list of directives gives
/// names whose arguments are bad, so that nothing that restricts is passed over (`no-store; max-age=9`).
fn directives(line: &[u8]) -> impl Iterator<Item = (&[u8], Argument<'_>)> {
    let mut rest = line;
    let mut unclosed = false;
    std::iter::from_fn(move || {
        loop {
            while let [b' ' | b'\t' | b',', more @ ..] = rest {
                rest = more;
            }
            if rest.is_empty() {
                return None;
            }
            let (name, after) = rest.split_at(token_length(rest));
            let argument = match argument(after) {
                Some((argument, more)) => {
                    rest = more;
                    argument
                }
                None => {
                    // Quotes that never close hide where the next directive begins.
                    unclosed |= after.starts_with(b"=\"") && closing_quote(&after[2..]).is_none();
                    rest = memchr::memchr(b',', after).map_or(&[][..], |at| &after[at..]);
                    Argument::Bad
                }
            };
            if !name.is_empty() {
                return Some((name, if unclosed { Argument::Bad } else { argument }));
            }
        }
    })
}

/// The argument at the front of what follows a name, and what follows it: nothing or a comma.
fn argument(text: &[u8]) -> Option<(Argument<'_>, &[u8])> {
    let (argument, rest) = match text {
        [b'=', b'"', quoted @ ..] => {
            let end = closing_quote(quoted)?;
            (Argument::Quoted(&quoted[..end]), &quoted[end + 1..])
        }
        [b'=', token @ ..] => {
            let end = token_length(token);
            let argument = if end == 0 { Argument::Bad } else { Argument::Token(&token[..end]) };
            (argument, &token[end..])
        }
        _ => (Argument::None, text),
    };
    let end = rest.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(rest.len());
    matches!(rest.get(end), None | Some(b',')).then_some((argument, &rest[end..]))
}

fn token_length(text: &[u8]) -> usize {
    text.iter().position(|&b| !token::is_token(&[b])).unwrap_or(text.len())
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    })
}
