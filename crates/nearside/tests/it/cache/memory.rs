//! The memory tier takes no more than it may, whatever goes through it.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::{Scene, Setting, is_hit, is_soak, reply};
use crate::support::Behaviour;

const MIB: u64 = 1024 * 1024;
/// Bytes of bodies, by turns.
const SIZES: [usize; 6] = [1 << 10, 3_000, 10_000, 50_000, 200_000, 1 << 20];
/// Clients at once.
const CLIENTS: usize = 4;

/// Fetches different objects of so many bytes in all.
fn fetch(scene: &Scene, bytes: u64) {
    let round: usize = SIZES.iter().sum();
    let objects = usize::try_from(bytes).unwrap() / round * SIZES.len();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = scene.node.client();
                loop {
                    let id = next.fetch_add(1, SeqCst);
                    if id >= objects {
                        break;
                    }
                    let size = SIZES[id % SIZES.len()];
                    let answer = client.get_with(&format!("/{size}/{id}"), "").unwrap();
                    assert_eq!(answer.body.len(), size);
                }
            });
        }
    });
}

#[test]
fn memory_stays_within_what_the_file_allows() {
    let tiers = "memory = \"64MiB\"";
    let scene = Setting { tiers, ..Setting::default() }.before(Behaviour::script(|request, stream| {
        let size = request.target().split('/').nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
        let fields = "Cache-Control: max-age=3600\r\nContent-Type: text/plain\r\nETag: \"a\"\r\n";
        reply(stream, request, "200 OK", fields, &vec![b'x'; size])
    }));
    scene.get("/0/warm");
    let before = scene.node.memory();
    fetch(&scene, if is_soak() { 1000 } else { 300 } * 1_000_000);
    let grown = scene.node.memory().saturating_sub(before);
    assert!(grown < 96 * MIB, "it has grown by {} MiB", grown / MIB);
    let tier = scene.node.tier("memory");
    let (bytes, limit) = (tier["bytes"].as_u64().unwrap(), tier["limit"].as_u64().unwrap());
    assert_eq!(limit, 64 * MIB);
    assert!(bytes <= limit && bytes > limit / 2, "{bytes} of {limit}");
    assert!(tier["evictions"].as_u64().unwrap() > 0);
}

#[test]
fn what_is_asked_for_again_and_again_outlives_a_scan() {
    let tiers = "memory = \"8MiB\"";
    let scene = Setting { tiers, ..Setting::default() }.before(Behaviour::script(|request, stream| {
        reply(stream, request, "200 OK", "Cache-Control: max-age=3600\r\n", &[b'x'; 10_000])
    }));
    let often: Vec<String> = (0..50).map(|id| format!("/often/{id}")).collect();
    let mut client = scene.node.client();
    for target in often.iter().cycle().take(often.len() * 4) {
        client.get_with(target, "").unwrap();
    }
    for id in 0..3000 {
        client.get_with(&format!("/once/{id}"), "").unwrap();
    }
    let kept = often.iter().filter(|target| is_hit(&client.get_with(target, "").unwrap())).count();
    assert!(kept >= 45, "{kept} of {} were kept", often.len());
}
