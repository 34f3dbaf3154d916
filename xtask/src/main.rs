//! The project's own chores, so that a machine with Rust and nothing else can test and measure.
//!
//! Arguments are read by hand: an argument parser would cost more to build than it would save here.

mod bench;
mod failure;
mod house;
mod programs;
mod sim;
mod soak;
mod step;
mod test;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use failure::{Failure, Outcome, While};

const HELP: &str = "\
cargo xtask test     install what the tests need, then format, clippy, tests, house checks
cargo xtask house    the house checks alone: floors, lengths, unsafe, purity, texts
cargo xtask bench [proxy|routes|idle|cache|memory|restart|queue [accept|engine|deliver|recover|fair]…|all]…
                  [--rounds 3] [--seconds 5] [--large] [--peer NAME]… [--print]
                     nearside beside nginx, HAProxy, Varnish and a bare relay, its queues beside Redis
                     streams and NATS JetStream; writes docs/benchmarks.md
                     memory takes 8 GiB of it, restart 11 GiB of the disk
                     --peer  only this one (nearside, nginx, haproxy, varnish, relay, redis, nats,
                             nats-unsynced); may be repeated
                     --large recover also with 10 million messages
                     --print show the tables and write nothing
cargo xtask soak     the long forms of tests: crashes, losses of power, memory; see docs/soak.md
cargo xtask sim [--trace FILE [--delimiter C]]
                     hit ratios of the memory tier's policy beside LRU, S3-FIFO and W-TinyLFU, on
                     made traces or a libCacheSim one: .csv or .txt, else oracleGeneral uncompressed
cargo xtask help     this

Programs that the bench starts, each until it is ended:
  origin PORT              answers /0 /1k /100k /1m with that many bytes, /o/LENGTH/NAME with
                           something to cache, /count with how many of those it answered
  relay PORT ORIGIN_PORT   the bare relay: reads lengths and nothing else
  fetch PORT FIRST COUNT LEAST MOST
                           fetches COUNT objects from number FIRST on, of LEAST to MOST bytes, once
  hold ADDR COUNT SOURCE   opens COUNT connections from SOURCE, one request on each, and keeps them
  send http|redis|nats PORT NAME [--connections 64] [--length 1024] [--seconds N] [--count N]
       [--pace N] [--key each|same]
                           sends messages to a path, stream or subject, one at a time on each
                           connection; tells refused, microseconds in all, accepted, p50, p99, longest
  receive PORT             takes messages; /count/NAME and /report/NAME tell what came
  hang PORT                takes messages and never answers";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.exit_status())
        }
    }
}

fn run(arguments: &[&str]) -> Outcome<()> {
    match arguments {
        ["test"] => test::run(),
        ["house"] => house::run(),
        ["bench", options @ ..] => bench::run(options),
        ["origin", port] => programs::origin(number(port)?),
        ["relay", port, origin] => programs::relay(number(port)?, number(origin)?),
        ["soak"] => soak::run(),
        ["sim", options @ ..] => sim::run(options),
        ["fetch", port, first, count, least, most] => {
            let [first, count, least, most] = [first, count, least, most].map(|text| number(text));
            programs::fetch(number(port)?, first?, count?, least?, most?)
        }
        ["send", options @ ..] => programs::send(options),
        ["receive", port] => programs::receive(number(port)?),
        ["hang", port] => programs::hang(number(port)?),
        ["hold", address, count, source] => programs::hold(address, number(count)?, source),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::Usage(format!("`{}` is not one of:\n{HELP}", arguments.join(" ")))),
    }
}

/// Reads a whole number from an argument.
fn number<T: std::str::FromStr>(text: &str) -> Outcome<T> {
    text.parse().map_err(|_| Failure::Usage(format!("`{text}` is not a number that fits here")))
}

/// The folder of the repository.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The folder that this program was built into, which holds a folder for each profile.
fn target() -> Outcome<PathBuf> {
    let own = std::env::current_exe().while_doing("asking for this program's own path")?;
    Ok(own.parent().and_then(Path::parent).unwrap_or(Path::new("target")).to_path_buf())
}
