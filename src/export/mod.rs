//! Writing results: one snapshot, in list order, in constant memory; a file appears whole or not at all.

mod csv;
mod json;
mod lane;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::event::Counts;
use crate::job::{Class, FileName, JobState, is_json};
use crate::jq::{EvalError, Expression};
use crate::judge::Reply;
use crate::settings::Expect;
use crate::store::{Reader, Record, StoreError, Stored};
use crate::whole::{self, WholeError};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object from name to result.
    Json,
    /// One object a line and a job.
    Jsonl,
    /// The same columns, for spreadsheets.
    Csv,
}

/// What is written of each result, and how.
#[derive(Debug, Clone, Copy)]
pub struct Form<'e> {
    /// How.
    pub format: Format,
    /// What every result is, whatever it says of itself.
    pub expect: Expect,
    /// Whether answers have bodies at all. Where not, an expression sees null.
    pub has_body: bool,
    /// What is made of each result; otherwise it is written as it is.
    pub extract: Option<&'e Expression>,
    /// Whether cells of a table stay as they are, although a spreadsheet would take some of them for formulas.
    pub raw_csv: bool,
}

impl From<Format> for Form<'_> {
    /// Results as they are, by what they say they are.
    fn from(format: Format) -> Self {
        Self {
            format,
            expect: Expect::AsStated,
            has_body: true,
            extract: None,
            raw_csv: false,
        }
    }
}

/// Which jobs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All of them, or it is an error: every job has to be done.
    Whole,
    /// Those that are done.
    Partial,
    /// Those that are done, and what became of the others.
    All,
}

/// Why nothing was exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Not every job is done, and nobody said that this is all right.
    #[error("not everything is done: {} of {} files have a result", .counts.done, .counts.total)]
    Incomplete {
        /// Where the run stands.
        counts: Counts,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An expression has no value for a result.
    #[error("nothing can be extracted from the result of {path}")]
    Extract {
        /// The job's name.
        path: FileName,
        /// Why.
        source: EvalError,
    },
    /// The file that a result is in cannot be read.
    #[error("the result of {path} cannot be read")]
    Read {
        /// The job's name.
        path: FileName,
        /// Why.
        source: io::Error,
    },
    /// The export cannot be written.
    #[error("cannot write {target}")]
    Write {
        /// Where to.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The target is a file of the run itself, or not a file.
    #[error("{} cannot be the export: {reason}", FileName::from(.path.as_path()))]
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// How many jobs.
    pub jobs: u64,
    /// The jobs that were left out, for their stored results are not what was recorded.
    pub damaged: Vec<FileName>,
}

/// Writes results to a stream.
///
/// # Errors
///
/// Not everything is done, or a result is damaged, and `selection` is [`Selection::Whole`]; nothing can be extracted
/// from a result; reading or writing fails. What was written by then stays written.
pub fn to_stream<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    to: &mut dyn Write,
) -> Result<Written, ExportError> {
    let counts = reader.counts()?;
    if selection == Selection::Whole && counts.done != counts.total {
        return Err(ExportError::Incomplete { counts });
    }
    let failed = |source| ExportError::Write {
        target: "the export".to_owned(),
        source,
    };
    let mut to = BufWriter::with_capacity(1 << 16, to);
    let form = form.into();
    let written = lane::write(reader, &form, selection, &mut to)?;
    to.flush().map_err(failed)?;
    Ok(written)
}

/// Writes results to a file: to a temporary one in the same folder, which takes the file's place when it is
/// whole and synced. The new file is readable by its owner alone.
///
/// # Errors
///
/// As [`to_stream`]; then the old file, or its absence, is untouched.
pub fn to_file<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    path: &Path,
) -> Result<Written, ExportError> {
    let target = FileName::from(path).to_string();
    whole::write(reader.path(), path, |file| {
        to_stream(reader, form, selection, file).map_err(|error| match error {
            ExportError::Write { source, .. } => ExportError::Write { target, source },
            error => error,
        })
    })
}

impl From<WholeError> for ExportError {
    fn from(error: WholeError) -> Self {
        match error {
            WholeError::Write { target, source } => Self::Write { target, source },
            WholeError::Target { path, reason } => Self::Target { path, reason },
        }
    }
}

