//! A disk that fails: it claims more room than it has, and the block layer returns the error.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Outcome;
use crate::device::{Device, Kind, command, unmount};
use crate::list::Lab;
use crate::report::Report;
use crate::service::Manner;

const THREADS: usize = 8;
const FILES: usize = 1500;
/// The stated size of the disk in MiB, and its real size in KiB.
const CLAIMED: u64 = 64;
const THERE_IS: std::ops::Range<u64> = 5000..8000;
/// The exit codes of storage that failed.
const STORAGE: [i32; 2] = [7, 6];

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    rounds: usize,
    random: &mut fastrand::Rng,
) -> Outcome {
    crate::rounds(report, rounds, |report, _| one_round(lab, report, random))
}

fn one_round(lab: &Lab, report: &mut Report, random: &mut fastrand::Rng) -> Outcome {
    let manner = Manner {
        longest: Duration::from_millis(random.u64(..4)),
        padding: 12_000,
        ..Manner::default()
    };
    let name = report.folder();
    let memory = Memory::mount(
        &lab.folder.join(format!("{name}-memory")),
        random.u64(THERE_IS),
    )?;
    let mut device = Device::make(&memory.0, Kind::Ext4, CLAIMED, &["-E", "nodiscard"])?;
    let mut list = lab.list(&name, FILES, THREADS, manner, Some(device.path()))?;
    let status = list.give(&list.run())?;
    report.figure("rounds", 1);
    list.crashed();
    let code = status.code();
    if !code.is_some_and(|code| STORAGE.contains(&code)) {
        report.fail(format!("the disk failed, and the run ended with {code:?}"));
    }
    // The disk is repaired: there is room, and the file system replays its journal.
    device.unmount()?;
    memory.grow()?;
    device.mount()?;
    if report.note(&list.judge(None)?, "after the disk has failed") {
        let last = list.give(&list.run())?;
        let evidence = list.evidence(Some(last))?;
        report.note(&crate::oracle::judge(&evidence), "at the end");
        evidence.sum_up(report);
    }
    if !report.has_failed() {
        list.remove()?;
    }
    drop(device);
    Ok(())
}

/// A folder in memory with limited room.
struct Memory(PathBuf);

impl Memory {
    fn mount(path: &Path, kibibytes: u64) -> Outcome<Self> {
        fs::create_dir(path)?;
        let name = path.display().to_string();
        command(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={kibibytes}k"),
                "tmpfs",
                &name,
            ],
        )?;
        Ok(Self(path.to_owned()))
    }

    fn grow(&self) -> Outcome {
        command(
            "mount",
            &["-o", "remount,size=200m", &self.0.display().to_string()],
        )
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if unmount(&self.0).is_err() {
            println!("  {} is still mounted", self.0.display());
        }
    }
}
