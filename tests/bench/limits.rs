//! How well `stride` keeps to a service's limit, over real sockets on this machine. Run by hand, as the README
//! beside this file says; it takes minutes to hours.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program that prints tables, and that waits for time to pass"
)]

#[path = "limits/caller.rs"]
mod caller;
#[path = "limits/limiter.rs"]
mod limiter;
#[path = "limits/log.rs"]
mod log;
#[path = "limits/scenario.rs"]
mod scenario;
#[path = "limits/server.rs"]
mod server;
#[path = "limits/table.rs"]
mod table;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, ValueEnum};

use limiter::Kind;
use scenario::Plan;
use table::{Table, seconds, tenths};

/// The limits of steady services, in calls a second.
const STEADY: [u32; 3] = [20, 100, 1000];
/// Limits that fall.
const FALLS: [(u32, u32); 2] = [(100, 20), (1000, 200)];
/// Limits that rise.
const RISES: [(u32, u32); 2] = [(20, 100), (200, 1000)];
/// The limiters that are measured unless others are chosen.
const KINDS: [Kind; 3] = [Kind::Bucket, Kind::Headers, Kind::Fixed];
/// What the service with room for few works on at once, and for how long.
const PLACES: usize = 16;
const WORK: Duration = Duration::from_millis(50);
/// The calls a sliding window takes.
const WINDOW_CALLS: f64 = 100.0;
/// How much shorter than a service's window is one that must never see more than it takes.
const WINDOW_SLACK: Duration = Duration::from_millis(500);
/// The longest of what can be asked for.
const LONGEST: u64 = 24 * 60 * 60;

/// Measures how well stride keeps to a service's limit
#[derive(Debug, Parser)]
#[command(
    name = "limits",
    bin_name = "cargo bench --bench limits --",
    no_binary_name = true
)]
pub(crate) struct Options {
    /// What to measure
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Measure everything
    #[arg(long)]
    all: bool,
    /// How long a row of a service that stays as it is takes
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(2..=LONGEST))]
    seconds: u64,
    /// Only rows that begin with this limit
    #[arg(long, value_name = "LIMIT")]
    only: Vec<u32>,
    /// Only this kind of limit [default: bucket, headers and fixed]
    #[arg(long, value_enum, value_name = "KIND")]
    server: Vec<Kind>,
    /// What stride is told of the limit, where it has to find it out
    #[arg(long, default_value = "auto")]
    rate: String,
    /// stride's threads [default: 64, and auto for `latency`]
    #[arg(short = 'j', long, value_name = "N")]
    threads: Option<String>,
    /// How long the service works on a call, in milliseconds [default: 20, and 50 for `latency`]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=60_000))]
    latency: Option<u64>,
    /// `fall` and `rise`: how long before the limit changes
    #[arg(long, value_name = "SECONDS", default_value_t = 40, value_parser = clap::value_parser!(u64).range(5..=LONGEST))]
    before: u64,
    /// `fall` and `rise`: how long after it
    #[arg(long, value_name = "SECONDS", default_value_t = 80, value_parser = clap::value_parser!(u64).range(20..=LONGEST))]
    after: u64,
    /// `restarts`: the window that takes 100 calls; it is measured over three of them
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=LONGEST))]
    window: u64,
    /// `restarts`: what its moments are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The stride to measure [default: the one that Cargo has built]
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_stride"), hide_default_value = true)]
    stride: PathBuf,
    /// Keep what the service saw in each second, and stride's messages, in this folder
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
    /// More options for `stride run`
    #[arg(last = true, value_name = "OPTIONS")]
    extra: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// The limit has to be found out, and stays
    Steady,
    /// The limit is given, and stays
    FixedRate,
    /// The limit falls to a fifth
    Fall,
    /// The limit rises to five times as much
    Rise,
    /// A limit by the minute is kept over stops and resumptions
    Restarts,
    /// No limit, but room for a few calls only
    Latency,
    /// No limit: what this machine can do
    Ceiling,
}

impl Options {
    fn latency(&self, or: Duration) -> Duration {
        self.latency.map_or(or, Duration::from_millis)
    }

