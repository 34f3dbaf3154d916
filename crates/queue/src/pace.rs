//! How much does one receiver get at once? As much as the file says, and less while it can't follow.
//!
//! A receiver that answers 429 or 503, or not at all, gets half of it: once for all that was in flight
//! together, since that is one piece of news. Each time that as many as are allowed at once succeeded,
//! it gets one more.

use crate::backoff::Outcome;

/// However long a receiver wants to be left alone, after this it is asked again; in milliseconds.
pub const LONGEST_HOLD: u64 = 60_000;

/// What one receiver gets.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Deliveries in flight that the file allows.
    most: u32,
    /// Those that are allowed now.
    limit: u32,
    in_flight: u32,
    /// Since the limit changed.
    taken: u32,
    /// Deliveries so far.
    begun: u64,
    /// Those that were begun when the limit was halved: they may not halve it again.
    halved: u64,
    held_till: u64,
    bucket: Option<Bucket>,
}

/// Which of a receiver's deliveries it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(u64);

/// Deliveries that may begin: `rate` of them come each second, and a tenth of that can be saved up.
#[derive(Debug, Clone)]
struct Bucket {
    rate: f64,
    tokens: f64,
    at: u64,
}

impl Pace {
    /// Of a receiver of which nothing is known yet. `rate` is in deliveries a second.
    pub fn new(concurrency: u32, rate: Option<f64>) -> Self {
        let most = concurrency.max(1);
        Self {
            most,
            limit: most,
            in_flight: 0,
            taken: 0,
            begun: 0,
            halved: 0,
            held_till: 0,
            bucket: rate.map(Bucket::new),
        }
    }

    /// The file has changed.
    pub fn set(&mut self, concurrency: u32, rate: Option<f64>) {
        let most = concurrency.max(1);
        self.limit = if self.limit == self.most { most } else { self.limit.min(most) };
        self.most = most;
        if self.bucket.as_ref().map(|bucket| bucket.rate) != rate {
            self.bucket = rate.map(Bucket::new);
        }
    }

    /// If not now: when, unless a delivery ends before. None: only then.
    pub fn may_start(&self, now: u64) -> Result<(), Option<u64>> {
        if self.in_flight >= self.limit {
            return Err(None);
        }
        let token = self.bucket.as_ref().map_or(0, |bucket| bucket.next_at(now));
        let at = token.max(self.held_till);
        if at > now { Err(Some(at)) } else { Ok(()) }
    }

    /// A delivery begins.
    pub fn start(&mut self, now: u64) -> Turn {
        self.in_flight += 1;
        self.begun += 1;
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
        Turn(self.begun)
    }

    /// What came of it. It counts as in flight till it [ended](Self::ended).
    pub fn answered(&mut self, turn: Turn, outcome: &Outcome, now: u64) {
        match outcome.status {
            200..=299 => self.succeeded(),
            // It never came to the receiver.
            0 if outcome.hopeless => {}
            0 | 429 | 503 => self.slow_down(turn),
            _ => {}
        }
        if let (429 | 503, Some(wish)) = (outcome.status, outcome.retry_after) {
            self.held_till = self.held_till.max(now.saturating_add(wish.min(LONGEST_HOLD)));
        }
    }

    fn succeeded(&mut self) {
        self.taken += 1;
        if self.taken >= self.limit && self.limit < self.most {
            self.limit += 1;
            self.taken = 0;
        }
        self.taken = self.taken.min(self.limit);
    }

    fn slow_down(&mut self, turn: Turn) {
        self.taken = 0;
        if turn.0 > self.halved {
            self.limit = (self.limit / 2).max(1);
            self.halved = self.begun;
        }
    }

    /// A delivery is over, and what came of it is in the log.
    pub fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Deliveries in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Deliveries in flight that are allowed now.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Till when it wants to be left alone, in milliseconds since 1970; a time that is over: it doesn't.
    pub fn held_till(&self) -> u64 {
        self.held_till
    }
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self { rate, tokens: Self::most(rate), at: 0 }
    }

    fn most(rate: f64) -> f64 {
        (rate / 10.0).max(1.0)
    }

    fn tokens(&self, now: u64) -> f64 {
        let passed = now.saturating_sub(self.at) as f64 / 1000.0;
        (self.tokens + passed * self.rate).min(Self::most(self.rate))
    }

    fn take(&mut self, now: u64) {
        self.tokens = (self.tokens(now) - 1.0).max(0.0);
        self.at = now;
    }

    /// When there is a whole one.
    fn next_at(&self, now: u64) -> u64 {
        // What is missing may be as little as rounding leaves over.
        let missing = 1.0 - self.tokens(now) - 1e-9;
        if missing <= 0.0 {
            return now;
        }
        now.saturating_add((missing / self.rate * 1000.0).ceil() as u64)
    }
}
