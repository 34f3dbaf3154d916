//! Numbers, durations, sizes, shares and switches, each within bounds that are part of its type.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::de::{DeInteger, DeValue};

use crate::kind::{Item, Kind, Reader, Word, Wrong};
use crate::report::quote;
use crate::units::{self, UnitError, show_duration, show_size};

impl Kind for bool {
    fn wanted() -> String {
        "true or false".to_owned()
    }

    fn example() -> String {
        "true".to_owned()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match item.value {
            DeValue::Boolean(value) => Some(*value),
            _ => reader.other_type(item),
        }
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

/// A switch that this build can't turn on.
#[derive(Debug)]
pub(crate) struct Off;

impl Kind for Off {
    fn wanted() -> String {
        "false".to_owned()
    }

    fn example() -> String {
        "false".to_owned()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if bool::read(item, reader)? {
            reader
                .mistake(item.at, format!("`{} = true` is not in this build", item.key))
                .help("remove it, or use a later version of nearside");
            return None;
        }
        Some(Self)
    }

    fn schema() -> Json {
        json!({ "const": false })
    }
}

/// A whole number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> Kind for Whole<MIN, MAX> {
    fn wanted() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn example() -> String {
        MIN.max(1).to_string()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Integer(written) = item.value else {
            return reader.other_type(item);
        };
        let number = integer(written).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (MIN..=MAX).contains(number));
        if number.is_none() {
            reader.mistake(item.at, format!("`{}` must be {}", item.key, Self::wanted()));
        }
        number.map(Self)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

fn integer(written: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(written.as_str(), written.radix()).ok()
}

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share(pub f64);

impl Kind for Share {
    fn wanted() -> String {
        "a number from 0 to 1".to_owned()
    }

    fn example() -> String {
        "0.5".to_owned()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let number = match item.value {
            DeValue::Float(written) => written.as_str().parse::<f64>().ok(),
            DeValue::Integer(written) => written.as_str().parse::<f64>().ok(),
            _ => return reader.other_type(item),
        };
        let share = number.filter(|number| (0.0..=1.0).contains(number));
        if share.is_none() {
            let percent = number.filter(|number| (1.0..=100.0).contains(number));
            let note = reader.mistake(item.at, format!("`{}` must be {}", item.key, Self::wanted()));
            if let Some(percent) = percent {
                note.help(format!("for {percent} % write {}", percent / 100.0));
            }
        }
        share.map(Self)
    }

    fn schema() -> Json {
        json!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// A duration; the bounds are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time<const MIN: u64, const MAX: u64>(pub Duration);

/// Bounds of durations.
pub(crate) const SECOND: u64 = 1000;
pub(crate) const HOUR: u64 = 3600 * SECOND;
pub(crate) const DAY: u64 = 24 * HOUR;

impl<const MIN: u64, const MAX: u64> Time<MIN, MAX> {
    fn bounds() -> RangeInclusive<Duration> {
        Duration::from_millis(MIN)..=Duration::from_millis(MAX)
    }

    /// A duration from its text.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let duration = units::duration(text).map_err(|error| {
            Wrong::new(format!("{} is not a duration: {error}", quote(text))).help(match error {
                UnitError::NoUnit => format!("add ms, s, m, h or d, such as \"{text}s\""),
                _ => "write a whole number and ms, s, m, h or d, such as \"250ms\" or \"10s\"".to_owned(),
            })
        })?;
        let bounds = Self::bounds();
        if bounds.contains(&duration) {
            return Ok(Self(duration));
        }
        let (least, most) = (show_duration(*bounds.start()), show_duration(*bounds.end()));
        Err(Wrong::new(format!("{} must be from {least} to {most}", quote(text))))
    }
}

impl<const MIN: u64, const MAX: u64> Word for Time<MIN, MAX> {
    const WANTED: &'static str = "a duration in quotes";
    const EXAMPLE: &'static str = "10s";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        Self::parse(text)
    }

