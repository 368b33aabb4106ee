//! The files that belong to a run: neither its input nor what it may write.

use std::path::{Path, PathBuf};

use stride::job::FileName;
use stride::store::Reader;

use super::args::Outputs;
use super::error::Problem;

/// The files of a run whose database nobody has opened.
pub(crate) fn own_files(db: &Path) -> Vec<PathBuf> {
    let mut own: Vec<PathBuf> = resolved(db).into_iter().collect();
    for end in ["-wal", "-shm", ".lock"] {
        let mut name = db.as_os_str().to_owned();
        name.push(end);
        own.extend(resolved(Path::new(&name)));
    }
    // What cannot be read has no files that it knows of.
    own.extend(
        Reader::open(db)
            .and_then(|reader| reader.artifacts())
            .unwrap_or_default(),
    );
    own
}

/// Checks that what is to be written lies outside of the run's own files.
pub(crate) fn outside(outputs: &Outputs, own: &[PathBuf]) -> Result<(), Problem> {
    match outputs.events.as_deref() {
        Some(path) if resolved(path).is_some_and(|path| own.contains(&path)) => {
            let name = FileName::from(path);
            Err(
                Problem::usage(format!("{name} belongs to the run's database"))
                    .hint("give another file to --events"),
            )
        }
        _ => Ok(()),
    }
}

/// A file's path with links resolved, whether or not it is there yet.
pub(crate) fn resolved(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| {
        let folder = path
            .parent()
            .filter(|folder| *folder != Path::new(""))
            .unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    })
}
