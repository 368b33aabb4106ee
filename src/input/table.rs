//! What lists that are tables have in common: a row a job, of which one is in memory at a time.

use std::io::{self, BufRead, BufReader, Read};

use thiserror::Error;

use super::InputError;
use crate::job::{FileName, escaped};

/// The columns that have the names where no other is asked for, the first that is there.
const KEYS: [&str; 2] = ["path", "file"];
/// What some programs write before the first character of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A longer row is rather a quote that is never closed, or no table at all.
pub(super) const LONGEST: usize = 16 << 20;
/// SQLite looks no deeper into a JSON text.
pub(super) const DEEPEST: usize = 1000;

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

/// The place of the column with the names, and a check that each column is there once.
pub(super) fn key<'c>(
    asked: Option<&str>,
    columns: impl Iterator<Item = &'c str> + Clone,
) -> Result<usize, RowFault> {
    let mut sorted: Vec<&str> = columns.clone().collect();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(RowFault::Twice {
            column: pair[0].to_owned(),
        });
    }
    let place = |name: &str| columns.clone().position(|column| column == name);
    let found = match asked {
        Some(name) => place(name),
        None => KEYS.into_iter().find_map(place),
    };
    found.ok_or_else(|| RowFault::NoKey {
        asked: asked.map(str::to_owned),
        columns: columns.map(str::to_owned).collect(),
    })
}

pub(super) fn name(column: &str, bytes: &[u8]) -> Result<FileName, RowFault> {
    let column = || column.to_owned();
    if bytes.is_empty() {
        Err(RowFault::Empty { column: column() })
    } else if bytes.contains(&0) {
        Err(RowFault::Nul { column: column() })
    } else {
        Ok(FileName::new(bytes))
    }
}

/// The lines of a list.
pub(super) struct Lines<'l, R> {
    pub(super) list: &'l str,
    from: BufReader<R>,
    /// How many have been read.
    pub(super) read: u64,
}

impl<'l, R: Read> Lines<'l, R> {
    pub(super) fn new(list: &'l str, from: R) -> Self {
        Self {
            list,
            from: BufReader::with_capacity(1 << 16, from),
            read: 0,
        }
    }

    /// Puts the next line, with its end, behind what there is of a row. Says whether there was one.
    pub(super) fn append(&mut self, row: &mut Vec<u8>) -> Result<bool, InputError> {
        // One byte more than there may be, to see that there is more.
        let room = (LONGEST + 1).saturating_sub(row.len()) as u64;
        let read = (&mut self.from).take(room).read_until(b'\n', row);
        if read.map_err(|source| unreadable(self.list, source))? == 0 {
            return Ok(false);
        }
        if self.read == 0 && row.starts_with(BYTE_ORDER_MARK) {
            row.drain(..BYTE_ORDER_MARK.len());
        }
        self.read += 1;
        Ok(true)
    }
}

pub(super) fn unreadable(list: &str, source: io::Error) -> InputError {
    InputError::List {
        list: list.to_owned(),
        source,
    }
}
