//! The oracle: one pure function that checks the evidence after a crash.
//!
//! The runner's events, the service's log and the database are three accounts of the same work. The first two survive
//! the crash elsewhere, and the database must agree with them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::report::Report;

/// The evidence of a run, by source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// The names on the list.
    pub(crate) names: BTreeSet<String>,
    /// The threads that each runner has.
    pub(crate) threads: usize,
    /// The number of crashes that may leave calls in doubt.
    pub(crate) crashes: usize,
    /// The deaths of workers. Each leaves at most as many calls in doubt as a crash.
    pub(crate) deaths: usize,
    /// The time of the last crash, on the monotonic clock.
    pub(crate) last_crash: i64,
    /// The runners' events.
    pub(crate) events: Vec<Event>,
    /// Spans of the monotonic clock in which the disk was cut off. Events in them prove nothing.
    pub(crate) void: Vec<(i64, i64)>,
    /// The calls that the service received.
    pub(crate) calls: Vec<Call>,
    /// The contents of the database, if it exists.
    pub(crate) disk: Option<Disk>,
    /// The problems that `stride verify` reports, if any.
    pub(crate) unsound: Option<String>,
    /// The exit code of the run that should have finished everything, if there was one.
    pub(crate) finished: Option<Option<i32>>,
}

impl Evidence {
    /// Adds the figures of a finished list to those of its experiment.
    pub(crate) fn sum_up(&self, report: &mut Report) {
        let before = |event: &&Event| {
            let succeeded =
                matches!(&event.what, What::Settled { outcome, .. } if outcome == "succeeded");
            succeeded && event.t <= self.last_crash
        };
        let attempts = self.disk.iter().flat_map(|disk| &disk.attempts);
        let doubt = attempts.filter(|attempt| attempt.outcome.as_deref() == Some("in_doubt"));
        report.figure("files", self.names.len());
        report.figure("calls", self.calls.len());
        let told = self.events.iter().filter(before);
        report.figure("results reported before a crash", told.count());
        report.figure("in doubt", doubt.count());
        report.figure("bound", (self.crashes + self.deaths) * self.threads);
    }
}

/// The contents of a database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    /// The findings of SQLite's own checks.
    pub(crate) complaints: Vec<String>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) results: Vec<Stored>,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) done: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) name: String,
    pub(crate) number: i64,
    pub(crate) runner: i64,
    pub(crate) key: String,
    /// `None` during the call.
    pub(crate) outcome: Option<String>,
}

impl Attempt {
    /// Returns true unless the record rules out that it was sent.
    fn may_have_been_sent(&self) -> bool {
        !matches!(self.outcome.as_deref(), Some("not_sent" | "interrupted"))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) name: String,
    /// The number of the attempt with this result.
    pub(crate) attempt: i64,
    /// The checksum of the body, computed now.
    pub(crate) sha256: String,
    /// The file and the nonce in the body; `None` if it is not an answer of the service.
    pub(crate) says: Option<(String, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Nanoseconds on the monotonic clock.
    pub(crate) t: i64,
    pub(crate) name: String,
    pub(crate) number: i64,
    pub(crate) key: String,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Claimed,
    Settled {
        outcome: String,
        sha256: Option<String>,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) nonce: String,
}

/// A violated rule, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Its number in the README.
    pub(crate) rule: u8,
    pub(crate) why: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.why)
    }
}

/// Judges the evidence. Returns the violated rules.
pub(crate) fn judge(evidence: &Evidence) -> Vec<Broken> {
    let nothing = Disk::default();
    let disk = evidence.disk.as_ref().unwrap_or(&nothing);
    let mut court = Court::new(evidence, disk);
    court.the_file_is_sound();
    court.reported_outcomes_are_there();
    court.no_call_is_untraced();
    court.results_are_the_services_own();
    court.every_repeat_has_a_reason();
    court.doubt_is_bounded();
    court.done_means_a_result();
    court.everything_is_finished();
    court.broken
}

struct Court<'e> {
    evidence: &'e Evidence,
    disk: &'e Disk,
    attempts: HashMap<(&'e str, i64), &'e Attempt>,
    results: HashMap<&'e str, &'e Stored>,
    broken: Vec<Broken>,
}

