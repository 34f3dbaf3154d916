//! A plan brought to life: each route with the services it names, ready to be asked.
//!
//! Made off the request path at start and at each reload, then handed whole to every data thread.

use std::collections::HashMap;
use std::sync::Arc;

use config::Plan;
use config::plan::{Action, Balance, HashBy, Mirror, Receiver, Route};
use upstream::{Registry, Service};

use crate::route::Router;
use crate::stats::{RouteId, ServiceId, Stats};

/// One plan at work.
pub struct Live {
    /// What it was made of.
    pub plan: Arc<Plan>,
    /// Its routes, ready to be searched.
    pub router: Router,
    pub(crate) routes: Vec<LiveRoute>,
    /// Services that queues deliver to, by name.
    receivers: HashMap<Arc<str>, Party>,
}

/// A route at work.
pub(crate) struct LiveRoute {
    pub(crate) id: RouteId,
    pub(crate) plan: Arc<Route>,
    /// For [`Action::Forward`]; never empty there.
    pub(crate) to: Vec<(Party, u32)>,
    pub(crate) mirror: Option<(Party, Mirror)>,
}

/// A service as a route sees it.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) service: Arc<Service>,
    pub(crate) id: ServiceId,
    /// What its balancing hashes, if it does.
    pub(crate) hash_by: Option<HashBy>,
}

impl Live {
    /// Brings a plan to life with the services of `registry`, which already follows the plan.
    pub fn new(plan: &Arc<Plan>, registry: &Registry, stats: &Stats) -> Live {
        let party = |name: &str| {
            let service = registry.get(name)?;
            let hash_by = match &service.plan().balance {
                Balance::Hash(by) => Some(by.clone()),
                Balance::IpHash | Balance::Maglev => Some(HashBy::Client),
                _ => None,
            };
            Some(Party { id: stats.service_id(name), hash_by, service })
        };
        let routes = plan.routes.iter().map(|route| {
            let (to, mirror) = match &route.action {
                Action::Forward(forward) => (
                    forward.to.iter().filter_map(|(name, weight)| Some((party(name)?, *weight))).collect(),
                    forward.mirror.as_ref().and_then(|m| Some((party(&m.service)?, m.clone()))),
                ),
                _ => (Vec::new(), None),
            };
            LiveRoute { id: stats.route_id(&route.name), plan: route.clone(), to, mirror }
        });
        let receivers = plan.queues.values().flat_map(|queue| &queue.deliver);
        let receivers = receivers.filter_map(|receiver| match receiver {
            Receiver::Service(name) => Some((name.clone(), party(name)?)),
            Receiver::Url(_) => None,
        });
        let receivers = receivers.collect();
        Live { routes: routes.collect(), router: Router::new(plan), plan: plan.clone(), receivers }
    }

    /// A service that a queue delivers to.
    pub(crate) fn receiver(&self, name: &str) -> Option<&Party> {
        self.receivers.get(name)
    }
}
