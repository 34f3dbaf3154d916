//! Cron lines: what they say, when they next come, and what is said of those that say nothing.

use config::cron::Cron;
use proptest::prelude::*;

const DAY: u64 = 86_400;
/// 1 January 2024, a Monday.
const NEW_YEAR_2024: u64 = 1_704_067_200;
/// 1 March 2096, before eight years without a leap day.
const MARCH_2096: u64 = 3_981_398_400;

fn next(line: &str, seconds: u64) -> Option<u64> {
    Cron::parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).next_after(seconds)
}

/// Days from one time to the next that a line names.
fn days(line: &str, from: u64) -> Option<u64> {
    next(line, from).map(|at| (at - from) / DAY)
}

#[test]
fn the_next_time_is_strictly_later_and_at_the_minute() {
    assert_eq!(next("* * * * *", 0), Some(60));
    assert_eq!(next("* * * * *", 59), Some(60));
    assert_eq!(next("* * * * *", 60), Some(120));
    assert_eq!(next("0 0 * * *", NEW_YEAR_2024 - 1), Some(NEW_YEAR_2024));
    assert_eq!(next("0 0 * * *", NEW_YEAR_2024), Some(NEW_YEAR_2024 + DAY));
    assert_eq!(next("59 23 31 12 *", NEW_YEAR_2024), Some(NEW_YEAR_2024 + 366 * DAY - 60));
    assert_eq!(next("30 9-17/4 * * *", NEW_YEAR_2024 + 14 * 3600), Some(NEW_YEAR_2024 + 17 * 3600 + 1800));
}

#[test]
fn leap_days() {
    assert_eq!(days("0 0 29 2 *", NEW_YEAR_2024), Some(59));
    assert_eq!(days("0 0 29 2 *", NEW_YEAR_2024 + 59 * DAY), Some(4 * 365 + 1));
    assert_eq!(days("0 0 29 2 *", MARCH_2096), Some(8 * 365));
    // The 29th of February 2088 is a Sunday; the next one that is comes after 40 years.
    let sunday = MARCH_2096 - (8 * 365 + 3) * DAY;
    assert_eq!(next("0 0 29 2 */7", sunday - 1), Some(sunday));
    assert_eq!(days("0 0 29 2 */7", sunday), Some(40 * 365 + 9));
}

#[test]
fn what_never_comes() {
    for line in ["0 0 31 2 *", "0 0 30 feb *", "* * 31 4,6,9,11 *"] {
        assert_eq!(next(line, NEW_YEAR_2024), None, "{line}");
    }
    assert_eq!(next("* * * * *", u64::MAX), None);
    assert!(next("0 0 29 2 *", u64::MAX - 400 * 366 * DAY).is_some());
    // A day of the week comes even if the day of the month never does.
    assert_eq!(days("0 0 31 2 thu", NEW_YEAR_2024), Some(31));
}

#[test]
fn both_kinds_of_days() {
    // Either of the two, if both are restricted: Friday the 5th is before the 13th.
    assert_eq!(days("0 0 13 * fri", NEW_YEAR_2024), Some(4));
    assert_eq!(days("0 0 2 * fri", NEW_YEAR_2024), Some(1));
    // Both, if one of them begins with `*`.
    assert_eq!(days("0 0 13 * *", NEW_YEAR_2024), Some(12));
    assert_eq!(days("0 0 * * fri", NEW_YEAR_2024), Some(4));
    assert_eq!(days("0 0 */12 * sat", NEW_YEAR_2024), Some(12));
}

#[test]
fn equal_lines() {
    let pairs = [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@Midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 7"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 jan *"),
        ("@annually", "0 0 1 1 *"),
        ("0 0 * * sun", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * fri,SAT,Sun"),
        ("0 0 * * sat-sun", "0 0 * * 0,6"),
        ("0 0 * * sun-sun", "0 0 * * 0"),
        ("0 0 * * 0-7", "0 0 * * 0-6"),
        ("0 0 * * 1-7/2", "0 0 * * mon,wed,fri,sun"),
        ("*/20 * * * *", "0,20,40 * * * *"),
        ("  5\t4   * * * ", "5 4 * * *"),
        ("05 004 01 1 *", "5 4 1 1 *"),
    ];
    for (one, other) in pairs {
        let mut at = NEW_YEAR_2024;
        for _ in 0..20 {
            let (then, other_then) = (next(one, at), next(other, at));
            assert_eq!(then, other_then, "{one} = {other}");
            at = then.unwrap();
        }
    }
    assert_eq!(Cron::parse("@daily").unwrap().text(), "@daily");
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |line: &str| Cron::parse(line).unwrap_err().to_string();
    let fields = "of the five fields minute, hour, day of month, month and day of week";
    assert_eq!(wrong(""), format!("it has 0 {fields}"));
    assert_eq!(wrong("* * * * * *"), format!("it has 6 {fields}"));
    assert_eq!(
        wrong("@reboot"),
        "of those with `@` there are @hourly, @daily, @weekly, @monthly and @yearly"
    );
    assert_eq!(wrong("60 * * * *"), "its minute `60` is not a number from 0 to 59");
    assert_eq!(wrong("* 24 * * *"), "its hour `24` is not a number from 0 to 23");
    assert_eq!(wrong("* * 1,0 * *"), "its day of month `0` is not a number from 1 to 31");
    assert_eq!(wrong("* * * 13 *"), "its month `13` is not a number from 1 to 12 or from jan to dec");
    assert_eq!(wrong("* * * * 8"), "its day of week `8` is not a number from 0 to 7 or from sun to sat");
    assert_eq!(wrong("* * * * jan"), "its day of week `jan` is not a number from 0 to 7 or from sun to sat");
    assert_eq!(wrong("5-1 * * * *"), "its minute `5-1` is a range that ends before it begins");
    assert_eq!(wrong("*/0 * * * *"), "its minute `*/0` has a step that is not a number from 1 to 59");
    assert_eq!(wrong("* */24 * * *"), "its hour `*/24` has a step that is not a number from 1 to 23");
    assert_eq!(wrong("5/15 * * * *"), "its minute `5/15` has a step, and neither `*` nor a range before it");
    for line in [
        "+1 * * * *",
        "-1 * * * *",
        "1- * * * *",
        "1,,2 * * * *",
        "*/ * * * *",
        "* * ? * *",
        "*-5 * * * *",
        "1.5 * * * *",
        "** * * * *",
        "0001 * * * *",
        "* * L * *",
        "* * * * mon#1",
    ] {
        assert!(wrong(line).starts_with("its "), "{line}");
    }
    assert_eq!(wrong(&" ".repeat(257)), "it has more than 256 characters");
    assert_eq!(wrong("\u{1b}[2J * * * *"), "its minute `\\u{1b}[2J` is not a number from 0 to 59");
}

