//! Exports: after every fault the target is the old file or the new one, and the new one once stride has reported it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Outcome;
use crate::device::{Device, Kind};
use crate::list::{Lab, List};
use crate::report::Report;
use crate::service::Manner;

const FILES: usize = 400;
const PADDING: usize = 20_000;
const MEBIBYTES: u64 = 400;
const FORMATS: [&str; 3] = ["json", "jsonl", "csv"];

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    rounds: usize,
    kind: Kind,
    random: &mut fastrand::Rng,
) -> Outcome {
    let manner = Manner {
        padding: PADDING,
        ..Manner::default()
    };
    let list = lab.list(&report.folder(), FILES, 8, manner, None)?;
    let finished = list.give(&list.run())?;
    report.note(&list.judge(Some(finished))?, "before the exports");
    // The expected bytes of each export, made on a disk that is not cut off.
    let mut whole = Vec::new();
    for format in FORMATS {
        let path = list.folder.join(format!("whole.{format}"));
        if list.give(&export(&list, format, &path))?.code() != Some(0) {
            return Err("the run cannot be exported".into());
        }
        whole.push(fs::read(&path)?);
    }
    let folder = lab.folder.join(report.folder());
    let mut device = Device::make(&folder, kind, MEBIBYTES, &[])?;
    let mut old = None;
    crate::rounds(report, rounds, |report, round| {
        // A different format each time, so that the new file differs from the old one.
        let new = round % FORMATS.len();
        let words = export(&list, FORMATS[new], &device.path().join("results"));
        // In turns, so that few rounds have both kinds, too.
        let cut_in_the_middle = round % 2 == 1;
        let mut run = list.begin(&words)?;
        let ended = if cut_in_the_middle {
            run.during(Duration::from_millis(random.u64(1..50)))?
        } else {
            run.during(Duration::from_secs(60))?
        };
        match ended.map(|status| status.code()) {
            None => {
                device.cut(Some(run.pid()))?;
                report.figure("cut in the middle", 1);
            }
            Some(Some(0)) => {
                device.cut(None)?;
                report.figure("cut after success", 1);
            }
            Some(code) => report.fail(format!("an export ended with {code:?}")),
        }
        drop(run);
        let found = fs::read(device.path().join("results")).ok();
        let is = found
            .as_ref()
            .and_then(|found| whole.iter().position(|whole| whole == found));
        let good = match (ended, &found) {
            (Some(_), _) => is == Some(new),
            (None, None) => old.is_none(),
            (None, Some(_)) => is == Some(new) || (is.is_some() && is == old),
        };
        if !good {
            let (was, size) = (
                old.map(|old: usize| FORMATS[old]),
                found.map(|found| found.len()),
            );
            report.fail(format!(
                "round {round}: after an export of {} over {was:?} there is {:?} of {size:?} bytes; it had ended: {}",
                FORMATS[new],
                is.map(|is| FORMATS[is]),
                ended.is_some()
            ));
        }
        old = is;
        Ok(())
    })?;
    kills(&list, report, rounds * 4, &whole, random)?;
    if report.has_failed() {
        return Ok(());
    }
    drop(device);
    fs::remove_dir_all(folder)?;
    list.remove()
}

/// The same with `kill -9`: the next export removes the leftovers beside the target.
fn kills(
    list: &List,
    report: &mut Report,
    rounds: usize,
    whole: &[Vec<u8>],
    random: &mut fastrand::Rng,
) -> Outcome {
    let folder = list.folder.join("killed");
    fs::create_dir(&folder)?;
    let target = folder.join("results");
    for round in 0..rounds {
        let mut run = list.begin(&export(list, FORMATS[round % FORMATS.len()], &target))?;
        let ended = run.during(Duration::from_micros(random.u64(500..40_000)))?;
        if ended.is_none() && run.kill()? {
            report.figure("kills", 1);
        }
        let found = fs::read(&target).ok();
        if found.is_some_and(|found| !whole.contains(&found)) {
            report.fail(format!("round {round}: a killed export left half a file"));
        }
    }
    let last = list.give(&export(list, FORMATS[0], &target))?;
    let left = fs::read_dir(&folder)?.count();
    if last.code() != Some(0) || left != 1 || fs::read(&target)? != whole[0] {
        report.fail(format!(
            "the last export ended with {last}, and left {left} files"
        ));
    }
    Ok(())
}

fn export(list: &List, format: &str, to: &Path) -> Vec<String> {
    let (database, to) = (
        list.database.display().to_string(),
        to.display().to_string(),
    );
    let words = ["export", "--db", &database, "--format", format, "-o", &to];
    words.map(str::to_owned).into()
}
