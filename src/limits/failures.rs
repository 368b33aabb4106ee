//! `--max-failures`: the number or share of failed files that stops a run.

use std::fmt;
use std::str::FromStr;

/// The maximum number of files that may fail before the run stops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFailures {
    /// Number of files.
    Count(u64),
    /// Percentage of the finished files.
    Percent(f64),
}

impl MaxFailures {
    /// Fewest finished files for which a percentage is meaningful.
    const LEAST_SAMPLE: u64 = 20;

    pub(crate) fn is_exceeded(self, failed: u64, done: u64) -> bool {
        match self {
            Self::Count(most) => failed > most,
            Self::Percent(most) => {
                let finished = failed + done;
                finished >= Self::LEAST_SAMPLE && failed as f64 * 100.0 > most * finished as f64
            }
        }
    }
}

impl FromStr for MaxFailures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| {
            format!(
                "`{text}` is not a limit: use a number of files such as 100, or a share such as 5%"
            )
        })
    }
}

impl fmt::Display for MaxFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
}
