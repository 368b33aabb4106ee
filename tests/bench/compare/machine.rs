//! A description of the measuring machine.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::figures::figure;
use super::peers::Peers;

/// The duration of the disk's measurement.
const LOOK: Duration = Duration::from_secs(2);

/// The first line of a program's output.
pub(crate) fn first_line(file: &Path, words: &[&str]) -> Option<String> {
    let said = Command::new(file).args(words).output().ok()?;
    // wrk prints its version and fails.
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    Some(line.trim().to_owned())
}

/// The value of a line `name : value` of a file.
fn value(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Measures commits a second, one row each, with full durability.
fn commits(folder: &Path) -> io::Result<f64> {
    let commits = || -> rusqlite::Result<f64> {
        let database = Connection::open(folder.join("commits.db"))?;
        database.pragma_update(None, "journal_mode", "wal")?;
        database.pragma_update(None, "synchronous", "full")?;
        database.execute_batch(
            "CREATE TABLE IF NOT EXISTS it (id INTEGER PRIMARY KEY, text TEXT) STRICT",
        )?;
        let mut insert = database.prepare("INSERT INTO it (text) VALUES ('a row')")?;
        let (begun, mut count) = (Instant::now(), 0_u32);
        while begun.elapsed() < LOOK {
            insert.execute(())?;
            count += 1;
        }
        Ok(f64::from(count) / begun.elapsed().as_secs_f64())
    };
    commits().map_err(io::Error::other)
}

/// Synced appends of 4 KiB a second.
fn appends(folder: &Path) -> io::Result<f64> {
    let mut file = File::create(folder.join("appends"))?;
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < LOOK {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Measures the limits of the disk.
pub(crate) fn disk_limits(folder: &Path) -> io::Result<String> {
    let (commits, appends) = (figure(commits(folder)?), figure(appends(folder)?));
    Ok(format!(
        "synced commits of SQLite a second, one row each: {commits}; synced appends of 4 KiB: {appends}"
    ))
}

/// Returns the kind of a folder's file system: that of the last mount among the nearest ones above it.
fn file_system(folder: &Path) -> Option<String> {
    let (folder, mounts) = (
        folder.canonicalize().ok()?,
        fs::read_to_string("/proc/mounts").ok()?,
    );
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(place, _)| folder.starts_with(place));
    let (_, kind) = above.max_by_key(|(place, _)| place.len())?;
    Some(kind.to_owned())
}

/// The machine, its disk and the programs, as lines of a list.
pub(crate) fn describe(
    folder: &Path,
    peers: &Peers,
    rounds: usize,
    scale: f64,
) -> io::Result<String> {
    let unknown = || "unknown".to_owned();
    let mut text = String::new();
    let cores = thread::available_parallelism()?;
    let model = value("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let memory = value("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .unwrap_or_default();
    let system = rustix::system::uname();
    let disk = file_system(folder);
    // Formatting into text cannot fail.
    let _ = writeln!(
        text,
        "- {cores} cores, {model}; {:.1} GiB",
        memory / f64::from(1 << 20)
    );
    let _ = writeln!(
        text,
        "- {} {}; {}",
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        disk.unwrap_or_else(unknown),
    );
    let _ = writeln!(text, "- {}", disk_limits(folder)?);
    let _ = writeln!(text, "- {}", peers.versions().join("; "));
    let _ = write!(
        text,
        "- {}; rounds: {rounds}; sizes × {scale}",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
    );
    Ok(text)
}
