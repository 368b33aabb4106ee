//! The rows of `--pool`: accounts that share the calls of a run, each with a key, an address or other values.

use std::collections::HashSet;
use std::fmt;

use super::http::Reference;
use crate::job::{LaneIdentity, escaped};
use crate::settings::has_key;

/// The column of a row's name, the only value that may be shown and stored.
const NAME: &str = "name";
/// The column of a text without a header row.
const KEY: &str = "key";
/// Single words that are names of columns rather than keys.
const HEADERS: [&str; 4] = [NAME, KEY, "url", "token"];
/// The most rows.
const MOST: usize = 1000;

/// The rows of a pool, none of whose values but the names are ever shown.
#[derive(Clone, Default)]
pub struct Lanes {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The reason why a pool cannot be used. It holds no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LanesError {
    /// It is not UTF-8 text or not a table.
    #[error("it is not a CSV table: {0}")]
    Table(String),
    /// The first line has several values, and is no header row.
    #[error("its first line does not name its columns")]
    Header,
    /// It has no row.
    #[error("it has no row")]
    Empty,
    /// It has too many rows.
    #[error("it has more than {MOST} rows")]
    Many,
    /// A row has more or fewer values than there are columns.
    #[error("row {row} has {values} values, and there are {columns} columns")]
    Ragged {
        /// The number of the row, from 1.
        row: usize,
        /// The number of its values.
        values: usize,
        /// The number of columns.
        columns: usize,
    },
    /// Two rows have the same name.
    #[error("two rows have the name {}", escaped(.0.as_bytes()))]
    SameName(String),
    /// Two rows are the same.
    #[error("rows {0} and {1} are the same")]
    SameRow(usize, usize),
    /// A row has no name, and others do.
    #[error("row {0} has no name")]
    NoName(usize),
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {:?}", self.rows.len(), self.columns)
    }
}

impl Lanes {
    /// Parses a CSV table with a header row, or one key a line. `is_used` says which columns the request uses: a single
    /// word in the first line is a header only if it names one.
    ///
    /// # Errors
    ///
    /// The text is no such table, or has no row or the same row twice.
    pub fn parse(text: &[u8], is_used: impl Fn(&str) -> bool) -> Result<Self, LanesError> {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text);
        let mut rows: Vec<Vec<String>> = Vec::new();
        for record in reader.records() {
            // The message of the error may quote the text.
            let record = record.map_err(|error| {
                let line = error.position().map_or(0, csv::Position::line);
                LanesError::Table(format!("line {line} cannot be read"))
            })?;
            let row: Vec<String> = record.iter().map(str::to_owned).collect();
            if row.iter().any(|value| !value.is_empty()) {
                rows.push(row);
            }
        }
        let first = rows.first().ok_or(LanesError::Empty)?;
        let columns = match first.as_slice() {
            [word] if !HEADERS.contains(&word.as_str()) && !is_used(word) => vec![KEY.to_owned()],
            _ => rows.remove(0),
        };
        let mut seen = HashSet::new();
        if !columns
            .iter()
            .all(|name| is_name(name) && seen.insert(name))
        {
            return Err(LanesError::Header);
        }
        let lanes = Self { columns, rows };
        lanes.check()?;
        Ok(lanes)
    }

    fn check(&self) -> Result<(), LanesError> {
        match self.rows.len() {
            0 => return Err(LanesError::Empty),
            1..=MOST => {}
            _ => return Err(LanesError::Many),
        }
        let mut names = HashSet::new();
        let columns = self.columns.len();
        for (index, row) in self.rows.iter().enumerate() {
            let (row_number, values) = (index + 1, row.len());
            if values != columns {
                let row = row_number;
                return Err(LanesError::Ragged {
                    row,
                    values,
                    columns,
                });
            }
            match self.name(index) {
                Some("") => return Err(LanesError::NoName(row_number)),
                Some(name) if !names.insert(name) => {
                    return Err(LanesError::SameName(name.to_owned()));
                }
                _ => {}
            }
            let mut before = (0..index).filter(|other| self.values(*other).eq(self.values(index)));
            if let Some(other) = before.next() {
                return Err(LanesError::SameRow(other + 1, row_number));
            }
        }
        Ok(())
    }

    /// Returns the number of rows; 0 without a pool.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there is no pool.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the name of a row, if there is a column for it.
    pub fn name(&self, row: usize) -> Option<&str> {
        self.value(row, NAME)
    }

    /// Returns the row's value in a column.
    pub fn value(&self, row: usize, column: &str) -> Option<&str> {
        let column = self.columns.iter().position(|known| known == column)?;
        self.rows.get(row)?.get(column).map(String::as_str)
    }

    /// Returns the values of a row, except its name, with their columns.
    fn values(&self, row: usize) -> impl Iterator<Item = (&str, &str)> {
        self.row(row).filter(|(column, _)| *column != NAME)
    }

    /// Returns the values that must not be shown, each with its column.
    pub(super) fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len()).flat_map(|row| self.values(row))
    }

    /// Returns a row: its values with their columns, the name among them.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (&str, &str)> {
        let values = self.rows.get(row).into_iter().flatten();
        let columns = self.columns.iter().map(String::as_str);
        columns.zip(values.map(String::as_str))
    }

    /// Returns a row as a JSON object; none without a pool.
    pub(super) fn json(&self, row: usize) -> Option<String> {
        json(self.row(row))
    }

    /// The same for people: of its values only the name.
    pub(super) fn masked_json(&self, row: usize) -> Option<String> {
        let fields = self.row(row);
        json(fields.map(|(column, value)| match column {
            NAME => (column, value),
            column => (column, "[redacted]"),
        }))
    }

    /// Returns the value of `{pool.NAME}` in a row.
    ///
    /// # Errors
    ///
    /// No pool is given, or the row lacks the value. The text is the reason.
    pub(super) fn look_up(&self, row: usize, column: &str) -> Result<Vec<u8>, String> {
        if self.is_empty() {
            return Err("no pool is given".to_owned());
        }
        match self.value(row, column) {
            Some("") => Err(format!("row {} of the pool has no value for it", row + 1)),
            Some(value) => Ok(value.as_bytes().to_vec()),
            None => Err(format!(
                "the pool has no such column; it has {}",
                self.columns.join(", ")
            )),
        }
    }

    /// Returns the columns, except that of names, that none of these references uses.
    pub(super) fn unused<'r>(
        &self,
        used: impl Iterator<Item = &'r Reference> + Clone,
    ) -> Vec<String> {
        let is_unused = |column: &&String| {
            let mut used = used.clone();
            *column != NAME
                && !used.any(|found| matches!(found, Reference::Pool(name) if name == *column))
        };
        self.columns.iter().filter(is_unused).cloned().collect()
    }

    /// Returns the rows as a run knows them again.
    pub fn identities(&self, run: &[u8; 16]) -> Vec<LaneIdentity> {
        let identity = |row| {
            let values = self.values(row);
            let values = values.flat_map(|(column, value)| [column.as_bytes(), value.as_bytes()]);
            LaneIdentity::derive(run, self.name(row), values)
        };
        (0..self.len()).map(identity).collect()
    }
}

