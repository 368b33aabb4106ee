//! Lists that are CSV tables (RFC 4180), with a header.

use std::io::{self, Read};

use csv::ByteRecord;
use serde_json::Value;

use super::bounds::LONGEST;
use super::error::{InputError, RowFault, unreadable};
use super::table::{Lines, key, name};
use super::types::Item;

/// Hands over the rows of a CSV list. Returns how many blank lines there were.
pub(super) fn rows<E: From<InputError>>(
    list: &str,
    from: impl Read,
    asked: Option<&str>,
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<u64, E> {
    let rows = Rows {
        lines: Lines::new(list, from),
        row: Vec::new(),
        given: 0,
        line: 0,
        blank: 0,
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(rows);
    let mut record = ByteRecord::new();
    // A list without a line has no jobs, as any other.
    if read(&mut reader, &mut record)? {
        let line = reader.get_ref().line;
        let header = Header::read(&record, asked).map_err(|fault| fault.at(list, line))?;
        while read(&mut reader, &mut record)? {
            let line = reader.get_ref().line;
            let item = header.item(&record).map_err(|fault| fault.at(list, line))?;
            add(item)?;
        }
    }
    Ok(reader.get_ref().blank)
}

/// Reads the next row, and says whether there was one.
fn read<R: Read>(
    reader: &mut csv::Reader<Rows<'_, R>>,
    record: &mut ByteRecord,
) -> Result<bool, InputError> {
    reader.read_byte_record(record).map_err(|error| {
        let error = match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            // Nothing else is an error where rows may have any length and any bytes.
            other => io::Error::other(format!("{other:?}")),
        };
        let list = reader.get_ref().lines.list;
        error
            .downcast()
            .unwrap_or_else(|error| unreadable(list, error))
    })
}

/// The first row of a CSV list.
struct Header {
    columns: Vec<String>,
    /// Each as it stands in an object: `"name":`.
    labels: Vec<String>,
    key: usize,
}

impl Header {
    fn read(record: &ByteRecord, asked: Option<&str>) -> Result<Self, RowFault> {
        let texts: Result<Vec<&str>, _> = record.iter().map(std::str::from_utf8).collect();
        let texts = texts.map_err(|_| RowFault::NotText { column: None })?;
        let key = key(asked, texts.iter().copied())?;
        let columns: Vec<String> = texts.into_iter().map(str::to_owned).collect();
        let label = |name: &String| format!("{}:", Value::from(name.as_str()));
        Ok(Self {
            labels: columns.iter().map(label).collect(),
            columns,
            key,
        })
    }

    fn item(&self, record: &ByteRecord) -> Result<Item, RowFault> {
        if record.len() != self.columns.len() {
            return Err(RowFault::Cells {
                found: record.len(),
                expected: self.columns.len(),
            });
        }
        let name = name(&self.columns[self.key], &record[self.key])?;
        let mut object = String::with_capacity(2 * record.as_slice().len());
        for (place, (label, cell)) in self.labels.iter().zip(record).enumerate() {
            object.push(if place == 0 { '{' } else { ',' });
            object.push_str(label);
            if place != self.key && std::str::from_utf8(cell).is_err() {
                return Err(RowFault::NotText {
                    column: Some(self.columns[place].clone()),
                });
            }
            push_json(cell, &mut object);
        }
        object.push('}');
        Ok(Item {
            name,
            columns: Some(object),
        })
    }
}

/// Writes a cell as a string. A byte that is not UTF-8 becomes a lone surrogate, as in the export (PEP 383).
fn push_json(cell: &[u8], to: &mut String) {
    to.push('"');
    for chunk in cell.utf8_chunks() {
        let quoted = Value::from(chunk.valid()).to_string();
        to.push_str(&quoted[1..quoted.len() - 1]);
        for byte in chunk.invalid() {
            to.push_str(&format!("\\udc{byte:02x}"));
        }
    }
    to.push('"');
}

/// Gives a CSV list to its parser one row at a time. So the line of each row is known, and a quote that is never
/// closed is noticed: the parser would take all the rest of the list for a cell.
struct Rows<'l, R> {
    lines: Lines<'l, R>,
    row: Vec<u8>,
    /// How much of the row the parser has.
    given: usize,
    /// The line on which the row begins.
    line: u64,
    blank: u64,
}

