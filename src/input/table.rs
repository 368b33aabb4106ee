//! What lists that are tables have in common: a row a job, of which one is in memory at a time.

use std::io::{BufRead, BufReader, Read};

use super::bounds::{KEYS, LONGEST};
use super::error::{InputError, RowFault, unreadable};
use crate::job::FileName;

/// What some programs write before the first character of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
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
