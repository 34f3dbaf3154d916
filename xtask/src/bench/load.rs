//! The load: `wrk` with 32 connections, and what it and the system say afterwards.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::process::{Running, busy, ended_children, kernel_threads};
use super::{Ground, LOAD_CORE, PROXY_CORE, median};
use crate::failure::{Failure, Outcome, While};
use crate::programs::lengths;

/// A measurement during which others had more of the cores than this is repeated.
const DISTURBED: f64 = 0.02;
const TRIES: usize = 3;
/// How long pools and caches are filled before a measurement.
const WARM_UP_SECONDS: u32 = 1;
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// What a proxy did under load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// CPU time of the proxy for each request, in microseconds.
    pub cpu: f64,
    /// Requests a second.
    pub rate: f64,
    /// The latency that half of the requests stay under, in microseconds.
    pub p50: f64,
    /// The latency that 99 % of the requests stay under, in microseconds.
    pub p99: f64,
    /// Requests that failed: not 2xx, or none at all.
    pub failed: f64,
    /// The share of both cores that other processes had, from 0 to 1. They make it dearer: they push
    /// the proxy out of its caches, and a slow load wakes it for every single request.
    pub disturbed: f64,
}

impl Sample {
    /// The median of each number; failures are added.
    pub fn median_of(samples: &[Self]) -> Self {
        let middle = |field: fn(&Self) -> f64| median(samples.iter().map(field));
        Self {
            cpu: middle(|sample| sample.cpu),
            rate: middle(|sample| sample.rate),
            p50: middle(|sample| sample.p50),
            p99: middle(|sample| sample.p99),
            failed: samples.iter().map(|sample| sample.failed).sum(),
            disturbed: middle(|sample| sample.disturbed),
        }
    }
}

/// What was seen of a server and of the machine while something was done.
pub struct Watched<T> {
    /// What came of it.
    pub result: T,
    /// How long it took.
    pub time: Duration,
    /// CPU time of the server.
    pub used: Duration,
    /// As in [`Sample::disturbed`].
    pub disturbed: f64,
}

/// Warms the proxy up and loads it for the time asked for with requests for `path` of `host`.
pub fn load(ground: &Ground, proxy: &Running, host: &str, path: &str) -> Outcome<Sample> {
    let url = format!("http://127.0.0.1:{}{path}", proxy.port());
    wrk(&url, host, WARM_UP_SECONDS)?;
    least_disturbed(|| {
        let watched = watched(proxy, &[&ground.origin], || wrk(&url, host, ground.options.seconds))?;
        let strange = || Failure::Unmet(format!("wrk said something unexpected:\n{}", watched.result));
        parse(&watched.result, watched.used, watched.disturbed).ok_or_else(strange)
    })
}

/// Measures again while others are at work, a few times; the least disturbed time counts.
pub fn least_disturbed(mut measure: impl FnMut() -> Outcome<Sample>) -> Outcome<Sample> {
    let mut best = measure()?;
    for _ in 1..TRIES {
        if best.disturbed <= DISTURBED {
            break;
        }
        let again = measure()?;
        if again.disturbed < best.disturbed {
            best = again;
        }
    }
    Ok(best)
}

/// Does `work`, in which `helpers` and children of this process load the server.
pub fn watched<T>(
    server: &Running,
    helpers: &[&Running],
    work: impl FnOnce() -> Outcome<T>,
) -> Outcome<Watched<T>> {
    // Of each core's time: all of it, and what the bench itself took beside the server.
    let all = || busy(LOAD_CORE) + busy(PROXY_CORE);
    let ours =
        || helpers.iter().map(|helper| helper.cpu()).sum::<Duration>() + ended_children() + kernel_threads();
    let (start, used_before, all_before, ours_before) = (Instant::now(), server.cpu(), all(), ours());
    let result = work()?;
    let time = start.elapsed();
    let used = server.cpu().saturating_sub(used_before);
    let ours = ours().saturating_sub(ours_before) + used;
    let others = all().saturating_sub(all_before).saturating_sub(ours);
    Ok(Watched { result, time, used, disturbed: others.as_secs_f64() / (2.0 * time.as_secs_f64()) })
}

