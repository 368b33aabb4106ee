//! Bounds and names that rows of tables share.

/// Default columns of the names, in order of precedence.
pub(super) const KEYS: [&str; 2] = ["path", "file"];
/// A longer row is most likely an unclosed quote, or no table at all.
pub(super) const LONGEST: usize = 16 << 20;
/// SQLite looks no deeper into a JSON text.
pub(super) const DEEPEST: usize = 1000;
