//! The form of an export, and its extent.

use super::column::Column;
use super::error::ExportError;
use crate::filter::Term;
use crate::job::{Body, FileName};
use crate::settings::Expect;
use crate::store::{Reader, Record, Stored, Wanted};

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
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Makes a value of each result, which is written in its place.
pub trait Extract: std::fmt::Debug + Sync {
    /// Returns the value as JSON text. `body` is the result's body, and `bytes` are its bytes.
    ///
    /// # Errors
    ///
    /// The result has no such value.
    fn extract(
        &self,
        record: &Record,
        result: &Stored,
        body: &Body,
        bytes: &[u8],
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>>;
}

/// What is written of each result, and how.
#[derive(Debug, Clone, Copy)]
pub struct Form<'e> {
    /// How.
    pub format: Format,
    /// What every result is, whatever it says of itself.
    pub expect: Expect,
    /// What is made of each result; otherwise it is written as it is.
    pub extract: Option<&'e dyn Extract>,
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
            extract: None,
            raw_csv: false,
            columns: None,
            chosen: &[],
        }
    }
}

impl Form<'_> {
    /// That everything is done which is to be.
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

    /// What has to be known of the jobs.
    pub(super) fn wanted(&self, selection: Selection) -> Wanted {
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

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// How many jobs.
    pub jobs: u64,
    /// The jobs that were left out, for their stored results are not what was recorded.
    pub damaged: Vec<FileName>,
}
