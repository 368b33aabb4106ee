//! The request, which defines a run's results, and the settings of its calls. Pure.

mod as_stored;
mod body;
mod command;
mod credential;
mod judging;
mod request;
mod transport;
mod units;
mod weight;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure_class::ClassRule;
use crate::governor::{Concurrency, Rules};
use crate::job::Money;
use crate::limits::{Budgets, MaxFailures, Pricing, Rates};
use crate::retry::{DoubtPolicy, RetryPolicy};
pub use body::{Body, Content, Escape, Field, Piece, Treatment};
pub use command::{Command, Way};
pub use credential::{has_key, is_credential, is_credential_in_text, is_sensitive};
pub use judging::{Expect, Judging};
pub use request::{Call, Difference, Header, HeaderValue, PollRule, Request, Then};
pub use transport::{Http, Ip, Tls, Transport};
pub use units::{parse_duration, parse_size, show_duration};
pub use weight::Weight;

/// The number of chunk threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threads {
    /// Chosen at run time, as long as more threads raise throughput.
    Auto,
    /// A fixed number.
    #[serde(untagged)]
    Fixed(usize),
}

impl Threads {
    /// The maximum number of threads that `Auto` tries.
    pub const MOST_FOUND: usize = 256;

    /// Returns the maximum number of threads.
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

/// The source of each call's cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallCost {
    /// Every call costs the same.
    Each(Money),
    /// A jq expression that reads the cost from the answer.
    Answer(String),
}

impl FromStr for CallCost {
    type Err = String;

    /// Parses an amount. Any other text that is no number is taken for an expression.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text.parse(), text.parse::<f64>()) {
            (Ok(price), _) => Ok(Self::Each(price)),
            (Err(wrong), Ok(_)) => Err(wrong),
            (Err(_), Err(_)) => Ok(Self::Answer(text.to_owned())),
        }
    }
}

impl fmt::Display for CallCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Each(price) => price.fmt(f),
            Self::Answer(expression) => f.write_str(expression),
        }
    }
}

/// Settings that may change from one invocation to the next. Each keeps its last given value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The number of chunk threads.
    pub threads: Threads,
    /// The rates of all threads together.
    #[serde(rename = "rate", with = "as_stored::rates")]
    pub rates: Rates,
    /// The maximum number of calls in a row under the shortest rate.
    pub burst: u64,
    /// The weight of a file for rates in weights.
    #[serde(with = "as_stored::text")]
    pub weight: Option<Weight>,
    /// The minimum free space on the database's disk, in bytes.
    pub min_free: u64,
    /// Charged attempts after the first.
    pub retries: u32,
    /// The longest wait before the first retry.
    pub retry_delay: Duration,
    /// The longest wait before any retry.
    pub retry_max_delay: Duration,
    /// The policy for attempts in doubt.
    pub in_doubt: DoubtPolicy,
    /// The first wait between polls.
    pub poll_every: Duration,
    /// The longest time of polling.
    pub poll_for: Duration,
    /// The maximum number of jobs that are submitted and unfinished.
    pub max_submitted: Option<u64>,
    /// End the session when only waiting jobs are left that are not due. Not stored.
    #[serde(skip)]
    pub submit_only: bool,
    /// The timeout of a whole call.
    pub timeout: Duration,
    /// The longest time without a byte while the file is being sent or the answer is arriving.
    pub idle_timeout: Duration,
    /// The timeout of connecting.
    pub connect_timeout: Duration,
    /// The largest answer, in bytes after content decoding.
    pub max_response: u64,
    /// The accounts that share the calls: the path of a table with a row for each, or `env:NAME`.
    pub pool: Option<String>,
    /// The number of worker processes; by default as many as the threads need.
    pub workers: Option<usize>,
    /// The time that a worker has to say hello.
    pub worker_start: Duration,
    /// The time that calls in flight have to finish after a stop is requested.
    pub grace: Duration,
    /// Rules that override the classes of answers. The first that applies decides.
    pub classes: Vec<ClassRule>,
    /// A jq expression for the seconds that an answer asks to wait.
    pub retry_after: Option<String>,
    /// The longest wait that the service may ask for. A longer one stops the session.
    pub max_wait: Duration,
    /// The longest outage. A longer one stops the session.
    pub max_outage: Duration,
    /// The maximum number of files that may fail in one session.
    #[serde(with = "as_stored::text")]
    pub max_failures: Option<MaxFailures>,
    /// The maximum number of calls of all sessions.
    pub max_calls: Option<u64>,
    /// The longest duration of all sessions together.
    pub max_duration: Option<Duration>,
    /// The maximum total cost of all sessions.
    #[serde(with = "as_stored::text")]
    pub max_cost: Option<Money>,
    /// The source of each call's cost. Without it, a call costs what its answer states, if it states anything.
    #[serde(with = "as_stored::text")]
    pub cost: Option<CallCost>,
    /// A jq expression for the weight that a call had by its answer. It replaces the weight by which a rate charged the call.
    pub settle: Option<String>,
    /// The time from which on no call starts, in milliseconds since 1970.
    pub until: Option<i64>,
    /// Make the first call of a session alone, until the service has answered it, or for two seconds.
    pub canary: bool,
    /// The names of settings given as flags. The command line reads all others from variables and files each time.
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
            poll_every: Duration::from_secs(5),
            poll_for: Duration::from_secs(24 * 3600),
            max_submitted: None,
            submit_only: false,
            timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            min_free: 64 << 20,
            max_response: 16 << 20,
            pool: None,
            workers: None,
            worker_start: Duration::from_secs(60),
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
            settle: None,
            until: None,
            canary: true,
            given: BTreeSet::new(),
        }
    }
}

