//! Taking in what an earlier runner saved and could not record.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rustix::fs::OFlags;
use serde::Deserialize;

use super::counts::add_counts;
use super::error::{Result, doing};
use super::files;
use super::owner;
use super::reader::Reader;
use super::recover::CRASHED;
use super::rescue::{Header, Line};
use super::settle::Settler;
use super::system::now;
use super::values::{miscounted, path_from_sql, shift, state_from_sql};
use super::writer::Store;
use crate::event::Counts;
use crate::job::{FileName, IdempotencyKey, JobId, JobState};

/// What became of a rescue file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenIn {
    /// The file.
    pub file: PathBuf,
    /// How many calls' outcomes were recorded from it.
    pub recorded: u64,
    /// The jobs that have been called again since, or whose line cannot be used.
    pub left: Vec<FileName>,
    /// Files that are missing from the list, which may have been lost with a part of the log. The rescue file stays until
    /// they are loaded again.
    pub unknown: Vec<FileName>,
    /// Where the file lies now, if it was kept under another name for those that are left.
    pub kept: Option<PathBuf>,
}

/// What became of a line.
enum Became {
    Recorded,
    /// There was nothing to do: it had been recorded after all.
    Known,
    Left(FileName),
    /// The list does not have this file.
    Unknown(FileName),
}

/// A line of which nothing but the name may be readable.
#[derive(Deserialize)]
struct Named {
    path: String,
}

impl Store {
    /// Records what earlier runners of this run saved in rescue files: those in the folders of
    /// [`Store::rescue_into`]. A file of which everything is recorded is removed; what cannot be used of one stays
    /// in it. To be done before a runner begins.
    ///
    /// # Errors
    ///
    /// The database cannot be written; then the files are as they were.
    pub fn take_in(&mut self) -> Result<Vec<TakenIn>> {
        let mut taken = Vec::new();
        for folder in self.rescue_folders.clone() {
            for file in waiting(&folder, &self.path) {
                taken.extend(self.take_in_file(file)?);
            }
        }
        Ok(taken)
    }

    fn take_in_file(&mut self, file: PathBuf) -> Result<Option<TakenIn>> {
        let Ok(Some(mut reader)) = of_run(&file, &self.uuid, Users::of(&self.path)) else {
            return Ok(None);
        };
        let mut line = String::new();
        let (mut recorded, mut left, mut unknown) = (0, Vec::new(), Vec::new());
        let mut counts = self.counts;
        let transaction = self.owner.begin(&self.connection)?;
        loop {
            line.clear();
            match reader.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => {
                    left.push(FileName::from(file.as_path()));
                    break;
                }
            }
            match take_in(&transaction, &mut counts, &line, &self.uuid)? {
                Became::Recorded => recorded += 1,
                Became::Known => {}
                Became::Left(path) => left.push(path),
                Became::Unknown(path) => unknown.push(path),
            }
        }
        add_counts(&transaction, &self.counts, &counts)?;
        owner::commit(transaction, "recording what was saved")?;
        self.counts = counts;
        // It is recorded: a file that stays, or comes back after a power cut, is found to be known already.
        let done = unknown.is_empty();
        let kept = (done && !left.is_empty()).then(|| file.with_extension("left"));
        let _ = match &kept {
            Some(kept) => fs::rename(&file, kept),
            None if done => fs::remove_file(&file),
            None => Ok(()),
        };
        Ok(Some(TakenIn {
            file,
            recorded,
            left,
            unknown,
            kept,
        }))
    }
}

impl Reader {
    /// The files in these folders from which the next runner of this run will take what could not be recorded.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn rescue_files(&self, folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let uuid = uuid(self.connection())?;
        let files = folders
            .iter()
            .flat_map(|folder| waiting(folder, self.path()));
        let users = Users::of(self.path());
        let is_ours = |file: &PathBuf| matches!(of_run(file, &uuid, users), Ok(Some(_)));
        Ok(files.filter(is_ours).collect())
    }

    /// Finds saved answers in these folders that the next runner of this run cannot take in.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn untaken(&self, folders: &[PathBuf]) -> Result<Vec<Untaken>> {
        untaken(self.connection(), self.path(), folders)
    }
}

