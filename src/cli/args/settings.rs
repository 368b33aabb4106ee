//! The flags of settings that a run remembers, and the parsers of their values.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use jiff::{Timestamp, ZonedDateTime};

use stride::jq::Expression;
use stride::limits::{MaxFailures, Money, Rates};
use stride::retry::DoubtPolicy;
use stride::settings::{CallCost, Threads, Weight, parse_duration, parse_size};

use crate::cli::output::time::until;

/// The heading of settings that a run remembers.
pub(crate) const KEPT: &str = "Settings, which the run remembers";

/// The maximum number of concurrent calls.
const MOST_THREADS: usize = 10_000;

/// The pace and limits of a run, which `stride set` changes in a running run.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = KEPT)]
pub(crate) struct LimitArgs {
    /// Concurrent calls, or `auto` to find the best number [default: 8]
    ///
    /// Other names are --concurrency, --jobs and --parallel.
    #[arg(short = 'j', long, value_name = "N", value_parser = parse_threads, aliases = ["concurrency", "jobs", "parallel", "parallelism", "max-procs"])]
    pub(crate) threads: Option<Threads>,
    /// Limit of all threads together, such as 10/s or 20MB/s [default: auto]
    ///
    /// Calls: 10/s, 600/m, 5000/h, 100000/d; bytes: 20MB/s; weights: 90000w/m. With several rates, a call waits until
    /// all of them allow it. `auto` finds the pace that the service accepts; `none` turns that off. Other names are --qps
    /// and --rps. With --pool, it is the limit of each lane.
    #[arg(long, aliases = ["qps", "rps", "rate-limit", "tpslimit"], value_parser = parse_rate)]
    pub(crate) rate: Vec<String>,
    /// Calls that the shortest rate lets through at once [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) burst: Option<u64>,
    /// Weight of a file for rates in weights: a number, its size, a column {col.NAME}, or a sum of these times numbers,
    /// such as size/4+800; `none` removes it
    #[arg(long, value_parser = or_none(Weight::from_str))]
    pub(crate) weight: Option<OrNone<Weight>>,
    /// Longest wait that the service may ask for; a longer one stops the run [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) max_wait: Option<Duration>,
    /// Longest outage to wait out [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) max_outage: Option<Duration>,
    /// Stop when more files than this have failed since the start or the last resume, or more than a share such as 5%;
    /// `none` removes the limit
    #[arg(long, value_name = "N|P%", value_parser = or_none(MaxFailures::from_str))]
    pub(crate) max_failures: Option<OrNone<MaxFailures>>,
    /// Stop after this many calls of the run in total; `none` removes the limit
    #[arg(long, value_name = "N", value_parser = or_none(parse_count))]
    pub(crate) max_calls: Option<OrNone<u64>>,
    /// Stop after this much working time of the run in total; `none` removes the limit
    #[arg(long, value_name = "TIME", value_parser = or_none(parse_positive))]
    pub(crate) max_duration: Option<OrNone<Duration>>,
    /// Stop before the run costs more than this in total; needs --cost; `none` removes the limit
    #[arg(long, alias = "budget", value_name = "X", value_parser = or_none(Money::from_str))]
    pub(crate) max_cost: Option<OrNone<Money>>,
    /// Cost of a call, such as 0.0015, or a jq expression that reads it from each answer, such as
    /// '.usage.total_tokens * 0.000002'; `none` removes it
    #[arg(long, value_name = "X|EXPR", allow_hyphen_values = true, value_parser = or_none(parse_cost))]
    pub(crate) cost: Option<OrNone<CallCost>>,
    /// First wait between two polls of a later request; it grows by half each time, up to ten times itself; the service's
    /// own wait takes precedence [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    pub(crate) poll_every: Option<Duration>,
    /// Longest time of polling for a file [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    pub(crate) poll_for: Option<Duration>,
    /// Call no new file while so many are submitted and unfinished; `none` removes the limit
    #[arg(long, value_name = "N", value_parser = or_none(parse_count))]
    pub(crate) max_submitted: Option<OrNone<u64>>,
    /// Stop at this time of day, such as 06:00, or moment, such as 2030-01-31T06:00; `none` removes the limit
    #[arg(long, value_name = "TIME", value_parser = or_none(parse_until))]
    pub(crate) until: Option<OrNone<i64>>,
}

