//! Endpoints that leave and come back, in virtual time: each change makes a new Picker over the same
//! loads, requests end on the Picker of the day, and the promises hold all along.

use config::plan::Balance;
use proptest::prelude::*;
use upstream::balance::{Candidate, Picker, Tried};

use super::{candidates, ways};

/// One step of a random life of a service.
#[derive(Debug, Clone)]
enum Step {
    /// An endpoint fails, or recovers.
    Toggle(prop::sample::Index),
    /// An endpoint's weight changes, as in slow start.
    Weigh(prop::sample::Index, u32),
    /// A request comes.
    Begin(u64),
    /// A request ends.
    End(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<prop::sample::Index>().prop_map(Step::Toggle),
        1 => (any::<prop::sample::Index>(), 1u32..=20_000).prop_map(|(i, w)| Step::Weigh(i, w)),
        12 => any::<u64>().prop_map(Step::Begin),
        9 => any::<prop::sample::Index>().prop_map(Step::End),
    ]
}

struct World {
    how: Balance,
    all: Vec<(Candidate, bool)>,
    picker: Picker,
    open: Vec<(u64, u64)>,
    now: u64,
}

impl World {
    fn new(how: Balance, n: usize) -> Self {
        let all: Vec<_> = candidates(&vec![1; n]).into_iter().map(|c| (c, true)).collect();
        let picker = Picker::new(&how, Vec::new(), 0);
        let mut world = Self { how, all, picker, open: Vec::new(), now: 0 };
        world.rebuild();
        world
    }

    fn well(&self) -> Vec<Candidate> {
        self.all.iter().filter(|(_, well)| *well).map(|(c, _)| c.clone()).collect()
    }

    fn rebuild(&mut self) {
        self.picker = Picker::new(&self.how, self.well(), self.now);
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.now += 7_000_000;
        let n = self.all.len();
        match *step {
            Step::Toggle(i) => {
                let (_, well) = &mut self.all[i.index(n)];
                *well = !*well;
                self.rebuild();
            }
            Step::Weigh(i, weight) => {
                self.all[i.index(n)].0.weight = weight;
                self.rebuild();
            }
            Step::Begin(x) => self.begin(x)?,
            Step::End(i) => self.end(i),
        }
        let counted: usize = self.all.iter().map(|(c, _)| c.load.in_flight() as usize).sum();
        prop_assert_eq!(counted, self.open.len());
        Ok(())
    }

    fn begin(&mut self, x: u64) -> Result<(), TestCaseError> {
        let well = self.well();
        let before: Vec<u64> = well.iter().map(|c| u64::from(c.load.in_flight())).collect();
        let Some(i) = self.picker.pick(x, !x, self.now, &Tried::default()) else {
            prop_assert!(well.is_empty());
            return Ok(());
        };
        self.open.push((well[i].key, self.now));
        let weight = |j: usize| u64::from(well[j].weight);
        if self.how == Balance::LeastConnections {
            let busier = |j: usize| (before[i] + 1) * weight(j) > (before[j] + 1) * weight(i);
            prop_assert!((0..well.len()).all(|j| !busier(j)));
        }
        if let Balance::Hash(_) = self.how {
            let sum: u64 = (0..well.len()).map(weight).sum();
            let total = before.iter().sum::<u64>() + 1;
            prop_assert!(before[i] < (5 * total * weight(i)).div_ceil(4 * sum));
        }
        Ok(())
    }

    fn end(&mut self, i: prop::sample::Index) {
        if self.open.is_empty() {
            return;
        }
        let (key, since) = self.open.swap_remove(i.index(self.open.len()));
        let load = self.all.iter().find(|(c, _)| c.key == key).map(|(c, _)| &c.load);
        let load = load.expect("endpoints are never forgotten here");
        load.end();
        load.observe(self.now, self.now - since);
        if let Some(i) = self.picker.find(key) {
            self.picker.refresh(i);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn promises_hold_while_endpoints_come_and_go(
        n in 1usize..12,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        // Maglev's tables take long to make without optimisation; its promises do not depend on time.
        for how in ways().into_iter().filter(|how| *how != Balance::Maglev) {
            let mut world = World::new(how, n);
            for step in &steps {
                world.take(step)?;
            }
        }
    }

    #[test]
    fn round_robin_is_exact_between_changes(n in 2usize..12, gone: prop::sample::Index, seed: u64) {
        let all = candidates(&vec![1; n]);
        let gone = gone.index(n);
        for present in [true, false, true] {
            let now: Vec<Candidate> =
                (0..n).filter(|&i| present || i != gone).map(|i| all[i].clone()).collect();
            let picker = Picker::new(&Balance::RoundRobin, now.clone(), seed);
            let mut counts = vec![0; now.len()];
            for _ in 0..3 * now.len() {
                counts[picker.pick(0, 0, 0, &Tried::default()).unwrap()] += 1;
            }
            prop_assert!(counts.iter().all(|&count| count == 3));
        }
    }
}
