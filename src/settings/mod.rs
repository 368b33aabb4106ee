//! What a run was told: the request, which decides the results, and the free settings, which do not. Pure.

mod as_stored;
mod body;
mod credential;
mod judging;
mod request;
mod transport;
mod units;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure_class::ClassRule;
use crate::governor::{Rules, Width};
use crate::limits::{Budgets, MaxFailures, Money, Rates};
use crate::retry::{DoubtPolicy, RetryPolicy};
pub use body::{Body, Content, Escape, Field, Piece, Treatment};
pub use credential::{is_credential, is_credential_in_text, is_sensitive};
pub use judging::{Expect, Judging};
pub use request::{Call, Difference, Header, HeaderValue, Request};
pub use transport::{Http, Transport};
pub use units::{parse_duration, parse_size, show_duration};

/// How many chunk threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// So many.
    Fixed(usize),
    /// As many as are of use.
    Auto,
}

impl Threads {
    /// The most that are tried where their number is to be found.
    pub const MOST_FOUND: usize = 256;

    /// How many there can be.
    pub fn most(self) -> usize {
        match self {
            Self::Fixed(threads) => threads,
            Self::Auto => Self::MOST_FOUND,
        }
    }
}

impl From<usize> for Threads {
    fn from(threads: usize) -> Self {
        Self::Fixed(threads)
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(threads) => write!(f, "{threads}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// The weight of a file, as a rate in weights counts it: its size in bytes, divided by a number and rounded up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    divisor: f64,
}

impl Weight {
    /// The weight of a file of this size.
    pub fn of(self, size: u64) -> u64 {
        (size as f64 / self.divisor).ceil() as u64
    }
}

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let divisor = match text.strip_prefix("size") {
            Some("") => Some(1.0),
            Some(rest) => rest
                .strip_prefix('/')
                .and_then(|number| number.parse().ok()),
            None => None,
        };
        divisor
            .filter(|divisor: &f64| divisor.is_finite() && *divisor > 0.0)
            .map(|divisor| Self { divisor })
            .ok_or_else(|| {
                format!("`{text}` is not a weight: write size, or a part of it such as size/4")
            })
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.divisor == 1.0 {
            f.write_str("size")
        } else {
            write!(f, "size/{}", self.divisor)
        }
    }
}

/// The settings that may change from one invocation to the next. One left out keeps its last given value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Chunk threads.
    #[serde(with = "as_stored::threads")]
    pub threads: Threads,
    /// The pace of all threads together.
    #[serde(rename = "rate", with = "as_stored::rates")]
    pub rates: Rates,
    /// How many calls the shortest rate lets through in a row.
    pub burst: u64,
    /// What a rate in weights counts.
    #[serde(with = "as_stored::text")]
    pub weight: Option<Weight>,
    /// What is to stay free on the database's disk, in bytes, at the least.
    pub min_free: u64,
    /// Repeats that count against a job.
    pub retries: u32,
    /// The bound of the first wait before a repeat.
    pub retry_delay: Duration,
    /// The bound of every wait before a repeat.
    pub retry_max_delay: Duration,
    /// What to do with what is in doubt.
    pub in_doubt: DoubtPolicy,
    /// How long a whole call may take.
    pub timeout: Duration,
    /// How long a call may go without a byte, while the file is being sent or the answer is arriving.
    pub idle_timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// The largest answer, in bytes after content decoding.
    pub max_response: u64,
    /// How long calls in flight may take to end after a stop was asked for.
    pub grace: Duration,
    /// Rules that put answers into other classes; the first that speaks of an answer decides.
    pub classes: Vec<ClassRule>,
    /// A jq expression for the seconds that a refused answer asks to wait.
    pub retry_after: Option<String>,
    /// The longest wait that the service may ask for; a longer one ends the runner.
    pub max_wait: Duration,
    /// The longest outage that is waited out.
    pub max_outage: Duration,
    /// The most files that may fail under one runner.
    #[serde(with = "as_stored::text")]
    pub max_failures: Option<MaxFailures>,
    /// The most calls of the run, over all its runners.
    pub max_calls: Option<u64>,
    /// How long runners may work on the run, all together.
    pub max_duration: Option<Duration>,
    /// The most that the run may cost, over all its runners.
    #[serde(with = "as_stored::text")]
    pub max_cost: Option<Money>,
    /// What a call costs.
    #[serde(with = "as_stored::text")]
    pub cost: Option<Money>,
    /// No call after this moment, in milliseconds since 1970.
    pub until: Option<i64>,
    /// Whether the first call of a runner goes alone until the service has taken it.
    pub canary: bool,
    /// The names of the settings that were given by flags of the command line, which takes the others from variables and
    /// files each time anew.
    pub given: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: Threads::Fixed(8),
            rates: Rates::default(),
            burst: 1,
            weight: None,
            retries: 4,
            retry_delay: Duration::from_secs(1),
            retry_max_delay: Duration::from_secs(60),
            in_doubt: DoubtPolicy::Retry,
            timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            min_free: 64 << 20,
            max_response: 16 << 20,
            grace: Duration::from_secs(30),
            classes: Vec::new(),
            retry_after: None,
            max_wait: Duration::from_secs(900),
            max_outage: Duration::from_secs(600),
            max_failures: None,
            max_calls: None,
            max_duration: None,
            max_cost: None,
            cost: None,
            until: None,
            canary: true,
            given: BTreeSet::new(),
        }
    }
}

