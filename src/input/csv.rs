//! Lists that are CSV tables (RFC 4180), with a header.
//!
//! The `csv` crate does not bound a row and counts no blank lines. After an unclosed quote, it takes the rest of the list
//! for a cell. A test with random input checks that this parser finds the same cells as the crate.

use std::borrow::Cow;
use std::io::Read;

use csv::ByteRecord;

use super::error::{InputError, RowFault};
use super::table::{Lines, Naming};
use super::types::{Item, Key, LONGEST, SeenColumns};
use crate::job::json_string;

/// Passes the rows of a CSV list to `add`. Returns the number of blank lines.
pub(super) fn rows<E: From<InputError>>(
    list: &str,
    from: impl Read,
    key: &Key,
    seen: &mut SeenColumns,
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<u64, E> {
    let mut rows = Rows::new(list, from);
    if let Some(line) = rows.read()? {
        let header = CsvHeader::new(&rows.record, key).map_err(|fault| fault.at(list, line))?;
        let mut count = 0;
        while let Some(line) = rows.read()? {
            let item = header.item(&rows.record, line);
            add(item.map_err(|fault| fault.at(list, line))?)?;
            count += 1;
        }
        seen.record(header.columns.iter().map(String::as_str), count);
    }
    Ok(rows.blank)
}

/// The header of a CSV list.
struct CsvHeader {
    columns: Vec<String>,
    /// Each column as the key of a member: `"name":`.
    labels: Vec<String>,
    naming: Naming,
}

impl CsvHeader {
    fn new(record: &ByteRecord, key: &Key) -> Result<Self, RowFault> {
        let texts: Result<Vec<&str>, _> = record.iter().map(std::str::from_utf8).collect();
        let texts = texts.map_err(|_| RowFault::NotText { column: None })?;
        let naming = key.find(texts.iter().copied())?;
        let columns: Vec<String> = texts.into_iter().map(str::to_owned).collect();
        let label = |name: &String| format!("{}:", json_string(name.as_bytes()));
        Ok(Self {
            labels: columns.iter().map(label).collect(),
            columns,
            naming,
        })
    }

    fn item(&self, record: &ByteRecord, line: u64) -> Result<Item, RowFault> {
        if record.len() != self.columns.len() {
            return Err(RowFault::Cells {
                found: record.len(),
                expected: self.columns.len(),
            });
        }
        let column = |index: usize| self.columns[index].clone();
        let cell = |index| Ok(Cow::from(&record[index]));
        let item = self.naming.item(line, &column, &cell)?;
        let mut object = String::with_capacity(2 * record.as_slice().len());
        for (index, (label, cell)) in self.labels.iter().zip(record).enumerate() {
            object.push(if index == 0 { '{' } else { ',' });
            object.push_str(label);
            if !self.naming.has(index) && std::str::from_utf8(cell).is_err() {
                return Err(RowFault::NotText {
                    column: Some(self.columns[index].clone()),
                });
            }
            object.push_str(&json_string(cell));
        }
        object.push('}');
        Ok(Item {
            columns: Some(object),
            ..item
        })
    }
}

/// Reads the rows of a CSV list.
struct Rows<'l, R> {
    lines: Lines<'l, R>,
    line: Vec<u8>,
    /// The index in `line` of the first byte that is not parsed yet.
    at: usize,
    cell: Vec<u8>,
    /// The latest row.
    record: ByteRecord,
    /// The number of blank lines between rows.
    blank: u64,
}

/// The state of the parser within a row.
enum ParserState {
    /// At the beginning of a cell.
    Start,
    /// In a cell without quotes.
    Bare,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes a cell, or is the first of two.
    Quote,
}

impl<'l, R: Read> Rows<'l, R> {
    fn new(list: &'l str, from: R) -> Self {
        Self {
            lines: Lines::new(list, from, b'\n'),
            line: Vec::new(),
            at: 0,
            cell: Vec::new(),
            record: ByteRecord::new(),
            blank: 0,
        }
    }

