//! Lists that are tables: each row is a job, and only one row is in memory at a time.

use std::io::{BufRead, BufReader, Read};

use super::error::{InputError, RowFault, unreadable};
use super::types::{KEYS, LONGEST};
use crate::job::FileName;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the index of the column with the names, and checks that no column is repeated.
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
    let index = |name: &str| columns.clone().position(|column| column == name);
    let found = match asked {
        Some(name) => index(name),
        None => KEYS.into_iter().find_map(index),
    };
    found.ok_or_else(|| RowFault::NoKey {
        asked: asked.map(str::to_owned),
        columns: columns.map(str::to_owned).collect(),
    })
}

/// Checks a name from the column `column`.
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

/// Reads the lines of a list.
pub(super) struct Lines<'l, R> {
    pub(super) list: &'l str,
    from: BufReader<R>,
    end: u8,
    /// The number of lines read so far.
    pub(super) number: u64,
}

impl<'l, R: Read> Lines<'l, R> {
    /// Creates a reader of lines that end with the byte `end`.
    pub(super) fn new(list: &'l str, from: R, end: u8) -> Self {
        Self {
            list,
            from: BufReader::with_capacity(1 << 16, from),
            end,
            number: 0,
        }
    }

    /// Reads the next line into `line`, with its end. Returns whether there was one.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> Result<bool, InputError> {
        line.clear();
        // One byte more than allowed shows that a line is too long.
        let read = (&mut self.from)
            .take(LONGEST as u64 + 1)
            .read_until(self.end, line);
        if read.map_err(|source| unreadable(self.list, source))? == 0 {
            return Ok(false);
        }
        self.number += 1;
        if line.len() > LONGEST {
            return Err(self.fault(RowFault::TooLong));
        }
        Ok(true)
    }

    /// Reads the next line of a text, which may begin with a byte order mark.
    pub(super) fn read_text(&mut self, line: &mut Vec<u8>) -> Result<bool, InputError> {
        let read = self.read(line)?;
        if self.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(read)
    }

    /// Returns the error for a fault of the current line.
    pub(super) fn fault(&self, fault: RowFault) -> InputError {
        fault.at(self.list, self.number)
    }
}
