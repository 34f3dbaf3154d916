//! The cache: its tiers can hold what they are told to keep, and a route's key is named once.

use std::path::Path;
use std::sync::Arc;

use super::once;
use crate::file;
use crate::kind::{At, Reader};
use crate::plan::{self, CacheKey, CacheRules, QueryKey};
use crate::report::Span;
use crate::units::show_size;
use crate::word::Parameter;

/// The tiers; the disk's folder is relative to `data`.
pub(super) fn tiers(table: At<file::Cache>, data: &Path, reader: &mut Reader<'_>) -> Option<plan::Cache> {
    let At { value: table, at } = table;
    let disk = match table.disk {
        Some(At { value: disk, .. }) => {
            Some(plan::CacheDisk { path: data.join(&*disk.path?.value), size: disk.size?.value.0 })
        }
        None => None,
    };
    let largest = table.largest?;
    let cache = plan::Cache {
        memory: table.memory?.value.0,
        disk,
        shared: table.shared.map(|url| plan::Secret(url.value.0)),
        largest: largest.0,
        purge_from: table.purge_from?.value.into_iter().map(|range| range.value).collect(),
    };
    // The default is larger than small tiers, and means whatever they can hold.
    if largest.at != at {
        warn_of_too_large(largest.0, largest.at, holds(&cache), reader);
    }
    Some(cache)
}

/// The most bytes that an object may have to be kept here.
pub(super) fn holds(cache: &plan::Cache) -> u64 {
    cache.disk.as_ref().map_or(0, |disk| disk.size).max(cache.memory)
}

fn warn_of_too_large(largest: u64, at: Span, holds: u64, reader: &mut Reader<'_>) {
    if largest > holds {
        let message = format!("no tier can hold an object of {}", show_size(largest));
        let help = format!("the largest tier of [cache] has {}: write no more than that", show_size(holds));
        reader.notes.warning(at, message).help(help);
    }
}

/// Notes that `[cache]` is written for nothing.
pub(super) fn warn_of_unused(at: Span, routes: &[Arc<plan::Route>], reader: &mut Reader<'_>) {
    if at != Span::WHOLE && routes.iter().all(|route| route.cache.is_none()) {
        reader
            .notes
            .warning(at, "nothing is kept in the cache: no route has `cache`")
            .help("write cache = {} in the routes whose answers may be used again");
    }
}

/// A route's `cache`; `holds` is how large an object may be, if that is known.
pub(super) fn rules(table: file::Caching, holds: Option<u64>, reader: &mut Reader<'_>) -> Option<CacheRules> {
    if let Some((largest, holds)) = table.largest.as_ref().zip(holds) {
        warn_of_too_large(largest.0, largest.at, holds, reader);
    }
    Some(CacheRules {
        default_ttl: table.default_ttl.map(|time| time.value.0),
        stale_while_revalidate: table.stale_while_revalidate.map(|time| time.value.0),
        stale_if_error: table.stale_if_error.map(|time| time.value.0),
        key: key(table.key, table.vary_query, table.broken, reader)?,
        bypass: table.bypass?.value.into_iter().map(|one| one.value).collect(),
        largest: table.largest.map(|size| size.value.0),
    })
}

fn key(
    table: Option<At<file::CacheKey>>,
    named: Option<At<Vec<At<Parameter>>>>,
    broken: bool,
    reader: &mut Reader<'_>,
) -> Option<CacheKey> {
    let (query, headers, cookies) = match table {
        Some(At { value: table, .. }) => (table.query, table.headers?.value, table.cookies?.value),
        None => (None, Vec::new(), Vec::new()),
    };
    if let Some((query, named)) = query.as_ref().zip(named.as_ref()) {
        reader
            .mistake(query.at, "`query` and `vary_query` both say what of the query counts")
            .also(named.at, "`vary_query` is here")
            .help("keep one of them");
    }
    once(&headers, |name| name.0.to_ascii_lowercase(), "the field", reader);
    once(&cookies, |name| name.0.to_string(), "the cookie", reader);
    let query = match named {
        Some(names) => {
            if names.is_empty() && !broken {
                reader.mistake(names.at, "`vary_query` names no parameter").help(
                    "leave it out for the whole query; for none of it write key = { query = \"none\" }",
                );
            }
            once(&names.value, |name| name.0.to_string(), "the parameter", reader);
            QueryKey::Named(sorted(names.value.into_iter().map(|name| name.value.0)))
        }
        None => query.map_or(QueryKey::All, |query| query.value.0),
    };
    let lower = |name: &str| Arc::from(name.to_ascii_lowercase());
    Some(CacheKey {
        query,
        headers: sorted(headers.iter().map(|name| lower(&name.0))),
        cookies: sorted(cookies.into_iter().map(|name| name.value.0)),
    })
}

fn sorted(names: impl Iterator<Item = Arc<str>>) -> Vec<Arc<str>> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}
