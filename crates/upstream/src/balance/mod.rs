//! Which endpoint answers a request: the eight ways to choose one.
//!
//! All of it is pure: no clock, no random numbers of its own, no socket. A [`Picker`] is made off the
//! request path whenever the usable endpoints or their weights change, and then shared by all data
//! threads: tables that never change, and plain atomics; no locks. What must outlive it, how busy
//! each endpoint is, lies in the endpoints' [`Load`]s.

mod draws;
mod hash;
mod load;
mod maglev;
mod ring;
mod score;
mod tally;
mod tournament;
mod turns;

use std::collections::HashMap;
use std::sync::Arc;

use config::plan::Balance;
use draws::Draws;
use hash::reduce;
use maglev::Maglev;
use ring::Ring;
use tally::Tally;
use tournament::Tournament;
use turns::Turns;

pub use hash::{hash, mix};
pub use load::Load;
pub use score::Score;

/// The effective weight of an endpoint of weight 1.
pub const WEIGHT_ONE: u32 = 1000;
/// The largest effective weight; larger ones count as this.
pub const WEIGHT_MAX: u32 = 1000 * WEIGHT_ONE;

/// Turns that round robin passes over in one pick before it looks at each candidate.
const TURNS_PASSED_MAX: usize = 8;

/// One in so many picks has one load looked at again: it is a net, not the way to hear of changes.
const SWEEP: u64 = 8;

/// An endpoint that may be chosen.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// [`hash`] of the endpoint's URL.
    pub key: u64,
    /// 1 to [`WEIGHT_MAX`], after slow start; [`WEIGHT_ONE`] is weight 1.
    pub weight: u32,
    /// How busy the endpoint is.
    pub load: Arc<Load>,
}

impl Candidate {
    /// How busy it would be with one request more, for its weight. Exact below 2^24 requests, and
    /// equal fractions are equal numbers.
    fn ratio(&self) -> f32 {
        (self.load.in_flight() as f32 + 1.0) / self.weight as f32
    }
}

/// Keys of the candidates already tried for one request.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    keys: [u64; Self::MAX],
    len: usize,
}

impl Tried {
    /// How many it remembers.
    pub const MAX: usize = 8;

    /// Adds a key; if it is full, the one added first is forgotten.
    pub fn insert(&mut self, key: u64) {
        self.keys[self.len % Self::MAX] = key;
        // Between one and two rounds it knows both that it is full and where it stands.
        self.len = if self.len + 1 < 2 * Self::MAX { self.len + 1 } else { Self::MAX };
    }

    /// Whether the key was added (and not forgotten).
    #[must_use]
    pub fn contains(&self, key: u64) -> bool {
        self.keys[..self.len.min(Self::MAX)].contains(&key)
    }

    /// Whether nothing was tried yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Chooses among a fixed set of candidates.
#[derive(Debug)]
pub struct Picker {
    candidates: Box<[Candidate]>,
    places: HashMap<u64, usize, foldhash::fast::FixedState>,
    /// None only without candidates.
    way: Option<Way>,
}

/// How it chooses, with the tables for it.
#[derive(Debug)]
enum Way {
    RoundRobin(Turns),
    Random(Draws),
    LeastConnections(Tournament),
    TwoChoices(Draws),
    Latency(Draws),
    IpHash(Ring),
    Hash(Ring, Tally),
    Maglev(Maglev),
}

/// What one pick goes by.
#[derive(Clone, Copy)]
struct Ask<'a> {
    hash: u64,
    random: u64,
    now: u64,
    tried: &'a Tried,
}

impl Picker {
    /// Takes time in proportion to the tables (up to about 0.1 s for the largest), so it belongs off
    /// the request path. `seed`, random, sets where those ways start that go in turns.
    #[must_use]
    pub fn new(how: &Balance, mut candidates: Vec<Candidate>, seed: u64) -> Self {
        for candidate in &mut candidates {
            candidate.weight = candidate.weight.clamp(1, WEIGHT_MAX);
        }
        let way = (!candidates.is_empty()).then(|| Way::new(how, &candidates, seed));
        let places = candidates.iter().enumerate().map(|(i, c)| (c.key, i)).collect();
        Self { candidates: candidates.into(), places, way }
    }

    /// Chooses a candidate and counts one request in flight there; None only without candidates.
    ///
    /// `hash` is of what the choice goes by (see [`hash()`]), `random` is uniform, `now` is in ns
    /// since the process started. Candidates in `tried` are avoided while others are left.
    pub fn pick(&self, hash: u64, random: u64, now: u64, tried: &Tried) -> Option<usize> {
        let way = self.way.as_ref()?;
        let alone = self.candidates.len() == 1;
        let chosen = if alone { 0 } else { self.choose(way, Ask { hash, random, now, tried }) };
        self.begin(chosen);
        // What ended through another Picker went unheard, so now and then another load is looked at.
        if random.is_multiple_of(SWEEP) {
            self.refresh(reduce(random, self.len()));
        }
        Some(chosen)
    }

