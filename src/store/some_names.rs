//! Finds names by their ending.

use super::error::{Result, doing};
use super::reader::Reader;
use crate::job::FileName;

impl Reader {
    /// Returns the first names of the list that end with these bytes, at most `most`.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn some_names(&self, ending: &[u8], most: u32) -> Result<Vec<FileName>> {
        let sql = "SELECT CAST(path AS BLOB) FROM job
                   WHERE ?1 = x'' OR substr(CAST(path AS BLOB), -length(?1)) = ?1 ORDER BY id LIMIT ?2";
        let read = || -> rusqlite::Result<Vec<FileName>> {
            let mut statement = self.connection().prepare(sql)?;
            let names = statement.query_map((ending, most), |row| row.get::<_, Vec<u8>>(0))?;
            names.map(|name| Ok(FileName::new(name?))).collect()
        };
        read().map_err(doing("reading the list of files"))
    }
}