impl<'e> Court<'e> {
    fn new(evidence: &'e Evidence, disk: &'e Disk) -> Self {
        let attempts = disk.attempts.iter();
        let results = disk.results.iter();
        Self {
            evidence,
            disk,
            attempts: attempts
                .map(|each| ((each.name.as_str(), each.number), each))
                .collect(),
            results: results.map(|each| (each.name.as_str(), each)).collect(),
            broken: Vec::new(),
        }
    }

    fn find(&mut self, rule: u8, why: impl Into<String>) {
        let why = why.into();
        self.broken.push(Broken { rule, why });
    }

    /// Rule 1: the database is sound, by SQLite's checks and by `stride verify`.
    fn the_file_is_sound(&mut self) {
        for complaint in &self.disk.complaints {
            self.find(1, complaint);
        }
        if let Some(words) = &self.evidence.unsound {
            self.find(1, format!("verify says: {words}"));
        }
    }

    /// Rules 2 and 3: every event that follows a commit is in the database, and nothing is recorded twice.
    fn reported_outcomes_are_there(&mut self) {
        let evidence = self.evidence;
        let is_void = |event: &&Event| {
            let within = |(from, to): &(i64, i64)| (*from..=*to).contains(&event.t);
            !evidence.void.iter().any(within)
        };
        let mut recorded = HashSet::new();
        for event in evidence.events.iter().filter(is_void) {
            let (name, number) = (&event.name, event.number);
            let attempt = self.attempts.get(&(name.as_str(), number)).copied();
            match &event.what {
                What::Claimed => {
                    if attempt.is_none_or(|attempt| attempt.key != event.key) {
                        let why = format!("attempt {number} of {name} was told and is not there");
                        self.find(3, why);
                    }
                }
                What::Settled { outcome, sha256 } => {
                    let stored = attempt.and_then(|attempt| attempt.outcome.as_ref());
                    if stored != Some(outcome) {
                        let why = format!(
                            "attempt {number} of {name} was told to be {outcome} and is {stored:?}"
                        );
                        self.find(2, why);
                    }
                    if outcome == "succeeded" {
                        let there = self.results.get(name.as_str());
                        let sum = there.map(|result| &result.sha256);
                        if sum != sha256.as_ref() || there.is_some_and(|it| it.attempt != number) {
                            let why = format!("the result of {name} is not the one that was told");
                            self.find(2, why);
                        }
                        if !recorded.insert(name) {
                            self.find(2, format!("{name} was told to be recorded twice"));
                        }
                    }
                }
            }
        }
    }

    /// Rule 4: every call is an attempt of its job, and a key is reused only after an unknown outcome.
    fn no_call_is_untraced(&mut self) {
        let mut calls: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for call in &self.evidence.calls {
            *calls.entry((&call.name, &call.key)).or_default() += 1;
        }
        let mut attempts: HashMap<(&str, &str), Vec<&Attempt>> = HashMap::new();
        for attempt in &self.disk.attempts {
            let same = attempts.entry((&attempt.name, &attempt.key)).or_default();
            same.push(attempt);
        }
        for ((name, key), calls) in calls {
            let same = attempts.get(&(name, key)).map_or(&[][..], Vec::as_slice);
            let sent = same
                .iter()
                .filter(|attempt| attempt.may_have_been_sent())
                .count();
            if same.is_empty() {
                self.find(
                    4,
                    format!("a call of {name} with the key {key} has no attempt"),
                );
            } else if calls > sent {
                let why = format!(
                    "{name} was called {calls} times with the key {key}, by {sent} attempts"
                );
                self.find(4, why);
            }
            // The service gives every call a definite answer, so a call before a repeat was cut off.
            let last = same.iter().map(|attempt| attempt.number).max();
            for before in same.iter().filter(|each| Some(each.number) != last) {
                if !matches!(
                    before.outcome.as_deref(),
                    Some("in_doubt" | "not_sent" | "interrupted")
                ) {
                    let (number, outcome) = (before.number, &before.outcome);
                    let why = format!(
                        "attempt {number} of {name} is {outcome:?}, and its key came again"
                    );
                    self.find(4, why);
                }
            }
        }
    }

