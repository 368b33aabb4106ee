//! Errors in lists.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::bounds::{DEEPEST, KEYS, LONGEST};
use crate::job::{FileName, escaped};

/// What cannot be read as a list.
#[derive(Debug, Error)]
pub enum InputError {
    /// A named file or folder does not exist or cannot be read.
    #[error("cannot read {}", FileName::from(.path.as_path()))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A list of names is not one.
    #[error("cannot read the list {list}")]
    List {
        /// Which list.
        list: String,
        /// Why.
        source: io::Error,
    },
    /// A NUL byte in a list that is read line by line.
    #[error("line {line} of the list {list} has a NUL byte")]
    Nul {
        /// Which list.
        list: String,
        /// Counted from 1.
        line: u64,
    },
    /// A row of a list that is a table cannot be a job.
    #[error("line {line} of the list {list} {fault}")]
    Row {
        /// Which list.
        list: String,
        /// The line on which the row begins, counted from 1.
        line: u64,
        /// What is wrong with it.
        fault: RowFault,
    },
}

/// Why a row of a table cannot be a job. In words it goes on from "line 7 of the list jobs.csv …".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowFault {
    /// The column with the names is not there.
    #[error("has no column {}, {}", wanted(.asked.as_deref()), listing(.columns))]
    NoKey {
        /// The column that it should be; where none was asked for, it is `path`, or else `file`.
        asked: Option<String>,
        /// Those that there are.
        columns: Vec<String>,
    },
    /// Two columns have the same name.
    #[error("has the column {} twice", shown(.column))]
    Twice {
        /// Which name.
        column: String,
    },
    /// A CSV row is longer or shorter than its header.
    #[error("has not as many cells as the header: {found}, not {expected}")]
    Cells {
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// There is no name in the column with the names.
    #[error("has nothing in the column {}", shown(.column))]
    Empty {
        /// Which column.
        column: String,
    },
    /// No file has such a name.
    #[error("has a NUL byte in the column {}", shown(.column))]
    Nul {
        /// Which column.
        column: String,
    },
    /// Only a name in a CSV list may have any bytes.
    #[error("is not UTF-8{}", column.as_deref().map(|name| format!(" in the column {}", shown(name))).unwrap_or_default())]
    NotText {
        /// Which column, where that is known.
        column: Option<String>,
    },
    /// A line of a JSONL list is something else.
    #[error("is not a JSON object")]
    NotObject,
    /// A line of a JSONL list begins as an object and does not go on as one.
    #[error("is not JSON: it goes wrong at byte {at}")]
    NotJson {
        /// Where in the line, counted from 1.
        at: usize,
    },
    /// A name in a JSONL list is a number or some such.
    #[error("has something other than text in the column {}", shown(.column))]
    NotString {
        /// Which column.
        column: String,
    },
    /// A quote that opens a cell of a CSV list is the last of its kind.
    #[error("begins a row with a quote that is never closed")]
    Unclosed,
    /// More than one row can be.
    #[error("begins a row of more than {} MiB", LONGEST >> 20)]
    TooLong,
    /// An object in an object in an object …
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

/// A column's name for people: it may be of any length, and is from outside.
fn shown(column: &str) -> String {
    let mut short: String = column.chars().take(60).collect();
    if short.len() < column.len() {
        short.push('…');
    }
    format!("`{}`", escaped(short.as_bytes()))
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
