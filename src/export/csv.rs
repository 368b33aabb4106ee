//! CSV that a spreadsheet can open without acting on it.

use std::borrow::Cow;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Content, ExportError, timestamp, write_failed};
use crate::store::Record;

const COLUMNS: [&str; 10] = [
    "file",
    "state",
    "attempts",
    "status",
    "class",
    "error",
    "started",
    "duration",
    "result",
    "path_bytes",
];

/// Lines end as RFC 4180 has it.
pub(super) fn writer<W: Write>(to: W) -> csv::Writer<W> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(to)
}

fn failed(error: csv::Error) -> ExportError {
    write_failed(error.into())
}

/// Writes what stands above a table.
pub(super) fn head(to: &mut csv::Writer<impl Write>) -> Result<(), ExportError> {
    to.write_record(COLUMNS).map_err(failed)?;
    to.flush().map_err(write_failed)
}

/// Writes a job as a line of a table.
pub(super) fn row(
    record: &Record,
    content: Option<&Content<'_>>,
    raw: bool,
    to: &mut csv::Writer<impl Write>,
) -> Result<(), ExportError> {
    let cells = cells(record, content, raw);
    let cells = cells.iter().map(|cell| cell.as_bytes());
    to.write_record(cells).map_err(failed)
}

fn cells<'r>(
    record: &'r Record,
    content: Option<&'r Content<'_>>,
    raw: bool,
) -> [Cow<'r, str>; COLUMNS.len()] {
    let cell_of = |text: Cow<'r, str>| match raw || !is_formula(&text) {
        true => text,
        false => format!("'{text}").into(),
    };
    let number = |number: String| Cow::from(number);
    [
        cell_of(record.path.to_string_lossy()),
        record.state.as_str().into(),
        record.attempts.to_string().into(),
        record
            .status
            .map_or_else(Cow::default, |status| number(status.to_string())),
        record
            .class
            .map_or_else(Cow::default, |class| class.as_str().into()),
        record
            .message
            .as_deref()
            .map_or_else(Cow::default, |message| cell_of(message.into())),
        record
            .started
            .map_or_else(Cow::default, |started| number(timestamp(started))),
        record.took.map_or_else(Cow::default, |took| {
            number(format!("{}.{:03}", took / 1000, took % 1000))
        }),
        content.map_or_else(Cow::default, |content| cell_of(cell(content))),
        record.path.odd_bytes().map_or_else(Cow::default, Cow::from),
    ]
}

/// A result as one cell: text as it is, other bytes as a `data:` URL (RFC 2397). A string that was extracted is its
/// characters; one that has a half of a surrogate pair in it, which no text can have, stays JSON.
fn cell<'c>(content: &'c Content<'_>) -> Cow<'c, str> {
    match content {
        Content::Json(text) => text.get().into(),
        Content::Text(text) => (*text).into(),
        Content::Bytes(encoded) => {
            let media_type = encoded.media_type.unwrap_or("application/octet-stream");
            format!(
                "data:{media_type};base64,{}",
                STANDARD.encode(encoded.bytes)
            )
            .into()
        }
        Content::File(file) => (*file.file).into(),
        Content::Extracted(json) => match serde_json::from_str::<String>(json) {
            Ok(text) => text.into(),
            Err(_) => json.into(),
        },
    }
}

/// Whether a spreadsheet would take text for a formula: an apostrophe goes before the characters that begin one
/// (OWASP, "CSV Injection"). A number is no formula.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
        && !text.parse().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_94_no_cell_is_a_formula() {
        for text in ["=1+1", "@sum", "-x", "\ttab", "+inf()"] {
            assert!(is_formula(text), "{text}");
        }
        for text in ["-1.5", "plain", ""] {
            assert!(!is_formula(text), "{text}");
        }
    }
}
