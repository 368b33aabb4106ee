//! Disk errors at every system call, once or from then on, and writes that lie.

use crate::calls::{FILES, MANNER, THREADS};
use crate::list::{Lab, List};
use crate::report::Report;
use crate::strace::{Point, Tampered};
use crate::{Outcome, points};

/// The call that fails, its fault, and whether later calls fail too.
const FAULTS: [(&str, &str, bool); 12] = [
    ("pwrite64", "error=EIO", true),
    ("pwrite64", "error=ENOSPC", true),
    ("fsync", "error=EIO", true),
    ("fsync", "error=ENOSPC", true),
    ("fdatasync", "error=EIO", true),
    // A failing sync that takes time: code that does not wait for it runs ahead.
    ("fsync", "error=EIO:delay_enter=20000", false),
    ("fdatasync", "error=EIO:delay_enter=20000", false),
    ("ftruncate", "error=EIO", true),
    ("ftruncate", "error=ENOSPC", true),
    ("fallocate", "error=ENOSPC", true),
    ("openat", "error=EMFILE", true),
    // A write that reports a hundred bytes and writes none.
    ("pwrite64", LIE, false),
];
const LIE: &str = "retval=100";

/// Storage failed, and the database is unusable.
const STORAGE: [i32; 2] = [7, 6];
/// Exit codes that no system error may cause: a bug, and an uncaught panic.
const PANICS: [i32; 2] = [70, 101];
/// The system could not start the program.
const NO_PROGRAM: i32 = 127;

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    every: usize,
    only: Option<&str>,
    random: &mut fastrand::Rng,
) -> Outcome {
    for (call, fault, also_for_good) in FAULTS {
        if only.is_some_and(|only| only != call) {
            continue;
        }
        for for_good in [false, true] {
            if for_good && !also_for_good {
                continue;
            }
            points(every, random, |n| {
                let point = Point {
                    call,
                    fault,
                    n,
                    for_good,
                };
                one_point(lab, report, point)
            })?;
        }
    }
    Ok(())
}

/// Tests one point. Returns whether there was such a call.
fn one_point(lab: &Lab, report: &mut Report, point: Point<'_>) -> Outcome<bool> {
    let mut list = lab.list(&report.folder(), FILES, THREADS, MANNER, None)?;
    let tampered = point.give(&list, &list.run())?;
    if tampered.calls.is_empty() {
        list.remove()?;
        return Ok(false);
    }
    report.figure("points", 1);
    let code = tampered.status.code();
    report.figure(outcome(code), 1);
    // Calls in flight at its end are in doubt, as after a crash.
    if code != Some(0) {
        list.crashed();
    }
    let good = if point.fault == LIE {
        lied_to(&list, report, point, &tampered)?
    } else {
        failed(&list, report, point, &tampered)?
    };
    if good {
        list.remove()?;
    }
    Ok(true)
}

fn outcome(code: Option<i32>) -> &'static str {
    match code {
        Some(0) => "ended 0",
        Some(1) => "ended 1",
        Some(2) => "ended 2",
        Some(3) => "ended 3",
        Some(6) => "ended 6",
        Some(7) => "ended 7",
        Some(NO_PROGRAM) => "not even begun",
        _ => "ended otherwise",
    }
}

/// The allowed consequences of a system error.
fn failed(list: &List, report: &mut Report, point: Point<'_>, met: &Tampered) -> Outcome<bool> {
    let code = met.status.code();
    let mut good = is_decent(report, point, code);
    let expected = code.is_some_and(|code| code == 0 || STORAGE.contains(&code));
    if met.met(list) && !expected && code != Some(NO_PROGRAM) {
        report.fail(format!(
            "{point}: ended with {code:?} at {:?}",
            met.calls.first()
        ));
        good = false;
    }
    let mut last = list.give(&list.run())?;
    if last.code() == Some(3) {
        // A file that could not be opened has failed; only `retry` calls it again.
        report.figure("retries", 1);
        let mut words = list.resume();
        "retry".clone_into(words.first_mut().ok_or("no word")?);
        last = list.give(&words)?;
    }
    good &= report.note(&list.judge(Some(last))?, &point.to_string());
    Ok(good)
}

/// The allowed consequences of a lie: stride detects it, or it does no harm.
fn lied_to(list: &List, report: &mut Report, point: Point<'_>, met: &Tampered) -> Outcome<bool> {
    let mut good = is_decent(report, point, met.status.code());
    let seen = |code: Option<i32>| code.is_some_and(|code| STORAGE.contains(&code));
    let last = list.give(&list.run())?;
    good &= is_decent(report, point, last.code());
    let evidence = list.evidence(Some(last))?;
    if seen(last.code()) || evidence.unsound.is_some() {
        report.figure("lies seen, and still to be seen", 1);
        return Ok(good);
    }
    let mut broken = crate::oracle::judge(&evidence);
    if seen(met.status.code()) {
        // The next reader takes a hole in the WAL for its end, and cannot know that more followed.
        let before = broken.len();
        broken.retain(|broken| !(2..=4).contains(&broken.rule));
        let lost = broken.len() < before;
        report.figure("lies seen, and something lost", usize::from(lost));
        report.figure("lies seen, and nothing lost", usize::from(!lost));
    } else {
        report.figure("lies without harm", 1);
    }
    good &= report.note(&broken, &point.to_string());
    Ok(good)
}

/// Returns true if it exited by itself and without a panic.
fn is_decent(report: &mut Report, point: Point<'_>, code: Option<i32>) -> bool {
    let good = code.is_some_and(|code| !PANICS.contains(&code));
    if !good {
        report.fail(format!("{point}: ended with {code:?}"));
    }
    good
}
