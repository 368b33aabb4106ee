//! CSV that is safe to open in a spreadsheet.

use std::borrow::Cow;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cells::{TableCell, cell};
use super::column::Column;
use super::content::ResultContent;
use super::error::{ExportError, write_failed};
use super::form::Form;
use super::timestamp::timestamp;
use crate::store::Record;

/// Returns a writer that ends lines with CRLF (RFC 4180).
pub(super) fn writer<W: Write>(to: W) -> csv::Writer<W> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(to)
}

fn failed(error: csv::Error) -> ExportError {
    write_failed(error.into())
}

/// Writes the header row.
pub(super) fn head(form: &Form<'_>, to: &mut impl Write) -> Result<(), ExportError> {
    let mut to = writer(to);
    let names = form.columns.unwrap_or(Column::PLAIN).iter();
    to.write_record(names.map(|column| column.as_str()))
        .map_err(failed)?;
    to.flush().map_err(write_failed)
}

/// Writes a job's row.
pub(super) fn row(
    record: &Record,
    content: Option<&ResultContent<'_>>,
    form: &Form<'_>,
    to: &mut csv::Writer<impl Write>,
) -> Result<(), ExportError> {
    for column in form.columns.unwrap_or(Column::PLAIN) {
        let text = text(*column, record, content, form.raw_csv);
        to.write_field(text.as_bytes()).map_err(failed)?;
    }
    to.write_record(None::<&[u8]>).map_err(failed)
}

/// Returns the text of a cell. Bytes in the result column become a `data:` URL (RFC 2397).
fn text<'r>(
    column: Column,
    record: &'r Record,
    content: Option<&'r ResultContent<'_>>,
    raw: bool,
) -> Cow<'r, str> {
    let cell = match (column, content) {
        (Column::Result, Some(ResultContent::File(file))) => TableCell::Text((*file.file).into()),
        (Column::Result, Some(ResultContent::Bytes(encoded))) => {
            let media_type = encoded.media_type.unwrap_or("application/octet-stream");
            let base64 = STANDARD.encode(encoded.bytes);
            TableCell::Text(format!("data:{media_type};base64,{base64}").into())
        }
        _ => cell(column, record, content),
    };
    match cell {
        TableCell::Null => Cow::default(),
        TableCell::Integer(started) if column == Column::Started => timestamp(started).into(),
        TableCell::Integer(number) => number.to_string().into(),
        TableCell::Real(number) => format!("{number:.3}").into(),
        TableCell::Text(text) if !raw && is_formula(&text) => format!("'{text}").into(),
        TableCell::Text(text) => text,
        TableCell::Bytes(bytes) => STANDARD.encode(bytes).into(),
    }
}

/// Returns whether a spreadsheet would evaluate a text, which an apostrophe in front prevents (OWASP, "CSV Injection").
/// A number is not a formula.
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
