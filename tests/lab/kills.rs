//! `kill -9` at random moments, again and again, over lists of all lengths.

use std::time::Duration;

use crate::list::{Lab, List};
use crate::report::Report;
use crate::service::Manner;
use crate::{Outcome, is_stopped};

/// The shape of a list's calls, and the lifetime of its runners.
struct Shape {
    threads: usize,
    /// The shortest and the longest call, in milliseconds.
    call: (u64, u64),
    /// The maximum number of files in the list.
    files: usize,
    /// The longest life of a runner, in milliseconds.
    life: u64,
}

/// Lists use these in turn.
const SHAPES: [Shape; 5] = [
    Shape {
        threads: 8,
        call: (0, 20),
        files: 2500,
        life: 300,
    },
    Shape {
        threads: 1,
        call: (0, 3),
        files: 300,
        life: 300,
    },
    Shape {
        threads: 1000,
        call: (0, 20),
        files: 2500,
        life: 600,
    },
    // With calls of a second, most kills hit a call in flight.
    Shape {
        threads: 8,
        call: (1000, 1000),
        files: 60,
        life: 3500,
    },
    Shape {
        threads: 32,
        call: (0, 0),
        files: 2500,
        life: 300,
    },
];
/// The maximum number of kills of one list, so that every shape is used.
const KILLS_OF_A_LIST: usize = 40;
/// The oracle judges a list each time after this many kills, and at its end.
const ASK_EVERY: usize = 25;

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    kills: usize,
    random: &mut fastrand::Rng,
) -> Outcome {
    let of_a_list = kills.div_ceil(SHAPES.len()).min(KILLS_OF_A_LIST);
    let mut left = kills;
    let mut shapes = SHAPES.iter().cycle();
    while left > 0 && !is_stopped() && !report.has_failed() {
        let Some(shape) = shapes.next() else { break };
        let manner = Manner {
            shortest: Duration::from_millis(shape.call.0),
            longest: Duration::from_millis(shape.call.1),
            ..Manner::default()
        };
        let files = random.usize(8..shape.files);
        let mut list = lab.list(&report.folder(), files, shape.threads, manner, None)?;
        // The death of a runner is never charged to a file.
        list.retries = 0;
        let most = left.min(of_a_list);
        left -= one_list(&mut list, shape, report, most, random)?;
        report.figure("lists", 1);
        if !report.has_failed() {
            list.remove()?;
        }
    }
    Ok(())
}

/// Kills runners of a list at most `most` times, and returns the number of kills.
fn one_list(
    list: &mut List,
    shape: &Shape,
    report: &mut Report,
    most: usize,
    random: &mut fastrand::Rng,
) -> Outcome<usize> {
    let mut killed = 0_usize;
    while killed < most && !is_stopped() {
        // Either command continues an existing run.
        let words = if list.database.exists() && random.bool() {
            list.resume()
        } else {
            list.run()
        };
        let mut run = list.begin(&words)?;
        if run
            .during(Duration::from_millis(random.u64(..shape.life)))?
            .is_some()
            || !run.kill()?
        {
            break;
        }
        list.crashed();
        killed += 1;
        report.figure("kills", 1);
        let moment = format!("after kill {killed}");
        if killed.is_multiple_of(ASK_EVERY) && !report.note(&list.judge(None)?, &moment) {
            return Ok(killed);
        }
    }
    let last = list.give(&list.run())?;
    let evidence = list.evidence(Some(last))?;
    evidence.sum_up(report);
    let moment = format!("at the end, after {killed} kills");
    report.note(&crate::oracle::judge(&evidence), &moment);
    Ok(killed)
}
