//! The time of a line, as a date in UTC.
//!
//! Lines come in order and many in a second, so a date is worked out once a second.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 60 * 60;
/// The last second of the year 9999: later times, and such before 1970, are shown as the nearest
/// that has four digits.
const LAST: u64 = 253_402_300_799;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time with the date that it is.
#[derive(Debug)]
pub(super) struct Clock {
    second: u64,
    millis: u32,
    rfc3339: String,
    common: String,
}

impl Default for Clock {
    fn default() -> Clock {
        let mut clock = Clock { second: 0, millis: 0, rfc3339: String::new(), common: String::new() };
        clock.set(0);
        clock
    }
}

impl Clock {
    /// Moves to a time.
    pub(super) fn at(&mut self, at: SystemTime) -> &Clock {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.millis = since.subsec_millis();
        let second = since.as_secs().min(LAST);
        if second != self.second {
            self.set(second);
        }
        self
    }

    /// `2026-01-02T03:04:05` (RFC 3339), without the fraction.
    pub(super) fn rfc3339(&self) -> &str {
        &self.rfc3339
    }

    /// `02/Jan/2026:03:04:05 +0000`, as the Common Log Format has it.
    pub(super) fn common(&self) -> &str {
        &self.common
    }

    /// Of the second, 0 to 999.
    pub(super) fn millis(&self) -> u32 {
        self.millis
    }

    fn set(&mut self, second: u64) {
        self.second = second;
        let (year, month, day) = date(second / DAY);
        let (hour, minute) = (second % DAY / 3600, second % 3600 / 60);
        let second = second % 60;
        let name = MONTHS[month as usize - 1];
        self.rfc3339 = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        self.common = format!("{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
    }
}

/// Year, month and day from 1 of a day counted from 1970-01-01, by counting off whole years and months.
fn date(mut day: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while day >= days_of(month, year) {
        day -= days_of(month, year);
        month += 1;
    }
    (year, month, day + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(month: u64, year: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shown(second: u64) -> String {
        Clock::default().at(UNIX_EPOCH + Duration::from_secs(second)).rfc3339().to_owned()
    }

    #[test]
    fn known_times() {
        assert_eq!(shown(0), "1970-01-01T00:00:00");
        assert_eq!(shown(951_782_399), "2000-02-28T23:59:59");
        assert_eq!(shown(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(shown(951_868_800), "2000-03-01T00:00:00");
        assert_eq!(shown(1_735_689_599), "2024-12-31T23:59:59");
        assert_eq!(shown(4_107_542_400), "2100-03-01T00:00:00");
        assert_eq!(shown(LAST), "9999-12-31T23:59:59");
        assert_eq!(shown(LAST + 1), "9999-12-31T23:59:59");
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut expected = (1970, 1, 1);
        for day in 0..200_000 {
            assert_eq!(date(day), expected, "day {day}");
            let (year, month, in_month) = expected;
            expected = match (month, in_month) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == days_of(month, year) => (year, month + 1, 1),
                _ => (year, month, in_month + 1),
            };
        }
    }

    #[test]
    fn a_clock_moves_with_the_time() {
        let mut clock = Clock::default();
        let at = UNIX_EPOCH + Duration::from_millis(1_767_323_045_678);
        assert_eq!(clock.at(at).common(), "02/Jan/2026:03:04:05 +0000");
        assert_eq!(clock.millis(), 678);
        assert_eq!(clock.at(at + Duration::from_millis(400)).rfc3339(), "2026-01-02T03:04:06");
        assert_eq!(clock.millis(), 78);
        assert_eq!(clock.at(UNIX_EPOCH - Duration::from_secs(9)).rfc3339(), "1970-01-01T00:00:00");
    }
}
