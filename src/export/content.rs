//! Results and failures as exports write them, in any format.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::error::ExportError;
use super::form::Form;
use crate::job::{Class, JobState, Members, is_json, without_lone_surrogates};
use crate::settings::Expect;
use crate::store::{Record, Stored};

/// A result in the form in which an export writes it.
pub(super) enum ResultContent<'r> {
    /// JSON text.
    Json(Cow<'r, str>),
    Text(&'r str),
    /// Bytes that are neither JSON nor text.
    Bytes(Base64Bytes<'r>),
    /// An extracted value, as JSON text.
    Extracted(String),
    /// A reference to a file.
    File(FileReference<'r>),
}

impl<'r> ResultContent<'r> {
    /// Returns the content of a job's result, if it has one.
    pub(super) fn new(record: &'r Record, form: &Form<'_>) -> Result<Option<Self>, ExportError> {
        let content = Self::as_received(record, form)?;
        Ok(match content {
            Some(Self::Json(json)) if form.replace_surrogates => {
                Some(Self::Json(match without_lone_surrogates(&json) {
                    Cow::Owned(replaced) => replaced.into(),
                    Cow::Borrowed(_) => json,
                }))
            }
            Some(Self::Extracted(json)) if form.replace_surrogates => {
                Some(Self::Extracted(without_lone_surrogates(&json).into_owned()))
            }
            content => content,
        })
    }

    /// Returns the extracted value.
    pub(super) fn extracted(&self) -> Option<&str> {
        match self {
            Self::Extracted(json) => Some(json),
            _ => None,
        }
    }

    /// Returns the members of a JSON object.
    pub(super) fn members(&self) -> Option<Members<'_>> {
        match self {
            Self::Json(json) => Members::read(json),
            Self::Extracted(json) => Members::read(json),
            Self::Text(_) | Self::Bytes(_) | Self::File(_) => None,
        }
    }

    fn as_received(record: &'r Record, form: &Form<'_>) -> Result<Option<Self>, ExportError> {
        let Some(result) = &record.result else {
            return Ok(None);
        };
        let Some(extract) = form.extract else {
            return Ok(Some(match &result.file {
                Some(file) => Self::File(FileReference {
                    file: file.path.to_string_lossy(),
                    size: file.size,
                    media_type: result.media_type.as_deref(),
                    sha256: file.sha256.to_string(),
                }),
                None => result.content(form.expect),
            }));
        };
        let body = result.open(&record.path)?;
        let bytes = body.bytes().map_err(|source| ExportError::Read {
            path: record.path.clone(),
            source,
        })?;
        match extract.extract(record, result, &body, &bytes) {
            Ok(value) => Ok(Some(Self::Extracted(value))),
            Err(source) => Err(ExportError::Extract {
                path: record.path.clone(),
                source,
            }),
        }
    }
}

/// Returns the characters of an extracted JSON string. A string with half a surrogate pair stays JSON, because text
/// cannot represent it.
pub(super) fn extracted_text(json: &str) -> Option<String> {
    match json.starts_with('"') {
        true => serde_json::from_str(json).ok(),
        false => None,
    }
}

impl Stored {
    pub(super) fn content(&self, expect: Expect) -> ResultContent<'_> {
        let media_type = self.media_type.as_deref();
        let bytes = self.body.in_memory().unwrap_or_default();
        let is_text = |media_type| expect == Expect::Text || is_text(media_type);
        // A caller of another program may store invalid JSON as JSON. One such answer must not break the export.
        if (media_type.is_some_and(is_json) || expect == Expect::Json)
            && let Ok(text) = serde_json::from_slice(bytes)
        {
            return ResultContent::Json(RawValue::get(text).into());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if media_type.is_none_or(is_text) => ResultContent::Text(text),
            _ => ResultContent::Bytes(Base64Bytes { bytes, media_type }),
        }
    }
}

/// Returns whether a media type is text, names a character set or is empty.
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

/// Bytes as JSON.
#[derive(Serialize)]
pub(super) struct Base64Bytes<'r> {
    #[serde(rename = "base64", serialize_with = "in_base64")]
    pub(super) bytes: &'r [u8],
    pub(super) media_type: Option<&'r str>,
}

fn in_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// A reference to a result in a file, as JSON.
#[derive(Serialize)]
pub(super) struct FileReference<'r> {
    pub(super) file: Cow<'r, str>,
    size: u64,
    media_type: Option<&'r str>,
    sha256: String,
}

/// A job without a result as JSON: its state and failure.
#[derive(Serialize)]
pub(super) struct FailureEntry<'r> {
    state: JobState,
    class: Option<Class>,
    kind: Option<&'r str>,
    status: Option<u16>,
    message: Option<&'r str>,
    attempts: u32,
    /// The step that it has reached, counted from 1, if it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    /// The answer of the step before.
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<Cow<'r, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'r, str>>,
}

impl<'r> FailureEntry<'r> {
    pub(super) fn new(record: &'r Record) -> Self {
        Self {
            state: record.state,
            class: record.class,
            kind: record.kind.as_deref(),
            status: record.status,
            message: record.message.as_deref(),
            attempts: record.attempts,
            step: Some(u32::from(record.step) + 1).filter(|step| *step > 1),
            handle: record.handle.as_deref().and_then(handle),
            body: record.error_body.as_deref().map(String::from_utf8_lossy),
        }
    }
}

/// Returns the answer of a step as JSON: itself if it is JSON, and otherwise a string.
fn handle(body: &[u8]) -> Option<Cow<'_, RawValue>> {
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(json) => Some(Cow::Borrowed(json)),
        Err(_) => {
            let text = serde_json::value::to_raw_value(&String::from_utf8_lossy(body));
            text.ok().map(Cow::Owned)
        }
    }
}
