//! CSV that is safe to open in a spreadsheet.

use std::borrow::Cow;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cells::{TableCell, TableRow};
use super::column::Column;
use super::content::ResultContent;
use super::error::{ExportError, write_failed};
use super::form::Form;
use super::heading::{Heading, Source};
use super::timestamp::timestamp;
use crate::job::text_of;

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
pub(super) fn head(
    form: &Form<'_>,
    headings: &[Heading],
    to: &mut impl Write,
) -> Result<(), ExportError> {
    if form.bom {
        to.write_all("\u{feff}".as_bytes()).map_err(write_failed)?;
    }
    let mut to = writer(to);
    // A field of an answer can have any name.
    let names = headings.iter().map(|heading| match form.raw_csv {
        true => Cow::from(heading.name.as_str()),
        false => inert(heading.name.as_str().into()),
    });
    to.write_record(names.map(|name| name.as_bytes().to_owned()))
        .map_err(failed)?;
    to.flush().map_err(write_failed)
}

/// Writes a job's row.
pub(super) fn row(
    row: &TableRow<'_>,
    form: &Form<'_>,
    headings: &[Heading],
    to: &mut csv::Writer<impl Write>,
) -> Result<(), ExportError> {
    for heading in headings {
        let text = text(&heading.source, row);
        let text = match form.raw_csv {
            true => text,
            false => inert(text),
        };
        to.write_field(text.as_bytes()).map_err(failed)?;
    }
    to.write_record(None::<&[u8]>).map_err(failed)
}

/// Returns the text of a cell. Bytes in the result column become a `data:` URL (RFC 2397).
fn text<'r>(source: &Source, row: &TableRow<'r>) -> Cow<'r, str> {
    match row.result(source) {
        Some(ResultContent::File(file)) => return (*file.file).into(),
        Some(ResultContent::Bytes(encoded)) => {
            let media_type = encoded.media_type.unwrap_or("application/octet-stream");
            let base64 = STANDARD.encode(encoded.bytes);
            return format!("data:{media_type};base64,{base64}").into();
        }
        _ => {}
    }
    // A number keeps its digits.
    if let Some(json) = row.json(source) {
        return match json {
            "null" => Cow::default(),
            json => text_of(json),
        };
    }
    match row.cell(source) {
        TableCell::Null => Cow::default(),
        TableCell::Boolean(value) => value.to_string().into(),
        TableCell::Integer(started) if *source == Source::Own(Column::Started) => {
            timestamp(started).into()
        }
        TableCell::Integer(number) => number.to_string().into(),
        TableCell::Real(number) => format!("{number:.3}").into(),
        TableCell::Text(text) => text,
        TableCell::Bytes(bytes) => STANDARD.encode(bytes).into(),
    }
}

/// Puts an apostrophe in front of a text that a spreadsheet would evaluate.
fn inert(text: Cow<'_, str>) -> Cow<'_, str> {
    match is_formula(&text) {
        true => format!("'{text}").into(),
        false => text,
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
