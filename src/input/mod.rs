//! From what the user names to jobs: files, folders, lists of names, lists that are tables. Streams; nothing is
//! collected but one folder at a time, and a little that is read ahead.

mod ahead;
mod bounds;
mod csv;
mod error;
mod jsonl;
mod table;
mod types;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use error::{InputError, RowFault};
pub use types::{Item, Layout, Skipped, Source};

use crate::job::FileName;
use crate::paths;
use bounds::LONGEST;

/// Hands every job of the sources, in their order, to `add`. Folders are walked in the order of their names'
/// bytes; links to files are followed, links to folders are not; hidden entries and stride's own files
/// and folders (those at the paths in `own`, under whatever name) are passed over. A file that is named rather than walked
/// to need not exist: the run will say so of it.
///
/// # Errors
///
/// Whatever cannot be read, and whatever `add` returns.
pub fn names<E: From<InputError>>(
    sources: &[Source],
    own: &[PathBuf],
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Skipped, E> {
    // Looking at ten million names takes as long as doing something with them.
    let (theirs, also_own) = (sources.to_owned(), own.to_owned());
    let ahead = ahead::read(
        move |ahead| read(&theirs, &also_own, &mut |item| ahead.add(item)),
        add,
    );
    ahead.unwrap_or_else(|| read(sources, own, add))
}

fn read<E: From<InputError>>(
    sources: &[Source],
    own: &[PathBuf],
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Skipped, E> {
    let mut reader = Reader::new(own, add);
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

/// Reads a list from anywhere. A door for the fuzzers (`tests/fuzz`), compiled for them alone.
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
    let mut reader = Reader::new(&[], &mut add);
    reader.list("list", from, layout)?;
    let blank = reader.skipped.blank;
    Ok((items, blank))
}

/// Which file this is, whatever its name: device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

struct Reader<'a, E> {
    /// Where stride's own files lie, or will: the name and its folder.
    own: Vec<(&'a OsStr, Option<&'a Path>)>,
    /// Device and inode of those that are there.
    own_files: Vec<(u64, u64)>,
    skipped: Skipped,
    add: &'a mut dyn FnMut(Item) -> Result<(), E>,
}

impl<'a, E: From<InputError>> Reader<'a, E> {
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
        // A name that leads to nothing is a job all the same: that its file is missing is its outcome.
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

    /// Whether this is one of stride's own files, under whatever name or link it is reached. It would not only
    /// be no input: opening the database as a file and closing it again costs SQLite its locks.
    fn is_own(&self, path: &Path) -> bool {
        if identity(path).is_some_and(|file| self.own_files.contains(&file)) {
            return true;
        }
        // A new run's database is not there yet.
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
        let mut from = BufReader::with_capacity(1 << 16, from);
        let (mut name, mut line) = (Vec::new(), 0);
        loop {
            name.clear();
            line += 1;
            // One byte more than there may be, to see that there is more.
            let room = LONGEST as u64 + 1;
            let read = (&mut from).take(room).read_until(end, &mut name);
            if read.map_err(|source| error::unreadable(list, source))? == 0 {
                return Ok(());
            }
            if name.len() > LONGEST {
                return Err(RowFault::TooLong.at(list, line).into());
            }
            if name.last() == Some(&end) {
                name.pop();
            }
            if name.is_empty() {
                self.skipped.blank += 1;
            } else if name.contains(&0) {
                return Err(InputError::Nul {
                    list: list.to_owned(),
                    line,
                }
                .into());
            } else {
                self.item(FileName::new(name.as_slice()).into())?;
            }
        }
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
    fn a_walk_is_recursive_in_order_and_passes_over_what_is_not_input() {
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
    fn nul_bytes_in_lines_are_an_error_that_names_the_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"a\nb\0c\n").unwrap();
        let source = Source::List(file.path().to_owned(), Layout::Lines);
        let error = names::<InputError>(&[source], &[], &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, InputError::Nul { line: 2, .. }), "{error}");
    }

    #[test]
    fn what_is_read_ahead_comes_in_order_and_before_what_went_wrong() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut list = Vec::new();
        let expected: Vec<_> = (0..50_000).map(|i| format!("name {i}")).collect();
        for name in &expected {
            list.extend_from_slice(name.as_bytes());
            list.push(b'\n');
        }
        list.extend_from_slice(b"\0\n");
        fs::write(file.path(), list).unwrap();
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
    fn who_wants_no_more_is_not_kept_waiting() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "name\n".repeat(100_000)).unwrap();
        // Nobody writes to the second list, so that reading it has no end.
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
    fn a_name_has_an_end_before_memory_has() {
        for (layout, list) in [(Layout::Lines, &b"a\n"[..]), (Layout::Nul, &b"a\0"[..])] {
            let mut add = |_| Ok::<(), InputError>(());
            let mut reader = Reader::new(&[], &mut add);
            let list = list.chain(io::repeat(b'x').take(20 << 20));
            let error = reader.list("list", list, &layout).unwrap_err();
            assert_eq!(
                error.to_string(),
                "line 2 of the list list begins a row of more than 16 MiB"
            );
        }
    }
}
