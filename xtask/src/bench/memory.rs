//! What an object weighs in the memory tier, all told: how much the process grows by as many objects
//! as fit, and whether it keeps to its limit when more come than fit.

use super::Ground;
use super::cache::{asked, nearside_with};
use super::idle::{mebibytes, steady_memory};
use super::load::{check_answer, fetch};
use super::peer::Peer;
use crate::failure::Outcome;

/// A tier's size, the objects sent through it, and their length.
const CASES: &[Case] = &[
    Case { memory: "8GiB", objects: 4_000_000, length: 1 << 10 },
    Case { memory: "64MiB", objects: 300 << 10, length: 1 << 10 },
    Case { memory: "64MiB", objects: 4_800, length: 64 << 10 },
];
/// Of the objects, one in this many is asked for again, to see which are still there.
const PROBES: u64 = 4000;

struct Case {
    memory: &'static str,
    objects: u64,
    length: u64,
}

/// One line of the table, memory in bytes.
struct Row {
    before: u64,
    after: u64,
    peak: u64,
    /// Of the objects that were asked for again, the share that was still there.
    held: f64,
}

/// Measures nearside in each case, and writes the section.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let rows: Vec<Row> = CASES.iter().map(|case| row(ground, case)).collect::<Outcome<_>>()?;
    Ok(section(&rows))
}

fn row(ground: &Ground, case: &Case) -> Outcome<Row> {
    let ports = ground.ports()?;
    let config = nearside_with(ports, &format!("memory = \"{}\"", case.memory));
    let running = ground.start_with(Peer::Nearside, ports, &config)?;
    check_answer(running.port(), "localhost", "/0", 0)?;
    let before = steady_memory(&running).resident;
    fetch(ground, running.port(), case.objects, case.length, case.length)?;
    let (after, peak) = (steady_memory(&running).resident, running.peak());
    let asked_before = asked(ground)?;
    let probes = PROBES.min(case.objects);
    let apart = case.objects / probes;
    for probe in 0..probes {
        let path = format!("/o/{}/{}", case.length, probe * apart);
        check_answer(running.port(), "localhost", &path, case.length as usize)?;
    }
    let missed = asked(ground)? - asked_before;
    let row = Row { before, after, peak, held: 1.0 - missed as f64 / probes as f64 };
    println!("    {}: {} → {} bytes, {:.2} held", case.memory, row.before, row.after, row.held);
    Ok(row)
}

fn section(rows: &[Row]) -> String {
    let mut text = String::from(
        "Different objects, each fetched once through Nearside; resident memory of the process before and \
         after, and the highest in between. Some are asked for again, spread over all: the origin says how \
         many of those were still held.\n\n\
         | memory tier | objects | length | resident before | after | highest growth | bytes an object \
         | still held |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for (case, row) in CASES.iter().zip(rows) {
        text += &format!(
            "| {} | {} | {} B | {:.1} MiB | {:.1} MiB | {:.1} MiB | {} | {:.0} % |\n",
            case.memory,
            case.objects,
            case.length,
            mebibytes(row.before),
            mebibytes(row.after),
            mebibytes(row.peak.saturating_sub(row.before)),
            each(case, row),
            row.held * 100.0,
        );
    }
    text
}

/// Growth for each object, if they were all still there.
fn each(case: &Case, row: &Row) -> String {
    if row.held < 1.0 {
        return "–".into();
    }
    (row.after.saturating_sub(row.before) / case.objects).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_where_all_objects_are_held() {
        let row = |held| Row { before: 1 << 20, after: (1 << 20) + 1200 * 4_000_000, peak: 2 << 20, held };
        let text = section(&[row(1.0), row(0.2), row(1.0)]);
        assert!(
            text.contains("| 8GiB | 4000000 | 1024 B | 1.0 MiB | 4578.6 MiB | 1.0 MiB | 1200 | 100 % |"),
            "{text}"
        );
        assert!(text.contains("| – | 20 % |"), "{text}");
    }
}
