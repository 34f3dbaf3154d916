//! Whatever a text says, it is answered: nothing panics, and what is reported is in the text.

use config::{Report, units};
use proptest::prelude::*;

use crate::parse;

const EVERYTHING: &str = include_str!("../../../../examples/everything.toml");

/// Looks at every place that a report names, and shows it.
fn check(text: &str, report: &Report) {
    let lines = text.split('\n').count();
    assert!(!report.diagnostics.is_empty() && report.diagnostics.len() <= config::LISTED);
    for diagnostic in &report.diagnostics {
        let place = &diagnostic.place;
        assert!(place.line <= lines, "{place:?}");
        assert!(
            place.indent + place.length <= place.source.chars().count().max(place.indent + 1),
            "{place:?}"
        );
        assert!(!place.source.contains(|c: char| c.is_control()), "{place:?}");
    }
    let places: Vec<_> = report.diagnostics.iter().map(|d| (d.place.line == 0, d.place.line)).collect();
    assert!(places.is_sorted());
    assert!(report.to_string().starts_with("nearside.toml:"));
    serde_json::to_value(report).unwrap();
}

fn survives(text: &str) {
    if let Err(report) = parse(text) {
        check(text, &report);
    }
}

/// A line such as files have, with a value that may be wrong.
fn line() -> impl Strategy<Value = String> {
    let words: Vec<String> =
        EVERYTHING.split(|c: char| !c.is_ascii_lowercase() && c != '_').map(str::to_owned).collect();
    let key = prop::sample::select(words);
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        "\"[ -~]{0,20}\"",
        "\"(http://|/|\\*\\.|\\$\\{|[0-9]|[a-z]|[:.*-]|KiB|ms){0,9}\"",
        "\\[(\"[a-z/:*0-9]{0,9}\",?){0,3}\\]",
        "\\{ [a-z]{1,5} = [0-9]{1,3} \\}",
        Just("true".to_owned()),
    ];
    prop_oneof![
        4 => (key.clone(), value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => key.clone().prop_map(|key| format!("[{key}]")),
        1 => key.clone().prop_map(|key| format!("[[{key}]]")),
        1 => (key.clone(), key).prop_map(|(one, two)| format!("[{one}.{two}]")),
    ]
}

proptest! {
    #[test]
    fn any_text(text in "\\PC*") {
        survives(&text);
    }

    #[test]
    fn any_characters(text in prop::collection::vec(any::<char>(), 0..200)) {
        survives(&String::from_iter(text));
    }

    #[test]
    fn lines_as_files_have_them(lines in prop::collection::vec(line(), 0..30)) {
        survives(&lines.join("\n"));
    }

    #[test]
    fn a_good_file_with_a_piece_changed(
        at in 0..EVERYTHING.len(), length in 0..40usize, with in "[ -~\n\u{0}ü]{0,10}",
    ) {
        let from = EVERYTHING.floor_char_boundary(at);
        let to = EVERYTHING.floor_char_boundary(EVERYTHING.len().min(from + length));
        survives(&[&EVERYTHING[..from], &with, &EVERYTHING[to..]].concat());
    }

    #[test]
    fn durations_are_read_as_they_are_shown(micros: u64) {
        let duration = std::time::Duration::from_micros(micros);
        prop_assert_eq!(units::duration(&units::show_duration(duration).to_string()), Ok(duration));
    }

    #[test]
    fn sizes_are_read_as_they_are_shown(bytes: u64, shift in 0..64u32) {
        let bytes = bytes >> shift << (shift / 2);
        prop_assert_eq!(units::size(&units::show_size(bytes).to_string()), Ok(bytes));
    }

    #[test]
    fn any_text_is_a_unit_or_none(text in "[0-9]{0,25}[a-zA-Z.]{0,3}") {
        let _ = (units::duration(&text), units::size(&text));
    }
}

#[test]
fn deep_and_large_texts() {
    for text in [
        "a=".to_owned() + &"[".repeat(10_000),
        "a=".to_owned() + &"{a=".repeat(10_000),
        "[".to_owned() + &"a.".repeat(10_000) + "a]",
        "[[route]]\n".repeat(10_000),
        "\0".repeat(1000),
        "limits.headers = ".to_owned() + &"9".repeat(10_000),
        (0..20_000).map(|n| format!("a{n} = 1\n")).collect(),
    ] {
        check(&text, &parse(&text).unwrap_err());
    }
    let report = parse(&" ".repeat(config::MAX_FILE + 1)).unwrap_err();
    assert_eq!(report.to_string(), "nearside.toml: error: is larger than 16MiB\n");
}
