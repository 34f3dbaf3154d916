//! A crate uses only crates on lower floors, so that what decides never learns about what carries.

use std::process::Command;

use super::Finding;
use crate::failure::{Failure, Outcome, While};
use crate::root;

/// Every crate of the house and its floor.
const FLOORS: &[(&str, u8)] = &[
    ("config", 0),
    ("wire", 0),
    ("upstream", 1),
    ("engine", 1),
    ("cache", 2),
    ("bucket", 2),
    ("queue", 2),
    ("edge", 3),
    ("steer", 3),
    ("admin", 4),
    ("node", 5),
    ("lab", 6),
    ("nearside", 7),
    ("xtask", 8),
];

/// A crate of the workspace and the names of what it uses, in its tests as well.
pub struct Package {
    name: String,
    uses: Vec<String>,
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// Finds what uses a crate of its own floor or above, and crates that have no floor.
pub fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let place = format!("crate {}", package.name);
        let Some(own) = floor(&package.name) else {
            findings.push(Finding::new(place, "has no floor in xtask/src/house/floors.rs"));
            continue;
        };
        for used in &package.uses {
            if let Some(other) = floor(used).filter(|other| *other >= own) {
                let what = format!("is on floor {own} and uses {used} on floor {other}");
                findings.push(Finding::new(&place, what));
            }
        }
    }
    findings
}

/// Asks cargo for the workspace's crates.
pub fn read() -> Outcome<Vec<Package>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .while_doing("asking cargo for the workspace's crates")?;
    let strange = |what: &str| Failure::Unmet(format!("cargo metadata: {what}"));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| strange(&error.to_string()))?;
    let packages = metadata["packages"].as_array().ok_or_else(|| strange("no packages"))?;
    let name_of = |value: &serde_json::Value| value["name"].as_str().map(str::to_owned);
    let read_one = |package: &serde_json::Value| {
        let uses = package["dependencies"].as_array()?.iter().filter_map(name_of).collect();
        Some(Package { name: name_of(package)?, uses })
    };
    packages.iter().map(|package| read_one(package).ok_or_else(|| strange("a nameless package"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, uses: &[&str]) -> usize {
        let uses = uses.iter().map(|used| (*used).to_owned()).collect();
        check(&[Package { name: name.into(), uses }]).len()
    }

    #[test]
    fn lower_floors_and_crates_from_outside_may_be_used() {
        assert_eq!(findings("edge", &["config", "wire", "upstream", "tokio"]), 0);
        assert_eq!(findings("xtask", &["node", "nearside"]), 0);
    }

    #[test]
    fn the_same_floor_and_higher_ones_may_not() {
        assert_eq!(findings("edge", &["steer"]), 1);
        assert_eq!(findings("config", &["wire", "edge"]), 2);
        assert_eq!(findings("nearside", &["xtask"]), 1);
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        assert_eq!(findings("attic", &[]), 1);
    }

    #[test]
    fn cargo_names_this_crate() {
        let packages = read().unwrap();
        let own = packages.iter().find(|package| package.name == "xtask").unwrap();
        assert!(own.uses.iter().any(|used| used == "serde_json"));
    }
}