impl Settings {
    /// Returns these settings with the changes between `before` and `after`.
    pub fn with_changes(&self, before: &Self, after: &Self) -> Self {
        // The stored form includes every setting, also future ones.
        let fields = |settings: &Self| match serde_json::to_value(settings) {
            Ok(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (before, mut merged) = (fields(before), fields(self));
        let changed = fields(after).into_iter();
        merged.extend(changed.filter(|(name, value)| before.get(name) != Some(value)));
        let merged = serde_json::from_value(Value::Object(merged));
        Self {
            submit_only: self.submit_only,
            ..merged.unwrap_or_else(|_| after.clone())
        }
    }

    /// Returns the rules for retries.
    pub fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            retries: self.retries,
            delay: self.retry_delay,
            max_delay: self.retry_max_delay,
            in_doubt: self.in_doubt,
            poll_every: self.poll_every,
            poll_for: self.poll_for,
        }
    }

    /// Returns the governor's rules.
    pub fn rules(&self) -> Rules {
        Rules {
            rates: self.rates.clone(),
            burst: self.burst,
            concurrency: match self.threads {
                Threads::Fixed(threads) => Concurrency::Fixed(threads),
                Threads::Auto => Concurrency::Auto(Threads::MOST_FOUND),
            },
            max_wait: self.max_wait,
            max_outage: self.max_outage,
            max_failures: self.max_failures,
            stops_bad_requests: match self.max_failures {
                None => !self.given.contains("max-failures"),
                // A lower limit of the user stops the run sooner.
                Some(MaxFailures::Count(most)) => most >= Rules::BAD_REQUEST,
                Some(MaxFailures::Percent(_)) => true,
            },
            budgets: Budgets {
                calls: self.max_calls,
                duration: self.max_duration,
                cost: self.max_cost,
                pricing: match (&self.cost, self.max_cost) {
                    (Some(CallCost::Each(price)), _) => Pricing::Each(*price),
                    (Some(CallCost::Answer(_)), _) | (None, Some(_)) => Pricing::Answer,
                    (None, None) => Pricing::default(),
                },
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
    fn settings_survive_storage() {
        let settings = Settings {
            threads: 3.into(),
            rates: Rates::parse(["auto", "10/s", "5000/d"]).unwrap(),
            weight: Some("size/4".parse().unwrap()),
            max_failures: Some("5%".parse().unwrap()),
            max_cost: Some("12.5".parse().unwrap()),
            until: Some(1_800_000_000_000),
            retry_after: Some(".wait".to_owned()),
            ..Settings::default()
        };
        let read = |text: &str| serde_json::from_str::<Settings>(text).unwrap();
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(read(&text), settings);
        assert!(text.starts_with(r#"{"threads":3,"#), "{text}");
        assert_eq!(read("{}"), Settings::default());
        assert_eq!(read(r#"{"threads":"auto"}"#).threads, Threads::Auto);
    }

    #[test]
    fn only_changes_are_applied() {
        let own = Settings {
            threads: 3.into(),
            max_calls: Some(9),
            canary: false,
            ..Settings::default()
        };
        let before = Settings::default();
        let after = Settings {
            rates: Rates::parse(["10/s"]).unwrap(),
            max_calls: Some(7),
            ..before.clone()
        };
        let expected = Settings {
            rates: after.rates.clone(),
            max_calls: Some(7),
            ..own.clone()
        };
        assert_eq!(own.with_changes(&before, &after), expected);
        assert_eq!(own.with_changes(&after, &before).max_calls, None);
        assert_eq!(own.with_changes(&after, &after), own);
    }
}
