//! The log alone: the engine's own bench, with the median of each of its columns.

use std::process::Command;

use crate::bench::{Ground, median};
use crate::failure::{Failure, Outcome, While};
use crate::{root, target};

/// Columns beside the name: appends a second, records of a batch, CPU µs of an append, records a second of
/// the bare loop, and how many times as long as that the log took.
const COLUMNS: usize = 5;

/// Runs `cargo bench -p engine --bench append`. It fails beyond its mark; the numbers are told all the same.
pub fn measure(_: &Ground) -> Outcome<String> {
    let output = Command::new("cargo")
        .args(["bench", "--quiet", "--locked", "--package", "engine", "--bench", "append", "--target-dir"])
        .arg(target()?)
        .current_dir(root())
        .output()
        .while_doing("starting cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    section(&said).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        Failure::Unmet(format!("the engine's bench ended with {}:\n{said}{errors}", output.status))
    })
}

/// The rounds in what the bench said; none if there are none.
fn section(said: &str) -> Option<String> {
    let rounds: Vec<(&str, [f64; COLUMNS])> = said.lines().filter_map(round).collect();
    let mut text = String::from(
        "`cargo bench -p engine --bench append`: 64 producers that each wait for their record of 1 KiB, and \
         a bare loop that writes and syncs the same batches to the same disk. Segments are new, or recycled \
         ones. Mark: at most 1.3 times as long as the bare loop.\n\n\
         | segments | appends/s | records a batch | CPU µs an append | bare loop, records/s \
         | times the bare loop |\n|---|--:|--:|--:|--:|--:|\n",
    );
    for group in rounds.chunk_by(|one, next| one.0 == next.0) {
        let column = |at: usize| median(group.iter().map(|(_, columns)| columns[at]));
        let [appends, batch, cpu, bare, times] = [0, 1, 2, 3, 4].map(column);
        let (name, _) = group[0];
        text += &format!("| {name} | {appends:.0} | {batch:.1} | {cpu:.2} | {bare:.0} | {times:.2} |\n");
    }
    (!rounds.is_empty()).then_some(text)
}

/// A line with a name and a number in each column.
fn round(line: &str) -> Option<(&str, [f64; COLUMNS])> {
    let (name, rest) = line.split_once(' ')?;
    let columns: Result<Vec<f64>, _> = rest.split_whitespace().map(str::parse).collect();
    Some((name, columns.ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_medians() {
        let said = "64 producers of 1024 bytes\nsegments appends/s ratio\nnew 1 2 3 4 0.5\nnew 3 2 3 4 0.7\n\
                    new 2 2 3 4 0.9\nrecycled 9 2 3 4 1.5\n";
        let text = section(said).unwrap();
        assert!(text.contains("| new | 2 | 2.0 | 3.00 | 4 | 0.70 |\n| recycled | 9 |"), "{text}");
        assert_eq!(section("nothing\n"), None);
    }
}
