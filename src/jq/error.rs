//! Errors of expressions.

use thiserror::Error;

/// Invalid expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} at {place}")]
pub struct SyntaxError {
    /// The mistake.
    pub message: String,
    /// The column, or the line and the column.
    pub place: String,
}

/// The reason why an expression has no value for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct EvalError(pub(super) String);
