//! Errors in commands and configuration files of curl.

use thiserror::Error;

/// A command of curl that stride cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CurlError {
    /// A quote without its end.
    #[error("the quote {0} is not closed")]
    Open(&'static str),
    /// Syntax that only a shell can execute.
    #[error("{what} needs a shell, which stride does not run")]
    Shell {
        /// The syntax.
        what: String,
        /// A suggestion for the user.
        hint: &'static str,
    },
    /// Another command.
    #[error("`{0}` is not curl")]
    Program(String),
    /// An option that stride does not support.
    #[error("the option {written} is not supported")]
    Option {
        /// The option as written.
        written: String,
        /// A suggestion for the user.
        hint: &'static str,
    },
    /// An option without its value.
    #[error("the option {0} needs a value")]
    Value(String),
}

impl CurlError {
    /// Returns a suggestion for the user.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open(_) => "paste the command in single quotes, each ' within it as '\\''",
            Self::Shell { hint, .. } | Self::Option { hint, .. } => hint,
            Self::Program(_) => "paste a command that begins with curl",
            Self::Value(_) => "see `curl --help all`",
        }
    }
}
