//! Errors in templates.

use thiserror::Error;

use crate::caller::http::reference::Reference;

/// Invalid template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// No such placeholder.
    #[error("unknown placeholder {{{0}}}")]
    Unknown(String),
    /// A brace that nothing closes.
    #[error("a `{{` that is not closed")]
    Open,
    /// A placeholder of a file, in a template that has no file.
    #[error("no placeholder for a file can stand here")]
    NoFile,
    /// A reference that cannot be used.
    #[error("{reference}: {reason}")]
    Value {
        /// Which.
        reference: Reference,
        /// Why; without its value.
        reason: String,
    },
}
