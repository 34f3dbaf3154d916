//! Which part of the traffic goes where: splits by weight, mirrors by share.
//!
//! Pure: the random number is an argument, so a test can go through all of them.

/// One of `choices`, each as likely as its weight; `random` must be uniform. None if no weight is
/// above zero, which a checked plan does not have.
///
/// A choice is off its exact share by less than 2⁻⁶⁴ of the whole.
pub fn split<T>(choices: &[(T, u32)], random: u64) -> Option<&T> {
    let total: u64 = choices.iter().map(|(_, weight)| u64::from(*weight)).sum();
    // The high half of the product is uniform in 0..total, without a division.
    let mut point = (u128::from(random) * u128::from(total)) >> 64;
    for (choice, weight) in choices {
        match point.checked_sub(u128::from(*weight)) {
            Some(left) => point = left,
            None => return Some(choice),
        }
    }
    None
}

/// Is this request copied to the mirror? `share` from 0 (never) to 1 (always); `random` must be uniform.
pub fn mirrored(share: f64, random: u64) -> bool {
    // 53 bits are what a float holds exactly.
    const STEPS: f64 = (1u64 << 53) as f64;
    ((random >> 11) as f64) / STEPS < share
}