    /// Reads the next row into `record`. Returns the number of the line on which it begins, or `None` at the end.
    fn read(&mut self) -> Result<Option<u64>, InputError> {
        self.record.clear();
        let (mut begin, mut length, mut state) = (0, 0, ParserState::Start);
        loop {
            if self.at == self.line.len() {
                self.at = 0;
                if !self.lines.read_text(&mut self.line)? {
                    if matches!(state, ParserState::Quoted) {
                        return Err(RowFault::Unclosed.at(self.lines.list, begin));
                    }
                    if length == 0 {
                        return Ok(None);
                    }
                    self.end_cell();
                    return Ok(Some(begin));
                }
                if length == 0 && matches!(self.line.as_slice(), b"" | b"\n" | b"\r\n") {
                    self.blank += 1;
                }
                continue;
            }
            let byte = self.line[self.at];
            self.at += 1;
            if length == 0 {
                // The rest of a line break.
                if matches!(byte, b'\r' | b'\n') {
                    continue;
                }
                begin = self.lines.number;
            }
            length += 1;
            if length > LONGEST {
                return Err(RowFault::TooLong.at(self.lines.list, begin));
            }
            state = match (state, byte) {
                (ParserState::Quoted, b'"') => ParserState::Quote,
                (ParserState::Start, b'"') => ParserState::Quoted,
                (ParserState::Quoted, _) | (ParserState::Quote, b'"') => {
                    self.cell.push(byte);
                    ParserState::Quoted
                }
                (_, b',') => {
                    self.end_cell();
                    ParserState::Start
                }
                (_, b'\r' | b'\n') => {
                    self.end_cell();
                    return Ok(Some(begin));
                }
                _ => {
                    self.cell.push(byte);
                    ParserState::Bare
                }
            };
        }
    }

