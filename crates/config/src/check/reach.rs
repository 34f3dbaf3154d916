//! Which routes can't be reached, because an earlier one takes all their requests.
//!
//! A route wins over another by its host, then its path, then its number of conditions, then its
//! place in the file. One that takes everything from another has the same host and the same path: a
//! wider host or path loses, a narrower one doesn't cover. So only routes with the same host and
//! path are compared, and 10,000 routes take no longer than reading them.

use std::collections::HashMap;

use super::route::Placed;
use crate::kind::Reader;
use crate::plan::{HostMatch, PathMatch, Route};
use crate::report::Source;

/// The most routes of one host and path that a route is compared with.
const COMPARED: usize = 200;

pub(super) fn warn_of_unreachable(routes: &[Placed], source: &Source<'_>, reader: &mut Reader<'_>) {
    let mut earlier: HashMap<(&HostMatch, &PathMatch), Vec<&Placed>> = HashMap::new();
    for placed in routes {
        let same = earlier.entry((&placed.route.host, &placed.route.path)).or_default();
        if let Some(winner) = same.iter().find(|winner| covers(&winner.route, &placed.route)) {
            let line = source.line(winner.at);
            reader
                .notes
                .warning(placed.at, "this route can't be reached")
                .also(winner.at, "this one takes all its requests")
                .help(format!("remove it, or give it conditions that the one at line {line} doesn't have"));
        }
        if same.len() < COMPARED {
            same.push(placed);
        }
    }
}

/// Does `first`, which has the same host and path and comes earlier, take every request of `second`?
fn covers(first: &Route, second: &Route) -> bool {
    let methods = first.methods.is_empty() || {
        !second.methods.is_empty() && second.methods.iter().all(|method| first.methods.contains(method))
    };
    let headers = first.headers_match.iter().all(|wanted| {
        let same = second.headers_match.iter().find(|other| other.name == wanted.name);
        same.is_some_and(|other| wanted.value.is_none() || wanted.value == other.value)
    });
    methods && headers && first.conditions() >= second.conditions()
}
