//! Errors in pasted commands.

use thiserror::Error;

/// A command of curl's that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CurlError {
    /// A quote that is not closed.
    #[error("a {0} that is not closed")]
    Open(&'static str),
    /// What only a shell can do.
    #[error("{what} is for a shell, and not a part of the request")]
    Shell {
        /// What it is.
        what: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// Another command.
    #[error("`{0}` is not curl")]
    Program(String),
    /// An option that stride has no use for.
    #[error("stride has no use for the option {written}")]
    Option {
        /// As it was written.
        written: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// An option without its value.
    #[error("the option {0} needs a value")]
    Value(String),
}

impl CurlError {
    /// What to do instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open(_) => "paste the command in single quotes, each ' within it as '\\''",
            Self::Shell { hint, .. } | Self::Option { hint, .. } => hint,
            Self::Program(_) => "paste a command that begins with curl",
            Self::Value(_) => "see `curl --help all`",
        }
    }
}
