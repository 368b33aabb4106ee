//! The last resort: what calls came to and could not be recorded is written into a file of its own, from which the next
//! runner takes it. JSON lines, so that people can read it too: a header, then a line a call.

use std::ffi::OsString;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};

use super::body::Filed;
use super::error::Result;
use super::files;
use super::settle::Ended;
use super::types::{Claim, Settlement};
use super::writer::Store;
use crate::job::{Answer, AttemptId, Body, Checksum, FileName, IdempotencyKey, JobId, Refused};
use crate::retry::{Next, Record};

/// How many letters make a file's name its own.
const LETTERS: usize = 8;
/// How much of a body is encoded at once, in bytes: a multiple of three, so that the pieces can be put together.
const PIECE: usize = 3 << 14;

/// What could be saved of what could not be recorded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// The files, of which there are several where one could not be written to its end.
    pub files: Vec<PathBuf>,
    /// How many calls' outcomes are in them.
    pub saved: u64,
    /// The calls that were answered, and whose answers could not be written anywhere.
    pub lost: Vec<FileName>,
}

/// Writes what calls came to into the first of some folders that takes it.
#[derive(Debug)]
pub struct Rescue {
    /// Those that have not failed, the one in use last.
    folders: Vec<PathBuf>,
    name: OsString,
    header: Header,
    file: Option<BufWriter<File>>,
    /// What was written and may not be on the disk.
    unsynced: Vec<(FileName, Line)>,
    rescued: Rescued,
}

/// What a rescue file begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The version of the form.
    pub(super) stride_rescue: u32,
    /// The run that the calls belong to.
    pub(super) run: String,
}

/// The form that this program writes.
const FORM: u32 = 1;

impl Header {
    pub(super) fn of(run: &[u8; 16]) -> Self {
        Self {
            stride_rescue: FORM,
            run: run.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// What is saved of a call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// For people.
    path: String,
    job: i64,
    attempt: u32,
    key: String,
    pub(super) outcome: String,
    class: Option<String>,
    kind: Option<String>,
    status: Option<u16>,
    message: Option<String>,
    body: Option<Bytes>,
    took_ms: u64,
    pub(super) next: Where,
    wait_ms: Option<u64>,
    charged: u32,
    crashes: u32,
    generation: u32,
    result: Option<Kept>,
    refused: Option<Kept>,
}

/// Where a job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Where {
    Done,
    Failed,
    Held,
    Pending,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    media_type: Option<String>,
    headers: Option<String>,
    /// The file that it is in, where it is in one for good, and how large that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<Bytes>,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Bytes>,
    sha256: String,
}

/// Bytes as base64, which a large body is turned into as it is written.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Bytes(Body);

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        Ok(Self(STANDARD.decode(text)?.into()))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reader = self.0.reader();
        let mut left = self.0.len();
        let mut piece = vec![0; PIECE];
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let piece = piece.get_mut(..room).ok_or(fmt::Error)?;
            reader.read_exact(piece).map_err(|_| fmt::Error)?;
            f.write_str(&STANDARD.encode(piece))?;
            left -= room as u64;
        }
        Ok(())
    }
}

impl Kept {
    fn of(
        media_type: Option<&String>,
        headers: Option<&String>,
        body: &Body,
        checksum: Option<Checksum>,
    ) -> io::Result<Self> {
        let checksum = checksum.map_or_else(|| body.checksum(), Ok)?;
        let file = body.path().map(FileName::from);
        Ok(Self {
            media_type: media_type.cloned(),
            headers: headers.cloned(),
            body: file.is_none().then(|| Bytes(body.clone())),
            file: file.map(|file| Bytes(file.as_bytes().into())),
            size: body.len(),
            sha256: checksum.to_string(),
        })
    }

