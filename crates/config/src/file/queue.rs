//! The tables of queues, and the words that only they have.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::cron::Cron;
use crate::kind::{Absence, At, Item, Kind, Map, Reader, Word, Wrong, described, key_name, prose, table};
use crate::plan::{HashBy, Receiver, Secret, Url};
use crate::report::quote;
use crate::scalar::{DAY, MIB, Size, TIB, Time, Whole};
use crate::word::{FieldValue, Method, Name, OwnFieldName, Target, check_host, split_port};

table! {
    /// Requests that are kept, answered 202, and delivered later.
    Queue, as r#"{ deliver = ["shop"] }"# {
        /// Who receives every message, each with its own progress: services, or URLs such as
        /// "https://example.com/hook". By default nobody: then messages are only followed.
        deliver: Vec<At<Receiver>> => default([]),
        /// What tells apart messages that may overtake each other: "header:NAME", "cookie:NAME",
        /// "query:NAME", "path" or "client". Those with the same value are delivered strictly one
        /// after the other. If left out, all may.
        order_by: HashBy => optional,
        /// How long an Idempotency-Key is remembered, whose second message gets the answer of the
        /// first; "0s" is not at all.
        dedupe: Time<0, {30 * DAY}> => default("24h"),
        /// When a failed delivery is tried again.
        retry: Redelivery => default({}),
        /// Deliveries in a time to each receiver, such as "50/s"; no limit by default.
        rate: Rate => optional,
        /// Deliveries in flight to each receiver.
        concurrency: Whole<1, 100_000> => default(32),
        /// How long one delivery may take, to the end of the answer.
        timeout: Time<1, DAY> => default("30s"),
        /// How long messages are kept that need no further delivery.
        keep: Keep => default({}),
        /// The secret that deliveries are signed with (Standard Webhooks), or two while receivers
        /// change from one to the other: "whsec_" and a key of 24 to 64 bytes in base64, or any text
        /// of 16 characters or more. By default they aren't signed.
        sign: Signing => optional,
        /// How much it may keep; over it: 507.
        full: Size<MIB, {1024 * TIB}> => default("10GiB"),
        /// When the clock sends a message, as in a crontab: minute, hour, day of month, month, day of
        /// week, in UTC; or @hourly, @daily, @weekly, @monthly, @yearly.
        every: Cron => optional,
        /// The message that the clock sends.
        request: Message => optional,
        /// true: URLs may lead to private, loopback and link-local addresses.
        allow_private_addresses: bool => default(false),
    }

    /// When a failed delivery is tried again. Pauses are random, up to a time that doubles.
    Redelivery, as r#"{ attempts = 12, first = "1s", longest = "1h" }"# {
        /// Deliveries in all, the first included; after the last a message is a dead letter.
        attempts: Whole<1, 100> => default(12),
        /// The longest pause after the first failure.
        first: Time<1, DAY> => default("1s"),
        /// The longest pause.
        longest: Time<1, {30 * DAY}> => default("1h"),
    }

    /// How long messages are kept that need no further delivery.
    Keep, as r#"{ done = "1h", dead = "30d" }"# {
        /// Those that were delivered.
        done: Time<0, {365 * DAY}> => default("1h"),
        /// Dead letters.
        dead: Time<0, {365 * DAY}> => default("30d"),
    }

    /// The message that the clock sends.
    Message, as r#"{ method = "POST", path = "/reports" }"# {
        /// Its method.
        method: Method => default("POST"),
        /// Its path, with a query if it has one.
        path: Target => default("/"),
        /// Its header fields.
        headers: Map<OwnFieldName, FieldValue> => default({}),
        /// Its body.
        body: Arc<str> => default(""),
    }
}

