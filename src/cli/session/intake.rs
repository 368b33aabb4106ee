//! Reads the sources of a run, and checks each job.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use stride::input::{self, InputError, Item, Key, Layout, Options, Source, Survey};
use stride::job::{FileName, json_string, shortened};
use stride::paths::below;
use stride::store::{Loader, NewJob, StoreError};

use crate::cli::output::error::{CliError, quoted};
use crate::cli::request::RowUse;
use crate::cli::session::line_index::LineIndex;
use crate::cli::session::list::{label, list_files, plain};
use crate::cli::session::missing::{FirstFiles, refuse_table};

/// The maximum number of columns that a hint lists.
const COLUMNS: usize = 20;

/// The jobs of a run's sources, on their way into the run.
pub(crate) struct Intake<'s> {
    sources: &'s [Source],
    options: Options,
    row_use: RowUse,
    /// Calls read the file.
    reads_file: bool,
    /// The folder against which names resolve.
    base: PathBuf,
    /// The run was made in another folder than the current one.
    is_elsewhere: bool,
    lines: LineIndex,
    /// The number of jobs of each source.
    found: Vec<u64>,
    /// The first files of the first list.
    first: Option<FirstFiles>,
    /// A list of lines may be a table whose format was not given.
    refuses_tables: bool,
}

/// An error of a load.
pub(crate) enum LoadError {
    /// A name has two rows: their numbers among the jobs, counted from 0.
    Conflict(FileName, (u64, u64)),
    Other(CliError),
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { path, rows } => Self::Conflict(path, rows),
            error => Self::Other(error.into()),
        }
    }
}

impl From<InputError> for LoadError {
    fn from(error: InputError) -> Self {
        Self::Other(error.into())
    }
}

impl From<CliError> for LoadError {
    fn from(error: CliError) -> Self {
        Self::Other(error)
    }
}

impl<'s> Intake<'s> {
    /// Prepares the intake of `sources` for calls that use rows as `row_use` says.
    pub(crate) fn new(
        sources: &'s [Source],
        options: Options,
        row_use: RowUse,
        reads_file: bool,
        base: PathBuf,
    ) -> Self {
        Self {
            options: Options {
                columns: row_use.wanted(),
                ..options
            },
            row_use,
            reads_file,
            base,
            is_elsewhere: false,
            lines: LineIndex::default(),
            found: vec![0; sources.len()],
            first: None,
            refuses_tables: false,
            sources,
        }
    }

    /// Refuses relative names, because the run was made in another folder.
    pub(crate) fn refuse_relative(&mut self) {
        self.is_elsewhere = true;
    }

    /// Refuses lists of lines that are tables.
    pub(crate) fn refuse_tables(&mut self) {
        self.refuses_tables = true;
    }

    /// Adds files that are not input.
    pub(crate) fn skip(&mut self, own: impl IntoIterator<Item = PathBuf>) {
        self.options.own.extend(own);
    }

    /// Adds all jobs to the run.
    pub(crate) fn load(&mut self, loader: &mut Loader<'_>) -> Result<Survey, LoadError> {
        if self.reads_file {
            loader.merge_spellings();
        }
        loader.row_use(self.row_use.decisive());
        for file in list_files(self.sources) {
            loader.read_from(below(&self.base, &file))?;
        }
        let row_use = self.row_use.describe();
        let base = self.base.clone();
        self.read(&mut |item| {
            let is_new = loader.add_job(&NewJob {
                name: &item.name,
                key: key(item, &base).as_deref(),
                columns: item.columns.as_deref(),
                file: item.file.as_ref(),
            })?;
            match &row_use {
                Some(used) if is_new && item.columns.is_none() => {
                    Err(without_row(&item.name, used).into())
                }
                _ => Ok(()),
            }
        })
    }

    /// Checks each job and passes it on, in order.
    pub(crate) fn read<E: From<CliError> + From<InputError>>(
        &mut self,
        each: &mut dyn FnMut(&Item) -> Result<(), E>,
    ) -> Result<Survey, E> {
        let options = self.options.clone();
        let survey = input::names(self.sources, &options, &mut |item| {
            self.check(&item)?;
            each(&item)
        })?;
        self.check_columns(&survey)?;
        Ok(survey)
    }

