//! How busy an endpoint is: requests in flight and how long its answers take.
//!
//! A `Load` belongs to its endpoint and outlives every Picker, so that a reload or a failure
//! elsewhere forgets nothing. All threads write to it, so it is plain atomics on a cache line of its
//! own.
//!
//! The latency is a peak EWMA: a slower answer counts at once and in full, a faster one as much as
//! time has passed since. With no news it sinks, so that an endpoint which was slow is tried again,
//! and after 30 s it is unknown: had it sunk for longer, the more requests would rush to it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// Latencies are dated in ticks of 2^27 ns (134 ms), so that value and date fit one atomic.
const TICK_BITS: u32 = 27;
/// After this many ticks (30 s) without an answer the latency is unknown again.
const FORGET: usize = 224;
/// The share of a latency that is left after so many ticks: e^(−age / 10 s). A table, as the
/// exponential function would be most of the cost of a choice.
const KEPT: [f32; FORGET] = {
    const ONE_TICK: f64 = 0.986_667_897_565_813_3;
    let (mut table, mut left, mut age) = ([0.0; FORGET], 1.0, 0);
    while age < FORGET {
        table[age] = left as f32;
        left *= ONE_TICK;
        age += 1;
    }
    table
};

/// How busy one endpoint is.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Load {
    in_flight: AtomicU32,
    /// High half: an `f32` of ns; low half: its tick. 0: no answer yet.
    latency: AtomicU64,
}

impl Load {
    /// Requests begun and not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(SeqCst)
    }

    /// How long its answers take, in ns; None if no answer came in the last 30 s. `now` is in ns
    /// since the process started.
    #[must_use]
    pub fn latency(&self, now: u64) -> Option<u64> {
        let (value, at) = unpack(self.latency.load(Relaxed))?;
        KEPT.get(age(tick(now), at)).map(|kept| (value * kept) as u64)
    }

    /// Counts a request that ended, however it ended.
    pub fn end(&self) {
        // An end too many must not make the endpoint look busy for ever.
        let _ = self.in_flight.fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1));
    }

    /// Takes in that an answer came after `latency_ns`. `now` is in ns since the process started.
    pub fn observe(&self, now: u64, latency_ns: u64) {
        let (sample, tick) = (latency_ns.max(1) as f32, tick(now));
        let _ = self.latency.fetch_update(Relaxed, Relaxed, |packed| {
            let (value, at) = unpack(packed).unwrap_or((0.0, tick));
            let age = age(tick, at);
            match KEPT.get(age) {
                // Within one tick nothing fades; the date stays too, or a busy endpoint never would.
                Some(_) if sample < value && age == 0 => None,
                Some(kept) if sample < value => Some(pack(sample + (value - sample) * kept, tick)),
                _ => Some(pack(sample, tick)),
            }
        });
    }

    /// Forgets how long its answers took, as it comes back from a failure.
    pub fn forget(&self) {
        self.latency.store(0, Relaxed);
    }

    /// Counts a request that begins.
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, SeqCst);
    }
}

fn tick(now: u64) -> u32 {
    (now >> TICK_BITS) as u32
}

/// Ticks from `at` to `now`; another thread's clock may have been read a little later than ours.
fn age(now: u32, at: u32) -> usize {
    now.saturating_sub(at) as usize
}

fn pack(value: f32, tick: u32) -> u64 {
    u64::from(value.to_bits()) << 32 | u64::from(tick)
}

fn unpack(packed: u64) -> Option<(f32, u32)> {
    let value = f32::from_bits((packed >> 32) as u32);
    (value > 0.0).then_some((value, packed as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const S: u64 = 1000 * MS;

    fn near(load: &Load, now: u64, expected: u64) {
        let latency = load.latency(now).unwrap();
        assert!(latency.abs_diff(expected) <= expected / 50, "{latency} is not about {expected}");
    }

    #[test]
    fn in_flight_never_falls_below_zero() {
        let load = Load::default();
        load.begin();
        load.end();
        load.end();
        assert_eq!(load.in_flight(), 0);
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_with_answers() {
        let load = Load::default();
        assert_eq!(load.latency(0), None);
        load.observe(S, 10 * MS);
        near(&load, S, 10 * MS);
        load.observe(S, 500 * MS);
        near(&load, S, 500 * MS);
        // Ten seconds of answers of 10 ms each: a third (1/e) of the peak is left above them.
        for ms in 1..=10_000 {
            load.observe(S + ms * MS, 10 * MS);
        }
        near(&load, 11 * S, 10 * MS + 490 * MS * 368 / 1000);
    }

    #[test]
    fn fades_just_so_however_many_answers_come() {
        let (few, many) = (Load::default(), Load::default());
        few.observe(S, 500 * MS);
        many.observe(S, 500 * MS);
        few.observe(6 * S, 10 * MS);
        for step in 1..=500_000 {
            many.observe(S + step * S / 100_000, 10 * MS);
        }
        near(&many, 6 * S, few.latency(6 * S).unwrap());
    }

    #[test]
    fn sinks_without_answers_and_is_forgotten() {
        let load = Load::default();
        load.observe(S, 100 * MS);
        near(&load, 11 * S, 100 * MS * 368 / 1000);
        assert!(load.latency(30 * S).is_some());
        assert_eq!(load.latency(32 * S), None);
        load.observe(40 * S, 5 * MS);
        near(&load, 40 * S, 5 * MS);
    }

    #[test]
    fn a_clock_read_late_by_another_thread_does_no_harm() {
        let load = Load::default();
        load.observe(S, 10 * MS);
        near(&load, S - 50 * MS, 10 * MS);
        load.observe(S - 50 * MS, 5 * MS);
        near(&load, S, 10 * MS);
    }
}
