//! Which endpoints fail the requests that clients send them?
//!
//! Two signs: a row of failures, seen at once, and a share of errors far above that of the other
//! endpoints over the last ten seconds, which finds an endpoint that fails only some requests. Where
//! all fail alike the fault lies elsewhere and nobody is ejected for it. The request path only
//! counts (plain atomics, no clock); who is ejected is decided beside it.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use config::plan::Outliers;

use crate::clock::nanos;

/// Seconds that the error share looks back.
pub const WINDOW: usize = 10;
/// Answers in the window below which a share says nothing.
pub const VOLUME: u32 = 20;
/// An endpoint is an outlier if its error share is over this much …
pub const SHARE: f64 = 0.2;
/// … and this many times the share of all the others together.
pub const TIMES_OTHERS: f64 = 2.0;
/// An ejection lasts at most this many times the first one.
pub const LONGEST: u32 = 10;

/// What one answer, or the lack of one, says of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It did what it should (a 4xx is the client's doing).
    Good,
    /// An error that counts in the share only: a 5xx other than 502, 503 and 504.
    Error,
    /// No connection, no answer, a broken one, or 502, 503 or 504.
    Failure,
}

impl Mark {
    /// The mark for an answer's status.
    pub fn of(status: u16) -> Self {
        match status {
            502..=504 => Self::Failure,
            500.. => Self::Error,
            _ => Self::Good,
        }
    }
}

/// What the request path counts of one endpoint.
#[derive(Debug, Default)]
pub struct Record {
    row: AtomicU32,
    answers: AtomicU32,
    errors: AtomicU32,
}

impl Record {
    /// Counts a mark; true if with it the row of failures has just reached `limit`.
    pub fn note(&self, mark: Mark, limit: u32) -> bool {
        self.answers.fetch_add(1, Relaxed);
        match mark {
            Mark::Good => {
                if self.row.load(Relaxed) != 0 {
                    self.row.store(0, Relaxed);
                }
                false
            }
            Mark::Error => {
                self.errors.fetch_add(1, Relaxed);
                false
            }
            Mark::Failure => {
                self.errors.fetch_add(1, Relaxed);
                self.row.fetch_add(1, Relaxed).wrapping_add(1) == limit
            }
        }
    }

    /// Failures since the last good answer.
    pub fn row(&self) -> u32 {
        self.row.load(Relaxed)
    }

    /// Takes what was counted since the last call.
    pub fn take(&self) -> Counted {
        Counted { answers: self.answers.swap(0, Relaxed), errors: self.errors.swap(0, Relaxed) }
    }

    /// Forgets all, as an endpoint comes back.
    pub fn clear(&self) {
        self.row.store(0, Relaxed);
        self.take();
    }
}

/// Answers and the errors among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// All, good or not, those that never came included.
    pub answers: u32,
    /// The bad ones.
    pub errors: u32,
}

/// What was counted in each of the last ten seconds.
#[derive(Debug, Clone, Default)]
pub struct Window {
    seconds: [Counted; WINDOW],
    next: usize,
}

impl Window {
    /// Ends a second.
    pub fn roll(&mut self, second: Counted) {
        self.seconds[self.next] = second;
        self.next = (self.next + 1) % WINDOW;
    }

    /// All of the window.
    pub fn sum(&self) -> Counted {
        self.seconds.iter().fold(Counted::default(), |sum, second| Counted {
            answers: sum.answers.saturating_add(second.answers),
            errors: sum.errors.saturating_add(second.errors),
        })
    }
}

/// Whether an endpoint is ejected, and how often it was lately.
#[derive(Debug, Clone, Default)]
pub struct Ejection {
    until: Option<u64>,
    times: u32,
    returned: u64,
}

impl Ejection {
    /// The time it ends, in nanoseconds; none: it is not ejected.
    pub fn until(&self) -> Option<u64> {
        self.until
    }