impl<R: Read> Rows<'_, R> {
    /// Reads the next row; it is empty at the end of the list.
    fn next(&mut self) -> Result<(), InputError> {
        self.row.clear();
        self.given = 0;
        let (mut seen, mut at) = (0, At::Start);
        while self.lines.append(&mut self.row)? {
            if seen == 0 {
                if matches!(self.row.as_slice(), b"" | b"\n" | b"\r\n") {
                    self.blank += 1;
                    self.row.clear();
                    continue;
                }
                self.line = self.lines.read;
            }
            if self.row.len() > LONGEST {
                return Err(RowFault::TooLong.at(self.lines.list, self.line));
            }
            at = self.row[seen..]
                .iter()
                .fold(at, |at, byte| at.behind(*byte));
            seen = self.row.len();
            if at != At::Quoted {
                return Ok(());
            }
        }
        if at == At::Quoted {
            return Err(RowFault::Unclosed.at(self.lines.list, self.line));
        }
        Ok(())
    }
}

impl<R: Read> Read for Rows<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.row.len() {
            self.next().map_err(io::Error::other)?;
        }
        let read = (&self.row[self.given..]).read(into)?;
        self.given += read;
        Ok(read)
    }
}

/// Where in a CSV row one is, as the parser sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The beginning of a cell.
    Start,
    /// In a cell without quotes.
    Bare,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes a cell, or is the first of two.
    Quote,
}

impl At {
    fn behind(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::Start | Self::Quote, b'"') => Self::Quoted,
            (_, b',' | b'\r' | b'\n') => Self::Start,
            _ => Self::Bare,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::job::FileName;

    use super::*;

