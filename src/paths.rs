//! Paths of files that need not exist.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Returns the folder of a path: `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes an absolute path relative to a folder if it is below it, so that both can be moved together.
pub fn below<'p>(folder: &Path, path: &'p Path) -> &'p Path {
    match path.strip_prefix(folder) {
        Ok(rest) if rest != Path::new("") => rest,
        _ => path,
    }
}

/// Returns true if a file is a SQLite database, by its first bytes (<https://www.sqlite.org/fileformat.html>).
pub fn is_database(path: &Path) -> bool {
    let mut head = [0; 16];
    // Opening a pipe would block.
    path.is_file()
        && File::open(path)
            .and_then(|mut file| file.read_exact(&mut head))
            .is_ok()
        && head == *b"SQLite format 3\0"
}

/// Makes a path absolute and resolves links. The file itself need not exist.
///
/// # Errors
///
/// The path has no file name, or its folder does not exist.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path).or_else(|_| {
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        Ok(fs::canonicalize(folder_of(path))?.join(name))
    })
}
