//! The one clock of the data path: nanoseconds since the process first asked.
//!
//! A plain `u64` fits into atomics and is what every module that decides takes as an argument, so
//! that those modules can be tested in virtual time.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the process first asked; never goes backwards, and lasts for 584 years.
pub fn now() -> u64 {
    nanos(START.elapsed())
}

/// Milliseconds since 1970 by the system's clock, which may be set back.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time in nanoseconds; the longest there is if it does not fit.
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
