//! Names the jobs of lists that are tables, and reads the lines of all lists, one at a time.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

use super::error::{InputError, RowFault, unreadable};
use super::types::{Item, KEYS, Key, LONGEST};
use crate::job::FileName;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The byte order marks of UTF-16, of both orders.
const UTF_16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// The columns that name a row's job and its file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Naming {
    /// The columns of the name, or none if the line names the job.
    key: Vec<usize>,
    /// The column of the file, if the line names the job.
    file: Option<usize>,
}

impl Key {
    /// Finds the columns of the names, and checks that no column is repeated.
    pub(super) fn find<'c>(
        &self,
        columns: impl Iterator<Item = &'c str> + Clone,
    ) -> Result<Naming, RowFault> {
        let mut sorted: Vec<&str> = columns.clone().collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(RowFault::Twice {
                column: pair[0].to_owned(),
            });
        }
        let index = |name: &str| columns.clone().position(|column| column == name);
        let usual = || KEYS.into_iter().find_map(index);
        let missing = |asked: Option<&str>| RowFault::NoKey {
            asked: asked.map(str::to_owned),
            columns: columns.clone().map(str::to_owned).collect(),
        };
        let key = match self {
            Self::Line => {
                return Ok(Naming {
                    key: Vec::new(),
                    file: usual(),
                });
            }
            Self::Usual => vec![usual().ok_or_else(|| missing(None))?],
            Self::Columns(names) => match index(names) {
                Some(index) => vec![index],
                None => {
                    let each = names.split(',');
                    each.map(|name| index(name).ok_or_else(|| missing(Some(name))))
                        .collect::<Result<_, _>>()?
                }
            },
        };
        Ok(Naming { key, file: None })
    }
}

impl Naming {
    /// Names a row's job and its file. `column` and `cell` return a column's name and value.
    pub(super) fn item<'r>(
        &self,
        line: u64,
        column: &dyn Fn(usize) -> String,
        cell: &dyn Fn(usize) -> Result<Cow<'r, [u8]>, RowFault>,
    ) -> Result<Item, RowFault> {
        let checked = |index: usize, may_be_empty: bool| {
            let bytes = cell(index)?;
            let column = || column(index);
            if bytes.is_empty() && !may_be_empty {
                Err(RowFault::Empty { column: column() })
            } else if bytes.contains(&0) {
                Err(RowFault::Nul { column: column() })
            } else {
                Ok(bytes)
            }
        };
        let (name, file) = match self.key.as_slice() {
            [] => {
                // The row need not be about a file.
                let file = self.file.and_then(|index| checked(index, false).ok());
                (line.to_string().into_bytes(), file)
            }
            [column] => (checked(*column, false)?.into_owned(), None),
            [first, others @ ..] => {
                let file = checked(*first, false)?;
                let mut name = csv_cell(&file);
                for column in others {
                    name.push(b',');
                    name.extend(csv_cell(&checked(*column, true)?));
                }
                (name, Some(file))
            }
        };
        let file = file.map(|bytes| FileName::new(bytes.into_owned()));
        let key = match &file {
            Some(file) if !self.key.is_empty() => file.cleaned().map(|cleaned| {
                let others = &name[csv_cell(file.as_bytes()).len()..];
                FileName::new([&csv_cell(cleaned.as_bytes()), others].concat())
            }),
            _ => None,
        };
        let item = Item::from(FileName::new(name));
        Ok(Item {
            key: key.or(item.key),
            file,
            line,
            ..item
        })
    }

    /// Returns the columns of the names, or none if the line names the job.
    pub(super) fn key(&self) -> &[usize] {
        &self.key
    }

    /// Returns whether a column is a name, which may have any bytes.
    pub(super) fn has(&self, column: usize) -> bool {
        self.key.contains(&column) || self.file == Some(column)
    }
}

/// Writes a cell as CSV does, so that the cells of a name cannot be confused.
fn csv_cell(bytes: &[u8]) -> Vec<u8> {
    if !bytes.iter().any(|byte| b",\"\r\n".contains(byte)) {
        return bytes.to_vec();
    }
    let mut cell = vec![b'"'];
    for byte in bytes {
        cell.push(*byte);
        if *byte == b'"' {
            cell.push(b'"');
        }
    }
    cell.push(b'"');
    cell
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
        if self.number == 1 && read {
            if line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            } else if self.is_utf_16(line)? {
                let list = self.list.to_owned();
                return Err(InputError::Utf16 { list });
            }
        }
        Ok(read)
    }

    /// Returns whether the first line is one of UTF-16: it has NUL bytes, and begins with a mark or has them at every other
    /// place.
    fn is_utf_16(&mut self, line: &[u8]) -> Result<bool, InputError> {
        let rest = self.from.fill_buf();
        let rest = rest.map_err(|source| unreadable(self.list, source))?;
        let is_marked = UTF_16_MARKS.iter().any(|mark| line.starts_with(mark));
        // The first line may be one character, and the NUL byte of its end begins the rest.
        let has_nul = line.contains(&0) || rest.first() == Some(&0);
        // Names of one letter that end with NUL bytes look the same, but such a list has no line ends.
        let may_be = line.len() > 3 && line.ends_with(b"\n");
        let alternates =
            |at: usize| may_be && line.iter().skip(at).step_by(2).all(|byte| *byte == 0);
        Ok(has_nul && (is_marked || alternates(0) || alternates(1)))
    }

    /// Returns the error for a fault of the current line.
    pub(super) fn fault(&self, fault: RowFault) -> InputError {
        fault.at(self.list, self.number)
    }
}