    /// Its body, if it is what was saved.
    fn body(&self) -> io::Result<Body> {
        let wrong = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
        let sha256 = Checksum::from_hex(&self.sha256).ok_or_else(|| wrong("it has no checksum"))?;
        match (&self.file, &self.body) {
            (Some(Bytes(name)), None) => {
                let path = FileName::new(name.bytes()?.into_owned());
                let size = self.size;
                Filed { path, size, sha256 }.open()
            }
            (None, Some(Bytes(body))) if body.checksum()? == sha256 => Ok(body.clone()),
            (None, Some(_)) => Err(wrong("its bytes are not those that were saved")),
            _ => Err(wrong("it has no body, or two")),
        }
    }
}

impl Line {
    fn of(path: &FileName, key: IdempotencyKey, settlement: &Settlement) -> io::Result<Self> {
        let ended = Ended::from(settlement);
        let result = ended.result.map(|answer| {
            let (media_type, headers) = (answer.media_type.as_ref(), answer.headers.as_ref());
            Kept::of(media_type, headers, &answer.body, ended.checksum)
        });
        let refused = ended.refused.map(|refused| {
            let (media_type, headers) = (refused.media_type.as_ref(), refused.headers.as_ref());
            Kept::of(media_type, headers, &refused.body, None)
        });
        let (next, wait_ms) = match ended.next {
            Next::Done => (Where::Done, None),
            Next::Fail => (Where::Failed, None),
            Next::Hold => (Where::Held, None),
            Next::Again(wait) => (
                Where::Pending,
                Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            ),
        };
        Ok(Self {
            path: path.to_string(),
            job: ended.attempt.job.0,
            attempt: ended.attempt.number,
            key: key.to_string(),
            outcome: ended.outcome.to_owned(),
            class: ended.class.map(str::to_owned),
            kind: ended.kind.map(str::to_owned),
            status: ended.status,
            message: ended.message.map(str::to_owned),
            body: ended.body.map(|body| Bytes(body.into())),
            took_ms: u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
            next,
            wait_ms,
            charged: ended.record.charged,
            crashes: ended.record.crashes,
            generation: ended.record.generation,
            result: result.transpose()?,
            refused: refused.transpose()?,
        })
    }

    /// The file's name, for people.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// When the call began, in milliseconds since 1970, if it ended now at the latest.
    pub(super) fn began(&self, now: i64) -> i64 {
        now.saturating_sub_unsigned(self.took_ms)
    }

    /// The attempt, and its key as text.
    pub(super) fn attempt(&self) -> (AttemptId, &str) {
        let job = JobId(self.job);
        let number = self.attempt;
        (AttemptId { job, number }, &self.key)
    }

