//! When the clock sends a message: `minute hour day-of-month month day-of-week`, in UTC.
//!
//! Each field is a set of bits, so that the next time is found by looking at days, of which months
//! that don't match are skipped as a whole, and never at minutes one by one.

use std::sync::Arc;

use thiserror::Error;

/// The most characters of a line.
const LONGEST: usize = 256;
const MINUTES_OF_DAY: u64 = 24 * 60;
/// After so many days, 400 years, the calendar repeats itself, days of the week included.
const CYCLE: u64 = 146_097;

/// A cron line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: Arc<str>,
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    /// Are both kinds of days restricted? Then it is enough that one of them matches.
    either: bool,
}

/// Numbers below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Set(u64);

impl Set {
    fn holds(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }

    fn add(&mut self, number: u32) {
        self.0 |= 1 << number;
    }

    /// The least that is not below `number`.
    fn from(self, number: u32) -> Option<u32> {
        let rest = self.0 & u64::MAX.checked_shl(number)?;
        (rest != 0).then(|| rest.trailing_zeros())
    }
}

/// Why a text is no cron line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CronError {
    /// It is too long to be shown.
    #[error("it has more than {LONGEST} characters")]
    Long,
    /// It has fewer fields than five, or more.
    #[error("it has {0} of the five fields minute, hour, day of month, month and day of week")]
    Fields(usize),
    /// It begins with `@`.
    #[error("of those with `@` there are @hourly, @daily, @weekly, @monthly and @yearly")]
    Short,
    /// A field, or one of its parts between commas, is not one that may stand there.
    #[error("its {field} `{part}` {why}")]
    Field {
        /// Which of the five.
        field: &'static str,
        /// As written.
        part: String,
        /// What may be written.
        why: String,
    },
}

