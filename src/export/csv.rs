//! CSV that a spreadsheet can open without acting on it.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Content, ExportError, Form, Jobs, timestamp, write_failed};
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

/// Writes a table with a line a job.
pub(super) fn table(
    form: &Form<'_>,
    jobs: &mut Jobs<'_>,
    to: &mut impl Write,
) -> Result<u64, ExportError> {
    let mut to = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(to);
    let failed = |error: csv::Error| write_failed(error.into());
    to.write_record(COLUMNS).map_err(failed)?;
    let mut written = 0;
    jobs.each(&mut |record| {
        let content = Content::of(&record, form)?;
        to.write_record(row(&record, content.as_ref(), form.raw_csv))
            .map_err(failed)?;
        written += 1;
        Ok::<_, ExportError>(())
    })?;
    to.flush().map_err(|error: io::Error| write_failed(error))?;
    Ok(written)
}

fn row(record: &Record, content: Option<&Content<'_>>, raw: bool) -> [String; COLUMNS.len()] {
    let cell_of = |text: &str| match raw {
        true => text.to_owned(),
        false => safe(text).into_owned(),
    };
    [
        cell_of(&record.path.to_string_lossy()),
        record.state.as_str().to_owned(),
        record.attempts.to_string(),
        record
            .status
            .map_or_else(String::new, |status| status.to_string()),
        record
            .class
            .map_or_else(String::new, |class| class.as_str().to_owned()),
        record.message.as_deref().map_or_else(String::new, cell_of),
        record.started.map_or_else(String::new, timestamp),
        record.took.map_or_else(String::new, |took| {
            format!("{}.{:03}", took / 1000, took % 1000)
        }),
        content.map_or_else(String::new, |content| cell_of(&cell(content))),
        record.path.odd_bytes().unwrap_or_default(),
    ]
}

/// A result as one cell: text as it is, other bytes as a `data:` URL (RFC 2397). A string that was extracted is its
/// characters; one that has a half of a surrogate pair in it, which no text can have, stays JSON.
fn cell<'c>(content: &'c Content<'_>) -> Cow<'c, str> {
    match content {
        Content::Json(text) | Content::Text(text) => (*text).into(),
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

/// Keeps a spreadsheet from taking text for a formula: an apostrophe goes before the characters that begin one
/// (OWASP, "CSV Injection"). A number is no formula.
fn safe(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
        && !text.parse().is_ok_and(f64::is_finite)
    {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_94_no_cell_is_a_formula() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("@sum", "'@sum"),
            ("-x", "'-x"),
            ("\ttab", "'\ttab"),
            ("-1.5", "-1.5"),
            ("+inf()", "'+inf()"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(safe(text), expected);
        }
    }
}
