//! `docs/benchmarks.md`: tables with what was measured, when, where and by which command.

use std::fs;

use super::load::Sample;
use super::{Options, Part};
use crate::failure::{Outcome, While};
use crate::step::{command, first_line, step};
use crate::{root, tools};

const PAGE: &str = "docs/benchmarks.md";
const PICTURE: &str = "docs/benchmarks.svg";

/// The share of the cores from which others at work on them are named.
const SHARED: f64 = 0.05;

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench`; each section says when and where it was measured, and a run replaces \
the sections that it measures.

What counts is CPU time for each request: user and system time of the proxy's processes, from the \
scheduler's own account, divided by the requests. Each proxy has one thread on a core of its own; the \
origin and the load generator (`wrk`, 32 kept connections) share the other core. All proxies do the \
same work: kept connections to the origin, `X-Forwarded-For`, `-Proto` and `-Host`, `Via` and \
`X-Request-Id` added, no access log, buffers of the size that costs each least. Their configurations \
are in `xtask/src/bench/peer.rs`. The bare relay is a minimal program that finds the ends of messages \
and does nothing else: the limit of what can be reached on the same runtime.

The proxies take turns, in another order each round; tables show medians. A measurement that other \
programs disturbed is repeated, and marked if that did not help.
";

/// What a run found.
#[derive(Default)]
pub struct Report {
    sections: Vec<(&'static str, String)>,
    /// The bars for the page, if they were measured.
    pub picture: Option<String>,
}

impl Report {
    /// Adds a section.
    pub fn section(&mut self, title: &'static str, body: &str) {
        self.sections.push((title, body.trim_end().to_owned()));
    }

    /// All sections, for a terminal.
    pub fn text(&self) -> String {
        let texts = self.sections.iter().map(|(title, body)| format!("## {title}\n\n{body}\n"));
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Brings the sections into the page, and the bars beside it.
    pub fn write(&self, options: &Options) -> Outcome<()> {
        step(&format!("writing {PAGE}"), || {
            command(&["mkdir", "-p", "docs"])?;
            let page = root().join(PAGE);
            let old = fs::read_to_string(&page).unwrap_or_default();
            let stamped = self.sections.iter().zip(&options.parts);
            let stamped: Vec<(&str, String)> = stamped
                .map(|((title, body), part)| (*title, format!("{}\n\n{body}", stamp(options, *part))))
                .collect();
            fs::write(&page, merge(&old, &stamped)).while_doing(format!("writing {PAGE}"))?;
            if let Some(picture) = &self.picture {
                fs::write(root().join(PICTURE), picture).while_doing(format!("writing {PICTURE}"))?;
            }
            Ok(())
        })
    }
}

/// The page with its old sections, of which those in `new` are replaced or added.
fn merge(old: &str, new: &[(&str, String)]) -> String {
    let mut sections: Vec<(String, String)> = old
        .split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap_or((section, "")))
        .map(|(title, body)| (title.to_owned(), body.trim().to_owned()))
        .collect();
    for (title, body) in new {
        match sections.iter_mut().find(|(known, _)| known == title) {
            Some(section) => section.1.clone_from(body),
            None => sections.push(((*title).to_owned(), body.clone())),
        }
    }
    let texts = sections.iter().map(|(title, body)| format!("\n## {title}\n\n{body}\n"));
    HEAD.to_owned() + &texts.collect::<String>()
}

/// When, where, with what and by which command a section was measured.
fn stamp(options: &Options, part: Part) -> String {
    let Options { rounds, seconds, .. } = options;
    let versions = match part {
        Part::Queue(_) => vec![
            first_line("rustc", &["--version"]),
            first_line(&program("redis-server"), &["--version"]),
            first_line(&tools::nats_server().unwrap_or_default().to_string_lossy(), &["--version"]),
        ],
        _ => vec![
            first_line("rustc", &["--version"]),
            first_line(&program("nginx"), &["-v"]),
            first_line(&program("haproxy"), &["-v"]),
            first_line(&program("varnishd"), &["-V"]),
            first_line("wrk", &["-v"]),
        ],
    };
    let words = part.words();
    let short = |version: &String| version.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    format!(
        "{}, `cargo xtask bench {words} --rounds {rounds} --seconds {seconds}`, {} cores of {}, Linux {}; {}.",
        first_line("date", &["-u", "+%F"]),
        first_line("nproc", &[]),
        processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        first_line("uname", &["-r"]),
        versions.iter().map(short).collect::<Vec<_>>().join(", "),
    )
}

fn program(name: &str) -> String {
    tools::find(name).map_or_else(|| name.to_owned(), |path| path.to_string_lossy().into_owned())
}

fn processor(cpuinfo: &str) -> &str {
    let model = |line: &'_ str| line.starts_with("model name");
    let line = cpuinfo.lines().find(|line| model(line));
    line.and_then(|line| line.split_once(": ")).map_or("an unnamed processor", |(_, name)| name)
}

/// A line of a table of costs: the name, the cost, how it stands to others, and how fast it went.
pub fn line(name: &str, sample: &Sample, others: &[f64]) -> String {
    let ratios: String = others.iter().map(|other| format!("{} | ", ratio(sample.cpu, *other))).collect();
    format!(
        "| {name}{} | {:.2} | {ratios}{:.0} | {} | {} |\n",
        marks(sample),
        sample.cpu,
        sample.rate,
        time(sample.p50),
        time(sample.p99),
    )
}

/// A ratio with two digits; a dash when the other one was not measured.
pub fn ratio(value: f64, to: f64) -> String {
    if to.is_finite() && to > 0.0 { format!("{:.2}", value / to) } else { "–".into() }
}

/// A time in microseconds, in a unit that fits.
pub fn time(microseconds: f64) -> String {
    if microseconds < 1000.0 {
        format!("{microseconds:.0} µs")
    } else {
        format!("{:.2} ms", microseconds / 1000.0)
    }
}

/// Marks beside a name: what failed, and whether others were at work on the cores.
pub fn marks(sample: &Sample) -> String {
    let mut text = String::new();
    if sample.failed > 0.0 {
        text += &format!(" (**{:.0} failed**)", sample.failed);
    }
    if sample.disturbed > SHARED {
        text += &format!(" (others had {:.0} % of the cores)", sample.disturbed * 100.0);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_were_not_measured_are_kept() {
        let first = merge("", &[("A", "old a".into()), ("B", "old b".into())]);
        assert_eq!(first, format!("{HEAD}\n## A\n\nold a\n\n## B\n\nold b\n"));
        let second = merge(&first, &[("B", "new b".into()), ("C", "new c".into())]);
        assert_eq!(second, format!("{HEAD}\n## A\n\nold a\n\n## B\n\nnew b\n\n## C\n\nnew c\n"));
        assert_eq!(merge(&second, &[]), second);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(ratio(9.0, 10.0), "0.90");
        assert_eq!(ratio(9.0, f64::INFINITY), "–");
        assert_eq!((time(629.4).as_str(), time(1234.0).as_str()), ("629 µs", "1.23 ms"));
        let mut sample = Sample { cpu: 1.0, rate: 1.0, p50: 1.0, p99: 1.0, failed: 0.0, disturbed: 0.01 };
        assert_eq!(marks(&sample), "");
        (sample.failed, sample.disturbed) = (2.0, 0.1);
        assert_eq!(marks(&sample), " (**2 failed**) (others had 10 % of the cores)");
    }

    #[test]
    fn the_processor_is_named() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Fast One\n"), "Fast One");
    }
}
