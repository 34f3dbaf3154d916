//! The one thread that tells what became of records. It isn't the writer's, so that the disk never waits for
//! those who are told; nor that of whoever appends, who may hold what they need.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use super::inbox::Group;
use super::shared::Shared;
use crate::log::{AppendError, Done, Position};

/// What is to be told. The channel holds no more than the inbox takes, since what was taken is settled when
/// it is told, and but for refusals, each of which is as good as told.
pub enum Tell {
    /// These are stable; they take so much of the inbox.
    Stable(Vec<(Done, Position)>, usize),
    /// These are not in the log, and take so much of the inbox.
    Refused(Vec<Done>, AppendError, usize),
    /// All before this was told.
    Reached(Sender<()>),
}

impl Tell {
    /// What was in the inbox is not in the log.
    pub fn refused(groups: impl IntoIterator<Item = Group>, why: AppendError) -> Tell {
        let (mut dones, mut weight) = (Vec::new(), 0);
        for group in groups {
            weight += group.weight();
            dones.extend(group.records.into_iter().map(|append| append.done));
        }
        Tell::Refused(dones, why, weight)
    }
}

/// Tells until nobody can append any more.
pub fn run(shared: &Arc<Shared>, tells: &Receiver<Tell>) {
    for tell in tells {
        match tell {
            Tell::Stable(dones, weight) => {
                dones.into_iter().for_each(|(done, at)| call(done, Ok(at)));
                shared.inbox.settle(weight);
                shared.news.send_modify(|_| {});
            }
            Tell::Refused(dones, why, weight) => {
                dones.into_iter().for_each(|done| call(done, Err(why.clone())));
                shared.inbox.settle(weight);
            }
            Tell::Reached(reached) => drop(reached.send(())),
        }
    }
}

/// One who panics must not keep it from the others.
fn call(done: Done, what: Result<Position, AppendError>) {
    let _ = catch_unwind(AssertUnwindSafe(|| done(what)));
}
