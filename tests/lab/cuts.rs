//! Power cuts in the middle of a run.

use std::fs;
use std::time::Duration;

use crate::device::{Device, Kind};
use crate::list::{Lab, List};
use crate::report::Report;
use crate::service::Manner;
use crate::{Outcome, is_stopped};

const THREADS: usize = 8;
/// The time from a runner's start to the power cut, in milliseconds.
const MOMENT: std::ops::Range<u64> = 30..500;
/// The smallest size that both file systems accept.
const MEBIBYTES: u64 = 400;

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    cuts: usize,
    kind: Kind,
    random: &mut fastrand::Rng,
) -> Outcome {
    let folder = lab.folder.join(report.folder());
    let mut device = Device::make(&folder, kind, MEBIBYTES, &[])?;
    let mut left = cuts;
    while left > 0 && !is_stopped() && !report.has_failed() {
        let manner = Manner {
            longest: Duration::from_millis(random.u64(..6)),
            ..Manner::default()
        };
        let files = random.usize(200..2500);
        let name = report.folder();
        let disk = device.path().join(&name);
        fs::create_dir(&disk)?;
        device.sync()?;
        let mut list = lab.list(&name, files, THREADS, manner, Some(&disk))?;
        one_list(&mut list, &mut device, report, &mut left, random)?;
        report.figure("lists", 1);
        if !report.has_failed() {
            list.remove()?;
        }
    }
    if report.has_failed() {
        // The image keeps the disk's contents, and the list's folder the last copy of the database.
        return Ok(());
    }
    drop(device);
    fs::remove_dir_all(folder)?;
    Ok(())
}

fn one_list(
    list: &mut List,
    device: &mut Device,
    report: &mut Report,
    left: &mut usize,
    random: &mut fastrand::Rng,
) -> Outcome {
    let mut cuts = 0;
    while *left > 0 && !is_stopped() {
        let mut run = list.begin(&list.run())?;
        let ended = run.during(Duration::from_millis(random.u64(MOMENT)))?;
        *left -= 1;
        report.figure("cuts", 1);
        // A run that has just ended has promised the most.
        let down = device.cut(ended.is_none().then(|| run.pid()))?;
        list.cut_off(down, ended.is_none());
        cuts += 1;
        drop(run);
        let evidence = list.evidence(ended)?;
        let moment = format!("after cut {cuts}");
        if !report.note(&crate::oracle::judge(&evidence), &moment) {
            return Ok(());
        }
        if ended.is_some() {
            report.figure("cut after the end", 1);
            evidence.sum_up(report);
            return Ok(());
        }
    }
    let last = list.give(&list.run())?;
    let evidence = list.evidence(Some(last))?;
    report.note(&crate::oracle::judge(&evidence), "at the end");
    evidence.sum_up(report);
    Ok(())
}
