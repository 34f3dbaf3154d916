//! Checks of Rust files: their beginning, their length, their functions' length, where `unsafe` may
//! stand, and that modules which decide touch no runtime, socket or clock.

use super::tokens::{Token, end_of_item, reads, tokens};
use super::{File, Finding};

/// Lines of a file, tests included.
const FILE_LINES: usize = 600;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;

/// Files that may hold `unsafe`, and why each must.
const UNSAFE_ALLOWED: &[(&str, &str)] =
    &[("crates/node/src/inherit.rs", "a number from the environment becomes an owned descriptor")];

/// Modules that decide: a file, or a folder with all in it when it ends with `/`.
const PURE: &[&str] = &[
    "crates/upstream/src/balance/",
    "crates/upstream/src/health.rs",
    "crates/upstream/src/outlier.rs",
    "crates/upstream/src/budget.rs",
    "crates/upstream/src/slow_start.rs",
    "crates/upstream/src/hedge.rs",
    "crates/upstream/src/waiting.rs",
    "crates/upstream/src/sticky.rs",
    "crates/wire/src/",
    "crates/cache/src/conditional.rs",
    "crates/cache/src/control.rs",
    "crates/cache/src/date.rs",
    "crates/cache/src/freshness.rs",
    "crates/cache/src/key.rs",
    "crates/cache/src/range.rs",
    "crates/cache/src/reuse.rs",
    "crates/cache/src/status.rs",
    "crates/cache/src/storing.rs",
    "crates/cache/src/structured.rs",
    "crates/cache/src/tags.rs",
    "crates/cache/src/update.rs",
    "crates/cache/src/vary.rs",
    "crates/config/src/cron.rs",
    "crates/edge/src/route.rs",
    "crates/queue/src/backoff.rs",
    "crates/queue/src/cloud_event.rs",
    "crates/queue/src/hops.rs",
    "crates/queue/src/id.rs",
    "crates/queue/src/pace.rs",
    "crates/queue/src/record.rs",
    "crates/queue/src/record/",
    "crates/queue/src/sign.rs",
    "crates/queue/src/sse.rs",
    "crates/queue/src/state.rs",
    "crates/queue/src/state/",
    "crates/queue/src/table.rs",
    "crates/queue/src/when.rs",
    "crates/upstream/src/outside/message.rs",
    "crates/config/src/public.rs",
    "crates/upstream/src/outside/target.rs",
];

/// What reads a clock, sleeps or talks to the world. Tests of such a module may do it.
const IMPURE: &[&[&str]] = &[
    &["tokio"],
    &["TcpStream"],
    &["TcpListener"],
    &["UdpSocket"],
    &["UnixStream"],
    &["UnixListener"],
    &["Instant", ":", ":", "now"],
    &["SystemTime", ":", ":", "now"],
    &[".", "elapsed"],
    &["thread", ":", ":", "sleep"],
];

/// Runs every check of this file.
pub fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = stale_lists(files);
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        check_beginning(file, &mut findings);
        check_length(file, &mut findings);
        match tokens(&file.text) {
            Ok(row) => {
                check_functions(file, &row, &mut findings);
                check_unsafe(file, &row, &mut findings);
                check_purity(file, &row, &mut findings);
            }
            Err(error) => findings.push(Finding::new(&file.path, format!("is not Rust: {error}"))),
        }
    }
    findings
}

/// A listed file that no longer exists would be a check that silently watches nothing.
fn stale_lists(files: &[File]) -> Vec<Finding> {
    let listed = PURE.iter().chain(UNSAFE_ALLOWED.iter().map(|(path, _)| path));
    listed
        .filter(|entry| !files.iter().any(|file| covers(entry, &file.path)))
        .map(|entry| Finding::new(entry, "is listed in xtask/src/house/source.rs and does not exist"))
        .collect()
}

fn covers(entry: &str, path: &str) -> bool {
    path == entry || entry.ends_with('/') && path.starts_with(entry)
}

fn check_beginning(file: &File, findings: &mut Vec<Finding>) {
    if !file.text.starts_with("//! ") {
        let what = "must begin with `//! ` and what the file is for";
        findings.push(Finding::new(&file.path, what));
    }
}

fn check_length(file: &File, findings: &mut Vec<Finding>) {
    let lines = file.text.lines().count();
    if lines > FILE_LINES {
        let what = format!("has {lines} lines; a file has at most {FILE_LINES}");
        findings.push(Finding::new(&file.path, what));
    }
}

