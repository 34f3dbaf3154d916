//! Which objects the purges so far cover: without files and clocks.

use std::collections::{BTreeMap, HashMap};

use super::{Covered, Purge, What};
use crate::disk::log;
use crate::record::Reader;

/// Entries of the largest book.
pub const MOST_ENTRIES: usize = 256 * 1024;
/// Bytes of names in the largest book.
pub const MOST_BYTES: usize = 32 * 1024 * 1024;

/// What was requested before these times (milliseconds since 1970; 0: never) was purged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    hard: u64,
    soft: u64,
}

impl Times {
    fn note(&mut self, other: Times) {
        self.hard = self.hard.max(other.hard);
        self.soft = self.soft.max(other.soft);
    }

    fn newest(self) -> u64 {
        self.hard.max(self.soft)
    }
}

type Names = HashMap<Box<[u8]>, Times>;

/// Every purge that may still cover something.
#[derive(Debug, Default)]
pub(super) struct Book {
    all: Times,
    urls: Names,
    tags: Names,
    prefixes: Names,
    /// How many prefixes have this length: a key is looked up once for each length there is.
    lengths: BTreeMap<usize, usize>,
    bytes: usize,
}

impl Book {
    /// Adds a purge. True: the book was full, and its oldest entries became one that covers everything.
    pub(super) fn note(&mut self, purge: &Purge) -> bool {
        let before = purge.at_ms.saturating_add(1);
        let times =
            if purge.soft { Times { hard: 0, soft: before } } else { Times { hard: before, soft: 0 } };
        let (names, name) = match &purge.what {
            What::All => {
                self.all.note(times);
                return false;
            }
            What::Url(url) => (&mut self.urls, url),
            What::Tag(tag) => (&mut self.tags, tag),
            What::Prefix(prefix) => (&mut self.prefixes, prefix),
        };
        if let Some(known) = names.get_mut(name) {
            known.note(times);
            return false;
        }
        names.insert(name.clone(), times);
        self.bytes += name.len();
        if let What::Prefix(prefix) = &purge.what {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        let full = self.len() > MOST_ENTRIES || self.bytes > MOST_BYTES;
        if full {
            self.fold();
        }
        full
    }

    pub(super) fn len(&self) -> usize {
        self.urls.len() + self.tags.len() + self.prefixes.len()
    }

    /// Turns the oldest quarter into "everything requested before then": more than was purged, never less.
    fn fold(&mut self) {
        let Book { all, urls, tags, prefixes, lengths, bytes } = self;
        let mut ages: Vec<u64> = [&*urls, tags, prefixes]
            .into_iter()
            .flat_map(HashMap::values)
            .map(|times| times.newest())
            .collect();
        let quarter = ages.len() / 4;
        let (_, &mut limit, _) = ages.select_nth_unstable(quarter);
        for names in [urls, tags, &mut *prefixes] {
            names.retain(|name, times| {
                let stays = times.newest() > limit;
                if !stays {
                    all.note(*times);
                    *bytes -= name.len();
                }
                stays
            });
        }
        lengths.clear();
        for prefix in prefixes.keys() {
            *lengths.entry(prefix.len()).or_default() += 1;
        }
    }

    pub(super) fn covers(&self, primary: &[u8], tags: &[u8], requested_ms: u64) -> Covered {
        let mut times = self.all;
        times.note(self.urls.get(primary).copied().unwrap_or_default());
        if !self.tags.is_empty() {
            for tag in tags.split(|&b| b == b'\n') {
                times.note(self.tags.get(tag).copied().unwrap_or_default());
            }
        }
        for &length in self.lengths.range(..=primary.len()).map(|(length, _)| length) {
            times.note(self.prefixes.get(&primary[..length]).copied().unwrap_or_default());
        }
        match requested_ms {
            requested if requested < times.hard => Covered::Hard,
            requested if requested < times.soft => Covered::Soft,
            _ => Covered::No,
        }
    }

    /// What is requested from then on isn't covered by anything.
    pub(super) fn newest(&self) -> u64 {
        let names = [&self.urls, &self.tags, &self.prefixes];
        let newest = names.into_iter().flat_map(HashMap::values).map(|times| times.newest()).max();
        newest.unwrap_or(0).max(self.all.newest())
    }

    /// All of it as framed records.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes + 32 * self.len());
        let mut put = |what: &What, times: Times| {
            for (soft, before) in [(false, times.hard), (true, times.soft)] {
                if let Some(at_ms) = before.checked_sub(1) {
                    log::frame(&mut out, &encode(what, soft, at_ms));
                }
            }
        };
        put(&What::All, self.all);
        self.urls.iter().for_each(|(url, times)| put(&What::Url(url.clone()), *times));
        self.tags.iter().for_each(|(tag, times)| put(&What::Tag(tag.clone()), *times));
        self.prefixes.iter().for_each(|(prefix, times)| put(&What::Prefix(prefix.clone()), *times));
        out
    }
}

