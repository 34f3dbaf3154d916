//! What the API needs of a node. The node stands a floor above and implements it, so that the API
//! can be tested without one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use config::plan::CacheRules;
use config::{Diagnostic, Report};
use edge::{Live, Shared};
use upstream::Registry;
use wire::RequestHead;

use crate::cache::{CacheView, Cached, NodePurged, PurgeOrder};
use crate::queue::Queues;

/// What will be known once it is awaited.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the API may ask of and do to a node.
pub trait Operations: Send + Sync + 'static {
    /// The plan at work.
    fn live(&self) -> Arc<Live>;

    /// The services.
    fn registry(&self) -> &Registry;

    /// What the data threads share.
    fn shared(&self) -> &Arc<Shared>;

    /// When the node started.
    fn started(&self) -> SystemTime;

    /// Takes the changed file. Blocks till it is read, checked and at work.
    ///
    /// # Errors
    /// [`ReloadError`]: nothing changed, the plan before runs on.
    fn reload(&self) -> Result<Reloaded, ReloadError>;

    /// Begins to leave, and returns at once.
    fn drain(&self);

    /// What became of reloads so far.
    fn reloads(&self) -> Reloads;

    /// The cache's tiers and what it was asked.
    fn cache(&self) -> CacheView;

    /// What the cache knows of a request to a route with these rules; nothing is sent, counted or
    /// kept. Blocks till all tiers have answered.
    fn cached(&self, rules: &CacheRules, request: &RequestHead) -> Cached;

    /// Purges on all nodes what a checked order names. Done once each node has answered, or can't.
    ///
    /// # Errors
    /// Why nothing was purged at all.
    fn purge(&self, order: PurgeOrder) -> Later<Result<Vec<NodePurged>, String>>;

    /// The queues; none if neither the file nor the log knows of any.
    fn queues(&self) -> Option<Arc<dyn Queues>>;
}

/// A file that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What is probably not as it was meant.
    pub warnings: Vec<Diagnostic>,
    /// The plan is another than before.
    pub changed: bool,
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It can't be read or holds mistakes.
    #[error("{0}")]
    Config(Report),
    /// The system refuses what the file asks for, or the node is on its way out.
    #[error("{0}")]
    Bind(String),
    /// The node was started without a file.
    #[error("this node runs without a file")]
    NoFile,
}

/// What became of reloads since the node started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Those that were taken.
    pub done: u64,
    /// Those that changed nothing because of a mistake.
    pub failed: u64,
    /// When the last was, done or failed.
    pub last: Option<SystemTime>,
    /// Why the last failed; none if it was done.
    pub last_error: Option<String>,
}
