//! A folder with a file for each answer, and a manifest that maps jobs to files.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use super::content::{ResultContent, extracted_text};
use super::error::{ExportError, write_failed};
use super::form::{ExportSummary, Form, Format, Selection};
use super::{names, rows};
use crate::atomic_file::{FileError, Target, Temporary, remove};
use crate::job::{Body, Checksum, Class, FileName, JobState, ending};
use crate::store::{Reader, Record};

/// The name of the manifest: one JSON object per line, one line per job.
const MANIFEST: &str = "manifest.jsonl";

/// A line of the manifest. A name that is not UTF-8 is followed by its bytes in base64.
#[derive(Serialize)]
struct ManifestEntry<'l> {
    file: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    state: JobState,
    /// The answer's path in the folder.
    answer: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_bytes: Option<String>,
    /// The answer's `Content-Type` as received.
    media_type: Option<&'l str>,
    /// The size of the answer's file in bytes.
    size: Option<u64>,
    sha256: Option<Checksum>,
    class: Option<Class>,
    status: Option<u16>,
    error: Option<Cow<'l, str>>,
}

/// An answer in the folder.
struct AnswerFile {
    name: FileName,
    size: u64,
    sha256: Checksum,
}

/// The fields of a manifest's line that identify a file of an earlier export.
#[derive(Deserialize)]
struct ManifestFields {
    #[serde(rename = "file")]
    _file: String,
    #[serde(rename = "state")]
    _state: String,
    answer: Option<String>,
    answer_bytes: Option<String>,
    size: Option<u64>,
    sha256: Option<String>,
}

/// Writes each result, or its extracted value, into a file of its own. The file has the job's name and an extension for its
/// content. `manifest.jsonl` maps jobs to files.
///
/// The folder may be missing, empty, or an unchanged earlier export, which is replaced. The new folder is built beside
/// it, synced and renamed. Of `form`, the format and all that belongs to tables are ignored.
///
/// # Errors
///
/// As [`to_file`](super::to_file), and if the target is a file, the current folder, or a folder with other contents. The
/// target is then unchanged, unless only the final sync failed.
pub fn to_folder<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    path: &Path,
) -> Result<ExportSummary, ExportError> {
    let form = Form {
        format: Format::Json,
        ..form.into()
    };
    let target = Target::new(reader.path(), path)?;
    check(&target)?;
    form.check(reader, selection)?;
    let replaced = target.permissions();
    // Until it has the permissions of the old folder, only its owner can read it.
    let mode = replaced.as_ref().map_or(0o777, |_| 0o700);
    let made = Temporary::beside(&target.path, |path| {
        DirBuilder::new().mode(mode).create(path)?;
        File::open(path)
    });
    let temporary = made.map_err(|error| target.failed(error))?;
    let write = || -> Result<ExportSummary, ExportError> {
        let mut folder = Folder::new(&temporary.path).map_err(write_failed)?;
        let written = rows::each(reader, &form, selection, &[], |record, content| {
            folder.add(record, content)
        })?;
        folder.finish().map_err(write_failed)?;
        // Another program may have changed the target meanwhile.
        check(&target)?;
        replaced
            .map_or(Ok(()), |mode| temporary.file.set_permissions(mode))
            .and_then(|()| replace(&temporary.path, &target.path))
            .and_then(|()| target.sync())
            .map_err(write_failed)?;
        Ok(written)
    };
    write().map_err(|error| match error {
        ExportError::File(FileError::Write { source, .. }) => target.failed(source).into(),
        error => error,
    })
}

/// Checks that an export may replace the target.
fn check(target: &Target<'_>) -> Result<(), FileError> {
    let is_current = std::env::current_dir().is_ok_and(|current| current == target.path);
    let meta = match fs::symlink_metadata(&target.path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(target.failed(error)),
        Ok(meta) => meta,
    };
    if !meta.is_dir() {
        return Err(target.refused("it is not a folder"));
    }
    if is_current {
        return Err(target.refused("it is the current folder, which cannot be moved"));
    }
    match is_replaceable(&target.path).map_err(|error| target.failed(error))? {
        true => Ok(()),
        false => Err(target.refused("it is neither empty nor a complete earlier export")),
    }
}

/// Returns whether a folder is empty or an unchanged export: it has every file that its manifest names, unchanged, and no
/// others.
fn is_replaceable(folder: &Path) -> io::Result<bool> {
    if fs::read_dir(folder)?.next().is_none() {
        return Ok(true);
    }
    let manifest = match File::open(folder.join(MANIFEST)) {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let exported = manifest.metadata()?.modified()?;
    let mut listed = 1;
    for line in BufReader::new(manifest).lines() {
        let Ok(Ok(line)) = line.map(|line| serde_json::from_str::<ManifestFields>(&line)) else {
            return Ok(false);
        };
        let bytes = match (line.answer, line.answer_bytes) {
            (_, Some(bytes)) => STANDARD.decode(bytes).unwrap_or_default(),
            (Some(answer), None) => answer.into_bytes(),
            (None, None) => continue,
        };
        let answer = folder.join(OsStr::from_bytes(&bytes));
        let is_below = !bytes.starts_with(b"/");
        if !is_below || !is_unchanged(&answer, line.size, line.sha256.as_deref(), exported)? {
            return Ok(false);
        }
        listed += 1;
    }
    Ok(count(folder)? == listed)
}

/// Returns whether an answer's file is as it was exported. Reads it only if it was modified after the manifest, as after a
/// copy.
fn is_unchanged(
    path: &Path,
    size: Option<u64>,
    sha256: Option<&str>,
    exported: SystemTime,
) -> io::Result<bool> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() && Some(meta.len()) == size => meta,
        _ => return Ok(false),
    };
    if meta.modified()? <= exported {
        return Ok(true);
    }
    let sum = Checksum::of_all(&mut File::open(path)?)?;
    Ok(sha256.and_then(Checksum::from_hex) == Some(sum))
}

