//! One hash for all nodes: of endpoints' URLs, and of what a client is known by.
//!
//! It decides which endpoint a client's requests go to, so it must give the same number on every
//! machine and in every build; the hashers of maps promise neither. Its output is mixed well enough
//! that any of its bits can be used. It does not resist someone who looks for collisions: whoever
//! chooses the hashed bytes may choose their endpoint, which bounded load makes harmless.

/// Odd, with as many ones as zeros in no pattern: the golden ratio's fraction in 64 bits.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes `bytes`; the same on every machine and in every version of Nearside.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    // The length keeps apart what differs only in zeros at its end.
    let start = mix(bytes.len() as u64);
    let whole = words.iter().fold(start, |state, word| fold(state, *word));
    mix(fold(whole, last))
}

/// Spreads every bit of `x` over all bits of the result; one to one (the finish of SplitMix64).
#[must_use]
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(GOLDEN);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The `k`-th of a row of independent numbers that grow out of `seed`.
pub(super) fn nth(seed: u64, k: usize) -> u64 {
    mix(seed.wrapping_add((k as u64).wrapping_mul(GOLDEN)))
}

/// Brings a uniform 64-bit number into `0..n`, evenly, by its high bits; 0 if `n` is 0.
pub(super) fn reduce(x: u64, n: usize) -> usize {
    ((u128::from(x) * n as u128) >> 64) as usize
}

/// Takes one word in; one to one in `word` for a given state, so that nothing is lost on the way.
fn fold(state: u64, word: [u8; 8]) -> u64 {
    let x = (state ^ u64::from_le_bytes(word)).wrapping_mul(GOLDEN);
    (x ^ (x >> 32)).rotate_left(23).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_for_ever() {
        assert_eq!(hash(b""), 0xa0f4_9259_1194_a00f);
        assert_eq!(hash(b"http://10.0.1.11:3000"), 0x97b8_a28c_3e42_1745);
        assert_eq!(hash(b"192.0.2.7"), 0x8ee8_9d24_c47e_60c8);
    }

    #[test]
    fn tells_apart_what_differs_in_trailing_zeros() {
        let all: std::collections::HashSet<u64> = (0..64).map(|n| hash(&vec![0; n])).collect();
        assert_eq!(all.len(), 64);
    }

    #[test]
    fn one_bit_of_input_changes_half_of_the_output() {
        let text = *b"http://10.20.30.40:8080";
        for bit in 0..text.len() * 8 {
            let mut other = text;
            other[bit / 8] ^= 1 << (bit % 8);
            let changed = (hash(&text) ^ hash(&other)).count_ones();
            assert!((14..=50).contains(&changed), "bit {bit} changed {changed} bits");
        }
    }
}
