//! Location checks: files of the list outside of the database's folder, and files of the list at an output path.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rusqlite::Params;

use super::error::{Result, doing};
use super::reader::Reader;
use super::values::path_from_sql;
use crate::job::FileName;
use crate::paths::folder_of;

impl Reader {
    /// Finds a file that may still be called and is outside of the database's folder by its name or through links.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn listed_elsewhere(&self) -> Result<Option<FileName>> {
        let base = self.base();
        let folder = folder_of(self.path());
        let mut inside = Inside::new(folder);
        let sql = "SELECT coalesce(input, path) FROM work JOIN job ON job.id = work.job
                   LEFT JOIN columns ON columns.job = job.id WHERE state <> 2 AND state <> 5";
        self.find(sql, [], &mut |name| {
            let path = base.join(name.as_path());
            let is_inside = leads_into(&path, folder) && inside.has(&path);
            (!is_inside).then(|| FileName::from(path.as_path()))
        })
    }

    /// Returns true if the list has the file at this path, also by a name that leads to it through linked folders.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn lists(&self, path: &Path) -> Result<bool> {
        let Ok(path) = path.canonicalize() else {
            return Ok(false);
        };
        let identity = |path: &Path| {
            let meta = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((meta.dev(), meta.ino()))
        };
        let (Some(wanted), Some(name)) = (identity(&path), path.file_name()) else {
            return Ok(false);
        };
        let base = self.base();
        let sql =
            "SELECT coalesce(input, path) AS name FROM job LEFT JOIN columns ON columns.job = job.id
                   WHERE substr(CAST(name AS BLOB), -length(?1)) = ?1";
        let found = self.find(sql, [name.as_bytes()], &mut |name| {
            (identity(&base.join(name.as_path())) == Some(wanted)).then_some(name)
        })?;
        Ok(found.is_some())
    }

    /// Returns the first name for which `found` returns one.
    fn find(
        &self,
        sql: &str,
        params: impl Params,
        found: &mut dyn FnMut(FileName) -> Option<FileName>,
    ) -> Result<Option<FileName>> {
        let mut first = None;
        let ended = self.rows(sql, params, &mut |row| {
            let name = path_from_sql(row, 0).map_err(doing("reading the list"))?;
            first = found(name);
            // An error without a cause ends the search.
            if first.is_some() { Err(None) } else { Ok(()) }
        });
        match ended {
            Err(Some(error)) => Err(error),
            _ => Ok(first),
        }
    }
}

/// Checks whether links lead out of a folder. Remembers the latest subfolder, since many files share one.
struct Inside {
    folder: PathBuf,
    /// The latest subfolder; true if it is inside.
    latest: Option<(PathBuf, bool)>,
}

impl Inside {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
            latest: None,
        }
    }

    /// Returns true if a file is in the folder, or missing.
    fn has(&mut self, path: &Path) -> bool {
        let Some(parent) = path.parent() else {
            return false;
        };
        let is_inside = match &self.latest {
            Some((latest, is_inside)) if latest == parent => *is_inside,
            _ => {
                let is_inside = self.holds(parent);
                self.latest = Some((parent.to_owned(), is_inside));
                is_inside
            }
        };
        is_inside && (!path.is_symlink() || self.holds(path))
    }

    fn holds(&self, path: &Path) -> bool {
        path.canonicalize()
            .map_or(true, |path| path.starts_with(&self.folder))
    }
}

/// Returns true if a path stays below a folder and never climbs.
fn leads_into(path: &Path, folder: &Path) -> bool {
    let is_up = |part| part == Component::ParentDir;
    path.strip_prefix(folder)
        .is_ok_and(|rest| !rest.components().any(is_up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_climbs_leads_elsewhere_even_if_it_returns() {
        for (path, expected) in [
            ("/a/b", true),
            ("/a", true),
            ("/a/b..c", true),
            ("/a/../a/b", false),
            ("/ab", false),
            ("/", false),
        ] {
            assert_eq!(
                leads_into(Path::new(path), Path::new("/a")),
                expected,
                "{path}"
            );
        }
    }
}
