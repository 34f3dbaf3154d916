//! A large file is read in time that grows with its size, not with its square.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::parse;

fn large(routes: usize, services: usize) -> String {
    let mut text = String::from("[[listen]]\naddress = \"127.0.0.1:8080\"\n");
    for n in 0..services {
        let _ = write!(
            text,
            "[service.s{n}]\nendpoints = [\"http://10.0.0.1:{}\", \"http://10.0.0.2:80\"]\n",
            n + 1
        );
    }
    for n in 0..routes {
        let _ = write!(
            text,
            "[[route]]\nhost = \"h{}.example.com\"\npath = \"/{n}/*\"\nservice = \"s{}\"\n",
            n % 100,
            n % services
        );
    }
    text
}

/// Unoptimized code on a busy machine takes a few times the second that a release build may take.
#[test]
fn ten_thousand_routes_and_a_thousand_services() {
    let text = large(10_000, 1000);
    let start = Instant::now();
    let loaded = parse(&text).unwrap();
    let took = start.elapsed();
    println!("{took:?}");
    assert_eq!(
        (loaded.plan.routes.len(), loaded.plan.services.len(), loaded.warnings.len()),
        (10_000, 1000, 0)
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn ten_thousand_mistakes() {
    let text = large(10_000, 1000).replace("service = \"s", "service = \"t");
    let start = Instant::now();
    let report = parse(&text).unwrap_err();
    let took = start.elapsed();
    println!("{took:?}");
    assert_eq!(report.diagnostics.len() + report.omitted, 10_000);
    assert!(took < Duration::from_secs(20), "{took:?}");
}
