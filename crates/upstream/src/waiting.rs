//! Who waits, who is let in next, and who is refused, once a service is at its limit.
//!
//! First come, first served, while the line moves. When its oldest has waited for half of what is
//! allowed, the line is longer than what can be served in time: the newest is then let in first,
//! whose client is surely still there, and if the line is full the oldest gives up its place, since
//! its time would run out anyway. So under overload some are served fast instead of all too late.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::nanos;

/// The waiting line of one service. Who waits is told by a number that grows.
#[derive(Debug)]
pub struct Line<T> {
    waiting: VecDeque<Waiting<T>>,
    next: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    number: u64,
    since: u64,
    who: T,
}

/// What came of joining the line.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined<T> {
    /// In line, under this number.
    Waits(u64),
    /// In line, under this number; the oldest was refused for it.
    Instead(u64, T),
    /// The line is full.
    Refused(T),
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), next: 0 }
    }
}

impl<T> Line<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Joins the line, which holds at most `most` who each wait at most `wait`.
    pub fn join(&mut self, who: T, now: u64, most: usize, wait: Duration) -> Joined<T> {
        let mut refused = None;
        if self.waiting.len() >= most {
            let pressed = self.waiting.front().is_some_and(|oldest| presses(oldest.since, now, wait));
            if self.waiting.len() > most || !pressed {
                return Joined::Refused(who);
            }
            refused = self.waiting.pop_front();
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { number, since: now, who });
        refused.map_or(Joined::Waits(number), |oldest| Joined::Instead(number, oldest.who))
    }

    /// Takes out the one who is let in next.
    pub fn next(&mut self, now: u64, wait: Duration) -> Option<T> {
        let oldest = self.waiting.front()?.since;
        let next =
            if presses(oldest, now, wait) { self.waiting.pop_back() } else { self.waiting.pop_front() };
        next.map(|waiting| waiting.who)
    }

    /// Takes `number` out of the line; none if it is no longer in it.
    pub fn leave(&mut self, number: u64) -> Option<T> {
        let place = self.waiting.binary_search_by_key(&number, |waiting| waiting.number).ok()?;
        self.waiting.remove(place).map(|waiting| waiting.who)
    }
}

/// Has the oldest waited for so long that the line is turned round?
fn presses(oldest: u64, now: u64, wait: Duration) -> bool {
    now.saturating_sub(oldest) > nanos(wait) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAIT: Duration = Duration::from_nanos(100);

    #[test]
    fn first_come_first_served_until_it_presses() {
        let mut line = Line::default();
        for (now, who) in [(0, 'a'), (10, 'b'), (20, 'c'), (30, 'd')] {
            assert!(matches!(line.join(who, now, 4, WAIT), Joined::Waits(_)));
        }
        assert_eq!(line.join('e', 50, 4, WAIT), Joined::Refused('e'));
        assert_eq!(line.next(50, WAIT), Some('a'));
        assert_eq!(line.next(61, WAIT), Some('d'), "b has waited 51 of 100");
        assert_eq!(line.next(61, WAIT), Some('c'));
        assert_eq!(line.next(61, WAIT), Some('b'));
        assert_eq!(line.next(61, WAIT), None);
    }

    #[test]
    fn a_full_line_that_presses_gives_up_its_oldest() {
        let mut line = Line::default();
        line.join('a', 0, 2, WAIT);
        line.join('b', 40, 2, WAIT);
        assert_eq!(line.join('c', 51, 2, WAIT), Joined::Instead(2, 'a'));
        assert_eq!(line.leave(0), None);
        assert_eq!(line.leave(1), Some('b'));
        assert_eq!(line.leave(1), None);
        assert_eq!(line.join('z', 999, 0, WAIT), Joined::Refused('z'), "the limit was lowered");
        assert_eq!(line.next(999, WAIT), Some('c'));
        assert_eq!(line.join('z', 999, 0, WAIT), Joined::Refused('z'), "nobody may wait");
    }

    proptest! {
        /// Everyone who joins is let in, refused or leaves exactly once, and the line stays bounded.
        #[test]
        fn nobody_is_lost(most in 0usize..6, steps in prop::collection::vec((0u8..4, 0u64..40), 0..200)) {
            let mut line = Line::default();
            let (mut now, mut inside) = (0, Vec::new());
            for (who, (what, later)) in steps.into_iter().enumerate() {
                now += later;
                match what {
                    0 | 1 => match line.join(who, now, most, WAIT) {
                        Joined::Waits(number) => inside.push((number, who)),
                        Joined::Instead(number, oldest) => {
                            prop_assert_eq!(inside.remove(0).1, oldest);
                            inside.push((number, who));
                        }
                        Joined::Refused(refused) => prop_assert!(refused == who && inside.len() == most),
                    },
                    2 => match line.next(now, WAIT) {
                        Some(next) => {
                            let place = inside.iter().position(|w| w.1 == next).unwrap();
                            prop_assert!(place == 0 || place == inside.len() - 1);
                            inside.remove(place);
                        }
                        None => prop_assert!(inside.is_empty()),
                    },
                    _ => if let Some((number, who)) = inside.pop() {
                        prop_assert_eq!(line.leave(number), Some(who));
                    },
                }
                prop_assert_eq!(line.len(), inside.len());
                prop_assert!(line.len() <= most);
            }
        }
    }
}