    fn plan(&self, scenario: &'static str, limit: f64) -> Plan {
        Plan {
            scenario,
            kind: None,
            limit,
            change: None,
            window: Duration::from_secs(1),
            places: tokio::sync::Semaphore::MAX_PERMITS,
            latency: self.latency(Duration::from_millis(20)),
            rate: Some(self.rate.clone()),
            threads: self.threads.clone().unwrap_or("64".to_owned()),
            time: Duration::from_secs(self.seconds),
        }
    }

    /// The kinds of limits, each with those of the limits that are wanted.
    fn rows<L: Copy>(&self, limits: &[L], first: impl Fn(L) -> u32) -> Vec<(Kind, L)> {
        let kinds = if self.server.is_empty() {
            &KINDS[..]
        } else {
            &self.server
        };
        let wanted = |limit: &L| self.only.is_empty() || self.only.contains(&first(*limit));
        let limits: Vec<L> = limits.iter().copied().filter(wanted).collect();
        let rows = kinds
            .iter()
            .flat_map(|kind| limits.iter().map(|limit| (*kind, *limit)));
        rows.collect()
    }
}

/// `steady` and `fixed-rate`: how much of the limit was used, and how many calls it refused.
fn steady(options: &Options, told: bool, stopped: &AtomicBool) -> io::Result<()> {
    let name = if told { "fixed-rate" } else { "steady" };
    let table = Table::start(&[
        "scenario",
        "server",
        "limit",
        "seconds",
        "calls",
        "accepted %",
        "2nd half %",
        "429 %",
        "note",
    ]);
    for (kind, limit) in options.rows(&STEADY, |limit| limit) {
        let mut plan = options.plan(name, f64::from(limit));
        plan.kind = Some(kind);
        if told {
            plan.rate = Some(format!("{limit}/s"));
        }
        let seen = plan.measure(options, stopped)?;
        let (whole, (half, time)) = (seen.whole(), seen.half());
        table.row(&[
            name.to_owned(),
            kind.word().to_owned(),
            limit.to_string(),
            seconds(Some(seen.time)),
            whole.calls.to_string(),
            tenths(whole.accepted_percent(plan.limit, seen.time)),
            tenths(half.accepted_percent(plan.limit, time)),
            tenths(whole.refused_percent()),
            seen.note,
        ]);
    }
    Ok(())
}

/// `fall` and `rise`: how soon the new limit was kept, or used.
fn change(options: &Options, rise: bool, stopped: &AtomicBool) -> io::Result<()> {
    let (name, limits, soon) = if rise {
        ("rise", RISES, "80 % after s")
    } else {
        ("fall", FALLS, "settled s")
    };
    let table = Table::start(&[
        "scenario",
        "server",
        "from",
        "to",
        soon,
        "looked at",
        "accepted %",
        "429s then",
        "429s in all",
        "note",
    ]);
    for (kind, (from, to)) in options.rows(&limits, |(from, _)| from) {
        let (when, rate) = (Duration::from_secs(options.before), f64::from(to));
        let mut plan = options.plan(name, f64::from(from));
        plan.kind = Some(kind);
        plan.change = Some((when, rate));
        plan.time = when + Duration::from_secs(options.after);
        let seen = plan.measure(options, stopped)?;
        let soon = if rise {
            seen.log.reached(when, rate, seen.time)
        } else {
            seen.log.settled(when, rate, seen.time)
        };
        // A service that tells its limit is looked at sooner.
        let (look, length) = match (kind, rise) {
            (Kind::Headers, true) => (5, 10),
            (Kind::Headers, false) => (5, 15),
            (_, true) => (60, 10),
            (_, false) => (15, 15),
        };
        let [begin, length] = [look, length].map(Duration::from_secs);
        let begin = when + begin;
        let then = seen.log.between(begin, begin + length);
        let after = seen.log.between(when, seen.time);
        let percent = if begin + length <= seen.time {
            tenths(then.accepted_percent(rate, length))
        } else {
            "-".to_owned()
        };
        table.row(&[
            name.to_owned(),
            kind.word().to_owned(),
            from.to_string(),
            to.to_string(),
            seconds(soon),
            format!("{look}..{} s", look + length.as_secs()),
            percent,
            then.refused.to_string(),
            after.refused.to_string(),
            seen.note,
        ]);
    }
    Ok(())
}