fn json<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>) -> Option<String> {
    let fields: serde_json::Map<_, _> = fields
        .map(|(column, value)| (column.to_owned(), value.into()))
        .collect();
    (!fields.is_empty()).then(|| serde_json::Value::Object(fields).to_string())
}

/// Returns whether a word of the first line can name a column, and is no value.
fn is_name(word: &str) -> bool {
    let is_plain = |char: char| char.is_alphanumeric() || "_-. ".contains(char);
    let may_be_key = word.len() >= 12 && word.contains(|char: char| char.is_ascii_digit());
    let begins = word.starts_with(|char: char| char.is_alphabetic() || char == '_');
    begins && word.len() <= 40 && word.chars().all(is_plain) && !may_be_key && !has_key(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Lanes, LanesError> {
        Lanes::parse(text.as_bytes(), |column| column == "apikey")
    }

    #[test]
    fn a_table_has_a_header_row_and_a_list_of_keys_none() {
        let table = parse("\u{feff}name, key,url\nanna, k1 ,https://a\n\nbob,\"k,2\",https://b\n");
        let table = table.unwrap();
        assert_eq!(table.len(), 2);
        assert_eq!(
            (table.name(1), table.value(1, "key")),
            (Some("bob"), Some("k,2"))
        );
        assert_eq!(
            table.json(0).unwrap(),
            r#"{"name":"anna","key":"k1","url":"https://a"}"#
        );
        for (text, column, first) in [
            ("sk-1\nsk-2\n", "key", "sk-1"),
            ("key\nsk-1", "key", "sk-1"),
            ("apikey\nsk-1", "apikey", "sk-1"),
        ] {
            let lanes = parse(text).unwrap();
            assert_eq!(
                (lanes.columns()[0].as_str(), lanes.value(0, column)),
                (column, Some(first))
            );
            assert!(!format!("{lanes:?}").contains("sk-1"));
        }
    }

    #[test]
    fn a_pool_with_a_slip_is_refused_without_its_values() {
        for (text, error) in [
            ("", LanesError::Empty),
            ("name,key\n", LanesError::Empty),
            ("sk-anna-0a1b2c3d4e5f,org-1\nk2,org-2", LanesError::Header),
            ("key,key\na,b", LanesError::Header),
            (
                "a,b\n1,2,3",
                LanesError::Ragged {
                    row: 1,
                    values: 3,
                    columns: 2,
                },
            ),
            ("name,key\na,1\na,2", LanesError::SameName("a".to_owned())),
            ("name,key\na,1\nb,1", LanesError::SameRow(1, 2)),
            ("name,key\na,1\n,2", LanesError::NoName(2)),
            ("k1\nk2\nk1", LanesError::SameRow(1, 3)),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
        assert!(parse("key\n").is_err());
        let many: String = (0..=MOST).map(|row| format!("k{row}\n")).collect();
        assert_eq!(parse(&many).unwrap_err(), LanesError::Many);
        assert!(Lanes::parse(b"key\n\xff\xfe", |_| false).is_err());
    }

    #[test]
    fn a_row_is_known_by_its_name_or_else_by_its_values() {
        let run = [7; 16];
        let identities = |text: &str| parse(text).unwrap().identities(&run);
        let named = identities("name,key\nanna,1\nbob,2");
        let renewed = identities("name,key\nbob,3\nanna,4");
        assert_eq!((&named[0], &named[1]), (&renewed[1], &renewed[0]));
        let keys = identities("k1\nk2");
        assert_eq!(keys[1], identities("k2")[0]);
        assert_ne!(
            keys[0].hash,
            parse("k1").unwrap().identities(&[8; 16])[0].hash
        );
        assert_eq!(keys[0].name, None);
    }
}
