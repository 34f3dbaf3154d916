//! A node as it starts: all that can fail is done before it says that it is ready.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use admin::{Operations, Reloads};
use arc_swap::ArcSwap;
use cache::Cache;
use config::Plan;
use edge::log::AccessLog;
use edge::{Kept, Live, Shared, Stats, Thread, listen};
use queue::Queues;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use upstream::Registry;
use upstream::event::Tell;

use crate::data::DataThread;
use crate::doors::{BindError, Doors};
use crate::settle::settle;
use crate::{inherit, tell};

/// How long a process that takes over waits for the log: what is under way at the other has time to end.
const HANDOVER: Duration = Duration::from_secs(40);

/// How a node is started.
pub struct Options {
    /// What it does.
    pub plan: Plan,
    /// What a reload reads; none: there is nothing to reload.
    pub file: Option<PathBuf>,
    /// How long it goes on taking connections once it is told to end.
    pub grace: Duration,
    /// Who hears of what happens to services; none: it is printed.
    pub tell: Option<Tell>,
}

/// Why a node doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// `admin.listen`.
    #[error("the admin API: {0}")]
    Admin(BindError),
    /// `[cache]`.
    #[error("the cache: {0}")]
    Cache(io::Error),
    /// `[queue.…]`.
    #[error(transparent)]
    Queues(queue::OpenError),
    /// `telemetry.access_log`.
    #[error("can't write the access log {path}: {why}")]
    AccessLog {
        /// The file.
        path: String,
        /// What the system says.
        why: io::Error,
    },
    /// A thread or the event loop.
    #[error("the system refuses a thread: {0}")]
    Thread(#[from] io::Error),
}

/// What changes by reloads.
pub(crate) struct Changing {
    pub(crate) doors: Doors,
    pub(crate) log: Option<AccessLog>,
    pub(crate) reloads: Reloads,
}

/// The inside of a node, which the admin API and signals act on.
pub(crate) struct Inner {
    pub(crate) file: Option<PathBuf>,
    pub(crate) started: SystemTime,
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Registry,
    pub(crate) live: ArcSwap<Live>,
    pub(crate) threads: Vec<DataThread>,
    pub(crate) admin: TcpListener,
    changing: Mutex<Changing>,
    /// Held while a file becomes the plan or another process takes over: one such thing at a time.
    pub(crate) turn: Mutex<()>,
    /// Says to whoever runs the node that it is to leave.
    pub(crate) leave: mpsc::UnboundedSender<()>,
}

/// A running node.
pub struct Node {
    pub(crate) inner: Arc<Inner>,
    pub(crate) background: Runtime,
    pub(crate) grace: Duration,
    pub(crate) leave: mpsc::UnboundedReceiver<()>,
    /// Ends the admin API.
    pub(crate) stop_admin: watch::Sender<bool>,
    pub(crate) admin_address: SocketAddr,
    /// The node whose place this one takes waits for a word on it.
    pub(crate) ready: Option<File>,
}

