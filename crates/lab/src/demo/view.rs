//! What is shown of the demo: plain data, each a moment of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use upstream::usable::Standing;

use super::orders::Orders;
use super::tally::{Part, Side};

/// What there is to show.
#[derive(Debug)]
pub enum Moment<'a> {
    /// All is open; comes first and once.
    Opened(&'a Opened),
    /// How it is now; comes every [`super::TICK`], and once at the end.
    View(&'a View),
}

/// What the demo opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Where users ask the node.
    pub node: SocketAddr,
    /// Where its admin API is.
    pub admin: SocketAddr,
    /// The configuration that it runs.
    pub config: String,
}

/// The demo at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// Since the beginning.
    pub elapsed: Duration,
    /// How long it will last.
    pub length: Option<Duration>,
    /// Nearside's cache, lately.
    pub cache: CacheRow,
    /// Nearside's endpoints, lately.
    pub rows: Vec<Row>,
    /// Nearside since the beginning.
    pub nearside: Side,
    /// Random choice since the beginning.
    pub random: Side,
    /// The orders since the beginning; their times are those of the last seconds.
    pub orders: Orders,
    /// What happened last, oldest first.
    pub happenings: Vec<Happening>,
}

/// The cache lately.
#[derive(Debug, Clone)]
pub struct CacheRow {
    /// Its answers in a second.
    pub per_second: f64,
    /// What it did in the last seconds.
    pub part: Part,
}

/// An endpoint lately.
#[derive(Debug, Clone)]
pub struct Row {
    /// How long a request takes it in the mean.
    pub typical: Duration,
    /// Was it not killed?
    pub alive: bool,
    /// What the node thinks of it.
    pub standing: Standing,
    /// Good answers in a second.
    pub per_second: f64,
    /// Requests there now.
    pub in_flight: u32,
    /// What it did in the last seconds.
    pub part: Part,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happening {
    /// Since the beginning.
    pub seconds: f64,
    /// What it was.
    pub what: String,
}

/// The whole demo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// How long users were at work.
    pub seconds: f64,
    /// What they met where Nearside balanced.
    pub nearside: Side,
    /// What the same users met with random choice.
    pub random: Side,
    /// What became of orders.
    pub orders: Orders,
    /// What became of all requests to cached routes, as the node counted them since it started.
    pub node_cache: BTreeMap<&'static str, u64>,
    /// What happened, oldest first; the last ones, if there were many.
    pub happenings: Vec<Happening>,
}

impl Summary {
    /// Did Nearside answer all requests and deliver all orders, and was there one of each?
    pub fn holds(&self) -> bool {
        self.answered() && self.orders.hold()
    }

    /// Did Nearside answer all requests, and was there one?
    pub fn answered(&self) -> bool {
        self.nearside.failed == 0 && self.nearside.requests > 0
    }
}
