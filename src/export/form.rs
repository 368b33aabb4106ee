//! The form and the selection of an export.

use super::column::ColumnName;
use super::error::ExportError;
use super::heading::{Heading, Source};
use super::nulls::Nulls;
use crate::filter::Term;
use crate::job::{Body, FileName, JobState};
use crate::settings::Expect;
use crate::store::{Projection, Reader, Record, Stored, Wanted};

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// One object from name to result.
    Json,
    /// One object per line and job.
    Jsonl,
    /// A table for spreadsheets.
    Csv,
    /// A table with typed columns, for programs that read many rows.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Extracts from each result the value that is written in its place.
pub trait Extract: std::fmt::Debug + Sync {
    /// Returns whether it reads [`Record::columns`].
    fn needs_columns(&self) -> bool;

    /// Returns the value as JSON text on one line. `bytes` are the bytes of `body`.
    ///
    /// # Errors
    ///
    /// The value cannot be extracted from this result.
    fn extract(
        &self,
        record: &Record,
        result: &Stored,
        body: &Body,
        bytes: &[u8],
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>>;
}

/// The form of an export.
#[derive(Debug, Clone, Copy)]
pub struct Form<'e> {
    /// The format.
    pub format: Format,
    /// The type of every result, which takes precedence over its media type.
    pub expect: Expect,
    /// Extracts a value from each result. Without it, results are written whole.
    pub extract: Option<&'e dyn Extract>,
    /// Leaves CSV cells unchanged that a spreadsheet would evaluate as formulas.
    pub raw_csv: bool,
    /// Begins CSV with a byte order mark, by which Excel recognizes UTF-8.
    pub bom: bool,
    /// Replaces half surrogate pairs in JSON by U+FFFD, because strict readers refuse a file that has one. With
    /// [`Format::Json`], a byte of a name that is not UTF-8 becomes U+FFFD and its two hexadecimal digits.
    pub replace_surrogates: bool,
    /// The columns, instead of the format's default ones: stride's own, those of the list, and fields of results. JSON
    /// has none.
    pub columns: Option<&'e [ColumnName]>,
    /// Writes the fields of results that are JSON objects as columns, in place of the results.
    pub flatten: bool,
    /// The conditions on the jobs. Other jobs are ignored, even if they are not done.
    pub chosen: &'e [Term],
}

impl From<Format> for Form<'_> {
    /// Creates the default form: whole results, each written according to its media type.
    fn from(format: Format) -> Self {
        Self {
            format,
            expect: Expect::AsStated,
            extract: None,
            raw_csv: false,
            bom: false,
            replace_surrogates: false,
            columns: None,
            flatten: false,
            chosen: &[],
        }
    }
}

impl Form<'_> {
    /// Checks that the jobs are done, if `selection` requires it.
    pub(super) fn check(&self, reader: &Reader, selection: Selection) -> Result<(), ExportError> {
        if selection != Selection::Whole {
            return Ok(());
        }
        let counts = reader.counts_of(self.chosen)?;
        match counts.done == counts.total {
            true => Ok(()),
            false => Err(ExportError::Incomplete { counts }),
        }
    }

    /// Returns what to load of each job.
    pub(super) fn wanted(&self, selection: Selection, headings: &[Heading]) -> Wanted {
        // An expression may use the status and the headers, and a condition the attempt.
        let plain = self.extract.is_none() && self.chosen.is_empty();
        let is_list = |heading: &Heading| matches!(heading.source, Source::List(..));
        Wanted {
            projection: match selection {
                Selection::All => Projection::Everything,
                _ if self.format == Format::Json && plain => Projection::Results,
                _ => Projection::Done,
            },
            columns: self.extract.is_some_and(Extract::needs_columns)
                || headings.iter().any(is_list),
        }
    }
}

/// The jobs that an export contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All jobs, each of which must be done.
    Whole,
    /// The jobs that are done.
    Partial,
    /// All jobs, with the failures and states of those that are not done.
    All,
}

/// The counts of a finished export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportSummary {
    /// The number of jobs that were written.
    pub jobs: u64,
    /// The number of those with a result.
    pub results: u64,
    /// The number of those that failed or are held.
    pub failures: u64,
    /// The nulls among the extracted values.
    pub nulls: Nulls,
    /// The jobs that were left out because their results are damaged (checksum mismatch), or in files that are missing.
    pub damaged: Vec<FileName>,
}

impl ExportSummary {
    /// Adds the counts of other jobs.
    pub(super) fn add(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.results += other.results;
        self.failures += other.failures;
        self.nulls.add(other.nulls);
        self.damaged.extend(other.damaged);
    }

    /// Counts a written job, and the value extracted from its result.
    pub(super) fn count(&mut self, record: &Record, extracted: Option<&str>) {
        if let Some(json) = extracted {
            self.nulls.count(json);
        }
        self.jobs += 1;
        self.results += u64::from(record.result.is_some());
        let is_failure = matches!(record.state, JobState::Failed | JobState::Held);
        self.failures += u64::from(is_failure);
    }
}
