//! Work on a run: its store, its list, its calls and its summary.

pub(crate) mod change;
pub(crate) mod descriptors;
pub(crate) mod estimate;
pub(crate) mod files;
pub(crate) mod finish;
pub(crate) mod inspect;
pub(crate) mod intake;
mod line_index;
pub(crate) mod list;
pub(crate) mod loaded;
mod missing;
pub(crate) mod not_listed;
pub(crate) mod sample;
pub(crate) mod storage;
pub(crate) mod summary;
pub(crate) mod work;
pub(crate) mod worker;
