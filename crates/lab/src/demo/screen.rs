//! How the demo looks, as text: pure, so that a test can read it.

use std::fmt::Write as _;
use std::slice;

use upstream::usable::Standing;

use super::network::PLAIN;
use super::{CacheRow, Happening, Opened, Orders, Part, Row, Side, Summary, View};

/// Cells of a share's bar.
const BAR: usize = 12;
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
    // What follows is the same again, and less.
    let own = config.split_inclusive(PLAIN).next().unwrap_or(config);
    let config: String = own.lines().map(|line| format!("{}\n", indented(line))).collect();
    format!(
        "{title}
Two sides get the same requests at the same moments: pictures, pages, an API, private accounts.
Nearside keeps what it may in its cache (here a second or two), balances by latency, and retries.
The other side, below /random, picks endpoints at random and does no more.
Endpoints b and e of both die and return; only e has pictures. Tag \"pages\" is purged now and then.
Pictures were fetched once before users came: what is not stored can't stand in for e.
Orders wait in a queue till the warehouse takes them; it fails one in five, dies and returns too.

{running}
{config}
{trying}
  curl -I http://{node}/pictures/1     # Age, Cache-Status: from the cache?
  curl -i http://{node}/account        # private: an endpoint answers each time
  curl -i http://{node}/random/account # and here, while b is dead?
  curl -i -d '{{\"order\": 0}}' http://{node}/orders
  nearside queue show orders --admin http://{admin}
  nearside purge --tag pages --admin http://{admin}
  nearside status --admin http://{admin}
  nearside explain --admin http://{admin} http://{node}/pages/1
  curl http://{admin}/metrics

",
        title = style
            .bold("One node with a cache and a queue, five endpoints of different speed, users at work."),
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
    let mut text = style.bold(&format!("{:.1} s {end}", view.elapsed.as_secs_f64())) + "\n";
    text += &style.dim(&format!(
        "{:<8}  {:<13}  {:<BAR$}  {:>5}  {:>4}  {:>9}  {:>7}  {:>7}\n",
        "FROM", "STATE", "LAST 5 S", "SHARE", "/S", "IN FLIGHT", "P50", "P99"
    ));
    text += &cache(&view.cache, style);
    for row in &view.rows {
        text += &endpoint(row, style);
    }
    text += "\n";
    text += &sides(&view.nearside, &view.random, style);
    text += &worth(&view.nearside, style);
    text += &queue(&view.orders, "in the last 5 s", style);
    text += "\n";
    let skipped = view.happenings.len().saturating_sub(SHOWN);
    for happening in &view.happenings[skipped..] {
        text += &happened(happening, style);
    }
    text + &"\n".repeat(SHOWN.saturating_sub(view.happenings.len()))
}

fn cache(row: &CacheRow, style: Style) -> String {
    let state = style.green(&format!("{:<13}", "in memory"));
    from("cache", &state, &row.part, row.per_second, "")
}

fn endpoint(row: &Row, style: Style) -> String {
    let (state, seen) = (format!("{:<13}", state(row)), row.standing);
    let state = match (row.alive, seen) {
        (true, Standing::Up) => style.green(&state),
        (true, Standing::Ill | Standing::Ejected) => style.yellow(&state),
        (true, _) => style.dim(&state),
        (false, _) => style.red(&state),
    };
    let name = format!("{}, {} ms", row.part.name, row.typical.as_millis());
    from(&name, &state, &row.part, row.per_second, &row.in_flight.to_string())
}

