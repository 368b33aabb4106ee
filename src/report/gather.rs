//! From a run to its report: what is read, and how much of it.

use crate::store::{Reader, Record, StoreError};

use super::axis::{Axis, Period};
use super::sums::Sums;
use super::{Report, Seen};

/// How many failed or held jobs are listed.
const FAILED: usize = 100;
/// No moment is later: the end of the year 9999. What a damaged or foreign database says can be anything.
const LATEST: i64 = 253_402_300_799_999;

/// What ends a look at the failures early.
enum Ended {
    Store(StoreError),
    Enough,
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) fn gather(
    reader: &Reader,
    now: i64,
    working: Option<u32>,
) -> Result<Report, StoreError> {
    let (counts, info) = (reader.counts()?, reader.info()?);
    let working = working.filter(|_| info.started.is_some() && info.ended.is_none());
    let runners = runners(reader, now, working.is_some())?;
    let periods: Vec<Period> = runners
        .iter()
        .map(|seen| Period {
            begin: seen.begin,
            end: seen.end,
        })
        .collect();
    let axis = Axis::new(&periods, counts.attempts);
    let mut sums = Sums::new(axis.buckets);
    reader.attempts(&mut |mut tried| {
        tried.started = tried.started.clamp(0, LATEST);
        tried.took = tried.took.clamp(0, LATEST);
        sums.add(&tried, axis.bucket(tried.ended()));
    })?;
    sums.finish();
    let slowest = sums.take_slowest();
    let jobs: Vec<_> = slowest.iter().map(|slow| slow.job).collect();
    let slowest = slowest.into_iter().zip(reader.names(&jobs)?).collect();
    let has_failed = counts.failed + counts.held > 0;
    let causes = match has_failed {
        true => reader.causes()?,
        false => Vec::new(),
    };
    Ok(Report {
        database: reader.path().to_owned(),
        now,
        working,
        info,
        counts,
        runners,
        axis,
        sums,
        slowest,
        causes,
        failed: match has_failed {
            true => failed(reader)?,
            false => Vec::new(),
        },
    })
}

/// The runners, with the times in which they worked. Of one that died nobody knows when it did: its last attempt is the
/// last sign of life.
fn runners(reader: &Reader, now: i64, working: bool) -> Result<Vec<Seen>, StoreError> {
    let seen = reader.last_seen()?;
    let runners = reader.runners()?;
    let latest = runners.len().saturating_sub(1);
    let seen = runners.into_iter().enumerate().map(|(i, runner)| {
        let begin = runner.started.clamp(0, LATEST);
        let end = match &runner.ended {
            Some((ended, ending)) if ending != "died" => *ended,
            None if working && i == latest => now,
            _ => seen.get(&runner.id).copied().unwrap_or(begin),
        };
        let end = end.clamp(begin, LATEST);
        Seen { runner, begin, end }
    });
    Ok(seen.collect())
}

/// The first jobs that failed, and then those that are held.
fn failed(reader: &Reader) -> Result<Vec<Record>, StoreError> {
    let mut found = Vec::new();
    let ended = reader.failures(None, &mut |record| {
        found.push(record);
        if found.len() < FAILED {
            Ok(())
        } else {
            Err(Ended::Enough)
        }
    });
    match ended {
        Ok(()) | Err(Ended::Enough) => Ok(found),
        Err(Ended::Store(error)) => Err(error),
    }
}
