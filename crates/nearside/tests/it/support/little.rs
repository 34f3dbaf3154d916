//! A folder in which a disk is soon full.

use std::process::Command;

/// The same command in a namespace of its own where this folder, of the one where it runs, has so little room
/// (a size as `mount` reads it).
pub fn with_little_room(command: &Command, folder: &str, size: &str) -> Command {
    let script = format!("mkdir -p {folder} && mount -t tmpfs -o size={size} little {folder} && exec \"$@\"");
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    unshare.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => unshare.env(name, value),
            None => unshare.env_remove(name),
        };
    }
    unshare
}
