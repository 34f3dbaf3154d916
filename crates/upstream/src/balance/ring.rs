//! A hash ring: a key belongs to the first point at or after it, so that a candidate which comes or
//! goes moves only the keys at its own points.
//!
//! A candidate's points depend on its key and weight alone, so all nodes agree and nobody's move
//! when another leaves. The points are sorted, and an index by their first bits finds a key's place
//! in constant time.

use super::Candidate;
use super::hash::nth;

/// Points of a candidate of weight 1: shares are then within about 8 % of what they should be.
const POINTS: u64 = 160;
/// Points of all candidates (or one each). Where weights ask for more, everyone's are scaled to fit;
/// then a change of the candidates also moves about as many keys of others.
const POINTS_MAX: u64 = 1 << 18;
/// Points looked at before the Picker looks at each candidate in turn.
const WALK_MAX: usize = 256;
/// Bits of a point that name its owner; the others are its place.
const OWNER_BITS: u32 = 24;

/// Who owns which hashes.
#[derive(Debug)]
pub(super) struct Ring {
    /// Sorted: place, then owner.
    points: Box<[u64]>,
    /// For each value of a hash's first bits, the first point at or after it.
    starts: Box<[u32]>,
}

impl Ring {
    /// `candidates` must not be empty.
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let wanted = |c: &Candidate| u64::from(c.weight) * POINTS / 1000;
        let all: u64 = candidates.iter().map(wanted).sum();
        let mut points = Vec::with_capacity(all.min(POINTS_MAX) as usize + candidates.len());
        for (owner, candidate) in candidates.iter().enumerate() {
            let wanted = wanted(candidate);
            let count = if all > POINTS_MAX { wanted * POINTS_MAX / all } else { wanted };
            let places = (0..count.max(1)).map(|k| nth(candidate.key, k as usize));
            points.extend(places.map(|place| place >> OWNER_BITS << OWNER_BITS | owner as u64));
        }
        points.sort_unstable();
        let starts = starts(&points);
        Self { points: points.into(), starts }
    }

    /// The owners at and after `hash`, in order, some more than once; a bounded number of them.
    pub(super) fn walk(&self, hash: u64) -> impl Iterator<Item = usize> {
        let place = hash >> OWNER_BITS << OWNER_BITS;
        let mut at = self.starts[(hash >> self.shift()) as usize] as usize;
        while self.points.get(at).is_some_and(|&point| point < place) {
            at += 1;
        }
        let (before, after) = self.points.split_at(at);
        let owner = |point: &u64| (point & ((1 << OWNER_BITS) - 1)) as usize;
        after.iter().chain(before).take(WALK_MAX).map(owner)
    }

    fn shift(&self) -> u32 {
        u64::BITS - self.starts.len().trailing_zeros()
    }
}

/// A start for every two to four points: the index stays small, a key's place is near.
fn starts(points: &[u64]) -> Box<[u32]> {
    let count = (points.len() / 4).next_power_of_two().max(2);
    let shift = u64::BITS - count.trailing_zeros();
    let mut at = 0;
    let start = |prefix: usize| {
        while points.get(at).is_some_and(|&point| ((point >> shift) as usize) < prefix) {
            at += 1;
        }
        at as u32
    };
    (0..count).map(start).collect()
}
