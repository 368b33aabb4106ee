//! Lists that are JSON objects, one per line.

use std::borrow::Cow;
use std::io::Read;

use super::error::{InputError, RowFault};
use super::table::Lines;
use super::types::{DEEPEST, Item, Key, SeenColumns};
use crate::job::{Members, nesting};

/// Passes the rows of a JSONL list to `add`. Returns the number of blank lines.
pub(super) fn rows<E: From<InputError>>(
    list: &str,
    from: impl Read,
    key: &Key,
    seen: &mut SeenColumns,
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<u64, E> {
    let mut lines = Lines::new(list, from, b'\n');
    let mut key = key.clone();
    let (mut line, mut blank) = (Vec::new(), 0);
    while lines.read_text(&mut line)? {
        let text = std::str::from_utf8(&line);
        let text = text.map_err(|_| lines.fault(RowFault::NotText { column: None }))?;
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            blank += 1;
        } else {
            let item = item(text, lines.number, &mut key, seen);
            add(item.map_err(|fault| lines.fault(fault))?)?;
        }
    }
    Ok(blank)
}

/// Parses a line. The first one determines the usual column of the names.
fn item(text: &str, line: u64, key: &mut Key, seen: &mut SeenColumns) -> Result<Item, RowFault> {
    if !text.starts_with('{') {
        return Err(RowFault::NotObject);
    }
    let Members(members) =
        serde_json::from_str(text).map_err(|error| RowFault::NotJson { at: error.column() })?;
    if nesting(text.as_bytes(), DEEPEST).is_err() {
        return Err(RowFault::TooDeep);
    }
    let columns = members.iter().map(|(name, _)| name.as_str());
    let naming = key.find(columns.clone())?;
    let column = |index: usize| members[index].0.clone();
    let cell = |index: usize| {
        let (column, value) = &members[index];
        scalar(value.get()).ok_or_else(|| RowFault::NotScalar {
            column: column.clone(),
        })
    };
    let item = naming.item(line, &column, &cell)?;
    seen.record(columns, 1);
    if let (Key::Usual, [index]) = (&*key, naming.key()) {
        *key = Key::Columns(column(*index));
    }
    Ok(Item {
        // Unchanged, so that no number loses digits.
        columns: Some(text.to_owned()),
        ..item
    })
}

