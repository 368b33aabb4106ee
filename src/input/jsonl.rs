//! Lists that are JSON objects, one per line.

use std::io::Read;

use super::error::{InputError, RowFault};
use super::table::{Lines, key, name};
use super::types::{DEEPEST, Item};
use crate::job::{Members, nesting};

/// Passes the rows of a JSONL list to `add`. Returns the number of blank lines.
pub(super) fn rows<E: From<InputError>>(
    list: &str,
    from: impl Read,
    asked: Option<&str>,
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<u64, E> {
    let mut lines = Lines::new(list, from, b'\n');
    let mut asked = asked.map(str::to_owned);
    let (mut line, mut blank) = (Vec::new(), 0);
    while lines.read_text(&mut line)? {
        let text = std::str::from_utf8(&line);
        let text = text.map_err(|_| lines.fault(RowFault::NotText { column: None }))?;
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            blank += 1;
        } else {
            add(item(text, &mut asked).map_err(|fault| lines.fault(fault))?)?;
        }
    }
    Ok(blank)
}

/// Parses a line. The first one determines the column with the names.
fn item(text: &str, asked: &mut Option<String>) -> Result<Item, RowFault> {
    if !text.starts_with('{') {
        return Err(RowFault::NotObject);
    }
    let Members(members) =
        serde_json::from_str(text).map_err(|error| RowFault::NotJson { at: error.column() })?;
    if nesting(text.as_bytes(), DEEPEST).is_err() {
        return Err(RowFault::TooDeep);
    }
    let names = members.iter().map(|(name, _)| name.as_str());
    let (column, value) = &members[key(asked.as_deref(), names)?];
    let value: String = serde_json::from_str(value.get()).map_err(|_| RowFault::NotString {
        column: column.clone(),
    })?;
    let name = name(column, value.as_bytes())?;
    asked.get_or_insert_with(|| column.clone());
    Ok(Item {
        name,
        // Unchanged, so that no number loses digits.
        columns: Some(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &[u8], asked: Option<&str>) -> Result<(Vec<Item>, u64), InputError> {
        let mut items = Vec::new();
        let add = &mut |item| -> Result<(), InputError> {
            items.push(item);
            Ok(())
        };
        let blank = rows("list", list, asked, add)?;
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
            .map(|(name, row)| Item {
                name: name.into(),
                columns: Some(row.to_owned()),
            })
            .collect();
        assert_eq!((items, blank), (expected, 2));
        let one = |list: &str, asked| read(list.as_bytes(), asked).unwrap().0[0].name.clone();
        assert_eq!(one(r#"{"file":"a","path":"b"}"#, None), "b".into());
        assert_eq!(one(r#"{"x":"a","file":"b"}"#, None), "b".into());
        assert_eq!(one(r#"{"path":"a","i d":"b"}"#, Some("i d")), "b".into());
        assert_eq!(read(b"", None).unwrap(), (Vec::new(), 0));
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
                br#"{"path":1}"#,
                None,
                "has a value that is not text in the column `path`",
            ),
            (
                br#"{"path":null}"#,
                None,
                "has a value that is not text in the column `path`",
            ),
            (
                br#"{"path":"\ud800"}"#,
                None,
                "has a value that is not text in the column `path`",
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
