//! The command line, as clap parses it.

pub(crate) mod answers;
pub(crate) mod curl;
pub(crate) mod examples;
pub(crate) mod export;
pub(crate) mod failures;
pub(crate) mod forget;
pub(crate) mod program;
pub(crate) mod settings;
pub(crate) mod then;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use stride::failure_class::ClassRule;
use stride::limits::Rate;
use stride::settings::parse_duration;

use crate::cli::output::error::{program, quoted};
use crate::cli::output::terminal::Color;
use answers::AnswerArgs;
use curl::CurlArgs;
use examples::EXAMPLES;
use export::{Export, Recheck, ReportArgs};
use failures::{ClassOrRule, DoneArgs, FailureFilter, Failures, parse_class_or_rule};
use forget::Forget;
use program::ProgramArgs;
use settings::{KEPT, LimitArgs, SettingsArgs};
use then::ThenArgs;

/// Calls an HTTP API once for each file of a long list, and never loses an answer.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    /// The run's database; to delete the run, delete FILE, FILE.lock, FILE-wal and FILE-shm
    #[arg(
        long,
        alias = "database",
        global = true,
        env = "STRIDE_DB",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "stride.db",
        display_order = 900
    )]
    pub(crate) db: PathBuf,
    /// When to use colours [default: auto]
    #[arg(
        long,
        alias = "colour",
        global = true,
        value_enum,
        value_name = "WHEN",
        display_order = 900
    )]
    pub(crate) color: Option<Color>,
    /// Print only warnings and errors, and failures at the end of a run
    #[arg(short, long, global = true, aliases = ["silent", "no-progress"], display_order = 900)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Returns the command line of this process with one more flag, to be pasted.
pub(crate) fn typed_with(flag: &str) -> String {
    let words = std::env::args_os().skip(1);
    let words: Vec<String> = words.map(|word| quoted(Path::new(&word))).collect();
    format!("{} {} {flag}", program(), words.join(" "))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a run, or resume it
    ///
    /// While it runs, `stride status --watch` in another terminal shows its progress. The signal SIGUSR1 makes it print
    /// one line (kill -USR1 PID). Both work for `resume` and `retry` too.
    #[command(alias = "start")]
    Run(Box<Run>),
    /// Call one file and show everything; nothing is recorded
    #[command(alias = "test")]
    Try(Box<Try>),
    /// Resume a run with its stored settings
    #[command(aliases = ["continue", "restart"])]
    Resume(Box<ResumeArgs>),
    /// Call failed or held files again: all, some or by name; or done ones
    Retry(Box<Retry>),
    /// Change a run's pace and limits, even while it is running
    Set(Box<LimitArgs>),
    /// Show a run's progress, even while it is running
    #[command(alias = "info")]
    Status(Status),
    /// List what failed, and why
    #[command(alias = "errors")]
    Failures(Failures),
    /// Take files off a run, such as wrong names, or bring them back
    ///
    /// A forgotten file is neither called nor exported nor counted, and the same list does not add it again. Its answers
    /// are kept, and --undo brings it back in the state that it had. This works while a process works on the run.
    ///
    /// To delete a whole run, delete its files: rm -f FILE FILE-wal FILE-shm FILE.lock, where FILE is its database.
    #[command(aliases = ["remove", "delete", "drop", "rm", "skip"])]
    Forget(Forget),
    /// Write the results
    #[command(aliases = ["results", "dump"])]
    Export(Export),
    /// Write an HTML report: pace, duration, failures and their causes
    Report(ReportArgs),
    /// Judge the stored answers by other rules, without calling
    Recheck(Recheck),
    /// Check the database and every result in it
    Verify,
    /// See stride work: 300 transcripts and a small API on this machine
    Demo(Demo),
    /// Print a completion script for a shell
    #[command(alias = "completion")]
    Completions(Completions),
    /// Print a manual page, or write all of them
    Man(Man),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Files to call, and folders to walk
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Read file names from this list; `-` is standard input
    #[arg(long, value_name = "FILE", help_heading = "List")]
    pub(crate) files_from: Vec<PathBuf>,
    /// Names in the lists end with a NUL byte, as `find -print0` writes them
    #[arg(short = '0', long, requires = "files_from", help_heading = "List")]
    pub(crate) null: bool,
    /// Format of the lists; each row of a table is a job and keeps all its columns [default: by the name's ending, .csv or
    /// .jsonl, or else lines]
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        requires = "files_from",
        help_heading = "List"
    )]
    pub(crate) list_format: Option<ListFormat>,
    /// Column of a table that names each row, several such as path,lang, or @line for the row's line [default: path, or
    /// else file]
    ///
    /// The first of several columns names the file. With @line that is the column path or else file, if there is one.
    #[arg(
        long,
        value_name = "NAME",
        requires = "files_from",
        help_heading = "List"
    )]
    pub(crate) key_column: Option<String>,
    /// Forget the files of the run that this list lacks, as `stride forget` does
    #[arg(long, help_heading = "List")]
    pub(crate) forget_unlisted: bool,
    /// Call done files again that have changed since their call: the file, or columns of the list that the call uses
    #[arg(long, help_heading = "List", conflicts_with = "dry_run")]
    pub(crate) retry_changed: bool,
    /// Walk through links to folders, too
    #[arg(long, help_heading = "List")]
    pub(crate) follow: bool,

    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// Continue although the request differs from the run's own, with which files are done; results are kept
    #[arg(long, help_heading = "Request")]
    pub(crate) accept_change: bool,
    /// Show the plan and the first request, with secrets masked, without a call or a write
    #[arg(
        long,
        alias = "simulate",
        help_heading = "First tries",
        conflicts_with = "sample"
    )]
    pub(crate) dry_run: bool,
    /// Call this many files drawn at random, show their outcomes, and stop; they stay in the run
    #[arg(long, value_name = "N", help_heading = "First tries", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sample: Option<u32>,

    /// Put answers into another class, such as status=409:transient, exit=3:transient or body~overloaded:throttled
    #[arg(long, value_name = "RULE", help_heading = KEPT)]
    pub(crate) class: Vec<ClassRule>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// End, with exit code 75, when only files are left that wait for later requests; `stride resume` makes those that are
    /// due
    #[arg(long, help_heading = "This time only")]
    pub(crate) submit_only: bool,
    #[command(flatten)]
    pub(crate) invocation: InvocationArgs,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// One name per line
    Lines,
    /// A table in UTF-8, with a header and with commas between the cells
    Csv,
    /// A table of JSON objects, one per line
    Jsonl,
}

