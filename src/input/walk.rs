//! The walk through a folder. It uses no library: with `walkdir` it is as long, because most of it decides what to skip.

use std::ffi::OsString;
use std::fs::{self, FileType};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::error::InputError;
use super::reader::{JobReader, identity};
use crate::job::FileName;

/// The devices and inodes of the folders above an entry, the outermost first.
type Above = Vec<(u64, u64)>;

/// An entry of a folder.
enum Entry {
    File,
    Folder,
    /// A link to a folder, which is not followed.
    Link,
    Other(&'static str),
}

impl<E: From<InputError>> JobReader<'_, E> {
    /// Passes on the files of a folder, and of the folders in it.
    pub(super) fn walk(&mut self, folder: &Path) -> Result<(), E> {
        self.walk_below(folder, &mut Vec::new())
    }

    fn walk_below(&mut self, folder: &Path, above: &mut Above) -> Result<(), E> {
        let unreadable = |source| InputError::Unreadable {
            path: folder.to_owned(),
            source,
        };
        if self.follow {
            above.push(identity(&fs::metadata(folder).map_err(unreadable)?));
        }
        for (name, kind) in self.entries(folder).map_err(unreadable)? {
            let path = folder.join(name);
            match self.entry(&path, kind, above) {
                Entry::Folder if self.is_own(&path) => self.survey.own.push(path.into()),
                Entry::Folder => self.walk_below(&path, above)?,
                Entry::File => self.item(FileName::from(path).into())?,
                Entry::Link => self.survey.links.add(path.into(), "a link to a folder"),
                Entry::Other(kind) => self.survey.other.add(path.into(), kind),
            }
        }
        above.pop();
        Ok(())
    }

    /// Returns the entries that are not hidden, in the byte order of their names.
    fn entries(&mut self, folder: &Path) -> io::Result<Vec<(OsString, FileType)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().as_bytes().starts_with(b".") {
                self.survey.hidden += 1;
            } else {
                entries.push((entry.file_name(), entry.file_type()?));
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    fn entry(&self, path: &Path, kind: FileType, above: &Above) -> Entry {
        if kind.is_file() {
            return Entry::File;
        }
        if kind.is_dir() {
            return Entry::Folder;
        }
        if !kind.is_symlink() {
            return Entry::Other(other(kind));
        }
        match fs::metadata(path) {
            Ok(meta) if meta.is_file() => Entry::File,
            Ok(meta) if meta.is_dir() && !self.follow => Entry::Link,
            Ok(meta) if meta.is_dir() && above.contains(&identity(&meta)) => {
                Entry::Other("a link to a folder above it")
            }
            Ok(meta) if meta.is_dir() => Entry::Folder,
            Ok(meta) => Entry::Other(other(meta.file_type())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Entry::Other("a link to a missing file")
            }
            Err(_) => Entry::Other("a link that cannot be followed"),
        }
    }
}

/// Describes an entry that is neither a file nor a folder.
fn other(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
