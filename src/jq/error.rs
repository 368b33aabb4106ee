//! Errors of expressions.

use jaq_json::Val;
use thiserror::Error;

use crate::text::cut;

/// The maximum length of an error, in characters. Errors of jq quote values.
pub(super) const ERROR_KEPT: usize = 300;

/// Invalid expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}{}{place}", if .place.is_empty() { "" } else { " at " })]
pub struct SyntaxError {
    /// The mistake.
    pub message: String,
    /// The column, the line and the column, or `the end`. Empty for the whole expression.
    pub place: String,
}

/// The reason why an expression has no value for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct EvalError(String);

impl EvalError {
    /// Converts an error that an expression raised: text unchanged, any other value as JSON.
    pub(super) fn raised(error: jaq_json::Error) -> Self {
        match error.into_val() {
            Val::TStr(text) => Self::new(&String::from_utf8_lossy(&text)),
            value => Self::new(&value.to_string()),
        }
    }

    /// Creates an error with a shortened message.
    pub(super) fn new(message: &str) -> Self {
        Self(cut(message.to_owned(), ERROR_KEPT))
    }
}
