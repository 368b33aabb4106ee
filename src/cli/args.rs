//! The words of the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use stride::export::Format;
use stride::job::Class;
use stride::pace::Rate;
use stride::retry::DoubtPolicy;
use stride::settings::{Settings, parse_duration, parse_size};

/// The most chunk threads one runner can have.
const MOST_THREADS: u64 = 10_000;

/// Calls an HTTP API once for each file of a long list, and never loses an answer.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run's database
    #[arg(
        long,
        global = true,
        env = "STRIDE_DB",
        value_name = "FILE",
        default_value = "stride.db"
    )]
    pub(crate) db: PathBuf,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  stride demo
  stride run --url https://api.example.com/v1/sentiment texts/
  stride run --url 'https://api.example.com/ocr?name={name}' \\
             -H 'Authorization: Bearer {env:API_KEY}' -j 16 --rate 10/s scans/
  stride resume
  stride export -o results.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a run, or go on with it
    Run(Box<Run>),
    /// Go on with a run, with the settings it has
    Resume(Resume),
    /// Call failed or held files again
    Retry(Retry),
    /// Say where a run stands, also while it goes on
    Status(Status),
    /// List what failed, and why
    Failures(Failures),
    /// Write the results
    Export(Export),
    /// Check the database and every result in it
    Verify,
    /// See it work: a few hundred transcripts and a small API on this machine
    Demo(Demo),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Files, and folders to walk
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Read names from a file, one a line; `-` is standard input
    #[arg(long, value_name = "FILE", help_heading = "List")]
    pub(crate) files_from: Vec<PathBuf>,
    /// Names in the lists end with a NUL byte, as `find -print0` writes them
    #[arg(short = '0', long, requires = "files_from", help_heading = "List")]
    pub(crate) null: bool,

    /// What to call; may hold {path} {name} {stem} {ext} and {env:NAME}
    #[arg(long, help_heading = "Request")]
    pub(crate) url: String,
    /// The method [default: POST]
    #[arg(short = 'X', long, value_name = "METHOD", help_heading = "Request")]
    pub(crate) request: Option<String>,
    /// A header, `Name: value`; may hold the same placeholders. `Name:` removes a default header
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Request")]
    pub(crate) header: Vec<String>,
    /// Go on although the request is not the one that the run was made with; results are kept
    #[arg(long, help_heading = "Request")]
    pub(crate) accept_change: bool,

    #[command(flatten)]
    pub(crate) free: Free,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Resume {
    /// A header whose value is not stored, given again
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Request")]
    pub(crate) header: Vec<String>,
    #[command(flatten)]
    pub(crate) free: Free,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Retry {
    /// Only failures of this class
    #[arg(long, value_name = "CLASS", value_parser = parse_class)]
    pub(crate) class: Vec<Class>,
    /// Only failures with this HTTP status
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Vec<u16>,
    /// Only failures with this text in the file's name, the message or the answer
    #[arg(long = "match", value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// The held files instead of the failed ones
    #[arg(long)]
    pub(crate) held: bool,
    /// Make them pending, and do not call them now
    #[arg(long)]
    pub(crate) queue_only: bool,
    #[command(flatten)]
    pub(crate) resume: Resume,
}

/// The settings that may change at any time. One left out keeps its last given value.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Settings, kept until given again")]
pub(crate) struct Free {
    /// Chunk threads: calls at the same time [default: 8]
    #[arg(short = 'j', long, alias = "jobs", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_THREADS))]
    threads: Option<u64>,
    /// The pace of all threads together, such as 10/s, 600/m, 5000/h, 100000/d, or none
    #[arg(long, value_parser = parse_rate)]
    rate: Option<Pace>,
    /// Repeats after a passing failure [default: 4]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// The longest first wait before a repeat; it doubles each time [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    retry_delay: Option<Duration>,
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
    /// How long calls in flight may take to end after Ctrl-C [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    grace: Option<Duration>,
}

#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Output")]
pub(crate) struct Outputs {
    /// Append what happens to a file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Status {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Failures {
    /// Every failed and held file, as a JSON array
    #[arg(long, conflicts_with = "null")]
    pub(crate) json: bool,
    /// Only the names, each followed by a NUL byte
    #[arg(short = '0', long)]
    pub(crate) null: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Write to this file, whole or not at all; otherwise to stdout
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How
    #[arg(long, value_enum, default_value_t = FormatArg::Json)]
    pub(crate) format: FormatArg,
    /// Although not everything is done: the results there are
    #[arg(long, conflicts_with = "all")]
    pub(crate) partial: bool,
    /// Although not everything is done: the results, and what became of the other files
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Only serve the API, on this port, for a first try with your own files
    #[arg(long, value_name = "PORT")]
    pub(crate) serve: Option<u16>,
    /// With --serve: answer 429 beyond this rate
    #[arg(long, value_name = "RATE", requires = "serve")]
    pub(crate) limit: Option<Rate>,
    /// With --serve: fail now and then, and refuse a few files
    #[arg(long, requires = "serve")]
    pub(crate) faults: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// One object from name to result
    Json,
    /// An object a line and a file
    Jsonl,
    /// A table for spreadsheets
    Csv,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Json => Self::Json,
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Csv => Self::Csv,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InDoubt {
    /// Call it again, with the same Idempotency-Key
    Retry,
    /// Hold it until `stride retry --held`
    Hold,
}

/// A rate, or that there is none.
#[derive(Debug, Clone, Copy)]
struct Pace(Option<Rate>);

fn parse_rate(text: &str) -> Result<Pace, String> {
    if text == "none" {
        Ok(Pace(None))
    } else {
        text.parse().map(|rate| Pace(Some(rate)))
    }
}

fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("it has to be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

/// SQLite keeps at most a thousand million bytes in one place.
const LARGEST_RESPONSE: u64 = 900 << 20;

fn parse_response_size(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        size if size > LARGEST_RESPONSE => Err("an answer can have at most 900MiB".to_owned()),
        size => Ok(size),
    }
}

fn parse_class(word: &str) -> Result<Class, String> {
    Class::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = Class::ALL.into_iter().map(Class::as_str).collect();
        format!(
            "there is no class `{word}`; the classes are {}",
            words.join(", ")
        )
    })
}

