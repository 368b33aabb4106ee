//! The words of the command line.

pub(crate) mod answers;
pub(crate) mod choosing;
pub(crate) mod examples;
pub(crate) mod settings;
pub(crate) mod words;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use stride::export::Format;
use stride::failure_class::{ClassRule, Statuses};
use stride::job::Class;
use stride::limits::Rate;
use stride::settings::Expect;
use stride::store::Filter;

use crate::cli::output::terminal::Color;
use answers::Answers;
use choosing::Choosing;

use clap::builder::PossibleValuesParser;
use examples::EXAMPLES;
use settings::{KEPT, LimitArgs, SettingsArgs};
use words::Words;

/// Calls an HTTP API once for each file of a long list, and never loses an answer.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    /// The run's database
    #[arg(
        long,
        alias = "database",
        global = true,
        env = "STRIDE_DB",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "stride.db"
    )]
    pub(crate) db: PathBuf,
    /// When to use colours
    #[arg(long, alias = "colour", global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a run, or resume it
    ///
    /// While it runs, `stride status --watch` in another terminal shows its progress. So does one line on the signal
    /// SIGUSR1 (kill -USR1 PID).
    #[command(alias = "start")]
    Run(Box<Run>),
    /// Call one file, in full view; nothing is recorded
    #[command(alias = "test")]
    Try(Box<Try>),
    /// Go on with a run, with the settings it has
    ///
    /// While it runs, `stride status --watch` in another terminal shows its progress. So does one line on the signal
    /// SIGUSR1 (kill -USR1 PID).
    #[command(aliases = ["continue", "restart"])]
    Resume(Box<ResumeAll>),
    /// Call failed or held files again
    ///
    /// While it runs, `stride status --watch` in another terminal shows its progress. So does one line on the signal
    /// SIGUSR1 (kill -USR1 PID).
    Retry(Box<Retry>),
    /// Change a run's pace and limits, even while it is running
    Set(Box<LimitArgs>),
    /// Show a run's progress, even while it is running
    #[command(alias = "info")]
    Status(Status),
    /// List what failed, and why
    #[command(alias = "errors")]
    Failures(Failures),
    /// Write the results
    #[command(aliases = ["results", "dump"])]
    Export(Export),
    /// Make a page about the run: how fast, how long, what failed and why
    Report(ReportArgs),
    /// Judge the stored answers again, without calling
    Recheck(Recheck),
    /// Check the database and every result in it
    Verify,
    /// See it work: a few hundred transcripts and a small API on this machine
    Demo(Demo),
    /// Print what makes a shell complete the commands
    #[command(alias = "completion")]
    Completions(Completions),
    /// Print a manual page, or write all of them
    Man(Man),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Files, and folders to walk
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Read a list of names from a file; `-` is standard input
    #[arg(long, value_name = "FILE", help_heading = "List")]
    pub(crate) files_from: Vec<PathBuf>,
    /// Names in the lists end with a NUL byte, as `find -print0` writes them
    #[arg(short = '0', long, requires = "files_from", help_heading = "List")]
    pub(crate) null: bool,
    /// How the lists are written. In a table each row is a job, and all its columns are kept
    #[arg(
        long,
        value_enum,
        default_value_t = ListFormat::Lines,
        value_name = "FORMAT",
        requires = "files_from",
        help_heading = "List"
    )]
    pub(crate) list_format: ListFormat,
    /// The column of a table that has the names [default: path, or else file]
    #[arg(
        long,
        value_name = "NAME",
        requires = "files_from",
        help_heading = "List"
    )]
    pub(crate) key_column: Option<String>,

    #[command(flatten)]
    pub(crate) asks: Asks,
    /// Go on although the request is not the one that the run was made with; results are kept
    #[arg(long, help_heading = "Request")]
    pub(crate) accept_change: bool,
    /// Say what would be done, and show the first request with its secrets masked; nothing is called or made
    #[arg(
        long,
        alias = "simulate",
        help_heading = "First tries",
        conflicts_with = "sample"
    )]
    pub(crate) dry_run: bool,
    /// Call so many files drawn at random, show what came of them, and stop; they stay in the run
    #[arg(long, value_name = "N", help_heading = "First tries", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sample: Option<u32>,

    /// Put answers into another class, such as status=409:transient or body~overloaded:throttled
    #[arg(long, value_name = "RULE", help_heading = KEPT)]
    pub(crate) class: Vec<ClassRule>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