    /// Reads a list from something that gives it in small pieces.
    fn read(list: &[u8], asked: Option<&str>) -> Result<(Vec<Item>, u64), InputError> {
        struct Pieces<'a>(&'a [u8]);
        impl Read for Pieces<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let most = into.len().min(3);
                self.0.read(&mut into[..most])
            }
        }
        let mut items = Vec::new();
        let blank = rows("list", Pieces(list), asked, &mut |item| -> Result<
            (),
            InputError,
        > {
            items.push(item);
            Ok(())
        })?;
        Ok((items, blank))
    }

    #[test]
    fn a_row_is_a_job_with_all_its_columns() {
        let list = b"\xef\xbb\xbfid,\"path\",\"no \"\"te\"\r\n1,a.txt,\"two\r\nlines, \"\"quoted\"\"\"\r\n\r\n,caf\xe9, x;y \xf0\x9f\x91\x8d";
        let (items, blank) = read(list, None).unwrap();
        let name = |name: &[u8], columns: &str| Item {
            name: FileName::new(name),
            columns: Some(columns.to_owned()),
        };
        let expected = [
            name(
                b"a.txt",
                r#"{"id":"1","path":"a.txt","no \"te":"two\r\nlines, \"quoted\""}"#,
            ),
            name(
                b"caf\xe9",
                r#"{"id":"","path":"caf\udce9","no \"te":" x;y 👍"}"#,
            ),
        ];
        assert_eq!((items.as_slice(), blank), (&expected[..], 1));
        assert_eq!(read(b"file,path\na,b", None).unwrap().0[0].name, "b".into());
        assert_eq!(read(b"x,file\na,b", None).unwrap().0[0].name, "b".into());
        assert_eq!(
            read(b"path,id\na,b", Some("id")).unwrap().0[0].name,
            "b".into()
        );
        for empty in [&b""[..], b"\xef\xbb\xbf", b"path", b"path\r\n"] {
            assert_eq!(read(empty, None).unwrap().0, [], "{empty:?}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_a_job_is_named_by_its_line() {
        for (list, asked, said) in [
            (
                &b"a,b\n1,2\n"[..],
                None,
                "line 1 of the list list has no column `path` or `file`, only `a`, `b`",
            ),
            (
                b"\n\npath,a\n1,2\n",
                Some("c"),
                "line 3 of the list list has no column `c`, only `path`, `a`",
            ),
            (
                b"path,a,a\n1,2,3\n",
                None,
                "line 1 of the list list has the column `a` twice",
            ),
            (
                b"path,a\n\"1\n\n\",2\n3\n",
                None,
                "line 5 of the list list has not as many cells as the header: 1, not 2",
            ),
            (
                b"path,a\r\n1,2\r\n\r\n1,2,3\r\n",
                None,
                "line 4 of the list list has not as many cells as the header: 3, not 2",
            ),
            (
                b"path,a\n1,2\n,2\n",
                None,
                "line 3 of the list list has nothing in the column `path`",
            ),
            (
                b"path,a\n1\0,2\n",
                None,
                "line 2 of the list list has a NUL byte in the column `path`",
            ),
            (
                b"path,a\n1,\xff\n",
                None,
                "line 2 of the list list is not UTF-8 in the column `a`",
            ),
            (
                b"path,\xff\n1,2\n",
                None,
                "line 1 of the list list is not UTF-8",
            ),
            (
                b"path,a\n1,\"2\n3,4\n5,6\n",
                None,
                "line 2 of the list list begins a row with a quote that is never closed",
            ),
        ] {
            let error = read(list, asked).unwrap_err();
            assert_eq!(error.to_string(), said, "{list:?}");
        }
    }

    #[test]
    fn a_row_has_an_end_before_memory_has() {
        let list = io::repeat(b'x');
        let add = &mut |_| Ok::<(), InputError>(());
        let error = rows("list", list, None, add).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1 of the list list begins a row of more than 16 MiB"
        );
        let list = io::Cursor::new("path\n\"x\n").chain(io::repeat(b'\n'));
        let error = rows("list", list, None, add).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2 of the list list begins a row of more than 16 MiB"
        );
    }

    /// Cells with whatever a careless reader stumbles over.
    fn cell() -> impl Strategy<Value = String> {
        prop_oneof![
            "[\",;\r\n\t '\\\\{}a\0]{0,6}",
            any::<String>(),
            Just("\u{feff}".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn every_cell_comes_back(
            table in prop::collection::vec((prop::collection::vec(1_u8.., 1..9), cell(), cell()), 0..6),
            crlf in any::<bool>(),
            marked in any::<bool>(),
            always in any::<bool>(),
        ) {
            let mut writer = csv::WriterBuilder::new();
            writer.terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') });
            writer.quote_style(if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary });
            let mut writer = writer.from_writer(if marked { b"\xef\xbb\xbf".to_vec() } else { Vec::new() });
            writer.write_record(["a", "path", "b\n"]).unwrap();
            for (name, a, b) in &table {
                writer.write_record([a.as_bytes(), name, b.as_bytes()]).unwrap();
            }
            let (items, _) = read(&writer.into_inner().unwrap(), None).unwrap();
            prop_assert_eq!(items.len(), table.len());
            for (item, (name, a, b)) in items.iter().zip(&table) {
                prop_assert_eq!(item.name.as_bytes(), name);
                let columns = crate::job::Columns::read(item.columns.as_ref().unwrap()).unwrap();
                prop_assert_eq!(columns.text("a").unwrap(), a.as_str());
                prop_assert_eq!(columns.text("b\n").unwrap(), b.as_str());
            }
        }

        /// Where the list is cut changes nothing of what the parser finds in it.
        #[test]
        fn rows_are_what_the_parser_takes_for_rows(list in "[\",\r\na]{0,24}") {
            let mut plain = csv::ReaderBuilder::new();
            let mut plain = plain.has_headers(false).flexible(true).from_reader(list.as_bytes());
            let plain: Vec<ByteRecord> = plain.byte_records().map(Result::unwrap).collect();
            let rows = Rows {
                lines: Lines::new("list", list.as_bytes()),
                row: Vec::new(),
                given: 0,
                line: 0,
                blank: 0,
            };
            let mut cut = csv::ReaderBuilder::new();
            let cut = cut.has_headers(false).flexible(true).from_reader(rows);
            let cut: Vec<_> = cut.into_byte_records().collect();
            if cut.iter().all(Result::is_ok) {
                let cut: Vec<ByteRecord> = cut.into_iter().map(Result::unwrap).collect();
                prop_assert_eq!(cut, plain);
            }
        }
    }
}
