//! Sources of jobs: files, folders, lists of names, lists that are tables. They are streamed: memory holds the entries
//! of the folders on one path, and a few batches that are read ahead.
//!
//! The walk uses no library: with `walkdir` it is as long, because most of it decides what to skip.

mod ahead;
mod csv;
mod error;
mod jsonl;
mod table;
mod types;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use error::{InputError, RowFault};
pub use types::{Item, Layout, Skipped, Source};

use crate::job::FileName;
use crate::paths;
use table::Lines;

/// Passes every job of the sources to `add`, in their order. Folders are walked in the byte order of their names. Links
/// to files are followed, links to folders are not. Hidden entries and the files and folders at the paths in `own` are
/// skipped, also under other names. A named file need not exist: its job then fails.
///
/// # Errors
///
/// A source cannot be read, or `add` fails.
pub fn names<E: From<InputError>>(
    sources: &[Source],
    own: &[PathBuf],
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Skipped, E> {
    let (their_sources, their_own) = (sources.to_owned(), own.to_owned());
    let ahead = ahead::read(
        move |ahead| read(&their_sources, &their_own, &mut |item| ahead.add(item)),
        add,
    );
    ahead.unwrap_or_else(|| read(sources, own, add))
}

fn read<E: From<InputError>>(
    sources: &[Source],
    own: &[PathBuf],
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Skipped, E> {
    let mut reader = JobReader::new(own, add);
    for source in sources {
        match source {
            Source::Path(path) => reader.path(path)?,
            Source::List(path, layout) => {
                let list = FileName::from(path.as_path()).to_string();
                let file =
                    fs::File::open(path).map_err(|source| error::unreadable(&list, source))?;
                reader.list(&list, file, layout)?;
            }
            Source::Stdin(layout) => {
                reader.list("on standard input", io::stdin().lock(), layout)?;
            }
        }
    }
    Ok(reader.skipped)
}

/// Reads a list, for the fuzzers (`tests/fuzz`).
///
/// # Errors
///
/// The list cannot be read.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn list(from: impl Read, layout: &Layout) -> Result<(Vec<Item>, u64), InputError> {
    let mut items = Vec::new();
    let mut add = |item| -> Result<(), InputError> {
        items.push(item);
        Ok(())
    };
    let mut reader = JobReader::new(&[], &mut add);
    reader.list("list", from, layout)?;
    let blank = reader.skipped.blank;
    Ok((items, blank))
}

/// Returns the device and inode of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

struct JobReader<'a, E> {
    /// The names and folders of stride's own files, which need not exist yet.
    own: Vec<(&'a OsStr, Option<&'a Path>)>,
    /// The devices and inodes of those that exist.
    own_files: Vec<(u64, u64)>,
    skipped: Skipped,
    add: &'a mut dyn FnMut(Item) -> Result<(), E>,
}

impl<'a, E: From<InputError>> JobReader<'a, E> {
    fn new(own: &'a [PathBuf], add: &'a mut dyn FnMut(Item) -> Result<(), E>) -> Self {
        let named = own
            .iter()
            .filter_map(|own| Some((own.file_name()?, own.parent())));
        Self {
            own: named.collect(),
            own_files: own.iter().filter_map(|path| identity(path)).collect(),
            skipped: Skipped::default(),
            add,
        }
    }

    fn path(&mut self, path: &Path) -> Result<(), E> {
        // A missing file is a job too, which fails.
        if fs::metadata(path).is_ok_and(|meta| meta.is_dir()) {
            self.walk(path)
        } else {
            self.item(FileName::from(path).into())
        }
    }

    fn item(&mut self, item: Item) -> Result<(), E> {
        if self.is_own(item.name.as_path()) {
            self.skipped.own.push(item.name);
            return Ok(());
        }
        (self.add)(item)
    }

    /// Returns whether a path leads to one of stride's own files. Opening the database as a file and closing it would
    /// also release the locks of SQLite.
    fn is_own(&self, path: &Path) -> bool {
        if identity(path).is_some_and(|file| self.own_files.contains(&file)) {
            return true;
        }
        // The database of a new run does not exist yet.
        let Some(name) = path.file_name() else {
            return false;
        };
        let named = self.own.iter().filter(|(own, _)| *own == name);
        named.into_iter().any(|(_, own)| {
            let folder = fs::canonicalize(paths::folder_of(path));
            folder.is_ok_and(|folder| Some(folder.as_path()) == *own)
        })
    }

