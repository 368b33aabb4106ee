//! CSV that a spreadsheet can open without acting on it.

use std::borrow::Cow;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cells::{Cell, cell};
use super::column::Column;
use super::content::{Content, extracted_text};
use super::error::{ExportError, write_failed};
use super::form::Form;
use super::timestamp::timestamp;
use crate::store::Record;

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
pub(super) fn head(
    columns: &[Column],
    to: &mut csv::Writer<impl Write>,
) -> Result<(), ExportError> {
    let names = columns.iter().map(|column| column.as_str());
    to.write_record(names).map_err(failed)?;
    to.flush().map_err(write_failed)
}

/// Writes a job as a line of a table.
pub(super) fn row(
    record: &Record,
    content: Option<&Content<'_>>,
    form: &Form<'_>,
    to: &mut csv::Writer<impl Write>,
) -> Result<(), ExportError> {
    for column in form.columns.unwrap_or(&Column::PLAIN) {
        let text = text(*column, record, content, form.raw_csv);
        to.write_field(text.as_bytes()).map_err(failed)?;
    }
    to.write_record(None::<&[u8]>).map_err(failed)
}

/// What stands in a column.
fn text<'r>(
    column: Column,
    record: &'r Record,
    content: Option<&'r Content<'_>>,
    raw: bool,
) -> Cow<'r, str> {
    let cell_of = |text: Cow<'r, str>| match raw || !is_formula(&text) {
        true => text,
        false => format!("'{text}").into(),
    };
    let number = |number: String| Cow::from(number);
    match column {
        Column::File => cell_of(record.path.to_string_lossy()),
        Column::State => record.state.as_str().into(),
        Column::Attempts => record.attempts.to_string().into(),
        Column::Status => record
            .status
            .map_or_else(Cow::default, |status| number(status.to_string())),
        Column::Class => record
            .class
            .map_or_else(Cow::default, |class| class.as_str().into()),
        Column::Error => record
            .message
            .as_deref()
            .map_or_else(Cow::default, |message| cell_of(message.into())),
        Column::Started => record
            .started
            .map_or_else(Cow::default, |started| number(timestamp(started))),
        Column::Duration => record.took.map_or_else(Cow::default, |took| {
            number(format!("{}.{:03}", took / 1000, took % 1000))
        }),
        Column::Result => content.map_or_else(Cow::default, |content| cell_of(result(content))),
        Column::PathBytes => record.path.odd_bytes().map_or_else(Cow::default, Cow::from),
        Column::Kind | Column::MediaType | Column::ResultType | Column::ResultBytes => {
            match cell(column, record, content) {
                Cell::Text(text) => cell_of(text),
                Cell::Bytes(bytes) => STANDARD.encode(bytes).into(),
                _ => Cow::default(),
            }
        }
    }
}

/// A result as one cell: text as it is, other bytes as a `data:` URL (RFC 2397). A string that was extracted is its
/// characters.
fn result<'c>(content: &'c Content<'_>) -> Cow<'c, str> {
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
        Content::Extracted(json) => extracted_text(json).map_or(Cow::from(json), Cow::from),
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
