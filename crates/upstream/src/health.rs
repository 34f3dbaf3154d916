//! Is an endpoint well? Rise and fall counted over active checks.
//!
//! An endpoint begins as unknown: it is checked at once, and that first answer alone decides, since
//! nothing else speaks for or against it. After that only a row of equal answers changes the
//! state, so one lost packet makes nobody ill and one lucky answer makes nobody well.

use std::time::Duration;

use config::plan::Health;

/// What the checks say of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// No check has ended yet; used only while no well endpoint is there.
    #[default]
    Unknown,
    /// Used.
    Well,
    /// Not used while others are left.
    Ill,
}

/// The state of one endpoint and how many checks in a row spoke against it.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    state: State,
    against: u32,
}

impl Tracker {
    /// What the checks say now.
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes the outcome of one check; true if the state changed.
    pub fn note(&mut self, plan: &Health, good: bool) -> bool {
        let (needed, other) = match (self.state, good) {
            (State::Well, true) | (State::Ill, false) => {
                self.against = 0;
                return false;
            }
            (State::Unknown, true) => (1, State::Well),
            (State::Unknown, false) => (1, State::Ill),
            (State::Well, false) => (plan.fall, State::Ill),
            (State::Ill, true) => (plan.rise, State::Well),
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return false;
        }
        *self = Self { state: other, against: 0 };
        true
    }
}

/// The time from one check to the next: `every` ± 10 %, so that the checks of many endpoints and
/// many nodes don't fall together. `random` is uniform.
pub fn pause(every: Duration, random: u64) -> Duration {
    every.mul_f64(0.9 + 0.2 * (random as f64 / u64::MAX as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(rise: u32, fall: u32) -> Health {
        Health {
            path: "/".into(),
            host: None,
            every: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise,
            fall,
            status: (200, 399),
        }
    }

    #[test]
    fn the_first_check_decides() {
        for (good, state) in [(true, State::Well), (false, State::Ill)] {
            let mut tracker = Tracker::default();
            assert_eq!(tracker.state(), State::Unknown);
            assert!(tracker.note(&plan(2, 3), good));
            assert_eq!(tracker.state(), state);
        }
    }

    proptest! {
        /// A change of state is always backed by a full row of checks that ask for it.
        #[test]
        fn only_a_full_row_changes_the_state(
            rise in 1u32..5, fall in 1u32..5, checks in prop::collection::vec(any::<bool>(), 1..200)
        ) {
            let plan = plan(rise, fall);
            let mut tracker = Tracker::default();
            for (i, &good) in checks.iter().enumerate() {
                let before = tracker.state();
                let changed = tracker.note(&plan, good);
                let needed = match before { State::Unknown => 1, State::Well => fall, State::Ill => rise } as usize;
                let wanted = if good { State::Well } else { State::Ill };
                prop_assert_eq!(changed, before != tracker.state());
                if changed {
                    prop_assert_eq!(tracker.state(), wanted);
                    prop_assert!(i + 1 >= needed && checks[i + 1 - needed..=i].iter().all(|&c| c == good));
                }
                let row = checks[..=i].iter().rev().take_while(|&&c| c == good).count();
                if row >= rise.max(fall) as usize {
                    prop_assert_eq!(tracker.state(), wanted);
                }
            }
        }

        #[test]
        fn pauses_stay_within_ten_percent(ms in 1u64..100_000, random: u64) {
            let every = Duration::from_millis(ms);
            let pause = pause(every, random).as_secs_f64() / every.as_secs_f64();
            prop_assert!((0.899..=1.101).contains(&pause));
        }
    }
}
