//! Reads files named on the command line.

use std::io::{self, ErrorKind};
use std::path::Path;

use stride::bounded::{self, Patience, Wait};
use stride::job::FileName;

use super::screen;
use super::shown::Line;

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

/// Reads a text file.
pub(crate) fn read_text(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}
