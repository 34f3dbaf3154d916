//! Which bytes of a body are on disk, and where.

/// Where a record stands, without its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Of the mark, in the segment.
    pub(super) offset: u32,
    /// Bytes after the mark.
    pub(super) len: u32,
    /// Of the segment.
    pub(super) slot: u16,
}

/// Some bytes of a body that stand in one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Where in the body they begin.
    pub(super) at: u64,
    offset: u32,
    pub(super) len: u32,
    slot: u16,
    used: bool,
}

impl Run {
    pub(super) fn new(at: u64, place: Place) -> Run {
        let Place { offset, len, slot } = place;
        Run { at, offset, len, slot, used: false }
    }

    pub(super) fn end(&self) -> u64 {
        self.at + u64::from(self.len)
    }

    pub(super) fn place(&self) -> Place {
        Place { offset: self.offset, len: self.len, slot: self.slot }
    }
}

/// Runs, sorted; they may overlap, but none lies in another one, so their ends are sorted too.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

impl Runs {
    /// Adds one, unless another one has all of it.
    pub(super) fn add(&mut self, run: Run) {
        let from = self.0.partition_point(|other| other.at < run.at);
        let within =
            |other: Option<&Run>| other.is_some_and(|other| other.at <= run.at && run.end() <= other.end());
        let before = from.checked_sub(1).and_then(|before| self.0.get(before));
        // One with the same beginning and end is replaced: it is the older copy.
        let same = |other: &&Run| (other.at, other.len) != (run.at, run.len);
        if run.len == 0 || within(before) || within(self.0.get(from).filter(same)) {
            return;
        }
        let to = self.0.partition_point(|other| other.end() <= run.end()).max(from);
        self.0.splice(from..to, [run]);
    }

    /// The run that has the byte at `at`, and reaches farthest. It counts as used.
    pub(super) fn find(&mut self, at: u64) -> Option<Run> {
        let behind = self.0.partition_point(|run| run.at <= at);
        let run = self.0.get_mut(behind.checked_sub(1)?).filter(|run| at < run.end())?;
        run.used = true;
        Some(*run)
    }

    /// Was the first of them used since it was written?
    pub(super) fn is_begun(&self) -> bool {
        self.0.first().is_some_and(|run| run.used)
    }

    /// The end of what is there without a gap from `at` on; `at` if there is nothing.
    pub(super) fn reach(&self, at: u64) -> u64 {
        let from = self.0.partition_point(|run| run.at <= at).saturating_sub(1);
        let mut end = at;
        for run in &self.0[from..] {
            if run.at > end {
                break;
            }
            end = end.max(run.end());
        }
        end
    }

    /// The run at this place.
    fn at_place(&mut self, at: u64, place: Place) -> Option<usize> {
        let index = self.0.binary_search_by_key(&at, |run| run.at).ok()?;
        (self.0[index].place() == place).then_some(index)
    }

    /// Was the run at this place used since it was written there? None: it isn't there.
    pub(super) fn is_used(&mut self, at: u64, place: Place) -> Option<bool> {
        self.at_place(at, place).map(|index| self.0[index].used)
    }

    /// Removes the run at this place.
    pub(super) fn remove(&mut self, at: u64, place: Place) {
        if let Some(index) = self.at_place(at, place) {
            self.0.remove(index);
        }
    }

    /// Keeps those that are not in this segment.
    pub(super) fn leave(&mut self, slot: u16) {
        self.0.retain(|run| run.slot != slot);
    }

    /// The bytes that are there, as ranges that don't touch each other.
    pub(super) fn ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for run in &self.0 {
            match ranges.last_mut() {
                Some((_, end)) if run.at <= *end => *end = run.end(),
                _ => ranges.push((run.at, run.end())),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_agree_with_a_map_of_bytes(added in prop::collection::vec((0..60u64, 0..20u32), 0..30)) {
            let mut runs = Runs::default();
            let mut bytes = [false; 80];
            for (number, &(at, len)) in added.iter().enumerate() {
                runs.add(Run::new(at, Place { offset: number as u32, len, slot: 0 }));
                bytes[at as usize..at as usize + len as usize].fill(true);
                prop_assert!(runs.0.windows(2).all(|two| two[0].at < two[1].at && two[0].end() < two[1].end()));
            }
            let ranges = runs.ranges();
            prop_assert!(ranges.windows(2).all(|two| two[0].1 < two[1].0));
            for (at, &there) in bytes.iter().enumerate() {
                let at = at as u64;
                prop_assert_eq!(ranges.iter().any(|&(start, end)| start <= at && at < end), there);
                let run = runs.find(at);
                prop_assert_eq!(run.is_some(), there);
                prop_assert!(run.is_none_or(|run| run.at <= at && at < run.end()));
                let gap = (at as usize..bytes.len()).find(|&at| !bytes[at]).unwrap_or(bytes.len());
                prop_assert_eq!(runs.reach(at), gap as u64);
            }
        }
    }

    #[test]
    fn a_copy_takes_the_place_of_the_older_one() {
        let place = |offset| Place { offset, len: 10, slot: 1 };
        let mut runs = Runs::default();
        runs.add(Run::new(5, place(1)));
        assert_eq!(runs.is_used(5, place(1)), Some(false));
        runs.find(14).unwrap();
        assert_eq!(runs.is_used(5, place(1)), Some(true));
        runs.add(Run::new(5, place(2)));
        assert_eq!(runs.is_used(5, place(1)), None);
        runs.remove(5, place(1));
        assert_eq!(runs.find(5).unwrap().place(), place(2));
        runs.leave(1);
        assert_eq!(runs.ranges(), []);
    }
}
