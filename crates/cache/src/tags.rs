//! Tags that an endpoint gives an answer, for purges: `Surrogate-Key`, with spaces between, and
//! `Cache-Tag`, with commas.

use smallvec::SmallVec;
use wire::token::list;
use wire::{Fields, Known};

/// Tags of one object.
pub const MOST_TAGS: usize = 1000;

/// Bytes of one tag.
pub const LONGEST_TAG: usize = 1024;

/// An answer has more or longer tags than are kept. It must not be stored: a purge by a tag that was
/// left out would not find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an answer may have at most {MOST_TAGS} tags of at most {LONGEST_TAG} bytes")]
pub struct TooManyTags;

/// The tags of an answer, sorted, each once and followed by `\n`. They are compared byte for byte.
///
/// # Errors
/// [`TooManyTags`].
pub fn of(fields: &Fields) -> Result<Vec<u8>, TooManyTags> {
    let spaced = fields.all(Known::SurrogateKey).flat_map(|value| value.split(|b| matches!(b, b' ' | b'\t')));
    let tags = spaced.filter(|tag| !tag.is_empty()).chain(fields.all(Known::CacheTag).flat_map(list));
    let mut all: SmallVec<[&[u8]; 16]> = SmallVec::new();
    for tag in tags {
        if tag.len() > LONGEST_TAG {
            return Err(TooManyTags);
        }
        all.push(tag);
    }
    all.sort_unstable();
    all.dedup();
    if all.len() > MOST_TAGS {
        return Err(TooManyTags);
    }
    Ok(all.iter().flat_map(|tag| [tag, &b"\n"[..]]).flatten().copied().collect())
}
