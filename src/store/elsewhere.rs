//! Location checks: files of the list outside of the database's folder, and files of the list at an output path.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::error::{Result, StoreError, doing};
use super::read;
use super::reader::Reader;
use super::values::path_from_sql;
use crate::job::FileName;

/// Ends a search.
enum Ended {
    Found(FileName),
    Failed(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Reader {
    /// Finds a file of the list that may still be called and lies outside of the database's own folder, as its name says
    /// it or as links lead.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn listed_elsewhere(&self) -> Result<Option<FileName>> {
        let base = read::base(self.connection(), self.path())?;
        let folder = self.path().parent().unwrap_or(Path::new("/"));
        let mut inside = Inside::of(folder);
        let sql = "SELECT path FROM work JOIN job ON job.id = work.job WHERE state <> 2";
        let ended = self.rows(sql, [], &mut |row| {
            let name = path_from_sql(row, 0).map_err(doing("looking through the list"))?;
            let path = base.join(name.as_path());
            match leads_into(&path, folder) && inside.has(&path) {
                true => Ok(()),
                false => Err(Ended::Found(FileName::from(path.as_path()))),
            }
        });
        match ended {
            Ok(()) => Ok(None),
            Err(Ended::Found(name)) => Ok(Some(name)),
            Err(Ended::Failed(error)) => Err(error),
        }
    }

    /// Returns whether the list has the file at this path, also under a name that leads to it through linked folders.
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
        let base = read::base(self.connection(), self.path())?;
        let sql = "SELECT path FROM job WHERE substr(CAST(path AS BLOB), -length(?1)) = ?1";
        let ended = self.rows(sql, [name.as_bytes()], &mut |row| {
            let name = path_from_sql(row, 0).map_err(doing("looking through the list"))?;
            match identity(&base.join(name.as_path())) == Some(wanted) {
                true => Err(Ended::Found(name)),
                false => Ok(()),
            }
        });
        match ended {
            Ok(()) => Ok(false),
            Err(Ended::Found(_)) => Ok(true),
            Err(Ended::Failed(error)) => Err(error),
        }
    }
}

/// Checks whether links lead out of a folder. Remembers the latest subfolder, since many files share one.
struct Inside {
    folder: PathBuf,
    /// The latest folder, and whether it lies in this one.
    latest: Option<(PathBuf, bool)>,
}

impl Inside {
    fn of(folder: &Path) -> Self {
        Self {
            folder: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
            latest: None,
        }
    }

    /// Returns whether a file lies in the folder. A missing file does.
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

/// Whether a path stays below a folder, step by step.
fn leads_into(path: &Path, folder: &Path) -> bool {
    let is_up = |part| part == Component::ParentDir;
    path.strip_prefix(folder)
        .is_ok_and(|rest| !rest.components().any(is_up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_climbs_leads_elsewhere_even_where_it_comes_back() {
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