impl Settings {
    /// Returns these settings with those of `after` that are others in `before`.
    pub fn with_changes(&self, before: &Self, after: &Self) -> Self {
        // Each setting is a field of the stored form, so that one that is added is taken over too.
        let fields = |settings: &Self| match serde_json::to_value(settings) {
            Ok(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (before, mut merged) = (fields(before), fields(self));
        let changed = fields(after).into_iter();
        merged.extend(changed.filter(|(name, value)| before.get(name) != Some(value)));
        serde_json::from_value(Value::Object(merged)).unwrap_or_else(|_| after.clone())
    }

    /// The rules by which jobs are repeated.
    pub fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            retries: self.retries,
            delay: self.retry_delay,
            max_delay: self.retry_max_delay,
            in_doubt: self.in_doubt,
        }
    }

    /// The rules by which calls are let through.
    pub fn rules(&self) -> Rules {
        Rules {
            rates: self.rates.clone(),
            burst: self.burst,
            width: match self.threads {
                Threads::Fixed(threads) => Width::Fixed(threads),
                Threads::Auto => Width::Auto(Threads::MOST_FOUND),
            },
            max_wait: self.max_wait,
            max_outage: self.max_outage,
            max_failures: self.max_failures,
            stops_slips: match self.max_failures {
                None => !self.given.contains("max-failures"),
                // The user's own limit stops the run sooner.
                Some(MaxFailures::Count(most)) => most >= Rules::SLIP,
                Some(MaxFailures::Percent(_)) => true,
            },
            budgets: Budgets {
                calls: self.max_calls,
                duration: self.max_duration,
                cost: self.max_cost,
                each: self.cost.unwrap_or_default(),
            },
            until: self.until,
            canary: self.canary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_storage_and_older_versions() {
        let settings = Settings {
            threads: 3.into(),
            rates: Rates::read(["auto", "10/s", "5000/d"]).unwrap(),
            weight: Some("size/4".parse().unwrap()),
            max_failures: Some("5%".parse().unwrap()),
            max_cost: Some("12.5".parse().unwrap()),
            until: Some(1_800_000_000_000),
            retry_after: Some(".wait".to_owned()),
            ..Settings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        assert_eq!(
            serde_json::from_str::<Settings>("{}").unwrap(),
            Settings::default()
        );
        let older = r#"{"threads":3,"rate":"10/s"}"#;
        let older: Settings = serde_json::from_str(older).unwrap();
        assert_eq!(older.rates.words(), ["10/s"]);
        assert_eq!(
            serde_json::from_str::<Settings>(r#"{"rate":null,"threads":"auto"}"#)
                .unwrap()
                .threads,
            Threads::Auto
        );
    }

    #[test]
    fn only_what_was_changed_is_taken_over() {
        let own = Settings {
            threads: 3.into(),
            max_calls: Some(9),
            canary: false,
            ..Settings::default()
        };
        let before = Settings::default();
        let after = Settings {
            rates: Rates::read(["10/s"]).unwrap(),
            max_calls: Some(7),
            ..before.clone()
        };
        let expected = Settings {
            rates: after.rates.clone(),
            max_calls: Some(7),
            ..own.clone()
        };
        assert_eq!(own.with_changes(&before, &after), expected);
        // What is taken away is changed too.
        let without = Settings {
            max_calls: None,
            ..own.clone()
        };
        assert_eq!(
            own.with_changes(&after, &before).max_calls,
            without.max_calls
        );
        assert_eq!(own.with_changes(&after, &after), own);
    }

    #[test]
    fn a_weight_is_a_part_of_the_size() {
        assert_eq!("size/4".parse::<Weight>().unwrap().of(9), 3);
        assert_eq!("size".parse::<Weight>().unwrap().of(9), 9);
        for wrong in ["", "size/", "size/0", "size*4", "4", "size/-1", "size/inf"] {
            assert!(wrong.parse::<Weight>().is_err(), "{wrong}");
        }
    }
}