    fn shape() -> Json {
        json!({ "type": "string", "pattern": "^(0|[0-9]+(us|ms|s|m|h|d))$|\\$\\{" })
    }
}

/// A size in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub u64);

/// Bounds of sizes.
pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const TIB: u64 = 1 << 40;

/// The text of a size; [`Size`] is a number as well.
struct SizeText(u64);

impl Word for SizeText {
    const WANTED: &'static str = "a size";
    const EXAMPLE: &'static str = "64KiB";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        units::size(text).map(Self).map_err(|error| {
            let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
            Wrong::new(format!("{} is not a size: {error}", quote(text))).help(match error {
                UnitError::Decimal(meant) => {
                    format!("write \"{number}{meant}\": 1 KiB is 1024 bytes")
                }
                UnitError::NoUnit => {
                    format!("write \"{number}KiB\", or {number} without quotes for bytes")
                }
                _ => "write a whole number and B, KiB, MiB, GiB or TiB, such as \"64KiB\"".to_owned(),
            })
        })
    }
}

impl<const MIN: u64, const MAX: u64> Kind for Size<MIN, MAX> {
    fn wanted() -> String {
        SizeText::WANTED.to_owned()
    }

    fn example() -> String {
        format!("\"{}\"", show_size(MIN.max(64 * KIB)))
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let bytes = match item.value {
            DeValue::Integer(written) => integer(written).and_then(|number| u64::try_from(number).ok()),
            DeValue::String(_) => Some(SizeText::read(item, reader)?.0),
            _ => return reader.other_type(item),
        };
        let bytes = bytes.filter(|bytes| (MIN..=MAX).contains(bytes));
        if bytes.is_none() {
            let message = format!("`{}` must be from {} to {}", item.key, show_size(MIN), show_size(MAX));
            reader.mistake(item.at, message);
        }
        bytes.map(Self)
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": MIN, "maximum": MAX },
            { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)$|\\$\\{" },
        ]})
    }
}

/// Statuses that an answer may have: a number, or a range such as `"200-399"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statuses(pub (u16, u16));

impl Word for StatusText {
    const WANTED: &'static str = "a status or a range of them";
    const EXAMPLE: &'static str = "200-399";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let range = least.trim().parse::<u16>().ok().zip(most.trim().parse::<u16>().ok());
        range
            .filter(|(least, most)| (100..=599).contains(least) && (least..=&599).contains(&most))
            .map(|range| Self(Statuses(range)))
            .ok_or_else(|| {
                Wrong::new(format!("{} is not a range of statuses", quote(text)))
                    .help("write the lowest and the highest, from 100 to 599, such as \"200-399\"")
            })
    }
}

/// The text of [`Statuses`].
struct StatusText(Statuses);

impl Kind for Statuses {
    fn wanted() -> String {
        StatusText::WANTED.to_owned()
    }

    fn example() -> String {
        StatusText::example()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match item.value {
            DeValue::Integer(_) => {
                let status = <Whole<100, 599>>::read(item, reader)?.0;
                u16::try_from(status).ok().map(|status| Self((status, status)))
            }
            DeValue::String(_) => StatusText::read(item, reader).map(|text| text.0),
            _ => reader.other_type(item),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$|\\$\\{" },
        ]})
    }
}

impl Word for SocketAddr {
    const WANTED: &'static str = "an address with a port";
    const EXAMPLE: &'static str = "0.0.0.0:8080";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|_| {
            let help = match text.rsplit_once(':') {
                Some(("", port)) => {
                    format!("write \"0.0.0.0:{port}\" for IPv4, or \"[::]:{port}\"")
                }
                Some(("localhost", port)) => format!("write \"127.0.0.1:{port}\""),
                _ => "write an IP address and a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\"".to_owned(),
            };
            Wrong::new(format!("{} is not an address with a port", quote(text))).help(help)
        })
    }
}
