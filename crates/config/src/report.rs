//! What is wrong with a file, shown so that the one who wrote it sees where, and what to write instead.
//!
//! A [`Report`] carries the lines it speaks of, so it can be printed, sent as JSON by the admin API
//! or kept for later, when the file may have changed again.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The most diagnostics that a report lists; more are only counted.
pub const LISTED: usize = 100;

/// The most that are kept while a file is read, before they are put in the order of the file.
const KEPT: usize = 1000;

/// The most characters of a line that are shown.
const SHOWN: usize = 160;

/// Everything that a file gave reason to say, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// At most [`LISTED`].
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are.
    pub omitted: usize,
}

/// One thing to say about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Does it keep the file from being used?
    pub severity: Severity,
    /// What is so.
    pub message: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// A second place that has to do with it, and what it is.
    pub also: Option<Box<(Place, String)>>,
    /// What to write instead.
    pub help: Option<String>,
}

/// Does it keep the file from being used?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A mistake: it does.
    Error,
    /// It doesn't, but is probably not what was meant.
    Warning,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's name as it was given.
    pub file: String,
    /// From 1; 0 means the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 means the file as a whole.
    pub column: usize,
    /// The line itself; the middle of it if it is very long, and with secrets starred out.
    pub source: String,
    /// Characters of `source` before the ones that are meant.
    pub indent: usize,
    /// How many characters are meant.
    pub length: usize,
}

impl Report {
    /// A report with one mistake about a file as a whole, such as that it can't be read.
    pub fn of_file(file: &str, message: impl Into<String>, help: Option<String>) -> Self {
        let place =
            Place { file: file.into(), line: 0, column: 0, source: String::new(), indent: 0, length: 0 };
        let mistake =
            Diagnostic { severity: Severity::Error, message: message.into(), place, also: None, help };
        Self { diagnostics: vec![mistake], omitted: 0 }
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            write!(f, "{}{diagnostic}", if index > 0 { "\n" } else { "" })?;
        }
        match self.omitted {
            0 => Ok(()),
            more => writeln!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{}: {severity}: {}", self.place, self.message)?;
        self.place.excerpt(f)?;
        if let Some((place, label)) = self.also.as_deref() {
            writeln!(f, "{place}: {label}")?;
            place.excerpt(f)?;
        }
        if let Some(help) = &self.help {
            writeln!(f, "help: {}", help.replace('\n', "\n      "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

impl Place {
    /// The line with what is meant underlined.
    fn excerpt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return Ok(());
        }
        let number = self.line.to_string();
        let margin = number.len();
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{number} | {}", self.source)?;
        writeln!(f, "{:margin$} | {:indent$}{}", "", "", "^".repeat(self.length), indent = self.indent)
    }
}

/// A piece of what a file says, short and in backticks, fit for a terminal.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", short.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
}

/// A range of bytes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The file as a whole; it sorts after every place in it.
    pub const WHOLE: Self = Self { start: u32::MAX, end: u32::MAX };

    pub fn of<T>(spanned: &Spanned<T>) -> Self {
        Self::from(spanned.span())
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        let short = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: short(range.start), end: short(range.end) }
    }
}

/// A diagnostic that doesn't yet know its line.
#[derive(Debug)]
pub(crate) struct Note {
    severity: Severity,
    at: Span,
    message: String,
    also: Option<(Span, String)>,
    help: Option<String>,
}

impl Note {
    /// Says what to write instead.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Points to a second place.
    pub fn also(&mut self, at: Span, label: impl Into<String>) -> &mut Self {
        self.also = Some((at, label.into()));
        self
    }
}

/// What has been noticed so far.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    kept: Vec<Note>,
    mistakes: usize,
    omitted: usize,
}

impl Notes {
    pub fn mistake(&mut self, at: Span, message: impl Into<String>) -> &mut Note {
        self.mistakes += 1;
        self.note(Severity::Error, at, message.into())
    }

    pub fn warning(&mut self, at: Span, message: impl Into<String>) -> &mut Note {
        self.note(Severity::Warning, at, message.into())
    }

    /// How many mistakes there are so far.
    pub fn mistakes(&self) -> usize {
        self.mistakes
    }

    /// Does another note take the place of the last?
    fn full(&self) -> bool {
        self.kept.len() >= KEPT
    }

    fn note(&mut self, severity: Severity, at: Span, message: String) -> &mut Note {
        let note = Note { severity, at, message, also: None, help: None };
        if self.full() {
            self.omitted += 1;
            self.kept.truncate(KEPT - 1);
        }
        self.kept.push(note);
        let last = self.kept.len() - 1;
        &mut self.kept[last]
    }

    /// Finds the lines and puts all in order.
    pub fn report(mut self, source: &Source<'_>) -> Report {
        let found = self.kept.len();
        if found > LISTED && self.mistakes > 0 {
            self.kept.retain(|note| note.severity == Severity::Error);
        }
        self.kept.sort_by_key(|note| note.at);
        let omitted = self.omitted + found - self.kept.len().min(LISTED);
        let diagnostics = self.kept.into_iter().take(LISTED).map(|note| source.diagnostic(note)).collect();
        Report { diagnostics, omitted }
    }
}

/// A file's text, and where its lines begin.
pub(crate) struct Source<'t> {
    file: String,
    text: &'t str,
    starts: Vec<u32>,
}