/// The call that is made for each file.
#[derive(Debug, ClapArgs)]
pub(crate) struct RequestArgs {
    /// URL to call, which may have placeholders such as {name}
    ///
    /// The placeholders are {path} {name} {stem} {ext} {dir} {index} {size} {mime} {sha256} {text} {base64} {col.NAME}
    /// {row}, and for secrets {env:NAME} {file:PATH} {cmd:COMMAND} {pool.NAME}.
    #[arg(long, help_heading = "Request", conflicts_with = "curl")]
    pub(crate) url: Option<String>,
    /// Request as a pasted curl command, with {} or @{} for the file; @FILE reads the command from a file, - from standard
    /// input
    #[arg(long, value_name = "COMMAND", help_heading = "Request")]
    pub(crate) curl: Option<String>,
    #[command(flatten)]
    pub(crate) program: ProgramArgs,
    #[command(flatten)]
    pub(crate) words: CurlArgs,
    #[command(flatten)]
    pub(crate) then: ThenArgs,
    /// Origin that answers may name and that gets the credentials, such as https://files.example.com; repeatable
    ///
    /// Credentials go to the origins in your own URLs. An address in an answer with another origin is called without them.
    #[arg(long, value_name = "ORIGIN", help_heading = "Later requests")]
    pub(crate) allow_origin: Vec<String>,
    #[command(flatten)]
    pub(crate) answers: AnswerArgs,
}

impl RequestArgs {
    /// Returns whether the command line has a call of its own.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some() || self.curl.is_some() || self.program.flag().is_some()
    }
}

/// `stride try`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Try {
    /// File to call
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// Credential that was typed into the run's request and not stored, as NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Request")]
    pub(crate) credential: Vec<String>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(flatten)]
    pub(crate) invocation: InvocationArgs,
}

/// `stride resume`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ResumeArgs {
    /// Put answers into another class, such as status=409:transient, exit=3:transient or body~overloaded:throttled
    #[arg(long, value_name = "RULE", help_heading = KEPT)]
    pub(crate) class: Vec<ClassRule>,
    #[command(flatten)]
    pub(crate) resume: Resume,
}

/// `stride retry`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Retry {
    /// Only these failed or held files, by their names in the list
    #[arg(value_name = "NAMES", conflicts_with_all = ["status", "text", "cause", "held", "done", "lost", "changed", "outdated"])]
    pub(crate) names: Vec<PathBuf>,
    /// Only failures of this class; a rule such as status=409:transient puts answers into another class
    #[arg(long, value_name = "CLASS", value_parser = parse_class_or_rule)]
    pub(crate) class: Vec<ClassOrRule>,
    #[command(flatten)]
    pub(crate) filter: FailureFilter,
    #[command(flatten)]
    pub(crate) done: DoneArgs,
    /// Begin at the first request of --then's again, although its answer is there: what was submitted is submitted anew
    #[arg(long, conflicts_with_all = ["done", "lost", "changed", "outdated", "restore"])]
    pub(crate) anew: bool,
    /// Mark the files as pending without calling them
    #[arg(long)]
    pub(crate) queue_only: bool,
    #[command(flatten)]
    pub(crate) resume: Resume,
}

