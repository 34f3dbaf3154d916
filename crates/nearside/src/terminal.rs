//! How things are printed: results to standard output, complaints to standard error, colours only for
//! people who see them.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use config::{Diagnostic, Report, Severity};
use serde::Serialize;

use crate::failure::Failure;

/// Prints a result. Whoever closed standard output wants no more of it, so that is no failure.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a result for programs.
pub fn print_json(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string_pretty(value) {
        print(&(text + "\n"));
    }
}

/// Prints what is not a result to standard error.
pub fn note(text: &str) {
    let _closed = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints why a command failed.
pub fn complain(failure: &Failure) {
    let paint = Paint::stderr();
    if let Failure::Mistakes { report, .. } = failure {
        return note(&paint.report(report));
    }
    let mut text = format!("{}: {failure}\n", paint.red("error"));
    if let Some(help) = failure.help() {
        let _ = writeln!(text, "{}: {help}", paint.green("help"));
    }
    note(&text);
}

/// Puts colours around words, or nothing.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// No colours.
    #[cfg(test)]
    pub const PLAIN: Self = Self { on: false };

    /// For standard output.
    pub fn stdout() -> Self {
        Self::wanted(&std::io::stdout())
    }

    /// For standard error.
    pub fn stderr() -> Self {
        Self::wanted(&std::io::stderr())
    }

    fn wanted(stream: &impl IsTerminal) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { on: stream.is_terminal() && !no_color && !dumb }
    }

    /// Are there colours?
    pub fn is_on(self) -> bool {
        self.on
    }

    /// What matters.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What is wrong.
    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// What may be wrong.
    pub fn yellow(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    /// What is right, or would be.
    pub fn green(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A report as it is, in colours.
    pub fn report(self, report: &Report) -> String {
        let mut text = self.diagnostics(&report.diagnostics);
        if report.omitted > 0 {
            let _ = writeln!(text, "\nand {} more", report.omitted);
        }
        text
    }

    /// Diagnostics as they are, in colours.
    pub fn diagnostics(self, diagnostics: &[Diagnostic]) -> String {
        let painted: Vec<String> = diagnostics.iter().map(|one| self.diagnostic(one)).collect();
        painted.join("\n")
    }

    fn diagnostic(self, diagnostic: &Diagnostic) -> String {
        let (plain, painted) = match diagnostic.severity {
            Severity::Error => ("error", self.red("error")),
            Severity::Warning => ("warning", self.yellow("warning")),
        };
        let place = diagnostic.place.to_string();
        diagnostic
            .to_string()
            .replacen(&format!("{place}: {plain}:"), &format!("{}: {painted}:", self.bold(&place)), 1)
            .replace("\nhelp:", &format!("\n{}:", self.green("help")))
    }
}

/// Where a column's cells stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// Rows with their cells below each other. `show` gets each cell with its column and row, padded.
pub fn table<const N: usize>(
    rows: &[[String; N]],
    align: &[Align; N],
    show: impl Fn(usize, usize, &str) -> String,
) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        // Spaces at the end of a line would only be in the way of who copies it.
        let last = row.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
        for (column, cell) in row.iter().enumerate().take(last + 1) {
            let width = widths[column];
            let padded = match align[column] {
                Align::Left if column == last => cell.clone(),
                Align::Left => format!("{cell:width$}"),
                Align::Right => format!("{cell:>width$}"),
            };
            text += if column > 0 { "  " } else { "" };
            text += &show(column, number, &padded);
        }
        text.push('\n');
    }
    text
}

/// What somebody else wrote, without what would move the cursor or change colours.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// A number with a comma after each three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 route`, `2 routes`.
pub fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", count(number as u64))
}

/// Milliseconds with as many digits as say something.
pub fn ms(ms: f64) -> String {
    match ms {
        ..1.0 => format!("{ms:.2} ms"),
        ..10.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

/// A time in its two largest units.
pub fn lasting(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A share of 1 in percent.
pub fn percent(share: f64) -> String {
    format!("{} %", (share * 1e4).round() / 1e2)
}

/// Bytes in the largest unit that leaves a number of 1 or more, with one digit after the point.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() as usize / 10).min(UNITS.len() - 1);
    let number = bytes as f64 / f64::powi(1024.0, unit as i32);
    format!("{} {}", (number * 10.0).round() / 10.0, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> = [0, 999, 1_000, 12_345_678].map(count).to_vec();
        assert_eq!(shown, ["0", "999", "1,000", "12,345,678"]);
        assert_eq!([0.123, 1.26, 12.6].map(ms), ["0.12 ms", "1.3 ms", "13 ms"]);
        assert_eq!(counted(1, "route"), "1 route");
        assert_eq!(counted(2, "route"), "2 routes");
        assert_eq!([0.2, 1.0 / 3.0, 1.0].map(percent), ["20 %", "33.33 %", "100 %"]);
    }

    #[test]
    fn times_and_sizes_are_short() {
        let shown = [0.4, 59.9, 61.0, 7_260.0, 90_000.0].map(lasting);
        assert_eq!(shown, ["0s", "59s", "1m 1s", "2h 1m", "1d 1h"]);
        let shown = [0, 1023, 1024, 1_300_000, 256 << 20, u64::MAX].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1 KiB", "1.2 MiB", "256 MiB", "16777216 TiB"]);
    }

    #[test]
    fn colours_leave_the_text_as_it_is() {
        let report = Report::of_file("a.toml", "is wrong", Some("write it right".into()));
        let painted = Paint { on: true }.report(&report);
        assert_eq!(
            painted,
            "\x1b[1ma.toml\x1b[0m: \x1b[1;31merror\x1b[0m: is wrong\n\x1b[1;32mhelp\x1b[0m: write it right\n"
        );
        assert_eq!(Paint { on: false }.report(&report), report.to_string());
    }
}
