//! `kill -9` at random moments, again and again, over lists of all lengths.

use std::time::Duration;

use crate::list::{Lab, List};
use crate::report::Report;
use crate::service::Manner;
use crate::{Outcome, is_stopped};

const THREADS: usize = 8;
/// The longest that a runner lives.
const LONGEST_LIFE: u64 = 160;
/// After so many kills the oracle is asked, not only at a list's end.
const ASK_EVERY: usize = 25;

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    kills: usize,
    random: &mut fastrand::Rng,
) -> Outcome {
    let mut left = kills;
    while left > 0 && !is_stopped() && !report.has_failed() {
        let longest = [0, 3, 20][random.usize(..3)];
        let manner = Manner {
            longest: Duration::from_millis(longest),
            ..Manner::default()
        };
        let files = random.usize(8..2500);
        let mut list = lab.list(&report.folder(), files, THREADS, manner, None)?;
        one_list(&mut list, report, &mut left, random)?;
        report.figure("lists", 1);
        if !report.has_failed() {
            list.remove()?;
        }
    }
    Ok(())
}

fn one_list(
    list: &mut List,
    report: &mut Report,
    left: &mut usize,
    random: &mut fastrand::Rng,
) -> Outcome {
    let mut killed = 0_usize;
    while *left > 0 && !is_stopped() {
        // Once there is a run, going on with it is either command.
        let words = if list.database.exists() && random.bool() {
            list.resume()
        } else {
            list.run()
        };
        let mut run = list.begin(&words)?;
        if run
            .during(Duration::from_millis(random.u64(..LONGEST_LIFE)))?
            .is_some()
            || !run.kill()?
        {
            break;
        }
        *left -= 1;
        list.crashed();
        killed += 1;
        report.figure("kills", 1);
        let moment = format!("after kill {killed}");
        if killed.is_multiple_of(ASK_EVERY) && !report.note(&list.judge(None)?, &moment) {
            return Ok(());
        }
    }
    let last = list.give(&list.run())?;
    let evidence = list.evidence(Some(last))?;
    evidence.sum_up(report);
    let moment = format!("at the end, after {killed} kills");
    report.note(&crate::oracle::judge(&evidence), &moment);
    Ok(())
}
