//! Imports the rescue files of earlier runs.

use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::connection::{self, Mode};
use super::counts::add_counts;
use super::crash_check::is_unclean;
use super::error::{Result, StoreError, doing};
use super::files::{self, with_suffix};
use super::owner;
use super::page::{self, RECORD, TABLES};
use super::reader::Reader;
use super::record::Record;
use super::recover::CRASHED;
use super::settle::{Ended, Settler};
use super::system::now;
use super::values::{miscounted, path_from_sql, shift, state_from_sql};
use super::writer::Store;
use crate::event::Counts;
use crate::job::{Answer, AttemptId, Class, FileName, IdempotencyKey, JobId, JobState, Refused};
use crate::paths::folder_of;
use crate::retry::{self, Next};

/// An imported rescue file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedRescue {
    /// The rescue file.
    pub file: PathBuf,
    /// Number of settlements recorded from it.
    pub recorded: u64,
    /// Jobs that were called again since, or whose saved settlement breaks a rule.
    pub left: Vec<FileName>,
    /// Jobs that are missing from the list, which may have been lost with a part of the WAL. The rescue file stays
    /// until they are loaded again.
    pub unknown: Vec<FileName>,
    /// New path of the file, if it was kept because of `left`.
    pub kept: Option<PathBuf>,
}

/// A rescue file that cannot be imported, or a folder that may hold some.
#[derive(Debug)]
pub struct RefusedRescue {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub reason: io::Error,
}

/// An open rescue file and its path.
type RescueFile = (PathBuf, Connection);

impl Store {
    /// Imports the rescue files of this run from the folders of [`Store::rescue_into`], and removes those of which
    /// everything is recorded. Call it before a runner begins, and begin none if files are refused: their jobs would be
    /// called again.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then the files are unchanged.
    pub fn import_rescues(&mut self) -> Result<(Vec<ImportedRescue>, Vec<RefusedRescue>)> {
        let (files, refused) = find(&self.connection, &self.path, &self.rescue_folders)?;
        let mut imported = Vec::new();
        for (path, rescue) in files {
            imported.push(self.import_file(path, rescue)?);
        }
        Ok((imported, refused))
    }

    fn import_file(&mut self, file: PathBuf, rescue: Connection) -> Result<ImportedRescue> {
        let (mut recorded, mut left, mut unknown) = (0, Vec::new(), Vec::new());
        let mut counts = self.counts;
        let transaction = self.owner.begin(&self.connection)?;
        let is_read = each_saved(&rescue, &mut |saved| {
            let saved = match saved {
                Ok(saved) => saved,
                Err(name) => {
                    left.push(name.unwrap_or_else(|| FileName::from(file.as_path())));
                    return Ok(());
                }
            };
            match import(&transaction, &mut counts, &saved, &self.uuid)? {
                Import::Recorded => recorded += 1,
                Import::Known => {}
                Import::Left => left.push(saved.record.path),
                Import::Unknown => unknown.push(saved.record.path),
            }
            Ok(())
        })?;
        if !is_read {
            left.push(FileName::from(file.as_path()));
        }
        add_counts(&transaction, &self.counts, &counts)?;
        owner::commit(transaction, "importing a rescue file")?;
        self.counts = counts;
        drop(rescue);
        // Ignore failure: after another import, all its settlements are known.
        let done = unknown.is_empty();
        let kept = (done && !left.is_empty()).then(|| file.with_extension("left"));
        let _ = match &kept {
            Some(kept) => fs::rename(&file, kept),
            None if done => fs::remove_file(&file),
            None => Ok(()),
        };
        Ok(ImportedRescue {
            file,
            recorded,
            left,
            unknown,
            kept,
        })
    }
}

impl Reader {
    /// Returns the rescue files in these folders that the next run will import, and those that it will refuse.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn rescues(&self, folders: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<RefusedRescue>)> {
        let (files, refused) = find(self.connection(), self.path(), folders)?;
        Ok((files.into_iter().map(|(path, _)| path).collect(), refused))
    }
}

