//! Errors in templates.

use thiserror::Error;

use crate::caller::http::reference::Reference;

/// Invalid template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// No such placeholder.
    #[error("unknown placeholder {{{0}}}")]
    Unknown(String),
    /// An opening brace without a closing one.
    #[error("a `{{` is not closed")]
    Open,
    /// A placeholder for a file, in a template that belongs to no file.
    #[error("a placeholder for a file cannot be used here")]
    NoFile,
    /// A placeholder for an answer that is not there yet.
    #[error("{{{0}}} stands for an answer that comes later: the first request is step1")]
    TooEarly(String),
    /// A reference to several parameters of a URL, which would be encoded as one word.
    #[error("{0} has parameters with `=`, which would be encoded as one word")]
    Encoded(Reference),
    /// A reference that cannot be used.
    #[error("{reference}: {reason}")]
    Value {
        /// The reference.
        reference: Reference,
        /// The reason, without the value.
        reason: String,
    },
}
