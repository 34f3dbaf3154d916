//! A Redis server of a test's own.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{free_address, until};

/// A running server; killed when it is dropped.
pub struct Redis {
    address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Redis {
    /// One that keeps nothing on disk, and takes connections when this returns.
    #[track_caller]
    pub fn start() -> Self {
        let (address, folder) = (free_address(), tempfile::tempdir().unwrap());
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &address.port().to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed; `cargo xtask test` says how");
        until("redis-server takes connections", || TcpStream::connect(address).is_ok());
        Self { address, child, folder }
    }

    /// As `shared` in `[cache]` names it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Stops its process, so that it takes connections and answers nothing.
    pub fn hang(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended before.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