/// What came from there lately.
fn from(name: &str, state: &str, part: &Part, per_second: f64, in_flight: &str) -> String {
    format!(
        "{name:<8}  {state}  {:<BAR$}  {:>5}  {per_second:>4.0}  {in_flight:>9}  {:>7}  {:>7}\n",
        bar(part.share),
        percent(part.share),
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

/// A bar of at most [`BAR`] cells, drawn to an eighth of one.
fn bar(share: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * BAR as f64 * 8.0).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

fn sides(nearside: &Side, random: &Side, style: Style) -> String {
    let heading = format!(
        "{:<19}  {:>8}  {:>6}  {:>7}  {:>7}  {:>12}  {:>7}\n",
        "SINCE THE BEGINNING", "REQUESTS", "FAILED", "P50", "P99", "AT ENDPOINTS", "BYTES"
    );
    let line = |name: &str, side: &Side| {
        let failed = format!("{:>6}", side.failed);
        let failed = if side.failed > 0 { style.red(&failed) } else { failed };
        let (p50, p99, work) = (ms(side.p50_ms), ms(side.p99_ms), side.endpoint_work);
        format!(
            "{name:<19}  {:>8}  {failed}  {p50:>7}  {p99:>7}  {:>12}  {:>7}\n",
            side.requests,
            work.requests,
            size(work.bytes)
        )
    };
    style.dim(&heading) + &line("Nearside", nearside) + &line("plain random choice", random)
}

/// What the cache is worth, in two lines.
fn worth(side: &Side, style: Style) -> String {
    let (hits, saved) = (style.green(&format!("{} hits", percent(side.cache.share))), side.saved());
    format!(
        "
{}  {hits}, p50 {} (others {}) · {} stale · {} collapsed
{}  {} of {} requests to endpoints, {} of {}
",
        style.dim("CACHE"),
        ms(side.cache.p50_ms),
        ms(side.others_p50_ms),
        side.stale,
        side.collapsed,
        style.dim("SAVED"),
        saved.requests,
        side.requests - side.failed,
        size(saved.bytes),
        size(side.bytes),
    )
}

/// What became of orders, in two lines; `when` says of which time their times are.
fn queue(orders: &Orders, when: &str, style: Style) -> String {
    let Orders { accepted, waiting, delivered, retried, dead, .. } = orders;
    let (delivered, dead_letters) = (style.green(&format!("{delivered} delivered")), format!("{dead} dead"));
    let dead_letters = if *dead > 0 { style.red(&dead_letters) } else { dead_letters };
    format!(
        "\
{}  {accepted} accepted · {waiting} waiting · {delivered} · {retried} retried · {dead_letters}
       from accepted to delivered {when}: p50 {}, p99 {}
",
        style.dim("QUEUE"),
        ms(orders.p50_ms),
        ms(orders.p99_ms),
    )
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
    let cache = format!("cache {}", percent(view.cache.part.share));
    let parts: Vec<String> = std::iter::once(cache).chain(view.rows.iter().map(part)).collect();
    let side = |side: &Side| {
        let p99 = ms(side.p99_ms);
        format!("{} requests, {} failed, p99 {p99}", side.requests, side.failed)
    };
    let Orders { accepted, waiting, dead, .. } = view.orders;
    format!(
        "{} s · {} · Nearside: {} · random: {} · orders: {accepted} accepted, {waiting} waiting, {dead} dead\n",
        view.elapsed.as_secs(),
        parts.join(", "),
        side(&view.nearside),
        side(&view.random),
    )
}

/// What it came to.
pub fn summary(summary: &Summary, style: Style) -> String {
    let Summary { seconds, nearside, random, orders, happenings, .. } = summary;
    let mut text = style.bold(&format!("In {seconds:.1} s")) + "\n";
    for happening in happenings {
        text += &happened(happening, style);
    }
    text += "\n";
    text += &style.dim(&format!(
        "{:<8}  {:>8}  {:>5}  {:>7}  {:>7}   {:>6}  {:>5}  {:>7}  {:>7}\n",
        "FROM", "NEARSIDE", "SHARE", "P50", "P99", "RANDOM", "SHARE", "P50", "P99"
    ));
    let all = |side: &Side| [slice::from_ref(&side.cache), &side.endpoints].concat();
    for (near, random) in all(nearside).iter().zip(&all(random)) {
        let _ = writeln!(
            text,
            "{:<8}  {:>8}  {:>5}  {:>7}  {:>7}   {:>6}  {:>5}  {:>7}  {:>7}",
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
    text += &worth(nearside, style);
    text += &queue(orders, "in all that time", style);
    let verdict = match summary.answered() {
        true => style.green("Nearside answered every request."),
        false => style.red("Nearside did not answer every request."),
    };
    format!("{text}\n{verdict}\n{}\n", kept(orders, style))
}

/// Was what orders were promised kept?
fn kept(orders: &Orders, style: Style) -> String {
    let Orders { accepted, refused, waiting, lost, delivered, delivered_twice, attempts, dead, .. } = orders;
    if orders.hold() {
        return style.green(&format!(
            "All {accepted} accepted orders were delivered, in {attempts} attempts; none lost, none twice."
        ));
    }
    style.red(&format!(
        "Of {accepted} accepted orders {delivered} were delivered, in {attempts} attempts; {waiting} still wait,\n\
         {lost} of them lost, {dead} are dead, {delivered_twice} came twice; {refused} were not accepted."
    ))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn size(bytes: u64) -> String {
    match bytes as f64 / 1e6 {
        megabytes @ ..10.0 => format!("{megabytes:.1} MB"),
        megabytes => format!("{megabytes:.0} MB"),
    }
}

fn ms(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms @ ..100.0) => format!("{ms:.1} ms"),
        Some(ms) => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::EndpointWork;
    use std::time::Duration;

    const PLAIN_STYLE: Style = Style { colour: false };

    fn side(failed: u64, cached: f64, shares: [f64; 2]) -> Side {
        let part = |name, share, p50| Part {
            name,
            answers: (share * 1000.0) as u64,
            share,
            p50_ms: (share > 0.0).then_some(p50),
            p99_ms: (share > 0.0).then_some(123.4),
        };
        let [a, b] = shares;
        Side {
            requests: 1000 + failed,
            failed,
            p50_ms: Some(4.25),
            p99_ms: Some(123.4),
            bytes: 12_345_678,
            cache: part("cache", cached, 0.21),
            stale: 20,
            others_p50_ms: Some(4.25),
            collapsed: 10,
            endpoints: vec![part("a", a, 4.25), part("b", b, 4.25)],
            endpoint_work: EndpointWork { requests: 1000 - (cached * 1000.0) as u64, bytes: 3_456_789 },
        }
    }

    fn row(alive: bool, standing: Standing, side: &Side, index: usize) -> Row {
        let part = side.endpoints[index].clone();
        let per_second = part.answers as f64 / 5.0;
        Row { typical: Duration::from_millis(4), alive, standing, per_second, in_flight: 1, part }
    }

    fn orders() -> Orders {
        let (p50_ms, p99_ms) = (Some(7.25), Some(1234.0));
        let (accepted, waiting, delivered, retried, attempts) = (412, 3, 409, 98, 507);
        Orders { accepted, waiting, delivered, retried, attempts, p50_ms, p99_ms, ..Orders::default() }
    }

    fn view() -> View {
        let (nearside, random) = (side(0, 0.75, [0.25, 0.0]), side(83, 0.0, [0.5, 0.5]));
        let happening = |seconds| Happening { seconds, what: "b is killed".into() };
        View {
            elapsed: Duration::from_millis(12_345),
            length: Some(Duration::from_secs(20)),
            cache: CacheRow { per_second: 150.0, part: nearside.cache.clone() },
            rows: vec![row(true, Standing::Up, &nearside, 0), row(false, Standing::Ejected, &nearside, 1)],
            nearside,
            random,
            orders: orders(),
            happenings: vec![happening(6.6667)],
        }
    }

    #[test]
    fn a_table_reads_well() {
        assert_eq!(
            table(&view(), PLAIN_STYLE),
            "\
12.3 s of 20 s
FROM      STATE          LAST 5 S      SHARE    /S  IN FLIGHT      P50      P99
cache     in memory      █████████      75 %   150              0.2 ms   123 ms
a, 4 ms   well           ███            25 %    50          1   4.2 ms   123 ms
b, 4 ms   dead, ejected                  0 %     0          1        -        -

SINCE THE BEGINNING  REQUESTS  FAILED      P50      P99  AT ENDPOINTS    BYTES
Nearside                 1000       0   4.2 ms   123 ms           250   3.5 MB
plain random choice      1083      83   4.2 ms   123 ms          1000   3.5 MB

CACHE  75 % hits, p50 0.2 ms (others 4.2 ms) · 20 stale · 10 collapsed
SAVED  750 of 1000 requests to endpoints, 8.9 MB of 12 MB
QUEUE  412 accepted · 3 waiting · 409 delivered · 98 retried · 0 dead
       from accepted to delivered in the last 5 s: p50 7.2 ms, p99 1234 ms

   6.7 s  b is killed




"
        );
    }

    #[test]
    fn a_table_is_always_as_high_and_never_wide() {
        let mut view = view();
        let height = table(&view, PLAIN_STYLE).lines().count();
        // As many as after some ten minutes.
        view.orders = Orders { accepted: 12_345, delivered: 12_345, waiting: 0, retried: 3456, ..orders() };
        for _ in 0..10 {
            view.happenings.push(view.happenings[0].clone());
            let text = table(&view, PLAIN_STYLE);
            assert_eq!(text.lines().count(), height);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }

    #[test]
    fn a_bar_is_as_long_as_the_share() {
        assert_eq!(
            [0.0, 0.005, 0.05, 0.5, 1.0, 2.0].map(bar),
            ["", "", "▋", "██████", "████████████", "████████████"]
        );
    }

    #[test]
    fn a_line_says_the_same_in_short() {
        assert_eq!(
            line(&view()),
            "12 s · cache 75 %, a 25 %, b (dead) 0 % · Nearside: 1000 requests, 0 failed, p99 123 ms · \
             random: 1083 requests, 83 failed, p99 123 ms · orders: 412 accepted, 3 waiting, 0 dead\n"
        );
    }

    #[test]
    fn the_opening_shows_what_nearside_runs_and_not_what_it_is_compared_with() {
        let [node, admin] = [8080, 9900].map(|port| ([127, 0, 0, 1], port).into());
        let config = format!("[node]\n\n{PLAIN}\n[service.other]\n");
        let text = opening(&Opened { node, admin, config }, PLAIN_STYLE);
        assert!(text.contains(&format!("  [node]\n\n  {PLAIN}\n\n")), "{text}");
        assert!(!text.contains("service.other"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn colours_leave_the_text_as_it_is() {
        let mut painted = table(&view(), Style { colour: true });
        assert!(painted.contains("\x1b[1;31mdead, ejected\x1b[0m"));
        for code in ["1", "2", "1;31", "1;32", "1;33", "0"] {
            painted = painted.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(painted, table(&view(), PLAIN_STYLE));
    }

    #[test]
    fn a_summary_says_whether_it_held() {
        let View { nearside, random, happenings, .. } = view();
        let (node_cache, orders) = ([("hit", 750)].into(), Orders { waiting: 0, delivered: 412, ..orders() });
        let mut whole = Summary { seconds: 20.0, nearside, random, orders, node_cache, happenings };
        let text = summary(&whole, PLAIN_STYLE);
        assert!(text.starts_with("In 20.0 s\n   6.7 s  b is killed\n"), "{text}");
        let end = "
QUEUE  412 accepted · 0 waiting · 412 delivered · 98 retried · 0 dead
       from accepted to delivered in all that time: p50 7.2 ms, p99 1234 ms

Nearside answered every request.
All 412 accepted orders were delivered, in 507 attempts; none lost, none twice.
";
        assert!(text.ends_with(end), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        whole.nearside.failed = 1;
        whole.orders =
            Orders { delivered: 408, delivered_twice: 2, waiting: 3, lost: 1, dead: 1, ..whole.orders };
        let text = summary(&whole, PLAIN_STYLE);
        let end = "
Nearside did not answer every request.
Of 412 accepted orders 408 were delivered, in 507 attempts; 3 still wait,
1 of them lost, 1 are dead, 2 came twice; 0 were not accepted.
";
        assert!(text.ends_with(end), "{text}");
    }
}
