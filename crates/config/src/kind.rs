//! What a value in the file may be. A [`Kind`] both reads a value and describes it in the schema, so
//! the two can't disagree; [`table!`] makes a kind of a table from one list of its keys.
//!
//! Reading never stops at a mistake: it notes it, goes on, and gives `None` for what is unusable.

use std::ops::Deref;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::env;
use crate::near::nearest;
use crate::report::{Note, Notes, Span, quote};

/// A value and where it is. A default is where the table is that leaves it out.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub value: T,
    pub at: Span,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Why a text is not what it should be, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub message: String,
    pub help: Option<String>,
}

impl Wrong {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// A value of the file on its way to be read.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    /// The key that it is the value of, or is a part of the value of.
    pub key: &'a str,
    pub value: &'a DeValue<'a>,
    pub at: Span,
    /// The default, as it would be written.
    pub usual: Option<&'static str>,
    /// Is it one of a list?
    pub each: bool,
}

impl<'a> Item<'a> {
    fn new(key: &'a str, value: &'a Spanned<DeValue<'a>>, reader: &Reader<'_>) -> Self {
        Self { key, value: value.get_ref(), at: reader.place(Span::of(value)), usual: None, each: false }
    }

    /// A table as large as the file.
    pub fn root(value: &'a DeValue<'a>) -> Self {
        Self { key: "the file", value, at: Span::WHOLE, usual: None, each: false }
    }
}

/// What a value may be.
pub(crate) trait Kind: Sized {
    /// Completes "… must be".
    fn wanted() -> String;

    /// A good value, as it is written after `key = `.
    fn example() -> String;

    /// Reads a value; `None` when a mistake was noted that leaves nothing to go on with.
    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self>;

    /// The JSON Schema of such values.
    fn schema() -> Json;

    /// What to say when a required key is not there.
    fn missing(key: &str) -> Wrong {
        Wrong::new(format!("`{key}` is missing")).help(format!("for example: {key} = {}", Self::example()))
    }
}

/// A kind that is written as a string.
pub(crate) trait Word: Sized {
    /// Completes "… must be".
    const WANTED: &'static str;

    /// A good text, without quotes.
    const EXAMPLE: &'static str;

    /// Reads it, with variables already filled in.
    fn from_text(text: &str) -> Result<Self, Wrong>;

    /// More than `"type": "string"` about such strings.
    fn shape() -> Json {
        json!({ "type": "string" })
    }
}

impl<W: Word> Kind for W {
    fn wanted() -> String {
        Self::WANTED.to_owned()
    }

    fn example() -> String {
        format!("\"{}\"", Self::EXAMPLE)
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::String(text) = item.value else {
            return reader.other_type::<Self>(item);
        };
        let expanded = env::expand(text, reader.env);
        let word = expanded.and_then(|text| Self::from_text(&text));
        word.map_err(|wrong| reader.wrong(item.at, wrong)).ok()
    }

    fn schema() -> Json {
        Self::shape()
    }
}

/// The schema of a string that is one of a few words, or becomes one of them by a variable.
pub(crate) fn one_of(words: &[&str]) -> Json {
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "\\$\\{" }] })
}

/// Finds what a word stands for.
pub(crate) fn choose<T: Clone>(text: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(meaning.clone());
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    Err(Wrong::new(format!("{} is not known here", quote(text))).help(did_you_mean(text, &known)))
}

