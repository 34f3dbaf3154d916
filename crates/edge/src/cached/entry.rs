//! What is stored of an answer beside its body, whoever asked for it: GET, a validation, HEAD or POST.
//! It is judged here alone, so that no way into the cache forgets a rule that the others keep.

use cache::freshness::Times;
use cache::key::Key;
use cache::object::New;
use cache::storing::{self, NotStored};
use cache::{Body, Facts, Object, control, tags, update, vary};
use config::plan::CacheRules;
use wire::{Known, RequestHead, ResponseHead, token};

/// Fields that a stored answer has at most, after all that later ones added.
const STORED_FIELDS: usize = 1024;

/// Fields that this node writes anew for each request: what varies with one of them fits no other.
const OF_ONE_REQUEST: [&[u8]; 5] =
    [b"x-forwarded-for", b"x-request-id", b"traceparent", b"via", b"forwarded"];

/// Why an answer isn't stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstored {
    /// It or its request forbids that, or it would be of no use.
    Judged(NotStored),
    /// It was purged, or what it tells of was changed, since it was asked for.
    Purged,
    /// It is a part that doesn't say which, or isn't as long as it says.
    ContentRange,
    /// Its tags can't be read.
    Tags,
    /// It is larger than what may be kept.
    TooLarge,
    /// A tier failed, in a word.
    Tier(&'static str),
}

impl Unstored {
    /// The token for `detail` in `Cache-Status` (RFC 9211 §2.8).
    pub(super) fn detail(self) -> &'static str {
        match self {
            Unstored::Judged(why) => why.detail(),
            Unstored::Purged => "purged",
            Unstored::ContentRange => "content-range",
            Unstored::Tags => "tags",
            Unstored::TooLarge => "too-large",
            Unstored::Tier(word) => word,
        }
    }

    /// Is it the answer's own doing, so that the next one will be as this one was?
    pub(super) fn is_of_the_answer(self) -> bool {
        use NotStored::{NoFreshness, NoStore, NoValidator, Private, SetCookie, VaryStar};
        matches!(self, Unstored::Judged(NoStore | Private | SetCookie | VaryStar | NoFreshness | NoValidator))
    }
}

impl From<NotStored> for Unstored {
    fn from(why: NotStored) -> Unstored {
        Unstored::Judged(why)
    }
}

/// What is stored of an answer beside its body.
pub(super) struct Entry {
    pub(super) facts: Facts,
    variant: Vec<u8>,
    lines: Vec<u8>,
    tags: Vec<u8>,
}

impl Entry {
    /// Of an answer to a request with this key.
    pub(super) fn of(
        key: &Key,
        request: &RequestHead,
        answer: &ResponseHead,
        rules: &CacheRules,
        times: Times,
    ) -> Result<Entry, Unstored> {
        let facts = judge(request, answer, rules, times)?;
        let mut variant = Vec::new();
        vary::variant(&mut variant, &key.rule, &answer.fields, &request.fields)
            .map_err(|_| NotStored::VaryStar)?;
        let mut lines = Vec::new();
        let control = control::of_answer(&answer.fields);
        update::stored_lines(&mut lines, answer, times.received(), storing::unstored_fields(&control));
        let tags = tags::of(&answer.fields).map_err(|_| Unstored::Tags)?;
        Ok(Entry { facts, variant, lines, tags })
    }

    /// The object that it makes with a body.
    pub(super) fn object(&self, primary: &[u8], body: Body) -> Object {
        let Entry { facts, variant, lines, tags } = self;
        Object::new(New { facts: *facts, primary, variant, lines, tags, body })
    }
}

/// A stored object with what a 304, or an answer to HEAD, says anew (RFC 9111 §3.2).
pub(super) fn freshened(
    object: &Object,
    request: &RequestHead,
    answer: &ResponseHead,
    rules: &CacheRules,
    times: Times,
) -> Option<Object> {
    let control = control::of_answer(&answer.fields);
    let mut lines = Vec::new();
    let unstored = storing::unstored_fields(&control);
    update::freshened(&mut lines, object, &answer.fields, times.received(), unstored);
    let mut head = head_of(object.facts().status, &lines)?;
    if let Some(age) = answer.fields.get(Known::Age) {
        head.fields.push(b"age", age);
    }
    let facts = judge(request, &head, rules, times).ok()?;
    let fresh = tags::of(&answer.fields).ok()?;
    let tags = if fresh.is_empty() { object.tags() } else { &fresh };
    Some(Object::new(New {
        facts,
        primary: object.primary(),
        variant: object.variant(),
        lines: &lines,
        tags,
        body: object.body().clone(),
    }))
}

fn judge(
    request: &RequestHead,
    answer: &ResponseHead,
    rules: &CacheRules,
    times: Times,
) -> Result<Facts, NotStored> {
    let facts = storing::judge(request, answer, rules, times)?;
    let of_one = |name: &[u8]| OF_ONE_REQUEST.iter().any(|one| name.eq_ignore_ascii_case(one));
    let mut names = answer.fields.all(Known::Vary).flat_map(token::list);
    if names.any(of_one) { Err(NotStored::VaryStar) } else { Ok(facts) }
}

/// The head that lines of fields make.
fn head_of(status: u16, lines: &[u8]) -> Option<ResponseHead> {
    let mut text = Vec::with_capacity(lines.len() + 32);
    wire::write::status_line(&mut text, status, b"");
    text.extend_from_slice(lines);
    text.extend_from_slice(b"\r\n");
    let mut head = ResponseHead::default();
    head.read(&text, wire::Limits { bytes: text.len() + 1, fields: STORED_FIELDS }).ok()??;
    Some(head)
}
