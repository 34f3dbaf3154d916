//! A node that is killed at any moment while its disk tier is filled, purged and overwritten at full
//! speed, and one whose disk is full: no byte is wrong, nothing gone comes back, and the node goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use serde_json::json;

use super::{Scene, Setting, is_hit, is_soak, pattern, reply};
use crate::support::{Behaviour, Client, Endpoint, Nearside, until, with_little_room};

/// Objects that change all the time.
const CHANGING: usize = 64;
/// Objects that are stored once.
const STABLE: usize = 32;
/// Threads that change them, each its own.
const WORKERS: usize = 8;
/// Bytes of bodies, by turns.
const SIZES: [usize; 4] = [300, 5_000, 70_000, 600_000];

/// What the endpoint has of each object, and what of it a client was told to be gone.
struct World {
    /// The version that the endpoint answers with.
    current: [AtomicU64; CHANGING + STABLE],
    /// No version before this one may be served.
    floor: [AtomicU64; CHANGING + STABLE],
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            current: std::array::from_fn(|_| AtomicU64::new(1)),
            floor: std::array::from_fn(|_| AtomicU64::new(1)),
        })
    }

    /// An endpoint that answers `/ID/o` with the current version.
    fn endpoint(self: &Arc<Self>) -> Behaviour {
        let world = self.clone();
        Behaviour::script(move |request, stream| {
            if request.method() == "POST" {
                return reply(stream, request, "204 No Content", "", b"");
            }
            let id: usize = request.target().split('/').nth(1).unwrap().parse().unwrap();
            let version = world.current[id].load(SeqCst);
            let fields =
                format!("Cache-Control: max-age=36000\r\nX-Version: {version}\r\nCache-Tag: t{id}\r\n");
            reply(stream, request, "200 OK", &fields, &body(id, version))
        })
    }

    /// Gets an object with these fields and checks it. The version that it is of, and whether it was a hit.
    fn get(&self, client: &mut Client, id: usize, fields: &str) -> io::Result<(u64, bool)> {
        let answer = client.get_with(&format!("/{id}/o"), fields)?;
        assert_eq!(answer.status(), 200, "{id}: {}", answer.text());
        let version = answer.field("x-version").unwrap().parse().unwrap();
        let floor = self.floor[id].load(SeqCst);
        assert!(version >= floor, "{id}: version {version} is served, and {floor} was acknowledged");
        assert!(answer.body == body(id, version), "{id}: wrong bytes of version {version}");
        Ok((version, is_hit(&answer)))
    }

    /// Does one thing after the other to its objects until the node is gone.
    fn change(&self, scene: &Scene, worker: usize, seed: u64) -> io::Result<()> {
        let mut random = Random(seed);
        let mut client = Client::connect(scene.node.listen)?;
        let mut admin = Client::connect(scene.node.admin)?;
        loop {
            let id = worker + WORKERS * random.below(CHANGING / WORKERS);
            let action = random.below(12);
            if action < 4 {
                self.get(&mut client, id, "")?;
                continue;
            }
            let version = self.current[id].fetch_add(1, SeqCst) + 1;
            let url = format!("http://shop.test/{id}/o");
            match action {
                4 => purge(&mut admin, &json!({ "urls": [url] }))?,
                5 => purge(&mut admin, &json!({ "tags": [format!("t{id}")] }))?,
                6 => purge(&mut admin, &json!({ "prefixes": [format!("http://shop.test/{id}/")] }))?,
                7 => {
                    client.send(format!(
                        "POST /{id}/o HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n"
                    ))?;
                    assert_eq!(client.answer()?.status(), 204);
                }
                _ => {
                    let (got, _) = self.get(&mut client, id, "Cache-Control: no-cache\r\n")?;
                    assert_eq!(got, version);
                }
            }
            self.floor[id].store(version, SeqCst);
        }
    }
}

fn purge(admin: &mut Client, order: &serde_json::Value) -> io::Result<()> {
    let text = order.to_string();
    let head = "POST /api/v1/purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    admin.send(format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()))?;
    let answer = admin.answer()?;
    assert_eq!((answer.status(), &answer.json()["nodes"][0]["done"]), (200, &json!(true)));
    Ok(())
}