/// A purge as a record: what it names, soft or not, its time, the name.
pub(super) fn encode(what: &What, soft: bool, at_ms: u64) -> Vec<u8> {
    let (kind, name): (u8, &[u8]) = match what {
        What::All => (0, b""),
        What::Url(url) => (1, url),
        What::Prefix(prefix) => (2, prefix),
        What::Tag(tag) => (3, tag),
    };
    [&[kind, u8::from(soft)], &at_ms.to_le_bytes()[..], name].concat()
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(record: &[u8]) -> Option<Purge> {
    let mut reader = Reader(record);
    let [kind, soft] = reader.array().ok()?;
    let at_ms = reader.u64().ok()?;
    let name: Box<[u8]> = reader.0.into();
    let what = match kind {
        0 => What::All,
        1 => What::Url(name),
        2 => What::Prefix(name),
        3 => What::Tag(name),
        _ => return None,
    };
    Some(Purge { what, soft: soft != 0, at_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(number: usize) -> What {
        What::Url(format!("http://h/{number}").into_bytes().into())
    }

    #[test]
    fn a_full_book_forgets_names_and_covers_more() {
        let mut book = Book::default();
        let full = (0..=MOST_ENTRIES)
            .filter(|&n| book.note(&Purge { what: url(n), soft: false, at_ms: n as u64 }))
            .collect::<Vec<_>>();
        assert_eq!(full, [MOST_ENTRIES]);
        assert!(book.len() < MOST_ENTRIES);
        for number in [0, 1, MOST_ENTRIES / 4, MOST_ENTRIES / 2, MOST_ENTRIES] {
            let primary = format!("http://h/{number}").into_bytes();
            assert_eq!(book.covers(&primary, b"", number as u64), Covered::Hard);
        }
        assert_eq!(book.covers(b"http://other/", b"", 0), Covered::Hard);
        assert_eq!(book.covers(b"http://other/", b"", MOST_ENTRIES as u64), Covered::No);
        assert_eq!(book.newest(), MOST_ENTRIES as u64 + 1);
    }

    #[test]
    fn names_that_are_too_long_together_are_folded_too() {
        let mut book = Book::default();
        let long =
            |n: u64| What::Prefix([vec![b'x'; MOST_BYTES / 8], n.to_string().into_bytes()].concat().into());
        let folded = (0..9).filter(|&n| book.note(&Purge { what: long(n), soft: true, at_ms: n })).count();
        assert!(folded >= 1 && book.bytes <= MOST_BYTES);
        assert_eq!(book.covers(b"http://other/", b"", 0), Covered::Soft);
    }

    #[test]
    fn records_are_read_back() {
        for (what, soft) in [
            (What::All, false),
            (What::Url((*b"u").into()), true),
            (What::Prefix((*b"").into()), false),
            (What::Tag((*b"t").into()), true),
        ] {
            let purge = Purge { what, soft, at_ms: u64::MAX - 1 };
            assert_eq!(decode(&encode(&purge.what, soft, purge.at_ms)), Some(purge));
        }
        assert_eq!(decode(&[4; 10]), None);
        assert_eq!(decode(&[0; 9]), None);
    }
}
