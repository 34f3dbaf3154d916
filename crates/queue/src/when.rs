//! When a message is due: `Nearside-Delay: 30s` or `Nearside-At: 2030-01-31T09:00:00+01:00`.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

/// Days that a message may be put off: about a year.
const MOST_DAYS: u64 = 365;
const MOST: u64 = MOST_DAYS * 24 * 60 * 60 * 1000;
/// The most bytes of a field that are read, or shown.
const LONGEST: usize = 64;

/// Why a message can't be put off as it says; the text says what to send instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WrongTime {
    /// Both fields are there.
    #[error("send either Nearside-Delay or Nearside-At, not both")]
    Both,
    /// A delay that is none.
    #[error("Nearside-Delay must be a whole number and ms, s, m, h or d, such as 30s, not `{0}`")]
    Delay(String),
    /// A time that is none.
    #[error(
        "Nearside-At must be an RFC 3339 time with Z or an offset, such as 2030-01-31T09:00:00+01:00, not `{0}`"
    )]
    At(String),
    /// More than a year off.
    #[error("a message can be put off by {MOST_DAYS} days at most, not till `{0}`")]
    TooFar(String),
}

/// When a message is due, in milliseconds since 1970 as is `now`: after a delay or at a time, or else
/// now. A time that is past is now.
///
/// # Errors
/// [`WrongTime`]
pub fn due(delay: Option<&[u8]>, at: Option<&[u8]>, now: u64) -> Result<u64, WrongTime> {
    let (text, due) = match (delay, at) {
        (None, None) => return Ok(now),
        (Some(_), Some(_)) => return Err(WrongTime::Both),
        (Some(delay), None) => {
            let read = text(delay).and_then(duration).ok_or_else(|| WrongTime::Delay(shown(delay)))?;
            (delay, now.saturating_add(u64::try_from(read.as_millis()).unwrap_or(u64::MAX)))
        }
        (None, Some(at)) => (at, text(at).and_then(time).ok_or_else(|| WrongTime::At(shown(at)))?.max(now)),
    };
    if due - now > MOST { Err(WrongTime::TooFar(shown(text))) } else { Ok(due) }
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok().filter(|text| text.len() <= LONGEST)
}

fn shown(field: &[u8]) -> String {
    field[..field.len().min(LONGEST)].escape_ascii().to_string()
}

/// As in the configuration, and seconds without a unit.
fn duration(text: &str) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    config::units::duration(text).ok()
}

/// An RFC 3339 time, in milliseconds since 1970, and no earlier; before 1970 it is 0.
fn time(text: &str) -> Option<u64> {
    // A leap second is read as the one before it.
    if !is_rfc3339(text) {
        return None;
    }
    let time: Timestamp = match text.parse() {
        Ok(time) => time,
        // The calendar's last days lie beyond what can be counted in every time zone.
        Err(_) if text.starts_with("9999-12-3") => return Some(u64::MAX),
        Err(_) => return None,
    };
    let millis = (time.as_nanosecond() + 999_999).div_euclid(1_000_000);
    Some(u64::try_from(millis).unwrap_or(0))
}

/// `YYYY-MM-DD`, `T`, `hh:mm:ss`, maybe a fraction, and `Z` or `±hh:mm` (RFC 3339 §5.6). What the
/// numbers may be isn't looked at.
fn is_rfc3339(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let like = |bytes: &[u8], shape: &[u8]| {
        let same = |(byte, like): (&u8, &u8)| match like {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't' | b' '),
            b'+' => matches!(byte, b'+' | b'-'),
            _ => byte == like,
        };
        bytes.len() == shape.len() && bytes.iter().zip(shape).all(same)
    };
    let Some((first, rest)) = text.as_bytes().split_at_checked(SHAPE.len()) else { return false };
    let fraction = rest
        .strip_prefix(b".")
        .map_or(0, |digits| 1 + digits.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let rest = &rest[fraction..];
    like(first, SHAPE) && fraction != 1 && (matches!(rest, b"Z" | b"z") || like(rest, b"+00:00"))
}