impl<'t> Source<'t> {
    pub fn new(file: &str, text: &'t str) -> Self {
        let ends = text.bytes().zip(1..).filter(|(byte, _)| *byte == b'\n').map(|(_, next)| next);
        Self { file: file.into(), text, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// The line of a place, from 1; 0 for the file as a whole.
    pub fn line(&self, at: Span) -> usize {
        if at == Span::WHOLE { 0 } else { self.starts.partition_point(|start| *start <= at.start) }
    }

    fn diagnostic(&self, note: Note) -> Diagnostic {
        Diagnostic {
            severity: note.severity,
            message: note.message,
            place: self.place(note.at),
            also: note.also.map(|(at, label)| Box::new((self.place(at), label))),
            help: note.help,
        }
    }

    fn place(&self, at: Span) -> Place {
        let line = self.line(at);
        let file = self.file.clone();
        let Some(start) = line.checked_sub(1).and_then(|index| self.starts.get(index)) else {
            return Place { file, line: 0, column: 0, source: String::new(), indent: 0, length: 0 };
        };
        let text = self.text.get(*start as usize..).unwrap_or_default();
        let text = text.split('\n').next().unwrap_or_default();
        let text = text.strip_suffix('\r').unwrap_or(text);
        let chars_to = |offset: u32| {
            let bytes = (offset.saturating_sub(*start) as usize).min(text.len());
            text.char_indices().take_while(|(index, _)| *index < bytes).count()
        };
        let (from, to) = (chars_to(at.start), chars_to(at.end));
        let mut text = Cow::Borrowed(text);
        for secret in [token, signing, webhook_secret, password] {
            text = Cow::Owned(starred(&text, secret(&text)).into_owned());
        }
        let (source, indent) = shown(&text, from);
        let length = to.saturating_sub(from).min(source.chars().count().saturating_sub(indent)).max(1);
        Place { file, line, column: from + 1, source, indent, length }
    }
}

/// The part of a line around its character number `from`, and how many characters are before that.
/// Control characters can't reach the terminal.
fn shown(line: &str, from: usize) -> (String, usize) {
    let long = line.chars().nth(SHOWN).is_some();
    let skipped = if long { from.saturating_sub(SHOWN / 2) } else { 0 };
    let mut source = String::from(if skipped > 0 { "…" } else { "" });
    let visible = |c: char| if c == '\t' { ' ' } else { c };
    source.extend(
        line.chars()
            .skip(skipped)
            .take(SHOWN)
            .map(visible)
            .map(|c| if c.is_control() { '\u{fffd}' } else { c }),
    );
    if line.chars().nth(skipped + SHOWN).is_some() {
        source.push('…');
    }
    (source, from - skipped + usize::from(skipped > 0))
}

/// A line with a part of it starred out, because reports are copied into tickets. What is secret is
/// looked for in the text, so that it is found also in a line that is not TOML at all.
fn starred(line: &str, secret: Option<Range<usize>>) -> Cow<'_, str> {
    let Some((secret, hidden)) = secret.and_then(|secret| Some((secret.clone(), line.get(secret)?))) else {
        return Cow::Borrowed(line);
    };
    let stars = "*".repeat(hidden.chars().count());
    Cow::Owned(format!("{}{stars}{}", &line[..secret.start], &line[secret.end..]))
}

/// What is written after `key =`.
fn value_of<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.match_indices(key).find_map(|(index, key)| {
        let rest = line.get(index + key.len()..)?;
        rest.trim_start_matches(['"', '\'', ' ', '\t']).strip_prefix('=').map(str::trim_start)
    })
}

/// The value of a `token`, unless it is a variable.
fn token(line: &str) -> Option<Range<usize>> {
    quoted_secret(line, value_of(line, "token")?)
}

/// The value of a `sign`: one secret as in a `token`, or a list.
fn signing(line: &str) -> Option<Range<usize>> {
    let value = value_of(line, "sign")?;
    let Some(list) = value.strip_prefix('[') else {
        return quoted_secret(line, value);
    };
    let begin = line.len() - list.len();
    Some(begin..begin + list.rfind(']').unwrap_or(list.len()))
}

/// What follows the first `whsec_`, to the end of the last one: a list may have a line for each.
fn webhook_secret(line: &str) -> Option<Range<usize>> {
    const BEGIN: &str = "whsec_";
    let begin = line.find(BEGIN)? + BEGIN.len();
    let last = line.rfind(BEGIN)? + BEGIN.len();
    let length = line[last..].find(['"', '\'', ' ', ',']).unwrap_or(line.len() - last);
    Some(begin..last + length)
}

/// What is inside the quotes at the beginning of a value, which is a part of the line.
fn quoted_secret(line: &str, value: &str) -> Option<Range<usize>> {
    if value.get(1..).is_some_and(is_variable) {
        return None;
    }
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inside = line.len() - value.len() + usize::from(quote.is_some());
    let ends = |rest: &str| rest.is_empty() || rest.starts_with([' ', '\t', ',', '}']);
    let end = quote.and_then(|quote| {
        let mut quotes = line[inside..].match_indices(quote).map(|(index, _)| inside + index);
        quotes.find(|index| ends(&line[index + 1..]))
    });
    Some(inside..end.unwrap_or(line.len()))
}

/// What stands between `://` and the last `@` of a URL, unless its password is a variable.
fn password(line: &str) -> Option<Range<usize>> {
    line.match_indices("://").find_map(|(index, separator)| {
        let (before, after) = line.split_at(index + separator.len());
        let quote = before.rfind(['"', '\'']).and_then(|at| before[at..].chars().next());
        let url = quote.and_then(|quote| after.split(quote).next()).unwrap_or(after);
        let login = &url[..url.rfind('@')?];
        let password = login.split_once(':').map_or(login, |(_, password)| password);
        (!is_variable(password)).then(|| before.len()..before.len() + login.len())
    })
}

/// Does the environment hold the value, and not the file?
fn is_variable(value: &str) -> bool {
    value.starts_with("${") && !value.contains(":-")
}