    /// Begins one and says how long it lasts: `first` for the first time, twice that for the
    /// second, up to ten times. Each `first` of quiet since the last one makes one of them forgotten.
    pub fn begin(&mut self, first: Duration, now: u64) -> Duration {
        let quiet = now.saturating_sub(self.returned) / nanos(first).max(1);
        let forgotten = u32::try_from(quiet).unwrap_or(u32::MAX);
        self.times = self.times.saturating_sub(forgotten).saturating_add(1).min(LONGEST);
        let length = first.saturating_mul(self.times);
        self.until = Some(now.saturating_add(nanos(length)));
        length
    }

    /// Ends it if its time has come; true if it has just ended.
    pub fn end_if_due(&mut self, now: u64) -> bool {
        let due = self.until.is_some_and(|until| until <= now);
        if due {
            self.until = None;
            self.returned = now;
        }
        due
    }
}

/// What is known of one endpoint when it is decided who is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Failures in a row.
    pub row: u32,
    /// The window's sum.
    pub window: Counted,
    /// It is out already.
    pub ejected: bool,
}

/// Who is to be ejected now, the worst first, and never more than `at_most` allows: at least one
/// if there are two endpoints or more (unless `at_most` is 0), and never the only one.
pub fn verdict(plan: &Outliers, endpoints: &[Evidence]) -> Vec<usize> {
    let out = endpoints.iter().filter(|e| e.ejected).count();
    let mut guilty: Vec<(bool, f64, usize)> = Vec::new();
    let all = endpoints.iter().filter(|e| !e.ejected).fold((0u64, 0u64), |sum, e| {
        (sum.0 + u64::from(e.window.answers), sum.1 + u64::from(e.window.errors))
    });
    for (i, e) in endpoints.iter().enumerate().filter(|(_, e)| !e.ejected) {
        let in_a_row = e.row >= plan.errors;
        if in_a_row || stands_out(e.window, all) {
            guilty.push((in_a_row, share(e.window.errors.into(), e.window.answers.into()), i));
        }
    }
    guilty.sort_by(|a, b| (b.0, b.1).partial_cmp(&(a.0, a.1)).unwrap_or(std::cmp::Ordering::Equal));
    guilty.truncate(most(plan.at_most, endpoints.len()).saturating_sub(out));
    guilty.into_iter().map(|(_, _, i)| i).collect()
}

/// How many of `endpoints` may be out at once.
fn most(share: f64, endpoints: usize) -> usize {
    if endpoints < 2 || share <= 0.0 {
        return 0;
    }
    ((endpoints as f64 * share.min(1.0)) as usize).max(1)
}

/// Is this error share far above that of the others? `all` has answers and errors, its own included.
fn stands_out(own: Counted, all: (u64, u64)) -> bool {
    let others = (all.0 - u64::from(own.answers), all.1 - u64::from(own.errors));
    own.answers >= VOLUME
        && others.0 >= u64::from(VOLUME)
        && share(own.errors.into(), own.answers.into()) > SHARE + TIMES_OTHERS * share(others.1, others.0)
}

