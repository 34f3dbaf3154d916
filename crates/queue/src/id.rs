//! What the outside calls a message: an id that nobody can guess and that alone tells whose it is.
//!
//! Whoever has an id may ask what became of the message, so it carries a keyed MAC and can't be made
//! up. Nothing about it is stored: the number, a hash of the queue's name and the MAC are all there is.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::record::Number;

/// What every id begins with.
const PREFIX: &str = "msg_";
/// Bytes of the MAC: 104 bits, so that all fill 40 letters.
const MAC: usize = 13;
/// A number, a hash of the queue's name, and the MAC.
const BYTES: usize = 8 + 4 + MAC;
/// Bytes and letters of which each other is the same.
const GROUP: (usize, usize) = (5, 8);
/// Base32 in an alphabet that keeps order (RFC 4648 §7), in lower case: ids of a queue sort by number.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Makes and reads ids.
pub struct Ids {
    key: hmac::Key,
}

impl fmt::Debug for Ids {
    /// The secret is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

impl Ids {
    /// Ids that hold as long as the secret stays the same.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret) }
    }

    /// The id of a queue's message.
    pub fn text(&self, queue: &str, number: Number) -> String {
        let mut text = String::with_capacity(PREFIX.len() + BYTES / GROUP.0 * GROUP.1);
        text.push_str(PREFIX);
        for group in self.bytes(queue, number).chunks(GROUP.0) {
            let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            let letter = |index: usize| ALPHABET[(bits >> (35 - 5 * index)) as usize % 32];
            text.extend((0..GROUP.1).map(|index| char::from(letter(index))));
        }
        text
    }

    /// The queue, of these, and the number that an id was made of; none if it wasn't made here.
    pub fn read<'q>(
        &self,
        text: &str,
        queues: impl IntoIterator<Item = &'q str>,
    ) -> Option<(&'q str, Number)> {
        let bytes = decode(text.strip_prefix(PREFIX)?)?;
        let (number, rest) = bytes.split_first_chunk()?;
        let number = Number::from_be_bytes(*number);
        let named = |queue: &&str| rest.starts_with(&name_hash(queue));
        let good = |queue: &&str| verify_slices_are_equal(&self.bytes(queue, number), &bytes).is_ok();
        queues.into_iter().filter(named).find(good).map(|queue| (queue, number))
    }

    fn bytes(&self, queue: &str, number: Number) -> [u8; BYTES] {
        let number = number.to_be_bytes();
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"message");
        context.update(&number);
        context.update(queue.as_bytes());
        let tag = context.sign();
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&number);
        bytes[8..BYTES - MAC].copy_from_slice(&name_hash(queue));
        bytes[BYTES - MAC..].copy_from_slice(&tag.as_ref()[..MAC]);
        bytes
    }
}

/// Finds the queue among many; the MAC tells apart two names with the same hash.
fn name_hash(queue: &str) -> [u8; 4] {
    crc32c::crc32c(queue.as_bytes()).to_be_bytes()
}

fn decode(text: &str) -> Option<[u8; BYTES]> {
    if text.len() != BYTES / GROUP.0 * GROUP.1 {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (group, letters) in bytes.chunks_mut(GROUP.0).zip(text.as_bytes().chunks(GROUP.1)) {
        let mut bits = 0u64;
        for letter in letters {
            let value = ALPHABET.iter().position(|known| known == letter)?;
            bits = bits << 5 | value as u64;
        }
        group.copy_from_slice(&bits.to_be_bytes()[8 - GROUP.0..]);
    }
    Some(bytes)
}
