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
    /// A command for another shell.
    #[error("{what} is syntax of {shell}")]
    OtherShell {
        /// The word that shows it, or `this`.
        what: String,
        /// The shell.
        shell: &'static str,
    },
    /// No command.
    #[error("the command is empty")]
    Empty,
    /// Another command.
    #[error("`{0}` is not curl")]
    Program(String),
    /// Another command, whose output curl reads.
    #[error("`|` after `{0}` needs a shell, which stride does not run")]
    Before(String),
    /// A quote, dash or space of typography, which no shell knows.
    #[error("`{0}` is typographic, and no shell understands it")]
    Typographic(String),
    /// An option that stride does not support, or that has a value in a configuration file and takes none.
    #[error("the option {written} is not supported")]
    Option {
        /// The option as written.
        written: String,
        /// A suggestion for the user.
        hint: &'static str,
    },
    /// A word that is not an option of curl.
    #[error("curl has no option {0}")]
    Unknown(String),
    /// An option without its value.
    #[error("the option {0} needs a value")]
    Value(String),
}

impl CurlError {
    /// Returns a suggestion for the user.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open(_) => {
                "--curl - reads the command from standard input, and --curl @FILE from a file: no shell sees its quotes"
            }
            Self::Shell { hint, .. } | Self::Option { hint, .. } => hint,
            Self::OtherShell { .. } => {
                "copy it for bash: in a browser by `Copy as cURL (bash)`, in Postman by the code for `cURL`"
            }
            Self::Program(_) | Self::Empty => {
                "paste a command that begins with curl, or use --curl @FILE with a file that has it"
            }
            Self::Before(_) => {
                "leave out the commands before curl, and use @{} for the file in place of @-"
            }
            Self::Typographic(_) => {
                "a page or an editor has changed the command: type \", ', - and spaces anew"
            }
            Self::Unknown(word) if word.contains('=') => {
                "write the value of a long option as a word of its own: --data VALUE"
            }
            Self::Unknown(_) => "leave it out, or see `curl --help all`",
            Self::Value(_) => "see `curl --help all`",
        }
    }
}
