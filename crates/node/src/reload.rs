//! A changed file becomes the plan, or nothing changes.
//!
//! What can fail (reading, checking, binding, opening the log) comes first; then the services follow,
//! then the routes, then the doors, so that no request meets a route whose service isn't there.

use std::sync::Arc;
use std::time::SystemTime;

use admin::{Operations, ReloadError, Reloaded, Reloads};
use config::Plan;
use edge::{Live, Phase, Shared};
use upstream::Registry;

use crate::start::{Inner, open_log};
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
}

impl Inner {
    fn take_file(&self) -> Result<Reloaded, ReloadError> {
        let file = self.file.as_ref().ok_or(ReloadError::NoFile)?;
        let loaded = config::load(file).map_err(ReloadError::Config)?;
        let mut warnings = loaded.warnings;
        let before = self.live.load().plan.clone();
        let plan = Arc::new(self.keep_what_must_stay(loaded.plan, &before));
        warnings.truncate(config::LISTED);
        if self.shared.phase() != Phase::Running {
            return Err(ReloadError::Bind("the node is on its way out".to_owned()));
        }
        self.reopen_log(&plan, &before).map_err(ReloadError::Bind)?;
        if *plan == *before {
            return Ok(Reloaded { warnings, changed: false });
        }
        self.follow(&plan).map_err(ReloadError::Bind)?;
        Ok(Reloaded { warnings, changed: true })
    }

    /// What a running process can't change stays, and is said.
    fn keep_what_must_stay(&self, mut plan: Plan, before: &Plan) -> Plan {
        if plan.node.threads != before.node.threads || plan.admin != before.admin {
            say("node.threads and [admin] change only with a restart (or SIGUSR2); they stay as they are");
            plan.node.threads = before.node.threads;
            plan.admin = before.admin.clone();
        }
        plan
    }

    /// Follows the log's setting; the same setting means that the file was moved away.
    fn reopen_log(&self, plan: &Plan, before: &Plan) -> Result<(), String> {
        let mut changing = self.changing();
        if plan.telemetry == before.telemetry {
            return changing.log.as_ref().map_or(Ok(()), |log| log.reopen().map_err(|e| e.to_string()));
        }
        let log = open_log(plan).map_err(|error| error.to_string())?;
        for thread in &self.threads {
            thread.thread.log_to(log.as_ref());
        }
        changing.log = log;
        Ok(())
    }

    fn follow(&self, plan: &Arc<Plan>) -> Result<(), String> {
        let mut changing = self.changing();
        let bound = changing
            .doors
            .bind(&plan.listeners, plan.node.threads, &mut Vec::new())
            .map_err(|error| error.to_string())?;
        self.registry.apply(plan);
        let live = Arc::new(Live::new(plan, &self.registry, &self.shared.stats));
        for thread in &self.threads {
            thread.thread.follow(live.clone());
        }
        self.live.store(live);
        changing.doors.follow(&plan.listeners, bound, &self.threads).map_err(|error| error.to_string())
    }
}
