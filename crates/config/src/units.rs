//! Durations and sizes as people write them, read and shown in the same way everywhere.
//!
//! A number has exactly one unit, so that two files that mean the same look the same, and `KB` is
//! refused because half of the readers take it for 1,000 bytes and the other half for 1,024.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// What is wrong with the text of a duration or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnitError {
    /// It doesn't begin with digits, or something other than digits is before the unit.
    #[error("it is not a whole number with a unit")]
    Number,
    /// The number has no unit.
    #[error("it has no unit")]
    NoUnit,
    /// The unit is none that is known here.
    #[error("its unit is not known")]
    Unit,
    /// `KB`, `MB`, `GB`, `TB`: the known unit that was probably meant is inside.
    #[error("its unit may mean powers of 1000 or of 1024")]
    Decimal(&'static str),
    /// It is too large to count.
    #[error("it is too large")]
    TooLarge,
}

/// Units of durations, in microseconds, the longest first.
const TIMES: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Units of sizes, in bytes, the largest first.
const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Units that mean different things to different people, and what to write instead.
const DECIMAL: [(&str, &str); 5] =
    [("TB", "TiB"), ("GB", "GiB"), ("MB", "MiB"), ("KB", "KiB"), ("kB", "KiB")];

/// Reads `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"7d"` (and `us`).
///
/// # Errors
/// When the text is anything else, or longer than 2⁶⁴ µs.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    scaled(text, &TIMES).map(Duration::from_micros)
}

/// Reads `"512B"`, `"64KiB"`, `"512MiB"`, `"50GiB"`, `"1TiB"`, in bytes.
///
/// # Errors
/// When the text is anything else, or 2⁶⁴ bytes and more.
pub fn size(text: &str) -> Result<u64, UnitError> {
    scaled(text, &SIZES)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || unit.starts_with(['.', ',', '_']) {
        return Err(UnitError::Number);
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let meant = DECIMAL
            .iter()
            .find(|(name, meant)| *name == unit && units.iter().any(|(known, _)| known == meant));
        return Err(meant.map_or(UnitError::Unit, |(_, meant)| UnitError::Decimal(meant)));
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)).ok_or(UnitError::TooLarge)
}

/// Shows a duration in the largest unit that says it exactly, as [`duration`] reads it.
/// What is smaller than a microsecond is left out.
pub fn show_duration(duration: Duration) -> impl fmt::Display {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    Shown::of(micros, &TIMES, "0s")
}

/// Shows a size in the largest unit that says it exactly, as [`size`] reads it.
pub fn show_size(bytes: u64) -> impl fmt::Display {
    Shown::of(bytes, &SIZES, "0B")
}

enum Shown {
    Nothing(&'static str),
    Number(u64, &'static str),
}

impl Shown {
    fn of(number: u64, units: &[(&'static str, u64)], nothing: &'static str) -> Self {
        units
            .iter()
            .find(|(_, factor)| number != 0 && number.is_multiple_of(*factor))
            .map_or(Self::Nothing(nothing), |(unit, factor)| Self::Number(number / factor, unit))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(text) => f.write_str(text),
            Self::Number(number, unit) => write!(f, "{number}{unit}"),
        }
    }
}
