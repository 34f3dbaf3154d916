//! `nearside demo`: a node at work beside random choice, live on a terminal.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use lab::demo::screen::{self, Style};
use lab::demo::{Moment, Options, View, run};

use crate::cli;
use crate::failure::Failure;
use crate::terminal::{self, Paint};

/// Plays the demo and prints what it came to.
///
/// # Errors
/// When its node or its endpoints can't start.
pub fn demo(ask: &cli::Demo) -> Result<ExitCode, Failure> {
    let style = Style { colour: Paint::stdout().is_on() };
    let mut screen = Screen::new(style);
    let options = Options { length: ask.length };
    let summary = run(options, &mut |moment| match moment {
        _ if ask.json => {}
        Moment::Opened(opened) => terminal::print(&screen::opening(opened, style)),
        Moment::View(view) => terminal::print(&screen.next(view)),
    })?;
    if ask.json {
        terminal::print_json(&summary);
    } else {
        terminal::print(&format!("\n{}", screen::summary(&summary, style)));
    }
    Ok(if summary.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What stands on the terminal, if it is one.
struct Screen {
    style: Style,
    /// The terminal can draw over what it has shown.
    redraws: bool,
    /// Lines of the table that stands there.
    lines: usize,
    /// Whole seconds that were shown last.
    second: u64,
}

impl Screen {
    fn new(style: Style) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { style, redraws: std::io::stdout().is_terminal() && !dumb, lines: 0, second: 0 }
    }

    /// What to print to show it: over the last one on a terminal, or else one line in a second.
    fn next(&mut self, view: &View) -> String {
        if self.redraws {
            let table = screen::table(view, self.style);
            let drawn = over(self.lines, &table);
            self.lines = table.lines().count();
            return drawn;
        }
        let second = view.elapsed.as_secs();
        if std::mem::replace(&mut self.second, second) == second {
            return String::new();
        }
        screen::line(view)
    }
}

/// Draws lines over the last so many. Lines that are too long for the terminal are cut, since their
/// rest would stand on a line of its own.
fn over(lines: usize, text: &str) -> String {
    let up = match lines {
        0 => String::new(),
        lines => format!("\x1b[{lines}A"),
    };
    let text = text.replace('\n', "\x1b[K\n");
    format!("{up}\r\x1b[?7l{text}\x1b[J\x1b[?7h")
}

#[cfg(test)]
mod tests {
    use super::over;

    #[test]
    fn a_table_is_drawn_over_the_last_one() {
        assert_eq!(over(0, "a\n"), "\r\x1b[?7la\x1b[K\n\x1b[J\x1b[?7h");
        assert!(over(7, "a\n").starts_with("\x1b[7A\r"));
    }
}
