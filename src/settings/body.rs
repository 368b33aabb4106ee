//! What a request carries.

use serde::{Deserialize, Serialize};

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// The file's bytes, with the media type that its name suggests, where the method gives a body a meaning
    /// (RFC 9110, section 9.3).
    #[default]
    File,
    /// Nothing.
    Nothing,
    /// Pieces, one after the other.
    Pieces {
        /// The pieces.
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
        /// How what is inserted is escaped.
        escape: Escape,
    },
    /// A file's bytes.
    Bytes {
        /// Where it lies: a template. `{path}` is the job's own file; others resolve as names of the list do.
        path: String,
        /// How they are sent.
        treatment: Treatment,
    },
}

/// How what is inserted into a text is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    /// Not at all.
    Nothing,
    /// As a part of a JSON string, or as a JSON value outside of one.
    Json,
    /// Percent-encoded, as `application/x-www-form-urlencoded` needs it.
    Form,
    /// Percent-encoded together with the text around it, spaces as `+`.
    All,
}

/// How a file's bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// As they are.
    AsIs,
    /// Without carriage returns, newlines and NUL bytes, as `curl -d @file` does it.
    Joined,
    /// Percent-encoded, spaces as `+`.
    Encoded,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub content: Content,
    /// Its media type, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The file name that is told, where one was given: a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// More headers of this part, as they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
}

/// What a field of a form holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text: a template.
    Text(String),
    /// A file with its name: a template of its path.
    File(String),
    /// A file's bytes as if they were typed: a template of its path.
    TextOf(String),
}

impl Body {
    /// What it is, for people: a line a part.
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
