//! What the memory tier costs: a hit with one thread and with two, and an insert that has to evict.

use std::cell::Cell;
use std::sync::LazyLock;

use bytes::Bytes;
use cache::memory::Memory;
use cache::object::New;
use cache::{Body, Facts, Object};
use divan::{Bencher, black_box};
// In place of the system's `malloc`.
use mimalloc as _;

const OBJECTS: usize = 100_000;

fn main() {
    divan::main();
}

fn url(n: usize) -> String {
    format!("http://www.example.com/assets/img/{n:08}.jpg")
}

fn object(n: usize) -> Object {
    let lines = format!(
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: image/jpeg\r\nServer: nginx\r\n\
         Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"5f3b{n:012x}\"\r\n\
         Cache-Control: public, max-age=3600\r\nAccept-Ranges: bytes\r\nVary: Accept-Encoding\r\n"
    );
    Object::new(New {
        facts: Facts { status: 200, requested_ms: n as u64, lifetime: 3600, ..Facts::default() },
        primary: url(n).as_bytes(),
        variant: b"",
        lines: lines.as_bytes(),
        tags: b"",
        body: Body::Whole(Bytes::from(vec![b'x'; 1024])),
    })
}

static FULL: LazyLock<(Memory, Vec<String>)> = LazyLock::new(|| {
    let memory = Memory::new(1 << 30);
    (0..OBJECTS).for_each(|n| assert!(memory.insert(object(n))));
    (memory, (0..OBJECTS).map(url).collect())
});

/// Names in no order, as they come.
fn next() -> usize {
    thread_local!(static AT: Cell<u64> = const { Cell::new(1) });
    let at = AT.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    AT.set(at);
    (at >> 33) as usize % OBJECTS
}

#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn hit_among_100_000(bencher: Bencher<'_, '_>) {
    let (memory, urls) = &*FULL;
    bencher.bench(|| memory.get(black_box(urls[next()].as_bytes()), |_| true));
}

#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn hit_of_one_in_hundred(bencher: Bencher<'_, '_>) {
    let (memory, urls) = &*FULL;
    bencher.bench(|| memory.get(black_box(urls[next() % 100].as_bytes()), |_| true));
}

#[divan::bench(threads = [1, 2], sample_size = 1000)]
fn insert_and_evict(bencher: Bencher<'_, '_>) {
    static SMALL: LazyLock<Memory> = LazyLock::new(|| Memory::new(64 << 20));
    let objects: Vec<Object> = (0..OBJECTS).map(object).collect();
    bencher.bench(|| SMALL.insert(objects[next()].clone()));
}
