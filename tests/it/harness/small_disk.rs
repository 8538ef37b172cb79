//! A folder that is a disk of its own, which can be filled.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::Sandbox;

/// A disk, in a mount namespace that ends with this. The programs of the sandbox run there.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    holder: Child,
    sandbox: Sandbox,
}

/// The same sandbox, in which an existing folder is a disk of this size, such as `16M`.
pub(crate) fn small_disk(sandbox: Sandbox, folder: &str, size: &str) -> (Sandbox, SmallDisk) {
    let mut unshare = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let mount = format!("mount -t tmpfs -o size={size} none {folder} && echo mounted && exec sleep infinity");
    let mut holder = unshare
        .args(["--mount", "sh", "-c", &mount])
        .current_dir(sandbox.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "mounted\n", "a namespace of its own for a small disk: Linux permits it to root");
    let target = holder.id().to_string();
    let mut enter = vec!["nsenter", "--target", &target, "--mount", "--wd"];
    if !rustix::process::getuid().is_root() {
        enter.extend(["--user", "--preserve-credentials"]);
    }
    enter.push("--");
    let sandbox = sandbox.through(&enter);
    let disk = SmallDisk { holder, sandbox: sandbox.again() };
    (sandbox, disk)
}

impl SmallDisk {
    /// Runs a shell command that must succeed, where the sandbox's programs run.
    pub(crate) fn run(&self, script: &str) {
        let ran = self.sandbox.command("sh".as_ref()).args(["-c", script]).output().unwrap();
        assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
