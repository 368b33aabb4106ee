//! Requirements of experiments.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Experiment;
use crate::device::Kind;

/// Returns the missing requirements of an experiment, or `None`.
pub(crate) fn lacking(experiment: Experiment, fs: Option<Kind>) -> Option<String> {
    let mut lack = Vec::new();
    match experiment {
        Experiment::Calls | Experiment::Errors
            if !runs("strace", &["-qq", "-o", "/dev/null", "true"]) =>
        {
            lack.push("strace, or no right to use it");
        }
        Experiment::Workers if !runs("python3", &["--version"]) => lack.push("python3"),
        Experiment::Cuts | Experiment::Exports | Experiment::Thin => {
            if !rustix::process::geteuid().is_root() {
                lack.push("root");
            }
            if !Path::new("/dev/loop-control").exists() {
                lack.push("loop devices");
            }
            if fs == Some(Kind::Xfs) {
                if !runs("mkfs.xfs", &["-V"]) {
                    lack.push("mkfs.xfs");
                }
            } else if !runs("mkfs.ext4", &["-V"]) {
                lack.push("mkfs.ext4");
            }
            if experiment != Experiment::Thin && !runs("python3", &["--version"]) {
                lack.push("python3");
            }
        }
        _ => {}
    }
    (!lack.is_empty()).then(|| format!("this machine has no {}", lack.join(", no ")))
}

/// Returns true if a program is installed and succeeds.
fn runs(program: &str, words: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