/// What one of the five fields may hold.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Words for the numbers from `least` on.
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, words: &[] },
    Field { name: "hour", least: 0, most: 23, words: &[] },
    Field { name: "day of month", least: 1, most: 31, words: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // Sunday is 0, and 7 too.
    Field {
        name: "day of week",
        least: 0,
        most: 7,
        words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Words for whole lines.
const SHORT: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Cron {
    /// Reads five fields, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. A field is
    /// `*`, a number, a range `1-5`, either of `*` and a range with a step `*/15`, or a list of such
    /// with commas. Months and days of the week have names of three letters; Sunday is 0 and 7.
    ///
    /// Where both kinds of days are restricted, one that matches is enough, as POSIX says of `crontab`;
    /// a field that begins with `*` restricts nothing in this sense.
    ///
    /// # Errors
    /// When the text is anything else; it says which field and what is allowed there.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > LONGEST {
            return Err(CronError::Long);
        }
        let mut line = text.trim();
        if line.starts_with('@') {
            let short = SHORT.iter().find(|(word, _)| line.eq_ignore_ascii_case(word));
            line = short.ok_or(CronError::Short)?.1;
        }
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(CronError::Fields(fields.len()));
        };
        let [of_minutes, of_hours, of_days, of_months, of_weekdays] = &FIELDS;
        Ok(Self {
            text: text.into(),
            minutes: of_minutes.read(minutes)?,
            hours: of_hours.read(hours)?,
            days: of_days.read(days)?,
            months: of_months.read(months)?,
            weekdays: of_weekdays.read(weekdays)?,
            either: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time that is later than `seconds`, both in seconds since 1970; none if it never comes,
    /// as the 31st of February doesn't.
    pub fn next_after(&self, seconds: u64) -> Option<u64> {
        let minute = seconds / 60 + 1;
        let today = minute / MINUTES_OF_DAY;
        let rest = u32::try_from(minute % MINUTES_OF_DAY).ok()?;
        let later_today = self.time_from(rest / 60, rest % 60).filter(|_| self.on(Date::of(today)));
        let (day, time) = match later_today {
            Some(time) => (today, time),
            None => (self.day_from(today + 1)?, self.time_from(0, 0)?),
        };
        (day * MINUTES_OF_DAY + u64::from(time)).checked_mul(60)
    }

    /// The first minute of a day that matches, from a time on.
    fn time_from(&self, hour: u32, minute: u32) -> Option<u32> {
        let this_hour = self.minutes.from(minute).filter(|_| self.hours.holds(hour));
        match this_hour {
            Some(minute) => Some(hour * 60 + minute),
            None => Some(self.hours.from(hour + 1)? * 60 + self.minutes.from(0)?),
        }
    }

    /// The first day that matches from one on; both in days since 1970.
    fn day_from(&self, first: u64) -> Option<u64> {
        let mut day = first;
        while day < first + CYCLE {
            let date = Date::of(day);
            if self.on(date) {
                return Some(day);
            }
            let skipped = if self.months.holds(date.month) { 1 } else { date.days_left() + 1 };
            day += u64::from(skipped);
        }
        None
    }

    fn on(&self, date: Date) -> bool {
        let (day, weekday) = (self.days.holds(date.day), self.weekdays.holds(date.weekday));
        let day = if self.either { day || weekday } else { day && weekday };
        day && self.months.holds(date.month)
    }
}

impl Field {
    fn read(&self, text: &str) -> Result<Set, CronError> {
        let mut set = Set::default();
        for part in text.split(',') {
            self.read_part(part, &mut set)?;
        }
        Ok(set)
    }

    fn read_part(&self, part: &str, set: &mut Set) -> Result<(), CronError> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (first, last) = match (range, range.split_once('-')) {
            ("*", _) => (self.least, self.most),
            (_, Some((first, last))) => {
                let (first, last) = (self.number(first, part)?, self.number(last, part)?);
                // From Saturday to Sunday, which is also the first day.
                (first, if self.most == 7 && last == 0 && first > 0 { 7 } else { last })
            }
            _ if step.is_some() => {
                return Err(self.wrong(part, "has a step, and neither `*` nor a range before it".to_owned()));
            }
            _ => self.number(range, part).map(|number| (number, number))?,
        };
        if first > last {
            return Err(self.wrong(part, "is a range that ends before it begins".to_owned()));
        }
        let step = match step {
            Some(step) => number(step).filter(|step| (1..=self.most).contains(step)).ok_or_else(|| {
                self.wrong(part, format!("has a step that is not a number from 1 to {}", self.most))
            })?,
            None => 1,
        };
        for number in (first..=last).step_by(step as usize) {
            set.add(if self.most == 7 { number % 7 } else { number });
        }
        Ok(())
    }

    /// A number, or a word that stands for one.
    fn number(&self, text: &str, part: &str) -> Result<u32, CronError> {
        let word = self.words.iter().position(|word| text.eq_ignore_ascii_case(word));
        let value = match word.and_then(|index| u32::try_from(index).ok()) {
            Some(index) => Some(index + self.least),
            None => number(text),
        };
        value.filter(|value| (self.least..=self.most).contains(value)).ok_or_else(|| {
            let names = match self.words {
                [first, .., last] => format!(" or from {first} to {last}"),
                _ => String::new(),
            };
            self.wrong(part, format!("is not a number from {} to {}{names}", self.least, self.most))
        })
    }

    fn wrong(&self, part: &str, why: String) -> CronError {
        CronError::Field { field: self.name, part: part.escape_debug().to_string(), why }
    }
}

/// A number of at most three digits, without a sign.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy)]
struct Date {
    year: u64,
    /// From 1.
    month: u32,
    /// From 1.
    day: u32,
    /// Sunday is 0.
    weekday: u32,
}

impl Date {
    /// The date of a day since 1970. Years are counted from March on, so that the day that leap years
    /// have more is the last.
    fn of(since_1970: u64) -> Self {
        // From the 1st of March of the year 0 it is 719,468 days to 1970.
        let days = since_1970 + 719_468;
        let (era, in_era) = (days / CYCLE, days % CYCLE);
        let leap = in_era / 1460 - in_era / 36_524 + in_era / (CYCLE - 1);
        let year = (in_era - leap) / 365;
        let in_year = in_era - (365 * year + year / 4 - year / 100);
        // Five months from March, and from August, have 153 days.
        let month = (5 * in_year + 2) / 153;
        let small = |number: u64| u32::try_from(number).unwrap_or(0);
        Self {
            year: era * 400 + year + u64::from(month >= 10),
            month: small(if month < 10 { month + 3 } else { month - 9 }),
            day: small(in_year - (153 * month + 2) / 5 + 1),
            // The 1st of January 1970 was a Thursday.
            weekday: small((since_1970 + 4) % 7),
        }
    }

    /// Days of its month that come after it.
    fn days_left(self) -> u32 {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match self.month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        days - self.day
    }
}
