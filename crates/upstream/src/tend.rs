//! The background work of one service: it looks at the endpoints whenever something may have changed
//! and makes a new snapshot if something did.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::balance::{Candidate, Picker};
use crate::clock::{self, nanos};
use crate::endpoint::{EndpointState, Vitals};
use crate::event::What;
use crate::outlier::{self, Evidence};
use crate::registry::Shared;
use crate::service::{Inner, NoEndpoint, Service, Usable};
use crate::usable::{Standing, choose};
use crate::{check, lock, resolve, slow_start};

/// The shortest time between two looks, so that a storm of changes is taken together.
const GAP: Duration = Duration::from_millis(5);
/// The longest one.
const REST: Duration = Duration::from_secs(60);
/// How often growing shares are adjusted.
const STEP: u64 = 250_000_000;
const SECOND: u64 = 1_000_000_000;

/// Tends `service` for as long as it is not stopped.
pub(crate) async fn tend(service: Arc<Service>, shared: Arc<Shared>) {
    let mut tasks = HashMap::new();
    let mut tended: Arc<[Arc<EndpointState>]> = Arc::default();
    loop {
        let endpoints = service.endpoints();
        if !Arc::ptr_eq(&endpoints, &tended) {
            settle(&service, &shared, &endpoints, &mut tasks);
            tended = endpoints;
        }
        let pause = service.turn(clock::now());
        tokio::time::sleep(GAP).await;
        tokio::select! {
            () = service.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

type Tasks = HashMap<u64, (Arc<EndpointState>, JoinSet<()>)>;

/// Starts the tasks of new endpoints and stops those of endpoints that have gone.
fn settle(service: &Arc<Service>, shared: &Arc<Shared>, endpoints: &[Arc<EndpointState>], tasks: &mut Tasks) {
    let mut old = std::mem::take(tasks);
    for endpoint in endpoints {
        let kept = old.remove(&endpoint.key()).filter(|(state, _)| Arc::ptr_eq(state, endpoint));
        let entry = kept.unwrap_or_else(|| (Arc::clone(endpoint), start(service, shared, endpoint)));
        tasks.insert(endpoint.key(), entry);
    }
}

fn start(service: &Arc<Service>, shared: &Arc<Shared>, endpoint: &Arc<EndpointState>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if endpoint.is_named() {
        tasks.spawn(resolve::keep(Arc::clone(service), Arc::clone(endpoint), Arc::clone(shared)));
    }
    if service.plan().health.is_some() {
        tasks.spawn(check::watch(Arc::clone(service), Arc::clone(endpoint), Arc::clone(&shared.checks)));
    }
    tasks
}

impl Service {
    /// Looks at all endpoints: who is ejected, who returns, who is used with which share. Says how
    /// long nothing will change by itself.
    pub(crate) fn turn(&self, now: u64) -> Duration {
        let mut inner = lock(&self.inner);
        if inner.retired {
            return REST;
        }
        self.judge(&mut inner, now);
        let mut next = now.saturating_add(nanos(REST));
        if self.plan.outliers.is_some() {
            next = next.min(inner.second_ends);
        }
        let mut standings = Vec::with_capacity(inner.endpoints.len());
        for endpoint in inner.endpoints.iter() {
            let mut vitals = lock(&endpoint.vitals);
            let standing = self.stand(endpoint, &mut vitals, now);
            let near = endpoint.region().is_none_or(|region| *region == self.region);
            standings.push((standing, near));
            next = vitals.ejection.until().map_or(next, |until| next.min(until));
            if vitals.since.is_some() {
                next = next.min(now + STEP);
            }
        }
        if now < inner.held_till && self.is_usable() && self.is_yet_unknown(&standings) {
            next = next.min(inner.held_till);
        } else {
            self.rebuild(&mut inner, &standings, now);
        }
        Duration::from_nanos(next.saturating_sub(now))
    }

    /// Ends the seconds of the outlier windows, ejections whose time is over, and begins new ones.
    fn judge(&self, inner: &mut Inner, now: u64) {
        let Some(plan) = &self.plan.outliers else {
            return;
        };
        let second_over = now >= inner.second_ends;
        if second_over {
            inner.second_ends = now + SECOND;
        }
        let mut evidence = Vec::with_capacity(inner.endpoints.len());
        for endpoint in inner.endpoints.iter() {
            let mut vitals = lock(&endpoint.vitals);
            if vitals.ejection.end_if_due(now) {
                endpoint.record.clear();
                vitals.window = outlier::Window::default();
            } else if second_over {
                vitals.window.roll(endpoint.record.take());
            }
            evidence.push(Evidence {
                row: endpoint.record.row(),
                window: vitals.window.sum(),
                ejected: vitals.ejection.until().is_some(),
            });
        }
        for i in outlier::verdict(plan, &evidence) {
            let mut vitals = lock(&inner.endpoints[i].vitals);
            let Evidence { row, window, .. } = evidence[i];
            vitals.blame = if row >= plan.errors {
                format!("{row} failures in a row")
            } else {
                format!("{} of its last {} requests failed", window.errors, window.answers)
            };
            vitals.ejection.begin(plan.eject, now);
        }
    }

    /// How the endpoint stands now; tells if that is news, and keeps since when its share grows.
    fn stand(&self, endpoint: &EndpointState, vitals: &mut Vitals, now: u64) -> Standing {
        let standing = endpoint.standing(vitals, self.plan.health.is_some());
        let before = vitals.standing.replace(standing);
        if before != Some(standing) {
            if standing == Standing::Up && matches!(before, Some(Standing::Ill | Standing::Ejected)) {
                // What made it slow or fail is over, says who brought it back.
                endpoint.load().forget();
            }
            vitals.since = (standing == Standing::Up && vitals.ramps).then_some(now);
            vitals.ramps |= !matches!(standing, Standing::Unknown | Standing::Unresolved);
            if let Some(news) = news(before, standing, vitals, now) {
                self.tell(Some(endpoint), news);
            }
        }
        let over = self.plan.slow_start;
        vitals.since = vitals.since.filter(|&since| slow_start::share(since, now, over) < slow_start::WHOLE);
        standing
    }

    /// Is there nobody to use only as names or discovery have not answered yet?
    fn is_yet_unknown(&self, standings: &[(Standing, bool)]) -> bool {
        let lost =
            |(standing, _): &(Standing, bool)| matches!(standing, Standing::Unresolved | Standing::Drained);
        match none(standings) {
            NoEndpoint::NoneKnown => self.plan.discover.is_some(),
            NoEndpoint::NoAddress => standings.iter().all(lost),
            NoEndpoint::AllDrained => false,
        }
    }

    /// Makes a new snapshot if other endpoints are used than before, or with other weights.
    fn rebuild(&self, inner: &mut Inner, standings: &[(Standing, bool)], now: u64) {
        let choice = choose(standings);
        let endpoints: Box<[_]> = choice.endpoints.iter().map(|&i| Arc::clone(&inner.endpoints[i])).collect();
        let weights: Vec<u32> = endpoints.iter().map(|endpoint| self.weight(endpoint, now)).collect();
        let built = endpoints
            .iter()
            .map(|endpoint| Arc::as_ptr(endpoint).addr())
            .zip(weights.iter().copied())
            .collect();
        if !endpoints.is_empty() && inner.built.as_ref() == Some(&built) && inner.all_ill == choice.all_ill {
            return;
        }
        let candidates = weights.iter().zip(&endpoints).map(|(&weight, endpoint)| Candidate {
            key: endpoint.key(),
            weight,
            load: Arc::clone(endpoint.load()),
        });
        let picker = Picker::new(&self.plan.balance, candidates.collect(), fastrand::u64(..));
        inner.generation += 1;
        inner.built = Some(built);
        let usable = Usable { picker, endpoints, generation: inner.generation, none: none(standings) };
        self.lasting.usable.store(Arc::new(usable));
        // Requests that began or ended while the picker was made are not in it yet.
        let usable = self.lasting.usable.load();
        (0..usable.endpoints.len()).for_each(|i| usable.picker.refresh(i));
        if std::mem::replace(&mut inner.all_ill, choice.all_ill) != choice.all_ill {
            self.tell(None, if choice.all_ill { What::AllIll } else { What::SomeWell });
        }
    }

    /// The weight of an endpoint in the picker: thousandths, less while its share grows.
    fn weight(&self, endpoint: &EndpointState, now: u64) -> u32 {
        let since = lock(&endpoint.vitals).since;
        let share =
            since.map_or(slow_start::WHOLE, |since| slow_start::share(since, now, self.plan.slow_start));
        endpoint.weight().saturating_mul(share)
    }
}

/// What is told of an endpoint that stands otherwise than before.
fn news(before: Option<Standing>, standing: Standing, vitals: &Vitals, now: u64) -> Option<What> {
    match (before, standing) {
        (None, Standing::Up) | (_, Standing::Unknown | Standing::Unresolved) => None,
        (Some(Standing::Ejected), Standing::Up) => Some(What::Returned),
        (_, Standing::Up) => Some(What::Up),
        (_, Standing::Ill) => Some(What::Ill { why: vitals.last_check.clone() }),
        (_, Standing::Drained) => Some(What::Drained),
        (_, Standing::Ejected) => Some(What::Ejected {
            why: vitals.blame.clone(),
            for_ms: vitals.ejection.until().unwrap_or(now).saturating_sub(now) / 1_000_000,
        }),
    }
}

/// Why none is used, if none is.
fn none(standings: &[(Standing, bool)]) -> NoEndpoint {
    if standings.is_empty() {
        NoEndpoint::NoneKnown
    } else if standings.iter().any(|(standing, _)| *standing == Standing::Unresolved) {
        NoEndpoint::NoAddress
    } else {
        NoEndpoint::AllDrained
    }
}
