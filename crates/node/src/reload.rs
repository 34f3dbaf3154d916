//! A changed file becomes the plan, or nothing changes.
//!
//! What can fail (reading, checking, binding, opening the log) comes first; then the services follow
//! and get a moment to find their endpoints, then the log, the routes and the doors, so that no request
//! meets a route whose service isn't there. One reload is done after the other.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use admin::cache::{CacheView, Cached, NodePurged, PurgeOrder};
use admin::{Later, Operations, ReloadError, Reloaded, Reloads};
use config::Plan;
use config::plan::CacheRules;
use edge::log::AccessLog;
use edge::{Live, Phase, Shared};
use upstream::Registry;
use wire::RequestHead;

use crate::cached;
use crate::doors::Bound;
use crate::queues::Operated;
use crate::settle::{awaited, settle};
use crate::start::{Inner, folder, open_log};
use crate::tell::say;

impl Operations for Inner {
    fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn started(&self) -> SystemTime {
        self.started
    }

    fn reload(&self) -> Result<Reloaded, ReloadError> {
        let result = self.take_file();
        let mut changing = self.changing();
        let reloads = &mut changing.reloads;
        match &result {
            Ok(reloaded) => {
                reloads.done += 1;
                reloads.last_error = None;
                say(if reloaded.changed { "reloaded" } else { "reloaded; nothing changed" });
            }
            Err(error) => {
                reloads.failed += 1;
                reloads.last_error = Some(error.to_string());
                say(&format!("not reloaded, the plan before runs on: {error}"));
            }
        }
        reloads.last = Some(SystemTime::now());
        result
    }

    fn drain(&self) {
        let _ = self.leave.send(());
    }

    fn reloads(&self) -> Reloads {
        self.changing().reloads.clone()
    }

    fn cache(&self) -> CacheView {
        cached::view(self)
    }

    fn cached(&self, rules: &CacheRules, request: &RequestHead) -> Cached {
        cached::cached(self, rules, request)
    }

    fn queues(&self) -> Option<Arc<dyn admin::queue::Queues>> {
        let queues = self.shared.queues.clone();
        let some = !queues.all().is_empty() || queues.trouble().is_some();
        some.then(|| Arc::new(Operated(queues)) as Arc<dyn admin::queue::Queues>)
    }

    fn purge(&self, order: PurgeOrder) -> Later<Result<Vec<NodePurged>, String>> {
        let (live, kept) = (self.live.load_full(), self.shared.kept.clone());
        Box::pin(async move { Ok(cached::purge(live, kept, order).await) })
    }
}

impl Inner {
    fn take_file(&self) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file.as_ref().ok_or(ReloadError::NoFile)?;
        let loaded = config::load(file).map_err(ReloadError::Config)?;
        let mut warnings = loaded.warnings;
        let before = self.live.load().plan.clone();
        let plan = Arc::new(self.keep_what_must_stay(loaded.plan, &before));
        warnings.truncate(config::LISTED);
        self.stays().map_err(ReloadError::Bind)?;
        let bound = self.changing().doors.bind(&plan.listeners, plan.node.threads, &mut Vec::new());
        let bound = bound.map_err(|error| ReloadError::Bind(error.to_string()))?;
        let log = self.open_log(&plan, &before).map_err(ReloadError::Bind)?;
        let opened = self.shared.queues.follow(&plan, &folder(&plan), Duration::ZERO);
        opened.map_err(|error| ReloadError::Bind(error.to_string()))?;
        let changed = *plan != *before;
        if changed {
            self.follow(&plan, bound, log).map_err(ReloadError::Bind)?;
        }
        Ok(Reloaded { warnings, changed })
    }

    /// A node on its way out follows no file any more.
    fn stays(&self) -> Result<(), String> {
        let running = self.shared.phase() == Phase::Running;
        running.then_some(()).ok_or_else(|| "the node is on its way out".to_owned())
    }

    /// What a running process can't change stays, and is said.
    fn keep_what_must_stay(&self, mut plan: Plan, before: &Plan) -> Plan {
        if plan.node.threads != before.node.threads || plan.admin != before.admin {
            say("node.threads and [admin] change only with a restart (or SIGUSR2); they stay as they are");
            plan.node.threads = before.node.threads;
            plan.admin = before.admin.clone();
        }
        let tiers = |plan: &Plan| (plan.cache.disk.clone(), plan.cache.shared.clone());
        if tiers(&plan) != tiers(before) {
            say("the cache's disk and shared tiers change only with a restart; they stay as they are");
            (plan.cache.disk, plan.cache.shared) = tiers(before);
        }
        plan
    }

    /// The log that takes the place of the one before; none: the same setting, whose file may have
    /// been moved away, so it is opened anew.
    fn open_log(&self, plan: &Plan, before: &Plan) -> Result<Option<Option<AccessLog>>, String> {
        if plan.telemetry != before.telemetry {
            return open_log(plan).map(Some).map_err(|error| error.to_string());
        }
        let changing = self.changing();
        changing.log.as_ref().map_or(Ok(None), |log| log.reopen().map(|()| None).map_err(|e| e.to_string()))
    }

    fn follow(&self, plan: &Arc<Plan>, bound: Bound, log: Option<Option<AccessLog>>) -> Result<(), String> {
        let lost = awaited(&self.registry);
        self.registry.apply(plan);
        self.shared.kept.cache.follow(&plan.cache);
        settle(&self.registry, &lost);
        let live = Arc::new(Live::new(plan, &self.registry, &self.shared.stats));
        // Whoever closes the doors holds this too: none is opened after that.
        let mut changing = self.changing();
        self.stays()?;
        if let Some(log) = log {
            for thread in &self.threads {
                thread.thread.log_to(log.as_ref());
            }
            changing.log = log;
        }
        for thread in &self.threads {
            thread.thread.follow(live.clone());
        }
        self.live.store(live);
        changing.doors.follow(&plan.listeners, bound, &self.threads);
        Ok(())
    }
}