    fn walk(&mut self, folder: &Path) -> Result<(), E> {
        let unreadable = |source| InputError::Unreadable {
            path: folder.to_owned(),
            source,
        };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.file_name().as_bytes().starts_with(b".") {
                self.skipped.hidden += 1;
            } else {
                entries.push((entry.file_name(), entry.file_type().map_err(unreadable)?));
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in entries {
            let path = folder.join(name);
            if kind.is_dir() && self.is_own(&path) {
                self.skipped.own.push(FileName::from(path));
            } else if kind.is_dir() {
                self.walk(&path)?;
            } else if kind.is_file()
                || kind.is_symlink() && fs::metadata(&path).is_ok_and(|meta| meta.is_file())
            {
                self.item(FileName::from(path).into())?;
            } else {
                self.skipped.other += 1;
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &str, from: impl Read, layout: &Layout) -> Result<(), E> {
        let blank = match layout {
            Layout::Lines => return self.names(list, from, b'\n'),
            Layout::Nul => return self.names(list, from, 0),
            Layout::Csv { key } => {
                csv::rows(list, from, key.as_deref(), &mut |item| self.item(item))?
            }
            Layout::Jsonl { key } => {
                jsonl::rows(list, from, key.as_deref(), &mut |item| self.item(item))?
            }
        };
        self.skipped.blank += blank;
        Ok(())
    }

    fn names(&mut self, list: &str, from: impl Read, end: u8) -> Result<(), E> {
        let mut lines = Lines::new(list, from, end);
        let mut name = Vec::new();
        while lines.read(&mut name)? {
            if name.last() == Some(&end) {
                name.pop();
            }
            if name.is_empty() {
                self.skipped.blank += 1;
            } else if name.contains(&0) {
                let (list, line) = (list.to_owned(), lines.number);
                return Err(InputError::Nul { list, line }.into());
            } else {
                self.item(FileName::new(name.as_slice()).into())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(sources: &[Source], own: &[PathBuf]) -> (Vec<FileName>, Skipped) {
        let mut found = Vec::new();
        let skipped = names::<InputError>(sources, own, &mut |item| {
            found.push(item.name);
            Ok(())
        });
        (found, skipped.unwrap())
    }

    #[test]
    fn a_walk_is_recursive_and_ordered_and_skips_other_entries() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        fs::create_dir(root.join(".hidden")).unwrap();
        for name in [
            "c",
            "a",
            "b/z",
            "b/deep/x",
            ".hidden/no",
            ".no",
            "stride.db",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("a", root.join("link")).unwrap();
        std::os::unix::fs::symlink("b", root.join("folder-link")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        let own = root.canonicalize().unwrap().join("stride.db");
        let (found, skipped) = collect(&[Source::Path(root.to_owned())], &[own]);
        let names: Vec<_> = found
            .iter()
            .map(|n| n.as_path().strip_prefix(root).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a", "b/deep/x", "b/z", "c", "link"]);
        assert_eq!(
            (skipped.hidden, skipped.own.len(), skipped.other),
            (2, 1, 2)
        );
    }

    #[test]
    fn rows_45_and_49_a_list_keeps_every_byte_of_a_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b" a \n\n-b\nc\xff\r\nlast").unwrap();
        let (found, skipped) = collect(&[Source::List(file.path().to_owned(), Layout::Lines)], &[]);
        let found: Vec<_> = found.iter().map(FileName::as_bytes).collect();
        assert_eq!(found, [&b" a "[..], b"-b", b"c\xff\r", b"last"]);
        assert_eq!(skipped.blank, 1);

        fs::write(file.path(), b"new\nline\0\0tail").unwrap();
        let (found, _) = collect(&[Source::List(file.path().to_owned(), Layout::Nul)], &[]);
        assert_eq!(found, [FileName::from("new\nline"), FileName::from("tail")]);
    }

    #[test]
    fn names_that_are_read_ahead_keep_their_order_and_precede_errors() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let expected: Vec<_> = (0..50_000).map(|i| format!("name {i}")).collect();
        fs::write(file.path(), expected.join("\n") + "\n\0\n").unwrap();
        let source = [Source::List(file.path().to_owned(), Layout::Lines)];
        let mut found = Vec::new();
        let error = names::<InputError>(&source, &[], &mut |item| {
            found.push(item.name.to_string());
            Ok(())
        });
        assert_eq!(found, expected);
        let error = error.unwrap_err();
        assert!(matches!(error, InputError::Nul { line: 50_001, .. }));
    }

    #[test]
    fn an_error_of_the_receiver_ends_reading_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "name\n".repeat(100_000)).unwrap();
        // The second list is a pipe without a writer, so reading it never ends.
        let folder = tempfile::tempdir().unwrap();
        let silent = folder.path().join("silent");
        rustix::fs::mkfifoat(rustix::fs::CWD, &silent, rustix::fs::Mode::RWXU).unwrap();
        let lists = [file.path(), &silent].map(|list| Source::List(list.to_owned(), Layout::Lines));
        let mut left = 10;
        let refused = names::<InputError>(&lists, &[], &mut |item| {
            left -= 1;
            match left {
                0 => Err(RowFault::TooLong.at(&item.name.to_string(), 0)),
                _ => Ok(()),
            }
        });
        assert!(matches!(refused, Err(InputError::Row { .. })));
        assert_eq!(left, 0);
    }

    #[test]
    fn the_length_of_a_line_is_bounded() {
        for (layout, list) in [
            (Layout::Lines, &b"a\n"[..]),
            (Layout::Nul, b"a\0"),
            (Layout::Jsonl { key: None }, b"\n"),
        ] {
            let mut add = |_| Ok::<(), InputError>(());
            let mut reader = JobReader::new(&[], &mut add);
            let list = list.chain(io::repeat(b'x').take(20 << 20));
            let error = reader.list("list", list, &layout).unwrap_err();
            assert_eq!(
                error.to_string(),
                "line 2 of the list list begins a row of more than 16 MiB"
            );
        }
    }
}
