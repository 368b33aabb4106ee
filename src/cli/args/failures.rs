//! Flags that choose failures.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use stride::failure_class::ClassRule;
use stride::job::Class;
use stride::store::Filter;

/// The heading of flags that choose failures.
const CHOSEN: &str = "Selection";

/// `stride failures`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Failures {
    /// Print failed and held files as a JSON array; with a selection, only failed ones
    #[arg(long, conflicts_with = "null")]
    pub(crate) json: bool,
    /// Print only the names of these files, each followed by a NUL byte, for `xargs -0`
    #[arg(short = '0', long)]
    pub(crate) null: bool,
    /// Only failures of this class
    #[arg(long, value_name = "CLASS", value_parser = parse_class, help_heading = CHOSEN)]
    pub(crate) class: Vec<Class>,
    #[command(flatten, next_help_heading = CHOSEN)]
    pub(crate) filter: FailureFilter,
}

/// Selects failures by everything except their classes.
#[derive(Debug, ClapArgs)]
pub(crate) struct FailureFilter {
    /// Only failures with this HTTP status
    #[arg(long, value_name = "STATUS", value_parser = parse_status)]
    status: Vec<u16>,
    /// Only failures with this text in the file's name, the message or the beginning of the answer
    #[arg(long = "match", value_name = "TEXT")]
    text: Option<String>,
    /// Only failures with this cause: the value of `cause` in `stride failures --json`
    #[arg(long, value_name = "ID", value_parser = OsStringValueParser::new().map(|id| id.to_string_lossy().to_ascii_lowercase()))]
    cause: Vec<String>,
    /// Select held files; without it, a selection covers only failed files
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

/// Chooses done files instead of failures.
#[derive(Debug, ClapArgs)]
#[group(conflicts_with_all = ["status", "text", "cause", "held"])]
pub(crate) struct DoneArgs {
    /// Instead: these done files, by their names in the list; their results are set aside
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "lost")]
    pub(crate) done: Vec<PathBuf>,
    /// Instead: done files whose result in --output-dir is missing or changed
    #[arg(long)]
    pub(crate) lost: bool,
    /// Instead: done files that have changed since their calls, by their size or modification time
    #[arg(long, conflicts_with_all = ["lost", "done"])]
    pub(crate) changed: bool,
    /// Instead: done files whose result is from a request that the run had before
    #[arg(long, conflicts_with_all = ["lost", "done", "changed"])]
    pub(crate) outdated: bool,
    /// Instead: call nothing, and bring the results back that were set aside, for files (or these NAMES) without a new one
    #[arg(long, conflicts_with_all = ["lost", "done", "changed", "outdated"])]
    pub(crate) restore: bool,
}

impl DoneArgs {
    /// Returns the flag that selects done files, if there is one.
    pub(crate) fn flag(&self) -> Option<&'static str> {
        let flags = [
            ("--done", !self.done.is_empty()),
            ("--lost", self.lost),
            ("--changed", self.changed),
            ("--outdated", self.outdated),
        ];
        flags
            .iter()
            .find(|(_, given)| *given)
            .map(|(flag, _)| *flag)
    }
}

/// A value of `retry --class`: a class to choose failures by, or a rule for later answers.
#[derive(Debug, Clone)]
pub(crate) enum ClassOrRule {
    Class(Class),
    Rule(ClassRule),
}

pub(super) fn parse_class_or_rule(word: &str) -> Result<ClassOrRule, String> {
    match word.contains(':') {
        true => word.parse().map(ClassOrRule::Rule),
        false => parse_class(word).map(ClassOrRule::Class),
    }
}

fn parse_class(word: &str) -> Result<Class, String> {
    Class::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
        format!("unknown class `{word}`: use one of {}", words.join(", "))
    })
}

fn parse_status(word: &str) -> Result<u16, String> {
    let number = word.parse().ok();
    number
        .filter(|status| (100..=999).contains(status))
        .ok_or_else(|| format!("invalid HTTP status `{word}`: use a number from 100 to 999"))
}
