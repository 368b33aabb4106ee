//! Reports of experiments.

use std::fmt;
use std::time::Duration;

/// The report of one experiment.
pub(crate) struct Report {
    title: String,
    pub(crate) seed: u64,
    /// The prefix of its folders' names.
    prefix: String,
    lists: usize,
    figures: Vec<(&'static str, usize)>,
    failures: Vec<String>,
    skipped: Option<String>,
    pub(crate) took: Duration,
}

impl Report {
    pub(crate) fn new(title: &str, seed: u64, prefix: &str) -> Self {
        Self {
            title: title.to_owned(),
            seed,
            prefix: prefix.to_owned(),
            lists: 0,
            figures: Vec::new(),
            failures: Vec::new(),
            skipped: None,
            took: Duration::ZERO,
        }
    }

    /// Adds to a figure, which begins at zero.
    pub(crate) fn figure(&mut self, name: &'static str, more: usize) {
        match self.figures.iter_mut().find(|(other, _)| *other == name) {
            Some((_, sum)) => *sum += more,
            None => self.figures.push((name, more)),
        }
    }

    /// Records a failure.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        let why = why.into();
        println!("  FAILED: {why}");
        self.failures.push(why);
    }

    /// Records the oracle's findings at a moment of the experiment. Returns true if there are none.
    pub(crate) fn note(&mut self, broken: &[impl fmt::Display], moment: &str) -> bool {
        const MOST: usize = 5;
        for each in broken.iter().take(MOST) {
            self.fail(format!("{moment}: {each}"));
        }
        if broken.len() > MOST {
            self.fail(format!("{moment}: and {} more", broken.len() - MOST));
        }
        broken.is_empty()
    }

    pub(crate) fn skip(&mut self, why: String) {
        self.skipped = Some(why);
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Returns the name of a new folder.
    pub(crate) fn folder(&mut self) -> String {
        self.lists += 1;
        format!(
            "{}-{}-{:04}",
            self.prefix,
            self.title.replace(' ', "-"),
            self.lists
        )
    }

    pub(crate) fn is_good(&self, require_all: bool) -> bool {
        self.failures.is_empty() && !(require_all && self.skipped.is_some())
    }

    fn verdict(&self) -> String {
        match (&self.skipped, self.failures.len()) {
            (Some(why), _) => format!("SKIPPED: {why}"),
            (None, 0) => "holds".to_owned(),
            (None, n) => format!("{n} FAILURES"),
        }
    }

    fn figures(&self) -> String {
        let figures = self.figures.iter().map(|(name, n)| format!("{name}: {n}"));
        figures.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        write!(
            f,
            "  {} in {seconds:.1} s; {}",
            self.verdict(),
            self.figures()
        )
    }
}

/// Formats all reports as in the README.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut table =
        "| experiment | seed | figures | seconds | verdict |\n| --- | --- | --- | --- | --- |"
            .to_owned();
    for report in reports {
        table.push_str(&format!(
            "\n| {} | {} | {} | {:.0} | {} |",
            report.title,
            report.seed,
            report.figures(),
            report.took.as_secs_f64(),
            report.verdict()
        ));
    }
    table
}
