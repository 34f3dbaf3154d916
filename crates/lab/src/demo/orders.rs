//! What users were promised of their orders, and what the warehouse really got: pure.
//!
//! An order counts as accepted when a user has read its 202, and as delivered when the warehouse answered a
//! request with its id with 2xx. Nearside's own word is taken only for what nobody else can see: its
//! attempts, most of which never reach a dead warehouse, and its dead letters.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// Delivered orders that are remembered, so that one that comes again is noticed: those of over an hour.
const REMEMBERED: usize = 100_000;

/// Who was promised what, and what came of it.
#[derive(Debug, Default)]
pub struct Ledger {
    accepted: u64,
    refused: u64,
    delivered: u64,
    twice: u64,
    /// From 202 to 2xx.
    times: Histogram,
    /// Accepted ones that were not delivered yet, by id, and since when.
    open: HashMap<Arc<str>, Instant>,
    /// The ids that the warehouse took.
    taken: HashSet<Arc<str>>,
    /// The same, oldest first.
    oldest: VecDeque<Arc<str>>,
    backlog: Option<Backlog>,
    caught_up: Option<CaughtUp>,
}

/// What waited when the warehouse returned.
#[derive(Debug)]
struct Backlog {
    returned: Instant,
    orders: usize,
    left: usize,
}

/// The warehouse has all that waited when it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaughtUp {
    /// How many waited.
    pub orders: usize,
    /// When the last of them was delivered.
    pub at: Instant,
    /// How long after the return.
    pub after: Duration,
}

impl Ledger {
    /// A user has read that the order with this id was accepted.
    pub fn accept(&mut self, id: &str, now: Instant) {
        self.accepted += 1;
        // It can be delivered before the user has read so.
        if self.taken.contains(id) {
            self.delivered += 1;
            self.times.add(Duration::ZERO);
        } else {
            self.open.insert(id.into(), now);
        }
    }

    /// A user's order was not accepted.
    pub fn refuse(&mut self) {
        self.refused += 1;
    }

    /// The warehouse answers a request with this id with 2xx.
    pub fn take(&mut self, id: &str, now: Instant) {
        if self.taken.contains(id) {
            self.twice += 1;
            return;
        }
        self.remember(id.into());
        let Some(accepted) = self.open.remove(id) else { return };
        self.delivered += 1;
        self.times.add(now.saturating_duration_since(accepted));
        let Some(backlog) = self.backlog.as_mut().filter(|backlog| accepted <= backlog.returned) else {
            return;
        };
        backlog.left -= 1;
        if backlog.left == 0 {
            let after = now.saturating_duration_since(backlog.returned);
            self.caught_up = Some(CaughtUp { orders: backlog.orders, at: now, after });
            self.backlog = None;
        }
    }

    fn remember(&mut self, id: Arc<str>) {
        self.taken.insert(id.clone());
        self.oldest.push_back(id);
        if self.oldest.len() > REMEMBERED
            && let Some(old) = self.oldest.pop_front()
        {
            self.taken.remove(&old);
        }
    }

    /// The warehouse is back.
    pub fn returned(&mut self, now: Instant) {
        let orders = self.open.values().filter(|&&accepted| accepted <= now).count();
        self.backlog = (orders > 0).then_some(Backlog { returned: now, orders, left: orders });
    }

    /// That the warehouse has what waited for it, once.
    pub fn caught_up(&mut self) -> Option<CaughtUp> {
        self.caught_up.take()
    }

    /// The times from accepted to delivered.
    pub fn times(&self) -> &Histogram {
        &self.times
    }

    /// What it comes to with these times, if the node told this.
    pub fn orders(&self, times: &Histogram, told: &Told) -> Orders {
        let Told { dead, counters, .. } = *told;
        let waiting = (self.accepted - self.delivered).saturating_sub(dead);
        Orders {
            accepted: self.accepted,
            refused: self.refused,
            waiting,
            lost: waiting.saturating_sub(told.open()),
            delivered: self.delivered,
            delivered_twice: self.twice,
            attempts: counters.done + counters.retried + counters.dead,
            retried: counters.retried,
            dead,
            p50_ms: times.quantile_ms(0.5),
            p99_ms: times.quantile_ms(0.99),
        }
    }
}

/// What the node says of the queue.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Told {
    waiting: u64,
    delayed: u64,
    running: u64,
    dead: u64,
    counters: Counters,
}

/// Deliveries by what came of them, since the node started.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Counters {
    done: u64,
    retried: u64,
    dead: u64,
}

impl Told {
    /// Messages that are to be delivered.
    pub fn open(&self) -> u64 {
        self.waiting + self.delayed + self.running
    }
}

/// The orders.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Orders {
    /// Users read that they were accepted.
    pub accepted: u64,
    /// Users got no 202.
    pub refused: u64,
    /// Accepted, and neither delivered nor dead letters.
    pub waiting: u64,
    /// Of those, how many the node does not know any more; says something once nothing is under way.
    pub lost: u64,
    /// Of those accepted, how many the warehouse took.
    pub delivered: u64,
    /// Deliveries of what the warehouse had taken before.
    pub delivered_twice: u64,
    /// Deliveries that Nearside tried, whatever came of them.
    pub attempts: u64,
    /// Those that failed and were tried again.
    pub retried: u64,
    /// Dead letters.
    pub dead: u64,
    /// Milliseconds from accepted to delivered within which half of the orders came.
    pub p50_ms: Option<f64>,
    /// Those within which 99 % came.
    pub p99_ms: Option<f64>,
}

