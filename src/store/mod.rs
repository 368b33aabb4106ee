//! The queue: one run in one SQLite database. Plain data goes in and out; no type of rusqlite leaves this module, and no
//! other module knows SQL.
//!
//! A [`Store`] is the only writer of a database. It holds the operating system's lock on `<db>.lock`, and each of its
//! transactions checks its owner token in the database. A [`Reader`] reads one snapshot, while others may write. Only this
//! module reads the wall clock; the modules below get time as an argument.

mod admin;
mod base;
mod bits;
mod body;
mod bulk;
mod causes;
mod changed;
mod chosen;
mod column_text;
mod connection;
mod counts;
mod crash_check;
mod draw;
mod elsewhere;
mod error;
mod extend;
mod files;
mod filter;
mod find_rescues;
mod flights;
mod forget;
mod fresh;
mod holder;
mod identity;
mod import;
mod limit;
mod load;
mod loaded;
mod location;
mod lock;
mod owner;
mod pace;
mod page;
mod place;
mod queue;
mod read;
mod reader;
mod recheck;
mod record;
mod recover;
mod redo;
mod requeue;
mod rescue;
mod saved;
mod settle;
mod statement;
mod survey;
mod system;
mod types;
mod values;
mod verify;
mod writer;

pub use admin::{NewRun, change_settings, note_artifact};
pub use body::Filed;
pub use causes::{Cause, Example};
pub use changed::Changed;
pub use crash_check::Watch;
pub use error::StoreError;
pub use filter::Filter;
pub use find_rescues::RefusedRescue;
pub use forget::{Chosen, Forgotten, bring_back, forget};
pub use holder::Holder;
pub use import::ImportedRescue;
pub use load::Loader;
pub use loaded::{Loaded, NewJob};
pub use location::{Location, UnsupportedLocation};
pub use lock::Lock;
pub use pace::RunnerStatus;
pub use page::{Batch, Page, Projection, Wanted};
pub use queue::Group;
pub use reader::Reader;
pub use recheck::StoredResponse;
pub use record::{Record, RunInfo, Stopped, Stored};
pub use recover::Recovered;
pub use redo::{Redo, Redone};
pub use rescue::{Rescue, Rescued};
pub use survey::{AttemptOutcome, AttemptSummary, Runner};
pub use system::wall_clock;
pub use types::{Claim, Offer, Settlement};
pub use verify::Verification;
pub use writer::Store;