/// `restarts`: whether a limit by the minute is kept by a run that is stopped and resumed.
fn restarts(options: &Options, stopped: &AtomicBool) -> io::Result<()> {
    let table = Table::start(&[
        "scenario",
        "server",
        "seed",
        "seconds",
        "calls",
        "429s",
        "allowed",
        "most seen",
        "note",
    ]);
    let window = Duration::from_secs(options.window);
    let mut plan = options.plan("restarts", WINDOW_CALLS / window.as_secs_f64());
    plan.kind = Some(Kind::Sliding);
    plan.window = window;
    let a_minute = WINDOW_CALLS * 60.0 / window.as_secs_f64();
    plan.rate = Some(format!("{a_minute}/m"));
    plan.time = 3 * window;
    let seen = plan.restart(options, window.saturating_sub(WINDOW_SLACK), stopped)?;
    let whole = seen.whole();
    table.row(&[
        plan.scenario.to_owned(),
        Kind::Sliding.word().to_owned(),
        options.seed.to_string(),
        seconds(Some(seen.time)),
        whole.calls.to_string(),
        whole.refused.to_string(),
        WINDOW_CALLS.to_string(),
        seen.log.most().to_string(),
        seen.note,
    ]);
    Ok(())
}

/// `latency` and `ceiling`: what is made of a service without a limit.
fn open(options: &Options, capacity: bool, stopped: &AtomicBool) -> io::Result<()> {
    let table = Table::start(&[
        "scenario",
        "seconds",
        "calls",
        "calls/s",
        "capacity %",
        "2nd half %",
        "mean ms",
        "2nd half ms",
        "note",
    ]);
    let plan = if capacity {
        let latency = options.latency(WORK);
        Plan {
            latency,
            places: PLACES,
            rate: None,
            threads: options.threads.clone().unwrap_or("auto".to_owned()),
            ..options.plan("latency", PLACES as f64 / latency.as_secs_f64().max(1e-3))
        }
    } else {
        let plan = options.plan("ceiling", 0.0);
        let threads: f64 = plan.threads.parse().unwrap_or(64.0);
        Plan {
            limit: threads / plan.latency.as_secs_f64().max(1e-3),
            rate: Some("none".to_owned()),
            ..plan
        }
    };
    let seen = plan.measure(options, stopped)?;
    let (whole, (half, time)) = (seen.whole(), seen.half());
    let milliseconds = |latency: Duration| tenths(latency.as_secs_f64() * 1e3);
    table.row(&[
        plan.scenario.to_owned(),
        seconds(Some(seen.time)),
        whole.calls.to_string(),
        tenths(whole.calls as f64 / seen.time.as_secs_f64()),
        tenths(whole.accepted_percent(plan.limit, seen.time)),
        tenths(half.accepted_percent(plan.limit, time)),
        milliseconds(whole.mean_latency()),
        milliseconds(half.mean_latency()),
        seen.note,
    ]);
    Ok(())
}

fn measure(options: &Options, stopped: &AtomicBool) -> io::Result<()> {
    let cores = thread::available_parallelism()?;
    println!("{} on {cores} cores", options.stride.display());
    for scenario in Scenario::value_variants() {
        if !options.all && !options.scenarios.contains(scenario) {
            continue;
        }
        match scenario {
            Scenario::Steady => steady(options, false, stopped)?,
            Scenario::FixedRate => steady(options, true, stopped)?,
            Scenario::Fall => change(options, false, stopped)?,
            Scenario::Rise => change(options, true, stopped)?,
            Scenario::Restarts => restarts(options, stopped)?,
            Scenario::Latency => open(options, true, stopped)?,
            Scenario::Ceiling => open(options, false, stopped)?,
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Cargo's own word to every benchmark, after whatever else was given.
    words.pop_if(|last| last == "--bench");
    let options = Options::parse_from(words);
    if options.scenarios.is_empty() && !options.all {
        // Nobody who runs all benchmarks, or all targets, wants to wait for hours.
        println!("{}", Options::command().render_help());
        return ExitCode::SUCCESS;
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let signals = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
    let done = signals
        .into_iter()
        .try_for_each(|signal| signal_hook::flag::register(signal, Arc::clone(&stopped)).map(drop))
        .and_then(|()| measure(&options, &stopped));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
