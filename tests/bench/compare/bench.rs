//! The common parts of all scenarios: the folder, the programs, and the rounds in which they take turns.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::figures::{figure, median, range, ratio, thousands};
use super::measure::{Program, Usage};
use super::peers::Peers;
use super::serve::{Latency, Plan, Seen};
use super::service::Service;
use super::table::Table;

const MIB: f64 = (1 << 20) as f64;

/// The figures of one round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) figure: f64,
    /// Microseconds of processor time for each.
    pub(crate) cpu: Option<f64>,
    /// In bytes.
    pub(crate) peak: Option<u64>,
    /// The figure for the contestant's own remark.
    pub(crate) beside: Option<f64>,
    pub(crate) note: String,
}

impl Sample {
    /// Figures of `count` items in the time of a program.
    pub(crate) fn of(usage: Usage, count: u64) -> Self {
        Self {
            figure: count as f64 / usage.wall.as_secs_f64(),
            cpu: Some(usage.cpu.as_secs_f64() * 1e6 / count.max(1) as f64),
            peak: Some(usage.peak),
            beside: None,
            note: String::new(),
        }
    }

    pub(crate) fn with_figure(self, figure: f64) -> Self {
        Self { figure, ..self }
    }

    pub(crate) fn beside(self, figure: f64) -> Self {
        let beside = Some(figure);
        Self { beside, ..self }
    }

    pub(crate) fn with_note(self, note: impl Into<String>) -> Self {
        let note = note.into();
        Self { note, ..self }
    }
}

/// Measures a contestant once; `None` without the program.
pub(crate) type Turn<'b> = Box<dyn FnMut() -> io::Result<Option<Sample>> + 'b>;

/// A participant in a scenario.
pub(crate) struct Contestant<'b> {
    pub(crate) title: String,
    /// The number of items; 0 where it does not matter.
    pub(crate) of: u64,
    pub(crate) turn: Turn<'b>,
    /// Formats the median of the figures for the remark.
    words: Box<dyn Fn(f64) -> String + 'b>,
}

impl<'b> Contestant<'b> {
    pub(crate) fn new(
        title: &str,
        of: u64,
        turn: impl FnMut() -> io::Result<Option<Sample>> + 'b,
    ) -> Self {
        Self {
            title: title.to_owned(),
            of,
            turn: Box::new(turn),
            words: Box::new(|seconds| format!("{seconds:.2} s")),
        }
    }

    /// Sets another remark; the default is for seconds.
    pub(crate) fn saying(self, words: impl Fn(f64) -> String + 'b) -> Self {
        Self {
            words: Box::new(words),
            ..self
        }
    }
}