/// The request: the call that is made for each file.
#[derive(Debug, ClapArgs)]
pub(crate) struct Asks {
    /// The address to call, which may have placeholders such as {name}
    ///
    /// The placeholders are {path} {name} {stem} {ext} {dir} {index} {size} {mime} {sha256} {text} {base64} {col.NAME},
    /// and for secrets {env:NAME} {file:PATH} {cmd:COMMAND}.
    #[arg(long, help_heading = "Request", conflicts_with = "curl")]
    pub(crate) url: Option<String>,
    /// The request as a command of curl's, pasted; the file is {} or @{} in it
    #[arg(long, value_name = "COMMAND", help_heading = "Request")]
    pub(crate) curl: Option<String>,
    #[command(flatten)]
    pub(crate) words: Words,
    #[command(flatten)]
    pub(crate) answers: Answers,
}

/// `stride try`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Try {
    /// The file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) asks: Asks,
    /// A credential that was typed into the request and is not stored, given again as NAME=VALUE, as it stood there
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Request")]
    pub(crate) credential: Vec<String>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(flatten)]
    pub(crate) once: Once,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A name a line
    Lines,
    /// A table with a header, in UTF-8, with commas between the cells
    Csv,
    /// A table of JSON objects, one a line
    Jsonl,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ResumeAll {
    /// Put answers into another class, such as status=409:transient or body~overloaded:throttled
    #[arg(long, value_name = "RULE", help_heading = KEPT)]
    pub(crate) class: Vec<ClassRule>,
    #[command(flatten)]
    pub(crate) resume: Resume,
}

/// Flags for one invocation; the run does not keep them.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
#[command(next_help_heading = "This time only")]
pub(crate) struct Once {
    /// Use no proxy, whatever the environment says
    #[arg(long)]
    pub(crate) no_proxy: bool,
    /// Let credentials go over plain http to another machine
    #[arg(long)]
    pub(crate) allow_plain_http: bool,
    /// Run the commands that the run's request refers to, although they were not given on this machine
    #[arg(long)]
    pub(crate) allow_commands: bool,
    /// Send the variables and files that the run's request refers to, although it was not given on this machine
    #[arg(long)]
    pub(crate) allow_references: bool,
    /// Call files again whose answers were saved in a rescue file that cannot be used
    #[arg(long)]
    pub(crate) ignore_rescue: bool,
    /// Call at once, although the service has asked to wait
    #[arg(long)]
    pub(crate) ignore_wait: bool,
    /// Work on a database that lies on a network file system: slower, and only from this machine
    #[arg(long)]
    pub(crate) allow_network_fs: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Resume {
    /// A header whose value is not stored, given again
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Request")]
    pub(crate) header: Vec<String>,
    /// A credential that was typed into the request and is not stored, given again as NAME=VALUE, as it stood there
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Request")]
    pub(crate) credential: Vec<String>,
    /// The name and the password, which are not stored, given again
    #[arg(
        short = 'u',
        long,
        value_name = "NAME:PASSWORD",
        help_heading = "Request"
    )]
    pub(crate) user: Option<String>,
    /// Those for the proxy, given again
    #[arg(
        short = 'U',
        long,
        value_name = "NAME:PASSWORD",
        help_heading = "Request"
    )]
    pub(crate) proxy_user: Option<String>,
    /// The folder for results, given again where the run's request was not given on this machine
    #[arg(long, value_name = "DIR", help_heading = "Request")]
    pub(crate) output_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

/// Selects failures, beside their classes.
#[derive(Debug, ClapArgs)]
pub(crate) struct FailureFilter {
    /// Only failures with this HTTP status
    #[arg(long, value_name = "STATUS", value_parser = parse_status)]
    status: Vec<u16>,
    /// Only failures with this text in the file's name, the message or the answer
    #[arg(long = "match", value_name = "TEXT")]
    text: Option<String>,
    /// Only failures with this cause, as `stride failures` names it
    #[arg(long, value_name = "ID", value_parser = parse_cause)]
    cause: Vec<String>,
    /// The held files instead of the failed ones
    #[arg(long)]
    pub(crate) held: bool,
}

