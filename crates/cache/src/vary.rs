//! Which of a URL's variants fits a request (RFC 9111 §4.1).
//!
//! A variant is text: the lines of the route's own key, then one for each name in `Vary`, in lower case
//! and sorted: `name:value\n`, or `name\n` if the request lacks the field. Values are normalised in ways
//! that change nothing of what they mean, so that clients that ask for the same share an object. A
//! field's value holds neither line ends nor the byte [`LANGUAGE`], so a line has only one reading.

use std::borrow::Cow;

use smallvec::SmallVec;
use wire::token::{is_token, list, trim};
use wire::{Field, Fields, Known};

/// Names in one `Vary`; a longer one isn't worth a try, and counts as `*`.
const MOST_NAMES: usize = 32;

/// Members of a list that is sorted; a longer one is only compared as it stands.
const MOST_MEMBERS: usize = 64;

/// Before the answer's own language, at the end of the line of `accept-language`.
const LANGUAGE: u8 = 1;

/// Before a value that should be a list with weights but can't be read as one, so that it is never
/// taken for one that can.
const UNREAD: u8 = 2;

/// A value that is being normalised.
type Value = SmallVec<[u8; 128]>;

/// No request ever fits: `Vary` has a `*`, or can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Vary has a `*`, a member that is no field name, or too many of them (RFC 9111 §4.1)")]
pub struct Star;

/// Writes which variant an answer to `request` is, forgetting what `out` held. `rule`: of the request's
/// [`crate::key::Key`].
///
/// # Errors
/// [`Star`]: it may be stored, but only validation makes it fit for another request.
pub fn variant(out: &mut Vec<u8>, rule: &[u8], answer: &Fields, request: &Fields) -> Result<(), Star> {
    out.clear();
    out.extend_from_slice(rule);
    let mut names: SmallVec<[SmallVec<[u8; 24]>; 8]> = SmallVec::new();
    for name in answer.all(Known::Vary).flat_map(list) {
        if name == b"*" || !is_token(name) || names.len() == MOST_NAMES {
            return Err(Star);
        }
        names.push(name.iter().map(u8::to_ascii_lowercase).collect());
    }
    names.sort_unstable();
    names.dedup();
    for name in &names {
        line(out, name, request);
        if name.as_slice() == b"accept-language"
            && let Some(language) = only_language(answer)
        {
            out.push(LANGUAGE);
            out.extend(language.iter().map(u8::to_ascii_lowercase));
        }
        out.push(b'\n');
    }
    Ok(())
}

/// Does a stored variant fit a request? `rule`: of the request's [`crate::key::Key`].
pub fn fits(variant: &[u8], rule: &[u8], request: &Fields) -> bool {
    let Some(mut rest) = variant.strip_prefix(rule) else { return false };
    while let Some(end) = memchr::memchr(b'\n', rest) {
        if !line_fits(&rest[..end], request) {
            return false;
        }
        rest = &rest[end + 1..];
    }
    rest.is_empty()
}

/// Are these the same variant, so that the newer one takes the older one's place? Two answers to one
/// request are, whatever language they chose.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one == other || asked(one) == asked(other)
}

/// What of a variant is the request's: all but the language that the answer chose. Tiers file it by this.
pub(crate) fn asked(variant: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(LANGUAGE, variant).is_none() {
        return variant.into();
    }
    let lines = variant.split(|&b| b == b'\n').map(|line| split_at_byte(line, LANGUAGE).0);
    Cow::Owned(lines.collect::<Vec<_>>().join(&b'\n'))
}

/// Appends `name`, and `:value` if the request has the field; the name is in lower case.
pub(crate) fn line(out: &mut Vec<u8>, name: &[u8], request: &Fields) {
    out.extend_from_slice(name);
    if let Some(value) = normalised(name, request) {
        out.push(b':');
        out.extend_from_slice(&value);
    }
}

fn line_fits(line: &[u8], request: &Fields) -> bool {
    let (asked, language) = split_at_byte(line, LANGUAGE);
    let (name, value) = split_at_byte(asked, b':');
    if !is_token(name) {
        return false; // a cookie of a route's key that isn't the route's any more
    }
    normalised(name, request).as_deref() == value || language.is_some_and(|it| prefers(request, it))
}

fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    memchr::memchr(byte, text).map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// The language of an answer that has just one.
fn only_language(answer: &Fields) -> Option<&[u8]> {
    let mut languages = values(answer, b"content-language").flat_map(list);
    languages.next().filter(|it| languages.next().is_none() && is_token(it))
}

/// All values of a field.
fn values<'a>(fields: &'a Fields, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let known = Known::of(name);
    let is_it = move |field: &Field<'_>| {
        field.known == known && (known != Known::Other || field.name.eq_ignore_ascii_case(name))
    };
    fields.iter().filter(is_it).map(|field| field.value)
}

/// A field's values as one, in the form that all lists of the same meaning share; none if the request
/// lacks it.
fn normalised(name: &[u8], request: &Fields) -> Option<Value> {
    values(request, name).next()?;
    let mut out = Value::new();
    let is_read = match name {
        b"accept-encoding" => codings(&mut out, values(request, name)),
        b"accept" | b"accept-charset" | b"accept-language" => weighted(&mut out, values(request, name)),
        // Not lists: a comma in them means nothing, and white space may.
        b"authorization" | b"cookie" | b"referer" | b"user-agent" => {
            join(&mut out, values(request, name));
            true
        }
        _ => {
            join(&mut out, values(request, name).flat_map(|value| members(value, true)));
            true
        }
    };
    if !is_read {
        out.clear();
        out.push(UNREAD);
        join(&mut out, values(request, name).flat_map(|value| members(value, true)));
    }
    Some(out)
}

