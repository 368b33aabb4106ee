//! Reads files named on the command line.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use stride::bounded::{self, Patience, Wait};
use stride::job::FileName;
use stride::paths::folder_of;

use super::screen;
use super::shown::Line;

/// The maximum number of names to compare with a missing one.
const MOST_NEAR: usize = 10_000;

/// Reads a file of at most `most` bytes. Announces a wait for a pipe.
pub(crate) fn read(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    let say = || {
        let name = FileName::from(path);
        let words = format!("waiting for a program to write into {name}");
        screen::say(&Line::new(&words, false));
    };
    bounded::read(path, most, &mut Wait::begin(Patience::USUAL, &say))
}

/// Returns the file in the same folder whose name is nearest to a missing one, at most two edits away.
pub(crate) fn near(missing: &Path) -> Option<PathBuf> {
    if missing.exists() {
        return None;
    }
    let wrong = missing.file_name()?.to_str()?;
    let names = fs::read_dir(folder_of(missing)).ok()?.take(MOST_NEAR);
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let distance = |name: &String| strsim::damerau_levenshtein(wrong, name);
    let near = names
        .min_by_key(distance)
        .filter(|name| distance(name) <= 2)?;
    Some(missing.with_file_name(near))
}

/// Reads a text file.
pub(crate) fn read_text(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}
