//! The warning about a database that other users can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cli::output::error::quoted;
use crate::cli::output::terminal::{Terminal, bold};

/// The permissions of a file's group and of all others.
const OTHERS: u32 = 0o077;

/// Warns if other users can read or write the database, which contains the answers.
pub(crate) fn warn(db: &Path, terminal: &Terminal) {
    let Ok(meta) = fs::metadata(db) else { return };
    if meta.permissions().mode() & OTHERS != 0 {
        terminal.say(&format!(
            "{} the database can be read by others, and the answers are in it: chmod 600 {}",
            bold("warning:"),
            quoted(db)
        ));
    }
}
