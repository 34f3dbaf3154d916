//! A process on its core, and what the system says of it and of its children: CPU time and memory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Failure, Outcome, While};

const TO_START: Duration = Duration::from_secs(20);
const TO_END: Duration = Duration::from_secs(3);
/// Linux's `kthreadd`, whose children all threads of the kernel are.
const KERNEL_THREADS: u32 = 2;
const GLANCE: Duration = Duration::from_millis(10);

/// A process that listens, ended when this is dropped.
pub struct Running {
    child: Child,
    port: u16,
}

/// Memory of a process and its children, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// All pages that are in memory, those shared counted in each process.
    pub resident: u64,
    /// The same, with shared pages divided among those that share them.
    pub proportional: u64,
}

impl Running {
    /// Starts a program on one core, its output in `log`, and waits until `port` accepts.
    pub fn start(core: &str, line: &[String], log: &Path, port: u16) -> Outcome<Self> {
        let name = line.first().map_or("", String::as_str);
        let output = File::create(log).while_doing(format!("writing {}", log.display()))?;
        let errors = output.try_clone().while_doing("sharing a log")?;
        let child = Command::new("taskset")
            .args(["-c", core])
            .args(line)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .while_doing(format!("starting {name}"))?;
        let mut running = Self { child, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = running.child.try_wait().while_doing(format!("watching {name}"))?;
            if ended.is_some() || start.elapsed() > TO_START {
                let said = fs::read_to_string(log).unwrap_or_default();
                let what = format!("{name} does not listen on port {port}; it said:\n{said}");
                return Err(Failure::Unmet(what));
            }
            sleep(GLANCE);
        }
        Ok(running)
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// CPU time so far, user and system.
    pub fn cpu(&self) -> Duration {
        self.family().into_iter().map(cpu).sum()
    }

    /// Memory now.
    pub fn memory(&self) -> Memory {
        let all = self.family().into_iter().map(memory);
        all.fold(Memory::default(), |sum, one| Memory {
            resident: sum.resident + one.resident,
            proportional: sum.proportional + one.proportional,
        })
    }

    /// The most memory that it has had in pages so far, without its children, in bytes.
    pub fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        kibibytes(&status.unwrap_or_default(), "VmHWM:")
    }

    /// Ends it with this signal, and waits until it has ended by itself.
    pub fn end(mut self, signal: Signal) -> Outcome<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map_or(Ok(()), |pid| kill_process(pid, signal)).map_err(std::io::Error::from);
        sent.while_doing("ending a process")?;
        self.child.wait().while_doing("waiting for a process to end").map(drop)
    }

    /// The process and all its descendants.
    fn family(&self) -> Vec<u32> {
        let mut children = children_of_all();
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(member) = family.get(next) {
            family.extend(children.remove(member).unwrap_or_default());
            next += 1;
        }
        family
    }
}

impl Drop for Running {
    /// Asks the process to end, so that a master ends its workers, and insists after a while.
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let asked = Instant::now();
        while asked.elapsed() < TO_END && matches!(self.child.try_wait(), Ok(None)) {
            sleep(GLANCE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The children of each process that has any.
fn children_of_all() -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (child, parent) in fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let child = entry.file_name().to_str()?.parse().ok()?;
        Some((child, parent_of(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
    }) {
        children.entry(parent).or_default().push(child);
    }
    children
}

/// The parent in a line of `/proc/PID/stat`: the second field after the name, which may itself
/// contain spaces and brackets.
fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Nanoseconds on a CPU of all threads, which the scheduler counts exactly; the ticks of
/// `/proc/PID/stat` are of 10 ms.
fn cpu(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

/// CPU time of the kernel's own threads, which work for whoever writes to a disk.
pub fn kernel_threads() -> Duration {
    children_of_all().remove(&KERNEL_THREADS).unwrap_or_default().into_iter().map(cpu).sum()
}

/// CPU time of this process's children that have ended, to a tick of 10 ms.
pub fn ended_children() -> Duration {
    ended_children_in(&fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

/// The same, from a line of `/proc/PID/stat`: its fields 16 and 17.
fn ended_children_in(stat: &str) -> Duration {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Time that a core has spent on processes, or was not given by the machine below.
pub fn busy(core: &str) -> Duration {
    busy_in(&fs::read_to_string("/proc/stat").unwrap_or_default(), core)
}

/// The same, from the text of `/proc/stat`, in ticks of 10 ms: all but idle time and waiting for
/// disks. Interrupts are in it, as the scheduler counts them for the process they interrupt.
fn busy_in(stat: &str, core: &str) -> Duration {
    let name = format!("cpu{core} ");
    let fields = stat.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
    let ticks: Vec<u64> = fields.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let wanted = [0, 1, 2, 5, 6, 7].map(|field| ticks.get(field).copied().unwrap_or(0));
    Duration::from_millis(wanted.iter().sum::<u64>() * 10)
}

fn memory(pid: u32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    Memory { resident: kibibytes(&text, "Rss:"), proportional: kibibytes(&text, "Pss:") }
}

/// A field of `smaps_rollup`, in bytes.
fn kibibytes(text: &str, field: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(field)?.split_whitespace().next()?.parse::<u64>().ok();
    text.lines().find_map(value).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_past_strange_names() {
        assert_eq!(parent_of("12 (a b) c) S 7 12 12 0"), Some(7));
        assert_eq!(parent_of("12"), None);
    }

    #[test]
    fn time_of_ended_children_is_read() {
        let stat = "12 (a) S 7 12 12 0 -1 4 100 0 0 0 11 12 13 14 20 0 1 0";
        assert_eq!(ended_children_in(stat), Duration::from_millis(270));
    }

    #[test]
    fn fields_are_in_bytes() {
        let text = "0-1 ---p 0 0 [rollup]\nRss:     1600 kB\nPss:      367 kB\nPss_Dirty: 1 kB\n";
        assert_eq!((kibibytes(text, "Rss:"), kibibytes(text, "Pss:")), (1600 * 1024, 367 * 1024));
    }

    #[test]
    fn busy_time_is_of_one_core_and_without_idle_time() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 3 100 50 7 8 4 9 9\ncpu11 9 9 9 9 9 9 9 9 0 0\n";
        assert_eq!(busy_in(stat, "1"), Duration::from_millis(250));
        assert_eq!(busy_in("", "1"), Duration::ZERO);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        assert!(cpu(std::process::id()) > Duration::ZERO);
        assert!(memory(std::process::id()).resident > 0);
    }
}
