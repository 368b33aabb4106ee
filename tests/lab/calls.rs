//! `kill -9` at every system call that changes something, one after the other.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use crate::list::Lab;
use crate::report::Report;
use crate::service::Manner;
use crate::strace::Point;
use crate::{Outcome, points};

/// System calls with visible effects. Which of two equivalent ones is used depends on the system.
const CALLS: [&str; 15] = [
    "pwrite64",
    "fsync",
    "fdatasync",
    "sendto",
    "sendmsg",
    "writev",
    "write",
    "ftruncate",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "openat",
    "flock",
];
/// Few, so that every point is reached quickly; and one more than the threads, so that one thread makes a second call.
pub(crate) const FILES: usize = 6;
pub(crate) const THREADS: usize = 2;
pub(crate) const MANNER: Manner = Manner {
    shortest: Duration::from_millis(1),
    longest: Duration::from_millis(4),
    padding: 0,
};

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    every: usize,
    only: Option<&str>,
    random: &mut fastrand::Rng,
) -> Outcome {
    for call in CALLS
        .into_iter()
        .filter(|call| only.is_none_or(|only| only == *call))
    {
        points(every, random, |n| {
            let point = Point {
                call,
                fault: "signal=KILL",
                n,
                for_good: false,
            };
            one_point(lab, report, point)
        })?;
    }
    Ok(())
}

/// Tests one point. Returns whether the run died at it.
fn one_point(lab: &Lab, report: &mut Report, point: Point<'_>) -> Outcome<bool> {
    let mut list = lab.list(&report.folder(), FILES, THREADS, MANNER, None)?;
    let status = point.give(&list, &list.run())?.status;
    let killed = status.signal() == Some(9);
    if killed {
        list.crashed();
        report.figure("points", 1);
        let last = list.give(&list.run())?;
        if report.note(&list.judge(Some(last))?, &point.to_string()) {
            list.remove()?;
        }
    } else {
        if report.note(
            &list.judge(Some(status))?,
            &format!("{point}, which it survived"),
        ) {
            list.remove()?;
        }
    }
    Ok(killed)
}