impl Free {
    /// The settings with what was given put over what was there.
    pub(crate) fn over(&self, settings: Settings) -> Settings {
        let in_doubt = self.in_doubt.map(|in_doubt| match in_doubt {
            InDoubt::Retry => DoubtPolicy::Retry,
            InDoubt::Hold => DoubtPolicy::Hold,
        });
        Settings {
            threads: self
                .threads
                .and_then(|threads| usize::try_from(threads).ok())
                .unwrap_or(settings.threads),
            rate: self.rate.map_or(settings.rate, |Pace(rate)| rate),
            retries: self.retries.unwrap_or(settings.retries),
            retry_delay: self.retry_delay.unwrap_or(settings.retry_delay),
            // Asking for longer first waits alone asks for longer waits.
            retry_max_delay: self.retry_max_delay.unwrap_or_else(|| {
                settings
                    .retry_max_delay
                    .max(self.retry_delay.unwrap_or_default())
            }),
            in_doubt: in_doubt.unwrap_or(settings.in_doubt),
            timeout: self.timeout.unwrap_or(settings.timeout),
            idle_timeout: self.idle_timeout.unwrap_or(settings.idle_timeout),
            connect_timeout: self.connect_timeout.unwrap_or(settings.connect_timeout),
            max_response: self.max_response.unwrap_or(settings.max_response),
            grace: self.grace.unwrap_or(settings.grace),
            classes: settings.classes,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_words_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_longer_first_wait_is_not_cut_by_a_bound_that_nobody_gave() {
        let minutes = Duration::from_secs(300);
        let free = Free {
            retry_delay: Some(minutes),
            ..Free::default()
        };
        assert_eq!(free.over(Settings::default()).retry_max_delay, minutes);
        let second = Duration::from_secs(1);
        let free = Free {
            retry_max_delay: Some(second),
            ..free
        };
        assert_eq!(free.over(Settings::default()).retry_max_delay, second);
    }

    #[test]
    fn what_is_left_out_stays() {
        let stored = Settings {
            threads: 3,
            retries: 9,
            ..Settings::default()
        };
        let free = Free {
            threads: Some(5),
            rate: Some(Pace(None)),
            ..Free::default()
        };
        assert_eq!(
            free.over(stored.clone()),
            Settings {
                threads: 5,
                ..stored
            }
        );
    }
}
