//! Errors of exports.

use std::io;

use thiserror::Error;

use crate::atomic_file::FileError;
use crate::event::Counts;
use crate::job::{FileName, escaped};
use crate::store::StoreError;

/// An error of an export.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Some jobs are not done, and the whole run was to be exported.
    #[error("incomplete run: {} of {} files have a result", .counts.done, .counts.total)]
    Incomplete {
        /// The number of jobs in each state.
        counts: Counts,
    },
    /// The database cannot be read, or a result of the whole run is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No value can be extracted from a result.
    #[error("cannot extract a value from the result of {path}")]
    Extract {
        /// The job's name.
        path: FileName,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A table has no such column.
    #[error("there is no column {}", listed(.name, .known))]
    NoColumn {
        /// The column.
        name: String,
        /// The columns that there are.
        known: Vec<String>,
    },
    /// A table has too many columns, perhaps because its objects have ids as keys.
    #[error("{whose} more than 10,000 different columns")]
    ManyColumns {
        /// The owner of the columns, with its verb.
        whose: &'static str,
    },
    /// The file of a result cannot be read.
    #[error("cannot read the result of {path}")]
    Read {
        /// The job's name.
        path: FileName,
        /// The cause.
        source: io::Error,
    },
    /// The export cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Names a missing column, and those that there are.
fn listed(name: &str, known: &[String]) -> String {
    const MOST: usize = 20;
    let shown = |name: &String| format!("`{}`", escaped(name.as_bytes()));
    let mut names: Vec<String> = known.iter().take(MOST).map(shown).collect();
    if known.len() > MOST {
        names.push(format!("{} more", known.len() - MOST));
    }
    let name = escaped(name.as_bytes());
    match names.is_empty() {
        true => format!("`{name}`, and no other like it"),
        false => format!("`{name}`, only {}", names.join(", ")),
    }
}

pub(super) fn write_failed(source: io::Error) -> ExportError {
    FileError::Write {
        target: "the export".to_owned(),
        source,
    }
    .into()
}