/// One field: its text and the numbers that it stands for; none: it is `*`.
type FieldOf = (String, Option<Vec<u32>>);

fn field(least: u32, most: u32) -> impl Strategy<Value = FieldOf> {
    let part = prop_oneof![
        (least..=most).prop_map(|number| (number.to_string(), vec![number])),
        (least..=most, least..=most).prop_map(|(one, other)| {
            let (first, last) = (one.min(other), one.max(other));
            (format!("{first}-{last}"), (first..=last).collect())
        }),
        (least..=most, least..=most, 1..=most).prop_map(|(one, other, step)| {
            let (first, last) = (one.min(other), one.max(other));
            (format!("{first}-{last}/{step}"), (first..=last).filter(|n| (n - first) % step == 0).collect())
        }),
    ];
    prop_oneof![
        Just(("*".to_owned(), None)),
        prop::collection::vec(part, 1..4).prop_map(|parts| {
            let (texts, numbers): (Vec<String>, Vec<Vec<u32>>) = parts.into_iter().unzip();
            (texts.join(","), Some(numbers.concat()))
        }),
    ]
}

/// A clock that is wound on minute by minute from the beginning of 2024.
#[derive(Debug, Clone, Copy)]
struct Clock {
    year: u32,
    month: u32,
    day: u32,
    weekday: u32,
    hour: u32,
    minute: u32,
}

impl Clock {
    const START: Self = Self { year: 2024, month: 1, day: 1, weekday: 1, hour: 0, minute: 0 };

    fn wind(&mut self) {
        let leap = self.year.is_multiple_of(4);
        let days = [31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        self.minute += 1;
        if self.minute == 60 {
            (self.minute, self.hour) = (0, self.hour + 1);
        }
        if self.hour == 24 {
            (self.hour, self.day, self.weekday) = (0, self.day + 1, (self.weekday + 1) % 7);
        }
        if self.day > days[self.month as usize - 1] {
            (self.day, self.month) = (1, self.month + 1);
        }
        if self.month == 13 {
            (self.month, self.year) = (1, self.year + 1);
        }
    }

    fn matches(&self, fields: &[FieldOf; 5]) -> bool {
        let holds =
            |index: usize, number: u32| fields[index].1.as_ref().is_none_or(|set| set.contains(&number));
        let day = holds(2, self.day);
        let weekday = holds(4, self.weekday) || (self.weekday == 0 && holds(4, 7));
        let either = fields[2].1.is_some() && fields[4].1.is_some();
        let on = if either { day || weekday } else { day && weekday };
        holds(0, self.minute) && holds(1, self.hour) && holds(3, self.month) && on
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The next times are those at which a clock stops that is wound on minute by minute.
    #[test]
    fn as_a_clock_that_is_wound_on(
        fields in [field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)],
        days in 0..1500u64,
    ) {
        const MINUTES: u64 = 3 * 365 * 24 * 60;
        let line = fields.each_ref().map(|field| field.0.clone()).join(" ");
        let cron = Cron::parse(&line).unwrap();
        let mut clock = Clock::START;
        let from = NEW_YEAR_2024 + days * DAY;
        for _ in 0..days * 24 * 60 {
            clock.wind();
        }
        let (mut at, mut found) = (from, 0);
        for minute in 1..MINUTES {
            clock.wind();
            if clock.matches(&fields) {
                let now = from + minute * 60;
                prop_assert_eq!(cron.next_after(at), Some(now), "{} after {}", line, at);
                prop_assert_eq!(cron.next_after(now - 1), Some(now));
                (at, found) = (now, found + 1);
                if found == 5 {
                    return Ok(());
                }
            }
        }
        prop_assert!(cron.next_after(at).is_none_or(|next| next >= from + MINUTES * 60), "{}", line);
    }

    #[test]
    fn any_text_is_a_line_or_none(text in "[0-9a-z*/,@ -]{0,30}|\\PC{0,300}", from: u64) {
        if let Ok(cron) = Cron::parse(&text) {
            prop_assert_eq!(cron.text(), &text);
            prop_assert!(cron.next_after(from).is_none_or(|next| next > from));
        }
    }
}