/// The flags that `stride resume` and `stride retry` share.
#[derive(Debug, ClapArgs)]
pub(crate) struct Resume {
    /// Header whose value is not stored, or one that the request lacks, if no file is done yet
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = "Request")]
    pub(crate) header: Vec<String>,
    /// Credential that was typed into the run's request and not stored, as NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Request")]
    pub(crate) credential: Vec<String>,
    /// Name and password, which are not stored
    #[arg(
        short = 'u',
        long,
        value_name = "NAME:PASSWORD",
        help_heading = "Request"
    )]
    pub(crate) user: Option<String>,
    /// Name and password for the proxy, which are not stored
    #[arg(
        short = 'U',
        long,
        value_name = "NAME:PASSWORD",
        help_heading = "Request"
    )]
    pub(crate) proxy_user: Option<String>,
    /// Folder for results from now on, also for those that were moved there; confirms the folder of a request that is not
    /// known on this machine
    #[arg(long, value_name = "DIR", help_heading = "Request")]
    pub(crate) output_dir: Option<PathBuf>,
    /// The program that starts stride makes the calls, as in the run's own `--worker -`
    #[arg(long, value_name = "-", value_parser = ["-"], hide_possible_values = true, help_heading = "Program")]
    pub(crate) worker: Option<String>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// End, with exit code 75, when only files are left that wait for later requests; `stride resume` makes those that are
    /// due
    #[arg(long, help_heading = "This time only")]
    pub(crate) submit_only: bool,
    #[command(flatten)]
    pub(crate) invocation: InvocationArgs,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

/// Flags for one invocation; the run does not store them.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
#[command(next_help_heading = "This time only")]
pub(crate) struct InvocationArgs {
    /// Use no proxy, even if the environment names one
    #[arg(long)]
    pub(crate) no_proxy: bool,
    /// Allow credentials over plain HTTP to another machine
    #[arg(long)]
    pub(crate) allow_plain_http: bool,
    /// Run the commands of a request that is not known on this machine
    #[arg(long)]
    pub(crate) allow_commands: bool,
    /// Send the variables and files of a request that is not known on this machine
    #[arg(long)]
    pub(crate) allow_references: bool,
    /// Call files again whose answers are in a rescue file that cannot be used
    #[arg(long)]
    pub(crate) ignore_rescue: bool,
    /// Call at once, although the service asked to wait
    #[arg(long)]
    pub(crate) ignore_wait: bool,
    /// Use a database on a network file system: slower, and only safe from this machine
    #[arg(long)]
    pub(crate) allow_network_fs: bool,
}

#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Output")]
pub(crate) struct Outputs {
    /// Append events to this file, as JSON lines with their times
    #[arg(long, alias = "joblog", value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// If another process works on the run, wait this long for its end [default: do not wait]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "This time only")]
    pub(crate) wait_lock: Option<Duration>,
    /// Run this command with `sh` when the run ends for any reason. It gets a JSON summary on standard input, and
    /// STRIDE_DB and STRIDE_EXIT in its environment. The run does not remember it: repeat it with `stride resume`, or write
    /// on-finish = "COMMAND" into stride.toml
    #[arg(long, value_name = "COMMAND", help_heading = "At the end")]
    pub(crate) on_finish: Option<String>,
    /// Stop at once when this process ends: for a program that starts stride, and whose end is the run's
    #[arg(long, value_name = "PID", hide = true, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) end_with: Option<i32>,
    /// Those of these flags that were typed, for the next command.
    #[arg(skip)]
    pub(crate) typed: String,
}

impl Outputs {
    /// Returns the flags that the next command needs too, as they are typed.
    pub(crate) fn flags(&self) -> String {
        let command = self.on_finish.as_deref().map(Path::new);
        let flags = [
            ("--events", self.events.as_deref()),
            ("--on-finish", command),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(flag, value)| Some(format!(" {flag} {}", quoted(value?))));
        flags.collect()
    }
}

/// `stride status`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Status {
    /// Show the whole request too: what it sends, where to, and what it uses of this machine
    #[arg(long, conflicts_with = "watch")]
    pub(crate) request: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Refresh until no process works on the run; a line every ten seconds if stdout is not a terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
}

/// `stride demo`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Only serve the API on this port, for a first try with your own files
    #[arg(long, value_name = "PORT")]
    pub(crate) serve: Option<u16>,
    /// With --serve: answer 429 above this rate
    #[arg(long, value_name = "RATE", requires = "serve")]
    pub(crate) limit: Option<Rate>,
    /// With --serve: fail now and then, and reject short texts
    #[arg(long, requires = "serve")]
    pub(crate) faults: bool,
}

/// `stride completions`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `stride man`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// Command of the page to print [default: stride's own page]
    #[arg(value_name = "COMMAND", value_parser = commands())]
    pub(crate) command: Option<String>,
    /// Write all pages into this folder instead; a missing one is created
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
    fn the_definitions_are_consistent() {
        Args::command().debug_assert();
    }
}
