//! A folder with a file for each answer, and a list that says which is whose.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use super::content::Content;
use super::content::extracted_text;
use super::error::{ExportError, write_failed};
use super::form::{Form, Format, Selection, Written};
use super::names::{self, Spot};
use super::rows;
use crate::atomic_file::{AtomicFileError, Place, Temporary, remove, remove_stale};
use crate::job::{Body, Checksum, Class, FileName, JobState, ending};
use crate::store::{Reader, Record};

/// The list of a folder: a JSON object a line and a job.
const MANIFEST: &str = "manifest.jsonl";

/// A line of the list. A name that is not UTF-8 has its bytes in base64 beside it.
#[derive(Serialize)]
struct Line<'l> {
    file: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    state: JobState,
    /// Where its answer lies in the folder, if it has one.
    answer: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_bytes: Option<String>,
    /// The answer's `Content-Type` as received.
    media_type: Option<&'l str>,
    /// How many bytes the file has, and their checksum.
    size: Option<u64>,
    sha256: Option<String>,
    class: Option<Class>,
    status: Option<u16>,
    error: Option<&'l str>,
}

/// What a line of the list has to have, to be one of ours.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "file")]
    _file: String,
    #[serde(rename = "state")]
    _state: String,
    answer: Option<String>,
    answer_bytes: Option<String>,
    #[serde(rename = "sha256")]
    _sha256: Option<String>,
}

/// Writes each result into a file of its own, below a folder: called by its job's name, with an ending that says what it
/// is, and as received. `manifest.jsonl` in it says which file is which job's. The folder may be missing or empty, or an
/// earlier export with nothing else in it, whose place the new one takes; it is made beside its place, synced and
/// moved. `form`'s format and columns are without meaning here.
///
/// # Errors
///
/// As [`to_file`](super::to_file); and the folder has something in it that is not of an earlier export. Then
/// everything is as it was.
pub fn to_folder<'e>(
    reader: &Reader,
    form: impl Into<Form<'e>>,
    selection: Selection,
    path: &Path,
) -> Result<Written, ExportError> {
    let form = Form {
        format: Format::Json,
        ..form.into()
    };
    let place = Place::of(reader.path(), path)?;
    check(&place)?;
    form.check(reader, selection)?;
    remove_stale(&place.target);
    let made = Temporary::beside(&place.target, |path| {
        DirBuilder::new().mode(0o700).create(path)?;
        File::open(path)
    });
    let temporary = made.map_err(|error| place.failed(error))?;
    let write = || -> Result<Written, ExportError> {
        let mut folder = Folder::fill(&temporary.path).map_err(write_failed)?;
        let written = rows::each(reader, &form, selection, &mut |record, content| {
            folder.add(record, content)
        })?;
        folder.finish().map_err(write_failed)?;
        // It may have been filled meanwhile.
        check(&place)?;
        replace(&temporary.path, &place.target)
            .and_then(|()| place.sync())
            .map_err(write_failed)?;
        Ok(written)
    };
    write().map_err(|error| match error {
        ExportError::Write { source, .. } => place.failed(source).into(),
        error => error,
    })
}

/// Checks that an export may take the place of what is there.
fn check(place: &Place<'_>) -> Result<(), AtomicFileError> {
    let is_current = std::env::current_dir().is_ok_and(|current| current == place.target);
    let meta = match fs::symlink_metadata(&place.target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(place.failed(error)),
        Ok(meta) => meta,
    };
    if !meta.is_dir() {
        return Err(place.refused("it is not a folder"));
    }
    if is_current {
        return Err(place.refused("it is the current folder, which cannot be moved away"));
    }
    match is_replaceable(&place.target).map_err(|error| place.failed(error))? {
        true => Ok(()),
        false => Err(place.refused("there is something in it that is not of an earlier export")),
    }
}

/// Whether a folder is empty, or has nothing in it but the files of an export, all of them: as many as its list names, and
/// each of those.
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
    let mut listed = 1;
    for line in BufReader::new(manifest).lines() {
        let Ok(Ok(line)) = line.map(|line| serde_json::from_str::<Listed>(&line)) else {
            return Ok(false);
        };
        let bytes = match (line.answer, line.answer_bytes) {
            (_, Some(bytes)) => STANDARD.decode(bytes).unwrap_or_default(),
            (Some(answer), None) => answer.into_bytes(),
            (None, None) => continue,
        };
        let answer = Path::new(OsStr::from_bytes(&bytes));
        if bytes.starts_with(b"/") || !is_file(&folder.join(answer)) {
            return Ok(false);
        }
        listed += 1;
    }
    Ok(count(folder)? == listed)
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
}

/// How many files and other things that are no folders are below a folder.
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

