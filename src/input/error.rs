//! Errors of sources.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::types::{DEEPEST, KEYS, LONGEST};
use crate::job::{FileName, shortened};

/// An error of a source.
#[derive(Debug, Error)]
pub enum InputError {
    /// A folder cannot be read.
    #[error("cannot read {}", FileName::from(.path.as_path()))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list cannot be read.
    #[error("cannot read the list {list}")]
    List {
        /// The list.
        list: String,
        /// The cause.
        source: io::Error,
    },
    /// A list of lines contains a NUL byte.
    #[error("line {line} of the list {list} has a NUL byte")]
    Nul {
        /// The list.
        list: String,
        /// The line, counted from 1.
        line: u64,
    },
    /// A list is in UTF-16, as some programs of Windows write it.
    #[error("the list {list} is in UTF-16, not in UTF-8")]
    Utf16 {
        /// The list.
        list: String,
    },
    /// A row of a table cannot be a job, or a line of any list is too long.
    #[error("line {line} of the list {list} {fault}")]
    Row {
        /// The list.
        list: String,
        /// The line on which the row begins, counted from 1.
        line: u64,
        /// The fault of the row.
        fault: RowFault,
    },
}

/// A fault of a row or a line. Its message continues "line 7 of the list jobs.csv …".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowFault {
    /// The column with the names is missing.
    #[error("has no column {}, {}", wanted(.asked.as_deref()), listing(.columns))]
    NoKey {
        /// The requested column; `path` or else `file` by default.
        asked: Option<String>,
        /// The columns of the row.
        columns: Vec<String>,
    },
    /// Two columns have the same name.
    #[error("has the column {} twice", shown(.column))]
    Twice {
        /// The column.
        column: String,
    },
    /// A CSV row is longer or shorter than its header.
    #[error("has a different number of cells than the header: {found}, not {expected}")]
    Cells {
        /// The number of its cells.
        found: usize,
        /// The number of cells in the header.
        expected: usize,
    },
    /// The name is empty.
    #[error("has an empty name in the column {}", shown(.column))]
    Empty {
        /// The column.
        column: String,
    },
    /// The name contains a NUL byte.
    #[error("has a NUL byte in the column {}", shown(.column))]
    Nul {
        /// The column.
        column: String,
    },
    /// A value is not UTF-8. Only the names in a CSV list need not be.
    #[error("is not UTF-8{}", column.as_deref().map(|name| format!(" in the column {}", shown(name))).unwrap_or_default())]
    NotText {
        /// The column, if it is known.
        column: Option<String>,
    },
    /// A line of a JSONL list does not begin as an object.
    #[error("is not a JSON object")]
    NotObject,
    /// A line of a JSONL list is not valid JSON.
    #[error("is not JSON: syntax error at byte {at}")]
    NotJson {
        /// The position of the error in the line, counted from 1.
        at: usize,
    },
    /// A name in a JSONL list is null, an array, an object, or a string with half a surrogate pair.
    #[error("has a value that is neither text nor a number in the column {}", shown(.column))]
    NotScalar {
        /// The column.
        column: String,
    },
    /// A cell of a CSV list has no closing quote.
    #[error("begins a row with an unclosed quote")]
    Unclosed,
    /// A row or a name is too long.
    #[error("begins a row of more than {} MiB", LONGEST >> 20)]
    TooLong,
    /// An object is nested too deep.
    #[error("is nested more than {DEEPEST} levels deep")]
    TooDeep,
}

impl RowFault {
    pub(super) fn at(self, list: &str, line: u64) -> InputError {
        InputError::Row {
            list: list.to_owned(),
            line,
            fault: self,
        }
    }
}

/// Quotes a column's name, which is untrusted text of any length.
fn shown(column: &str) -> String {
    format!("`{}`", shortened(column.as_bytes(), 60))
}

fn wanted(asked: Option<&str>) -> String {
    match asked {
        Some(column) => shown(column),
        None => KEYS.map(shown).join(" or "),
    }
}

fn listing(columns: &[String]) -> String {
    const MOST: usize = 20;
    let some: Vec<String> = columns.iter().take(MOST).map(|name| shown(name)).collect();
    match columns.len().saturating_sub(MOST) {
        0 if columns.is_empty() => "and no other".to_owned(),
        0 => format!("only {}", some.join(", ")),
        more => format!("only {} and {more} more", some.join(", ")),
    }
}

pub(super) fn unreadable(list: &str, source: io::Error) -> InputError {
    InputError::List {
        list: list.to_owned(),
        source,
    }
}
