//! The values of a job that placeholders insert.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::AnswerField;
use crate::caller::http::error::unsendable;
use crate::caller::http::source::Source;
use crate::job::{FailureKind, Job, Outcome};
use crate::paths::folder_of;

/// A value of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// The name in the list.
    Path,
    /// The last component of the name.
    Name,
    /// The last component without its extension.
    Stem,
    /// The extension, without the dot.
    Ext,
    /// The folder of the name, `.` if it has none.
    Dir,
    /// The position in the list, from 0.
    Index,
    /// The file's size in bytes.
    Size,
    /// The media type that the name suggests.
    Mime,
    /// The SHA-256 of the file, in hexadecimal.
    Sha256,
    /// The file as text.
    Text,
    /// The file in base64 (RFC 4648, section 4).
    Base64,
    /// A column of the list.
    Column(String),
    /// The whole row of the list.
    Row,
    /// A value of an earlier answer.
    Answer(AnswerField),
}

impl Field {
    /// Returns the field of this name. The empty name is the path.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "" | "path" => Self::Path,
            "name" => Self::Name,
            "stem" => Self::Stem,
            "ext" => Self::Ext,
            "dir" => Self::Dir,
            "index" => Self::Index,
            "size" => Self::Size,
            "mime" => Self::Mime,
            "sha256" => Self::Sha256,
            "text" => Self::Text,
            "base64" => Self::Base64,
            "row" => Self::Row,
            name => match name.strip_prefix("col.") {
                Some(column) if !column.is_empty() => Self::Column(column.to_owned()),
                _ => Self::Answer(AnswerField::named(name)?),
            },
        })
    }

    /// Returns the name of the column, if the field is one.
    pub(super) fn column(&self) -> Option<&str> {
        match self {
            Self::Column(name) => Some(name),
            _ => None,
        }
    }

    /// Returns whether the field needs the file, and not only its name.
    pub(super) fn needs_file(&self) -> bool {
        matches!(self, Self::Size | Self::Sha256 | Self::Text | Self::Base64)
    }

    /// Returns whether the value is a number, which JSON takes without quotes.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Index | Self::Size)
    }

    /// Returns the value for a job. An error is the attempt's outcome: nothing was sent.
    pub(super) fn value<'j>(
        &self,
        job: &'j Job,
        source: &Source,
    ) -> Result<Cow<'j, [u8]>, Outcome> {
        let path = job.path.as_path();
        let part =
            |part: Option<&'j std::ffi::OsStr>| Cow::from(part.unwrap_or_default().as_bytes());
        Ok(match self {
            Self::Path => job.path.as_bytes().into(),
            Self::Name => part(path.file_name()),
            Self::Stem => part(path.file_stem()),
            Self::Ext => part(path.extension()),
            Self::Dir => folder_of(path).as_os_str().as_bytes().into(),
            Self::Index => job.position.0.to_string().into_bytes().into(),
            Self::Size => source.size()?.to_string().into_bytes().into(),
            Self::Mime => media_type(path).as_bytes().into(),
            Self::Sha256 => source.sha256()?.to_string().into_bytes().into(),
            Self::Text => {
                let bytes = source.whole()?;
                if std::str::from_utf8(&bytes).is_err() {
                    let message = "the file is not UTF-8 text".to_owned();
                    return Err(unsendable(FailureKind::NotText, message));
                }
                bytes.into()
            }
            Self::Base64 => STANDARD.encode(source.whole()?).into_bytes().into(),
            Self::Column(name) => {
                let text = job.columns.text(name).ok_or_else(|| no_column(name))?;
                text.into_owned().into_bytes().into()
            }
            Self::Row => job.columns.row().ok_or_else(no_row)?.as_bytes().into(),
            Self::Answer(field) => field.text(job)?,
        })
    }
}

/// Returns the placeholder that a word in braces probably stands for: another word for it, or a slip that leaves out,
/// adds or swaps letters. A word with another letter is likelier to be meant as it is.
pub fn meant_placeholder(word: &str) -> Option<String> {
    const NAMES: [&str; 9] = [
        "path", "name", "stem", "index", "size", "mime", "sha256", "text", "base64",
    ];
    const SYNONYMS: [(&str, &str); 8] = [
        ("filename", "name"),
        ("file_name", "name"),
        ("basename", "name"),
        ("filepath", "path"),
        ("file_path", "path"),
        ("content", "text"),
        ("contents", "text"),
        ("b64", "base64"),
    ];
    /// Words before the path of a value in an answer.
    const ANSWERS: [&str; 2] = ["answer", "header"];
    const FOR_ANSWERS: [(&str, &str); 7] = [
        ("answers", "answer"),
        ("response", "answer"),
        ("reply", "answer"),
        ("result", "answer"),
        ("body", "answer"),
        ("headers", "header"),
        ("$headers", "header"),
    ];
    let word = word.trim();
    if let Some(at) = word.find(['.', '[']) {
        let (head, path) = word.split_at(at);
        let head = meant(head, &ANSWERS, &FOR_ANSWERS)?;
        return Some(format!("{head}{path}"));
    }
    meant(word, &NAMES, &SYNONYMS).map(str::to_owned)
}

/// Returns the name that a word is a slip or another word for.
fn meant(
    word: &str,
    names: &[&'static str],
    synonyms: &[(&str, &'static str)],
) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let is_slip = |name: &str| match name.len() == word.len() {
        true => sorted(name) == sorted(&word),
        false => strsim::levenshtein(name, &word) == 1,
    };
    let mut synonyms = synonyms.iter();
    synonyms
        .find_map(|(known, name)| (*known == word).then_some(*name))
        .or_else(|| names.iter().copied().find(|name| is_slip(name)))
}

/// Returns the outcome of an attempt that needs a column which the list lacks for its file.
pub(super) fn no_column(name: &str) -> Outcome {
    let message = format!("the list gives this file no column `{name}`");
    unsendable(FailureKind::NoColumn, message)
}

/// Returns the outcome of an attempt that needs a row which the list lacks for its file.
pub(super) fn no_row() -> Outcome {
    let message = "the list has no row for this file".to_owned();
    unsendable(FailureKind::NoColumn, message)
}

/// Returns the media type of a name's extension.
pub(in crate::caller::http) fn media_type(path: &Path) -> &'static str {
    mime_guess::from_path(path)
        .first_raw()
        .unwrap_or("application/octet-stream")
}
