//! How the demo looks, as text: pure, so that a test can read it.

use std::fmt::Write as _;

use upstream::usable::Standing;

use super::{Happening, Opened, Row, Side, Summary, View};

/// Cells of a share's bar.
const BAR: usize = 20;
/// What happened that a table shows.
const SHOWN: usize = 5;

/// Puts colours around words, or nothing.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Are colours wanted?
    pub colour: bool,
}

impl Style {
    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn yellow(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    fn green(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What the demo opened and what to try.
pub fn opening(opened: &Opened, style: Style) -> String {
    let Opened { node, admin, config } = opened;
    let config: String = config.lines().map(|line| format!("{}\n", indented(line))).collect();
    format!(
        "{title}
Two services run side by side on it and get the same requests at the same moments.
\"shop\" is balanced by latency, with checks and retries; \"random\" by random choice.
Endpoint b of both dies after a third of the time and returns after two.

{running}
{config}
{trying}
  curl -i http://{node}/          # who answers you?
  curl -i http://{node}/random    # and here, while b is dead?
  curl http://{admin}/api/v1/services
  curl http://{admin}/metrics
  nearside status --admin http://{admin}
  nearside explain --admin http://{admin} http://{node}/

",
        title = style.bold("One node, four endpoints of different speed, users at work."),
        running = style.bold("What the node runs"),
        config = style.dim(&config),
        trying = style.bold("What to try meanwhile, in another terminal"),
    )
}

fn indented(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!("  {line}") }
}

/// How it is now, for a terminal: always as many lines.
pub fn table(view: &View, style: Style) -> String {
    let end = match view.length {
        Some(length) => format!("of {:.0} s", length.as_secs_f64()),
        None => "so far, Ctrl-C ends it".to_owned(),
    };
    let mut text = style.bold(&format!("{:.1} s {end}", view.elapsed.as_secs_f64())) + "\n\n";
    text += &style.dim(&format!(
        "{:<10}  {:<13}  {:<BAR$}  {:>5}  {:>5}  {:>6}  {:>7}  {:>7}\n",
        "ENDPOINT", "STATE", "LAST 5 S", "SHARE", "/S", "FLYING", "P50", "P99"
    ));
    for row in &view.rows {
        text += &endpoint(row, style);
    }
    text += "\n";
    text += &sides(&view.nearside, &view.random, style);
    text += "\n";
    let skipped = view.happenings.len().saturating_sub(SHOWN);
    for happening in &view.happenings[skipped..] {
        text += &happened(happening, style);
    }
    text + &"\n".repeat(SHOWN.saturating_sub(view.happenings.len()))
}

fn endpoint(row: &Row, style: Style) -> String {
    let (state, seen) = (format!("{:<13}", state(row)), row.standing);
    let state = match (row.alive, seen) {
        (true, Standing::Up) => style.green(&state),
        (true, Standing::Ill | Standing::Ejected) => style.yellow(&state),
        (true, _) => style.dim(&state),
        (false, _) => style.red(&state),
    };
    let part = &row.part;
    let name = format!("{}, {} ms", part.name, row.typical.as_millis());
    let bar = "█".repeat((part.share * BAR as f64).round() as usize);
    format!(
        "{name:<10}  {state}  {bar:<BAR$}  {:>5}  {:>5.0}  {:>6}  {:>7}  {:>7}\n",
        percent(part.share),
        row.per_second,
        row.in_flight,
        ms(part.p50_ms),
        ms(part.p99_ms),
    )
}

/// What it is, and what the node thinks of it.
fn state(row: &Row) -> String {
    let seen = match row.standing {
        Standing::Up => "well",
        Standing::Unknown => "unknown",
        Standing::Ill => "ill",
        Standing::Ejected => "ejected",
        Standing::Unresolved => "unresolved",
        Standing::Drained => "drained",
    };
    if row.alive { seen.to_owned() } else { format!("dead, {seen}") }
}

fn sides(nearside: &Side, random: &Side, style: Style) -> String {
    let heading = format!(
        "{:<25}  {:>9}  {:>7}  {:>7}  {:>7}\n",
        "SINCE THE BEGINNING", "REQUESTS", "FAILED", "P50", "P99"
    );
    let line = |name: &str, side: &Side| {
        let failed = format!("{:>7}", side.failed);
        let failed = if side.failed > 0 { style.red(&failed) } else { failed };
        let (p50, p99) = (ms(side.p50_ms), ms(side.p99_ms));
        format!("{name:<25}  {:>9}  {failed}  {p50:>7}  {p99:>7}\n", side.requests)
    };
    style.dim(&heading) + &line("Nearside", nearside) + &line("random choice, no retries", random)
}

fn happened(happening: &Happening, style: Style) -> String {
    let at = format!("{:>6.1} s", happening.seconds);
    format!("{}  {}\n", style.dim(&at), happening.what)
}

/// How it is now, in one line.
pub fn line(view: &View) -> String {
    let part = |row: &Row| {
        let dead = if row.alive { "" } else { " (dead)" };
        format!("{}{dead} {}", row.part.name, percent(row.part.share))
    };
    let parts: Vec<String> = view.rows.iter().map(part).collect();
    let side = |side: &Side| {
        let p99 = ms(side.p99_ms);
        format!("{} requests, {} failed, p99 {p99}", side.requests, side.failed)
    };
    format!(
        "{:.0} s · {} · Nearside: {} · random: {}\n",
        view.elapsed.as_secs_f64(),
        parts.join(", "),
        side(&view.nearside),
        side(&view.random),
    )
}

/// What it came to.
pub fn summary(summary: &Summary, style: Style) -> String {
    let Summary { seconds, nearside, random, happenings } = summary;
    let mut text = style.bold(&format!("In {seconds:.1} s")) + "\n";
    for happening in happenings {
        text += &happened(happening, style);
    }
    text += "\n";
    text += &style.dim(&format!(
        "{:<10}  {:>8}  {:>5}  {:>7}  {:>7}    {:>8}  {:>5}  {:>7}  {:>7}\n",
        "ENDPOINT", "NEARSIDE", "SHARE", "P50", "P99", "RANDOM", "SHARE", "P50", "P99"
    ));
    for (near, random) in nearside.endpoints.iter().zip(&random.endpoints) {
        let _ = writeln!(
            text,
            "{:<10}  {:>8}  {:>5}  {:>7}  {:>7}    {:>8}  {:>5}  {:>7}  {:>7}",
            near.name,
            near.answers,
            percent(near.share),
            ms(near.p50_ms),
            ms(near.p99_ms),
            random.answers,
            percent(random.share),
            ms(random.p50_ms),
            ms(random.p99_ms),
        );
    }
    text += "\n";
    text += &sides(nearside, random, style);
    let verdict = match summary.holds() {
        true => style.green("Nearside answered every request."),
        false => style.red("Nearside did not answer every request."),
    };
    format!("{text}\n{verdict}\n")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn ms(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms @ ..100.0) => format!("{ms:.1} ms"),
        Some(ms) => format!("{ms:.0} ms"),
    }
}
