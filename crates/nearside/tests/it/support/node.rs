//! The real program as a process of its own, on ports of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::client::Client;
use super::{LIMIT, comes_true, free_address, until};

/// The program without anything of the environment that could change what it does.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearside"));
    for name in ["NEARSIDE_ADMIN", "NEARSIDE_ADMIN_TOKEN", "NO_COLOR", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A running node; killed when it is dropped, and with it the processes that took over from it.
pub struct Nearside {
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Where operators come in.
    pub admin: SocketAddr,
    folder: TempDir,
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Nearside {
    /// Runs `nearside run` with this file, to which a `[[listen]]` and an `[admin]` are added.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &["--grace", "0s"])
    }

    /// The same with these further arguments, and ready when this returns.
    #[track_caller]
    pub fn start_with(config: &str, args: &[&str]) -> Self {
        Self::start_by(config, args, |command, _| command)
    }

    /// The same, started as `wrap` says: with variables, say, or with another program before it, that
    /// has the address where clients will come in.
    #[track_caller]
    pub fn start_by(config: &str, args: &[&str], wrap: impl FnOnce(Command, SocketAddr) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (listen, admin) = (free_address(), free_address());
        let file = folder.path().join("nearside.toml");
        write(&file, config, listen, admin);
        let mut run = command();
        run.arg("run").arg("-c").arg(&file).args(args);
        Self::spawn(wrap(run, listen), listen, admin, folder)
    }

    /// Runs `nearside proxy` in front of these endpoints, with these further arguments.
    #[track_caller]
    pub fn proxy(to: &[&str], args: &[&str]) -> Self {
        Self::proxy_with(to, args, &[])
    }

    /// The same with these variables in its environment.
    #[track_caller]
    pub fn proxy_with(to: &[&str], args: &[&str], variables: &[(&str, &str)]) -> Self {
        let (listen, admin) = (free_address(), free_address());
        let mut proxy = command();
        proxy.args(["proxy", "--grace", "0s"]);
        proxy.arg("--listen").arg(listen.to_string());
        proxy.arg("--admin").arg(format!("http://{admin}"));
        for url in to {
            proxy.arg("--to").arg(url);
        }
        proxy.args(args).envs(variables.iter().copied());
        Self::spawn(proxy, listen, admin, tempfile::tempdir().unwrap())
    }

    #[track_caller]
    fn spawn(command: Command, listen: SocketAddr, admin: SocketAddr, folder: TempDir) -> Self {
        let (child, said) = launch(command, folder.path());
        let mut node = Self { listen, admin, folder, child, said };
        node.assert_ready();
        node
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Runs it again after its end: the same file, folder and addresses.
    #[track_caller]
    pub fn start_again(&mut self) {
        let mut run = command();
        run.arg("run").arg("-c").arg(self.file()).args(["--grace", "0s"]);
        (self.child, self.said) = launch(run, self.folder());
        self.assert_ready();
    }

    #[track_caller]
    fn assert_ready(&mut self) {
        let ready = comes_true(LIMIT, || self.is_ready() || self.has_ended());
        assert!(ready && !self.has_ended(), "it did not start: {}", self.said());
    }

    /// Can it take requests and signals, and has it said what it is?
    fn is_ready(&self) -> bool {
        let answer = Client::connect(self.admin).and_then(|mut client| client.get("/readyz"));
        answer.is_ok_and(|answer| answer.status() == 200)
            && self.follows_signals()
            && self.said().contains(&self.admin.to_string())
    }

    /// Has it taken the signals that it follows? One that comes before ends it, as it ends any program.
    fn follows_signals(&self) -> bool {
        let wanted: u64 =
            [Signal::HUP, Signal::TERM, Signal::USR2].iter().map(|signal| 1 << (signal.as_raw() - 1)).sum();
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let caught = status
            .unwrap_or_default()
            .lines()
            .find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
        caught.is_some_and(|caught| caught & wanted == wanted)
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The file that it runs.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("nearside.toml")
    }

    /// A folder of its own, where its file is and relative paths begin.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes another file, with the same addresses; the node has not read it yet.
    pub fn rewrite(&self, config: &str) {
        write(&self.file(), config, self.listen, self.admin);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said on standard error.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits till it has said this.
    #[track_caller]
    pub fn until_said(&self, text: &str) {
        until(&format!("it says {text:?}"), || self.said().contains(text));
    }

    /// The answer of its admin API to GET.
    #[track_caller]
    pub fn ask(&self, path: &str) -> super::Message {
        super::get(self.admin, path)
    }

    /// A connection to its listener.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.listen).unwrap()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        assert!(comes_true(limit, || self.has_ended()), "it goes on: {}", self.said());
        self.child.wait().unwrap()
    }

    /// Ends it with SIGTERM, and returns how it ended.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(LIMIT)
    }
}

impl Drop for Nearside {
    fn drop(&mut self) {
        let _ended = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _status = self.child.wait();
    }
}

/// Starts it as the first of a group of processes, and listens to what it says.
fn launch(mut command: Command, folder: &Path) -> (Child, Arc<Mutex<String>>) {
    let mut child = command
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let said = Arc::new(Mutex::new(String::new()));
    let (mut lines, heard) = (BufReader::new(child.stderr.take().unwrap()), said.clone());
    std::thread::spawn(move || {
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
            heard.lock().unwrap().push_str(&line);
            line.clear();
        }
    });
    (child, said)
}

fn write(file: &Path, config: &str, listen: SocketAddr, admin: SocketAddr) {
    let text = format!("[[listen]]\naddress = \"{listen}\"\n\n[admin]\nlisten = \"{admin}\"\n\n{config}");
    std::fs::write(file, text).unwrap();
}
