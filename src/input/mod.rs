//! Sources of jobs: files, folders, lists of names, lists that are tables. They are streamed: memory holds the entries
//! of the folders on one path, and a few batches that are read ahead.

mod ahead;
mod csv;
mod error;
mod jsonl;
mod reader;
mod table;
mod types;
mod walk;

use std::fs;
use std::io;
#[cfg(fuzzing)]
use std::io::Read;

pub use error::{InputError, RowFault};
pub use types::{Entries, Item, Key, Layout, Options, SeenColumns, Source, Survey};

use crate::job::FileName;
use reader::JobReader;

/// Passes every job of the sources to `add`, in their order. Folders are walked in the byte order of their names. Links
/// to files are followed, links to folders only if `options` say so. Entries of folders that are hidden or neither files
/// nor folders are skipped. So are stride's own files and folders, also under other names. A named file need not exist:
/// its job then fails.
///
/// # Errors
///
/// A source cannot be read, a list is invalid, or `add` fails.
pub fn names<E: From<InputError>>(
    sources: &[Source],
    options: &Options,
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Survey, E> {
    let (their_sources, their_options) = (sources.to_owned(), options.clone());
    let ahead = ahead::read(
        move |ahead| read(&their_sources, &their_options, &mut |item| ahead.add(item)),
        add,
    );
    ahead.unwrap_or_else(|| read(sources, options, add))
}

fn read<E: From<InputError>>(
    sources: &[Source],
    options: &Options,
    add: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Survey, E> {
    let mut reader = JobReader::new(options, add);
    for (index, source) in sources.iter().enumerate() {
        reader.source = index;
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
    Ok(reader.survey)
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
    let options = Options::default();
    let mut reader = JobReader::new(&options, &mut add);
    reader.list("list", from, layout)?;
    let blank = reader.survey.blank;
    Ok((items, blank))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::Path;

    use super::*;

    fn collect(sources: &[Source], options: &Options) -> (Vec<FileName>, Survey) {
        let mut found = Vec::new();
        let survey = names::<InputError>(sources, options, &mut |item| {
            found.push(item.name);
            Ok(())
        });
        (found, survey.unwrap())
    }

    /// Returns the names that a list of lines has.
    fn lines(list: &[u8]) -> (Vec<FileName>, Survey) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), list).unwrap();
        let source = Source::List(file.path().to_owned(), Layout::Lines);
        collect(&[source], &Options::default())
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
        std::os::unix::fs::symlink("../..", root.join("b/deep/up")).unwrap();
        let options = |follow| Options {
            own: vec![root.canonicalize().unwrap().join("stride.db")],
            follow,
            ..Options::default()
        };
        let walk = |follow| {
            let (found, survey) = collect(&[Source::Path(root.to_owned())], &options(follow));
            let names = found
                .iter()
                .map(|name| below(root, name))
                .collect::<Vec<_>>();
            (names, survey)
        };
        let entries = |entries: &Entries| -> Vec<(String, &str)> {
            let examples = entries.examples.iter();
            examples
                .map(|(name, kind)| (below(root, name), *kind))
                .collect()
        };
        let (names, survey) = walk(false);
        assert_eq!(names, ["a", "b/deep/x", "b/z", "c", "link"]);
        assert_eq!((survey.hidden, survey.own.len()), (2, 1));
        let folder = "a link to a folder";
        let links = [("b/deep/up", folder), ("folder-link", folder)];
        assert_eq!(
            entries(&survey.links),
            links.map(|(name, kind)| (name.to_owned(), kind))
        );
        let broken = ("loop".to_owned(), "a link that cannot be followed");
        assert_eq!(entries(&survey.other), std::slice::from_ref(&broken));
        let (names, survey) = walk(true);
        let expected = [
            "a",
            "b/deep/x",
            "b/z",
            "c",
            "folder-link/deep/x",
            "folder-link/z",
            "link",
        ];
        assert_eq!(names, expected);
        let up = |name: &str| (name.to_owned(), "a link to a folder above it");
        assert_eq!(
            entries(&survey.other),
            [up("b/deep/up"), up("folder-link/deep/up"), broken]
        );
        assert_eq!(survey.links, Entries::default());
    }

    fn below(root: &Path, name: &FileName) -> String {
        let name = name.as_path().strip_prefix(root).unwrap();
        name.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_first_line_decides_about_line_ends() {
        let names = |list: &[u8]| {
            let (found, survey) = lines(list);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            (found.join(" "), survey.crlf.len(), survey.blank)
        };
        assert_eq!(
            names(b"a\r\nb\r\n\r\nc\r\r\nd\r"),
            ("a b c\\r d".to_owned(), 1, 1)
        );
        assert_eq!(names(b"\xef\xbb\xbfa\nb\r\n"), ("a b\\r".to_owned(), 0, 0));
        assert_eq!(names(b"\xff\xfe\n"), ("\\xff\\xfe".to_owned(), 0, 0));
    }

    #[test]
    fn a_list_in_another_encoding_is_named() {
        let utf_16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let text = "a.txt\r\nb.txt\r\n";
        let lists = [
            "\u{feff}a.txt\n",
            "\u{feff}\u{6587}\n",
            text,
            "path,a\nx,1\n",
        ];
        for list in lists {
            for list in [
                utf_16(list, u16::to_le_bytes),
                utf_16(list, u16::to_be_bytes),
            ] {
                for layout in [Layout::Lines, Layout::Csv { key: Key::Usual }] {
                    let mut add = |_| Ok::<(), InputError>(());
                    let options = Options::default();
                    let mut reader = JobReader::new(&options, &mut add);
                    let error = reader.list("list", &*list, &layout).unwrap_err();
                    assert!(
                        matches!(error, InputError::Utf16 { .. }),
                        "{list:?} {error}"
                    );
                }
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"a\0b\0c\0").unwrap();
        let source = [Source::List(file.path().to_owned(), Layout::Lines)];
        let read = names::<InputError>(&source, &Options::default(), &mut |_| Ok(()));
        assert!(matches!(read, Err(InputError::Nul { line: 1, .. })));
    }

    #[test]
    fn rows_45_and_49_a_list_keeps_every_byte_of_a_name() {
        let (found, survey) = lines(b" a \n\n-b\nc\xff\r\nlast");
        let found: Vec<_> = found.iter().map(FileName::as_bytes).collect();
        assert_eq!(found, [&b" a "[..], b"-b", b"c\xff\r", b"last"]);
        assert_eq!(survey.blank, 1);

        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"new\nline\0\0tail").unwrap();
        let source = Source::List(file.path().to_owned(), Layout::Nul);
        let (found, _) = collect(&[source], &Options::default());
        assert_eq!(found, [FileName::from("new\nline"), FileName::from("tail")]);
    }

    #[test]
    fn names_that_are_read_ahead_keep_their_order_and_precede_errors() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let expected: Vec<_> = (0..50_000).map(|i| format!("name {i}")).collect();
        fs::write(file.path(), expected.join("\n") + "\n\0\n").unwrap();
        let source = [Source::List(file.path().to_owned(), Layout::Lines)];
        let mut found = Vec::new();
        let error = names::<InputError>(&source, &Options::default(), &mut |item| {
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
        let refused = names::<InputError>(&lists, &Options::default(), &mut |item| {
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
            (Layout::Jsonl { key: Key::Usual }, b"\n"),
        ] {
            let mut add = |_| Ok::<(), InputError>(());
            let options = Options::default();
            let mut reader = JobReader::new(&options, &mut add);
            let list = list.chain(io::repeat(b'x').take(20 << 20));
            let error = reader.list("list", list, &layout).unwrap_err();
            assert_eq!(
                error.to_string(),
                "line 2 of the list list begins a row of more than 16 MiB"
            );
        }
    }
}
