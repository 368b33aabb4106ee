//! The lanes of a pool: accounts that share the calls of a run.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// A lane of a run: a row of its pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// Its number in the run, from 1. It stays, even if the pool's rows are reordered.
    #[serde(rename = "lane")]
    pub number: u32,
    /// The row's name, if it has one.
    #[serde(rename = "lane_name", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl std::fmt::Display for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "lane {}", self.number)?;
        match &self.name {
            Some(name) => write!(f, " ({})", super::escaped(name.as_bytes())),
            None => Ok(()),
        }
    }
}

/// A row of a pool, as a run knows it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneIdentity {
    /// The row's name, if it has one.
    pub name: Option<String>,
    /// A hash of the name, or of the values of a row without one. It is keyed with the run's UUID, so that equal rows of
    /// different runs do not show.
    pub hash: [u8; 16],
}

impl LaneIdentity {
    /// Derives the identity of a row in a run. A row with a name is known by it, whatever its values.
    pub fn derive<'v>(
        run: &[u8; 16],
        name: Option<&str>,
        values: impl IntoIterator<Item = &'v [u8]>,
    ) -> Self {
        let mut sha = Sha256::new();
        sha.update(run);
        let mut add = |kind: &[u8], value: &[u8]| {
            sha.update(kind);
            sha.update(value.len().to_be_bytes());
            sha.update(value);
        };
        match name {
            Some(name) => add(b"name", name.as_bytes()),
            None => values.into_iter().for_each(|value| add(b"value", value)),
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&sha.finalize()[..16]);
        Self {
            name: name.map(str::to_owned),
            hash,
        }
    }
}