pub(crate) struct Bench {
    pub(crate) peers: Peers,
    pub(crate) table: Table,
    pub(crate) rounds: usize,
    pub(crate) scale: f64,
    place: TempDir,
    /// The port of all services, one after the other, because a run remembers its URL.
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Bench {
    pub(crate) fn new(
        peers: Peers,
        table: Table,
        (rounds, scale): (usize, f64),
        place: TempDir,
        stopped: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let free = Service::with_latency(0, Duration::ZERO)?.port();
        Ok(Self {
            peers,
            table,
            rounds,
            scale,
            place,
            port: free,
            stopped,
        })
    }

    /// The folder of all files.
    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    /// Returns a number of the scenario, scaled down in a trial.
    pub(crate) fn scaled(&self, whole: usize, least: usize) -> usize {
        ((whole as f64 * self.scale).round() as usize).max(least)
    }

    pub(crate) fn service(&self, latency: Latency, answer: usize) -> io::Result<Service> {
        Service::start(Plan {
            port: self.port,
            latency,
            answer,
        })
    }

    pub(crate) fn prompt(&self) -> io::Result<Service> {
        Service::with_latency(self.port, Duration::ZERO)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the path of a database that does not exist yet.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let database = self.place().join(name);
        super::folder::remove_database(&database);
        database
    }

    /// Returns a command of stride on a database.
    pub(crate) fn stride(&self, command: &str, database: &Path) -> Program {
        let program = Program::new(&self.peers.stride, self.place());
        program.with([command, "--db"]).with([database])
    }

    /// `stride run` over a list.
    pub(crate) fn run(&self, database: &Path, list: &Path, threads: usize) -> Program {
        self.stride("run", database)
            .with(["--url", &format!("{}/{{name}}", self.url())])
            .with(["-j", &threads.to_string(), "--files-from"])
            .with([list])
    }

    pub(crate) fn go_on(&self) -> io::Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
        }
        Ok(())
    }

    /// Runs all contestants in turns in each round, and makes a row of each. The first one is stride, with which the
    /// others are compared; more is better.
    pub(crate) fn rounds(
        &self,
        scenario: &str,
        unit: &str,
        rounds: usize,
        mut contestants: Vec<Contestant<'_>>,
    ) -> io::Result<()> {
        let mut samples: Vec<Vec<io::Result<Option<Sample>>>> = Vec::new();
        samples.resize_with(contestants.len(), Vec::new);
        for round in 1..=rounds {
            for index in 0..contestants.len() {
                let contestant = &mut contestants[index];
                eprintln!(
                    "{scenario}, round {round} of {rounds}: {}",
                    contestant.title
                );
                // Pending writes of the others must not delay this one.
                rustix::fs::sync();
                samples[index].push((contestant.turn)());
                self.go_on()?;
                if round == rounds {
                    self.row(scenario, unit, contestant, &samples[index], &samples[0]);
                }
            }
        }
        Ok(())
    }

    fn row(
        &self,
        scenario: &str,
        unit: &str,
        contestant: &Contestant<'_>,
        theirs: &[io::Result<Option<Sample>>],
        ours: &[io::Result<Option<Sample>>],
    ) {
        let figures = |of: &[io::Result<Option<Sample>>]| -> Vec<Option<f64>> {
            let figure =
                |sample: &io::Result<Option<Sample>>| Some(sample.as_ref().ok()?.as_ref()?.figure);
            of.iter().map(figure).collect()
        };
        let measured: Vec<&Sample> = theirs.iter().flatten().flatten().collect();
        let all = |of: fn(&Sample) -> Option<f64>| {
            let numbers: Vec<f64> = measured.iter().filter_map(|sample| of(sample)).collect();
            (median(&numbers), range(&numbers))
        };
        let (middle, spread) = all(|sample| Some(sample.figure));
        let (cpu, _) = all(|sample| sample.cpu);
        let (peak, _) = all(|sample| sample.peak.map(|peak| peak as f64 / MIB));
        // Of several variants of stride, only the first is compared.
        let ratio = (!contestant.title.starts_with("stride"))
            .then(|| ratio(&figures(ours), &figures(theirs)));
        let mut notes: Vec<String> = measured
            .last()
            .map(|sample| sample.note.clone())
            .into_iter()
            .collect();
        if let (Some(beside), _) = all(|sample| sample.beside) {
            notes.insert(0, (contestant.words)(beside));
        }
        notes.retain(|note| !note.is_empty());
        if theirs.iter().any(|sample| matches!(sample, Ok(None))) {
            notes.push("not installed".to_owned());
        }
        let failed: Vec<&io::Error> = theirs
            .iter()
            .filter_map(|sample| sample.as_ref().err())
            .collect();
        if let Some(error) = failed.first() {
            let error = error.to_string().replace(['|', '\n'], " ");
            notes.push(format!(
                "{} of {} failed: {error}",
                failed.len(),
                theirs.len()
            ));
        }
        let dash = |number: Option<f64>| number.map_or("-".to_owned(), figure);
        self.table.row([
            scenario.to_owned(),
            contestant.title.clone(),
            match contestant.of {
                0 => "-".to_owned(),
                of => thousands(of),
            },
            middle.map_or("-".to_owned(), |middle| {
                format!("{} {unit}", figure(middle))
            }),
            spread
                .filter(|_| theirs.len() > 1)
                .map_or("-".to_owned(), |(least, most)| {
                    format!("{}–{}", figure(least), figure(most))
                }),
            ratio
                .flatten()
                .map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            dash(cpu),
            dash(peak),
            notes.join("; "),
        ]);
    }
}

/// Checks that a program made all its calls, according to the service, and that each was answered.
pub(crate) fn check(seen: &Seen, calls: usize) -> io::Result<()> {
    if (seen.calls, seen.answered) == (calls as u64, calls as u64) {
        return Ok(());
    }
    let (came, answered) = (seen.calls, seen.answered);
    Err(io::Error::other(format!(
        "{came} calls came and {answered} were answered, of {calls}"
    )))
}
