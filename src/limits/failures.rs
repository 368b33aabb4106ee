//! How many files may fail before a run stops.

use std::fmt;
use std::str::FromStr;

/// The number or share of failed files that stops a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFailures {
    /// More than so many.
    Count(u64),
    /// More than so many of a hundred that are finished.
    Percent(f64),
}

impl MaxFailures {
    /// Of fewer finished files, a share says nothing.
    const SAMPLE: u64 = 20;

    pub(crate) fn is_passed(self, failed: u64, done: u64) -> bool {
        match self {
            Self::Count(most) => failed > most,
            Self::Percent(most) => {
                let finished = failed + done;
                finished >= Self::SAMPLE && failed as f64 * 100.0 > most * finished as f64
            }
        }
    }
}

impl FromStr for MaxFailures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        read.ok_or_else(|| {
            format!("`{text}` is neither a number of files, such as 100, nor a share, such as 5%")
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
