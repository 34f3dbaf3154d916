//! Objects whose content tells which they are, so that a wrong byte or an old version is seen.

use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use cache::disk::Disk;
use cache::object::{Body, Facts, New};
use cache::{Object, Tell};

pub const MIB: u64 = 1024 * 1024;

/// Bytes of the noise that bodies are made of; prime, so that no offset looks like another.
const NOISE: u64 = 65_521;

/// The bytes `at..at + len` of the body of this version of this key: noise, from a place in it that is
/// this version's own.
pub fn bytes(key: u64, version: u64, at: u64, len: u64) -> Bytes {
    static NOISES: OnceLock<Vec<u8>> = OnceLock::new();
    let noise = NOISES.get_or_init(|| {
        let mut dice = Dice(7);
        (0..NOISE).map(|_| dice.roll(256) as u8).collect()
    });
    let mut from = ((Dice(key << 32 ^ version).roll(NOISE) + at) % NOISE) as usize;
    let mut bytes = Vec::with_capacity(len as usize);
    while bytes.len() < len as usize {
        let to = noise.len().min(from + len as usize - bytes.len());
        bytes.extend_from_slice(&noise[from..to]);
        from = 0;
    }
    bytes.into()
}

pub fn primary(key: u64) -> Vec<u8> {
    format!("http://h/{}/{key}", key % 3).into_bytes()
}

/// An object of this key, requested at this time, with any body.
pub fn object(key: u64, version: u64, requested_ms: u64, body: Body) -> Object {
    Object::new(New {
        facts: Facts { status: 200, requested_ms, ..Facts::default() },
        primary: &primary(key),
        variant: b"",
        lines: format!("Content-Type: text/plain\r\nVersion: {version}\r\n").as_bytes(),
        tags: format!("k{key}\nmod{}\n", key % 4).as_bytes(),
        body,
    })
}

/// One whose body is in memory.
pub fn whole(key: u64, version: u64, requested_ms: u64, len: u64) -> Object {
    object(key, version, requested_ms, Body::Whole(bytes(key, version, 0, len)))
}

pub fn version(object: &Object) -> u64 {
    std::str::from_utf8(object.field("version").unwrap()).unwrap().parse().unwrap()
}

/// Reads all that is there of an object and compares it; says how many bytes that were. What is lost
/// while it is read (its segment was recycled) is none.
pub async fn check(key: u64, object: &Object) -> Option<u64> {
    let version = version(object);
    assert_eq!(object.primary(), primary(key));
    match object.body() {
        Body::Whole(body) => {
            assert!(
                *body == bytes(key, version, 0, body.len() as u64),
                "wrong bytes of {key} version {version}"
            );
            Some(body.len() as u64)
        }
        Body::Disk(stored) => {
            let mut read = 0;
            for part in stored.parts() {
                let mut at = part.start;
                while at < part.end {
                    let piece = stored.read(at, (part.end - at) as usize).await.ok()?;
                    assert!(!piece.is_empty());
                    let right = bytes(key, version, at, piece.len() as u64);
                    assert!(piece == right, "wrong bytes of {key} version {version} at {at}");
                    at += piece.len() as u64;
                    read += piece.len() as u64;
                }
            }
            Some(read)
        }
        other => panic!("{other:?}"),
    }
}

pub async fn get(disk: &Disk, key: u64) -> Option<Object> {
    disk.get(&primary(key), |_| true).await
}

/// Writes an object as it would come from a service, in pieces.
pub async fn write(disk: &Disk, key: u64, version: u64, requested_ms: u64, len: u64, says: bool) -> bool {
    let head = object(key, version, requested_ms, Body::Whole(Bytes::new()));
    let Some(mut writer) = disk.begin(&head, says.then_some(len)) else { return false };
    let mut at = 0;
    while at < len {
        let piece = (len - at).min(50_000);
        if !writer.write(at, bytes(key, version, at, piece)).await {
            return false;
        }
        at += piece;
    }
    writer.finish().await;
    true
}

/// A listener, and what it heard.
pub fn listener() -> (Tell, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let tell: Tell = Arc::new({
        let heard = heard.clone();
        move |said| heard.lock().unwrap().push(said)
    });
    (tell, heard)
}

pub fn quiet() -> Tell {
    Arc::new(|_| {})
}

/// A small generator of numbers, the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % sides
    }
}

/// How often a test that gains by it is repeated: few times in an ordinary run, many in a long one
/// (`NEARSIDE_SOAK` names a factor).
pub fn rounds(few: u64) -> u64 {
    let factor = std::env::var("NEARSIDE_SOAK").ok().map_or(1, |factor| factor.parse().unwrap_or(10));
    few * factor
}
