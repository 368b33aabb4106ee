//! Workers that crash, hang and answer late, under runners that are killed.

use std::time::Duration;

use crate::Outcome;
use crate::list::Lab;
use crate::report::Report;
use crate::service::Manner;

const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/worker.py");
/// The kills of each list. Its files suffice for some deaths of workers, too.
const KILLS: usize = 6;
const FILES: usize = 600;
/// The longest life of a runner, in milliseconds. A worker needs some of it to start.
const LIFE: u64 = 2500;

pub(crate) fn perform(
    lab: &Lab,
    report: &mut Report,
    rounds: usize,
    random: &mut fastrand::Rng,
) -> Outcome {
    crate::rounds(report, rounds, |report, _| {
        let manner = Manner {
            longest: Duration::from_millis(20),
            ..Manner::default()
        };
        let mut list = lab.list(&report.folder(), FILES, 6, manner, None)?;
        list.worker = Some(WORKER);
        for _ in 0..KILLS {
            let mut run = list.begin(&list.run())?;
            let life = Duration::from_millis(random.u64(..LIFE));
            if run.during(life)?.is_some() || !run.kill()? {
                break;
            }
            list.crashed();
            report.figure("kills", 1);
        }
        let last = list.give(&list.run())?;
        let evidence = list.evidence(Some(last))?;
        evidence.sum_up(report);
        report.figure("deaths of workers", evidence.deaths);
        report.note(&crate::oracle::judge(&evidence), "at the end");
        if !report.has_failed() {
            list.remove()?;
        }
        Ok(())
    })
}