/// Returns the characters of a string, or a number, true or false as written.
fn scalar(json: &str) -> Option<Cow<'_, [u8]>> {
    match json.as_bytes().first()? {
        b'"' => {
            let text: String = serde_json::from_str(json).ok()?;
            Some(text.into_bytes().into())
        }
        b'n' | b'[' | b'{' => None,
        _ => Some(json.as_bytes().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::FileName;

    fn read(list: &[u8], asked: Option<&str>) -> Result<(Vec<Item>, u64), InputError> {
        let key = asked.map_or(Key::Usual, |names| Key::Columns(names.to_owned()));
        read_by(list, &key, &mut SeenColumns::default())
    }

    fn read_by(
        list: &[u8],
        key: &Key,
        seen: &mut SeenColumns,
    ) -> Result<(Vec<Item>, u64), InputError> {
        let mut items = Vec::new();
        let add = &mut |item| -> Result<(), InputError> {
            items.push(item);
            Ok(())
        };
        let blank = rows("list", list, key, seen, add)?;
        Ok((items, blank))
    }

    #[test]
    fn a_line_is_a_job_with_its_values_unchanged() {
        let rows = [
            r#"{"path": "a.txt", "n": 12345678901234567890.00, "s": "\u00e9\/"}"#,
            r#"{"o":{"path":"no"},"path":"two\nlin\u00e9s 👍 \" "}"#,
        ];
        let list = format!("\u{feff}{}\r\n\r\n \t\n  {}  ", rows[0], rows[1]);
        let (items, blank) = read(list.as_bytes(), None).unwrap();
        let names = ["a.txt", "two\nlinés 👍 \" "];
        let expected: Vec<Item> = std::iter::zip(names, rows)
            .zip([1, 4])
            .map(|((name, row), line)| Item {
                columns: Some(row.to_owned()),
                line,
                ..FileName::from(name).into()
            })
            .collect();
        assert_eq!((items, blank), (expected, 2));
        let one = |list: &str, asked| read(list.as_bytes(), asked).unwrap().0[0].name.clone();
        assert_eq!(one(r#"{"file":"a","path":"b"}"#, None), "b".into());
        assert_eq!(one(r#"{"x":"a","file":"b"}"#, None), "b".into());
        assert_eq!(one(r#"{"path":"a","i d":"b"}"#, Some("i d")), "b".into());
        assert_eq!(one(r#"{"id":1.50e3}"#, Some("id")), "1.50e3".into());
        assert_eq!(one(r#"{"b":"x","a":true}"#, Some("b,a")), "x,true".into());
        assert_eq!(read(b"", None).unwrap(), (Vec::new(), 0));
    }

    #[test]
    fn a_line_may_be_the_name_and_wanted_columns_are_counted() {
        let list = br#"{"a":1}

{"path":"x","b":{}}
{"path":[],"a":""}"#;
        let mut seen = SeenColumns::wanting(&["a".to_owned(), "none".to_owned()]);
        let (items, _) = read_by(list, &Key::Line, &mut seen).unwrap();
        let names: Vec<_> = items.iter().map(|item| item.name.to_string()).collect();
        assert_eq!(names, ["1", "3", "4"]);
        let files: Vec<_> = items.into_iter().map(|item| item.file).collect();
        assert_eq!(files, [None, Some("x".into()), None]);
        assert_eq!(
            (seen.rows, seen.names),
            (3, ["a", "path", "b"].map(str::to_owned).to_vec())
        );
        let wanted = [("a".to_owned(), 2), ("none".to_owned(), 0)];
        assert_eq!(seen.wanted, wanted);
    }

    #[test]
    fn a_faulty_line_is_named() {
        let deep = format!(
            r#"{{"path":"a","d":{}{}}}"#,
            "[".repeat(1000),
            "]".repeat(1000)
        );
        let more: Vec<String> = (0..30).map(|i| format!(r#""c{i}":0"#)).collect();
        let more = format!("{{{}}}", more.join(","));
        for (list, asked, said) in [
            (
                &br#"{"a":1,"\u001b":2}"#[..],
                None,
                r"has no column `path` or `file`, only `a`, `\u{1b}`",
            ),
            (b"{}", Some("id"), "has no column `id`, and no other"),
            (more.as_bytes(), None, "`c19` and 10 more"),
            (
                br#"{"path":"a","path":"b"}"#,
                None,
                "has the column `path` twice",
            ),
            (
                br#"{"path":"a","b":1,"\u0062":2}"#,
                None,
                "has the column `b` twice",
            ),
            (
                br#"{"path":["a"]}"#,
                None,
                "has a value that is neither text nor a number in the column `path`",
            ),
            (
                br#"{"path":null}"#,
                None,
                "has a value that is neither text nor a number in the column `path`",
            ),
            (
                br#"{"path":"\ud800"}"#,
                None,
                "has a value that is neither text nor a number in the column `path`",
            ),
            (
                br#"{"path":""}"#,
                None,
                "has an empty name in the column `path`",
            ),
            (
                br#"{"path":"a\u0000"}"#,
                None,
                "has a NUL byte in the column `path`",
            ),
            (br#"["a"]"#, None, "is not a JSON object"),
            (b"a.txt", None, "is not a JSON object"),
            (
                br#"{"path":"a",}"#,
                None,
                "is not JSON: syntax error at byte 13",
            ),
            (
                br#"{"path":"a"}{}"#,
                None,
                "is not JSON: syntax error at byte 13",
            ),
            (
                br#"{"path":"a"#,
                None,
                "is not JSON: syntax error at byte 10",
            ),
            (b"{\"path\":\"a\xff\"}", None, "is not UTF-8"),
            (b"{\"path\":\"a\0\"}", None, "is not JSON"),
            (
                deep.as_bytes(),
                None,
                "is nested more than 1000 levels deep",
            ),
        ] {
            let good = asked.unwrap_or("path");
            let list = [format!("{{\"{good}\":\"x\"}}\n\n").as_bytes(), list].concat();
            let error = read(&list, asked).unwrap_err().to_string();
            // The first line determined the column.
            let said = said.replace("`path` or `file`", "`path`");
            assert!(error.starts_with("line 3 of the list list "), "{error}");
            assert!(error.contains(&said), "{error:?} does not say {said:?}");
        }
        let error = read(b"{}\n", None).unwrap_err().to_string();
        assert_eq!(
            error,
            "line 1 of the list list has no column `path` or `file`, and no other"
        );
    }
}