/// Finds and opens the rescue files of a run. Files of other runs are skipped.
fn find(
    connection: &Connection,
    database: &Path,
    folders: &[PathBuf],
) -> Result<(Vec<RescueFile>, Vec<RefusedRescue>)> {
    let uuid = uuid(connection).map_err(doing("reading the run"))?;
    let users = Users::of(database);
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for folder in folders {
        if let Err(reason) = fs::read_dir(folder)
            && !matches!(
                reason.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory
            )
            && is_unclean(connection)?
        {
            let path = folder.clone();
            refused.push(RefusedRescue { path, reason });
        }
        let mut files = files::rescue_files(folder, database);
        files.retain(|path| path.extension() == Some(files::RESCUE_SUFFIX.as_ref()));
        for path in files {
            match open(&path, &uuid, users) {
                Ok(Some(file)) => found.push((path, file)),
                Err(reason) if reason.kind() != ErrorKind::NotFound => {
                    refused.push(RefusedRescue { path, reason });
                }
                _ => {}
            }
        }
    }
    Ok((found, refused))
}

fn uuid(connection: &Connection) -> rusqlite::Result<[u8; 16]> {
    connection.query_row("SELECT uuid FROM run", [], |row| row.get(0))
}

/// Users whose rescue files are imported: those who can write the database anyway.
#[derive(Debug, Clone, Copy)]
struct Users([u32; 2]);

impl Users {
    fn of(database: &Path) -> Self {
        let own = rustix::process::geteuid().as_raw();
        Self([own, fs::metadata(database).map_or(own, |meta| meta.uid())])
    }

    /// Returns true if only these users can have written a file. Returns false if another user wrote it in a folder
    /// that everyone can write to: it proves nothing.
    fn trust(self, path: &Path) -> io::Result<bool> {
        let denied = |reason| Err(io::Error::new(ErrorKind::PermissionDenied, reason));
        let meta = path.symlink_metadata()?;
        let is_known = self.0.contains(&meta.uid());
        let folder = folder_of(path);
        if !is_known && meta.uid() != 0 && fs::metadata(folder)?.mode() & 0o002 != 0 {
            return Ok(false);
        }
        if meta.is_symlink() {
            return denied("it is a symbolic link, which is not followed");
        }
        if !meta.is_file() {
            return denied("it is not a file");
        }
        if !is_known {
            return denied("it belongs to another user");
        }
        if meta.mode() & 0o022 != 0 {
            return denied("other users may write to it");
        }
        Ok(true)
    }
}