/// Saved answers that cannot be taken in: a file of them, or a folder that may have some.
#[derive(Debug)]
pub struct Untaken {
    /// The file or folder.
    pub path: PathBuf,
    /// Why not.
    pub reason: io::Error,
}

impl Store {
    /// Finds answers of this run that were saved and that [`Store::take_in`] cannot take in. Their files would be called
    /// again. To be asked before a runner begins.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn untaken(&self) -> Result<Vec<Untaken>> {
        untaken(&self.connection, &self.path, &self.rescue_folders)
    }
}

fn untaken(connection: &Connection, database: &Path, folders: &[PathBuf]) -> Result<Vec<Untaken>> {
    let (uuid, users) = (uuid(connection)?, Users::of(database));
    let mut found = Vec::new();
    for folder in folders {
        if let Err(reason) = fs::read_dir(folder)
            && !matches!(
                reason.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory
            )
            && is_unclean(connection)?
        {
            let path = folder.clone();
            found.push(Untaken { path, reason });
        }
        for path in waiting(folder, database) {
            match of_run(&path, &uuid, users) {
                Err(reason) if reason.kind() != ErrorKind::NotFound => {
                    found.push(Untaken { path, reason });
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Whether the last runner has not noted its end, as none can that has had to save answers.
fn is_unclean(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM runner WHERE ended IS NULL)";
    connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(doing("looking how the last runner ended"))
}

fn uuid(connection: &Connection) -> Result<[u8; 16]> {
    connection
        .query_row("SELECT uuid FROM run", [], |row| row.get(0))
        .map_err(doing("reading the run"))
}

/// The rescue files that nobody has taken in.
fn waiting(folder: &Path, database: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let files = files::rescue_files(folder, database).into_iter();
    files.filter(|file| file.extension() == Some(files::RESCUE_SUFFIX.as_ref()))
}

/// Opens a rescue file behind its header; `None` where it is another run's, or has no answer in it.
fn of_run(file: &Path, uuid: &[u8; 16], users: Users) -> io::Result<Option<BufReader<File>>> {
    let Some(mut reader) = open(file, users)? else {
        return Ok(None);
    };
    let mut line = String::new();
    reader.by_ref().take(HEADER).read_line(&mut line)?;
    if !line.ends_with('\n') && line.len() < HEADER as usize {
        // It was cut short before there was any answer.
        return Ok(None);
    }
    let wrong = |reason| io::Error::new(ErrorKind::InvalidData, reason);
    let header: Header =
        serde_json::from_str(&line).map_err(|_| wrong("its first line does not name a run"))?;
    let ours = Header::of(uuid);
    match (header.run == ours.run, header == ours) {
        (false, _) => Ok(None),
        (true, true) => Ok(Some(reader)),
        (true, false) => Err(wrong("another version of stride wrote it")),
    }
}

/// The most that the first line of a rescue file has, in bytes.
const HEADER: u64 = 4096;

/// The users whose rescue files are taken in: whoever can write the database can put any answer into it anyway.
#[derive(Debug, Clone, Copy)]
struct Users([u32; 2]);

impl Users {
    fn of(database: &Path) -> Self {
        let own = rustix::process::geteuid().as_raw();
        Self([own, fs::metadata(database).map_or(own, |meta| meta.uid())])
    }
}

/// Opens a file if it is one that only these users can have written. A file of somebody else proves nothing in a folder
/// that everybody can write to, and is passed over.
fn open(path: &Path, users: Users) -> io::Result<Option<BufReader<File>>> {
    let denied = |reason| io::Error::new(ErrorKind::PermissionDenied, reason);
    let named = path.symlink_metadata()?;
    // What root has written, root has left there.
    let is_known = users.0.contains(&named.uid()) || named.uid() == 0;
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !is_known && fs::metadata(folder)?.mode() & 0o002 != 0 {
        return Ok(None);
    }
    if named.is_symlink() {
        return Err(denied("it is a symbolic link, which is not followed"));
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(denied("it is not a file"));
    }
    if !users.0.contains(&meta.uid()) {
        return Err(denied("it belongs to another user"));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(denied("other users may write to it"));
    }
    Ok(Some(BufReader::new(file)))
}

fn take_in(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    text: &str,
    run: &[u8; 16],
) -> Result<Became> {
    let Ok(line) = serde_json::from_str::<Line>(text) else {
        // Writing it was cut short; what is whole of it is its name at best.
        let named = serde_json::from_str::<Named>(text).map(|named| named.path);
        let name = named.unwrap_or_else(|_| "a call whose line is not whole".to_owned());
        return Ok(Became::Left(FileName::new(name.into_bytes())));
    };
    let (attempt, key) = line.attempt();
    let found = transaction
        .prepare_cached(
            "SELECT job.path, work.state, work.attempts = ?2, attempt.key, attempt.outcome, attempt.kind
             FROM attempt JOIN job ON job.id = attempt.job JOIN work ON work.job = attempt.job
             WHERE attempt.job = ?1 AND attempt.number = ?2",
        )
        .and_then(|mut statement| {
            let row = statement.query_row(params![attempt.job.0, attempt.number], |row| {
                Ok(Found {
                    path: path_from_sql(row, 0)?,
                    state: state_from_sql(row.get(1)?)?,
                    is_last: row.get(2)?,
                    key: IdempotencyKey(row.get(3)?),
                    outcome: row.get(4)?,
                    kind: row.get(5)?,
                })
            });
            row.optional()
        })
        .map_err(doing("looking for an attempt"))?;
    let mut after = *counts;
    transaction
        .execute_batch("SAVEPOINT line")
        .map_err(doing("recording what was saved"))?;
    let found = match found {
        None => claim_again(transaction, &mut after, &line, run)?,
        found => found.filter(|found| found.key.to_string() == key),
    };
    let became = match found {
        Some(found) => record(transaction, &mut after, &line, found)?,
        None => left(transaction, &line)?,
    };
    if matches!(became, Became::Recorded) {
        *counts = after;
        let done = transaction.execute_batch("RELEASE line");
        done.map_err(doing("recording what was saved"))?;
    } else {
        // What is no sound line breaks a rule of the schema at the latest. A disk that fails does so here again.
        transaction
            .execute_batch("ROLLBACK TO line; RELEASE line")
            .map_err(doing("recording what was saved"))?;
    }
    Ok(became)
}

/// What becomes of a line whose attempt the database does not have.
fn left(transaction: &Transaction<'_>, line: &Line) -> Result<Became> {
    let (attempt, _) = line.attempt();
    let is_known = transaction
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1)",
            [attempt.job.0],
            |row| row.get(0),
        )
        .map_err(doing("looking for a job"))?;
    let name = FileName::new(line.path().as_bytes());
    Ok(match is_known {
        true => Became::Left(name),
        false => Became::Unknown(name),
    })
}

/// Records what came of a call whose attempt the database has.
fn record(
    transaction: &Transaction<'_>,
    after: &mut Counts,
    line: &Line,
    found: Found,
) -> Result<Became> {
    let cut_off = match found.outcome.as_deref() {
        None => false,
        Some(outcome) if outcome == line.outcome => return Ok(Became::Known),
        // Somebody else's result is as good.
        Some("in_doubt") if found.state == JobState::Done => return Ok(Became::Known),
        // A later runner has found it cut off. If the job was not called again, nothing has come of that.
        Some("in_doubt") if found.is_last => true,
        Some(_) => return Ok(Became::Left(found.path)),
    };
    let settled = line.read(|ended| {
        if cut_off {
            reopen(transaction, after, &found, ended.attempt.job)?;
        }
        Settler::new(transaction).settle(ended, now())
    });
    let Ok(Ok(state)) = settled else {
        return Ok(Became::Left(found.path));
    };
    shift(after, JobState::Running, state, 1)?;
    after.in_doubt += u64::from(line.outcome == "in_doubt");
    Ok(Became::Recorded)
}

/// Claims a job once more for a call whose claim was lost with a part of the log. That it is a call of this job, and the
/// next one that the database would have made, its name, its number and its key say.
fn claim_again(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    line: &Line,
    run: &[u8; 16],
) -> Result<Option<Found>> {
    let (attempt, key) = line.attempt();
    let claim = || {
        let sql = "SELECT path, generation FROM work JOIN job ON job.id = work.job
                   WHERE work.job = ?1 AND state = 0 AND attempts + 1 = ?2";
        let job = transaction
            .query_row(sql, params![attempt.job.0, attempt.number], |row| {
                Ok((path_from_sql(row, 0)?, row.get(1)?))
            })
            .optional()?;
        let job: Option<(FileName, u32)> = job;
        let Some((path, generation)) = job.filter(|(path, _)| path.to_string() == line.path())
        else {
            return Ok(None);
        };
        let derived = IdempotencyKey::derive(run, attempt.job, generation);
        if derived.to_string() != key {
            return Ok(None);
        }
        transaction.execute(
            "INSERT INTO runner (pid, host, threads, started, ended, ending)
             SELECT 0, '', 0, ?1, ?1, 'died' WHERE NOT EXISTS (SELECT 1 FROM runner)",
            [now()],
        )?;
        transaction.execute(
            "UPDATE work SET state = 1, not_before = NULL, attempts = ?2 WHERE job = ?1",
            params![attempt.job.0, attempt.number],
        )?;
        // Its thread is not known.
        transaction.execute(
            "INSERT INTO attempt (job, number, runner, chunk, key, started)
             VALUES (?1, ?2, (SELECT max(id) FROM runner), 0, ?3, ?4)",
            params![attempt.job.0, attempt.number, derived.0, line.began(now())],
        )?;
        Ok(Some(Found {
            path,
            state: JobState::Running,
            is_last: true,
            key: derived,
            outcome: None,
            kind: None,
        }))
    };
    let claimed = claim().map_err(doing("recording what was saved"))?;
    if claimed.is_some() {
        shift(counts, JobState::Pending, JobState::Running, 1)?;
        counts.attempts += 1;
    }
    Ok(claimed)
}

/// Takes back that an attempt was found cut off.
fn reopen(
    transaction: &Transaction<'_>,
    counts: &mut Counts,
    found: &Found,
    job: JobId,
) -> Result<()> {
    transaction
        .execute("UPDATE work SET state = 1, not_before = NULL WHERE job = ?1", [job.0])
        .and_then(|_| {
            transaction.execute(
                "UPDATE attempt SET ended = NULL, outcome = NULL, class = NULL, kind = NULL, message = NULL
                 WHERE job = ?1 AND number = (SELECT attempts FROM work WHERE job = ?1)",
                [job.0],
            )
        })
        .map_err(doing("recording what was saved"))?;
    shift(counts, found.state, JobState::Running, 1)?;
    let crashed = u64::from(found.kind.as_deref() == Some(CRASHED));
    let less = |counted: u64, by| counted.checked_sub(by).ok_or_else(miscounted);
    counts.in_doubt = less(counts.in_doubt, 1)?;
    counts.in_doubt_recovered = less(counts.in_doubt_recovered, crashed)?;
    Ok(())
}

/// What the database has of a call that was saved.
struct Found {
    path: FileName,
    state: JobState,
    is_last: bool,
    key: IdempotencyKey,
    outcome: Option<String>,
    kind: Option<String>,
}
