//! A strict reader of the Prometheus text format, version 0.0.4.

use std::collections::{BTreeMap, HashSet};

/// The metrics of a page, by name.
pub type Page = BTreeMap<String, Family>;

/// One metric.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Family {
    /// The value of the sample with exactly these labels.
    #[track_caller]
    pub fn value(&self, labels: &[(&str, &str)]) -> f64 {
        let wanted = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = self.samples.iter().find(|sample| sample.labels == wanted);
        found.unwrap_or_else(|| panic!("no sample {labels:?} in {self:?}")).value
    }
}

/// Reads a page, and panics at whatever is not as it must be.
pub fn read(text: &str) -> Page {
    assert!(text.ends_with('\n'), "the last line doesn't end");
    let mut page = Page::new();
    let mut now = String::new();
    let mut seen = HashSet::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && is_name(name), "{line}");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            assert!(page.insert(name.to_owned(), family).is_none(), "{name} twice");
            now = name.to_owned();
            continue;
        }
        let sample = sample(line);
        assert!(seen.insert(format!("{}{:?}", sample.name, sample.labels)), "twice: {line}");
        let family = page.get_mut(&now).unwrap();
        let suffix = sample.name.strip_prefix(&now).unwrap_or_else(|| panic!("{line} in {now}"));
        let suffixes: &[&str] =
            if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.contains(&suffix), "{line}");
        family.samples.push(sample);
    }
    page.values().filter(|family| family.kind == "histogram").for_each(check_histogram);
    page
}

fn sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(name_end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').unwrap();
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
    Sample { name: name.to_owned(), labels, value }
}

/// Reads up to the closing quote; returns what was meant, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next().unwrap().1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                other => panic!("\\{other} is no escape"),
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quote in {text}");
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':');
    first && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// Buckets grow from bound to bound up to `+Inf`, which is the count.
fn check_histogram(family: &Family) {
    let mut series: BTreeMap<BTreeMap<String, String>, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        assert_eq!(bound.is_some(), sample.name.ends_with("_bucket"), "{sample:?}");
        series.entry(labels).or_default().push(sample);
    }
    for samples in series.values() {
        let (buckets, rest) = samples.split_at(samples.len() - 2);
        let bounds: Vec<f64> = buckets.iter().map(|bucket| bucket.labels["le"].parse().unwrap()).collect();
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert!(bounds.last().unwrap().is_infinite());
        assert!(buckets.is_sorted_by_key(|bucket| bucket.value), "{buckets:?}");
        assert!(rest[0].name.ends_with("_sum") && rest[1].name.ends_with("_count"));
        assert_eq!(rest[1].value, buckets.last().unwrap().value);
    }
}

#[test]
fn the_reader_is_strict() {
    let head = "# HELP a_total b\n# TYPE a_total counter\n";
    read(&format!("{head}a_total 1\n"));
    read(&format!("{head}a_total{{x=\"\\\"\"}} 1\n"));
    let bad = [
        "a_total 1",
        "a_total 1\na_total 2\n",
        "a_total{x=\"1\",x=\"2\"} 1\n",
        "a_total{x=\"1\"}1\n",
        "a_total{x=\"\\x\"} 1\n",
        "a_total{x=\"1} 1\n",
        "a_total one\n",
        "b_total 1\n",
        "a_total_sum 1\n",
        "\n",
    ];
    for lines in bad {
        let text = format!("{head}{lines}");
        assert!(std::panic::catch_unwind(|| read(&text)).is_err(), "{lines}");
    }
}
