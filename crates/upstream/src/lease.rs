//! One request at one endpoint, from the choice to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::clock::nanos;
use crate::endpoint::{EndpointState, FailKind};
use crate::outlier::Mark;
use crate::service::Service;

/// The latency that a failure counts as, if it came sooner: 1 s. An endpoint that fails fast would
/// otherwise look like the fastest, and draw all requests to itself.
const FAILURE_COSTS: u64 = 1_000_000_000;

/// A request in flight at an endpoint. Dropped without [`Lease::finish`], the client has left:
/// nobody is to blame.
#[must_use]
pub struct Lease {
    service: Arc<Service>,
    endpoint: Arc<EndpointState>,
    place: usize,
    generation: u64,
    /// Of the endpoint's addresses, when it was chosen.
    turn: usize,
}

/// How a request at an endpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered {
        /// The answer's status.
        status: u16,
        /// From the choice to the answer's head, in nanoseconds.
        latency_ns: u64,
    },
    /// Without one that could be used.
    Failed(FailKind),
}

impl Lease {
    pub(crate) fn new(
        service: &Arc<Service>,
        endpoint: &Arc<EndpointState>,
        place: usize,
        generation: u64,
    ) -> Self {
        let turn = endpoint.turn();
        Self { service: Arc::clone(service), endpoint: Arc::clone(endpoint), place, generation, turn }
    }

    /// Who was chosen.
    pub fn endpoint(&self) -> &Arc<EndpointState> {
        &self.endpoint
    }

    /// The service it belongs to.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Ends it and takes into account how it went.
    pub fn finish(self, outcome: Outcome, now: u64) {
        self.count(outcome, now);
    }

    /// Takes into account that a tunnel began with this answer, `latency_ns` nanoseconds after the
    /// choice. The tunnel stays in flight till the lease is dropped; there is no more to finish.
    pub fn upgraded(&self, status: u16, latency_ns: u64, now: u64) {
        self.count(Outcome::Answered { status, latency_ns }, now);
    }

    fn count(&self, outcome: Outcome, now: u64) {
        // Not when it is chosen: a choice that is not sent is no request.
        self.endpoint.counts.requests.fetch_add(1, Relaxed);
        let (mark, latency) = match outcome {
            Outcome::Answered { status, latency_ns } => (self.answered(status, latency_ns), latency_ns),
            Outcome::Failed(kind) => (Mark::Failure, self.failed(kind)),
        };
        let latency = if mark == Mark::Failure { latency.max(FAILURE_COSTS) } else { latency };
        self.endpoint.load().observe(now, latency);
        if let Some(outliers) = &self.service.plan().outliers
            && self.endpoint.record.note(mark, outliers.errors)
        {
            self.service.look_again();
        }
    }

    fn answered(&self, status: u16, latency: u64) -> Mark {
        if let Some(quantile) = &self.service.quantile {
            quantile.observe(latency);
        }
        if status >= 500 {
            self.endpoint.counts.statuses.fetch_add(1, Relaxed);
        }
        Mark::of(status)
    }

    /// Counts a failure and says how long it took at least, in nanoseconds.
    fn failed(&self, kind: FailKind) -> u64 {
        self.endpoint.counts.failures[kind as usize].fetch_add(1, Relaxed);
        match kind {
            FailKind::Connect => self.endpoint.turn_on(self.turn),
            FailKind::Timeout => return nanos(self.service.plan().timeout.response),
            FailKind::Reset | FailKind::BadAnswer => {}
        }
        0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.load().end();
        let usable = self.service.lasting.usable.load();
        let place = if usable.generation == self.generation {
            Some(self.place)
        } else {
            usable.picker.find(self.endpoint.key())
        };
        if let Some(place) = place {
            usable.picker.refresh(place);
        }
    }
}