impl Orders {
    /// Was there an order, all accepted, and all delivered, none of them twice?
    pub fn hold(&self) -> bool {
        let Orders { accepted, refused, delivered, delivered_twice, .. } = *self;
        accepted > 0 && delivered == accepted && refused + delivered_twice == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn orders(ledger: &Ledger, told: &str) -> Orders {
        ledger.orders(ledger.times(), &serde_json::from_str(told).unwrap())
    }

    fn quiet(retried: u64, done: u64) -> String {
        told([0, 0], retried, done)
    }

    fn told([delayed, dead]: [u64; 2], retried: u64, done: u64) -> String {
        format!(
            r#"{{"name":"orders","waiting":0,"delayed":{delayed},"running":0,"dead":{dead},
               "counters":{{"accepted":9,"done":{done},"retried":{retried},"dead":{dead}}}}}"#
        )
    }

    #[test]
    fn what_was_taken_once_holds_whichever_end_was_first() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        ledger.accept("1", now);
        ledger.take("1", now + 10 * MS);
        ledger.take("2", now);
        ledger.accept("2", now + MS);
        let all = orders(&ledger, &quiet(3, 2));
        assert!(all.hold(), "{all:?}");
        assert_eq!((all.accepted, all.delivered, all.attempts, all.retried), (2, 2, 5, 3));
        assert!(all.p50_ms < Some(1.0) && all.p99_ms > Some(9.0), "{all:?}");
    }

    #[test]
    fn nothing_is_hidden() {
        assert!(!orders(&Ledger::default(), &quiet(0, 0)).hold(), "no order at all");
        let mut ledger = Ledger::default();
        for id in ["taken", "waits", "dead", "lost"] {
            ledger.accept(id, Instant::now());
        }
        ledger.take("taken", Instant::now());
        let all = orders(&ledger, &told([1, 1], 0, 1));
        assert_eq!((all.waiting, all.dead, all.lost, all.attempts), (2, 1, 1, 2));
        assert!(!all.hold());
        for id in ["waits", "dead", "lost"] {
            ledger.take(id, Instant::now());
        }
        assert!(orders(&ledger, &quiet(0, 4)).hold());
        ledger.take("lost", Instant::now());
        let all = orders(&ledger, &quiet(0, 5));
        assert!((all.delivered, all.delivered_twice, all.hold()) == (4, 1, false), "{all:?}");
        let mut ledger = Ledger::default();
        ledger.accept("1", Instant::now());
        ledger.take("1", Instant::now());
        ledger.refuse();
        assert!(!orders(&ledger, &quiet(0, 1)).hold(), "one was refused");
    }

    #[test]
    fn who_waited_at_the_return_is_caught_up_with_when_the_last_of_them_is_delivered() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        ledger.accept("before", now);
        ledger.accept("also before", now);
        ledger.returned(now + MS);
        ledger.accept("after", now + 2 * MS);
        ledger.take("before", now + 3 * MS);
        ledger.take("after", now + 4 * MS);
        assert_eq!(ledger.caught_up(), None);
        ledger.take("also before", now + 5 * MS);
        let caught_up = CaughtUp { orders: 2, at: now + 5 * MS, after: 4 * MS };
        assert_eq!(ledger.caught_up(), Some(caught_up));
        assert_eq!(ledger.caught_up(), None, "that is told once");
        ledger.returned(now + 6 * MS);
        assert_eq!(ledger.caught_up(), None, "nobody waited");
    }

    #[test]
    fn memory_is_bounded() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        for id in 0..REMEMBERED + 10 {
            ledger.accept(&id.to_string(), now);
            ledger.take(&id.to_string(), now);
        }
        assert_eq!((ledger.taken.len(), ledger.oldest.len(), ledger.open.len()), (REMEMBERED, REMEMBERED, 0));
    }

    proptest! {
        #[test]
        fn they_hold_exactly_if_each_accepted_one_was_taken_once(
            events in prop::collection::vec((any::<bool>(), 0..6_u8), 1..40),
        ) {
            let (mut ledger, now) = (Ledger::default(), Instant::now());
            let mut counts = [[0; 2]; 6];
            for (accepts, id) in events {
                let count = &mut counts[usize::from(id)][usize::from(accepts)];
                match accepts {
                    // Ids are given once.
                    true if *count > 0 => continue,
                    true => ledger.accept(&id.to_string(), now),
                    false => ledger.take(&id.to_string(), now),
                }
                *count += 1;
            }
            let all = orders(&ledger, &quiet(0, 0));
            let some = counts.iter().any(|[_, accepted]| *accepted > 0);
            let once = counts.iter().all(|[taken, accepted]| *taken <= 1 && taken >= accepted);
            prop_assert_eq!(all.hold(), some && once, "{:?}", counts);
        }
    }
}
