//! Errors of expressions.

use thiserror::Error;

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} at {place}")]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// Where: a column, or a line and a column.
    pub place: String,
}

/// Why an expression has no value for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct EvalError(pub(super) String);
