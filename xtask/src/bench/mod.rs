//! `cargo xtask bench`: what nearside costs beside its peers, in one run on one machine.
//!
//! The cost is CPU time for each request, user and system, of a proxy's processes: unlike
//! throughput it does not depend on what else the machine could do. Origin and load generator have
//! one core, the proxy another; the proxies take turns, in a new order each round, and the median
//! counts. Nothing is asserted: a number on a busy machine is not a reason to fail.

mod cache;
mod idle;
mod load;
mod memory;
mod peer;
mod process;
mod proxy;
mod queue;
mod report;
mod restart;
mod routes;
mod svg;
mod turns;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::{Failure, Outcome, While};
use crate::step::{command_step, step};
use crate::{number, target, tools};
use peer::Peer;
use process::Running;

/// The core of the origin, the load generator and the clients.
const LOAD_CORE: &str = "0";
/// The core of the proxy alone.
const PROXY_CORE: &str = "1";

/// Sections of the report: what `bench` can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Proxy,
    Routes,
    Idle,
    Cache,
    Memory,
    Restart,
    Queue(queue::Part),
}

impl Part {
    /// Those that a single word asks for, in the order of the page.
    const SINGLE: &[Self] =
        &[Self::Proxy, Self::Routes, Self::Idle, Self::Cache, Self::Memory, Self::Restart];

    /// All, in the order of the page.
    fn all() -> Vec<Self> {
        [Self::SINGLE, &queue::Part::ALL.map(Self::Queue)].concat()
    }

    /// The words of the command line.
    fn words(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Routes => "routes",
            Self::Idle => "idle",
            Self::Cache => "cache",
            Self::Memory => "memory",
            Self::Restart => "restart",
            Self::Queue(part) => part.words(),
        }
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    parts: Vec<Part>,
    rounds: usize,
    seconds: u32,
    peers: Vec<Peer>,
    /// Also what takes very long.
    large: bool,
    write: bool,
}

/// Where a bench stands: its folders and the origin that all proxies ask.
struct Ground {
    /// Configurations and logs of this run.
    folder: PathBuf,
    /// Release builds of nearside and of this program.
    programs: PathBuf,
    /// Who answers.
    origin: Running,
    options: Options,
}

/// Measures what the options name, prints it, and writes `docs/benchmarks.md`.
pub fn run(arguments: &[&str]) -> Outcome<()> {
    let options = parse(arguments)?;
    tools::provide(tools::FOR_BENCHES)?;
    if options.parts.contains(&Part::Queue(queue::Part::Accept)) {
        tools::provide_nats()?;
    }
    raise_open_files()?;
    let programs = build(&options)?;
    let folder = programs.with_file_name("bench");
    fs::create_dir_all(&folder).while_doing(format!("making {}", folder.display()))?;
    let port = free_port()?;
    let program = programs.join("xtask");
    let line = [program.to_string_lossy().into_owned(), "origin".into(), port.to_string()];
    let log = folder.join("origin.log");
    let origin = Running::start(LOAD_CORE, &line, &log, port)?;
    let ground = Ground { folder, programs, origin, options };
    measure(&ground)
}

fn measure(ground: &Ground) -> Outcome<()> {
    let mut report = report::Report::default();
    for part in &ground.options.parts {
        let section = |title, measure: fn(&Ground) -> Outcome<String>| {
            step(&format!("bench {}", part.words()), || measure(ground)).map(|body| (title, body))
        };
        let (title, body) = match part {
            Part::Proxy => {
                let rows = step("bench proxy", || proxy::measure(ground))?;
                report.picture = Some(svg::bars(&rows));
                ("Proxied answers", proxy::section(&rows))
            }
            Part::Routes => section("Many routes", routes::measure)?,
            Part::Idle => section("Idle connections", idle::measure)?,
            Part::Cache => section("Cache hits", cache::measure)?,
            Part::Memory => section("What an object weighs", memory::measure)?,
            Part::Restart => section("Restart with a full disk", restart::measure)?,
            Part::Queue(part) => section(part.title(), part.measure())?,
        };
        report.section(title, &body);
    }
    println!("\n{}", report.text());
    if ground.options.write { report.write(&ground.options) } else { Ok(()) }
}

