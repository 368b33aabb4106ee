//! Notices changes of files.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

const SECOND: i64 = 1_000_000_000;

/// The size and the modification time of a file, by which a later change is noticed, as rsync and make do. A checksum would
/// have to read every file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// The size, in bytes.
    pub size: u64,
    /// The modification time, in nanoseconds since 1970.
    pub modified: i64,
}

impl FileStamp {
    /// Takes the stamp of a file.
    pub fn of(meta: &Metadata) -> Self {
        let seconds = meta.mtime().saturating_mul(SECOND);
        Self {
            size: meta.len(),
            modified: seconds.saturating_add(meta.mtime_nsec()),
        }
    }

    /// Returns true if the file was written after a time, in milliseconds since 1970.
    pub fn is_after(&self, time: i64) -> bool {
        self.modified / 1_000_000 > time
    }

    /// Returns true if the file is unchanged. Programs that copy files may keep only the seconds of their times.
    pub fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (self.modified, other.modified);
        let is_cut = a % SECOND == 0 || b % SECOND == 0;
        let is_near = is_cut && a.div_euclid(SECOND) == b.div_euclid(SECOND);
        self.size == other.size && (a == b || is_near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_lose_their_fractions() {
        let stamp = |size, modified| FileStamp { size, modified };
        let whole = stamp(1, 7_250_000_000);
        for (other, expected) in [
            (whole, true),
            (stamp(1, 7_000_000_000), true),
            (stamp(1, 7_250_000_001), false),
            (stamp(1, 8_000_000_000), false),
            (stamp(2, 7_250_000_000), false),
        ] {
            assert_eq!(whole.is_same(&other), expected, "{other:?}");
            assert_eq!(other.is_same(&whole), expected, "{other:?}");
        }
    }
}
