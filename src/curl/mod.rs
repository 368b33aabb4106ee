//! The command line of curl: parses pasted commands and configuration files, without reading anything else.

pub mod config;
mod error;
mod options;
mod paste;
mod shell;
mod table;

pub use error::CurlError;
pub use options::{ParsedOption, read};
pub use shell::words;
pub use table::{OPTIONS, Role, Spec};

/// Parses a pasted command.
///
/// # Errors
///
/// The text is not a command of curl, or has an option that stride does not support.
pub fn command(text: &str) -> Result<Vec<ParsedOption>, CurlError> {
    read(words(paste::command(text)?)?)
}