    fn check(&mut self, item: &Item) -> Result<(), CliError> {
        let file = item.file.as_ref().unwrap_or(&item.name);
        let source = &self.sources[item.source];
        if self.reads_file {
            if self.refuses_tables && item.line == 1 {
                refuse_table(item, source)?;
            }
            if !self.names_file(item) {
                return Err(self.no_file(item));
            }
            if self.is_elsewhere && file.as_path().is_relative() {
                return Err(wrong_folder(file, &self.base));
            }
        }
        self.found[item.source] += 1;
        self.lines.add(item);
        if !matches!(source, Source::Path(_)) {
            FirstFiles::remember(&mut self.first, item);
        }
        Ok(())
    }

    /// Returns whether an item has the name of a file. The number of a line is not one.
    fn names_file(&self, item: &Item) -> bool {
        item.file.is_some()
            || !matches!(
                &self.sources[item.source],
                Source::List(_, layout) | Source::Stdin(layout)
                    if matches!(layout, Layout::Csv { key: Key::Line } | Layout::Jsonl { key: Key::Line })
            )
    }

    /// Refuses a table without a column that the request or an expression uses.
    fn check_columns(&self, survey: &Survey) -> Result<(), CliError> {
        let seen = &survey.columns;
        let used = |name: &str| match self.row_use.needs(name) {
            true => Some("the request"),
            false => self.row_use.judges(name),
        };
        let lacking = seen.wanted.iter().filter(|(_, rows)| *rows == 0);
        let mut lacking = lacking.filter_map(|(name, _)| Some((name, used(name)?)));
        let Some((name, user)) = lacking.next().filter(|_| seen.rows > 0) else {
            return Ok(());
        };
        let is_judged = user != "the request";
        let shown = |name: &String| format!("`{}`", shortened(name.as_bytes(), 60));
        let mut columns: Vec<String> = seen.names.iter().take(COLUMNS).map(shown).collect();
        if seen.names.len() > COLUMNS {
            columns.push("…".to_owned());
        }
        Err(CliError::usage(format!(
            "{user} uses the column {}, which the list does not have",
            shown(name)
        ))
        .cause(format!("its columns are {}", columns.join(", ")))
        .note("nothing was changed")
        .hint(match nearest(name, &seen.names) {
            Some(column) if is_judged => format!("use {}", in_expression(column)),
            Some(column) => format!("use {{col.{column}}}"),
            None if is_judged => "use $col.NAME with one of them, or $col for all".to_owned(),
            None => "use {col.NAME} with one of them, or {row} for all".to_owned(),
        }))
    }

