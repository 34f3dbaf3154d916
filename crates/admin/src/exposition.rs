//! Writes the Prometheus text format, version 0.0.4.
//!
//! By hand, because all numbers are already counted elsewhere: a registry of metrics would only be a
//! second place for them.

use std::fmt::{Display, Write as _};

use edge::stats::Histogram;

/// The media type of a [`Page`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The label in which a histogram says the upper bound of a bucket.
const BOUND: &str = "le";

/// A page of metrics.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

/// A metric whose samples are being written.
pub(crate) struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

/// Names and values.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// Begins a number that only grows, by name ending in `_total`.
    pub(crate) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Begins a number that goes up and down.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Begins a distribution.
    pub(crate) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { page: self, name }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn push(&mut self, text: impl Display) {
        // Writing to a string can't fail.
        let _ = write!(self.text, "{text}");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: Labels<'_>, value: impl Display) {
        self.push(format_args!("{name}{suffix}"));
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            self.push(format_args!("{before}{label}=\""));
            self.escaped(value);
            self.text.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{end} {value}\n"));
    }

    fn escaped(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
    }
}

impl Family<'_> {
    /// Writes one sample.
    pub(crate) fn add(&mut self, labels: Labels<'_>, value: impl Display) {
        self.page.sample(self.name, "", labels, value);
    }

    /// Writes one distribution; times in seconds.
    pub(crate) fn times(&mut self, (label, value): (&str, &str), times: &Histogram) {
        let mut below = 0;
        let bounds = Histogram::BOUNDS.iter().map(|nanos| seconds(*nanos).to_string());
        for (count, bound) in times.counts.iter().zip(bounds.chain(["+Inf".to_owned()])) {
            below += count;
            let labels = [(label, value), (BOUND, &bound)];
            self.page.sample(self.name, "_bucket", &labels, below);
        }
        let labels = [(label, value)];
        self.page.sample(self.name, "_sum", &labels, seconds(times.nanos));
        self.page.sample(self.name, "_count", &labels, below);
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
