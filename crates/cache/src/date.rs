//! HTTP dates (RFC 9110 §5.6.7): the one format that is written, and the three that are read.
//!
//! Reading is as strict as the grammar but for the case of letters (RFC 9111 §4.2 asks for that), since
//! a date that isn't one means "stale" in `Expires`. Days of the week must be names of days, but needn't
//! fit the date: they carry nothing that the date doesn't say.

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

const DAY: u64 = 24 * 60 * 60;

/// A two-digit year further ahead than this is the last one that ended in these digits.
const AHEAD: u64 = 50;

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

/// Bytes of a date as it is written.
pub const LENGTH: usize = 29;

/// Seconds since 1970, or none if it is no HTTP date; whatever was before 1970 is 0. `now`, in seconds
/// since 1970, tells which century the two digits of an RFC 850 year mean.
pub fn parse(value: &[u8], now: u64) -> Option<u64> {
    let comma = value.iter().position(|&b| b == b',');
    match comma {
        Some(3) => imf_fixdate(value),
        Some(at) => rfc850(value, at, now),
        None => asctime(value),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &[u8]) -> Option<u64> {
    let [
        w0,
        w1,
        w2,
        b',',
        b' ',
        d1,
        d0,
        b' ',
        m0,
        m1,
        m2,
        b' ',
        y3,
        y2,
        y1,
        y0,
        b' ',
        time @ ..,
        b' ',
        z0,
        z1,
        z2,
    ] = value
    else {
        return None;
    };
    is_short_day(&[*w0, *w1, *w2])?;
    is_gmt(&[*z0, *z1, *z2])?;
    let year = digits(&[*y3, *y2, *y1, *y0])?;
    seconds(year, month(&[*m0, *m1, *m2])?, digits(&[*d1, *d0])?, clock(time)?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(value: &[u8], comma: usize, now: u64) -> Option<u64> {
    let (day, rest) = value.split_at_checked(comma)?;
    DAYS.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(day))?;
    let [b',', b' ', d1, d0, b'-', m0, m1, m2, b'-', y1, y0, b' ', time @ .., b' ', z0, z1, z2] = rest else {
        return None;
    };
    is_gmt(&[*z0, *z1, *z2])?;
    let (month, day, clock) = (month(&[*m0, *m1, *m2])?, digits(&[*d1, *d0])?, clock(time)?);
    let (far, limit) = ahead(now.min(LAST));
    let year = far - (far % 100 + 100 - digits(&[*y1, *y0])?) % 100;
    match seconds(year, month, day, clock)? {
        at if at > limit => seconds(year - 100, month, day, clock),
        at => Some(at),
    }
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(value: &[u8]) -> Option<u64> {
    let [w0, w1, w2, b' ', m0, m1, m2, b' ', d1, d0, b' ', time @ .., b' ', y3, y2, y1, y0] = value else {
        return None;
    };
    is_short_day(&[*w0, *w1, *w2])?;
    let tens = if *d1 == b' ' { b'0' } else { *d1 };
    let year = digits(&[*y3, *y2, *y1, *y0])?;
    seconds(year, month(&[*m0, *m1, *m2])?, digits(&[tens, *d0])?, clock(time)?)
}

fn is_short_day(text: &[u8; 3]) -> Option<()> {
    DAYS.iter().any(|name| name.as_bytes()[..3].eq_ignore_ascii_case(text)).then_some(())
}

/// Any other zone is invalid (RFC 9111 §4.2).
fn is_gmt(text: &[u8; 3]) -> Option<()> {
    text.eq_ignore_ascii_case(b"GMT").then_some(())
}

/// 1 to 12.
fn month(text: &[u8; 3]) -> Option<u64> {
    MONTHS.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|at| at as u64 + 1)
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

/// `08:49:37` as seconds of the day; a leap second is the one before it, so never later than meant.
fn clock(text: &[u8]) -> Option<u64> {
    let &[h1, h0, b':', m1, m0, b':', s1, s0] = text else {
        return None;
    };
    let (hour, minute, second) = (digits(&[h1, h0])?, digits(&[m1, m0])?, digits(&[s1, s0])?);
    (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Seconds since 1970 of a day that exists; 0 before.
fn seconds(year: u64, month: u64, day: u64, clock: u64) -> Option<u64> {
    if day == 0 || day > days_in(year, month) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of them.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days * DAY + clock).saturating_sub(TO_1970 * DAY))
}

/// Days from 1 March of the year 0 to 1970.
const TO_1970: u64 = 719_468;

/// Year, month and day of a number of days since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + TO_1970;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (year * 365 + year / 4 - year / 100);
    let month = (of_year * 5 + 2) / 153;
    let day = of_year - (month * 153 + 2) / 5 + 1;
    let year = days / 146_097 * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// The year that is [`AHEAD`] of now, and its moment that is like now: 28 February stands in for a leap
/// day that isn't there.
fn ahead(now: u64) -> (u64, u64) {
    let (year, month, day) = civil(now / DAY);
    let year = year + AHEAD;
    (year, seconds(year, month, day.min(days_in(year, month)), now % DAY).unwrap_or(u64::MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` of seconds since 1970; after the year 9999 its last second.
pub fn write(at: u64) -> [u8; LENGTH] {
    let at = at.min(LAST);
    let (year, month, day) = civil(at / DAY);
    let mut out = *b"Day, 00 Mon 0000 00:00:00 GMT";
    out[..3].copy_from_slice(&DAYS[((at / DAY + 3) % 7) as usize].as_bytes()[..3]);
    two(&mut out[5..7], day);
    out[8..11].copy_from_slice(MONTHS[(month as usize - 1).min(11)]);
    two(&mut out[12..14], year / 100);
    two(&mut out[14..16], year % 100);
    two(&mut out[17..19], at % DAY / 3600);
    two(&mut out[20..22], at % 3600 / 60);
    two(&mut out[23..25], at % 60);
    out
}

fn two(out: &mut [u8], n: u64) {
    out[0] = b'0' + (n / 10 % 10) as u8;
    out[1] = b'0' + (n % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1 July 2026.
    const NOW: u64 = 1_782_864_000;

    fn read(text: &str) -> Option<u64> {
        parse(text.as_bytes(), NOW)
    }

    #[test]
    fn the_three_formats_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sUN, 06 NOV 1994 08:49:37 gmt",
            "SUNDAY, 06-nov-94 08:49:37 Gmt",
            "sun nOV  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(read(text), Some(784_111_777), "{text}");
        }
        assert_eq!(read("Thu Aug 18 02:01:18 2050"), read("Thu, 18 Aug 2050 02:01:18 GMT"));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(read("Tue, 19 Jan 2038 03:14:08 GMT"), Some(1 << 31));
        assert_eq!(read("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
        assert_eq!(read("Mon, 01 Jan 1900 00:00:00 GMT"), Some(0));
        assert_eq!(read("Sat, 01 Jan 0000 00:00:00 GMT"), None);
    }

    #[test]
    fn two_digits_of_a_year_are_at_most_fifty_years_ahead() {
        let of = |year: u32| read(&format!("Sun, 06 Nov {year} 08:49:37 GMT"));
        assert_eq!(read("Friday, 06-Nov-26 08:49:37 GMT"), of(2026));
        assert_eq!(read("Friday, 06-Nov-75 08:49:37 GMT"), of(2075));
        assert_eq!(read("Friday, 06-Nov-77 08:49:37 GMT"), of(1977));
        assert_eq!(read("Friday, 06-Nov-99 08:49:37 GMT"), of(1999));
        assert_eq!(read("Friday, 06-Nov-00 08:49:37 GMT"), of(2000));
        assert_eq!(read("Friday, 06-Nov-76 08:49:37 GMT"), of(1976), "half a year more than fifty");
        assert_eq!(read("Wednesday, 01-Jan-76 00:00:00 GMT"), read("Wed, 01 Jan 2076 00:00:00 GMT"));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "now",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 2050 02:01:18 GMT+1",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu,18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18-Aug-50 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 8 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:00:00 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 32 Aug 2050 02:01:18 GMT",
            "Thu, 29 Feb 2050 02:01:18 GMT",
            "Thu, 29 Feb 2100 02:01:18 GMT",
            "Xxx, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aux 2050 02:01:18 GMT",
            "Thu, 18 Aug 12050 02:01:18 GMT",
            "Thu Aug 8 02:01:18 2050",
            "Thu Aug  8 02:01:18 2050 GMT",
            "2050-08-18T02:01:18Z",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_one_before() {
        assert_eq!(read("Sat, 31 Dec 2016 23:59:60 GMT"), read("Sat, 31 Dec 2016 23:59:59 GMT"));
        assert!(read("Thu, 29 Feb 2024 00:00:00 GMT").is_some());
        assert!(read("Tue, 29 Feb 2000 00:00:00 GMT").is_some());
    }

    #[test]
    fn days_of_the_week_are_written_right() {
        assert_eq!(&write(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&write(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&write(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(at in 0u64..253_402_300_800) {
            prop_assert_eq!(parse(&write(at), NOW), Some(at));
        }

        #[test]
        fn the_next_second_is_one_more(at in 0u64..253_402_300_799) {
            prop_assert_eq!(parse(&write(at + 1), NOW).unwrap(), parse(&write(at), NOW).unwrap() + 1);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>, now: u64) {
            parse(&bytes, now);
        }

        #[test]
        fn nearly_dates_are_read_without_panic(
            text in "(sun|Monday),? ?[0-3]?[0-9][- ](feb|Dec)[- ][0-9]{2,4} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] (GMT)?",
            now: u64,
        ) {
            parse(text.as_bytes(), now);
        }

        #[test]
        fn an_rfc_850_year_is_the_nearest_that_is_not_far_ahead(
            now in 1_000_000_000u64..30_000_000_000, year in 0u64..100, month in 0usize..12, clock in 0u64..24,
        ) {
            let text = format!("Sunday, 01-{}-{year:02} {clock:02}:00:00 GMT",
                std::str::from_utf8(MONTHS[month]).unwrap());
            let at = parse(text.as_bytes(), now).unwrap();
            const YEAR: u64 = 31_556_952;
            prop_assert!(at <= now + 50 * YEAR + 2 * DAY, "{at} is too far ahead of {now}");
            prop_assert!(at + 50 * YEAR + 2 * DAY >= now || at == 0, "{at} is too far behind {now}");
        }
    }
}
