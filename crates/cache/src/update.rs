//! Which fields are stored, and what later answers change in them (RFC 9111 §3.1, §3.2, §4.3, §4.4).

use config::plan::CacheKey;
use smallvec::SmallVec;
use wire::{Field, Fields, Known, RequestHead, ResponseHead};

use crate::conditional::{is_strong, strongly_equal, weakly_equal};
use crate::date;
use crate::key::{self, Key};
use crate::object::Object;

/// What an answer to HEAD says about what is stored for GET (RFC 9111 §4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadSays {
    /// It is still that: its fields are to be [`freshened`].
    Update,
    /// It has changed: what is stored is stale.
    Invalidate,
    /// It says nothing of it.
    Nothing,
}

/// Writes the lines that an object keeps of an answer that came at `received` (seconds since 1970),
/// with a `Date` if it has none (RFC 9110 §6.6.1). `also_skip` says of a name that it isn't stored,
/// because the answer says so itself.
pub fn stored_lines(
    out: &mut Vec<u8>,
    answer: &ResponseHead,
    received: u64,
    also_skip: impl Fn(&[u8]) -> bool,
) {
    let is_part = answer.status == 206;
    let skips = |field: Field<'_>| {
        !is_stored(&answer.fields, field)
            || (is_part && field.known == Known::ContentRange) // it speaks of the part, not of the object
            || also_skip(field.name)
    };
    let mut dated = false;
    answer.fields.write_to(out, |field| {
        let skipped = skips(field);
        dated |= field.known == Known::Date && !skipped;
        skipped
    });
    if !dated {
        wire::write::field(out, b"Date", &date::write(received));
    }
}

/// Writes the lines of an object after a 304, or a HEAD that agrees, that came at `received` (seconds
/// since 1970): what it says replaces what was stored (RFC 9111 §3.2), except what describes the bytes
/// that are kept. If a 304 doesn't [`confirms`] it, only the `Date` is new. `also_skip`: as for
/// [`stored_lines`].
pub fn freshened(
    out: &mut Vec<u8>,
    stored: &Object,
    answer: &Fields,
    received: u64,
    also_skip: impl Fn(&[u8]) -> bool,
) {
    let confirmed = confirms(stored, answer, received);
    let replaces = |field: Field<'_>| {
        confirmed
            && field.known != Known::Date
            && !describes_bytes(field)
            && is_stored(answer, field)
            && !also_skip(field.name)
    };
    for line in lines(stored) {
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        let replaced = name.eq_ignore_ascii_case(b"date")
            || also_skip(name)
            || answer.iter().any(|field| replaces(field) && field.name.eq_ignore_ascii_case(name));
        if !replaced {
            out.extend_from_slice(line);
        }
    }
    answer.write_to(out, |field| !replaces(field));
    match answer.get(Known::Date) {
        Some(date) => wire::write::field(out, b"Date", date),
        None => wire::write::field(out, b"Date", &date::write(received)),
    }
}

/// May a 304 to the question of [`crate::conditional::validators`] change the stored fields
/// (RFC 9111 §4.3.4)? `now`: seconds since 1970.
///
/// It may not if it names another validator than the one that was asked about. That it is a 304 still
/// says that what is stored may be used. One without a validator can only mean the one that was asked
/// about.
pub fn confirms(stored: &Object, answer: &Fields, now: u64) -> bool {
    if let Some(etag) = answer.get(Known::Etag) {
        let equal = if is_strong(etag) { strongly_equal } else { weakly_equal };
        return stored.field("etag").is_some_and(|it| equal(it, etag));
    }
    answer.get(Known::LastModified).is_none_or(|modified| is_date_of(stored, modified, now))
}

/// Compares an answer to HEAD with what is stored, whose whole body has `length` bytes, if that is
/// known. `now`: seconds since 1970.
pub fn head_agrees(stored: &Object, answer: &ResponseHead, length: Option<u64>, now: u64) -> HeadSays {
    if answer.status != 200 {
        return HeadSays::Nothing;
    }
    let fields = &answer.fields;
    let same_date = fields.get(Known::LastModified).is_none_or(|it| is_date_of(stored, it, now));
    let said = fields.get(Known::ContentLength).map(wire::token::decimal);
    let same_length = said.is_none_or(|said| length.is_none() || said == length);
    if confirms(stored, fields, now) && same_date && same_length {
        HeadSays::Update
    } else {
        HeadSays::Invalidate
    }
}

/// The primary keys of what an answer to an unsafe method makes wrong (RFC 9111 §4.4): the target's, and
/// those of `Location` and `Content-Location` if they have its origin. None if the method is safe or the
/// answer an error. `rules`: the route's.
pub fn invalidated(
    request: &RequestHead,
    answer: &ResponseHead,
    scheme: &str,
    rules: &CacheKey,
) -> SmallVec<[Vec<u8>; 3]> {
    let mut found = SmallVec::new();
    if request.method.is_safe() || !(200..400).contains(&answer.status) {
        return found;
    }
    let mut target = Key::default();
    target.make(scheme, request, rules);
    found.push(target.primary);
    for place in [Known::Location, Known::ContentLocation] {
        let reference = answer.fields.get(place);
        let url = reference.and_then(|it| key::of_reference(scheme, request, it, &rules.query));
        found.extend(url.filter(|url| !found.contains(url)));
    }
    found
}

/// Is a field of an answer stored (RFC 9111 §3.1)? Not what speaks of one connection, what this node
/// writes itself, or what was only for it.
fn is_stored(answer: &Fields, field: Field<'_>) -> bool {
    let known = field.known;
    let ours = matches!(
        known,
        Known::Trailer | Known::Age | Known::XRequestId | Known::SurrogateKey | Known::CacheTag
    );
    let nominated = || answer.has_member(Known::Connection, field.name);
    let for_proxy = || field.name.eq_ignore_ascii_case(b"proxy-authentication-info");
    !(known.is_hop_by_hop() || ours || for_proxy() || nominated())
}

/// Does a field describe the stored bytes, so that an answer without them can't change it? RFC 9111 §3.2
/// lets these be left out: a body under another coding, digest or tag than its own would be broken.
fn describes_bytes(field: Field<'_>) -> bool {
    matches!(field.known, Known::ContentEncoding | Known::ContentRange | Known::Etag)
        || field.name.eq_ignore_ascii_case(b"content-md5")
}

/// Is this the object's `Last-Modified`?
fn is_date_of(stored: &Object, modified: &[u8], now: u64) -> bool {
    stored.field("last-modified").is_some_and(|it| {
        it == modified || date::parse(it, now).is_some_and(|at| date::parse(modified, now) == Some(at))
    })
}

/// The stored lines, each with its end.
fn lines(stored: &Object) -> impl Iterator<Item = &[u8]> {
    stored.lines().into_iter().flat_map(|run| run.split_inclusive(|&b| b == b'\n'))
}
