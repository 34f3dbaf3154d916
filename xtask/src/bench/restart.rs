//! How long a node with a full disk tier needs until it serves from it again.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Ground;
use super::cache::{asked, nearside_with};
use super::load::{answer, fetch};
use super::peer::{Peer, Ports};
use crate::failure::{Failure, Outcome, While};
use crate::programs::path;

/// 10 GiB of objects, 544 KiB each on average.
const OBJECTS: u64 = 19_275;
const LEAST: u64 = 64 << 10;
const MOST: u64 = 1 << 20;
const SIZE: &str = "11GiB";
/// So small that a hit after a restart can only be from the disk.
const MEMORY: &str = "16MiB";
/// The share of the objects that must have come to the disk for the numbers to mean anything.
const ENOUGH: f64 = 0.9;
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(1);

/// Fills a disk tier, ends the node both ways, and writes the section.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let folder = ground.folder.join("disk-tier");
    let _ = fs::remove_dir_all(&folder);
    let rows = rows(ground, &folder);
    let _ = fs::remove_dir_all(&folder);
    rows
}

fn rows(ground: &Ground, folder: &Path) -> Outcome<String> {
    let ports = ground.ports()?;
    let table = format!("memory = \"{MEMORY}\"\ndisk = {{ path = {folder:?}, size = \"{SIZE}\" }}");
    let config = nearside_with(ports, &table);
    let mut running = ground.start_with(Peer::Nearside, ports, &config)?;
    fetch(ground, ports.port, OBJECTS, LEAST, MOST)?;
    let mut text = format!(
        "A disk tier with {OBJECTS} objects of 64 KiB to 1 MiB, 10 GiB in all; from starting the program to \
         the first answer from the disk. The system's page cache is emptied before, if it may be.\n\n\
         | it ended by | to listening | to the first hit | objects found again |\n|---|--:|--:|--:|\n"
    );
    for (how, signal) in [("SIGTERM", Signal::TERM), ("kill -9", Signal::KILL)] {
        running.end(signal)?;
        empty_page_cache();
        let start = Instant::now();
        running = ground.start_with(Peer::Nearside, ports, &config)?;
        let listening = start.elapsed();
        let hit = first_hit(ports, start)?;
        let found = found_again(ground, ports)?;
        println!("    {how}: listening {listening:?}, hit {hit:?}, {found:.3} found");
        if found < ENOUGH {
            let what = format!("after {how} only {:.0} % of the objects were found", found * 100.0);
            return Err(Failure::Unmet(what));
        }
        let [listening, hit] = [listening, hit].map(|time| time.as_millis());
        text += &format!("| {how} | {listening} ms | {hit} ms | {:.1} % |\n", found * 100.0);
    }
    Ok(text)
}

/// When the first answer came that says that it was a hit; each try asks for another object.
fn first_hit(ports: Ports, start: Instant) -> Outcome<Duration> {
    for number in (0..OBJECTS).rev() {
        let (head, _) = answer(ports.port, "localhost", &path(number, LEAST, MOST))?;
        if head.contains("; hit") {
            return Ok(start.elapsed());
        }
        if start.elapsed() > PATIENCE {
            break;
        }
        sleep(GLANCE);
    }
    Err(Failure::Unmet("no hit after the restart".into()))
}

/// The share of some objects, spread over all, that the origin wasn't asked for.
fn found_again(ground: &Ground, ports: Ports) -> Outcome<f64> {
    let before = asked(ground)?;
    let numbers = (0..OBJECTS).step_by(97);
    let probes = numbers.clone().count();
    for number in numbers {
        answer(ports.port, "localhost", &path(number, LEAST, MOST))?;
    }
    Ok(1.0 - (asked(ground)? - before) as f64 / probes as f64)
}

/// What was read is read from the disk again, where this user may say so.
pub fn empty_page_cache() {
    rustix::fs::sync();
    let _ = fs::write("/proc/sys/vm/drop_caches", "3").while_doing("emptying the page cache");
}
