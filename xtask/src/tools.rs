//! The programs from outside that tests and benches use, and how they come onto the machine.
//!
//! What is there already is used as it is; what is missing is named first and then installed with
//! apt-get, so that a fresh Debian with Rust needs no other preparation.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};
use crate::step::{command, step};

/// A program and the Debian package that brings it.
pub struct Tool {
    program: &'static str,
    package: &'static str,
}

/// What `cargo xtask test` needs.
pub const FOR_TESTS: &[Tool] = &[
    Tool { program: "curl", package: "curl" },
    Tool { program: "nginx", package: "nginx-light" },
    Tool { program: "redis-server", package: "redis-server" },
];

/// What `cargo xtask bench` needs.
pub const FOR_BENCHES: &[Tool] = &[
    Tool { program: "nginx", package: "nginx-light" },
    Tool { program: "haproxy", package: "haproxy" },
    Tool { program: "varnishd", package: "varnish" },
    Tool { program: "wrk", package: "wrk" },
    Tool { program: "taskset", package: "util-linux" },
];

/// Installs what of `tools` is missing, saying so first.
pub fn provide(tools: &[Tool]) -> Outcome<()> {
    let mut packages = Vec::new();
    for tool in tools.iter().filter(|tool| find(tool.program).is_none()) {
        println!("missing: {}, to be installed from Debian's package {}", tool.program, tool.package);
        packages.push(tool.package);
    }
    if packages.is_empty() {
        return Ok(());
    }
    step("apt-get update", || apt_get(&["update", "-q"]))?;
    step(&format!("apt-get install {}", packages.join(" ")), || {
        apt_get(&[&["install", "-q", "-y", "--no-install-recommends"], packages.as_slice()].concat())
    })
}

/// Where a program lies: in `PATH` or in the folders for services, which `PATH` often leaves out.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn apt_get(arguments: &[&str]) -> Outcome<()> {
    if find("apt-get").is_none() {
        return Err(Failure::Unmet("no apt-get here: install the missing programs by hand".into()));
    }
    let as_root: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["sudo", "-n"] };
    let program = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    command(&[as_root, &program, arguments].concat())
}

/// A program that [`provide`] has seen to.
pub fn found(program: &str) -> Outcome<PathBuf> {
    find(program).ok_or_else(|| Failure::Unmet(format!("{} was not found", Path::new(program).display())))
}
