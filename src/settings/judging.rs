//! The rules for results.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::failure_class::Statuses;

/// Rules that decide which answers are results, and which value of them to export.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Judging {
    /// The statuses of results.
    #[serde(skip_serializing_if = "Statuses::is_default")]
    pub statuses: Statuses,
    /// The form of results.
    pub expect: Expect,
    /// A jq expression that is true for results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<String>,
    /// A jq expression for the exported value of a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extract: Option<String>,
}

/// The expected form of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// One JSON text (RFC 8259) under any media type.
    Json,
    /// UTF-8 text.
    Text,
    /// JSON if its media type says so or `--success` is set, otherwise anything.
    #[default]
    AsStated,
    /// Anything.
    Any,
}

impl FromStr for Expect {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            "any" => Ok(Self::Any),
            _ => Err(format!("unknown form `{word}`: use json, text or any")),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::AsStated => "as stated",
            Self::Any => "any",
        })
    }
}

impl Judging {
    /// Describes the rules for people, as names and values.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![("expect".to_owned(), self.expect.to_string())];
        if !self.statuses.is_default() {
            lines.push(("expect-status".to_owned(), self.statuses.to_string()));
        }
        for (name, expression) in [("success", &self.success), ("extract", &self.extract)] {
            if let Some(expression) = expression {
                lines.push((name.to_owned(), expression.clone()));
            }
        }
        lines
    }
}
