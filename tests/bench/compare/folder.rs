//! The files that are sent, and lists of their names.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// The bytes of a small file, about as many as a page of text has words.
pub(crate) const SMALL: usize = 1026;
/// A sentence that fills a small file.
const SENTENCE: &str = "a small text, of which there are many. ";
/// The number of files with contents of their own; the others are further names of them.
const REAL: usize = 20_000;

/// Returns the name of a file without its folder. Names sort in the order of the numbers.
pub(crate) fn name(number: usize) -> String {
    format!("{number:08}.txt")
}

/// Makes the files of these numbers in a folder, where they are missing.
pub(crate) fn files(folder: &Path, numbers: impl Iterator<Item = usize>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for number in numbers {
        let file = folder.join(name(number));
        if file.exists() {
            continue;
        }
        let real = folder.join(name(number % REAL));
        if !real.exists() {
            let text = format!(
                "{number:08}\n{}",
                SENTENCE.repeat(SMALL / SENTENCE.len() + 1)
            );
            fs::write(&real, &text[..SMALL])?;
        }
        if real != file {
            fs::hard_link(real, file)?;
        }
    }
    Ok(())
}

/// Makes a list of file names, each with its folder, sorted or in random order.
pub(crate) fn list(place: &Path, folder: &str, count: usize, sorted: bool) -> io::Result<PathBuf> {
    let order = if sorted { "sorted" } else { "random" };
    let of = folder.replace('/', "-");
    let path = place.join(format!("{of}-{count}-{order}.list"));
    if path.exists() {
        return Ok(path);
    }
    let mut numbers: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
    if !sorted {
        fastrand::Rng::with_seed(1).shuffle(&mut numbers);
    }
    let mut list = BufWriter::new(File::create(&path)?);
    for number in numbers {
        writeln!(list, "{folder}/{}", name(number as usize))?;
    }
    list.flush()?;
    Ok(path)
}

/// The bytes of a file, if it is there.
pub(crate) fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |data| data.len())
}

/// Removes a database with the files beside it.
pub(crate) fn remove_database(database: &Path) {
    for end in ["", "-wal", "-shm", ".lock"] {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        // Most of them are not there.
        let _ = fs::remove_file(name);
    }
}