/// Bytes that no other object or version has.
fn body(id: usize, version: u64) -> Vec<u8> {
    let mut random = Random(id as u64 | version << 20);
    let length = SIZES[id % SIZES.len()];
    let words = std::iter::repeat_with(|| random.next().to_le_bytes());
    let mut body = words.take(length / 8 + 1).flatten().collect::<Vec<u8>>();
    body.truncate(length);
    body
}

/// Numbers that only their seed decides (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A round: everything happens at full speed until the node is killed.
fn storm(world: &World, scene: &Scene, round: u64) {
    let mut random = Random(round);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let seed = random.next();
                scope.spawn(move || world.change(scene, worker, seed))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300 + random.next() % 700));
        scene.node.signal(rustix::process::Signal::KILL);
        for worker in workers {
            let ended = worker.join().expect("no wrong answer");
            assert!(ended.is_err(), "it went on till the node was gone");
        }
    });
}

#[test]
fn a_crash_brings_nothing_back_and_loses_nothing() {
    let world = World::new();
    let tiers = "memory = \"4MiB\"\ndisk = { size = \"2GiB\" }";
    let mut scene = Setting { tiers, ..Setting::default() }.before(world.endpoint());
    for id in CHANGING..CHANGING + STABLE {
        world.get(&mut scene.node.client(), id, "").unwrap();
    }
    scene.until_written(&format!("/{}/o", CHANGING + STABLE - 1));
    let rounds = if is_soak() { 20 } else { 2 };
    for round in 0..rounds {
        storm(&world, &scene, round);
        scene.node.kill();
        scene.node.start_again();
        until("the tier is there", || scene.node.tier("disk")["state"] == "up");
        let mut client = scene.node.client();
        let found = (0..CHANGING).filter(|id| world.get(&mut client, *id, "").unwrap().1).count();
        assert!(found > 0, "round {round}: of what was being changed, some was complete");
        for id in CHANGING..CHANGING + STABLE {
            let (_, hit) = world.get(&mut client, id, "").unwrap();
            assert!(hit, "round {round}: {id} was complete, and is not found again");
        }
    }
}

#[test]
fn what_is_on_disk_is_found_again_after_an_ordinary_end() {
    let world = World::new();
    let tiers = "memory = \"4MiB\"\ndisk = { size = \"256MiB\" }";
    let mut scene = Setting { tiers, ..Setting::default() }.before(world.endpoint());
    for id in 0..CHANGING {
        world.get(&mut scene.node.client(), id, "").unwrap();
    }
    assert!(scene.node.stop().success());
    scene.node.start_again();
    for id in 0..CHANGING {
        until("it is found again", || world.get(&mut scene.node.client(), id, "").unwrap().1);
    }
    assert_eq!(scene.hits(), CHANGING);
}

#[test]
fn a_node_whose_disk_is_full_goes_on_without_it_and_says_so() {
    let endpoint = Endpoint::start(Behaviour::script(|request, stream| {
        reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\n", &pattern(1 << 20))
    }));
    let tiers = "memory = \"16MiB\"\ndisk = { path = \"little\", size = \"128MiB\" }";
    let file = Setting { tiers, ..Setting::default() }.file(&endpoint);
    let node = Nearside::start_by(&file, &["--grace", "0s"], |command, _| {
        with_little_room(&command, "nearside-data/little", "24m")
    });
    let scene = Scene { node, endpoint };
    let body = pattern(1 << 20);
    for round in 0..2 {
        for id in 0..48 {
            let answer = scene.get(&format!("/{id}"));
            assert!(answer.status() == 200 && answer.body == body, "round {round}, {id}");
        }
    }
    until("it is said", || scene.node.tier("disk")["state"] == "down");
    let why = scene.node.tier("disk")["why"].as_str().unwrap().to_owned();
    assert!(!why.is_empty());
    let said = scene.node.said();
    assert!(said.contains("disk"), "{said}");
    scene.get("/again");
    until("memory goes on", || is_hit(&scene.get("/again")));
}
