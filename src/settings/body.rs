//! The body of a request.

use serde::{Deserialize, Serialize};

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// The file, with the media type of its name's extension, if the method gives a body a meaning (RFC 9110, section
    /// 9.3).
    #[default]
    File,
    /// No body.
    Nothing,
    /// A concatenation.
    Pieces {
        /// Its pieces, in order.
        pieces: Vec<Piece>,
    },
    /// `multipart/form-data` (RFC 7578).
    Multipart {
        /// The form's fields.
        fields: Vec<Field>,
    },
}

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Piece {
    /// Text with placeholders.
    Text {
        /// The template.
        template: String,
        /// The escaping of inserted values.
        escape: Escape,
    },
    /// A file's bytes.
    Bytes {
        /// A template of its path. `{path}` is the job's own file. Other paths resolve as names of the list do.
        path: String,
        /// The treatment of the bytes.
        treatment: Treatment,
    },
}

/// The escaping of values inserted into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    /// None.
    Nothing,
    /// JSON: part of a string inside of quotes, a value elsewhere.
    Json,
    /// Percent-encoding for `application/x-www-form-urlencoded`.
    Form,
    /// Percent-encoding of the whole text, with spaces as `+`.
    All,
}

/// The treatment of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// Unchanged.
    AsIs,
    /// Without carriage returns, newlines and NUL bytes, as with `curl -d @file`.
    Joined,
    /// Percent-encoded, with spaces as `+`.
    Encoded,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Content,
    /// Its media type, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// A template of its file name, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// More headers, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
}

/// The content of a form's field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A template of text.
    Text(String),
    /// A file with its name, by a template of its path.
    File(String),
    /// A file's content without its name, by a template of its path.
    TextOf(String),
}

impl Body {
    /// Describes the body for people, a line for each part.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::File => vec!["the file".to_owned()],
            Self::Nothing => vec!["nothing".to_owned()],
            Self::Pieces { pieces } => pieces.iter().map(Piece::line).collect(),
            Self::Multipart { fields } => fields.iter().map(Field::line).collect(),
        }
    }
}

impl Piece {
    pub(super) fn line(&self) -> String {
        match self {
            Self::Text { template, .. } => template.clone(),
            Self::Bytes { path, treatment } => {
                let how = match treatment {
                    Treatment::AsIs => "",
                    Treatment::Joined => " without line ends",
                    Treatment::Encoded => " percent-encoded",
                };
                format!("@{path}{how}")
            }
        }
    }
}

impl Field {
    fn line(&self) -> String {
        let mut line = match &self.content {
            Content::Text(text) => format!("{}={text}", self.name),
            Content::File(path) => format!("{}=@{path}", self.name),
            Content::TextOf(path) => format!("{}=<{path}", self.name),
        };
        for (word, value) in [("type", &self.media_type), ("filename", &self.file_name)] {
            if let Some(value) = value {
                line.push_str(&format!(";{word}={value}"));
            }
        }
        for header in &self.headers {
            line.push_str(&format!(";headers={header}"));
        }
        line
    }
}
