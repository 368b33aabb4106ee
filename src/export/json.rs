//! JSON: one object, or a line a job. Results that are JSON are written byte for byte.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::cells::{Cell, cell};
use super::column::Column;
use super::content::{Content, Encoded, Error, InFile};
use super::timestamp::timestamp;
use crate::job::{Class, FileName, JobState};
use crate::store::Record;

/// Writes a job as a name and its result in an object, behind another one.
pub(super) fn entry(
    record: &Record,
    content: Option<&Content<'_>>,
    to: &mut impl Write,
) -> io::Result<()> {
    to.write_all(b",\n")?;
    key(&record.path, to)?;
    to.write_all(b": ")?;
    match content {
        Some(content) => value(content, to),
        None => {
            to.write_all(b"{\"error\": ")?;
            json(&Error::of(record), to)?;
            to.write_all(b"}")
        }
    }
}

/// Writes a name as a string. A byte that is not UTF-8 becomes the lone surrogate U+DC00 + byte, which Python's
/// `os.fsencode` turns back into the byte (PEP 383), so that different names stay different.
fn key(path: &FileName, to: &mut impl Write) -> io::Result<()> {
    if let Some(text) = path.as_str() {
        return json(text, to);
    }
    to.write_all(b"\"")?;
    for chunk in path.as_bytes().utf8_chunks() {
        let quoted = serde_json::to_string(chunk.valid())?;
        to.write_all(&quoted.as_bytes()[1..quoted.len() - 1])?;
        for byte in chunk.invalid() {
            write!(to, "\\udc{byte:02x}")?;
        }
    }
    to.write_all(b"\"")
}

fn value(content: &Content<'_>, to: &mut impl Write) -> io::Result<()> {
    match content {
        Content::Json(text) => to.write_all(text.get().as_bytes()),
        Content::Text(text) => json(*text, to),
        Content::Bytes(encoded) => json(encoded, to),
        Content::Extracted(text) => to.write_all(text.as_bytes()),
        Content::File(file) => json(file, to),
    }
}

fn json(value: &(impl Serialize + ?Sized), to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(to, value).map_err(io::Error::from)
}

/// A job, as a line.
#[derive(Serialize)]
struct Line<'r> {
    file: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    state: JobState,
    attempts: u32,
    status: Option<u16>,
    class: Option<Class>,
    error: Option<&'r str>,
    started: Option<String>,
    duration: Option<f64>,
    result: Option<LineResult<'r>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LineResult<'r> {
    Json(Cow<'r, RawValue>),
    Text(&'r str),
    Bytes(&'r Encoded<'r>),
    File(&'r InFile<'r>),
}

/// A result within a line.
fn line_result<'r>(content: Option<&'r Content<'_>>) -> io::Result<Option<LineResult<'r>>> {
    Ok(match content {
        None => None,
        Some(Content::Json(text)) => Some(LineResult::Json(on_one_line(text)?)),
        Some(Content::Text(text)) => Some(LineResult::Text(text)),
        Some(Content::Bytes(encoded)) => Some(LineResult::Bytes(encoded)),
        Some(Content::File(file)) => Some(LineResult::File(file)),
        Some(Content::Extracted(text)) => {
            Some(LineResult::Json(Cow::Borrowed(serde_json::from_str(text)?)))
        }
    })
}

/// Writes a job as a line of these columns, all of which are in every line.
pub(super) fn columns(
    record: &Record,
    content: Option<&Content<'_>>,
    columns: &[Column],
    to: &mut impl Write,
) -> io::Result<()> {
    for (index, column) in columns.iter().enumerate() {
        to.write_all(if index == 0 { b"{" } else { b"," })?;
        json(column.as_str(), to)?;
        to.write_all(b":")?;
        match (column, cell(*column, record, content)) {
            (Column::Result, _) => json(&line_result(content)?, to)?,
            (Column::Started, Cell::Integer(started)) => json(&timestamp(started), to)?,
            (_, Cell::Null) => to.write_all(b"null")?,
            (_, Cell::Integer(number)) => json(&number, to)?,
            (_, Cell::Real(number)) => json(&number, to)?,
            (_, Cell::Text(text)) => json(&*text, to)?,
            (_, Cell::Bytes(bytes)) => json(&STANDARD.encode(bytes), to)?,
        }
    }
    to.write_all(b"}\n")
}

/// Writes a job as a line.
pub(super) fn line(
    record: &Record,
    content: Option<&Content<'_>>,
    to: &mut impl Write,
) -> io::Result<()> {
    let result = line_result(content)?;
    let line = Line {
        file: &record.path.to_string_lossy(),
        path_bytes: record.path.odd_bytes(),
        state: record.state,
        attempts: record.attempts,
        status: record.status,
        class: record.class,
        error: record.message.as_deref(),
        started: record.started.map(timestamp),
        duration: record.took.map(|took| took as f64 / 1000.0),
        result,
    };
    json(&line, to)?;
    to.write_all(b"\n")
}

/// JSON text without line breaks. Within strings there are none (RFC 8259, section 7), so each stands between
/// two tokens and a space does as well.
fn on_one_line(text: &RawValue) -> io::Result<Cow<'_, RawValue>> {
    let bytes = text.get().as_bytes();
    if !bytes.contains(&b'\n') && !bytes.contains(&b'\r') {
        return Ok(Cow::Borrowed(text));
    }
    let text = text.get().replace(['\n', '\r'], " ");
    Ok(Cow::Owned(RawValue::from_string(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Expect;
    use crate::store::Stored;

    fn shown(name: &[u8]) -> String {
        let mut out = Vec::new();
        key(&FileName::new(name), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_stay_different_whatever_their_bytes() {
        assert_eq!(shown(b"a\"b\n\\"), r#""a\"b\n\\""#);
        assert_eq!(shown("ü".as_bytes()), "\"ü\"");
        assert_eq!(shown(b"caf\xe9.txt"), r#""caf\udce9.txt""#);
        assert_eq!(shown(b"\xff\xfe"), r#""\udcff\udcfe""#);
    }

    #[test]
    fn results_are_shown_as_what_they_are() {
        let shown = |media_type: Option<&str>, body: &[u8]| {
            let stored = Stored {
                media_type: media_type.map(str::to_owned),
                headers: None,
                body: body.into(),
                file: None,
            };
            let mut out = Vec::new();
            value(&stored.content(Expect::AsStated), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let verbatim = r#"{"a":1,"a":2,"n":1e400,"s":"\ud800"}"#;
        assert_eq!(
            shown(
                Some("application/json"),
                format!(" {verbatim}\n").as_bytes()
            ),
            verbatim
        );
        assert_eq!(shown(Some("text/plain"), b"{}"), "\"{}\"");
        assert_eq!(shown(None, b""), "\"\"");
        assert_eq!(
            shown(Some("text/plain"), b"\xff"),
            r#"{"base64":"/w==","media_type":"text/plain"}"#
        );
        assert_eq!(
            shown(Some("audio/mpeg"), b"ID3"),
            r#"{"base64":"SUQz","media_type":"audio/mpeg"}"#
        );
    }

    #[test]
    fn a_line_has_no_line_break_and_the_same_value() {
        let text = RawValue::from_string("{\r\n \"a\": \"\\n\"\n}".to_owned()).unwrap();
        assert_eq!(on_one_line(&text).unwrap().get(), "{   \"a\": \"\\n\" }");
        let text = RawValue::from_string("{\"a\": \"\\n\"}".to_owned()).unwrap();
        assert!(matches!(on_one_line(&text), Ok(Cow::Borrowed(_))));
    }
}