fn write_failed(source: io::Error) -> ExportError {
    ExportError::Write {
        target: "the export".to_owned(),
        source,
    }
}

/// How a result is shown.
enum Content<'r> {
    /// JSON text, to be written as it is.
    Json(&'r RawValue),
    /// Text.
    Text(&'r str),
    /// Anything else.
    Bytes(Encoded<'r>),
    /// What was extracted, as JSON text.
    Extracted(String),
    /// What lies in a file.
    File(InFile<'r>),
}

impl<'r> Content<'r> {
    /// What is written of a job's result, if it has one.
    fn of(record: &'r Record, form: &Form<'_>) -> Result<Option<Self>, ExportError> {
        let Some(result) = &record.result else {
            return Ok(None);
        };
        let Some(extract) = form.extract else {
            return Ok(Some(match &result.file {
                Some(file) => Self::File(InFile {
                    file: file.path.to_string_lossy(),
                    size: file.size,
                    media_type: result.media_type.as_deref(),
                    sha256: file.sha256.to_string(),
                }),
                None => result.content(form.expect),
            }));
        };
        let body = result.open(&record.path)?;
        let reply = Reply {
            status: record.status,
            media_type: result.media_type.as_deref(),
            headers: result.headers.as_deref(),
            body: &body,
            has_body: form.has_body,
        };
        let body = body.bytes().map_err(|source| ExportError::Read {
            path: record.path.clone(),
            source,
        })?;
        match extract.value(&reply.input(&body)) {
            Ok(value) => Ok(Some(Self::Extracted(value))),
            Err(source) => Err(ExportError::Extract {
                path: record.path.clone(),
                source,
            }),
        }
    }
}

impl Stored {
    fn content(&self, expect: Expect) -> Content<'_> {
        let media_type = self.media_type.as_deref();
        let bytes = self.body.in_memory().unwrap_or_default();
        let is_text = |media_type| expect == Expect::Text || is_text(media_type);
        // A program's own caller may call JSON what is not, and one such answer must not spoil the whole.
        if (media_type.is_some_and(is_json) || expect == Expect::Json)
            && let Ok(text) = serde_json::from_slice(bytes)
        {
            return Content::Json(text);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if media_type.is_none_or(is_text) => Content::Text(text),
            _ => Content::Bytes(Encoded { bytes, media_type }),
        }
    }
}

/// Whether a media type is text, or says nothing of what it is.
fn is_text(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence.ends_with("+xml")
        || media_type.contains("charset=")
        || matches!(
            essence,
            "" | "application/xml"
                | "application/javascript"
                | "application/yaml"
                | "application/x-ndjson"
                | "application/jsonl"
                | "application/x-www-form-urlencoded"
        )
}

/// Bytes that are not text, as JSON.
#[derive(Serialize)]
struct Encoded<'r> {
    #[serde(rename = "base64", serialize_with = "in_base64")]
    bytes: &'r [u8],
    media_type: Option<&'r str>,
}

fn in_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// A result that lies in a file, as JSON: where, and what is known of it.
#[derive(Serialize)]
struct InFile<'r> {
    file: Cow<'r, str>,
    size: u64,
    media_type: Option<&'r str>,
    sha256: String,
}

/// A failure, as JSON.
#[derive(Serialize)]
struct Error<'r> {
    state: JobState,
    class: Option<Class>,
    kind: Option<&'r str>,
    status: Option<u16>,
    message: Option<&'r str>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl<'r> Error<'r> {
    fn of(record: &'r Record) -> Self {
        Self {
            state: record.state,
            class: record.class,
            kind: record.kind.as_deref(),
            status: record.status,
            message: record.message.as_deref(),
            attempts: record.attempts,
            body: record
                .error_body
                .as_ref()
                .map(|body| String::from_utf8_lossy(body).into_owned()),
        }
    }
}

/// A moment as RFC 3339 has it, in UTC: `2026-01-31T23:59:59.125Z`. Takes milliseconds since 1970.
pub fn timestamp(milliseconds: i64) -> String {
    let since = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}