/// The nearest known word, or all of them.
fn did_you_mean(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// What happens when a key is left out.
pub(crate) enum Absence {
    Required,
    Optional,
    /// The value that it then has, as it would be written.
    Default(&'static str),
}

/// Reads values, fills in variables, and notes what is wrong.
pub(crate) struct Reader<'a> {
    pub notes: Notes,
    env: &'a dyn Fn(&str) -> Option<String>,
    /// Set while a default is read: where the table is that leaves it out.
    pinned: Option<Span>,
}

impl<'a> Reader<'a> {
    pub fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { notes: Notes::default(), env, pinned: None }
    }

    fn place(&self, at: Span) -> Span {
        self.pinned.unwrap_or(at)
    }

    /// Notes a mistake.
    pub fn mistake(&mut self, at: Span, message: impl Into<String>) -> &mut Note {
        self.notes.mistake(at, message)
    }

    /// Notes what is wrong with a text.
    pub fn wrong(&mut self, at: Span, wrong: Wrong) {
        let note = self.notes.mistake(at, wrong.message);
        if let Some(help) = wrong.help {
            note.help(help);
        }
    }

    /// Notes that a value has the wrong type.
    pub fn other_type<K: Kind>(&mut self, item: Item<'_>) -> Option<K> {
        let found = match item.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(true) => "true",
            DeValue::Boolean(false) => "false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let usual = item.usual.filter(|usual| !["[]", "{}", "0"].contains(usual)).map(str::to_owned);
        let example = usual.unwrap_or_else(K::example);
        let (each, example) = if item.each { ("each of ", format!("[{example}]")) } else { ("", example) };
        self.mistake(item.at, format!("{each}{} must be {}, not {found}", quote(item.key), K::wanted()))
            .help(format!("for example: {} = {example}", item.key));
        None
    }

    /// Opens a table and notes the keys in it that are not known.
    pub fn open<'v, K: Kind>(
        &mut self,
        item: Item<'v>,
        known: &[&str],
        later: &[&str],
    ) -> Option<&'v DeTable<'v>> {
        let DeValue::Table(table) = item.value else {
            return self.other_type::<K>(item).and(None);
        };
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let (name, at) = (key.get_ref(), self.place(Span::of(key)));
            if later.contains(&name.as_ref()) {
                self.mistake(at, format!("`{name}` is not in this build"))
                    .help("remove it, or use a later version of nearside");
            } else {
                let help = did_you_mean(name, known);
                self.mistake(at, format!("{} is not a key that is known here", quote(name))).help(help);
            }
        }
        Some(table)
    }

    /// Reads the value of one key of an open table.
    pub fn field<K: Kind>(
        &mut self,
        table: &DeTable<'_>,
        at: Span,
        key: &str,
        absence: &Absence,
    ) -> Option<At<K>> {
        if let Some(value) = table.get(key) {
            let usual = if let Absence::Default(text) = absence { Some(*text) } else { None };
            return self.item(Item { usual, ..Item::new(key, value, self) });
        }
        match absence {
            Absence::Optional => None,
            Absence::Required => {
                self.wrong(at, K::missing(key));
                None
            }
            Absence::Default(text) => {
                let value = DeValue::parse(text).ok()?;
                let outer = self.pinned.replace(at);
                let read = self.item(Item::new(key, &value, self));
                self.pinned = outer;
                read
            }
        }
    }

    fn item<K: Kind>(&mut self, item: Item<'_>) -> Option<At<K>> {
        K::read(item, self).map(|value| At { value, at: item.at })
    }
}

/// A list; what can't be read is left out.
impl<K: Kind> Kind for Vec<At<K>> {
    fn wanted() -> String {
        "a list".to_owned()
    }

    fn example() -> String {
        format!("[{}]", K::example())
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Array(values) = item.value else {
            return reader.other_type::<Self>(item);
        };
        let each = |value| reader.item(Item { each: true, ..Item::new(item.key, value, reader) });
        Some(values.iter().filter_map(each).collect())
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": K::schema() })
    }
}

/// A list of tables with a heading each, `[[key]]`: at least one.
#[derive(Debug)]
pub(crate) struct Tables<K>(pub Vec<At<K>>);

impl<K: Kind> Kind for Tables<K> {
    fn wanted() -> String {
        "a list of tables".to_owned()
    }

    fn example() -> String {
        <Vec<At<K>>>::example()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match item.value {
            DeValue::Array(values) if values.is_empty() => {
                reader.wrong(item.at, Self::missing(item.key));
                None
            }
            DeValue::Table(_) => {
                let wrong = Wrong::new(format!("`[{}]` must be a list of tables", item.key));
                reader.wrong(item.at, wrong.help(format!("write `[[{}]]` with two brackets", item.key)));
                None
            }
            _ => <Vec<At<K>>>::read(item, reader).map(Self),
        }
    }

    fn schema() -> Json {
        json!({ "type": "array", "minItems": 1, "items": K::schema() })
    }

    fn missing(key: &str) -> Wrong {
        let lines = K::example().trim_matches(['{', '}', ' ']).replace(", ", "\n");
        Wrong::new(format!("there is no `[[{key}]]`"))
            .help(format!("write at least one, for example:\n[[{key}]]\n{lines}"))
    }
}

/// A table whose keys are names that the operator chooses. A value that can't be read keeps its name,
/// so that what refers to it is no mistake too.
#[derive(Debug)]
pub(crate) struct Map<N, K>(pub Vec<(At<N>, Option<At<K>>)>);

