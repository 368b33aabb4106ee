//! Compares stride with the alternatives, and measures its sizes: everything in one run, on one machine, in turns. It
//! is run by hand, as the README beside this file describes; `tests/bench/run` installs the requirements.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program that prints tables, waits for time to pass, and measures SQLite itself"
)]

#[path = "compare/alarm.rs"]
mod alarm;
#[path = "compare/bench.rs"]
mod bench;
#[path = "compare/big.rs"]
mod big;
#[path = "compare/calls.rs"]
mod calls;
#[path = "compare/client.rs"]
mod client;
#[path = "compare/database.rs"]
mod database;
#[path = "compare/figures.rs"]
mod figures;
#[path = "compare/folder.rs"]
mod folder;
#[path = "compare/machine.rs"]
mod machine;
#[path = "compare/measure.rs"]
mod measure;
#[path = "compare/peers.rs"]
mod peers;
#[path = "compare/plot.rs"]
mod plot;
#[path = "compare/serve.rs"]
mod serve;
#[path = "compare/service.rs"]
mod service;
#[path = "compare/sizes.rs"]
mod sizes;
#[path = "compare/table.rs"]
mod table;
#[path = "compare/tail.rs"]
mod tail;
#[path = "compare/worker.rs"]
mod worker;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, ValueEnum};

use bench::Bench;
use peers::Peers;
use table::Table;

/// Measures stride beside other programs
#[derive(Debug, Parser)]
#[command(
    name = "compare",
    bin_name = "cargo bench --bench compare --",
    no_binary_name = true
)]
struct Options {
    /// What to measure
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Measure everything
    #[arg(long)]
    all: bool,
    /// How many turns each program has
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Measure with this fraction of the files, for a try
    #[arg(long, value_name = "FRACTION", default_value_t = 1.0, value_parser = fraction)]
    scale: f64,
    /// The stride to measure [default: the one that Cargo has built]
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_stride"), hide_default_value = true)]
    stride: PathBuf,
    /// Put the table into the README, and the plot of `flat` beside it
    #[arg(long)]
    write: bool,
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1.0 => Ok(number),
        _ => Err("above 0, and at most 1".to_owned()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// 20,000 small texts, 64 at a time: beside scripts, curl and load generators
    Small,
    /// 64 threads and 50 ms a call
    #[value(name = "latency-64")]
    Latency64,
    /// 1,000 threads and 50 ms a call, beside the HTTP client alone
    #[value(name = "latency-1000")]
    Latency1000,
    /// 5,000 threads and 1 s a call, beside the HTTP client alone
    #[value(name = "latency-5000")]
    Latency5000,
    /// Calls of which some take much longer than most, beside the least possible time
    Tail,
    /// A worker in Python that answers at once, 64 calls out, beside its pipes alone
    Worker,
    /// A process for each of 4,000 names, 8 at a time, beside xargs
    Exec,
    /// Ten million names, sorted and in an order of chance
    Load,
    /// Ten million jobs of which half are done: how soon the first call comes
    Resume,
    /// A thousand to ten million names: memory and time a call
    Flat,
    /// `stride status` during a run of ten million, and the start of the program
    Status,
    /// Ten million results, beside sqlite3
    Export,
    /// Bytes of the database for each job
    Size,
    /// One file of 5 GiB, beside curl
    Upload,
}

impl Scenario {
    fn measure(self, bench: &Bench, write: bool) -> io::Result<()> {
        let ms = Duration::from_millis;
        match self {
            Self::Small => calls::small(bench),
            Self::Latency64 => calls::latency(bench, "latency-64", 64, 12_800, ms(50), false),
            Self::Latency1000 => calls::latency(bench, "latency-1000", 1000, 100_000, ms(50), true),
            Self::Latency5000 => {
                calls::latency(bench, "latency-5000", 5000, 60_000, ms(1000), true)
            }
            Self::Tail => calls::tail(bench),
            Self::Worker => worker::worker(bench),
            Self::Exec => worker::exec(bench),
            Self::Load => big::load(bench),
            Self::Resume => big::resume(bench),
            Self::Flat => big::flat(bench, write.then(|| folder_of_this().join("flat.svg"))),
            Self::Status => big::status(bench),
            Self::Export => big::export(bench),
            Self::Size => sizes::size(bench),
            Self::Upload => sizes::upload(bench),
        }
    }
}

/// The folder of the README and the plot.
fn folder_of_this() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench")
}

fn measure(options: &Options, stopped: &Arc<AtomicBool>) -> io::Result<()> {
    // A folder on a disk: the system's folder for temporary files is often in memory.
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().unwrap_or(temporary);
    let stride = options
        .stride
        .canonicalize()
        .map_err(|error| io::Error::other(format!("{}: {error}", options.stride.display())))?;
    let place = tempfile::Builder::new()
        .prefix("compare-")
        .tempdir_in(temporary)?;
    let peers = Peers::find(stride, target);
    let rounds = usize::from(options.rounds);
    let head = machine::describe(place.path(), &peers, rounds, options.scale)?;
    let table = Table::start(&head);
    let bench = Bench::new(
        peers,
        table,
        (rounds, options.scale),
        place,
        Arc::clone(stopped),
    )?;
    for scenario in Scenario::value_variants() {
        if options.all || options.scenarios.contains(scenario) {
            scenario.measure(&bench, options.write)?;
        }
    }
    // A disk whose speed has changed meanwhile explains many differences.
    let limits = machine::disk_limits(bench.place())?;
    bench.table.line(&format!("\nAt the end: {limits}"));
    if options.write {
        bench.table.write(&folder_of_this().join("README.md"))?;
    }
    Ok(())
}

/// The roles of this program in its own processes: the service, the process in between, or a bare client.
fn inner(words: &[OsString]) -> Option<io::Result<()>> {
    let text = |index: usize| {
        words
            .get(index)
            .and_then(|word| word.to_str())
            .unwrap_or_default()
    };
    match text(0) {
        "serve" => Some(
            serde_json::from_str(text(1))
                .map_err(io::Error::from)
                .and_then(serve::serve),
        ),
        "measure" => Some(measure::measure(&words[1..])),
        "client" => {
            let threads = text(3).parse().unwrap_or(1);
            Some(client::run(text(1), text(2), threads))
        }
        _ => None,
    }
}

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = inner(&words).unwrap_or_else(|| {
        // Cargo appends this argument for every benchmark.
        words.pop_if(|last| last == "--bench");
        let options = Options::parse_from(words);
        if options.scenarios.is_empty() && !options.all {
            // A run of all benchmarks, or of all targets, must not take hours.
            println!("{}", Options::command().render_long_help());
            return Ok(());
        }
        let stopped = Arc::new(AtomicBool::new(false));
        let signals = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
        signals
            .into_iter()
            .try_for_each(|signal| {
                signal_hook::flag::register(signal, Arc::clone(&stopped)).map(drop)
            })
            .and_then(|()| measure(&options, &stopped))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
