//! The process that holds a lock.

use serde::{Deserialize, Serialize};

use super::system::now;

/// The process that holds a lock, for people only: the lock itself proves ownership.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When it took the lock, in milliseconds since 1970.
    pub since: i64,
}

impl Holder {
    pub(super) fn show(holder: Option<&Self>) -> String {
        holder.map_or_else(
            || "another process".to_owned(),
            |holder| {
                let seconds = now().saturating_sub(holder.since).max(0) / 1000;
                let ago = crate::settings::show_duration(std::time::Duration::from_secs(
                    seconds.unsigned_abs(),
                ));
                format!(
                    "process {} on {}, for {ago}",
                    holder.pid,
                    crate::job::escaped(holder.host.as_bytes())
                )
            },
        )
    }
}
