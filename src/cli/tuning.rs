//! The words of the command line that set how a run goes.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use stride::class::ClassRule;
use stride::judge::RetryAfter;
use stride::limits::{MaxFailures, Measure, Money, Rates};
use stride::retry::DoubtPolicy;
use stride::settings::{Settings, Threads, Weight, parse_duration, parse_size};
use stride::store::wall_clock;

use super::args::KEPT;
use super::error::Problem;
use super::preferences::{Preferences, Typed, given_with};
use super::request::Limits;
use super::when::parse_until;

/// The most chunk threads one runner can have.
const MOST_THREADS: usize = 10_000;

/// How fast a run goes and when it stops: what may change while it goes on. One left out keeps its last value.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = KEPT)]
pub(crate) struct Live {
    /// Which settings were typed. It stands first: the parser hands each value over and forgets it.
    #[command(flatten)]
    pub(crate) typed: Typed,
    /// Chunk threads: calls at the same time, or `auto` to find how many are of use [default: 8]
    #[arg(short = 'j', long, alias = "jobs", value_name = "N", value_parser = parse_threads)]
    threads: Option<Threads>,
    /// The most that all threads together may do: 10/s, 600/m, 5000/h, 100000/d, 20MB/s for bytes, 90000w/m for weights.
    /// Given twice, a call waits until all of them allow it. Without it stride finds the pace (`auto`); `none` turns that off
    #[arg(long, value_parser = parse_rate)]
    rate: Vec<String>,
    /// How many calls the shortest rate lets through in a row [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    burst: Option<u64>,
    /// What a rate in weights counts of a file: size, or a part of it such as size/4
    #[arg(long, value_parser = parse_or_none::<Weight>)]
    weight: Option<OrNone<Weight>>,
    /// The longest wait that the service may ask for; a longer one ends the run for now [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_wait: Option<Duration>,
    /// How long an outage is waited out [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_outage: Option<Duration>,
    /// Stop when more files than this have failed, or more than a share such as 5%; `none` ends it
    #[arg(long, value_name = "N|P%", value_parser = parse_or_none::<MaxFailures>)]
    max_failures: Option<OrNone<MaxFailures>>,
    /// Stop after so many calls of the run in all; `none` ends it
    #[arg(long, value_name = "N", value_parser = parse_or_none::<Count>)]
    max_calls: Option<OrNone<Count>>,
    /// Stop after so much working time of the run in all; `none` ends it
    #[arg(long, value_name = "TIME", value_parser = parse_duration_or_none)]
    max_duration: Option<OrNone<Duration>>,
    /// Stop before the run costs more than this in all; needs --cost; `none` ends it
    #[arg(long, value_name = "X", value_parser = parse_or_none::<Money>)]
    max_cost: Option<OrNone<Money>>,
    /// What a call costs
    #[arg(long, value_name = "EACH", value_parser = parse_or_none::<Money>)]
    cost: Option<OrNone<Money>>,
    /// Stop at this time of day, such as 06:00, or moment, such as 2030-01-31T06:00; `none` ends it
    #[arg(long, value_name = "TIME", value_parser = parse_until)]
    until: Option<OrNone<i64>>,
    /// What is set elsewhere, for settings that the run was never given.
    #[arg(skip)]
    pub(crate) preferences: Preferences,
}

/// The settings that may change from one invocation to the next. One left out keeps its last given value.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = KEPT)]
pub(crate) struct Free {
    #[command(flatten)]
    pub(crate) live: Live,
    /// Repeats after a passing failure [default: 4]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// The longest first wait before a repeat; it doubles each time [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    retry_delay: Option<Duration>,
    /// A jq expression for the seconds that a refused answer (429, 503) asks to wait, such as .error.wait; may use
    /// $status and $headers; comes before what stride reads by itself; `none` ends it
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, value_parser = parse_retry_after)]
    retry_after: Option<OrNone<String>>,
    /// The longest wait before a repeat [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    retry_max_delay: Option<Duration>,
    /// What to do with a call that was perhaps sent and has no answer [default: retry]
    #[arg(long, value_enum)]
    in_doubt: Option<InDoubt>,
    /// How long a whole call may take [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    timeout: Option<Duration>,
    /// How long the file or the answer may stand still on its way [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    idle_timeout: Option<Duration>,
    /// How long making a connection may take [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive)]
    connect_timeout: Option<Duration>,
    /// The largest answer [default: 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_response_size)]
    max_response: Option<u64>,
    /// What is to stay free on the database's disk; no call is made while it is not, but for `none` [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size_or_none)]
    min_free: Option<u64>,
    /// How long calls in flight may take to end after Ctrl-C [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    grace: Option<Duration>,
}

