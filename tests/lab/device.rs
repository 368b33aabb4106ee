//! A disk for one experiment: a file system on a loop device, which can be cut off.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use crate::Outcome;

/// Shuts down a file system by an ioctl. In Python, because Rust would need `unsafe`.
const CUT: &str = include_str!("cut.py");

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        })
    }
}

/// A file system that is mounted, or was. Dropping it unmounts it, which also gives the loop device back.
pub(crate) struct Device {
    image: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

impl Device {
    /// Makes a file system of this many MiB on a new image, and mounts it in `folder`.
    pub(crate) fn make(folder: &Path, kind: Kind, mebibytes: u64, more: &[&str]) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let image = folder.join("image");
        File::create(&image)?.set_len(mebibytes << 20)?;
        let name = image.display().to_string();
        match kind {
            Kind::Ext4 => {
                let lazy = "lazy_itable_init=1,lazy_journal_init=1";
                let words = [&["-q", "-F", "-E", lazy], more, &[&name]].concat();
                command("mkfs.ext4", &words)?;
            }
            Kind::Xfs => command("mkfs.xfs", &[&["-q", "-f"], more, &[&name]].concat())?,
        }
        let mut device = Self {
            image,
            mount: folder.join("disk"),
            mounted: false,
        };
        fs::create_dir_all(&device.mount)?;
        device.mount()?;
        Ok(device)
    }

    /// The mount point.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    pub(crate) fn mount(&mut self) -> Outcome {
        let [image, mount] = [&self.image, &self.mount].map(|path| path.display().to_string());
        command("mount", &["-o", "loop", &image, &mount])?;
        self.mounted = true;
        Ok(())
    }

    pub(crate) fn unmount(&mut self) -> Outcome {
        unmount(&self.mount)?;
        self.mounted = false;
        Ok(())
    }

    /// Syncs the file system.
    pub(crate) fn sync(&self) -> Outcome {
        command("sync", &["-f", &self.mount.display().to_string()])
    }

    /// Cuts the power, during use by a process or without one: unsynced data is lost, the process is dead, and the
    /// machine is up again. Returns the beginning and the end of the cut.
    pub(crate) fn cut(&mut self, process: Option<u32>) -> Outcome<(i64, i64)> {
        let process = process.unwrap_or(0).to_string();
        let mount = self.mount.display().to_string();
        let cut = Command::new("python3")
            .args(["-c", CUT, &mount, &process])
            .output()?;
        if !cut.status.success() {
            return Err(format!("cannot cut: {}", String::from_utf8_lossy(&cut.stderr)).into());
        }
        let from = String::from_utf8(cut.stdout)?.trim().parse()?;
        self.unmount()?;
        self.mount()?;
        Ok((from, monotonic()))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            println!("  {} is still mounted", self.mount.display());
        }
    }
}

/// Unmounts. A process that has just ended may hold the file system for a moment longer.
pub(crate) fn unmount(mount: &Path) -> Outcome {
    let mount = mount.display().to_string();
    let mut tries = 0;
    loop {
        match command("umount", &[&mount]) {
            Err(_) if tries < 100 => tries += 1,
            done => return done,
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a command of the system.
pub(crate) fn command(program: &str, words: &[&str]) -> Outcome {
    let output = Command::new(program).args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = words.join(" ");
    Err(format!(
        "{program} {words}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )
    .into())
}

/// Returns nanoseconds on the clock of the runners' events.
pub(crate) fn monotonic() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