fn parse(arguments: &[&str]) -> Outcome<Options> {
    let mut options =
        Options { parts: Vec::new(), rounds: 3, seconds: 5, peers: Vec::new(), large: false, write: true };
    let mut rest = arguments.iter().copied().peekable();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| wrong(argument));
        match argument {
            "all" => options.parts = Part::all(),
            "queue" => {
                let named = |word: &&str| queue::Part::named(word).is_some();
                let words = std::iter::from_fn(|| rest.next_if(named));
                let parts: Vec<Part> = words.filter_map(queue::Part::named).map(Part::Queue).collect();
                let all = || queue::Part::ALL.map(Part::Queue).to_vec();
                options.parts.extend(if parts.is_empty() { all() } else { parts });
            }
            "--rounds" => options.rounds = number::<usize>(value()?)?.clamp(1, 99),
            "--seconds" => options.seconds = number::<u32>(value()?)?.clamp(1, 600),
            "--peer" => options.peers.push(Peer::named(value()?).ok_or_else(|| wrong(argument))?),
            "--large" => options.large = true,
            "--print" => options.write = false,
            name => {
                let part = Part::SINGLE.iter().find(|part| part.words() == name);
                options.parts.push(*part.ok_or_else(|| wrong(argument))?);
            }
        }
    }
    if options.parts.is_empty() {
        options.parts = Part::all();
    }
    if options.peers.is_empty() {
        options.peers = Peer::ALL.to_vec();
    }
    // A table without its peers would replace one that has them.
    options.write &= Peer::ALL.iter().all(|peer| options.peers.contains(peer));
    Ok(options)
}

fn wrong(argument: &str) -> Failure {
    Failure::Usage(format!("bench: `{argument}` is not understood here; see `cargo xtask help`"))
}

/// Builds in release what will run, and says in which folder it lies.
fn build(options: &Options) -> Outcome<PathBuf> {
    let target = target()?;
    let target_folder = target.to_string_lossy();
    let mut line = vec!["cargo", "build", "--release", "--locked", "--target-dir", &target_folder];
    line.extend(["--package", "xtask"]);
    if options.peers.contains(&Peer::Nearside) {
        line.extend(["--package", "nearside"]);
    }
    command_step(&line)?;
    Ok(target.join("release"))
}

/// Lets this process and all it starts open as many files as the system allows.
fn raise_open_files() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let done = setrlimit(Resource::Nofile, raised).map_err(std::io::Error::from);
    done.while_doing("raising the limit of open files")
}

/// A port of loopback that nobody listens on.
fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0");
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.while_doing("looking for a free port")?.port())
}

impl Ground {
    /// Those of `peers` that the command line wants.
    fn among(&self, peers: &[Peer]) -> Vec<Peer> {
        peers.iter().copied().filter(|peer| self.options.peers.contains(peer)).collect()
    }

    /// Ports for a peer that asks the origin.
    fn ports(&self) -> Outcome<peer::Ports> {
        Ok(peer::Ports { port: free_port()?, admin: free_port()?, origin: self.origin.port() })
    }

    /// Starts a peer with its plain configuration: everything goes to the origin.
    fn start(&self, peer: Peer) -> Outcome<Running> {
        let ports = self.ports()?;
        self.start_with(peer, ports, &peer.config(ports))
    }

    /// Starts a peer with this configuration.
    fn start_with(&self, peer: Peer, ports: peer::Ports, config: &str) -> Outcome<Running> {
        let file = self.folder.join(format!("{peer}.conf"));
        fs::write(&file, config).while_doing(format!("writing {}", file.display()))?;
        let line = peer.command(&self.programs, &self.folder, &file, ports)?;
        let log = self.folder.join(format!("{peer}.log"));
        Running::start(PROXY_CORE, &line, &log, ports.port)
    }
}

/// The middle one of an odd number of values, the mean of both middle ones of an even number.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    let lower = values.len().saturating_sub(1) / 2;
    match (values.get(lower), values.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = parse(&["proxy", "--rounds", "5", "--seconds", "2", "--peer", "relay"]).unwrap();
        let expected = Options {
            parts: vec![Part::Proxy],
            rounds: 5,
            seconds: 2,
            peers: vec![Peer::Relay],
            large: false,
            write: false,
        };
        assert_eq!(options, expected);
        let parts = |words: &[&str]| parse(words).unwrap().parts;
        let queue = queue::Part::ALL.map(Part::Queue);
        assert_eq!(parts(&["queue"]), queue);
        assert_eq!(parts(&["queue", "fair", "idle"]), [Part::Queue(queue::Part::Fair), Part::Idle]);
        let plain = parse(&[]).unwrap();
        assert!(plain.write && plain.parts == Part::all() && plain.peers.len() == Peer::ALL.len());
        for bad in [&["prox"][..], &["--rounds"], &["--rounds", "x"], &["--peer", "nobody"]] {
            assert_eq!(parse(bad).unwrap_err().exit_status(), 2);
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([1.0, 2.0].into_iter()), 1.5);
        assert!(median(std::iter::empty()).is_nan());
    }
}
