//! `stride run --dry-run`, which shows the list, the pace and the first request, and calls nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use stride::caller::Plan;
use stride::governor::{Governor, History, LaneHistory};
use stride::input::Item;
use stride::job::{Columns, Step};
use stride::limits::Measure;
use stride::settings::{Call, Settings, show_duration};
use stride::store::Reader;

use crate::cli::commands::call_lines::{call_lines, message};
use crate::cli::commands::try_one::{attempt, job, lane_tried, random};
use crate::cli::output::error::{CliError, printed};
use crate::cli::output::format::{counted, grouped};
use crate::cli::output::shown::{bold, lines};
use crate::cli::output::terminal::Terminal;
use crate::cli::session::estimate;
use crate::cli::session::intake::{Intake, LoadError, key};
use crate::cli::session::loaded::some;

/// The maximum number of missing files to name.
const MISSING_NAMED: u64 = 5;
/// Stands for the idempotency key of a call that is not made.
const KEY: &str = "(derived for each file; a repeat after an unknown outcome keeps it)";

/// A run before its start.
pub(crate) struct PlannedRun<'p> {
    pub(crate) call: &'p Call,
    pub(crate) plan: &'p Plan,
    pub(crate) settings: &'p Settings,
    /// The folder against which names resolve.
    pub(crate) base: &'p Path,
    /// The run, if it is to forget files that the list lacks.
    pub(crate) forgets: Option<&'p Reader>,
}

/// Prints the number of files, the pace and the first request of a run. Calls and writes nothing.
pub(crate) fn dry_run(
    planned: &PlannedRun<'_>,
    intake: &mut Intake<'_>,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let (mut names, mut first) = (HashMap::new(), None);
    let (mut bytes, mut weight, mut missing, mut jobs) = (0, 0, 0, 0);
    let mut missing_names = Vec::new();
    let reads_file = planned.plan.reads_file();
    let read = intake.read(&mut |item: &Item| {
        let key = key(item, planned.base).filter(|_| reads_file);
        let columns = item.columns.as_ref().map(hash);
        let row = jobs;
        jobs += 1;
        match names.entry(hash(key.as_deref().unwrap_or(&item.name))) {
            Entry::Vacant(entry) => entry.insert((row, columns)),
            Entry::Occupied(entry) => {
                let (first, known) = *entry.get();
                let differs = columns.is_some() && known.is_some() && columns != known;
                return match differs {
                    true => Err(LoadError::Conflict(item.name.clone(), (first, row))),
                    false => Ok(()),
                };
            }
        };
        let file = item.file.as_ref().unwrap_or(&item.name);
        let meta = std::fs::metadata(planned.base.join(file.as_path()));
        if let Some(sum) = &planned.settings.weight {
            let size = meta.as_ref().map_or(0, std::fs::Metadata::len);
            let row = item
                .columns
                .as_deref()
                .and_then(|row| Columns::read(row).ok());
            weight += sum.of(size, &row.unwrap_or_default());
        }
        match meta {
            Ok(meta) => bytes += meta.len(),
            Err(_) if reads_file => {
                missing += 1;
                if missing <= MISSING_NAMED {
                    missing_names.push(item.name.clone());
                }
            }
            Err(_) => {}
        }
        first.get_or_insert_with(|| item.clone());
        Ok(())
    });
    let survey = read.map_err(|error| intake.cli_error(error))?;
    for slip in intake.slips(&survey) {
        terminal.say(&format!("{} {slip}", bold("note:")));
    }
    let files = names.len() as u64;
    let mut out = vec![
        format!("files: {}", grouped(files)),
        format!("total size: {}", counted(bytes, "byte")),
    ];
    if missing > 0 {
        out.push(format!(
            "missing or inaccessible: {}: {}",
            counted(missing, "file"),
            some(&missing_names, missing)
        ));
    }
    if let Some(run) = planned.forgets {
        let (unlisted, examples) = run.unlisted(|name| names.contains_key(&hash(name)))?;
        let files = counted(unlisted, "file");
        out.push(match unlisted {
            0 => "to forget: no file".to_owned(),
            _ => format!("to forget: {files}: {}", some(&examples, unlisted)),
        });
    }
    out.push(format!("threads: {}", planned.settings.threads));
    let lanes = planned.plan.lanes().len();
    let each = if lanes > 0 { " for each lane" } else { "" };
    out.push(format!("rate: {}{each}", planned.settings.rates));
    out.extend(lane_tried(planned.plan));
    if planned.settings.weight.is_some() {
        out.push(format!("total weight: {}", grouped(weight)));
    }
    out.extend(estimate::before_calls(planned.settings, files));
    out.push(
        match earliest_finish(planned.settings, lanes.max(1), files, bytes, weight) {
            Some(time) => format!("earliest finish: {} after the start", show_duration(time)),
            None => "earliest finish: unknown, because no rate is set".to_owned(),
        },
    );
    if let Some(proxy) = planned.plan.proxy() {
        out.push(format!("proxy: {proxy}"));
    }
    if let Some(item) = first {
        let job = job(item, planned.base)?;
        out.push(format!("first call, for {}:", job.path));
        match call_lines(planned.plan, &job, &attempt(&random(), Step::FIRST), KEY) {
            Ok(lines) => out.extend(lines),
            Err(outcome) => out.push(format!("  cannot be built: {}", message(&outcome))),
        }
    }
    let lines_of_call = planned.call.lines().into_iter();
    let later = lines_of_call.filter(|(name, _)| name.starts_with("step "));
    out.extend(later.map(|(name, value)| format!("{name}: {value}")));
    terminal.say("dry run: nothing was called or written");
    printed(lines(out))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hash = DefaultHasher::new();
    value.hash(&mut hash);
    hash.finish()
}

/// Returns the shortest duration of a run under its rates, or `None` without rates.
fn earliest_finish(
    settings: &Settings,
    lanes: usize,
    files: u64,
    bytes: u64,
    weight: u64,
) -> Option<Duration> {
    if settings.rates.windows.is_empty() {
        return None;
    }
    let others = settings.rates.windows.iter().filter_map(|rate| {
        let amount = match rate.measure() {
            Measure::Calls => return None,
            Measure::Bytes => bytes,
            Measure::Weight => weight,
        };
        Some(rate.interval().mul_f64(amount as f64 / lanes as f64))
    });
    let history = History {
        lanes: vec![LaneHistory::default(); lanes],
        ..History::default()
    };
    let governor = Governor::new(settings.rules(), &history, Duration::ZERO);
    others.chain([governor.finish(files, Duration::ZERO)]).max()
}
