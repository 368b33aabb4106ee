//! Explains why the files that a list names are missing.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use stride::input::{Item, Key, Layout, Source};
use stride::job::{Columns, FileName};
use stride::paths::folder_of;

use crate::cli::output::error::{CliError, quoted};
use crate::cli::session::list::label;

/// The maximum number of a list's first names that are looked up.
const LOOKED_UP: usize = 5;
/// The maximum number of entries of the run's folder among which folders are searched.
const FOLDERS: usize = 1000;
/// The columns that name a file by default.
const USUAL: [&str; 2] = ["path", "file"];

/// The first files of the first list.
#[derive(Debug)]
pub(super) struct FirstFiles {
    /// The index of the list.
    source: usize,
    names: Vec<FileName>,
    rows: Vec<Columns>,
}

impl FirstFiles {
    /// Remembers a job of a list if it is one of the first.
    pub(super) fn remember(first: &mut Option<Self>, item: &Item) {
        let first = first.get_or_insert_with(|| Self {
            source: item.source,
            names: Vec::new(),
            rows: Vec::new(),
        });
        if first.source == item.source && first.names.len() < LOOKED_UP {
            let file = item.file.as_ref().unwrap_or(&item.name);
            first.names.push(file.clone());
            let row = item.columns.as_deref().map(Columns::read);
            first.rows.extend(row.into_iter().flatten());
        }
    }

    /// Names the folder in which the names were searched, if they are relative and none is there.
    pub(super) fn searched(&self, base: &Path) -> Option<String> {
        let is_there = |name: &FileName| base.join(name.as_path()).exists();
        let is_relative = |name: &FileName| name.as_path().is_relative();
        let explains = self.names.iter().all(is_relative) && !self.names.iter().any(is_there);
        explains.then(|| {
            format!(
                "names are relative to {}, and the first of the list are not there",
                FileName::from(base)
            )
        })
    }

    /// Returns a hint if all of these files are missing and something tells why. `fields` are the request's placeholders
    /// that read the file.
    pub(super) fn explain(
        &self,
        base: &Path,
        sources: &[Source],
        fields: &[&str],
    ) -> Option<String> {
        let all_in = |folder: &Path| {
            let is_there = |name: &FileName| folder.join(name.as_path()).exists();
            self.names.iter().all(is_there)
        };
        if self
            .names
            .iter()
            .any(|name| base.join(name.as_path()).exists())
        {
            return None;
        }
        let source = sources.get(self.source)?;
        if let Source::List(list, _) = source
            && all_in(&base.join(folder_of(list)))
        {
            let list_name = quoted(Path::new(list.file_name()?));
            return Some(format!(
                "the names in {} are relative to its folder: cd {}, and repeat the command there with --files-from {list_name}",
                label(source),
                quoted(folder_of(list))
            ));
        }
        let (Source::List(_, layout) | Source::Stdin(layout)) = source else {
            return None;
        };
        match layout {
            Layout::Csv { key } | Layout::Jsonl { key } => self.explain_rows(base, key, fields),
            Layout::Lines | Layout::Nul => {
                if let Some(format) = self.looks_like() {
                    return Some(format!(
                        "the lines look like rows of a table: repeat the command with --list-format {format} --forget-unlisted"
                    ));
                }
                let folder = folders(base).find(|folder| all_in(&base.join(folder)))?;
                let folder = quoted(&folder);
                Some(format!(
                    "the files are in {folder}: name them from here, as `find {folder} -type f` does, and repeat the command with --forget-unlisted"
                ))
            }
        }
    }

    /// Returns a hint about the rows of a table whose files are missing.
    fn explain_rows(&self, base: &Path, key: &Key, fields: &[&str]) -> Option<String> {
        let row = self.rows.first()?;
        let has_file = |row: &Columns, column: &str| {
            let name = row.text(column);
            name.is_some_and(|name| !name.is_empty() && base.join(&*name).exists())
        };
        let by_column = USUAL
            .into_iter()
            .find(|column| self.rows.iter().any(|row| has_file(row, column)));
        let field = fields.iter().find(|field| row.json(field).is_some());
        match (field, by_column) {
            (Some(field), None) => {
                return Some(format!(
                    "{{{field}}} is of the file; for the column, repeat the command with {{col.{field}}}"
                ));
            }
            (None, Some(column)) => {
                return Some(format!(
                    "the column `{column}` names the files: repeat the command with --key-column {column} --forget-unlisted"
                ));
            }
            (Some(field), Some(column)) => {
                return Some(format!(
                    "repeat the command with {{col.{field}}} for the column, or with --key-column {column} --forget-unlisted for {{{field}}} of the file"
                ));
            }
            (None, None) => {}
        }
        let Key::Columns(column) = key else {
            return None;
        };
        Some(format!(
            "the column `{}` names no files; to use the row itself, repeat the command with {{row}} or {{col.NAME}} in place of the file",
            FileName::new(column.as_bytes())
        ))
    }

    /// Returns the format of a table, if the names look like its rows.
    fn looks_like(&self) -> Option<&'static str> {
        let names = || self.names.iter().map(FileName::as_bytes);
        if names().all(is_object) {
            return Some("jsonl");
        }
        let commas = |name: &[u8]| name.iter().filter(|byte| **byte == b',').count();
        let of_first = names().next().map_or(0, commas);
        let is_table =
            of_first > 0 && names().len() > 1 && names().all(|name| commas(name) >= of_first);
        is_table.then_some("csv")
    }
}

/// Refuses a list of lines whose first line is surely the header of a CSV table, or a JSON object.
pub(super) fn refuse_table(item: &Item, source: &Source) -> Result<(), CliError> {
    let (Source::List(_, Layout::Lines) | Source::Stdin(Layout::Lines)) = source else {
        return Ok(());
    };
    let line = item.name.as_bytes();
    let is_usual = |cell: &[u8]| {
        let cell = cell.strip_prefix(b"\"").unwrap_or(cell);
        let cell = cell.strip_suffix(b"\"").unwrap_or(cell);
        USUAL.iter().any(|usual| cell == usual.as_bytes())
    };
    let is_header = line.contains(&b',') && line.split(|byte| *byte == b',').any(is_usual);
    let format = match (is_header, is_object(line)) {
        (true, _) => "csv",
        (_, true) => "jsonl",
        _ => return Ok(()),
    };
    if item.name.as_path().exists() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{} is a table: it begins with {}",
        label(source),
        item.name
    ))
    .note("nothing was changed")
    .hint(format!(
        "add --list-format {format}; if its lines are names of files, add --list-format lines"
    )))
}

fn is_object(line: &[u8]) -> bool {
    line.starts_with(b"{\"") && line.ends_with(b"}")
}

/// Returns the visible folders in a folder.
fn folders(base: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let folders = entries.take(FOLDERS).filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| PathBuf::from(entry.file_name()));
    names.filter(|name| !name.as_os_str().as_bytes().starts_with(b"."))
}
