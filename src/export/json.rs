//! JSON: one object, or one line per job. Results that are JSON are written byte for byte, except for line breaks in
//! lines, and half surrogate pairs that are replaced on request.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::cells::{TableCell, TableRow};
use super::column::Column;
use super::content::{FailureEntry, ResultContent};
use super::form::Form;
use super::heading::{Heading, Source};
use super::timestamp::timestamp;
use crate::job::{json_string, json_string_of_unicode};
use crate::store::Record;

/// Writes a job as a member of an object: its name, and its result or else its state and failure.
pub(super) fn member(
    record: &Record,
    content: Option<&ResultContent<'_>>,
    form: &Form<'_>,
    to: &mut impl Write,
) -> io::Result<()> {
    let name = match form.replace_surrogates {
        true => json_string_of_unicode(record.path.as_bytes()),
        false => json_string(record.path.as_bytes()),
    };
    to.write_all(name.as_bytes())?;
    to.write_all(b": ")?;
    match content {
        Some(content) => value(content, to),
        None => {
            to.write_all(b"{\"error\": ")?;
            json(&FailureEntry::new(record), to)?;
            to.write_all(b"}")
        }
    }
}

fn value(content: &ResultContent<'_>, to: &mut impl Write) -> io::Result<()> {
    match content {
        ResultContent::Json(text) => to.write_all(text.as_bytes()),
        ResultContent::Text(text) => json(*text, to),
        ResultContent::Bytes(encoded) => json(encoded, to),
        ResultContent::Extracted(text) => to.write_all(text.as_bytes()),
        ResultContent::File(file) => json(file, to),
    }
}

fn json(value: &(impl Serialize + ?Sized), to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(to, value).map_err(io::Error::from)
}

/// The default columns of a line. [`Column::PathBytes`] is left out if the name is UTF-8.
pub(super) const DEFAULT: &[Column] = &[
    Column::File,
    Column::PathBytes,
    Column::State,
    Column::Attempts,
    Column::Status,
    Column::Class,
    Column::Error,
    Column::Started,
    Column::Duration,
    Column::Result,
];

/// Writes a job as a line. Without `columns` of its own, the form leaves out the bytes of a name that is UTF-8.
pub(super) fn line(
    row: &TableRow<'_>,
    form: &Form<'_>,
    headings: &[Heading],
    to: &mut impl Write,
) -> io::Result<()> {
    let is_left_out = |heading: &Heading| {
        form.columns.is_none()
            && heading.source == Source::Own(Column::PathBytes)
            && row.record.path.as_str().is_some()
    };
    let mut separator = b"{";
    for heading in headings.iter().filter(|heading| !is_left_out(heading)) {
        to.write_all(separator)?;
        separator = b",";
        json(heading.name.as_str(), to)?;
        to.write_all(b":")?;
        let source = &heading.source;
        if let Some(value) = row.json(source) {
            to.write_all(on_one_line(value).as_bytes())?;
            continue;
        }
        match row.result(source) {
            Some(ResultContent::Json(text)) => to.write_all(on_one_line(text).as_bytes())?,
            Some(content) => value(content, to)?,
            None => cell(
                row.cell(source),
                *source == Source::Own(Column::Started),
                to,
            )?,
        }
    }
    to.write_all(b"}\n")
}

fn cell(cell: TableCell<'_>, is_time: bool, to: &mut impl Write) -> io::Result<()> {
    match cell {
        TableCell::Null => to.write_all(b"null"),
        TableCell::Boolean(value) => json(&value, to),
        TableCell::Integer(time) if is_time => json(&timestamp(time), to),
        TableCell::Integer(number) => json(&number, to),
        TableCell::Real(number) => json(&number, to),
        TableCell::Text(text) => json(&*text, to),
        TableCell::Bytes(bytes) => json(&STANDARD.encode(bytes), to),
    }
}

/// Replaces line breaks in JSON text by spaces. Strings contain none (RFC 8259, section 7), so the value is the same.
fn on_one_line(text: &str) -> Cow<'_, str> {
    match text.contains(['\n', '\r']) {
        true => text.replace(['\n', '\r'], " ").into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Expect;
    use crate::store::Stored;

    #[test]
    fn results_are_written_by_their_type() {
        let verbatim = r#"{"a":1,"a":2,"n":1e400,"s":"\ud800"}"#;
        let spaced = format!(" {verbatim}\n");
        for (media_type, body, expected) in [
            (Some("application/json"), spaced.as_bytes(), verbatim),
            (Some("text/plain"), b"{}", "\"{}\""),
            (None, b"", "\"\""),
            (
                Some("text/plain"),
                b"\xff",
                r#"{"base64":"/w==","media_type":"text/plain"}"#,
            ),
            (
                Some("audio/mpeg"),
                b"ID3",
                r#"{"base64":"SUQz","media_type":"audio/mpeg"}"#,
            ),
        ] {
            let stored = Stored {
                media_type: media_type.map(str::to_owned),
                headers: None,
                body: body.into(),
                file: None,
            };
            let mut out = Vec::new();
            value(&stored.content(Expect::AsStated), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn a_line_has_no_line_break_and_the_same_value() {
        let text = "{\r\n \"a\": \"\\n\"\n}";
        assert_eq!(on_one_line(text), "{   \"a\": \"\\n\" }");
        let text = "{\"a\": \"\\n\"}";
        assert!(matches!(on_one_line(text), Cow::Borrowed(_)));
    }
}
