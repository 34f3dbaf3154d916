//! Cron lines: a time that is found is one, is the first, and comes again when asked from just before.
#![no_main]

use config::cron::Cron;
use libfuzzer_sys::fuzz_target;

/// Days from 1970 in which times begin: some four centuries, in which the calendar repeats itself.
const DAYS: u64 = 150_000;

fuzz_target!(|input: (u64, &str)| {
    let (from, text) = (input.0 % (DAYS * 86_400), input.1);
    let cron = match Cron::parse(text) {
        Ok(cron) => cron,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(cron.text(), text);
    let Some(next) = cron.next_after(from) else {
        // What doesn't come from some time on never came before.
        return assert_eq!(cron.next_after(0), None);
    };
    assert!(next > from && next.is_multiple_of(60));
    assert_eq!(cron.next_after(next - 1), Some(next));
    assert_eq!(cron.next_after(from + (next - from) / 2), Some(next));
    assert!(cron.next_after(next).is_some_and(|after| after > next));
});