impl Free {
    /// Takes over what a pasted command says, where stride's own words say nothing.
    pub(crate) fn limit(&mut self, limits: Limits) {
        for (name, is_there) in [
            ("timeout", limits.timeout.is_some()),
            ("connect-timeout", limits.connect_timeout.is_some()),
            ("max-response", limits.max_response.is_some()),
        ] {
            if is_there {
                self.live.typed.add(name);
            }
        }
        self.timeout = self.timeout.or(limits.timeout);
        self.connect_timeout = self.connect_timeout.or(limits.connect_timeout);
        self.max_response = self.max_response.or(limits.max_response);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InDoubt {
    /// Call it again, with the same Idempotency-Key
    Retry,
    /// Hold it until `stride retry --held`
    Hold,
}

/// A value, or that there is none any longer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OrNone<T>(pub(crate) Option<T>);

impl<T: Copy> OrNone<T> {
    /// The given value over what was there.
    fn over(given: Option<Self>, before: Option<T>) -> Option<T> {
        given.map_or(before, |Self(given)| given)
    }
}

fn parse_or_none<T: FromStr<Err = String>>(text: &str) -> Result<OrNone<T>, String> {
    if text == "none" {
        Ok(OrNone(None))
    } else {
        text.parse().map(|value| OrNone(Some(value)))
    }
}

fn parse_retry_after(text: &str) -> Result<OrNone<String>, String> {
    if text == "none" {
        return Ok(OrNone(None));
    }
    match RetryAfter::new(text) {
        Ok(_) => Ok(OrNone(Some(text.to_owned()))),
        Err(error) => Err(format!("`{text}` cannot be read: {}", error.source)),
    }
}

fn parse_duration_or_none(text: &str) -> Result<OrNone<Duration>, String> {
    if text == "none" {
        Ok(OrNone(None))
    } else {
        parse_positive(text).map(|value| OrNone(Some(value)))
    }
}

/// A whole number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Count(u64);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().map(Self);
        number.map_err(|_| format!("`{text}` is not a whole number"))
    }
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

/// SQLite keeps at most a thousand million bytes in one place.
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

impl Live {
    /// The settings with what was given put over what was there.
    ///
    /// # Errors
    ///
    /// What was given does not fit together.
    pub(crate) fn over(&self, settings: Settings) -> Result<Settings, Problem> {
        let given = given_with(&settings, &self.typed, false);
        fitting(Settings {
            given: Some(given),
            ..self.put(settings)?
        })
    }

    /// The same, whether or not what is there fits together.
    fn put(&self, settings: Settings) -> Result<Settings, Problem> {
        let rates = if self.rate.is_empty() {
            settings.rates
        } else {
            Rates::read(self.rate.iter().map(String::as_str)).map_err(Problem::usage)?
        };
        let count = |Count(count): Count| count;
        Ok(Settings {
            threads: self.threads.unwrap_or(settings.threads),
            rates,
            burst: self.burst.unwrap_or(settings.burst),
            weight: OrNone::over(self.weight, settings.weight),
            max_wait: self.max_wait.unwrap_or(settings.max_wait),
            max_outage: self.max_outage.unwrap_or(settings.max_outage),
            max_failures: OrNone::over(self.max_failures, settings.max_failures),
            max_calls: OrNone::over(self.max_calls, settings.max_calls.map(Count)).map(count),
            max_duration: OrNone::over(self.max_duration, settings.max_duration),
            max_cost: OrNone::over(self.max_cost, settings.max_cost),
            cost: OrNone::over(self.cost, settings.cost),
            // A moment that has passed has ended the runner before; nobody means it again.
            until: OrNone::over(
                self.until,
                settings.until.filter(|until| *until > wall_clock()),
            ),
            ..settings
        })
    }
}

/// Settings of which none lacks another.
fn fitting(settings: Settings) -> Result<Settings, Problem> {
    let weighs = settings.rates.counts(Measure::Weight);
    if weighs && settings.weight.is_none() {
        return Err(
            Problem::usage("a rate in weights needs to know what a file weighs")
                .hint("add --weight size/4, for example"),
        );
    }
    if settings.weight.is_some() && !weighs {
        return Err(Problem::usage("no rate counts the weight of files").hint(
            "add a rate in weights, such as --rate 90000w/m, or take it back with --weight none",
        ));
    }
    if settings.max_cost.is_some() && settings.cost.is_none() {
        return Err(Problem::usage("--max-cost needs to know what a call costs")
            .hint("add --cost 0.0015, for example"));
    }
    Ok(settings)
}

impl Free {
    /// The settings with what was given put over what was there.
    ///
    /// # Errors
    ///
    /// What was given does not fit together.
    pub(crate) fn over(
        &self,
        settings: Settings,
        classes: &[ClassRule],
    ) -> Result<Settings, Problem> {
        let given = given_with(&settings, &self.live.typed, !classes.is_empty());
        let told = self.told(&settings);
        let settings = self.live.preferences.under(&self.live.typed, settings)?;
        fitting(Settings {
            given: Some(given),
            ..self.put(settings, classes)?
        })
        .map_err(|problem| match told {
            Some(told) => problem.note(told),
            None => problem,
        })
    }