fn join<'a>(out: &mut Value, members: impl Iterator<Item = &'a [u8]>) {
    for (i, member) in members.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(member);
    }
}

/// The members of a list whose commas may stand in quotes, trimmed, empty ones left out. In quoted
/// strings a backslash escapes (RFC 9110 §5.6.4), in entity tags it doesn't (§8.8.3).
pub(crate) fn members(value: &[u8], escapes: bool) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let is_end = move |&byte: &u8| {
        match byte {
            _ if escaped => escaped = false,
            b'"' => quoted = !quoted,
            b'\\' => escaped = quoted && escapes,
            _ => {}
        }
        byte == b',' && !quoted
    };
    value.split(is_end).map(trim).filter(|member| !member.is_empty())
}

/// A member of a list with weights (RFC 9110 §12.4.2): what it names, and its weight in thousandths.
/// None if it can't be read.
fn weight(member: &[u8]) -> Option<(SmallVec<[u8; 24]>, u16)> {
    let mut parts = member.split(|&b| b == b';').map(trim);
    let mut text: SmallVec<[u8; 24]> = parts.next()?.iter().map(u8::to_ascii_lowercase).collect();
    let mut weight = 1000;
    for part in parts {
        let (name, value) = split_at_byte(part, b'=');
        if name.eq_ignore_ascii_case(b"q") {
            weight = thousandths(value?)?;
            continue;
        }
        text.push(b';');
        text.extend(name.iter().map(u8::to_ascii_lowercase));
        if let Some(value) = value {
            text.push(b'=');
            text.extend_from_slice(value);
        }
    }
    (!text.contains(&b'"')).then_some((text, weight))
}

/// `0.5` is 500.
fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, digits) = split_at_byte(weight, b'.');
    let digits = digits.unwrap_or_default();
    let fraction =
        [100, 10, 1].into_iter().zip(digits).map(|(unit, &b)| unit * u16::from(b.wrapping_sub(b'0')));
    match (whole, digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit)) {
        (b"0", true) => Some(fraction.sum()),
        (b"1", true) if digits.iter().all(|&b| b == b'0') => Some(1000),
        _ => None,
    }
}

/// A list with weights: the heaviest first, those of one weight in the alphabet's order. False if it
/// can't be read as one.
fn weighted<'a>(out: &mut Value, values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut all: SmallVec<[(SmallVec<[u8; 24]>, u16); 8]> = SmallVec::new();
    for member in values.flat_map(list) {
        match weight(member) {
            Some(it) if all.len() < MOST_MEMBERS => all.push(it),
            _ => return false,
        }
    }
    all.sort_unstable_by(|(one, heavy), (other, light)| light.cmp(heavy).then_with(|| one.cmp(other)));
    all.dedup();
    for (i, (text, weight)) in all.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(text);
        if *weight < 1000 {
            out.extend_from_slice(b";q=0.");
            out.extend([weight / 100, weight / 10 % 10, weight % 10].map(|digit| b'0' + digit as u8));
        }
    }
    true
}

/// The codings that a client takes, as a set: whichever of them it gets, it can read. False if it can't
/// be read.
fn codings<'a>(out: &mut Value, values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut taken: SmallVec<[SmallVec<[u8; 24]>; 8]> = SmallVec::new();
    let mut refused: SmallVec<[SmallVec<[u8; 24]>; 8]> = SmallVec::new();
    for member in values.flat_map(list) {
        let Some((mut coding, weight)) = weight(member) else { return false };
        if taken.len() + refused.len() == MOST_MEMBERS || !is_token(&coding) {
            return false;
        }
        if matches!(coding.as_slice(), b"x-gzip" | b"x-compress") {
            coding.drain(..2); // other names of the same (RFC 9110 §8.4.1)
        }
        if weight == 0 { refused.push(coding) } else { taken.push(coding) }
    }
    // What isn't named is refused anyway, unless `*` names it; only `identity` needs no name.
    let any = taken.iter().any(|coding| coding.as_slice() == b"*");
    refused.retain(|coding| any || matches!(coding.as_slice(), b"identity" | b"*"));
    taken.retain(|coding| coding.as_slice() != b"identity");
    for refused in &mut refused {
        refused.extend_from_slice(b";q=0");
    }
    taken.append(&mut refused);
    taken.sort_unstable();
    taken.dedup();
    join(out, taken.iter().map(|coding| &coding[..]));
    true
}

/// Is `language` the one that the request would rather have than any other? Then an endpoint that has it
/// can't choose better.
fn prefers(request: &Fields, language: &[u8]) -> bool {
    let mut best = (0, false);
    for member in values(request, b"accept-language").flat_map(list) {
        let Some((tag, weight)) = weight(member) else { return false };
        let is_it = tag.as_slice() == language;
        if weight > best.0 {
            best = (weight, is_it);
        } else if weight == best.0 {
            best.1 &= is_it;
        }
    }
    best.1
}
