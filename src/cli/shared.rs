//! What is said where a database can be read by others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::quoted;
use super::terminal::Terminal;

/// The permissions of a file's group and of everybody else.
const OTHERS: u32 = 0o077;

/// Warns of a database that others can read or write: answers are in it.
pub(crate) fn warn(db: &Path, terminal: &Terminal) {
    let Ok(meta) = fs::metadata(db) else { return };
    if meta.permissions().mode() & OTHERS != 0 {
        terminal.say(&format!(
            "{} the database can be read by others, and the answers are in it: chmod 600 {}",
            terminal.bold("warning:"),
            quoted(db)
        ));
    }
}
