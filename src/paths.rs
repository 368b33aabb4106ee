//! Paths that may name nothing yet.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Returns the folder that a path lies in: `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes a path absolute, with links resolved. The last part may be missing.
///
/// # Errors
///
/// The path has no last part, or its folder cannot be found.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path).or_else(|_| {
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        Ok(fs::canonicalize(folder_of(path))?.join(name))
    })
}