fn check_functions(file: &File, row: &[Token], findings: &mut Vec<Finding>) {
    for (at, token) in row.iter().enumerate().filter(|(_, token)| token.text == "fn") {
        // `fn(u8)` is a type and has no body.
        let Some(name) = row.get(at + 1).filter(|next| next.text != "(") else {
            continue;
        };
        let last = row[end_of_item(row, at) - 1].line;
        let lines = last - token.line + 1;
        if lines > FUNCTION_LINES {
            let what = format!("`{}` has {lines} lines; a function has at most {FUNCTION_LINES}", name.text);
            findings.push(Finding::new(format!("{}:{}", file.path, token.line), what));
        }
    }
}

fn check_unsafe(file: &File, row: &[Token], findings: &mut Vec<Finding>) {
    if UNSAFE_ALLOWED.iter().any(|(path, _)| *path == file.path) {
        return;
    }
    for token in row.iter().filter(|token| token.text == "unsafe") {
        let place = format!("{}:{}", file.path, token.line);
        findings.push(Finding::new(place, "`unsafe` in a file that is not listed for it"));
    }
}

fn check_purity(file: &File, row: &[Token], findings: &mut Vec<Finding>) {
    if !PURE.iter().any(|entry| covers(entry, &file.path)) {
        return;
    }
    let mut at = 0;
    while at < row.len() {
        if reads(row, at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            at = end_of_item(row, at);
            continue;
        }
        if let Some(words) = IMPURE.iter().find(|words| reads(row, at, words)) {
            let what = format!("a module that decides uses `{}`", words.concat());
            findings.push(Finding::new(format!("{}:{}", file.path, row[at].line), what));
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECIDES: &str = "crates/wire/src/head.rs";

    /// What is found in a file, apart from the lists' entries that this one file cannot satisfy.
    fn found(path: &str, text: &str) -> Vec<Finding> {
        let file = File { path: path.into(), text: text.into() };
        let stale = |finding: &Finding| finding.what.contains("does not exist");
        check(&[file]).into_iter().filter(|finding| !stale(finding)).collect()
    }

    fn assert_found(path: &str, text: &str, place: &str, what: &str) {
        let findings = found(path, text);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].place, place);
        assert!(findings[0].what.contains(what), "{findings:?}");
    }

    #[test]
    fn a_good_file_passes() {
        let text = "//! What it is for.\n/// tokio, unsafe\nfn a(f: fn(u8)) { f(\"unsafe\") }\n";
        assert_eq!(found(DECIDES, text), []);
    }

    #[test]
    fn a_file_must_say_what_it_is_for() {
        assert_found("a.rs", "fn a() {}\n", "a.rs", "must begin");
    }

    #[test]
    fn a_long_file_is_found() {
        let fits = format!("//! A file.\n{}", "\n".repeat(FILE_LINES - 1));
        assert_eq!(found("a.rs", &fits), []);
        assert_found("a.rs", &format!("{fits}\n"), "a.rs", "601 lines");
    }

    #[test]
    fn a_long_function_is_found_in_macros_too() {
        let body = "\n".repeat(FUNCTION_LINES - 1);
        assert_eq!(found("a.rs", &format!("//! A file.\nfn a() {{{body}}}\n")), []);
        assert_found("a.rs", &format!("//! A file.\nfn a() {{{body}\n}}\n"), "a.rs:2", "`a` has 71");
        let inside = format!("//! A file.\nm! {{ x; fn b() {{{body}\n}} }}\n");
        assert_found("a.rs", &inside, "a.rs:2", "`b` has 71");
    }

    #[test]
    fn unsafe_is_found() {
        assert_found("a.rs", "//! A file.\n\nfn a() { unsafe { b() } }\n", "a.rs:3", "`unsafe`");
    }

    #[test]
    fn what_is_impure_is_found_in_modules_that_decide() {
        for (code, what) in [
            ("use tokio::time;", "`tokio`"),
            ("use std::net::TcpStream;", "`TcpStream`"),
            ("fn a() { Instant::now(); }", "`Instant::now`"),
            ("fn a() { std::time::SystemTime::now(); }", "`SystemTime::now`"),
            ("fn a(t: Instant) { t.elapsed(); }", "`.elapsed`"),
        ] {
            let text = format!("//! A file.\n{code}\n");
            assert_found(DECIDES, &text, &format!("{DECIDES}:2"), what);
            assert_eq!(found("crates/edge/src/listen.rs", &text), []);
        }
    }

    #[test]
    fn tests_of_a_module_that_decides_may_use_a_clock() {
        let tests = "#[cfg(test)]\nmod tests { fn a() { Instant::now(); } }\n";
        assert_eq!(found(DECIDES, &format!("//! A file.\n{tests}")), []);
        let after = format!("//! A file.\n{tests}fn b() {{ Instant::now(); }}\n");
        assert_found(DECIDES, &after, &format!("{DECIDES}:4"), "`Instant::now`");
    }

    #[test]
    fn a_listed_module_that_is_gone_is_found() {
        assert_eq!(check(&[]).len(), PURE.len() + UNSAFE_ALLOWED.len());
    }
}
