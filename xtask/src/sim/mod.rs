//! `cargo xtask sim`: how many hits the memory tier's policy finds, beside LRU, S3-FIFO and W-TinyLFU.
//!
//! It replays traces, real ones or made ones, through the policy's own source (see `ours`), so what is
//! measured is what runs.

mod list;
mod made;
mod ours;
mod peers;
mod trace;

use std::collections::HashMap;
use std::path::Path;

use crate::failure::{Failure, Outcome};
use made::{Drift, Recipe};
use trace::Request;

/// Parts of a trace's footprint that a cache is given, in per cent.
const CAPACITIES: [u64; 3] = [1, 5, 10];

/// Our policy may be so many points behind the better of S3-FIFO and W-TinyLFU.
const MARK: f64 = 1.0;

/// A policy with all that it holds.
pub trait Policy {
    /// Asks for an object and stores it if it isn't there. Was it?
    fn request(&mut self, request: Request) -> bool;
}

/// Hits in per cent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ratio {
    objects: f64,
    bytes: f64,
}

/// Replays the trace at `--trace`, or all that can be made.
pub fn run(options: &[&str]) -> Outcome<()> {
    let mut path = None;
    let mut delimiter = ',';
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match (*option, options.next()) {
            ("--trace", Some(value)) => path = Some(Path::new(*value)),
            ("--delimiter", Some(value)) => {
                let value = if *value == "\\t" { "\t" } else { value };
                let wrong = || Failure::Usage(format!("`{value}` is not one character"));
                delimiter = value.parse().map_err(|_| wrong())?;
            }
            _ => return Err(Failure::Usage(format!("`sim` doesn't know `{option}`, or it lacks a value"))),
        }
    }
    println!(
        "Hits in per cent: of objects | of bytes. The margin is to the better of S3-FIFO and W-TinyLFU.\n"
    );
    println!("| trace | capacity | LRU | S3-FIFO | W-TinyLFU | ours | margin |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let mut worst = Ratio { objects: f64::MAX, bytes: f64::MAX };
    if let Some(path) = path {
        let requests = trace::read(path, delimiter).map_err(|e| Failure::Unmet(e.to_string()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        compare(&name, &requests, &mut worst);
    } else {
        for recipe in recipes() {
            compare(&recipe.name(), &recipe.make(), &mut worst);
        }
    }
    println!("\nWorst margin: {:+.2} of objects, {:+.2} of bytes.", worst.objects, worst.bytes);
    if worst.objects < -MARK || worst.bytes < -MARK {
        return Err(Failure::Unmet(format!("a margin is below -{MARK}")));
    }
    Ok(())
}

fn recipes() -> Vec<Recipe> {
    let mut recipes = Vec::new();
    for drift in [Drift::None, Drift::Jumps, Drift::News] {
        for scan in [false, true] {
            for varied in [false, true] {
                let of = |alpha| Recipe { alpha, varied, scan, drift };
                recipes.extend([0.6, 0.8, 1.0, 1.2].map(of));
            }
        }
    }
    recipes
}

/// Prints a row for each capacity.
fn compare(name: &str, requests: &[Request], worst: &mut Ratio) {
    let sizes: HashMap<u64, u32> = requests.iter().map(|request| (request.id, request.size)).collect();
    let footprint: u64 = sizes.values().map(|size| u64::from(*size)).sum();
    for percent in CAPACITIES {
        let limit = (footprint * percent / 100).max(1);
        let objects = sizes.len() as u64 * percent / 100;
        let lru = replay(requests, peers::Lru::new(limit));
        let s3_fifo = replay(requests, peers::S3Fifo::new(limit));
        let tiny_lfu = replay(requests, peers::TinyLfu::new(limit, objects));
        let ours = replay(requests, ours::Ours::new(limit));
        let margin = Ratio {
            objects: ours.objects - s3_fifo.objects.max(tiny_lfu.objects),
            bytes: ours.bytes - s3_fifo.bytes.max(tiny_lfu.bytes),
        };
        worst.objects = worst.objects.min(margin.objects);
        worst.bytes = worst.bytes.min(margin.bytes);
        print!("| {name} | {percent} % ");
        for ratio in [lru, s3_fifo, tiny_lfu, ours] {
            print!("| {:.2} \\| {:.2} ", ratio.objects, ratio.bytes);
        }
        println!("| {:+.2} \\| {:+.2} |", margin.objects, margin.bytes);
    }
}

fn replay(requests: &[Request], mut policy: impl Policy) -> Ratio {
    let (mut hits, mut hit_bytes, mut bytes) = (0u64, 0u64, 0u64);
    for request in requests {
        let size = u64::from(request.size);
        bytes += size;
        if policy.request(*request) {
            hits += 1;
            hit_bytes += size;
        }
    }
    let per_cent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    Ratio { objects: per_cent(hits, requests.len() as u64), bytes: per_cent(hit_bytes, bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(ids: impl IntoIterator<Item = u64>) -> Vec<Request> {
        ids.into_iter().map(|id| Request { id, size: 10 }).collect()
    }

    fn policies(limit: u64) -> [Box<dyn Policy>; 4] {
        [
            Box::new(peers::Lru::new(limit)),
            Box::new(peers::S3Fifo::new(limit)),
            Box::new(peers::TinyLfu::new(limit, limit / 10)),
            Box::new(ours::Ours::new(limit)),
        ]
    }

    impl Policy for Box<dyn Policy> {
        fn request(&mut self, request: Request) -> bool {
            (**self).request(request)
        }
    }

    #[test]
    fn all_hit_what_fits_and_none_hits_what_never_came() {
        for policy in policies(100_000) {
            let ratio = replay(&requests((0..50).chain(0..50)), policy);
            assert_eq!(ratio, Ratio { objects: 50.0, bytes: 50.0 });
        }
        for policy in policies(1000) {
            assert_eq!(replay(&requests(0..5000), policy).objects, 0.0);
        }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        // Room for two: 1 is used again, so 2 goes for 3.
        let mut lru = peers::Lru::new(20);
        let hits: Vec<bool> = requests([1, 2, 1, 3, 1, 2]).into_iter().map(|r| lru.request(r)).collect();
        assert_eq!(hits, [false, false, true, false, true, false]);
    }

    #[test]
    fn only_lru_forgets_all_for_a_scan() {
        let hot = || (0..50).chain(0..50).chain(0..50).chain(0..50);
        let trace = requests(hot().chain(1000..3000).chain(0..50));
        let hits_after = |mut policy: Box<dyn Policy>| {
            let (before, after) = trace.split_at(trace.len() - 50);
            for request in before {
                policy.request(*request);
            }
            after.iter().filter(|request| policy.request(**request)).count()
        };
        let [lru, s3_fifo, tiny_lfu, ours] = policies(1000).map(hits_after);
        assert_eq!(lru, 0);
        assert!(s3_fifo == 50 && tiny_lfu > 40 && ours == 50, "{s3_fifo} {tiny_lfu} {ours}");
    }
}
