//! All services of the node, by name, across reloads.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use config::Plan;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::event::Tell;
use crate::resolve::Names;
use crate::service::Service;
use crate::{discover, lock, tend};

/// How the background work is done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The name server to ask; none: the system's.
    pub name_server: Option<SocketAddr>,
    /// Active checks that run at the same time, in the whole node.
    pub checks_at_once: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { name_server: None, checks_at_once: 64 }
    }
}

/// What the background tasks of all services share.
pub(crate) struct Shared {
    pub names: Names,
    pub checks: Arc<Semaphore>,
}

/// The node's services. Dropped, their background tasks end.
pub struct Registry {
    services: ArcSwap<HashMap<Arc<str>, Arc<Service>>>,
    running: Mutex<HashMap<Arc<str>, Running>>,
    shared: Arc<Shared>,
    background: Handle,
    tell: Tell,
}

/// A service and its background tasks, which end when they are dropped.
struct Running {
    service: Arc<Service>,
    _tasks: JoinSet<()>,
}

impl Registry {
    /// One without services, whose background tasks will run on `background` and tell what happens.
    pub fn new(options: Options, background: Handle, tell: Tell) -> Self {
        let shared = Shared {
            names: Names::new(options.name_server),
            checks: Arc::new(Semaphore::new(options.checks_at_once.max(1))),
        };
        Self {
            services: ArcSwap::default(),
            running: Mutex::default(),
            shared: Arc::new(shared),
            background,
            tell,
        }
    }

    /// Takes a plan's services: those that are the same stay as they are, changed ones keep their
    /// endpoints, counters and budget, and those that are gone stop being tended.
    pub fn apply(&self, plan: &Plan) {
        let mut running = lock(&self.running);
        let mut old = std::mem::take(&mut *running);
        for (name, service) in &plan.services {
            let next = match old.remove(name) {
                Some(same) if same.service.plan == *service && same.service.region == plan.node.region => {
                    same
                }
                before => {
                    let before = before.map(|before| before.service);
                    self.start(Service::new(service, &plan.node.region, &self.tell, before.as_deref()))
                }
            };
            running.insert(Arc::clone(name), next);
        }
        let services = running.iter().map(|(name, running)| (Arc::clone(name), Arc::clone(&running.service)));
        self.services.store(Arc::new(services.collect()));
    }

    /// The service of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Service>> {
        self.services.load().get(name).cloned()
    }

    /// All services, by name.
    pub fn all(&self) -> Vec<Arc<Service>> {
        let mut all: Vec<_> = self.services.load().values().cloned().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    fn start(&self, service: Service) -> Running {
        let service = Arc::new(service);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(tend::tend(Arc::clone(&service), Arc::clone(&self.shared)), &self.background);
        if service.plan().discover.is_some() {
            tasks
                .spawn_on(discover::follow(Arc::clone(&service), Arc::clone(&self.shared)), &self.background);
        }
        Running { service, _tasks: tasks }
    }
}