fn wrk(url: &str, host: &str, seconds: u32) -> Outcome<String> {
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE, "wrk", "-t1", "-c32", "--latency"])
        .args(["-H", &format!("Host: {host}"), &format!("-d{seconds}s"), url])
        .output()
        .while_doing("starting wrk")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(said: &str, used: Duration, disturbed: f64) -> Option<Sample> {
    let after = |start: &str| said.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
    let requests: f64 =
        said.lines().find_map(|line| line.trim().split_once(" requests in "))?.0.parse().ok()?;
    let refused: f64 = after("Non-2xx or 3xx responses:").map_or(Some(0.0), |count| count.parse().ok())?;
    let broken: f64 = after("Socket errors:").map_or(0.0, |errors| {
        let counts = errors.split(", ").filter_map(|error| error.rsplit(' ').next()?.parse::<f64>().ok());
        counts.sum()
    });
    Some(Sample {
        cpu: used.as_secs_f64() * 1e6 / requests,
        rate: after("Requests/sec:")?.parse().ok()?,
        p50: microseconds(after("50%")?)?,
        p99: microseconds(after("99%")?)?,
        failed: refused + broken,
        disturbed,
    })
}

/// A time as wrk writes it: `812.00us`, `1.20ms`, `3.45s`.
fn microseconds(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// Asks once, and sees that the answer is a 200 of the right length.
pub fn check_answer(port: u16, host: &str, path: &str, length: usize) -> Outcome<()> {
    let (head, body) = answer(port, host, path)?;
    if body == length {
        return Ok(());
    }
    Err(Failure::Unmet(format!("port {port} answered {path} with {body} bytes, not {length}:\n{head}")))
}

/// Asks once; gives the head of the answer, which must be a 200, and the length of its body.
pub fn answer(port: u16, host: &str, path: &str) -> Outcome<(String, usize)> {
    let (head, body) = exchange(port, host, path).while_doing(format!("asking port {port} for {path}"))?;
    if head.starts_with("HTTP/1.1 200") {
        return Ok((head, body.len()));
    }
    Err(Failure::Unmet(format!("port {port} answered {path} with:\n{head}")))
}

/// A `GET` on a connection of its own, and the answer's head and body.
pub fn exchange(port: u16, host: &str, path: &str) -> io::Result<(String, Vec<u8>)> {
    talk(port, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// Sends this on a connection of its own; gives the answer's head and body.
pub fn talk(port: u16, request: &str) -> io::Result<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..read]);
        match lengths(&answer) {
            Some((head, length)) if read == 0 || answer.len() >= head + length => {
                let body = answer.split_off(head);
                return Ok((String::from_utf8_lossy(&answer).into_owned(), body));
            }
            None if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

/// Lets the origin's core fetch objects through a port, each once: `count` from number `first` on, of
/// `least` to `most` bytes.
pub fn fetch(ground: &Ground, port: u16, count: u64, least: u64, most: u64) -> Outcome<()> {
    let numbers = [u64::from(port), 0, count, least, most].map(|number| number.to_string());
    let status = Command::new("taskset")
        .args(["-c", LOAD_CORE])
        .arg(ground.programs.join("xtask"))
        .arg("fetch")
        .args(&numbers)
        .status()
        .while_doing("starting a client")?;
    if status.success() { Ok(()) } else { Err(Failure::Unmet(format!("the client ended with {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
Running 5s test @ http://127.0.0.1:8000/1k
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   645.11us  120.00us   4.00ms   90.00%
  Latency Distribution
     50%  629.00us
     75%  700.00us
     90%  812.00us
     99%    1.20ms
  100000 requests in 5.00s, 120.00MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 4
Requests/sec:  20000.50
Transfer/sec:     24.00MB
";

    #[test]
    fn what_wrk_says_is_read() {
        let sample = parse(SAID, Duration::from_secs(1), 0.5).unwrap();
        let expected =
            Sample { cpu: 10.0, rate: 20000.5, p50: 629.0, p99: 1200.0, failed: 7.0, disturbed: 0.5 };
        assert_eq!(sample, expected);
        assert_eq!(parse("unable to connect", Duration::ZERO, 0.0), None);
    }

    #[test]
    fn medians_are_taken_of_each_number_and_failures_are_kept() {
        let sample = |cpu, failed| Sample { cpu, rate: 1.0, p50: 1.0, p99: 1.0, failed, disturbed: 0.0 };
        let median = Sample::median_of(&[sample(9.0, 0.0), sample(1.0, 2.0), sample(2.0, 1.0)]);
        assert_eq!((median.cpu, median.failed), (2.0, 3.0));
    }
}
