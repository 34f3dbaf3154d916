//! The counts as they were at one moment: plain data, for metrics, for the API and for the demo.

use std::time::Duration;

use serde::Serialize;

/// All counts since the node started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Client connections accepted.
    pub connections_opened: u64,
    /// Client connections that have ended.
    pub connections_closed: u64,
    /// Lines of the access log that were dropped.
    pub log_dropped: u64,
    /// By [`Why::label`](super::Why::label), all of them.
    pub refused: Vec<(&'static str, u64)>,
    /// By [`CacheResult::label`](super::CacheResult::label), all of them.
    pub cache: Vec<(&'static str, u64)>,
    /// Routes with at least one request; the first without a name, if a request found no route.
    pub routes: Vec<RouteStats>,
    /// All services that were ever in a plan.
    pub services: Vec<ServiceStats>,
}

/// The counts of one route.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RouteStats {
    /// None: requests that found no route.
    pub route: Option<String>,
    /// From a request's first byte to its answer's last.
    pub seconds: Histogram,
    /// Of requests' bodies.
    pub bytes_in: u64,
    /// Of answers' bodies.
    pub bytes_out: u64,
    /// Sorted by service, in the order in which they were met, then by status.
    pub statuses: Vec<StatusCount>,
}

/// How often a route gave one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusCount {
    /// None: the answer was made here.
    pub service: Option<String>,
    /// 0: more pairs of service and status than are counted apart.
    pub status: u16,
    /// Answers.
    pub count: u64,
}

/// The counts of one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ServiceStats {
    /// Its name.
    pub service: String,
    /// From a request's being sent to its answer's head.
    pub seconds: Histogram,
    /// Further tries.
    pub retries: u64,
    /// Second tries of slow requests.
    pub hedges: u64,
}

/// How long things took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// How many took at most the bound of the same index and longer than the one before; the last:
    /// longer than all bounds.
    pub counts: [u64; Histogram::BUCKETS],
    /// The sum of all times, in nanoseconds.
    pub nanos: u64,
}

impl Snapshot {
    /// Client connections that are open.
    pub fn connections(&self) -> u64 {
        self.connections_opened.saturating_sub(self.connections_closed)
    }

    /// Requests that have ended.
    pub fn requests(&self) -> u64 {
        self.routes.iter().map(|route| route.seconds.count()).sum()
    }

    /// The times of all requests.
    pub fn seconds(&self) -> Histogram {
        let mut all = Histogram::default();
        self.routes.iter().for_each(|route| all.add(&route.seconds));
        all
    }
}

impl Histogram {
    /// Upper bounds in nanoseconds: from 0.1 ms, which a local service takes, to 60 s, when all give up.
    pub const BOUNDS: [u64; 17] = [
        100_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
        30_000_000_000,
        60_000_000_000,
    ];
    /// One for each bound, and one for what is over them all.
    pub const BUCKETS: usize = Histogram::BOUNDS.len() + 1;

    /// The index in [`Histogram::counts`] for a time.
    pub fn bucket(nanos: u64) -> usize {
        Histogram::BOUNDS.partition_point(|&bound| bound < nanos)
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds another's counts to these.
    pub fn add(&mut self, other: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.nanos = self.nanos.wrapping_add(other.nanos);
    }

    /// What was counted since `earlier`, a histogram of the same things.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(&earlier.counts) {
            *count = count.saturating_sub(*before);
        }
        Histogram { counts, nanos: self.nanos.wrapping_sub(earlier.nanos) }
    }

    /// The time that a share `q` (0 to 1) of all did not exceed, as if times were spread evenly in
    /// their bucket; at most the greatest bound. None if nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = q.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0.0;
        let mut lower = 0;
        for (&count, &upper) in self.counts.iter().zip(&Histogram::BOUNDS) {
            let count = count as f64;
            if count > 0.0 && below + count >= rank {
                let share = ((rank - below) / count).max(0.0);
                let nanos = lower as f64 + share * (upper - lower) as f64;
                return Some(Duration::from_nanos(nanos as u64));
            }
            below += count;
            lower = upper;
        }
        (self.count() > 0).then(|| Duration::from_nanos(lower))
    }
}
