//! The flags of settings that a run remembers, and the parsers of their values.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use jiff::{Timestamp, ZonedDateTime};

use stride::limits::{MaxFailures, Money, Rates};
use stride::retry::DoubtPolicy;
use stride::settings::{Threads, Weight, parse_duration, parse_size};
use stride::validate::RetryAfter;

use crate::cli::output::time::until;

/// The heading of what a run remembers.
pub(crate) const KEPT: &str = "Settings, kept until given again";

/// The most chunk threads one runner can have.
const MOST_THREADS: usize = 10_000;

/// The pace and limits of a run, which `stride set` changes in a running run.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = KEPT)]
pub(crate) struct LimitArgs {
    /// Chunk threads: calls at the same time, or `auto` to find how many are of use [default: 8]
    #[arg(short = 'j', long, visible_alias = "concurrency", value_name = "N", value_parser = parse_threads,
        aliases = ["jobs", "parallel", "parallelism", "max-procs"])]
    pub(crate) threads: Option<Threads>,
    /// The most that all threads together may do, such as 10/s or 20MB/s [default: auto]
    ///
    /// Calls: 10/s, 600/m, 5000/h, 100000/d; bytes: 20MB/s; weights: 90000w/m. With several rates, a call waits until
    /// all of them allow it. `auto` finds the pace that the service accepts; `none` turns that off.
    #[arg(long, visible_alias = "qps", aliases = ["rps", "rate-limit", "tpslimit"], value_parser = parse_rate)]
    pub(crate) rate: Vec<String>,
    /// How many calls the shortest rate lets through in a row [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) burst: Option<u64>,
    /// What a rate in weights counts of a file: size, or a part of it such as size/4
    #[arg(long, value_parser = parse_or_none::<Weight>)]
    pub(crate) weight: Option<OrNone<Weight>>,
    /// The longest wait that the service may ask for; a longer one ends the run for now [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) max_wait: Option<Duration>,
    /// How long an outage is waited out [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) max_outage: Option<Duration>,
    /// Stop when more files than this have failed, or more than a share such as 5%; `none` removes the limit
    #[arg(long, value_name = "N|P%", value_parser = parse_or_none::<MaxFailures>)]
    pub(crate) max_failures: Option<OrNone<MaxFailures>>,
    /// Stop after so many calls of the run in all; `none` removes the limit
    #[arg(long, value_name = "N", value_parser = parse_count_or_none)]
    pub(crate) max_calls: Option<OrNone<u64>>,
    /// Stop after so much working time of the run in all; `none` removes the limit
    #[arg(long, value_name = "TIME", value_parser = parse_duration_or_none)]
    pub(crate) max_duration: Option<OrNone<Duration>>,
    /// Stop before the run costs more than this in all; needs --cost; `none` removes the limit
    #[arg(long, alias = "budget", value_name = "X", value_parser = parse_or_none::<Money>)]
    pub(crate) max_cost: Option<OrNone<Money>>,
    /// What a call costs
    #[arg(long, value_name = "EACH", value_parser = parse_or_none::<Money>)]
    pub(crate) cost: Option<OrNone<Money>>,
    /// Stop at this time of day, such as 06:00, or moment, such as 2030-01-31T06:00; `none` removes the limit
    #[arg(long, value_name = "TIME", value_parser = parse_until)]
    pub(crate) until: Option<OrNone<i64>>,
}

/// The settings that a run remembers.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = KEPT)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Retries after a transient failure [default: 4]
    #[arg(long, visible_alias = "max-retries", aliases = ["retry", "retry-max"], value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// The longest first wait before a repeat; it doubles each time [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) retry_delay: Option<Duration>,
    /// A jq expression for the seconds that a refused answer (429, 503) asks to wait, such as .error.wait; may use
    /// $status and $headers; comes before what stride reads by itself; `none` removes it
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, value_parser = parse_retry_after)]
    pub(crate) retry_after: Option<OrNone<String>>,
    /// The longest wait before a repeat [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) retry_max_delay: Option<Duration>,
    /// What to do with a call that was perhaps sent and has no answer [default: retry]
    #[arg(long, value_enum)]
    pub(crate) in_doubt: Option<InDoubt>,
    /// How long a whole call may take [default: 10m]
    #[arg(long, alias = "max-time", value_name = "TIME", value_parser = parse_positive)]
    pub(crate) timeout: Option<Duration>,
    /// How long the file or the answer may stand still on its way [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    pub(crate) idle_timeout: Option<Duration>,
    /// How long making a connection may take [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    pub(crate) connect_timeout: Option<Duration>,
    /// The largest answer [default: 16MiB]
    #[arg(long, alias = "max-filesize", value_name = "SIZE", value_parser = parse_response_size)]
    pub(crate) max_response: Option<u64>,
    /// Keep this much of the database's disk free: with less, no call is made; `none` removes the limit [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size_or_none)]
    pub(crate) min_free: Option<u64>,
    /// How long calls in flight may take to end after Ctrl-C [default: 30s]
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

/// A value, or `none`, which removes the one there was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OrNone<T>(pub(crate) Option<T>);

impl<T> From<OrNone<T>> for Option<T> {
    fn from(OrNone(value): OrNone<T>) -> Self {
        value
    }
}

/// Reads `none`, or a value by `parse`.
pub(crate) fn or_none<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<OrNone<T>, String> {
    match text {
        "none" => Ok(OrNone(None)),
        _ => parse(text).map(|value| OrNone(Some(value))),
    }
}

fn parse_or_none<T: FromStr<Err = String>>(text: &str) -> Result<OrNone<T>, String> {
    or_none(text, str::parse)
}

fn parse_retry_after(text: &str) -> Result<OrNone<String>, String> {
    or_none(text, |text| match RetryAfter::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("`{text}` cannot be read: {}", error.source)),
    })
}

fn parse_duration_or_none(text: &str) -> Result<OrNone<Duration>, String> {
    or_none(text, parse_positive)
}

fn parse_count_or_none(text: &str) -> Result<OrNone<u64>, String> {
    or_none(text, |text| {
        let number = text.parse();
        number.map_err(|_| format!("`{text}` is not a whole number"))
    })
}

fn parse_rate(text: &str) -> Result<String, String> {
    Rates::read([text]).map(|_| text.to_owned())
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

fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("it has to be longer than nothing".to_owned()),
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

/// Parses a time of day (the next one), or a moment with or without a time zone.
fn parse_until(text: &str) -> Result<OrNone<i64>, String> {
    or_none(text, |text| {
        let moment = until(text, &ZonedDateTime::now()).map(Timestamp::as_millisecond);
        moment.ok_or_else(|| {
            format!("`{text}` is not a time to come: write a time of day such as 06:00, or a moment such as 2030-01-31T06:00")
        })
    })
}
