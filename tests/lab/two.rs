//! A second runner on the same database, while the first one is slow.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::list::Lab;
use crate::report::Report;
use crate::service::Manner;

/// The exit code while another process works on the run.
const BUSY: i32 = 5;
/// The time limit for the second runner.
const AT_ONCE: Duration = Duration::from_secs(2);

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    rounds: usize,
    random: &mut fastrand::Rng,
) -> Outcome {
    crate::rounds(report, rounds, |report, _| {
        // Slow enough that a lock with an expiry time would have expired.
        let manner = Manner {
            shortest: Duration::from_millis(300),
            longest: Duration::from_millis(500),
            padding: 0,
        };
        let list = lab.list(&report.folder(), 30, 2, manner, None)?;
        let mut first = list.begin(&list.run())?;
        for _ in 0..3 {
            let wait = random.u64(300..1800);
            if first.during(Duration::from_millis(wait))?.is_some() {
                report.fail("the first runner ended too early");
            }
            let words = second(&list, random)?;
            let began = Instant::now();
            let code = list.give(&words)?.code();
            report.figure("second runners", 1);
            if code != Some(BUSY) {
                report.fail(format!(
                    "a second runner ended with {code:?}, not with {BUSY}"
                ));
            }
            if began.elapsed() > AT_ONCE {
                report.fail(format!(
                    "a second runner took {:?} to say so",
                    began.elapsed()
                ));
            }
        }
        let last = first.end()?;
        // There was no crash, so no call may be in doubt or repeated.
        report.note(&list.judge(Some(last))?, "with a second runner");
        if !report.has_failed() {
            list.remove()?;
        }
        Ok(())
    })
}

/// A command that needs the database, by its name or another one.
fn second(list: &crate::list::List, random: &mut fastrand::Rng) -> Outcome<Vec<String>> {
    let mut words = if random.bool() {
        list.run()
    } else {
        list.resume()
    };
    if random.bool() {
        let other = list.folder.join("other name");
        if !other.exists() {
            symlink(&list.database, &other)?;
        }
        let name = list.database.display().to_string();
        for word in words.iter_mut().filter(|word| **word == name) {
            *word = other.display().to_string();
        }
    }
    Ok(words)
}