/// Opens a rescue file and checks it. Returns `None` if it is another run's.
fn open(path: &Path, run: &[u8; 16], users: Users) -> io::Result<Option<Connection>> {
    if !users.trust(path)? {
        return Ok(None);
    }
    // SQLite would read these as parts of the file.
    for suffix in ["-journal", "-wal"] {
        match users.trust(&with_suffix(path, suffix)) {
            Ok(false) => return Ok(None),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // A file of another run may have any version and any damage.
    let named = connection::open_immutable(path).and_then(|file| uuid(&file));
    if named.is_ok_and(|named| named != *run) {
        return Ok(None);
    }
    let check = || -> Result<Option<Connection>> {
        let checking = "checking a rescue file";
        let file = connection::open(path, Mode::Read)?;
        let found: String = file
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(doing(checking))?;
        if found != "ok" {
            return Err(StoreError::Damaged {
                doing: checking,
                source: found.into(),
            });
        }
        file.prepare(&saved_sql()).map_err(doing(checking))?;
        let named = uuid(&file).map_err(doing(checking))?;
        Ok((named == *run).then_some(file))
    };
    check().map_err(|error| {
        let reason = match &error {
            StoreError::Foreign { .. } => "it is not a rescue file".to_owned(),
            StoreError::Older { .. } | StoreError::Newer { .. } => {
                "another version of stride wrote it".to_owned()
            }
            error => format!("it cannot be read: {}", error.source().unwrap_or(error)),
        };
        io::Error::new(ErrorKind::InvalidData, reason)
    })
}

/// Returns the statement for the settlements of a rescue file.
fn saved_sql() -> String {
    format!(
        "{RECORD}, work.job, attempt.key, attempt.ended, not_before, charged, crashes, generation,
                rejected.media_type, rejected.headers, rejected.body
         {TABLES} LEFT JOIN rejected_response AS rejected
                      ON rejected.job = work.job AND rejected.attempt = work.attempts
         ORDER BY work.job"
    )
}

/// A settlement, or the name of a job whose settlement cannot be decoded, if that can be.
type Decoded = std::result::Result<Saved, Option<FileName>>;

/// Hands over the settlements of a rescue file. Returns false if it cannot be read to its end.
fn each_saved(rescue: &Connection, each: &mut dyn FnMut(Decoded) -> Result<()>) -> Result<bool> {
    let mut statement = rescue
        .prepare(&saved_sql())
        .map_err(doing("reading a rescue file"))?;
    let mut rows = statement
        .query([])
        .map_err(doing("reading a rescue file"))?;
    loop {
        match rows.next() {
            Ok(None) => return Ok(true),
            Ok(Some(row)) => each(Saved::read(row).map_err(|_| path_from_sql(row, 0).ok()))?,
            Err(_) => return Ok(false),
        }
    }
}

/// The longest duration of a call, in milliseconds.
const LONGEST: i64 = u32::MAX as i64;

/// A saved settlement.
struct Saved {
    attempt: AttemptId,
    key: [u8; 16],
    record: Record,
    refused: Option<Refused>,
    ended: i64,
    next: Next,
    counted: retry::Record,
}

impl Saved {
    fn read(row: &Row<'_>) -> Result<Self> {
        let record = page::record(row)?;
        let read = || -> rusqlite::Result<Self> {
            let attempt = AttemptId {
                job: JobId(row.get(17)?),
                number: record.attempts,
            };
            let ended: i64 = row.get(19)?;
            let wait = row
                .get::<_, Option<i64>>(20)?
                .unwrap_or(ended)
                .saturating_sub(ended);
            let (media_type, headers) = (row.get(24)?, row.get(25)?);
            let body: Option<Vec<u8>> = row.get(26)?;
            Ok(Self {
                attempt,
                key: row.get(18)?,
                refused: body.map(|body| Refused {
                    media_type,
                    headers,
                    body: body.into(),
                }),
                // Other times than the past would spoil the run's sums.
                ended: ended.clamp(0, now()),
                next: match record.state {
                    JobState::Done => Next::Done,
                    JobState::Failed => Next::Fail,
                    JobState::Held => Next::Hold,
                    JobState::Pending | JobState::Running => {
                        Next::Again(Duration::from_millis(wait.max(0).unsigned_abs()))
                    }
                },
                counted: retry::Record {
                    charged: row.get(21)?,
                    crashes: row.get(22)?,
                    generation: row.get(23)?,
                    ..retry::Record::default()
                },
                record,
            })
        };
        read().map_err(doing("reading a rescue file"))
    }

    /// Returns true if state, outcome and result fit each other.
    fn is_whole(&self) -> bool {
        let is_done = self.record.state == JobState::Done;
        is_done == self.record.result.is_some()
            && is_done == (self.record.outcome.as_deref() == Some("succeeded"))
            && self.record.state != JobState::Running
    }

    fn settle(&self, transaction: &Transaction<'_>) -> Result<JobState> {
        let result = self.record.result.as_ref().map(|stored| {
            Ok::<_, StoreError>(Answer {
                status: self.record.status,
                media_type: stored.media_type.clone(),
                headers: stored.headers.clone(),
                body: stored.open(&self.record.path)?,
                hint: None,
            })
        });
        let result = result.transpose()?;
        let took = self.record.took.unwrap_or(0).clamp(0, LONGEST);
        let ended = Ended {
            attempt: self.attempt,
            outcome: self.record.outcome.as_deref().unwrap_or_default(),
            class: self.record.class.map(Class::as_str),
            kind: self.record.kind.as_deref(),
            status: self.record.status,
            message: self.record.message.as_deref(),
            body: self.record.error_body.as_deref(),
            took: Duration::from_millis(took.unsigned_abs()),
            result: result.as_ref(),
            checksum: None,
            refused: self.refused.as_ref(),
            next: self.next,
            record: self.counted,
        };
        Settler::new(transaction).settle(&ended, self.ended)
    }
}

/// The result of importing one settlement.
#[derive(Debug, PartialEq, Eq)]
enum Import {
    Recorded,
    /// The database already has it, or another result of the job.
    Known,
    Left,
    /// The list lacks the job.
    Unknown,
}

/// The job of a saved settlement in the run's database, and its attempt of the same number.
struct RunJob {
    path: FileName,
    state: JobState,
    attempts: u32,
    generation: u32,
    key: Option<[u8; 16]>,
    outcome: Option<String>,
    kind: Option<String>,
}

fn import(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    saved: &Saved,
    run: &[u8; 16],
) -> Result<Import> {
    let AttemptId { job, number } = saved.attempt;
    let found = transaction
        .prepare_cached(
            "SELECT job.path, work.state, work.attempts, work.generation, attempt.key, attempt.outcome, attempt.kind
             FROM job JOIN work ON work.job = job.id
                      LEFT JOIN attempt ON attempt.job = job.id AND attempt.number = ?2
             WHERE job.id = ?1",
        )
        .and_then(|mut statement| {
            let row = statement.query_row(params![job.0, number], |row| {
                Ok(RunJob {
                    path: path_from_sql(row, 0)?,
                    state: state_from_sql(row.get(1)?)?,
                    attempts: row.get(2)?,
                    generation: row.get(3)?,
                    key: row.get(4)?,
                    outcome: row.get(5)?,
                    kind: row.get(6)?,
                })
            });
            row.optional()
        });
    let Some(found) = found.map_err(doing("looking for an attempt"))? else {
        return Ok(Import::Unknown);
    };
    let is_same = found.key == Some(saved.key);
    let outcome = saved.record.outcome.as_deref();
    let is_in_doubt = found.outcome.as_deref() == Some("in_doubt");
    if is_same
        && (found.outcome.is_some() && found.outcome.as_deref() == outcome
            || is_in_doubt && found.state == JobState::Done)
    {
        return Ok(Import::Known);
    }
    // A later runner may have found the call cut off, without repeating it.
    let is_open = is_same && found.attempts == number && (found.outcome.is_none() || is_in_doubt);
    // The claim may be lost with a part of the WAL. Name, number and key prove that it was the job's next one.
    let is_next = found.key.is_none()
        && found.state == JobState::Pending
        && found.attempts.checked_add(1) == Some(number)
        && found.path == saved.record.path
        && IdempotencyKey::derive(run, job, found.generation).0 == saved.key;
    if !saved.is_whole() || !is_open && !is_next {
        return Ok(Import::Left);
    }
    let save = |sql| {
        transaction
            .execute_batch(sql)
            .map_err(doing("importing a rescue file"))
    };
    save("SAVEPOINT saved")?;
    let mut after = *counts;
    let reopened = reopen(transaction, &mut after, saved, &found);
    match reopened.and_then(|()| saved.settle(transaction)) {
        Ok(state) => {
            shift(&mut after, JobState::Running, state, 1)?;
            after.in_doubt += u64::from(outcome == Some("in_doubt"));
            *counts = after;
            save("RELEASE saved")?;
            Ok(Import::Recorded)
        }
        Err(error) if breaks_a_rule(&error) => {
            save("ROLLBACK TO saved; RELEASE saved")?;
            Ok(Import::Left)
        }
        Err(error) => Err(error),
    }
}

/// Returns true if the settlement is at fault, and not the disk.
fn breaks_a_rule(error: &StoreError) -> bool {
    match error {
        StoreError::Stale { .. } | StoreError::File { .. } => true,
        StoreError::Failed { source, .. } => source
            .downcast_ref::<rusqlite::Error>()
            .and_then(rusqlite::Error::sqlite_error_code)
            .is_some_and(|code| code == rusqlite::ErrorCode::ConstraintViolation),
        _ => false,
    }
}

/// Restores a claim that was lost or found cut off, so that it can be settled.
fn reopen(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    saved: &Saved,
    found: &RunJob,
) -> Result<()> {
    let AttemptId { job, number } = saved.attempt;
    let started = saved.record.started.map(|time| time.clamp(0, saved.ended));
    let restore = || {
        transaction.execute(
            "INSERT INTO runner (pid, host, threads, started, ended, ending)
             SELECT 0, '', 0, ?1, ?1, 'died' WHERE NOT EXISTS (SELECT 1 FROM runner)",
            [now()],
        )?;
        transaction.execute(
            "UPDATE work SET state = 1, not_before = NULL, attempts = ?2 WHERE job = ?1",
            params![job.0, number],
        )?;
        // The thread of a lost claim is unknown.
        transaction.execute(
            "INSERT INTO attempt (job, number, runner, chunk, key, started)
             VALUES (?1, ?2, (SELECT max(id) FROM runner), 0, ?3, ?4)
             ON CONFLICT DO UPDATE SET ended = NULL, outcome = NULL, class = NULL, kind = NULL, message = NULL",
            params![job.0, number, saved.key, started],
        )
    };
    restore().map_err(doing("importing a rescue file"))?;
    shift(counts, found.state, JobState::Running, 1)?;
    counts.attempts += u64::from(found.key.is_none());
    let less = |counted: u64, is_less| {
        counted
            .checked_sub(u64::from(is_less))
            .ok_or_else(miscounted)
    };
    counts.in_doubt = less(counts.in_doubt, found.outcome.is_some())?;
    let crashed = found.kind.as_deref() == Some(CRASHED);
    counts.in_doubt_recovered = less(counts.in_doubt_recovered, crashed)?;
    Ok(())
}