impl FailureFilter {
    /// Returns the filter for failures of these classes.
    pub(crate) fn with_classes(&self, classes: Vec<Class>) -> Filter {
        Filter {
            classes,
            statuses: self.status.clone(),
            text: self.text.clone(),
            causes: self.cause.clone(),
            held: self.held,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Retry {
    /// Only failures of this class; a rule such as status=409:transient puts answers into another class
    #[arg(long, value_name = "CLASS", value_parser = parse_class_or_rule)]
    pub(crate) class: Vec<ClassOrRule>,
    #[command(flatten)]
    pub(crate) filter: FailureFilter,
    /// Make them pending, and do not call them now
    #[arg(long)]
    pub(crate) queue_only: bool,
    #[command(flatten)]
    pub(crate) resume: Resume,
}

#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Output")]
pub(crate) struct Outputs {
    /// Append what happens to a file, as JSON lines
    #[arg(long, alias = "joblog", value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Run this command with `sh` when the run has ended, however it has; a summary is its standard input, as JSON, and
    /// `STRIDE_DB` and `STRIDE_EXIT` tell the database and the exit code
    #[arg(long, value_name = "COMMAND", help_heading = "At the end")]
    pub(crate) on_finish: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Status {
    /// Show the whole request too: all that is sent, where to, and what of this machine it uses
    #[arg(long, conflicts_with = "watch")]
    pub(crate) request: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep it up to date until nobody works on the run any more; a line now and then where stdout is no terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Write to this file or folder, whole or not at all; otherwise to stdout
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How
    #[arg(long, value_enum, default_value_t = FormatArg::Json)]
    pub(crate) format: FormatArg,
    /// What to write of each result, as a jq expression, instead of the run's own
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) extract: Option<String>,
    /// The whole answers, although the run has an expression
    #[arg(long, conflicts_with = "extract")]
    pub(crate) raw: bool,
    /// With --format csv: cells as they are, although a spreadsheet would take some for formulas
    #[arg(long)]
    pub(crate) raw_csv: bool,
    /// Although not everything is done: the results there are
    #[arg(long, conflicts_with = "all")]
    pub(crate) partial: bool,
    /// Although not everything is done: the results, and what became of the other files
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) choosing: Choosing,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Recheck {
    /// The statuses of results, instead of what the run says, such as 2xx,404
    #[arg(long, value_name = "STATUSES")]
    pub(crate) expect_status: Option<Statuses>,
    /// What an answer has to be, instead of what the run says: json, text or any
    #[arg(long, value_name = "WHAT")]
    pub(crate) expect: Option<Expect>,
    /// A jq expression that has to be true of a result, instead of the run's; '' for none
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) success: Option<String>,
    /// Do it, and judge the answers to come in the same way; otherwise only say what would change
    #[arg(long)]
    pub(crate) apply: bool,
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
    /// A table with types, for pandas, DuckDB and the like
    Parquet,
    /// A file for each answer, and a list of them, `manifest.jsonl`; needs -o FOLDER
    Dir,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Json => Self::Json,
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Csv => Self::Csv,
            FormatArg::Parquet => Self::Parquet,
            // A folder is written in a way of its own.
            FormatArg::Dir => Self::Json,
        }
    }
}

/// What `retry --class` takes: a class to choose failures by, or a rule for answers to come.
#[derive(Debug, Clone)]
pub(crate) enum ClassOrRule {
    Class(Class),
    Rule(ClassRule),
}

fn parse_status(word: &str) -> Result<u16, String> {
    let number = word.parse().ok();
    number
        .filter(|status| (100..=999).contains(status))
        .ok_or_else(|| format!("`{word}` is not an HTTP status, such as 404"))
}

/// Reads a cause's id ([`stride::job::CauseKey::id`]).
fn parse_cause(word: &str) -> Result<String, String> {
    match word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(word.to_ascii_lowercase()),
        false => Err(format!(
            "`{word}` is no cause: they have eight digits, and `stride failures` shows them"
        )),
    }
}

fn parse_class_or_rule(word: &str) -> Result<ClassOrRule, String> {
    match word.contains(':') {
        true => word.parse().map(ClassOrRule::Rule),
        false => parse_class(word).map(ClassOrRule::Class),
    }
}

pub(crate) fn parse_class(word: &str) -> Result<Class, String> {
    Class::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
        format!(
            "there is no class `{word}`; the classes are {}",
            words.join(", ")
        )
    })
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Failures {
    /// Every failed and held file, as a JSON array
    #[arg(long, conflicts_with = "null")]
    pub(crate) json: bool,
    /// Only the names, each followed by a NUL byte, as `xargs -0` reads them
    #[arg(short = '0', long)]
    pub(crate) null: bool,
    /// Only failures of this class
    #[arg(long, value_name = "CLASS", value_parser = parse_class, help_heading = CHOSEN)]
    pub(crate) class: Vec<Class>,
    #[command(flatten, next_help_heading = CHOSEN)]
    pub(crate) filter: FailureFilter,
}

/// The heading of flags that choose failures.
const CHOSEN: &str = "Only some; with --json or -0";

/// `stride report`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ReportArgs {
    /// Write to this file, whole or not at all; otherwise to stdout
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `stride completions`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

/// `stride man`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The command whose page to print; without it, stride's own
    #[arg(value_name = "COMMAND", value_parser = commands())]
    pub(crate) command: Option<String>,
    /// Write all pages into this folder instead, which is made where it is missing
    #[arg(short = 'o', long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) output: Option<PathBuf>,
}

fn commands() -> PossibleValuesParser {
    let names = EXAMPLES.iter().map(|(command, _)| *command);
    PossibleValuesParser::new(names.filter(|name| *name != "stride"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_words_fit_together() {
        Args::command().debug_assert();
    }
}