/// Counts everything below a folder except folders.
fn count(folder: &Path) -> io::Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        count += match entry.file_type()?.is_dir() {
            true => self::count(&entry.path())?,
            false => 1,
        };
    }
    Ok(count)
}

/// Renames `new` to `place`. An earlier folder there is exchanged with `new` and then removed, so `place` never disappears.
/// On a file system that cannot exchange names, `place` is missing for a moment.
fn replace(new: &Path, place: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => {
            remove(new);
            return Ok(());
        }
        Err(rustix::io::Errno::NOENT) => return fs::rename(new, place),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    // `remove_stale` does not match this name, so a crash between the two renames keeps the earlier export.
    let mut old = new.as_os_str().to_owned();
    old.push("-old");
    fs::rename(place, &old)?;
    match fs::rename(new, place) {
        Ok(()) => remove(Path::new(&old)),
        Err(error) => {
            fs::rename(&old, place)?;
            return Err(error);
        }
    }
    Ok(())
}

/// A folder that is being filled.
struct Folder {
    path: PathBuf,
    manifest: BufWriter<File>,
}

impl Folder {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            // Created first, so that no answer gets this name.
            manifest: BufWriter::new(create(&path.join(MANIFEST))?),
            path: path.to_owned(),
        })
    }

    fn add(
        &mut self,
        record: &Record,
        content: Option<&ResultContent<'_>>,
    ) -> Result<(), ExportError> {
        let result = record.result.as_ref();
        let media_type = result.and_then(|result| result.media_type.as_deref());
        let answer = match (content, result) {
            (Some(ResultContent::Extracted(json)), _) => Some(match extracted_text(json) {
                Some(text) => self.write(record, ".txt", &text.into(), None)?,
                None => self.write(record, ".json", &json.as_str().into(), None)?,
            }),
            (Some(content), Some(result)) => {
                let extension = match content {
                    ResultContent::Json(_) => "json",
                    ResultContent::Text(_) if media_type.is_none() => "txt",
                    _ => ending(media_type),
                };
                let body = result.open(&record.path)?;
                let sha256 = result.file.as_ref().map(|file| file.sha256);
                Some(self.write(record, &format!(".{extension}"), &body, sha256)?)
            }
            _ => None,
        };
        let name = answer.as_ref().map(|answer| answer.name.to_string_lossy());
        let line = ManifestEntry {
            file: &record.path.to_string_lossy(),
            path_bytes: record.path.non_utf8_bytes(),
            state: record.state,
            answer: name.as_deref(),
            answer_bytes: answer
                .as_ref()
                .and_then(|answer| answer.name.non_utf8_bytes()),
            media_type,
            size: answer.as_ref().map(|answer| answer.size),
            sha256: answer.as_ref().map(|answer| answer.sha256),
            class: record.class,
            status: record.status,
            error: record.reason(),
        };
        serde_json::to_writer(&mut self.manifest, &line)
            .map_err(io::Error::from)
            .and_then(|()| self.manifest.write_all(b"\n"))
            .map_err(write_failed)
    }

    /// Writes an answer into a new file. `sha256` is its checksum, if that is known.
    fn write(
        &self,
        record: &Record,
        extension: &str,
        body: &Body,
        sha256: Option<Checksum>,
    ) -> Result<AnswerFile, ExportError> {
        let write = || -> io::Result<AnswerFile> {
            let mut folder = self.path.clone();
            let mut parts = names::parts(record.path.as_bytes());
            let file = parts.pop().unwrap_or_default();
            for part in parts {
                folder = create_folder(&folder, &part)?;
            }
            let stem = names::without_extension(&file, extension);
            let (path, mut file) = create_numbered(&folder, stem, extension, create)?;
            let size = io::copy(&mut body.reader(), &mut file)?;
            #[cfg(not(target_os = "linux"))]
            file.sync_all()?;
            Ok(AnswerFile {
                name: path.strip_prefix(&self.path).unwrap_or(&path).into(),
                size,
                sha256: sha256.map_or_else(|| body.checksum(), Ok)?,
            })
        };
        write().map_err(write_failed)
    }

    /// Completes the manifest, and syncs all files.
    fn finish(self) -> io::Result<()> {
        let manifest = self
            .manifest
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        manifest.sync_all()?;
        // One system call instead of one per file: there may be millions of files.
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&File::open(&self.path)?)?;
        Ok(())
    }
}

/// Creates a folder below another, unless it exists. If an answer's file has that name, the folder's name gets a number.
fn create_folder(folder: &Path, name: &[u8]) -> io::Result<PathBuf> {
    let (path, ()) = create_numbered(folder, name, "", |path| match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created,
    })?;
    Ok(path)
}

/// Creates the first of the numbered names that is not taken, and returns its path.
fn create_numbered<T>(
    folder: &Path,
    stem: &[u8],
    extension: &str,
    create: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    let mut taken = 0;
    loop {
        let path = folder.join(OsStr::from_bytes(&names::numbered(stem, extension, taken)));
        match create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => taken += 1,
            created => return created.map(|created| (path, created)),
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