impl Word for Receiver {
    const WANTED: &'static str = "the name of a service or a URL";
    const EXAMPLE: &'static str = "shop";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let Some((_, rest)) = text.split_once("://") else {
            return Name::from_text(text).map(|name| Self::Service(name.0)).map_err(|_| {
                Wrong::new(format!("{} is neither the name of a service nor a URL", quote(text)))
                    .help(format!("for a URL write \"https://{}\"", text.escape_debug()))
            });
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Wrong::new("the URL of a receiver has no user name or password")
                .help("let the receiver know its deliveries by their signature: write `sign`"));
        }
        let not = |help: &str| Wrong::new(format!("{} is not the URL of a receiver", quote(text))).help(help);
        Url::split(text)
            .ok_or_else(|| not("write \"http://\" or \"https://\", and a port from 1 to 65535 or none"))?;
        check_host(split_port(authority).0)?;
        if target.starts_with(['?', '#']) {
            return Err(not("write a path after the host, such as \"/\", or nothing for each message's own"));
        }
        if !target.is_empty() {
            Target::from_text(target)?;
        }
        Ok(Self::Url(text.into()))
    }
}

/// Deliveries a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate(pub f64);

impl Word for Rate {
    const WANTED: &'static str = "a number in a time";
    const EXAMPLE: &'static str = "50/s";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        const MOST: u32 = 1_000_000;
        let rate = text.split_once('/').and_then(|(number, unit)| {
            let seconds = match unit {
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
            let digits = number.bytes().all(|b| b.is_ascii_digit());
            let number = number.parse().ok().filter(|number| digits && (1..=MOST).contains(number))?;
            Some(Self(f64::from(number) / seconds))
        });
        rate.ok_or_else(|| {
            Wrong::new(format!("{} is not a rate", quote(text))).help(format!(
                "write a whole number from 1 to {MOST} and /s, /m or /h, such as \"50/s\" or \"600/m\""
            ))
        })
    }

    fn shape() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+/[smh]$|\\$\\{" })
    }
}

impl Word for Cron {
    const WANTED: &'static str = "the fields of a crontab";
    const EXAMPLE: &'static str = "0 3 * * *";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let help = "write minute, hour, day of month, month and day of week, such as \"0 3 * * *\" or \"*/15 8-17 * * mon-fri\"";
        let wrong = |why: String| Wrong::new(format!("{} can't be followed: {why}", quote(text))).help(help);
        let cron = Self::parse(text).map_err(|error| wrong(error.to_string()))?;
        cron.next_after(0).ok_or_else(|| wrong("there is no such day".to_owned()))?;
        Ok(cron)
    }
}

/// `sign`: a secret, or a list of them. No message repeats it, and what is wrong in a list is told
/// where the list begins, since the line of a secret is shown as it is.
#[derive(Debug)]
pub(crate) struct Signing(pub Vec<Secret>);

impl Kind for Signing {
    fn wanted() -> String {
        "a secret in quotes or a list of two".to_owned()
    }

    fn example() -> String {
        SigningSecret::example()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let mut one = |value| SigningSecret::read(Item { value, ..item }, reader).map(|secret| secret.0);
        match item.value {
            DeValue::String(_) => one(item.value).map(|secret| Self(vec![secret])),
            DeValue::Array(values) => {
                values.iter().map(|value| one(value.get_ref())).collect::<Option<_>>().map(Self)
            }
            _ => reader.other_type(item),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "minItems": 1, "maxItems": 2, "items": { "type": "string" } },
        ]})
    }
}

/// A secret that deliveries can be signed with.
struct SigningSecret(Secret);

impl Word for SigningSecret {
    const WANTED: &'static str = "a secret in quotes";
    const EXAMPLE: &'static str = "${HOOKS_SECRET}";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let secret = Secret(text.into());
        match secret.signing_key() {
            Ok(_) => Ok(Self(secret)),
            Err(error) => Err(Wrong::new(format!("nothing can be signed with this secret: {error}")).help(
                "write \"whsec_\" and what `openssl rand -base64 32` gives, best in an environment variable",
            )),
        }
    }
}
