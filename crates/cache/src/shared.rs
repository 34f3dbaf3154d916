//! The shared tier: a Valkey or Redis that the nodes of a region ask before they ask an endpoint.
//!
//! It may cost a miss and nothing else. All requests go over one connection, pipelined, and the
//! background runtime drives it; a get has a few milliseconds; after a few failures in a row nobody
//! asks any more, until a probe was answered in time (`link`). What comes back is checked as if a
//! stranger had written it: wrong bytes are a miss.
//!
//! An object that doesn't vary is one value, got in one trip. Variants are a value each, and a hash
//! holds their heads, so that a request picks its variant without fetching the bodies of all.
//! Both are asked for at once: which of the two it is, nobody needs to know beforehand.
//!
//! Purges of tags, prefixes and all are not searched for here: the caller asks the ledger about each
//! object that comes back.

mod link;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redis::{Cmd, Pipeline};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::Tell;
use crate::ledger::{Purge, What};
use crate::object::{Body, Facts, New, Object};
use crate::{record, vary};
use link::{Line, Link};

/// How long a client waits for this tier, unless said otherwise.
pub const GET_LIMIT: Duration = Duration::from_millis(25);
/// The largest body that is kept here, in bytes: larger ones would hold up those behind them.
pub const LARGEST: usize = 1 << 20;
/// How long a purge waits; what it could not delete the ledger still covers.
const PURGE_LIMIT: Duration = Duration::from_secs(1);
/// Puts that wait to be sent; one more is dropped.
const WAITING: usize = 64;
/// Variants of one URL; with more its variants are forgotten, and their values expire.
const VARIANTS: usize = 16;
/// Seconds after which even the freshest object is gone.
const LONGEST_LIFE: u64 = 30 * 24 * 60 * 60;

/// Says whether an object wasn't purged meanwhile.
pub type Stands = Arc<dyn Fn(&Object) -> bool + Send + Sync>;

/// The shared tier.
pub struct Shared {
    line: Arc<Line>,
    puts: mpsc::Sender<Object>,
    runtime: Handle,
    limit: Duration,
}

impl Shared {
    /// A tier that `runtime` connects and keeps connected. What waits to be sent is sent only if it still
    /// `stands`. `tell` hears when the tier comes and goes.
    ///
    /// # Errors
    /// If `url` isn't one of a Redis that can be reached without TLS; the text has no password in it.
    pub fn new(url: &str, runtime: Handle, stands: Stands, tell: Tell) -> Result<Shared, String> {
        Self::with_limit(url, GET_LIMIT, runtime, stands, tell)
    }

    /// The same with another limit for a get.
    ///
    /// # Errors
    /// As for [`Shared::new`].
    pub fn with_limit(
        url: &str,
        limit: Duration,
        runtime: Handle,
        stands: Stands,
        tell: Tell,
    ) -> Result<Shared, String> {
        let line = Arc::new(Line::new(url, limit, tell)?);
        let (puts, waiting) = mpsc::channel(WAITING);
        runtime.spawn(link::keep(Arc::clone(&line), waiting, stands));
        Ok(Shared { line, puts, runtime, limit })
    }

    /// The newest object of this URL that fits, if the tier has it and says so in time.
    pub async fn get(&self, primary: &[u8], mut fits: impl FnMut(&Object) -> bool) -> Option<Object> {
        let link = self.line.link()?;
        let key = Key::of(primary);
        let asked = found(Arc::clone(&link), key, primary.into(), self.limit);
        let Found { plain, heads } = self.runtime.spawn(asked).await.ok().flatten()?;
        let fitting = heads.into_iter().chain(plain).filter(|object| fits(object));
        let best = fitting.max_by_key(|object| object.facts().requested_ms)?;
        if best.variant().is_empty() {
            return Some(best);
        }
        let value = variant(link, key, best, self.limit);
        self.runtime.spawn(value).await.ok().flatten().filter(|object| fits(object))
    }

    /// Puts an object here soon, unless it is too large, in pieces or on disk, about to end, or too
    /// many wait already. Never waits.
    pub fn put(&self, object: &Object) {
        if self.line.link().is_some() && is_fit(object) {
            // A full queue means that the tier is slower than the traffic: it does without this one.
            let _ = self.puts.try_send(object.clone());
        }
    }

    /// Deletes what a purge of a URL names, and says how many keys that were: none if the tier can't be
    /// reached. The ledger covers what is still here then, and after any other or a soft purge.
    pub async fn purge(&self, purge: &Purge) -> usize {
        let (What::Url(primary), false) = (&purge.what, purge.soft) else { return 0 };
        let Some(link) = self.line.link() else { return 0 };
        let delete = delete(primary);
        let asked = async move { link.ask::<(usize,)>(&delete, PURGE_LIMIT).await };
        self.runtime.spawn(asked).await.ok().flatten().map_or(0, |(deleted,)| deleted)
    }

    /// Why it doesn't answer, if it doesn't; the node goes on without it.
    pub fn trouble(&self) -> Option<String> {
        self.line.trouble()
    }
}

/// Removes all variants of a URL: without its head no value of one is found again.
fn delete(primary: &[u8]) -> Pipeline {
    let key = Key::of(primary);
    one(redis::cmd("DEL").arg(key.plain()).arg(key.heads()))
}

/// What one trip brings.
struct Found {
    /// The object that doesn't vary.
    plain: Option<Object>,
    /// Objects without their bodies, of variants.
    heads: Vec<Object>,
}

