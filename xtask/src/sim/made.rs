//! Traces that are made: Zipf popularity with what disturbs caches in practice, the same in every run.

use crate::sim::trace::Request;

/// What to make.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// The exponent of the Zipf law.
    pub alpha: f64,
    /// Sizes vary (log-normal) or are all the same.
    pub varied: bool,
    /// One request in ten asks for something that is asked for once, as crawlers do.
    pub scan: bool,
    /// How popularity changes.
    pub drift: Drift,
}

/// How popularity changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It doesn't.
    None,
    /// Ten times, a tenth of the objects change places with others.
    Jumps,
    /// New objects come all the time, popular first, and are forgotten again.
    News,
}

/// Objects and requests in a trace.
pub const OBJECTS: u64 = 100_000;
const REQUESTS: u64 = 1_500_000;

/// The middle of the varied sizes, and how widely they vary: 5 % are above 12 times that.
const MIDDLE_SIZE: f64 = 8.0 * 1024.0;
const SPREAD: f64 = 1.5;
const LARGEST_SIZE: f64 = 32.0 * 1024.0 * 1024.0;

impl Recipe {
    /// A short name.
    pub fn name(&self) -> String {
        let sizes = if self.varied { "log-normal" } else { "equal" };
        let scan = if self.scan { ", 10 % scan" } else { "" };
        let drift = match self.drift {
            Drift::None => "",
            Drift::Jumps => ", jumps",
            Drift::News => ", news",
        };
        format!("Zipf {}, {sizes}{scan}{drift}", self.alpha)
    }

    /// Makes it.
    pub fn make(&self) -> Vec<Request> {
        let mut random = Random(0x006e_6561_7273_6964);
        let zipf = Zipf::new(self.alpha);
        let mut by_rank: Vec<u64> = (0..OBJECTS).collect();
        let mut once = 1 << 40;
        let mut requests = Vec::with_capacity(REQUESTS as usize);
        for n in 0..REQUESTS {
            if self.scan && random.below(10) == 0 {
                once += 1;
                requests.push(self.request(once));
                continue;
            }
            if self.drift == Drift::Jumps && n > 0 && n % (REQUESTS / 10) == 0 {
                for _ in 0..OBJECTS / 20 {
                    by_rank.swap(random.below(OBJECTS) as usize, random.below(OBJECTS) as usize);
                }
            }
            let rank = zipf.rank(&mut random);
            // With news, the object of rank r is the r-th newest: each fades as others come.
            let id = if self.drift == Drift::News { n / 20 + OBJECTS - rank } else { by_rank[rank as usize] };
            requests.push(self.request(id));
        }
        requests
    }

    fn request(&self, id: u64) -> Request {
        if !self.varied {
            return Request { id, size: MIDDLE_SIZE as u32 };
        }
        // The size belongs to the object, so it comes from its id: Box and Muller's way to a normal.
        let mut random = Random(id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (a, b) = (random.unit().max(f64::MIN_POSITIVE), random.unit());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        let size = (MIDDLE_SIZE * (SPREAD * normal).exp()).clamp(64.0, LARGEST_SIZE);
        Request { id, size: size as u32 }
    }
}

/// Ranks by Zipf's law, 0 first.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(alpha: f64) -> Zipf {
        let mut sum = 0.0;
        let weights = (1..=OBJECTS).map(|rank| (rank as f64).powf(-alpha));
        let mut sums: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        sums.iter_mut().for_each(|partial| *partial /= sum);
        Zipf { sums }
    }

    fn rank(&self, random: &mut Random) -> u64 {
        let at = random.unit();
        (self.sums.partition_point(|sum| *sum < at) as u64).min(OBJECTS - 1)
    }
}

/// SplitMix64, because a trace must be the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn popularity_follows_the_law_and_sizes_belong_to_objects() {
        let recipe = Recipe { alpha: 1.0, varied: true, scan: true, drift: Drift::None };
        let trace = recipe.make();
        assert_eq!(trace.len() as u64, REQUESTS);
        let mut counts = HashMap::new();
        let mut sizes = HashMap::new();
        for request in &trace {
            *counts.entry(request.id).or_insert(0u64) += 1;
            assert_eq!(*sizes.entry(request.id).or_insert(request.size), request.size);
        }
        let ratio = counts[&0] as f64 / counts[&9] as f64;
        assert!((9.0..11.0).contains(&ratio), "{ratio}");
        let once = counts.keys().filter(|id| **id > 1 << 40).count() as u64;
        assert!((REQUESTS / 11..REQUESTS / 9).contains(&once), "{once}");
        assert_eq!(trace, recipe.make());
    }
}
