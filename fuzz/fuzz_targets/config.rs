//! No text makes the reader of configuration panic; what it refuses, it says where and why.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let variable = |name: &str| (name != "UNSET").then(|| "value".to_owned());
    if let Err(report) = config::parse(text, "nearside.toml", Path::new("/"), &variable) {
        assert!(!report.to_string().is_empty());
    }
    let _ = config::endpoints_file(text, "endpoints.toml");
});