fn share(errors: u64, answers: u64) -> f64 {
    errors as f64 / answers.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAN: Outliers = Outliers { errors: 5, eject: Duration::from_secs(30), at_most: 0.5 };
    const SECOND: u64 = 1_000_000_000;
    const NOBODY: [usize; 0] = [];

    fn seen(row: u32, answers: u32, errors: u32) -> Evidence {
        Evidence { row, window: Counted { answers, errors }, ejected: false }
    }

    #[test]
    fn a_row_is_told_once_and_ended_by_a_good_answer() {
        let record = Record::default();
        let told = |marks: &[Mark]| marks.iter().filter(|&&m| record.note(m, 3)).count();
        assert_eq!(told(&[Mark::Failure, Mark::Failure, Mark::Error]), 0);
        assert_eq!(told(&[Mark::Failure, Mark::Failure]), 1);
        assert_eq!(told(&[Mark::Good, Mark::Failure]), 0);
        assert_eq!(record.take(), Counted { answers: 7, errors: 6 });
        assert_eq!(record.take(), Counted::default());
    }

    #[test]
    fn statuses_are_marked() {
        let marks = [200, 404, 500, 502, 503, 504, 505].map(Mark::of);
        use Mark::{Error, Failure, Good};
        assert_eq!(marks, [Good, Good, Error, Failure, Failure, Failure, Error]);
    }

    #[test]
    fn the_window_forgets_after_ten_seconds() {
        let mut window = Window::default();
        window.roll(Counted { answers: 9, errors: 3 });
        for _ in 0..9 {
            window.roll(Counted { answers: 1, errors: 0 });
        }
        assert_eq!(window.sum(), Counted { answers: 18, errors: 3 });
        window.roll(Counted::default());
        assert_eq!(window.sum(), Counted { answers: 9, errors: 0 });
    }

    #[test]
    fn an_error_share_counts_only_against_the_others() {
        let fine = seen(0, 100, 0);
        assert_eq!(verdict(&PLAN, &[fine, seen(0, 100, 21), fine]), [1]);
        assert_eq!(verdict(&PLAN, &[fine, seen(0, 100, 20), fine]), NOBODY);
        assert_eq!(verdict(&PLAN, &[fine, seen(0, 19, 19), fine]), NOBODY, "too few to tell");
        let all_bad = seen(0, 100, 60);
        assert_eq!(verdict(&PLAN, &[all_bad, all_bad, all_bad]), NOBODY, "the fault lies elsewhere");
    }

    #[test]
    fn the_only_endpoint_stays_and_one_of_two_may_go() {
        assert_eq!(verdict(&PLAN, &[seen(9, 0, 0)]), NOBODY);
        let strict = Outliers { at_most: 0.1, ..PLAN };
        assert_eq!(verdict(&strict, &[seen(9, 0, 0), seen(0, 0, 0)]), [0]);
        assert_eq!(verdict(&Outliers { at_most: 0.0, ..PLAN }, &[seen(9, 0, 0), seen(0, 0, 0)]), NOBODY);
    }

    #[test]
    fn ejections_grow_and_are_forgotten() {
        let mut ejection = Ejection::default();
        let first = PLAN.eject;
        let mut now = 100 * SECOND;
        for times in [1, 2, 3] {
            assert_eq!(ejection.begin(first, now), first * times);
            let until = ejection.until().unwrap();
            assert!(!ejection.end_if_due(until - 1));
            assert!(ejection.end_if_due(until) && !ejection.end_if_due(until));
            now = until + SECOND;
        }
        assert_eq!(ejection.begin(first, now + 30 * SECOND), first * 3, "one forgotten");
        ejection.end_if_due(u64::MAX / 2);
        assert_eq!(ejection.begin(first, u64::MAX - 1), first, "all forgotten");
        for _ in 0..50 {
            let now = ejection.until().unwrap();
            ejection.end_if_due(now);
            ejection.begin(first, now);
        }
        assert!(ejection.times == LONGEST);
    }

    proptest! {
        #[test]
        fn never_more_than_at_most(
            at_most in 0.0f64..=1.0,
            endpoints in prop::collection::vec((0u32..10, 0u32..200, 0u32..200, any::<bool>()), 0..40),
        ) {
            let endpoints: Vec<Evidence> = endpoints.into_iter().map(|(row, answers, errors, ejected)| {
                Evidence { row, window: Counted { answers, errors: errors.min(answers) }, ejected }
            }).collect();
            let out = endpoints.iter().filter(|e| e.ejected).count();
            let chosen = verdict(&Outliers { at_most, ..PLAN }, &endpoints);
            let allowed = ((at_most * endpoints.len() as f64) as usize).max(1);
            prop_assert!(chosen.is_empty() || chosen.len() + out <= allowed);
            prop_assert!(chosen.is_empty() || endpoints.len() >= 2);
            for &i in &chosen {
                prop_assert!(!endpoints[i].ejected);
                prop_assert!(endpoints[i].row >= 5 || endpoints[i].window.errors * 5 > endpoints[i].window.answers);
            }
            if chosen.len() + out < allowed && at_most > 0.0 && endpoints.len() >= 2 {
                for (i, e) in endpoints.iter().enumerate() {
                    prop_assert!(e.ejected || e.row < 5 || chosen.contains(&i), "room was left for {}", i);
                }
            }
        }
    }
}