    /// Hands what was saved to `write`, if it is whole: the words and numbers are the schema's to check.
    pub(super) fn read<T>(
        &self,
        write: impl FnOnce(&Ended<'_>) -> Result<T>,
    ) -> std::result::Result<Result<T>, io::Error> {
        let whole = (self.next == Where::Done) == self.result.is_some()
            && self.result.is_some() == (self.outcome == "succeeded");
        if !whole {
            let reason = "what was saved of a call contradicts itself";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let result = self.result.as_ref().map(|kept| {
            Ok::<_, io::Error>(Answer {
                status: self.status,
                media_type: kept.media_type.clone(),
                headers: kept.headers.clone(),
                body: kept.body()?,
                hint: None,
            })
        });
        let refused = self.refused.as_ref().map(|kept| {
            Ok::<_, io::Error>(Refused {
                media_type: kept.media_type.clone(),
                headers: kept.headers.clone(),
                body: kept.body()?,
            })
        });
        let (result, refused) = (result.transpose()?, refused.transpose()?);
        let checksum = result.as_ref().map(|answer| answer.body.checksum());
        let body = self.body.as_ref().map(|Bytes(body)| body.bytes());
        let (checksum, body) = (checksum.transpose()?, body.transpose()?);
        let (attempt, _) = self.attempt();
        Ok(write(&Ended {
            attempt,
            outcome: &self.outcome,
            class: self.class.as_deref(),
            kind: self.kind.as_deref(),
            status: self.status,
            message: self.message.as_deref(),
            body: body.as_deref(),
            took: Duration::from_millis(self.took_ms),
            result: result.as_ref(),
            checksum,
            refused: refused.as_ref(),
            next: match self.next {
                Where::Done => Next::Done,
                Where::Failed => Next::Fail,
                Where::Held => Next::Hold,
                Where::Pending => Next::Again(Duration::from_millis(self.wait_ms.unwrap_or(0))),
            },
            record: Record {
                charged: self.charged,
                crashes: self.crashes,
                generation: self.generation,
                ..Record::default()
            },
        }))
    }
}

impl Store {
    /// What is to be done with what cannot be recorded. Nothing is written before there is something to save.
    pub fn rescue(&self) -> Rescue {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(files::RESCUE_INFIX);
        Rescue {
            folders: self.rescue_folders.iter().rev().cloned().collect(),
            name,
            header: Header::of(&self.uuid),
            file: None,
            unsynced: Vec::new(),
            rescued: Rescued::default(),
        }
    }

    /// Names the folders that may take what cannot be recorded, the best first, instead of the database's own: one on
    /// another disk may still be written where that one cannot.
    pub fn rescue_into(&mut self, folders: Vec<PathBuf>) {
        self.rescue_folders = folders;
    }
}

impl Rescue {
    /// Saves what a call came to, in the first folder that takes it. It is on the disk after [`Rescue::sync`].
    pub fn save(&mut self, claim: &Claim, settlement: &Settlement) {
        let path = claim.job.path.clone();
        match Line::of(&path, claim.attempt.key, settlement) {
            Ok(line) => {
                self.unsynced.push((path, line));
                self.write(self.unsynced.len() - 1);
            }
            // Its body was in a temporary file that cannot be read any more.
            Err(_) => self.rescued.lost.push(path),
        }
    }

    /// Makes durable what was saved.
    pub fn sync(&mut self) {
        while let Some(file) = &self.file
            && file.get_ref().sync_all().is_err()
        {
            self.give_up_folder();
            self.write(0);
        }
        let lines = std::mem::take(&mut self.unsynced);
        match self.file {
            Some(_) => self.rescued.saved += lines.len() as u64,
            None => self
                .rescued
                .lost
                .extend(lines.into_iter().map(|(path, _)| path)),
        }
    }

    /// Writes what is not on the disk, from this line on, or all of it where another folder has to take it.
    fn write(&mut self, mut from: usize) {
        while !self.folders.is_empty() {
            match self.append(from) {
                Ok(()) => return,
                Err(_) => {
                    self.give_up_folder();
                    from = 0;
                }
            }
        }
    }

    /// What is in its file stays there; a line that is not whole is passed over.
    fn give_up_folder(&mut self) {
        self.file = None;
        self.folders.pop();
    }

    fn append(&mut self, from: usize) -> io::Result<()> {
        if self.file.is_none() {
            self.open()?;
        }
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        for (_, line) in self.unsynced.iter().skip(from) {
            serde_json::to_writer(&mut *file, line)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }

    fn open(&mut self) -> io::Result<()> {
        let folder = self.folders.last().ok_or(io::ErrorKind::NotFound)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let letters: String = (0..LETTERS).map(|_| fastrand::lowercase()).collect();
        let mut name = self.name.clone();
        name.push(letters);
        name.push(".");
        name.push(files::RESCUE_SUFFIX);
        let path = folder.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let mut file = BufWriter::new(file);
        serde_json::to_writer(&mut file, &self.header)?;
        file.write_all(b"\n")?;
        file.flush()?;
        File::open(folder)?.sync_all()?;
        self.rescued.files.push(path);
        self.file = Some(file);
        Ok(())
    }

    /// What could be saved.
    pub fn finish(mut self) -> Rescued {
        self.sync();
        self.rescued
    }
}
