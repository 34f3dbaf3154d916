//! The demo, as a program that wants its summary sees it.

use crate::support::command;

#[test]
fn the_demo_ends_by_itself_and_tells_what_it_was_worth() {
    let output = command().args(["demo", "--for", "5s", "--json"]).output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{summary:#}");
    assert_eq!(summary["nearside"]["failed"], 0, "{summary:#}");
    assert_eq!(summary["nearside"]["requests"], summary["random"]["requests"], "{summary:#}");
    assert!(summary["random"]["failed"].as_u64() > Some(0), "{summary:#}");
    let orders = &summary["orders"];
    assert!(orders["accepted"].as_u64() > Some(0), "{summary:#}");
    assert_eq!(orders["accepted"], orders["delivered"], "{summary:#}");
    assert!(orders["attempts"].as_u64() > orders["delivered"].as_u64(), "{summary:#}");
    for side in ["nearside", "random"] {
        let (p50, p99) = (&summary[side]["p50_ms"], &summary[side]["p99_ms"]);
        assert!(p50.as_f64() > Some(0.0) && p50.as_f64() <= p99.as_f64(), "{summary:#}");
    }
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
