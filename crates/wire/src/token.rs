//! Which bytes may stand where (RFC 9110 §5.6.2, §5.5): tables, since each byte of a head is looked at.

const fn table(extra: &[u8]) -> [bool; 256] {
    let mut t = [false; 256];
    let mut b = 0usize;
    while b < 128 {
        t[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let mut i = 0;
    while i < extra.len() {
        t[extra[i] as usize] = true;
        i += 1;
    }
    t
}

static TCHAR: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

static HOST: [bool; 256] = table(b"-._~!$&'()*+;=");

/// May this byte stand in a host's name (RFC 3986 §3.2.2)? Percent-encoded ones may not.
#[inline]
pub(crate) fn is_host_byte(b: u8) -> bool {
    HOST[b as usize]
}

/// Is it a token: one or more `tchar` (RFC 9110 §5.6.2)?
#[inline]
pub fn is_token(s: &[u8]) -> bool {
    !s.is_empty() && s.iter().all(|&b| TCHAR[b as usize])
}

/// How many bytes at the front are `tchar`.
#[inline]
pub(crate) fn token_length(s: &[u8]) -> usize {
    s.iter().position(|&b| !TCHAR[b as usize]).unwrap_or(s.len())
}

/// Are these lines free of control bytes but HTAB and line ends?
#[inline]
pub(crate) fn is_text(s: &[u8]) -> bool {
    !s.iter()
        .fold(false, |bad, &b| bad | ((b < 0x20) & (b != b'\t') & (b != b'\r') & (b != b'\n')) | (b == 0x7f))
}

/// May these bytes be a field's value: no control bytes but HTAB (RFC 9110 §5.5)?
#[inline]
pub fn is_value(s: &[u8]) -> bool {
    // Without an early exit the compiler makes it a vector loop.
    !s.iter().fold(false, |bad, &b| bad | ((b < 0x20) & (b != b'\t')) | (b == 0x7f))
}

/// May these bytes be a request target: visible ASCII without `#` (RFC 9112 §3.2)?
#[inline]
pub fn is_target(s: &[u8]) -> bool {
    !s.is_empty() && !s.iter().fold(false, |bad, &b| bad | (b <= 0x20) | (b >= 0x7f) | (b == b'#'))
}

/// Without the spaces and tabs around it (OWS, RFC 9110 §5.6.3).
#[inline]
pub fn trim(mut s: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = s {
        s = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = s {
        s = rest;
    }
    s
}

/// The members of a comma-separated list, trimmed, empty ones left out (RFC 9110 §5.6.1.2).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim).filter(|m| !m.is_empty())
}

/// A decimal number of at most 19 digits; anything else is none.
pub fn decimal(s: &[u8]) -> Option<u64> {
    if s.is_empty() || s.len() > 19 {
        return None;
    }
    s.iter().try_fold(0u64, |n, &b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}