/// Moves a folder into its place. What was there before changes places with it and is removed then, so that there is one
/// of them at every moment; where a file system cannot exchange two names, there is none for a moment.
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
    // Nobody takes this name for what a killed export left: between the two moves it is the only export there is.
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

/// A folder under construction.
struct Folder {
    path: PathBuf,
    manifest: BufWriter<File>,
    /// The folder of the job before, as its name has it and as it is.
    last: (Vec<Vec<u8>>, PathBuf),
}

impl Folder {
    fn fill(path: &Path) -> io::Result<Self> {
        Ok(Self {
            // Made before the answers, so that none of them has this name.
            manifest: BufWriter::new(create(&path.join(MANIFEST))?),
            path: path.to_owned(),
            last: (Vec::new(), path.to_owned()),
        })
    }

    fn add(&mut self, record: &Record, content: Option<&Content<'_>>) -> Result<(), ExportError> {
        let media_type = record
            .result
            .as_ref()
            .and_then(|result| result.media_type.as_deref());
        let answer = match content {
            None => None,
            Some(Content::Extracted(json)) => Some(match extracted_text(json) {
                Some(text) => self.put(record, "txt", &text.into(), None)?,
                None => self.put(record, "json", &json.as_str().into(), None)?,
            }),
            Some(content) => {
                let Some(result) = &record.result else {
                    return Ok(());
                };
                let ending = match content {
                    Content::Json(_) => "json",
                    Content::Text(_) if media_type.is_none() => "txt",
                    _ => ending(media_type),
                };
                let body = result.open(&record.path)?;
                let sum = result.file.as_ref().map(|file| file.sha256);
                Some(self.put(record, ending, &body, sum)?)
            }
        };
        let name = answer.as_ref().map(|(name, ..)| name.to_string_lossy());
        let bytes = answer.as_ref().and_then(|(name, ..)| name.odd_bytes());
        let line = Line {
            file: &record.path.to_string_lossy(),
            path_bytes: record.path.odd_bytes(),
            state: record.state,
            answer: name.as_deref(),
            answer_bytes: bytes,
            media_type,
            size: answer.as_ref().map(|(_, size, _)| *size),
            sha256: answer.as_ref().map(|(.., sum)| sum.to_string()),
            class: record.class,
            status: record.status,
            error: record.message.as_deref(),
        };
        serde_json::to_writer(&mut self.manifest, &line)
            .map_err(io::Error::from)
            .and_then(|()| self.manifest.write_all(b"\n"))
            .map_err(write_failed)
    }

    /// Writes an answer. Returns where, how many bytes it has, and their checksum.
    fn put(
        &mut self,
        record: &Record,
        ending: &str,
        body: &Body,
        sum: Option<Checksum>,
    ) -> Result<(FileName, u64, Checksum), ExportError> {
        let place = Spot::of(record.path.as_bytes(), ending);
        let mut write = || -> io::Result<(PathBuf, u64)> {
            self.enter(&place.folders)?;
            let mut tried = 0;
            let (mut file, path) = loop {
                let name = place.file(tried);
                let path = self.last.1.join(OsStr::from_bytes(&name));
                match create(&path) {
                    Ok(file) => break (file, path),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => tried += 1,
                    Err(error) => return Err(error),
                }
            };
            let size = io::copy(&mut body.reader(), &mut file)?;
            #[cfg(not(target_os = "linux"))]
            file.sync_all()?;
            Ok((path, size))
        };
        let (path, size) = write().map_err(write_failed)?;
        let sum = match sum {
            Some(sum) => sum,
            None => body.checksum().map_err(write_failed)?,
        };
        let name = path.strip_prefix(&self.path).unwrap_or(&path);
        Ok((name.into(), size, sum))
    }

    /// Makes the folders on the way to a place, where they are not there.
    fn enter(&mut self, folders: &[Vec<u8>]) -> io::Result<()> {
        if self.last.0 == folders {
            return Ok(());
        }
        let mut path = self.path.clone();
        for name in folders {
            let mut tried = 0;
            path = loop {
                let below = path.join(OsStr::from_bytes(&names::folder(name, tried)));
                match DirBuilder::new().mode(0o700).create(&below) {
                    Ok(()) => break below,
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        if !is_file(&below) {
                            break below;
                        }
                        // The answer to another job.
                        tried += 1;
                    }
                    Err(error) => return Err(error),
                }
            };
        }
        self.last = (folders.to_vec(), path);
        Ok(())
    }

    /// Writes what is not written yet, and syncs all of it.
    fn finish(self) -> io::Result<()> {
        let manifest = self
            .manifest
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        manifest.sync_all()?;
        // One call instead of one for each of perhaps millions of files.
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&File::open(&self.path)?)?;
        Ok(())
    }
}

/// Makes a file that was not there, for its owner alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