    /// Rule 5: a result is the service's answer to a call with the key of this attempt.
    fn results_are_the_services_own(&mut self) {
        let calls = self.evidence.calls.iter();
        let calls: HashMap<&str, &Call> = calls.map(|call| (call.nonce.as_str(), call)).collect();
        for result in &self.disk.results {
            let name = &result.name;
            let Some((file, nonce)) = &result.says else {
                self.find(
                    5,
                    format!("the result of {name} is no answer of the service"),
                );
                continue;
            };
            let attempt = self.attempts.get(&(name.as_str(), result.attempt));
            let key = attempt.map(|attempt| &attempt.key);
            let call = calls.get(nonce.as_str());
            if file != name || call.is_none_or(|call| call.name != *name || Some(&call.key) != key)
            {
                self.find(
                    5,
                    format!("the result of {name} is the answer to another call"),
                );
            }
        }
    }

    /// Rule 6: a job is called again only after an attempt that did not succeed.
    fn every_repeat_has_a_reason(&mut self) {
        let mut reasons: HashMap<&str, usize> = HashMap::new();
        for attempt in &self.disk.attempts {
            if attempt.outcome.as_deref() != Some("succeeded") && attempt.may_have_been_sent() {
                *reasons.entry(&attempt.name).or_default() += 1;
            }
        }
        let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
        for call in &self.evidence.calls {
            *calls.entry(&call.name).or_default() += 1;
        }
        for (name, calls) in calls {
            let reasons = reasons.get(name).copied().unwrap_or_default();
            if calls > reasons + 1 {
                self.find(
                    6,
                    format!("{name} was called {calls} times for {reasons} reasons"),
                );
            }
        }
    }

    /// Rule 7: a crash leaves at most one call in doubt for each thread.
    fn doubt_is_bounded(&mut self) {
        let mut by_runner: BTreeMap<i64, usize> = BTreeMap::new();
        let doubt =
            |attempt: &&Attempt| matches!(attempt.outcome.as_deref(), None | Some("in_doubt"));
        for attempt in self.disk.attempts.iter().filter(doubt) {
            *by_runner.entry(attempt.runner).or_default() += 1;
        }
        let Evidence {
            threads,
            crashes,
            deaths,
            ..
        } = *self.evidence;
        let all: usize = by_runner.values().sum();
        for (runner, doubt) in by_runner {
            if doubt > threads * (1 + deaths) {
                let why = format!("runner {runner} left {doubt} in doubt with {threads} threads");
                self.find(7, why);
            }
        }
        if all > (crashes + deaths) * threads {
            let why = format!("{all} in doubt after {crashes} crashes with {threads} threads");
            self.find(7, why);
        }
    }

    /// Rule 8: a job is done if and only if it has a result.
    fn done_means_a_result(&mut self) {
        let mut seen = HashSet::new();
        for job in &self.disk.jobs {
            let (name, done) = (&job.name, job.done);
            seen.insert(name.as_str());
            if done != self.results.contains_key(name.as_str()) {
                let why = format!("{name} is done ({done}), and has a result ({})", !done);
                self.find(8, why);
            }
        }
        for name in self.results.keys().filter(|name| !seen.contains(*name)) {
            let why = format!("there is a result of {name}, which is no job");
            self.broken.push(Broken { rule: 8, why });
        }
    }

    /// Rule 9: in the end everything on the list is done, and the exit code of the last run agrees.
    fn everything_is_finished(&mut self) {
        let Some(code) = self.evidence.finished else {
            return;
        };
        if code != Some(0) {
            self.find(9, format!("the last run ended with {code:?}"));
        }
        let done = self.disk.jobs.iter().filter(|job| job.done);
        let done: BTreeSet<&str> = done.map(|job| job.name.as_str()).collect();
        let names: BTreeSet<&str> = self.evidence.names.iter().map(String::as_str).collect();
        if done != names {
            let (missing, strange) = (
                names.difference(&done).count(),
                done.difference(&names).count(),
            );
            let why = format!("{missing} files are not done, and {strange} are not on the list");
            self.find(9, why);
        }
    }
}