/// The settings that a run remembers.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = KEPT)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Retries after a transient failure [default: 4]
    ///
    /// Another name is --max-retries.
    #[arg(long, aliases = ["max-retries", "retry", "retry-max"], value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// Longest wait before the first retry; it doubles each time [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) retry_delay: Option<Duration>,
    /// jq expression for the seconds that a throttled answer (429, 503 and others) asks to wait, such as .error.wait; may
    /// use $status and $headers; takes precedence over the headers that stride reads; `none` removes it
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, value_parser = or_none(parse_expression))]
    pub(crate) retry_after: Option<OrNone<String>>,
    /// jq expression for the weight that a call had by its answer, such as .usage.total_tokens: it replaces the one that
    /// --weight gave; `none` removes it
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, value_parser = or_none(parse_expression))]
    pub(crate) settle: Option<OrNone<String>>,
    /// Longest wait before a retry [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) retry_max_delay: Option<Duration>,
    /// Handling of a call that may have been sent but has no answer [default: retry]
    #[arg(long, value_enum)]
    pub(crate) in_doubt: Option<InDoubt>,
    /// Longest duration of a call [default: 10m]
    #[arg(long, alias = "max-time", value_name = "TIME", value_parser = parse_positive)]
    pub(crate) timeout: Option<Duration>,
    /// Longest pause while the file or the answer is in transit [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Longest duration of connecting [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Largest answer [default: 16MiB]
    #[arg(long, alias = "max-filesize", value_name = "SIZE", value_parser = parse_response_size)]
    pub(crate) max_response: Option<u64>,
    /// Keep this much of the database's disk free: with less, no call starts; `none` removes the limit [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size_or_none)]
    pub(crate) min_free: Option<u64>,
    /// Accounts that share the calls: a CSV file with a row for each, or a key a line; `env:NAME` reads a variable; `none`
    /// removes it
    ///
    /// The request takes the values from {pool.key}, {pool.url}, or another column, workers from `pool`. Each row is a lane
    /// with a pace of its own: --rate holds for each, and -j for all together. Only the names of a column `name` are stored.
    #[arg(long, value_name = "FILE|env:NAME", value_parser = or_none(parse_pool))]
    pub(crate) pool: Option<OrNone<String>>,
    /// Processes of --worker [default: as many as -j needs]
    #[arg(long, value_name = "N", value_parser = or_none(parse_workers))]
    pub(crate) workers: Option<OrNone<usize>>,
    /// Longest wait until a worker is ready [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    pub(crate) worker_start: Option<Duration>,
    /// Longest wait for calls in flight after Ctrl-C [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) grace: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InDoubt {
    /// Call it again, with the same Idempotency-Key
    Retry,
    /// Hold it until `stride retry --held`
    Hold,
}

impl From<InDoubt> for DoubtPolicy {
    fn from(policy: InDoubt) -> Self {
        match policy {
            InDoubt::Retry => Self::Retry,
            InDoubt::Hold => Self::Hold,
        }
    }
}

/// A value, or `none`, which removes the stored one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OrNone<T>(pub(crate) Option<T>);

impl<T> From<OrNone<T>> for Option<T> {
    fn from(OrNone(value): OrNone<T>) -> Self {
        value
    }
}

/// Returns a parser of `none`, and of what `parse` accepts.
fn or_none<T>(
    parse: impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<OrNone<T>, String> + Clone + Send + Sync + 'static {
    move |text| match text {
        "none" => Ok(OrNone(None)),
        _ => parse(text).map(|value| OrNone(Some(value))),
    }
}

fn parse_expression(text: &str) -> Result<String, String> {
    match Expression::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("`{text}` cannot be read: {error}")),
    }
}

fn parse_cost(text: &str) -> Result<CallCost, String> {
    let cost: CallCost = text.parse()?;
    if let CallCost::Answer(expression) = &cost {
        parse_expression(expression)?;
    }
    Ok(cost)
}

fn parse_count(text: &str) -> Result<u64, String> {
    let number = text.parse();
    number.map_err(|_| format!("`{text}` is not a whole number"))
}

fn parse_rate(text: &str) -> Result<String, String> {
    Rates::parse([text]).map(|_| text.to_owned())
}

fn parse_threads(text: &str) -> Result<Threads, String> {
    if text == "auto" {
        return Ok(Threads::Auto);
    }
    text.parse()
        .ok()
        .filter(|threads| (1..=MOST_THREADS).contains(threads))
        .map(Threads::Fixed)
        .ok_or_else(|| format!("`{text}` is neither `auto` nor a number from 1 to {MOST_THREADS}"))
}

/// Makes a path absolute, because a run may be resumed elsewhere.
fn parse_pool(text: &str) -> Result<String, String> {
    if text
        .strip_prefix("env:")
        .is_some_and(|name| !name.is_empty())
    {
        return Ok(text.to_owned());
    }
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    let path = path.into_os_string().into_string();
    path.map_err(|_| "the path is not UTF-8".to_owned())
}

fn parse_workers(text: &str) -> Result<usize, String> {
    let workers = text.parse().ok();
    let workers = workers.filter(|workers| (1..=MOST_THREADS).contains(workers));
    workers.ok_or_else(|| format!("`{text}` is not a number from 1 to {MOST_THREADS}"))
}

fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("it must be longer than zero".to_owned()),
        duration => Ok(duration),
    }
}

/// SQLite stores at most 1,000,000,000 bytes in a row.
const LARGEST_RESPONSE: u64 = 900 << 20;

fn parse_size_or_none(text: &str) -> Result<u64, String> {
    match text {
        "none" => Ok(0),
        _ => parse_size(text),
    }
}

fn parse_response_size(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        size if size > LARGEST_RESPONSE => Err("an answer can have at most 900MiB".to_owned()),
        size => Ok(size),
    }
}

/// Parses a time of day (the next one), or a moment, either local or with a UTC offset.
fn parse_until(text: &str) -> Result<i64, String> {
    let moment = until(text, &ZonedDateTime::now()).map(Timestamp::as_millisecond);
    moment.ok_or_else(|| {
        format!("`{text}` is not a future time: use a time of day such as 06:00, or a moment such as 2030-01-31T06:00")
    })
}
