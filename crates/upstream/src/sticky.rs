//! The cookie that brings a client back to its endpoint.
//!
//! Its value is the endpoint's key in hexadecimal. It need not be unforgeable: a client that makes
//! one up only chooses among endpoints that it may get anyway, and an unknown one is ignored.

/// The cookie's value for an endpoint.
pub fn value(key: u64) -> String {
    format!("{key:016x}")
}

/// The endpoint's key that a cookie's value names; none if we could not have made it.
pub fn key(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?;
    let ours = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ours.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_back(endpoint: u64) {
            prop_assert_eq!(key(value(endpoint).as_bytes()), Some(endpoint));
        }

        #[test]
        fn anything_else_is_ignored(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(endpoint) = key(&bytes) {
                prop_assert_eq!(value(endpoint).into_bytes(), bytes);
            }
        }
    }

    #[test]
    fn only_our_own_form_is_taken() {
        for bad in ["", "1", "+123456789abcdef", "0123456789ABCDEF", "0123456789abcdef0"] {
            assert_eq!(key(bad.as_bytes()), None, "{bad}");
        }
    }
}
