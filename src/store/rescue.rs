//! Rescue files: settlements that could not be recorded, in a database of their own with the run's schema. The next
//! run imports them.

use std::error::Error;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::connection::{self, Mode};
use super::files;
use super::fresh::Fresh;
use super::settle::{Ended, Settler};
use super::system::now;
use super::types::{Claim, Settlement};
use super::values::path_to_sql;
use super::writer::Store;
use crate::job::FileName;

/// Number of random letters that make a file's name unique.
const LETTERS: usize = 8;

/// Bytes of a page. Every table takes one, and there may be little room left.
const PAGE_SIZE: u32 = 1024;

/// The results that were saved, and those that were lost.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// The rescue files: several if writing to one failed.
    pub files: Vec<PathBuf>,
    /// Number of settlements in them.
    pub saved: u64,
    /// Jobs whose settlement no folder could save.
    pub lost: Vec<FileName>,
}

/// Saves settlements in the first folder that takes them.
#[derive(Debug)]
pub struct Rescue {
    /// The best first. One that fails becomes the last, because a disk that failed one sync may report the next one
    /// falsely.
    folders: Vec<PathBuf>,
    /// Beginning of the files' names.
    name: OsString,
    uuid: [u8; 16],
    file: Option<Connection>,
    rescued: Rescued,
}

impl Store {
    /// Prepares a rescue, which writes nothing before there is something to save.
    pub fn rescue(&self) -> Rescue {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(files::RESCUE_INFIX);
        Rescue {
            folders: self.rescue_folders.clone(),
            name,
            uuid: self.uuid,
            file: None,
            rescued: Rescued::default(),
        }
    }

    /// Sets the folders for rescue files, the best first, instead of the database's own. A folder on another disk may
    /// be writable when the database's is not.
    pub fn rescue_into(&mut self, folders: Vec<PathBuf>) {
        self.rescue_folders = folders;
    }
}

impl Rescue {
    /// Saves settlements durably: in one transaction, or in several if no folder takes all of them at once.
    pub fn save(&mut self, settlements: &[(&Claim, &Settlement)]) {
        // A temporary file that became unreadable loses its own body only.
        let (readable, lost): (Vec<_>, Vec<_>) = settlements
            .iter()
            .partition(|(_, settlement)| is_readable(settlement));
        self.lose(&lost);
        self.save_readable(&readable);
    }

    fn save_readable(&mut self, settlements: &[(&Claim, &Settlement)]) {
        if settlements.is_empty() {
            return;
        }
        if self.write_anywhere(settlements) {
            self.rescued.saved += settlements.len() as u64;
        } else if settlements.len() == 1 {
            self.lose(settlements);
        } else {
            // There may be room for some, and one that cannot be written must not take the others with it.
            let (first, rest) = settlements.split_at(settlements.len() / 2);
            self.save_readable(first);
            self.save_readable(rest);
        }
    }

    /// Writes settlements to the current file, or to a new one in the first folder that takes it.
    fn write_anywhere(&mut self, settlements: &[(&Claim, &Settlement)]) -> bool {
        if let Some(file) = self.file.take() {
            if append(&file, settlements).is_ok() {
                self.file = Some(file);
                return true;
            }
            self.folders.rotate_left(1);
        }
        for _ in 0..self.folders.len() {
            let Some(folder) = self.folders.first().cloned() else {
                return false;
            };
            if self.write(&folder, settlements).is_ok() {
                return true;
            }
            self.folders.rotate_left(1);
        }
        false
    }

    /// Returns the saved files.
    pub fn finish(self) -> Rescued {
        self.rescued
    }

    fn lose(&mut self, settlements: &[(&Claim, &Settlement)]) {
        let paths = settlements.iter().map(|(claim, _)| claim.job.path.clone());
        self.rescued.lost.extend(paths);
    }

    /// Writes settlements to a new file.
    fn write(
        &mut self,
        folder: &Path,
        settlements: &[(&Claim, &Settlement)],
    ) -> Result<(), Box<dyn Error>> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let letters: String = (0..LETTERS).map(|_| fastrand::lowercase()).collect();
        let mut name = self.name.clone();
        name.push(format!("{letters}.{}", files::RESCUE_SUFFIX));
        let path = folder.join(name);
        let fresh = Fresh::create(&path, PAGE_SIZE)?;
        fresh.connection().execute(
            "INSERT INTO run (id, uuid, created, base, call, settings) VALUES (1, ?1, ?2, x'', '{}', '{}')",
            params![self.uuid, now()],
        )?;
        fresh.connection().execute(
            "INSERT INTO runner (id, pid, host, threads, started) VALUES (1, 0, '', 0, ?1)",
            [now()],
        )?;
        insert(fresh.connection(), settlements)?;
        fresh.install(&path, false)?;
        // If opening fails, the next settlements go to a file of their own.
        self.file = connection::open(&path, Mode::WriteWithoutLog).ok();
        self.rescued.files.push(path);
        Ok(())
    }
}

/// Returns true if the bodies that are to be saved can be read.
fn is_readable(settlement: &Settlement) -> bool {
    let ended = Ended::from(settlement);
    let result = ended.result.map(|answer| &answer.body);
    let advanced = ended.advanced.map(|(answer, _)| &answer.body);
    let refused = ended.refused.map(|refused| &refused.body);
    let mut bodies = result.into_iter().chain(advanced).chain(refused);
    bodies.all(|body| body.checksum().is_ok())
}

fn append(file: &Connection, settlements: &[(&Claim, &Settlement)]) -> Result<(), Box<dyn Error>> {
    let transaction = file.unchecked_transaction()?;
    insert(file, settlements)?;
    Ok(transaction.commit()?)
}

fn insert(file: &Connection, settlements: &[(&Claim, &Settlement)]) -> Result<(), Box<dyn Error>> {
    let now = now();
    // The import makes paths relative.
    let mut settler = Settler::new(file, Path::new(""));
    for (claim, settlement) in settlements {
        let (job, number) = (claim.job.id.0, claim.attempt.id.number);
        let step = claim.attempt.step;
        let polls = Some(step.polls).filter(|polls| *polls > 0);
        file.prepare_cached("INSERT INTO job (id, path) VALUES (?1, ?2)")?
            .execute(params![job, path_to_sql(&claim.job.path)])?;
        file.prepare_cached("INSERT INTO work (job, state, attempts) VALUES (?1, 1, ?2)")?
            .execute(params![job, number])?;
        let began = now.saturating_sub(settlement.took.as_millis() as i64);
        file.prepare_cached(
            "INSERT INTO attempt (job, number, runner, chunk, key, started, step, polls) VALUES (?1, ?2, 1, 0, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![job, number, claim.attempt.key.0, began, step.index, polls])?;
        settler.settle(&(*settlement).into(), now)?;
    }
    Ok(())
}