impl Inner {
    pub(crate) fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Starts: when this returns, its sockets are open and its threads run.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn start(options: Options) -> Result<Node, StartError> {
        let plan = Arc::new(options.plan);
        let mut inherited = inherit::take();
        let mut doors = Doors::default();
        let bound = doors.bind(&plan.listeners, plan.node.threads, &mut inherited.listeners)?;
        let admin = bind_admin(plan.admin.listen, &mut inherited.listeners)?;
        let log = open_log(&plan)?;
        let background = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("background")
            .enable_all()
            .build()?;
        let tell = options.tell.map_or_else(tell::printing, Ok)?;
        let registry = Registry::new(upstream::Options::default(), background.handle().clone(), tell);
        registry.apply(&plan);
        let stats = Stats::new(plan.node.threads);
        let live = Arc::new(Live::new(&plan, &registry, &stats));
        let kept = open_cache(&plan, background.handle())?;
        let queues = open_queues(&plan, background.handle(), inherited.ready.is_some())?;
        let shared = Shared::new(stats, kept, queues);
        let threads = (0..plan.node.threads)
            .map(|index| DataThread::start(index, Thread::new(&shared, index, live.clone(), log.as_ref())))
            .collect::<io::Result<Vec<_>>>()?;
        settle(&registry, &[]);
        doors.follow(&plan.listeners, bound, &threads);
        let (leave, leaving) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            file: options.file,
            started: SystemTime::now(),
            shared,
            registry,
            live: ArcSwap::new(live),
            threads,
            admin,
            changing: Mutex::new(Changing { doors, log, reloads: Reloads::default() }),
            turn: Mutex::new(()),
            leave,
        });
        let stop_admin = watch::channel(false).0;
        let admin_address = serve_admin(&inner, &background, &plan, stop_admin.subscribe())?;
        Ok(Node {
            inner,
            background,
            grace: options.grace,
            leave: leaving,
            stop_admin,
            admin_address,
            ready: inherited.ready,
        })
    }

    /// Where clients can come in.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.inner.changing().doors.addresses()
    }

    /// Where the admin API is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// What it does now.
    pub fn plan(&self) -> Arc<Plan> {
        self.inner.live.load().plan.clone()
    }

    /// Its services, for whoever lives in the same process.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Its counts, for whoever lives in the same process.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.inner.shared.stats
    }
}

fn bind_admin(address: SocketAddr, inherited: &mut Vec<TcpListener>) -> Result<TcpListener, StartError> {
    let mine = |socket: &mut TcpListener| socket.local_addr().is_ok_and(|local| local == address);
    match inherited.extract_if(.., mine).next() {
        Some(socket) => Ok(socket),
        None => listen::bind_first(address).map_err(|why| StartError::Admin(BindError { address, why })),
    }
}

pub(crate) fn open_log(plan: &Plan) -> Result<Option<AccessLog>, StartError> {
    let open = |log| {
        AccessLog::open(log).map_err(|why| StartError::AccessLog {
            path: log.path.as_ref().map_or_else(|| "-".to_owned(), |p| p.display().to_string()),
            why,
        })
    };
    plan.telemetry.access_log.as_ref().map(open).transpose()
}

/// The tiers. What they tell as the node runs is printed.
fn open_cache(plan: &Plan, background: &tokio::runtime::Handle) -> Result<Kept, StartError> {
    let tell: cache::Tell = Arc::new(|line: String| tell::say(&line));
    let folder = plan.node.data.join("cache");
    Cache::open(&plan.cache, &folder, background, &tell).map(Kept::new).map_err(StartError::Cache)
}

/// The queues. While another process hands over to this one, it still has the log.
fn open_queues(
    plan: &Plan,
    background: &tokio::runtime::Handle,
    takes_over: bool,
) -> Result<Arc<Queues>, StartError> {
    let tell: queue::Tell = Arc::new(|line: &str| tell::say(line));
    let queues = Queues::new(plan.node.threads, background.clone(), tell);
    if takes_over {
        // It lets the log go once this process says that it serves; requests wait for it.
        let (own, plan) = (queues.clone(), plan.clone());
        background.spawn_blocking(move || own.take_over(&plan, &folder(&plan), HANDOVER));
    } else {
        queues.follow(plan, &folder(plan), Duration::ZERO).map_err(StartError::Queues)?;
    }
    Ok(queues)
}

/// Where the queues' log lies.
pub(crate) fn folder(plan: &Plan) -> PathBuf {
    plan.node.data.join("queues")
}

fn serve_admin(
    inner: &Arc<Inner>,
    background: &Runtime,
    plan: &Plan,
    mut stop: watch::Receiver<bool>,
) -> io::Result<SocketAddr> {
    let socket = inner.admin.try_clone()?;
    let address = socket.local_addr()?;
    let _inside = background.enter();
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let operations: Arc<dyn Operations> = inner.clone();
    let token = plan.admin.token.clone();
    background.spawn(async move {
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        if let Err(error) = admin::serve(listener, operations, token, stopped).await {
            eprintln!("nearside: the admin API ended: {error}");
        }
    });
    Ok(address)
}
