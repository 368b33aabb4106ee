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
/// As [`words`] and [`read`], and if the text is empty, begins with another program, or is in the syntax of cmd or
/// PowerShell.
pub fn command(text: &str) -> Result<Vec<ParsedOption>, CurlError> {
    read(words(paste::command(text)?)?)
}
