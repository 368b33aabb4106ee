//! Reads files named on the command line, and announces waits for them.

use std::io::{self, ErrorKind};
use std::path::Path;

use stride::bounded::{self, Patience, Wait};
use stride::job::FileName;

use super::screen;
use super::shown::Line;

/// Reads a file named on the command line, of at most so many bytes. Announces a wait for a pipe.
pub(crate) fn named(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    let say = || {
        let name = FileName::from(path);
        let words = format!("waiting for {name}: nothing has been written into it");
        screen::say(&Line::of(&words, false));
    };
    bounded::read(path, most, &mut Wait::begin(Patience::USUAL, &say))
}

/// Reads a text file named on the command line.
pub(crate) fn named_text(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    String::from_utf8(named(path, most)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}
