//! The picture of the page: CPU time for each request as bars, a panel for each length.
//!
//! Written by hand, so that it stays a few lines that any browser shows, on light and dark pages.

use super::peer::Peer;
use super::proxy::SIZES;
use super::turns::Row;

const WIDTH: f64 = 720.0;
const MARGIN: f64 = 24.0;
const NAMES: f64 = 110.0;
const NUMBERS: f64 = 70.0;
const BAR: f64 = 18.0;
const STEP: f64 = 26.0;
const TITLE: f64 = 34.0;

/// Bars for each length, the longest of a panel as long as the panel is wide.
pub fn bars(rows: &[Row]) -> String {
    let panel = TITLE + STEP * rows.len() as f64 + 10.0;
    let height = 56.0 + panel * SIZES.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"14\" fill=\"#1e293b\">\n\
         <title>CPU time for each proxied request, in microseconds: less is better</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"10\" fill=\"#f8fafc\"/>\n\
         <text x=\"{MARGIN}\" y=\"34\" font-size=\"17\" font-weight=\"600\">CPU time for each request \
         <tspan font-weight=\"400\" fill=\"#64748b\">µs, less is better</tspan></text>\n"
    );
    for (size, (_, _, name)) in SIZES.iter().enumerate() {
        let top = 44.0 + panel * size as f64;
        let middle = top + TITLE - 12.0;
        text += &format!("<text x=\"{MARGIN}\" y=\"{middle}\" font-weight=\"600\">{name}</text>\n");
        let longest = rows.iter().map(|row| row.medians[size].cpu).fold(f64::MIN_POSITIVE, f64::max);
        for (place, row) in rows.iter().enumerate() {
            let cpu = row.medians[size].cpu;
            text += &bar(row.peer, cpu, cpu / longest, top + TITLE + STEP * place as f64);
        }
    }
    text + "</svg>\n"
}

fn bar(peer: Peer, cpu: f64, share: f64, top: f64) -> String {
    let (colour, weight) = match peer {
        Peer::Nearside => ("#2563eb", 600),
        Peer::Relay => ("#cbd5e1", 400),
        _ => ("#94a3b8", 400),
    };
    let left = MARGIN + NAMES;
    let length = share * (WIDTH - left - NUMBERS - MARGIN);
    let (name, base, end) = (peer.title().trim_matches('*'), top + 14.0, left + length + 8.0);
    format!(
        "<text x=\"{MARGIN}\" y=\"{base}\" font-weight=\"{weight}\">{name}</text>\
         <rect x=\"{left}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"4\" fill=\"{colour}\"/>\
         <text x=\"{end:.1}\" y=\"{base}\" font-weight=\"{weight}\">{cpu:.1}</text>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Sample;

    #[test]
    fn the_longest_bar_fills_its_panel_and_others_are_in_proportion() {
        let row = |peer, cpu| {
            let sample = Sample { cpu, rate: 1.0, p50: 1.0, p99: 1.0, failed: 0.0, disturbed: 0.0 };
            Row { peer, medians: vec![sample; SIZES.len()] }
        };
        let text = bars(&[row(Peer::Nearside, 10.0), row(Peer::Nginx, 20.0)]);
        assert_eq!(text.matches("width=\"246.0\"").count(), SIZES.len());
        assert_eq!(text.matches("width=\"492.0\"").count(), SIZES.len());
        assert!(text.contains(">Nearside</text>") && !text.contains("**"));
    }
}
