//! The words of curl: a pasted command, and the options that it and stride have in common. Pure.

pub mod config;
mod error;
mod options;
mod shell;

pub use error::CurlError;
pub use options::{Given, OPTIONS, Role, Spec, read};
pub use shell::words;

/// Reads a pasted command.
///
/// # Errors
///
/// It is not a command of curl's, or asks for what stride has no use for.
pub fn command(text: &str) -> Result<Vec<Given>, CurlError> {
    read(words(text)?)
}
