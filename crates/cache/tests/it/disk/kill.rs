//! kill -9 at any moment: another process fills, replaces and purges at full speed and says what it was
//! promised; it is killed, and what it left is held against that.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache::disk::Disk;
use cache::ledger::{Covered, Ledger, Purge, What};

use super::world::{Dice, MIB, check, primary, quiet, rounds, version, whole, write};

const FOLDER: &str = "NEARSIDE_TEST_DISK_FOLDER";
const SEED: &str = "NEARSIDE_TEST_DISK_SEED";
const LIFE: &str = "NEARSIDE_TEST_DISK_LIFE";
const KEYS: u64 = 200;
/// Bytes of a tier in which everything has room, and of one that recycles its segments.
const SIZES: [u64; 2] = [512 * MIB, 16 * MIB];
/// Bytes that the child stores in the larger one.
const STORED: u64 = 200 * MIB;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// What the child says: one word and two numbers a line.
fn say(word: &str, key: u64, version: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@{word} {key} {version}").unwrap();
    out.flush().unwrap();
}

/// Not a test of its own: the process that is killed.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let life: u64 = std::env::var(LIFE).unwrap().parse().unwrap();
    runtime.block_on(live(Path::new(&folder), seed, life));
}

async fn live(folder: &Path, seed: u64, life: u64) {
    let size = SIZES[(seed % 2) as usize];
    let disk = Arc::new(Disk::open(&folder.join("disk"), size, quiet()).unwrap());
    let ledger = Arc::new(Ledger::open(&folder.join("purges"), &quiet()).unwrap());
    say("open", 0, 0);
    let tasks: Vec<_> = (0..4)
        .map(|task| tokio::spawn(churn(disk.clone(), ledger.clone(), Dice(seed * 16 + task), task, life)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Each task has keys of its own.
async fn churn(disk: Arc<Disk>, ledger: Arc<Ledger>, mut dice: Dice, task: u64, life: u64) {
    let mut stored = 0;
    let mut next = life * 1_000_000; // later versions in later lives
    loop {
        let key = dice.roll(KEYS / 4) * 4 + task;
        next += 1;
        match dice.roll(20) {
            0 => {
                say("purging", key, 0);
                let what = match dice.roll(2) {
                    0 => What::Url(primary(key).into()),
                    _ => What::Tag(format!("k{key}").into_bytes().into()),
                };
                let purge = Purge { what, soft: false, at_ms: now_ms() };
                ledger.record(&purge).await.unwrap();
                disk.purge(&purge).await.unwrap();
                say("purged", key, next);
            }
            1 => {
                disk.sync().await.unwrap();
                say("synced", task, 0);
            }
            _ if stored < STORED / 4 || disk.evicted() > 0 => {
                say("retiring", key, next);
                disk.retire(&primary(key), b"").await.unwrap();
                say("retired", key, next);
                let len = if dice.roll(4) == 0 { dice.roll(2_000_000) } else { dice.roll(60_000) };
                stored += len;
                // A purge of this very millisecond covers what is requested in it.
                tokio::time::sleep(Duration::from_millis(1)).await;
                if dice.roll(2) == 0 {
                    disk.keep(&whole(key, next, now_ms(), len)); // unless the disk is behind
                } else if write(&disk, key, next, now_ms(), len, dice.roll(2) == 0).await {
                    say("stored", key, next);
                }
            }
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// What the child was promised, as its parent knows it.
#[derive(Default)]
struct Heard {
    /// The first version that may be served.
    from: BTreeMap<u64, u64>,
    /// What was complete when the disk was last synced.
    complete: BTreeMap<u64, u64>,
    stored: BTreeMap<u64, u64>,
    promises: usize,
}

impl Heard {
    fn hear(&mut self, line: &str) {
        let Some((_, said)) = line.split_once('@') else { return };
        let mut words = said.split(' ');
        let word = words.next().unwrap();
        let (Some(Ok(key)), Some(Ok(version))) = (words.next().map(str::parse), words.next().map(str::parse))
        else {
            return; // killed in the middle of it
        };
        match word {
            "retiring" | "purging" => {
                self.complete.remove(&key);
                self.stored.remove(&key);
            }
            "retired" | "purged" => {
                self.promises += 1;
                self.from.insert(key, version);
            }
            "stored" => {
                self.stored.insert(key, version);
            }
            "synced" => {
                // Only what this task itself has stored before is certain to be.
                let own = self.stored.iter().filter(|(stored, _)| *stored % 4 == key);
                self.complete.extend(own.map(|(key, version)| (*key, *version)));
            }
            _ => {}
        }
    }
}

async fn look(folder: &Path, size: u64, heard: &Heard) -> usize {
    let ledger = Ledger::open(&folder.join("purges"), &quiet()).unwrap();
    let disk = Disk::open(&folder.join("disk"), size, quiet()).unwrap();
    let mut found = 0;
    for key in 0..KEYS {
        let stands = |object: &cache::Object| {
            ledger.covers(object.primary(), object.tags(), object.facts().requested_ms) == Covered::No
        };
        let object = disk.get(&primary(key), stands).await;
        let complete = heard.complete.get(&key);
        if let Some(object) = &object {
            let from = heard.from.get(&key).copied().unwrap_or_default();
            assert!(
                version(object) >= from,
                "version {} of {key} came back; {from} is the first",
                version(object)
            );
            check(key, object).await.unwrap();
            found += 1;
        }
        if disk.evicted() == 0 && size == SIZES[0] {
            let whole = object.filter(|object| object.body().is_whole()).map(|object| version(&object));
            assert!(
                complete.is_none_or(|&complete| whole == Some(complete)),
                "{key}: {whole:?} of {complete:?}"
            );
        }
    }
    found
}

#[test]
fn what_was_promised_holds_after_kill_9() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut found, mut promises, mut complete) = (0, 0, 0);
    for seed in 0..rounds(4) {
        let folder = tempfile::tempdir().unwrap();
        let mut heard = Heard::default();
        // The second life begins with what the first one left.
        for life in 0..2 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "disk::kill::child", "--nocapture"])
                .env(FOLDER, folder.path())
                .env(SEED, seed.to_string())
                .env(LIFE, life.to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut dice = Dice(seed * 2 + life);
            let after = 50 + dice.roll(1500);
            for _ in 0..after {
                heard.hear(&lines.next().expect("the child ended by itself").unwrap());
            }
            child.kill().unwrap();
            child.wait().unwrap();
            lines.map_while(Result::ok).for_each(|line| heard.hear(&line));
            heard.stored.clear(); // what wasn't synced may have waited in the process
            found += runtime.block_on(look(folder.path(), SIZES[(seed % 2) as usize], &heard));
            complete += heard.complete.len();
        }
        promises += heard.promises;
    }
    assert!(found > 0 && promises > 0 && complete > 0, "{found} {promises} {complete}");
}
