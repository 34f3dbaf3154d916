//! Loss of power: whatever of the unsynced writes reached the disk, nothing that was purged or replaced
//! comes back, and no byte is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use cache::disk::{Disk, SMALLEST};
use cache::ledger::{Covered, Ledger, Purge, What};
use cache::object::Body;

use super::sim::Sim;
use super::world::{Dice, bytes, check, get, object, primary, quiet, rounds, version, whole, write};

/// Few keys are replaced while they are young, many as they are recycled.
const KEYS: [u64; 2] = [24, 200];

/// What must hold, whatever happens.
#[derive(Default)]
struct Promises {
    /// The last version of each key that was begun.
    begun: BTreeMap<u64, u64>,
    /// The first version of each key that may still be served.
    from: BTreeMap<u64, u64>,
    now_ms: u64,
    keys: u64,
}

struct Tiers {
    disk: Disk,
    ledger: Ledger,
}

impl Tiers {
    fn open(sim: &Sim, purges: &Sim, now_ms: u64) -> Tiers {
        let ledger = Ledger::open_on(Arc::new(purges.clone()), now_ms, &quiet()).unwrap();
        Tiers { disk: Disk::open_on(Arc::new(sim.clone()), SMALLEST, quiet()).unwrap(), ledger }
    }
}

impl Promises {
    /// Stores a new version; false: the power went.
    async fn replace(&mut self, tiers: &Tiers, dice: &mut Dice) -> bool {
        let key = dice.roll(self.keys);
        let version = self.begun.get(&key).map_or(1, |version| version + 1);
        self.begun.insert(key, version);
        if tiers.disk.retire(&primary(key), b"").await.is_err() {
            return false;
        }
        self.from.insert(key, version);
        self.now_ms += 1;
        let len = if dice.roll(3) == 0 { dice.roll(700_000) } else { dice.roll(40_000) };
        match dice.roll(3) {
            0 => tiers.disk.keep(&whole(key, version, self.now_ms, len)),
            1 => {
                write(&tiers.disk, key, version, self.now_ms, len, dice.roll(2) == 0).await;
            }
            _ => {
                let head = object(key, version, self.now_ms, Body::Whole(bytes::Bytes::new()));
                if let Some(mut writer) = tiers.disk.begin(&head, Some(len)) {
                    let (a, b) = (dice.roll(len + 1), dice.roll(len + 1));
                    let (from, to) = (a.min(b), a.max(b));
                    writer.write(from, bytes(key, version, from, to - from)).await;
                }
            }
        }
        true
    }

    async fn purge(&mut self, tiers: &Tiers, dice: &mut Dice) -> bool {
        let key = dice.roll(self.keys);
        let (what, named): (What, Box<dyn Fn(u64) -> bool>) = match dice.roll(40) {
            0 => (What::All, Box::new(|_| true)),
            1..8 => (
                What::Tag(format!("mod{}", key % 4).into_bytes().into()),
                Box::new(move |k| k % 4 == key % 4),
            ),
            8..15 => {
                let folder = format!("http://h/{}/", key % 3).into_bytes();
                (What::Prefix(folder.into()), Box::new(move |k| k % 3 == key % 3))
            }
            15..25 => (What::Tag(format!("k{key}").into_bytes().into()), Box::new(move |k| k == key)),
            _ => (What::Url(primary(key).into()), Box::new(move |k| k == key)),
        };
        self.now_ms += 1;
        let purge = Purge { what, soft: false, at_ms: self.now_ms };
        let lasts = tiers.ledger.record(&purge).await.is_ok();
        let dropped = tiers.disk.purge(&purge).await.is_ok();
        if lasts {
            for (&key, &version) in self.begun.iter().filter(|(key, _)| named(**key)) {
                self.from.insert(key, version + 1);
            }
        }
        lasts && dropped
    }

    /// Looks at all keys; says how many were found.
    async fn look(&self, tiers: &Tiers) -> usize {
        let mut found = 0;
        for key in 0..self.keys {
            let stands = |object: &cache::Object| {
                tiers.ledger.covers(object.primary(), object.tags(), object.facts().requested_ms)
                    == Covered::No
            };
            let Some(object) = tiers.disk.get(&primary(key), stands).await else { continue };
            let from = self.from.get(&key).copied().unwrap_or_default();
            assert!(
                version(&object) >= from,
                "version {} of {key} came back, {from} is the first that may",
                version(&object)
            );
            found += usize::from(check(key, &object).await.is_some());
        }
        found
    }
}

async fn live(seed: u64) -> usize {
    let mut dice = Dice(seed);
    let (mut sim, mut purges) = (Sim::default(), Sim::default());
    let mut promises = Promises { now_ms: 1000, keys: KEYS[(seed % 2) as usize], ..Promises::default() };
    let mut found = 0;
    for _ in 0..4 {
        promises.now_ms += 1;
        let tiers = Tiers::open(&sim, &purges, promises.now_ms);
        promises.now_ms += 1;
        found += promises.look(&tiers).await;
        let changes = 20 + dice.roll(1500);
        if dice.roll(8) == 0 {
            purges.lose_power_after(changes / 20);
        } else {
            sim.lose_power_after(changes);
        }
        for _ in 0..300 {
            let lives = match dice.roll(12) {
                0..9 => promises.replace(&tiers, &mut dice).await,
                9 => promises.purge(&tiers, &mut dice).await,
                10 => tiers.disk.sync().await.is_ok(),
                _ => {
                    // What is used is carried on when its segment is recycled.
                    for _ in 0..promises.keys / 8 {
                        get(&tiers.disk, dice.roll(promises.keys)).await;
                    }
                    true
                }
            };
            if !lives || sim.is_dead() || purges.is_dead() {
                break;
            }
        }
        // All of the machine stops at once.
        sim.lose_power_after(0);
        purges.lose_power_after(0);
        drop(tiers);
        (sim, purges) = (sim.after_the_loss(&mut dice), purges.after_the_loss(&mut dice));
    }
    found
}

#[test]
fn nothing_purged_or_replaced_survives_a_loss_of_power() {
    let seeds = rounds(40);
    let first = std::env::var("NEARSIDE_SEED").ok().map_or(0, |seed| seed.parse().unwrap());
    let mut found = 0;
    for seed in first..first + seeds {
        println!("seed {seed}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        found += runtime.block_on(live(seed));
    }
    assert!(found as u64 > seeds, "most of what was stored is lost: {found} found");
}