    /// Which settings come from elsewhere than from flags, and from where, for the user.
    pub(crate) fn told(&self, kept: &Settings) -> Option<String> {
        self.live.preferences.told(&self.live.typed, kept)
    }

    /// The settings with what was given put over what was there, whether or not they fit together.
    ///
    /// # Errors
    ///
    /// There are several rates, and `none` among them.
    pub(crate) fn put(
        &self,
        settings: Settings,
        classes: &[ClassRule],
    ) -> Result<Settings, Problem> {
        let settings = self.live.put(settings)?;
        let in_doubt = self.in_doubt.map(|in_doubt| match in_doubt {
            InDoubt::Retry => DoubtPolicy::Retry,
            InDoubt::Hold => DoubtPolicy::Hold,
        });
        Ok(Settings {
            retries: self.retries.unwrap_or(settings.retries),
            retry_delay: self.retry_delay.unwrap_or(settings.retry_delay),
            // Asking for longer first waits alone asks for longer waits.
            retry_max_delay: self.retry_max_delay.unwrap_or_else(|| {
                settings
                    .retry_max_delay
                    .max(self.retry_delay.unwrap_or_default())
            }),
            in_doubt: in_doubt.unwrap_or(settings.in_doubt),
            retry_after: match &self.retry_after {
                Some(OrNone(given)) => given.clone(),
                None => settings.retry_after,
            },
            timeout: self.timeout.unwrap_or(settings.timeout),
            idle_timeout: self.idle_timeout.unwrap_or(settings.idle_timeout),
            connect_timeout: self.connect_timeout.unwrap_or(settings.connect_timeout),
            max_response: self.max_response.unwrap_or(settings.max_response),
            min_free: self.min_free.unwrap_or(settings.min_free),
            grace: self.grace.unwrap_or(settings.grace),
            classes: if classes.is_empty() {
                settings.classes
            } else {
                classes.to_vec()
            },
            ..settings
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_first_wait_is_not_cut_by_a_bound_that_nobody_gave() {
        let minutes = Duration::from_secs(300);
        let free = Free {
            retry_delay: Some(minutes),
            ..Free::default()
        };
        let over = |free: &Free| free.over(Settings::default(), &[]).unwrap();
        assert_eq!(over(&free).retry_max_delay, minutes);
        let second = Duration::from_secs(1);
        let free = Free {
            retry_max_delay: Some(second),
            ..free
        };
        assert_eq!(over(&free).retry_max_delay, second);
    }

    #[test]
    fn what_is_left_out_stays() {
        let stored = Settings {
            threads: 3.into(),
            retries: 9,
            max_calls: Some(7),
            until: Some(1),
            ..Settings::default()
        };
        let live = Live {
            threads: Some(Threads::Auto),
            rate: vec!["10/s".to_owned(), "auto".to_owned()],
            max_calls: Some(OrNone(None)),
            ..Live::default()
        };
        let free = Free {
            live,
            ..Free::default()
        };
        assert_eq!(
            free.over(stored.clone(), &[]).unwrap(),
            Settings {
                threads: Threads::Auto,
                rates: Rates::read(["auto", "10/s"]).unwrap(),
                max_calls: None,
                until: None,
                // Which flags a run of an earlier version was given is seen from its settings.
                given: Some(
                    ["max-calls", "retries", "threads", "until"]
                        .map(str::to_owned)
                        .into()
                ),
                ..stored
            }
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let over = |live: Live| live.over(Settings::default()).is_err();
        let money: Money = "1".parse().unwrap();
        assert!(over(Live {
            max_cost: Some(OrNone(Some(money))),
            ..Live::default()
        }));
        assert!(over(Live {
            weight: Some(OrNone(Some("size/4".parse().unwrap()))),
            ..Live::default()
        }));
        assert!(over(Live {
            rate: vec!["9w/m".to_owned()],
            ..Live::default()
        }));
    }
}