impl<N: Word, K: Kind> Kind for Map<N, K> {
    fn wanted() -> String {
        "a table".to_owned()
    }

    fn example() -> String {
        format!("{{ \"{}\" = {} }}", N::EXAMPLE, K::example())
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Table(table) = item.value else {
            return reader.other_type::<Self>(item);
        };
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let at = reader.place(Span::of(key));
            let name = N::from_text(key.get_ref()).map_err(|wrong| reader.wrong(at, wrong));
            let value = reader.item(Item::new(key.get_ref(), value, reader));
            entries.extend(name.ok().map(|name| (At { value: name, at }, value)));
        }
        Some(Self(entries))
    }

    fn schema() -> Json {
        json!({ "type": "object", "propertyNames": N::shape(), "additionalProperties": K::schema() })
    }
}

/// A table, or `false` to do without what it describes.
#[derive(Debug)]
pub(crate) struct OrOff<K>(pub Option<K>);

impl<K: Kind> Kind for OrOff<K> {
    fn wanted() -> String {
        format!("{} or false", K::wanted())
    }

    fn example() -> String {
        K::example()
    }

    fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        match item.value {
            DeValue::Boolean(false) => Some(Self(None)),
            DeValue::Table(_) => K::read(item, reader).map(|value| Self(Some(value))),
            _ => reader.other_type(item),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [{ "const": false }, K::schema()] })
    }
}

/// The schema of one key: its kind, what it is for, and what it is if left out.
pub(crate) fn described(mut schema: Json, doc: &[&str], absence: &Absence) -> Json {
    schema["description"] = prose(doc).into();
    if let Absence::Default(text) = absence {
        schema["default"] = serde_json::from_str(text).unwrap_or_default();
    }
    schema
}

/// The lines of a doc comment as one text.
pub(crate) fn prose(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A field's name, of which `stringify!` makes `r#match` where the name is a word of Rust.
pub(crate) const fn key_name(written: &'static str) -> &'static str {
    match written.as_bytes() {
        [b'r', b'#', ..] => written.split_at(2).1,
        _ => written,
    }
}

/// Makes a kind of a table: a struct with an optional field for each key, which is `None` only where
/// the key was left out or a mistake was noted. Each key is described once, here, for both the parser
/// and the schema: its name, its kind, and `required`, `optional` or `default(VALUE)`, written as in JSON.
/// Keys that a later version knows are named at the end.
macro_rules! table {
    (@absence required) => { Absence::Required };
    (@absence optional) => { Absence::Optional };
    (@absence default $value:tt) => { Absence::Default(stringify!($value)) };

    ($(
        $(#[doc = $about:literal])+
        $table:ident, as $example:literal {
            $( $(#[doc = $doc:literal])+ $key:ident: $kind:ty => $how:ident $(($value:tt))?, )*
            $( later: $($later:literal)+ )?
        }
    )+) => { $(
        $(#[doc = $about])+
        #[derive(Debug)]
        #[allow(dead_code)] // What can only be off is checked as it is read, and then done with.
        pub(crate) struct $table {
            /// Was there any mistake in it? Then what it lacks need not be noted too.
            pub broken: bool,
            $( $(#[doc = $doc])+ pub $key: Option<At<$kind>>, )*
        }

        impl Kind for $table {
            fn wanted() -> String {
                "a table".to_owned()
            }

            fn example() -> String {
                $example.to_owned()
            }

            fn read(item: Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                const KNOWN: &[&str] = &[$(key_name(stringify!($key))),*];
                let before = reader.notes.mistakes();
                let table = reader.open::<Self>(item, KNOWN, &[$($($later),+)?])?;
                $( let $key = {
                    let absence = table!(@absence $how $($value)?);
                    reader.field::<$kind>(table, item.at, key_name(stringify!($key)), &absence)
                }; )*
                Some(Self { broken: reader.notes.mistakes() > before, $($key),* })
            }

            fn schema() -> Json {
                let mut properties = serde_json::Map::new();
                let mut required: Vec<&str> = Vec::new();
                $( {
                    let (name, absence) = (key_name(stringify!($key)), table!(@absence $how $($value)?));
                    properties.insert(name.to_owned(), described(<$kind>::schema(), &[$($doc),+], &absence));
                    required.extend(matches!(absence, Absence::Required).then_some(name));
                } )*
                json!({
                    "type": "object",
                    "description": prose(&[$($about),+]),
                    "properties": properties,
                    "required": required,
                    "additionalProperties": false,
                })
            }
        }
    )+ };
}
pub(crate) use table;
