//! What is measured: a service, a stride that calls it, and the time that passes.

use std::fs;
use std::io::{self, Write as _};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::Options;
use super::caller::{Folder, Invocation, Stride, pause};
use super::limiter::{Kind, Limiter};
use super::log::{Log, Tally};
use super::server::{self, Server};

/// How long the first call may be on its way: a long list is loaded before it.
const FIRST_CALL: Duration = Duration::from_secs(120);
/// The shortest and the longest time between two restarts, as parts of each other.
const LEGS: (f64, f64) = (0.05, 1.0);
/// How often a run is stopped and resumed.
const RESTARTS: usize = 10;

/// One row of a table before it is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The scenario's name.
    pub(crate) scenario: &'static str,
    /// How the service limits its callers, if it does.
    pub(crate) kind: Option<Kind>,
    /// The calls it takes in a second, at first.
    pub(crate) limit: f64,
    /// When, after the first call, it takes how many.
    pub(crate) change: Option<(Duration, f64)>,
    /// The window of a sliding limit.
    pub(crate) window: Duration,
    /// The calls it works on at once.
    pub(crate) places: usize,
    /// How long it works on each.
    pub(crate) latency: Duration,
    /// `--rate`, if given.
    pub(crate) rate: Option<String>,
    /// `-j`.
    pub(crate) threads: String,
    /// How long to look, from the first call on.
    pub(crate) time: Duration,
}

/// What a row is made of.
pub(crate) struct Seen {
    /// What the service saw.
    pub(crate) log: Log,
    /// From the first call to the end.
    pub(crate) time: Duration,
    /// How it ended, if otherwise than it should.
    pub(crate) note: String,
}

impl Seen {
    /// Everything.
    pub(crate) fn whole(&self) -> Tally {
        self.log.between(Duration::ZERO, self.time)
    }

    /// The second half, in which whatever was to be found out has been, and how long it was.
    pub(crate) fn half(&self) -> (Tally, Duration) {
        let middle = self.time / 2;
        (self.log.between(middle, self.time), self.time - middle)
    }
}

impl Plan {
    /// What tells the row from others.
    fn title(&self) -> String {
        let kind = self.kind.map_or("open", Kind::word);
        let change = self.change.map(|(_, to)| format!("-{to}"));
        let (name, limit, change) = (
            self.scenario,
            self.limit.round(),
            change.unwrap_or_default(),
        );
        format!("{name}-{kind}-{limit}{change}")
    }

    /// More names than can be called, were the limit kept without fail.
    fn names(&self) -> usize {
        let most = self.change.map_or(self.limit, |(_, to)| to.max(self.limit));
        (most * (self.time.as_secs_f64() * 1.1 + 2.0)) as usize + 100
    }

    fn serve(&self, watched: Duration) -> io::Result<Server> {
        Server::start(server::Options {
            limiter: self
                .kind
                .map(|kind| Limiter::new(kind, self.limit, self.window)),
            change: self.change,
            latency: self.latency,
            places: self.places,
            watched,
        })
    }

    fn invocation(&self, options: &Options) -> Invocation {
        let mut words = vec!["-j".into(), self.threads.clone().into()];
        if let Some(rate) = &self.rate {
            words.extend(["--rate".into(), rate.into()]);
        }
        words.extend(options.extra.iter().cloned());
        Invocation {
            program: options.stride.clone(),
            options: words,
        }
    }

    /// Lets stride call the service until the time is over.
    pub(crate) fn measure(&self, options: &Options, stopped: &AtomicBool) -> io::Result<Seen> {
        eprintln!("{}: {} s", self.title(), self.time.as_secs());
        let folder = Folder::with(self.names())?;
        let server = self.serve(Duration::ZERO)?;
        let mut stride = Stride::start(&self.invocation(options), &server.url(), &folder)?;
        let started = Instant::now();
        let mut early = false;
        loop {
            let since = server.since_first();
            if since.is_some_and(|since| since >= self.time) {
                break;
            }
            early = stride.ended()?.is_some();
            if early && since.is_some() {
                break;
            }
            if early || since.is_none() && started.elapsed() > FIRST_CALL {
                let messages = folder.last_messages();
                return Err(io::Error::other(format!("no call came\n{messages}")));
            }
            pause(stopped)?;
        }
        let time = server.since_first().unwrap_or_default().min(self.time);
        let status = stride.stop()?;
        let note = match status.code() {
            Some(130) if !early => String::new(),
            _ => {
                eprintln!("{}", folder.last_messages());
                format!("{status}{}", if early { ", early" } else { "" })
            }
        };
        let log = server.log();
        self.keep(options, &log, &folder)?;
        Ok(Seen { log, time, note })
    }

    /// Stops stride and starts it again, over and over, while the service counts. Each time it runs for as long
    /// as chance will have it, and all times together for the plan's time.
    pub(crate) fn restart(
        &self,
        options: &Options,
        watched: Duration,
        stopped: &AtomicBool,
    ) -> io::Result<Seen> {
        eprintln!(
            "{}: {} s, {RESTARTS} restarts",
            self.title(),
            self.time.as_secs()
        );
        let folder = Folder::with(self.names())?;
        let server = self.serve(watched)?;
        let mut chance = fastrand::Rng::with_seed(options.seed);
        let legs: Vec<f64> = (0..=RESTARTS)
            .map(|_| LEGS.0 + (LEGS.1 - LEGS.0) * chance.f64())
            .collect();
        let scale = self.time.as_secs_f64() / legs.iter().sum::<f64>();
        let mut note = String::new();
        for leg in legs {
            let leg = Duration::from_secs_f64(leg * scale);
            let mut stride = Stride::start(&self.invocation(options), &server.url(), &folder)?;
            let started = Instant::now();
            while started.elapsed() < leg && stride.ended()?.is_none() {
                pause(stopped)?;
            }
            let status = stride.stop()?;
            if status.code() != Some(130) {
                eprintln!("{}", folder.last_messages());
                note = status.to_string();
                break;
            }
        }
        let log = server.log();
        let time = server.since_first().unwrap_or_default();
        self.keep(options, &log, &folder)?;
        Ok(Seen { log, time, note })
    }

    /// Keeps the log and stride's messages, if that is wanted.
    fn keep(&self, options: &Options, log: &Log, folder: &Folder) -> io::Result<()> {
        const SECOND: Duration = Duration::from_secs(1);
        let Some(kept) = &options.log else {
            return Ok(());
        };
        fs::create_dir_all(kept)?;
        fs::copy(folder.messages(), kept.join(self.title() + ".messages"))?;
        let mut table =
            fs::File::create(kept.join(self.title() + ".csv")).map(io::BufWriter::new)?;
        writeln!(table, "second,limit,calls,accepted,refused,mean_ms")?;
        for second in 0..self.time.as_secs() {
            let from = Duration::from_secs(second);
            let limit = match self.change {
                Some((when, to)) if when <= from => to,
                _ => self.limit,
            };
            let tally = log.between(from, from + SECOND);
            writeln!(
                table,
                "{second},{limit},{},{},{},{:.1}",
                tally.calls,
                tally.accepted,
                tally.refused,
                tally.mean_latency().as_secs_f64() * 1e3
            )?;
        }
        table.flush()
    }
}