    /// Counts one request in flight at candidate `i`, which was chosen otherwise.
    pub fn begin(&self, i: usize) {
        let Some(candidate) = self.candidates.get(i) else {
            return;
        };
        candidate.load.begin();
        match &self.way {
            Some(Way::LeastConnections(tournament)) => tournament.picked(i, candidate),
            Some(Way::Hash(_, tally)) => tally.refresh(i, candidate),
            _ => {}
        }
    }

    /// Reads candidate `i`'s load again after a request ended there. Best called on the Picker now in
    /// use; one that was not told finds out by itself, after some tens of picks for each candidate.
    pub fn refresh(&self, i: usize) {
        let Some(candidate) = self.candidates.get(i) else {
            return;
        };
        match &self.way {
            Some(Way::LeastConnections(tournament)) => {
                tournament.refresh(i, candidate);
            }
            Some(Way::Hash(_, tally)) => tally.refresh(i, candidate),
            _ => {}
        }
    }

    /// How many candidates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The candidate with this key.
    #[must_use]
    pub fn find(&self, key: u64) -> Option<usize> {
        self.places.get(&key).copied()
    }

    fn choose(&self, way: &Way, ask: Ask<'_>) -> usize {
        let fits = |i: usize| !ask.tried.contains(self.candidates[i].key);
        let (chosen, start) = match way {
            Way::RoundRobin(turns) => {
                let turns = std::iter::repeat_with(|| turns.take()).take(TURNS_PASSED_MAX);
                ({ turns }.find(|&i| fits(i)), ask.random)
            }
            Way::Random(draws) => (draws.one(ask.random, fits), ask.random),
            Way::LeastConnections(tournament) if ask.tried.is_empty() => {
                (Some(tournament.least(&self.candidates)), ask.random)
            }
            Way::LeastConnections(tournament) => (tournament.least_of(fits), ask.random),
            Way::TwoChoices(draws) => {
                let two = draws.two(ask.random, fits);
                (two.map(|(a, b)| self.less_busy(a, b)), ask.random)
            }
            Way::Latency(draws) => {
                let two = draws.two(ask.random, fits);
                (two.map(|(a, b)| self.quicker(a, b, ask.now)), ask.random)
            }
            Way::IpHash(ring) => (ring.walk(ask.hash).find(|&i| fits(i)), ask.hash),
            Way::Hash(ring, tally) => {
                let has_room = |&i: &usize| fits(i) && tally.has_room(&self.candidates[i]);
                let near = ring.walk(ask.hash).find(has_room);
                (near.or_else(|| self.from(ask.hash).find(has_room)), ask.hash)
            }
            Way::Maglev(table) => (table.walk(ask.hash).find(|&i| fits(i)), ask.hash),
        };
        match chosen.or_else(|| self.from(start).find(|&i| fits(i))) {
            Some(i) => i,
            None if ask.tried.is_empty() => reduce(start, self.len()),
            None => self.choose(way, Ask { tried: &Tried::default(), ..ask }),
        }
    }

    /// All candidates once, beginning somewhere.
    fn from(&self, start: u64) -> impl Iterator<Item = usize> {
        let start = reduce(start, self.len());
        (start..self.len()).chain(0..start)
    }

    fn less_busy(&self, a: usize, b: usize) -> usize {
        if self.candidates[b].ratio() < self.candidates[a].ratio() { b } else { a }
    }

    /// The one whose requests now in flight, and one more, should be answered sooner. If one's latency
    /// is unknown, only their loads are compared: it then gets its share of requests, not all of them.
    fn quicker(&self, a: usize, b: usize, now: u64) -> usize {
        let [x, y] = [a, b].map(|i| &self.candidates[i]);
        match (x.load.latency(now), y.load.latency(now)) {
            (Some(of_x), Some(of_y)) => {
                if of_y as f32 * y.ratio() < of_x as f32 * x.ratio() {
                    b
                } else {
                    a
                }
            }
            _ => self.less_busy(a, b),
        }
    }
}

impl Way {
    fn new(how: &Balance, candidates: &[Candidate], seed: u64) -> Self {
        let weights = || -> Vec<u32> { candidates.iter().map(|c| c.weight).collect() };
        match how {
            Balance::RoundRobin => Self::RoundRobin(Turns::new(&weights(), seed)),
            Balance::Random => Self::Random(Draws::new(&weights())),
            Balance::LeastConnections => Self::LeastConnections(Tournament::new(candidates, seed)),
            Balance::TwoChoices => Self::TwoChoices(Draws::new(&weights())),
            Balance::Latency => Self::Latency(Draws::new(&weights())),
            Balance::IpHash => Self::IpHash(Ring::new(candidates)),
            Balance::Hash(_) => Self::Hash(Ring::new(candidates), Tally::new(candidates)),
            Balance::Maglev => Self::Maglev(Maglev::new(candidates)),
        }
    }
}

/// A value on cache lines of its own, so that writing it does not slow down reading its neighbours.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);
