//! Makes a page about a run: one HTML file that needs no script and no other resource.
//!
//! [`Report::new`] adds up all attempts in one pass; its memory does not grow with jobs or attempts. [`Report::html`] makes
//! the page without reading the database.

mod charts;
mod failures;
mod html;
mod page;
mod settings;
mod snapshot;
mod sums;
mod tables;
mod timeline;
mod words;

use std::io::Write;
use std::path::Path;

use crate::atomic_file;
pub use crate::atomic_file::FileError;
use crate::job::FileName;
use crate::store::{Reader, StoreError};
use snapshot::Snapshot;
pub use words::stop_reason;

/// A report on a run at one moment.
#[derive(Debug)]
pub struct Report(Snapshot);

impl Report {
    /// Reads a run. `now` is in milliseconds since 1970; `is_working` says that a process works on the run.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn new(reader: &Reader, now: i64, is_working: bool) -> Result<Self, StoreError> {
        Snapshot::read(reader, now, is_working).map(Self)
    }

    /// Returns the page: a whole HTML document of less than a megabyte.
    pub fn html(&self) -> String {
        page::page(&self.0)
    }

    /// Writes the page to a file, whole or not at all. The new file has the permissions of the old one, or those that the
    /// process gives to new files.
    ///
    /// # Errors
    ///
    /// The file cannot be written or is a database. An old file is then unchanged, unless only the final sync failed.
    pub fn to_file(&self, path: &Path) -> Result<(), FileError> {
        atomic_file::write(&self.0.database, path, |file| {
            file.write_all(self.html().as_bytes())
                .map_err(|source| FileError::Write {
                    target: FileName::from(path).to_string(),
                    source,
                })
        })
    }
}
