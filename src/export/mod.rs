//! Writing results: one snapshot, in list order, in constant memory; a file appears whole or not at all.

mod cells;
mod column;
mod content;
mod csv;
mod folder;
mod json;
mod lane;
mod names;
mod parquet;
mod rows;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use thiserror::Error;

pub use column::{Column, Columns};
pub use folder::to_folder;

use crate::choice::Term;
use crate::event::Counts;
use crate::job::FileName;
use crate::jq::{EvalError, Expression};
use crate::settings::Expect;
use crate::store::{Reader, StoreError, Wanted};
use crate::whole::{self, WholeError};
use content::Content;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object from name to result.
    Json,
    /// One object a line and a job.
    Jsonl,
    /// The same columns, for spreadsheets.
    Csv,
    /// The same columns with their types, for programs that look at many rows.
    Parquet,
}

/// What is written of each result, and how.
#[derive(Debug, Clone, Copy)]
pub struct Form<'e> {
    /// How.
    pub format: Format,
    /// What every result is, whatever it says of itself.
    pub expect: Expect,
    /// Whether answers have bodies at all. Where not, an expression sees null.
    pub has_body: bool,
    /// What is made of each result; otherwise it is written as it is.
    pub extract: Option<&'e Expression>,
    /// Whether cells of a table stay as they are, although a spreadsheet would take some of them for formulas.
    pub raw_csv: bool,
    /// The columns, where they are not the format's own. JSON has none.
    pub columns: Option<&'e [Column]>,
    /// What has to hold of the jobs; of the others nothing is written, and nothing has to be done.
    pub chosen: &'e [Term],
}

impl From<Format> for Form<'_> {
    /// Results as they are, by what they say they are.
    fn from(format: Format) -> Self {
        Self {
            format,
            expect: Expect::AsStated,
            has_body: true,
            extract: None,
            raw_csv: false,
            columns: None,
            chosen: &[],
        }
    }
}

impl Form<'_> {
    /// That everything is done which is to be.
    fn check(&self, reader: &Reader, selection: Selection) -> Result<(), ExportError> {
        if selection != Selection::Whole {
            return Ok(());
        }
        let counts = reader.counts_of(self.chosen)?;
        match counts.done == counts.total {
            true => Ok(()),
            false => Err(ExportError::Incomplete { counts }),
        }
    }

    /// What has to be known of the jobs.
    fn wanted(&self, selection: Selection) -> Wanted {
        // An expression may ask for the status and the headers, and a term for what is known of attempts.
        let plain = self.extract.is_none() && self.chosen.is_empty();
        match selection {
            Selection::All => Wanted::Everything,
            _ if self.format == Format::Json && plain => Wanted::Results,
            _ => Wanted::Done,
        }
    }
}

/// Which jobs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All of them, or it is an error: every job has to be done.
    Whole,
    /// Those that are done.
    Partial,
    /// Those that are done, and what became of the others.
    All,
}

/// Why nothing was exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Not every job is done, and nobody said that this is all right.
    #[error("not everything is done: {} of {} files have a result", .counts.done, .counts.total)]
    Incomplete {
        /// Where the run stands.
        counts: Counts,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An expression has no value for a result.
    #[error("nothing can be extracted from the result of {path}")]
    Extract {
        /// The job's name.
        path: FileName,
        /// Why.
        source: EvalError,
    },
    /// The file that a result is in cannot be read.
    #[error("the result of {path} cannot be read")]
    Read {
        /// The job's name.
        path: FileName,
        /// Why.
        source: io::Error,
    },
    /// The export cannot be written.
    #[error("cannot write {target}")]
    Write {
        /// Where to.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The target is a file of the run itself, or not a file.
    #[error("{} cannot be the export: {reason}", FileName::from(.path.as_path()))]
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// How many jobs.
    pub jobs: u64,
    /// The jobs that were left out, for their stored results are not what was recorded.
    pub damaged: Vec<FileName>,
}

/// Writes results to a stream.
///
/// # Errors
///
/// Not everything is done, or a result is damaged, and `selection` is [`Selection::Whole`]; nothing can be extracted
/// from a result; reading or writing fails. What was written by then stays written.
pub fn to_stream<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    to: &mut dyn Write,
) -> Result<Written, ExportError> {
    let form = form.into();
    form.check(reader, selection)?;
    let mut to = BufWriter::with_capacity(1 << 16, to);
    let written = match form.format {
        Format::Json | Format::Jsonl | Format::Csv => {
            lane::write(reader, &form, selection, &mut to)
        }
        Format::Parquet => parquet::write(reader, &form, selection, &mut to),
    }?;
    to.flush().map_err(write_failed)?;
    Ok(written)
}

/// Writes results to a file: to a temporary one in the same folder, which takes the file's place when it is
/// whole and synced. The new file is readable by its owner alone.
///
/// # Errors
///
/// As [`to_stream`]; then the old file, or its absence, is untouched.
pub fn to_file<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    path: &Path,
) -> Result<Written, ExportError> {
    whole::write(reader.path(), path, |file| {
        to_stream(reader, form, selection, file).map_err(|error| match error {
            ExportError::Write { source, .. } => ExportError::Write {
                target: FileName::from(path).to_string(),
                source,
            },
            error => error,
        })
    })
}

impl From<WholeError> for ExportError {
    fn from(error: WholeError) -> Self {
        match error {
            WholeError::Write { target, source } => Self::Write { target, source },
            WholeError::Target { path, reason } => Self::Target { path, reason },
        }
    }
}

fn write_failed(source: io::Error) -> ExportError {
    ExportError::Write {
        target: "the export".to_owned(),
        source,
    }
}

/// Formats a moment in UTC as RFC 3339 has it: `2026-01-31T23:59:59.125Z`. Takes milliseconds since 1970; a moment before
/// that, or after the year 9999, becomes the nearest within.
pub fn timestamp(milliseconds: i64) -> String {
    let moment = Timestamp::from_millisecond(milliseconds.max(0)).unwrap_or(Timestamp::MAX);
    format!("{moment:.3}")
}