async fn found(link: Arc<Link>, key: Key, primary: Box<[u8]>, limit: Duration) -> Option<Found> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.add_command(redis::cmd("GET").arg(key.plain()).take());
    pipeline.add_command(redis::cmd("HVALS").arg(key.heads()).take());
    let (plain, heads): (Option<Vec<u8>>, Vec<Vec<u8>>) = link.ask(&pipeline, limit).await?;
    if heads.len() > VARIANTS {
        let forget = one(redis::cmd("DEL").arg(key.heads()));
        let _: Option<(usize,)> = link.ask(&forget, PURGE_LIMIT).await;
        return None;
    }
    let plain =
        plain.and_then(|bytes| decoded(&bytes, &primary)).filter(|object| object.variant().is_empty());
    let heads = heads.iter().filter_map(|bytes| decoded(bytes, &primary));
    Some(Found { plain, heads: heads.filter(|object| !object.variant().is_empty()).collect() })
}

/// The whole object of which only the head is known.
async fn variant(link: Arc<Link>, key: Key, head: Object, limit: Duration) -> Option<Object> {
    let get = one(redis::cmd("GET").arg(key.variant(head.variant())));
    let (value,): (Option<Vec<u8>>,) = link.ask(&get, limit).await?;
    decoded(&value?, head.primary()).filter(|object| vary::same(object.variant(), head.variant()))
}

/// An object, if these bytes are one of this URL: another URL may have the same key.
fn decoded(bytes: &[u8], primary: &[u8]) -> Option<Object> {
    record::decode(bytes).filter(|object| object.primary() == primary)
}

/// Adds the commands that put an object here, if it has any time left.
fn add_put(pipeline: &mut Pipeline, object: &Object, now: u64) {
    let left = left(object.facts(), now);
    let Some(value) = record::encode(object).filter(|_| left > 0) else { return };
    let key = Key::of(object.primary());
    if object.variant().is_empty() {
        pipeline.cmd("SET").arg(key.plain()).arg(value).arg("EX").arg(left);
        return;
    }
    let head = Object::new(New {
        facts: object.facts(),
        primary: object.primary(),
        variant: object.variant(),
        lines: &object.lines().concat(),
        tags: object.tags(),
        body: Body::Whole(Bytes::new()),
    });
    let at = key.variant(object.variant());
    pipeline.cmd("SET").arg(&at).arg(value).arg("EX").arg(left);
    pipeline.cmd("HSET").arg(key.heads()).arg(at).arg(record::encode(&head));
    // The heads live as long as this one needs them: an older variant that would have lived longer is
    // a miss.
    pipeline.cmd("EXPIRE").arg(key.heads()).arg(left);
}

fn one(command: &Cmd) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.add_command(command.clone());
    pipeline
}

/// Seconds in which an object can still be of use, stale ones included (RFC 5861).
fn left(facts: Facts, now: u64) -> u64 {
    let stale = facts.stale_while_revalidate.max(facts.stale_if_error);
    let ends = u64::from(facts.received) + u64::from(facts.lifetime) + u64::from(stale);
    ends.saturating_sub(u64::from(facts.initial_age)).saturating_sub(now).min(LONGEST_LIFE)
}

/// Is it one for this tier: in memory, whole, small enough and not purged?
fn is_fit(object: &Object) -> bool {
    let length = match object.body() {
        Body::Whole(bytes) => bytes.len(),
        Body::Pieces(pieces) => pieces.iter().map(Bytes::len).sum(),
        Body::Parts { .. } | Body::Disk(_) => return false,
    };
    length <= LARGEST && !object.is_soft()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A URL's keys begin with its hash, the same on every node and in every version: FNV-1a, 128 bits.
/// Two URLs with one hash only displace each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(u128);

impl Key {
    fn of(primary: &[u8]) -> Key {
        Key(fnv(primary))
    }

    /// Of the object that doesn't vary.
    fn plain(self) -> String {
        format!("nearside:{:032x}", self.0)
    }

    /// Of the hash with the heads of variants.
    fn heads(self) -> String {
        self.plain() + ":heads"
    }

    /// Of the object of one variant, and of its head in that hash.
    fn variant(self, variant: &[u8]) -> String {
        format!("{}:{:032x}", self.plain(), fnv(&vary::asked(variant)))
    }
}

fn fnv(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_published_hash() {
        assert_eq!(Key::of(b"").plain(), "nearside:6c62272e07bb014262b821756295c58d");
        assert_eq!(Key::of(b"a").plain(), "nearside:d228cb696f1a8caf78912b704e4a8964");
    }

    #[test]
    fn an_object_is_kept_while_it_is_of_use() {
        let facts = Facts { received: 1000, initial_age: 10, lifetime: 60, ..Facts::default() };
        assert_eq!(left(facts, 1000), 50);
        assert_eq!(left(Facts { stale_while_revalidate: 30, stale_if_error: 20, ..facts }, 1000), 80);
        assert_eq!(left(facts, 1050), 0);
        assert_eq!(left(facts, 9999), 0);
        let longest = Facts { received: u32::MAX, lifetime: u32::MAX, stale_if_error: u32::MAX, ..facts };
        assert_eq!(left(longest, 0), LONGEST_LIFE);
        assert_eq!(left(Facts { initial_age: u32::MAX, ..facts }, 0), 0);
    }
}
