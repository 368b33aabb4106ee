//! The crash laboratory: the real program, killed, cut off from its disk and deceived at every point, and an oracle
//! that compares the remains with the events and the service's log. The README beside this file describes its use.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that prints what it finds, and that lets time pass between crashes"
)]

mod calls;
mod cuts;
mod device;
mod errors;
mod evidence;
mod exports;
mod kills;
mod list;
mod mistrust;
mod needs;
mod oracle;
mod report;
mod service;
mod strace;
mod thin;
mod two;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::{Parser, ValueEnum};

use device::Kind;
use list::Lab;
use report::Report;
use service::Service;

/// The result of an experiment's own operations.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Set by Ctrl-C.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Returns true if no more rounds may begin.
pub(crate) fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Crashes stride at every point, and checks the remains
#[derive(Debug, Parser)]
#[command(name = "lab", bin_name = "cargo test --release --test lab --")]
struct Options {
    /// The experiments
    #[arg(value_enum, required = true)]
    experiments: Vec<Experiment>,
    /// Rounds, for experiments that count them
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// The seed of moments and sizes [default: a new one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// `cuts` and `exports`: only on this file system
    #[arg(long, value_enum)]
    fs: Option<Kind>,
    /// `calls` and `errors`: only this system call
    #[arg(long, value_name = "NAME")]
    call: Option<String>,
    /// `calls` and `errors`: only every N-th point, beginning with a random one
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
    /// Fail instead of skipping experiments whose tools are missing
    #[arg(long)]
    require_all: bool,
    /// The stride to crash [default: the one that Cargo has built]
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_stride"), hide_default_value = true)]
    stride: PathBuf,
    /// The folder of the experiments [default: the folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Runs numbered rounds until one fails or Ctrl-C stops them.
pub(crate) fn rounds(
    report: &mut Report,
    most: usize,
    mut one: impl FnMut(&mut Report, usize) -> Outcome,
) -> Outcome {
    for round in 0..most {
        if is_stopped() || report.has_failed() {
            break;
        }
        one(report, round)?;
    }
    Ok(())
}

/// Visits every `every`-th point, from a random one on, until `one` returns false.
pub(crate) fn points(
    every: usize,
    random: &mut fastrand::Rng,
    mut one: impl FnMut(usize) -> Outcome<bool>,
) -> Outcome {
    let mut n = 1 + random.usize(..every);
    while !is_stopped() && one(n)? {
        n += every;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Experiment {
    /// A little of everything, in one to two minutes
    Short,
    /// Everything, in full: about a quarter of an hour
    Long,
    /// Lies to the oracle: it must detect each
    Oracle,
    /// `kill -9` at random moments
    Kills,
    /// `kill -9` at each call of the system that writes
    Calls,
    /// Errors of the disk, and lies, at each such call
    Errors,
    /// Power cuts
    Cuts,
    /// A disk that fails
    Thin,
    /// Exports, killed and cut off
    Exports,
    /// A second runner
    Two,
    /// Workers that crash, hang and answer late
    Workers,
}

/// An experiment with its sizes.
#[derive(Debug, Clone, Copy)]
struct Order {
    experiment: Experiment,
    rounds: usize,
    every: usize,
    fs: Option<Kind>,
}

impl Options {
    /// The experiments to run, in order.
    fn orders(&self) -> Vec<Order> {
        use Experiment::*;
        let order = |experiment, rounds, every, fs| Order {
            experiment,
            rounds,
            every,
            fs,
        };
        let (ext4, xfs) = (Some(Kind::Ext4), Some(Kind::Xfs));
        let mut orders = Vec::new();
        for experiment in &self.experiments {
            orders.extend(match experiment {
                Short => vec![
                    order(Oracle, 1, 1, None),
                    order(Kills, 60, 1, None),
                    order(Two, 2, 1, None),
                    order(Workers, 1, 1, None),
                    order(Calls, 1, 3, None),
                    order(Errors, 1, 8, None),
                    order(Cuts, 6, 1, ext4),
                    order(Cuts, 3, 1, xfs),
                    order(Thin, 2, 1, None),
                    order(Exports, 4, 1, ext4),
                    order(Exports, 4, 1, xfs),
                ],
                Long => vec![
                    order(Oracle, 1, 1, None),
                    order(Kills, 1000, 1, None),
                    order(Two, 10, 1, None),
                    order(Workers, 20, 1, None),
                    order(Calls, 1, 1, None),
                    order(Errors, 1, 1, None),
                    order(Cuts, 200, 1, ext4),
                    order(Cuts, 60, 1, xfs),
                    order(Thin, 100, 1, None),
                    order(Exports, 20, 1, ext4),
                    order(Exports, 20, 1, xfs),
                ],
                Cuts | Exports if self.fs.is_none() => [ext4, xfs]
                    .map(|fs| order(*experiment, self.rounds.unwrap_or(20), self.every, fs))
                    .into(),
                Kills => vec![order(Kills, self.rounds.unwrap_or(100), 1, None)],
                Two => vec![order(Two, self.rounds.unwrap_or(3), 1, None)],
                _ => vec![order(
                    *experiment,
                    self.rounds.unwrap_or(20),
                    self.every,
                    self.fs.filter(|_| matches!(experiment, Cuts | Exports)),
                )],
            });
        }
        orders
    }
}

fn main() -> ExitCode {
    match work(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("the laboratory itself failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Performs the chosen experiments. Returns whether everything held.
fn work(options: &Options) -> Outcome<bool> {
    ctrlc::set_handler(|| {
        if STOPPED.swap(true, Ordering::Relaxed) {
            // The second Ctrl-C waits for nothing, and leaves file systems mounted.
            std::process::exit(130);
        }
        println!("stopping after this round; what is mounted is taken away then");
    })?;
    let mut builder = tempfile::Builder::new();
    builder.prefix("stride-lab-");
    let folder = match &options.folder {
        Some(folder) => builder.tempdir_in(folder)?,
        None => builder.tempdir()?,
    };
    let lab = Lab {
        stride: options.stride.canonicalize()?,
        folder: folder.path().canonicalize()?,
        service: Service::start()?,
    };
    let mut reports = Vec::new();
    for (i, order) in options.orders().into_iter().enumerate() {
        if is_stopped() {
            break;
        }
        let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
        let report = perform(&lab, order, &format!("{i:02}"), seed, options);
        println!("{report}");
        reports.push(report);
    }
    println!("\n{}", report::table(&reports));
    let good = reports
        .iter()
        .all(|report| report.is_good(options.require_all));
    if !good && reports.iter().any(Report::has_failed) {
        println!(
            "what is left of the failures is in {}",
            folder.keep().display()
        );
    }
    Ok(good && !is_stopped())
}

fn perform(lab: &Lab, order: Order, prefix: &str, seed: u64, options: &Options) -> Report {
    let Order {
        experiment,
        rounds,
        every,
        fs,
    } = order;
    let name = experiment.to_possible_value();
    let name = name
        .as_ref()
        .map_or("", clap::builder::PossibleValue::get_name);
    let mut title = name.to_owned();
    if let Some(fs) = fs {
        title.push_str(&format!(" {fs}"));
    }
    let mut report = Report::new(&title, seed, prefix);
    println!("{title}: seed {seed}");
    if let Some(lack) = needs::lacking(experiment, fs) {
        report.skip(lack);
        return report;
    }
    let began = Instant::now();
    let random = &mut fastrand::Rng::with_seed(seed);
    let only = options.call.as_deref();
    let done = match experiment {
        Experiment::Oracle => {
            let (lies, missed) = mistrust::check();
            report.figure("lies", lies);
            missed.into_iter().for_each(|why| report.fail(why));
            Ok(())
        }
        Experiment::Kills => kills::perform(lab, &mut report, rounds, random),
        Experiment::Calls => calls::perform(lab, &mut report, every, only, random),
        Experiment::Errors => errors::perform(lab, &mut report, every, only, random),
        Experiment::Cuts => {
            cuts::perform(lab, &mut report, rounds, fs.unwrap_or(Kind::Ext4), random)
        }
        Experiment::Thin => thin::perform(lab, &mut report, rounds, random),
        Experiment::Exports => {
            exports::perform(lab, &mut report, rounds, fs.unwrap_or(Kind::Ext4), random)
        }
        Experiment::Two => two::perform(lab, &mut report, rounds, random),
        Experiment::Workers => workers::perform(lab, &mut report, rounds, random),
        Experiment::Short | Experiment::Long => Ok(()),
    };
    if let Err(error) = done {
        report.fail(format!("the experiment itself failed: {error}"));
    }
    report.took = began.elapsed();
    report
}
