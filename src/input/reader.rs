//! Reads sources, and passes each job to a callback.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::InputError;
use super::table::Lines;
use super::types::{Item, Layout, Options, SeenColumns, Survey};
use super::{csv, jsonl};
use crate::job::FileName;
use crate::paths;

/// Returns the device and inode of a file.
pub(super) fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

fn identity_at(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| identity(&meta))
}

pub(super) struct JobReader<'a, E> {
    /// The names and parent folders of stride's own files and folders, which need not exist yet.
    own: Vec<(&'a OsStr, Option<&'a Path>)>,
    /// The devices and inodes of those that exist.
    own_files: Vec<(u64, u64)>,
    pub(super) follow: bool,
    /// The index of the current source.
    pub(super) source: usize,
    pub(super) survey: Survey,
    add: &'a mut dyn FnMut(Item) -> Result<(), E>,
}

impl<'a, E: From<InputError>> JobReader<'a, E> {
    pub(super) fn new(options: &'a Options, add: &'a mut dyn FnMut(Item) -> Result<(), E>) -> Self {
        let own = options.own.iter();
        let named = own
            .clone()
            .filter_map(|own| Some((own.file_name()?, own.parent())));
        Self {
            own: named.collect(),
            own_files: own.filter_map(|path| identity_at(path)).collect(),
            follow: options.follow,
            source: 0,
            survey: Survey {
                columns: SeenColumns::wanting(&options.columns),
                ..Survey::default()
            },
            add,
        }
    }

    pub(super) fn path(&mut self, path: &Path) -> Result<(), E> {
        // A missing file is a job too, which fails.
        if fs::metadata(path).is_ok_and(|meta| meta.is_dir()) {
            self.walk(path)
        } else {
            self.item(FileName::from(path).into())
        }
    }

    pub(super) fn item(&mut self, mut item: Item) -> Result<(), E> {
        let file = item.file.as_ref().unwrap_or(&item.name);
        if self.is_own(file.as_path()) {
            self.survey.own.push(file.clone());
            return Ok(());
        }
        item.source = self.source;
        (self.add)(item)
    }

    /// Returns whether a path leads to one of stride's own files or folders. They are no input. A call must not open
    /// the database either: closing it would release SQLite's locks.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        if identity_at(path).is_some_and(|file| self.own_files.contains(&file)) {
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

    pub(super) fn list(&mut self, list: &str, from: impl Read, layout: &Layout) -> Result<(), E> {
        // The reader of a table counts columns while it passes rows on.
        let mut seen = std::mem::take(&mut self.survey.columns);
        let blank = match layout {
            Layout::Lines => self.lines(list, from),
            Layout::Nul => self.names_with_nul(list, from),
            Layout::Csv { key } => {
                csv::rows(list, from, key, &mut seen, &mut |item| self.item(item))
            }
            Layout::Jsonl { key } => {
                jsonl::rows(list, from, key, &mut seen, &mut |item| self.item(item))
            }
        };
        self.survey.columns = seen;
        self.survey.blank += blank?;
        Ok(())
    }

    /// Reads one name per line. The first line decides whether lines end with CR LF, because a file's name can end with
    /// CR. Returns the number of blank lines.
    fn lines(&mut self, list: &str, from: impl Read) -> Result<u64, E> {
        let mut lines = Lines::new(list, from, b'\n');
        let (mut name, mut blank, mut is_crlf) = (Vec::new(), 0, false);
        while lines.read_text(&mut name)? {
            if lines.number == 1 && name.ends_with(b"\r\n") {
                is_crlf = true;
                self.survey.crlf.push(list.to_owned());
            }
            if name.last() == Some(&b'\n') {
                name.pop();
            }
            if is_crlf && name.last() == Some(&b'\r') {
                name.pop();
            }
            if name.contains(&0) {
                let (list, line) = (list.to_owned(), lines.number);
                return Err(InputError::Nul { list, line }.into());
            }
            blank += u64::from(!self.named(&name, lines.number)?);
        }
        Ok(blank)
    }

    /// Reads names that end with NUL bytes. Returns the number of empty ones.
    fn names_with_nul(&mut self, list: &str, from: impl Read) -> Result<u64, E> {
        let mut lines = Lines::new(list, from, 0);
        let (mut name, mut blank) = (Vec::new(), 0);
        while lines.read(&mut name)? {
            if name.last() == Some(&0) {
                name.pop();
            }
            blank += u64::from(!self.named(&name, lines.number)?);
        }
        Ok(blank)
    }

    /// Passes on a name of a list. Returns whether it is not empty.
    fn named(&mut self, name: &[u8], line: u64) -> Result<bool, E> {
        if name.is_empty() {
            return Ok(false);
        }
        let item = FileName::new(name).into();
        self.item(Item { line, ..item })?;
        Ok(true)
    }
}
