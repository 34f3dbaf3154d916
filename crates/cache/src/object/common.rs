//! What many objects have in common is kept once: most of their fields, and the rules' findings that
//! follow from those. Of a page's images perhaps only `ETag` and `Last-Modified` differ.
//!
//! The table only helps to find what exists. An entry that objects use is counted by one of them; what
//! the table alone holds is bounded, and goes when room is needed. If all is in use it is emptied, which
//! costs no more than one copy of each later.

use std::hash::BuildHasher;
use std::sync::{LazyLock, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use triomphe::ThinArc;

use crate::object::{Facts, weight};

/// Tables, each with a lock of its own.
const TABLES: usize = 16;

/// Bytes of the entries in each table, 1 MiB in all: so much may be held beside the tier's limit.
const ROOM: u64 = 64 * 1024;

/// Lines longer than this together are not looked up. They tend to be an answer's own (a nonce in
/// `Content-Security-Policy`), and copies of them are what the limit counts anyway.
const LONGEST: usize = 512;

/// Names of fields that tend to be the same for many objects, in lower case. A field that is not named
/// costs its own bytes; one that is named and differs costs a copy of the whole common part.
const COMMON_NAMES: &[&str] = &[
    "accept-ch",
    "accept-ranges",
    "alt-svc",
    "cache-control",
    "cdn-cache-control",
    "content-encoding",
    "content-language",
    "content-security-policy",
    "content-type",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "nel",
    "permissions-policy",
    "pragma",
    "referrer-policy",
    "report-to",
    "server",
    "strict-transport-security",
    "surrogate-control",
    "timing-allow-origin",
    "vary",
    "via",
    "x-content-type-options",
    "x-dns-prefetch-control",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
    "x-powered-by",
    "x-ua-compatible",
    "x-xss-protection",
];

/// Names of fields with a time that is the same for all that was made in one second.
const TIMES: &[&str] = &["date", "expires"];

/// The common part of some objects.
#[derive(Clone)]
pub(super) struct Common(ThinArc<Facts, u8>);

struct Tables {
    state: RandomState,
    tables: [Mutex<Table>; TABLES],
}

#[derive(Default)]
struct Table {
    entries: HashTable<Common>,
    /// What they take.
    bytes: u64,
}

static ALL: LazyLock<Tables> = LazyLock::new(|| Tables {
    state: RandomState::default(),
    tables: std::array::from_fn(|_| Mutex::default()),
});

impl Common {
    /// Finds or makes it; says whether it was made.
    pub(super) fn of(facts: Facts, lines: &[u8]) -> (Common, bool) {
        let make = || Common(ThinArc::from_header_and_slice(facts, lines));
        if lines.len() > LONGEST {
            return (make(), true);
        }
        let hash = ALL.state.hash_one((facts, lines));
        let table = &ALL.tables[(hash >> 32) as usize % TABLES];
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = table.entries.find(hash, |c| *c.facts() == facts && c.lines() == lines) {
            return (found.clone(), false);
        }
        let made = make();
        table.make_room(made.weight());
        table.bytes += made.weight();
        table.entries.insert_unique(hash, made.clone(), |c| ALL.state.hash_one((c.facts(), c.lines())));
        (made, true)
    }

    /// Zero in all that an object has for itself.
    pub(super) fn facts(&self) -> &Facts {
        &self.0.header.header
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.0.slice
    }

    /// Bytes of memory.
    pub(super) fn weight(&self) -> u64 {
        weight::of_arc(size_of::<Facts>(), self.0.slice.len())
    }
}

impl Table {
    /// Makes room for so many bytes. There are at most a thousand entries to look at.
    fn make_room(&mut self, bytes: u64) {
        if self.bytes + bytes <= ROOM {
            return;
        }
        self.entries.retain(|common| ThinArc::strong_count(&common.0) > 1);
        self.bytes = self.entries.iter().map(Common::weight).sum();
        if self.bytes > ROOM / 2 {
            self.entries.clear();
            self.bytes = 0;
        }
    }
}

/// Adds to `own` the lines that an object needs for itself, and gives those it may share. All lines of
/// one name go the same way, so their order holds.
pub(super) fn split(lines: &[u8], aged: bool, own: &mut Vec<u8>) -> Vec<u8> {
    let mut shared = Vec::with_capacity(lines.len());
    let mut rest = lines;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end + 1);
        let run = if is_common(line, aged) { &mut shared } else { &mut *own };
        run.extend_from_slice(line);
        rest = after;
    }
    own.extend_from_slice(rest);
    shared
}

fn is_common(line: &[u8], aged: bool) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let mut lower = [0; 40];
    let Some(lower) = lower.get_mut(..name.len()) else { return false };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let Ok(name) = std::str::from_utf8(lower) else { return false };
    COMMON_NAMES.binary_search(&name).is_ok()
        || name.starts_with("access-control-")
        || !aged && TIMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted() {
        assert!(COMMON_NAMES.is_sorted());
    }

    #[test]
    fn lines_of_one_name_stay_in_order() {
        let lines = b"ETag: \"a\"\r\nVary: a\r\nX-Id: 1\r\nvary: b\r\nDate: now\r\nX-Id: 2\r\n";
        let mut own = Vec::new();
        assert_eq!(split(lines, false, &mut own), b"Vary: a\r\nvary: b\r\nDate: now\r\n");
        assert_eq!(own, b"ETag: \"a\"\r\nX-Id: 1\r\nX-Id: 2\r\n");
        own.clear();
        assert_eq!(split(lines, true, &mut own), b"Vary: a\r\nvary: b\r\n");
        assert_eq!(own, b"ETag: \"a\"\r\nX-Id: 1\r\nDate: now\r\nX-Id: 2\r\n");
    }

    #[test]
    fn the_same_is_kept_once_and_what_nobody_uses_makes_room() {
        let facts = Facts { status: 299, received: 7, ..Facts::default() };
        let (first, made) = Common::of(facts, b"a: b\r\n");
        let (second, made_again) = Common::of(facts, b"a: b\r\n");
        assert!(made && !made_again && first.0.ptr() == second.0.ptr());
        flood(facts, |_| {});
        assert!(!Common::of(facts, b"a: b\r\n").1, "what is used stays");
        let mut used = Vec::new();
        flood(facts, |common| used.push(common));
        assert!(Common::of(facts, &[b'x'; LONGEST + 1]).1 && Common::of(facts, &[b'x'; LONGEST + 1]).1);
    }

    /// Three times as many as there is room for.
    fn flood(facts: Facts, mut each: impl FnMut(Common)) {
        for received in 0..3 * (TABLES as u32 * ROOM as u32 / 80) {
            each(Common::of(Facts { received, ..facts }, b"").0);
        }
        for table in &ALL.tables {
            let table = table.lock().unwrap();
            let bytes: u64 = table.entries.iter().map(Common::weight).sum();
            assert!(table.bytes == bytes && bytes <= ROOM, "{bytes}");
        }
    }
}