    fn end_cell(&mut self) {
        self.record.push_field(&self.cell);
        self.cell.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::*;
    use crate::job::FileName;

    fn key(asked: Option<&str>) -> Key {
        asked.map_or(Key::Usual, |names| Key::Columns(names.to_owned()))
    }

    /// Reads a list in small pieces.
    fn read(list: &[u8], key: &Key) -> Result<(Vec<Item>, u64), InputError> {
        struct Pieces<'a>(&'a [u8]);
        impl Read for Pieces<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let most = into.len().min(3);
                self.0.read(&mut into[..most])
            }
        }
        let mut items = Vec::new();
        let mut add = |item| -> Result<(), InputError> {
            items.push(item);
            Ok(())
        };
        let seen = &mut SeenColumns::default();
        let blank = rows("list", Pieces(list), key, seen, &mut add)?;
        Ok((items, blank))
    }

    #[test]
    fn a_row_is_a_job_with_all_its_columns() {
        let list = b"\xef\xbb\xbfid,\"path\",\"no \"\"te\"\r\n1,a.txt,\"two\r\nlines, \"\"quoted\"\"\"\r\n\r\n,caf\xe9, x;y \xf0\x9f\x91\x8d";
        let (items, blank) = read(list, &Key::Usual).unwrap();
        let name = |name: &[u8], columns: &str, line| Item {
            columns: Some(columns.to_owned()),
            line,
            ..FileName::new(name).into()
        };
        let expected = [
            name(
                b"a.txt",
                r#"{"id":"1","path":"a.txt","no \"te":"two\r\nlines, \"quoted\""}"#,
                2,
            ),
            name(
                b"caf\xe9",
                r#"{"id":"","path":"caf\udce9","no \"te":" x;y 👍"}"#,
                5,
            ),
        ];
        assert_eq!((items.as_slice(), blank), (&expected[..], 1));
        for empty in [&b""[..], b"\xef\xbb\xbf", b"path", b"path\r\n"] {
            assert_eq!(read(empty, &Key::Usual).unwrap().0, [], "{empty:?}");
        }
    }

    #[test]
    fn a_name_is_a_column_or_several_or_the_line() {
        let columns = |names: &str| Key::Columns(names.to_owned());
        for (list, key, name, file) in [
            ("file,path\na,b", Key::Usual, "b", None),
            ("x,file\na,b", Key::Usual, "b", None),
            ("path,id\na,b", columns("id"), "b", None),
            ("x,\"a,b\",b\n1,2,3", columns("a,b"), "2", None),
            ("x,@line\na,b", columns("@line"), "b", None),
            ("path,b\na,c", columns("path,b"), "a,c", Some("a")),
            ("b,path\n,a", columns("path,b"), "a,", Some("a")),
            (
                "p,q\n\"a,b\",\"c\"\"\"",
                columns("q,p"),
                "\"c\"\"\",\"a,b\"",
                Some("c\""),
            ),
            ("x,y\n\n1,2", Key::Line, "3", None),
            ("x,path\n1,2", Key::Line, "2", Some("2")),
            ("x,path\n1,", Key::Line, "2", None),
        ] {
            let (items, _) = read(list.as_bytes(), &key).unwrap();
            let found = (items[0].name.clone(), items[0].file.clone());
            assert_eq!(found, (name.into(), file.map(Into::into)), "{list}");
        }
        let list = b"path,b\n\"./a,b\",.//c\n";
        let (items, _) = read(list, &columns("path,b")).unwrap();
        assert_eq!(items[0].key, Some("\"a,b\",.//c".into()));
        let (items, _) = read(list, &columns("b")).unwrap();
        assert_eq!(items[0].key, Some("c".into()));
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
                "line 5 of the list list has a different number of cells than the header: 1, not 2",
            ),
            (
                b"path,a\r\n1,2\r\n\r\n1,2,3\r\n",
                None,
                "line 4 of the list list has a different number of cells than the header: 3, not 2",
            ),
            (
                b"path,a\n1,2\n,2\n",
                None,
                "line 3 of the list list has an empty name in the column `path`",
            ),
            (
                b"path,a\n1,2\n,2\n",
                Some("a,path,c"),
                "line 1 of the list list has no column `c`, only `path`, `a`",
            ),
            (
                b"path,a\n1,2\n1,\n",
                Some("a,path"),
                "line 3 of the list list has an empty name in the column `a`",
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
                "line 2 of the list list begins a row with an unclosed quote",
            ),
        ] {
            let error = read(list, &key(asked)).unwrap_err();
            assert_eq!(error.to_string(), said, "{list:?}");
        }
    }

    #[test]
    fn the_length_of_a_row_is_bounded() {
        let list = io::repeat(b'x');
        let add = &mut |_| Ok::<(), InputError>(());
        let seen = &mut SeenColumns::default();
        let error = rows("list", list, &Key::Usual, seen, add).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1 of the list list begins a row of more than 16 MiB"
        );
        let list = io::Cursor::new("path\n\"x\n").chain(io::repeat(b'\n'));
        let seen = &mut SeenColumns::default();
        let error = rows("list", list, &Key::Usual, seen, add).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2 of the list list begins a row of more than 16 MiB"
        );
    }

    /// Generates cells with characters that parsers treat specially.
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
            let (items, _) = read(&writer.into_inner().unwrap(), &Key::Usual).unwrap();
            prop_assert_eq!(items.len(), table.len());
            for (item, (name, a, b)) in items.iter().zip(&table) {
                prop_assert_eq!(item.name.as_bytes(), name);
                let columns = crate::job::Columns::read(item.columns.as_ref().unwrap()).unwrap();
                prop_assert_eq!(columns.text("a").unwrap(), a.as_str());
                prop_assert_eq!(columns.text("b\n").unwrap(), b.as_str());
            }
        }

        #[test]
        fn rows_are_those_of_the_csv_crate(list in "[\",\r\na]{0,24}") {
            let mut theirs = csv::ReaderBuilder::new();
            let theirs = theirs.has_headers(false).flexible(true).from_reader(list.as_bytes());
            let theirs: Vec<ByteRecord> = theirs.into_byte_records().map(Result::unwrap).collect();
            let mut rows = Rows::new("list", list.as_bytes());
            let mut ours = Vec::new();
            let end = loop {
                match rows.read() {
                    Ok(Some(_)) => ours.push(rows.record.clone()),
                    end => break end,
                }
            };
            if end.is_ok() {
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