    /// Returns the columns that some rows lack although the calls need them, with the number of those rows.
    pub(crate) fn lacking<'v>(
        &self,
        survey: &'v Survey,
    ) -> impl Iterator<Item = (&'v String, u64)> {
        let seen = &survey.columns;
        let wanted = seen.wanted.iter();
        let needed = wanted.filter(|(name, _)| self.row_use.needs(name));
        let lacking = needed.map(|(name, rows)| (name, seen.rows - rows));
        lacking.filter(|(_, without)| *without > 0)
    }

    /// Describes the words in braces that are sent as they are, and probably are not meant so.
    pub(crate) fn slips(&self, survey: &Survey) -> Vec<String> {
        self.row_use.slips(&survey.columns.names)
    }

    fn no_file(&self, item: &Item) -> CliError {
        CliError::usage(format!(
            "line {} of {} names no file, and the calls read one",
            item.line,
            label(&self.sources[item.source])
        ))
        .note("nothing was changed")
        .hint("use {row} or {col.NAME} in place of the file, as in --json '{row}' or --exec 'PROGRAM {row}', or name the file in a column `path`")
    }

    /// Converts the error of a load.
    pub(crate) fn cli_error(&self, error: LoadError) -> CliError {
        let (name, (first, second)) = match error {
            LoadError::Conflict(name, rows) => (name, rows),
            LoadError::Other(cli_error) => return cli_error,
        };
        let [first, second] = [first, second].map(|row| self.lines.find(row));
        let place = match (first, second) {
            (Some((a, first)), Some((b, second))) if a == b => {
                format!("lines {first} and {second} of {}", label(&self.sources[a]))
            }
            (Some((a, first)), Some((b, second))) => format!(
                "line {first} of {} and line {second} of {}",
                label(&self.sources[a]),
                label(&self.sources[b])
            ),
            _ => "two lines of the list".to_owned(),
        };
        let mut cli_error = CliError::usage(format!(
            "{place} have the name {name}, with different columns"
        ));
        let short = FileName::from(&*plain(below(&self.base, name.as_path())));
        if self.reads_file && short != name {
            cli_error = cli_error.note(format!(
                "{name} and {short} are one file, but rows that spell it differently have different columns"
            ));
        }
        cli_error
        .note("nothing was changed")
        .hint("use --key-column with several columns, such as path,lang, or with @line to name each row by its line")
    }

    /// Returns whether a name is that of one of the lists.
    pub(crate) fn is_list(&self, name: &FileName) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| matches!(source, Source::List(list, _) if list == name.as_path()))
    }

    /// Describes each source that has no files.
    pub(crate) fn empty_sources(&self) -> impl Iterator<Item = String> {
        let sources = self.sources.iter().zip(&self.found);
        let empty = sources.filter(|(_, found)| **found == 0);
        empty.map(|(source, _)| match source {
            Source::Path(_) => format!("the folder {} has no files to call", label(source)),
            Source::List(..) | Source::Stdin(_) => format!("{} has no names", label(source)),
        })
    }

    /// Describes the first list.
    pub(crate) fn first_list(&self) -> Option<String> {
        let mut sources = self.sources.iter();
        let list = sources.find(|source| !matches!(source, Source::Path(_)))?;
        Some(label(list))
    }

    /// Returns a hint if the first files of a list are missing, and something tells why.
    pub(crate) fn explain_missing(&self) -> Option<String> {
        let first = self.first.as_ref().filter(|_| self.reads_file)?;
        first.explain(&self.base, self.sources, &self.row_use.of_file)
    }

    /// Names the folder in which the first files of a list were searched, if their names are relative and none is there.
    pub(crate) fn searched(&self) -> Option<String> {
        let first = self.first.as_ref().filter(|_| self.reads_file)?;
        first.searched(&self.base)
    }
}

/// Returns the shortest spelling of a job's name as a path, if it is another: relative to the folder against which names
/// resolve.
pub(crate) fn key<'i>(item: &'i Item, base: &Path) -> Option<Cow<'i, FileName>> {
    let path = item.key.as_ref().unwrap_or(&item.name).as_path();
    match below(base, path) {
        short if short == path => item.key.as_ref().map(Cow::Borrowed),
        short => Some(Cow::Owned(short.into())),
    }
}

/// Returns the column that a wrong name probably means.
fn nearest<'c>(wrong: &str, columns: &'c [String]) -> Option<&'c String> {
    let distance = |column: &&String| match column.eq_ignore_ascii_case(wrong) {
        true => 0,
        false => strsim::damerau_levenshtein(column, wrong),
    };
    let near = columns.iter().min_by_key(distance)?;
    (distance(&near) <= 1.max(wrong.len() / 4)).then_some(near)
}

/// Returns a column as an expression names it.
fn in_expression(column: &str) -> String {
    let is_word = column
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !column.starts_with(|c: char| c.is_ascii_digit());
    match is_word {
        true => format!("$col.{column}"),
        false => format!("$col[{}]", json_string(column.as_bytes())),
    }
}

/// Returns the error of a job without a row, for calls or expressions that use one.
pub(crate) fn without_row(name: &FileName, used: &str) -> CliError {
    CliError::usage(format!("{name} has no row, and {used}"))
        .note("nothing was changed")
        .hint("use a table with --files-from LIST --list-format csv, or jsonl")
}

/// Refuses relative names for a run that was made in another folder.
fn wrong_folder(name: &FileName, base: &Path) -> CliError {
    CliError::usage(format!(
        "`{name}` is relative, and this run was made in another folder"
    ))
    .cause(format!("names resolve against {}", FileName::from(base)))
    .note("nothing was changed")
    .hint(format!(
        "cd {}, or use absolute names; `stride resume` works from anywhere",
        quoted(base)
    ))
}
