//! Where a run is stored.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where a run is stored: the path of its SQLite database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(PathBuf);

impl Location {
    /// Reads a location as a user writes it.
    ///
    /// # Errors
    ///
    /// It is the URL of a database server, which would be taken for a relative path.
    pub fn parse(word: PathBuf) -> Result<Self, UnsupportedLocation> {
        let scheme = ["postgres://", "postgresql://", "mysql://", "sqlite://"]
            .into_iter()
            .find(|scheme| word.as_os_str().as_bytes().starts_with(scheme.as_bytes()));
        match scheme {
            Some(scheme) => Err(UnsupportedLocation(scheme)),
            None => Ok(Self(word)),
        }
    }

    /// Returns the path of the database's file.
    pub fn file(&self) -> &Path {
        &self.0
    }
}

/// A location of a kind that stride does not know. It leaves out the rest of the URL, which can have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsupportedLocation(&'static str);

impl fmt::Display for UnsupportedLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a run cannot be stored at {}…", self.0)
    }
}

impl std::error::Error for UnsupportedLocation {}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Location {
    fn from(path: &P) -> Self {
        Self(path.as_ref().to_owned())
    }
}

impl From<&Self> for Location {
    fn from(location: &Self) -> Self {
        location.clone()
    }
}
