//! The queue: one run in one SQLite database. Plain data goes in and comes out; no type of the driver leaves
//! this module, and no other module knows SQL.
//!
//! A [`Store`] is the one writer of a database: it holds the operating system's lock on `<db>.lock` and an
//! owner token in the database that each of its transactions checks. A [`Reader`] looks at a database, in one
//! snapshot, whoever writes it. Wall time in the database is this module's; everything else that needs time
//! gets it as an argument.

mod admin;
mod bits;
mod body;
mod bulk;
mod causes;
mod chosen;
mod connection;
mod counts;
mod crash_check;
mod draw;
mod elsewhere;
mod error;
mod files;
mod filter;
mod flights;
mod fresh;
mod holder;
mod import;
mod kept;
mod limit;
mod load;
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
mod requeue;
mod rescue;
mod settle;
mod survey;
mod system;
mod types;
mod values;
mod verify;
mod writer;

pub use admin::{NewRun, change_settings, note_artifact};
pub use body::Filed;
pub use causes::{Cause, Example};
pub use crash_check::Watch;
pub use error::StoreError;
pub use filter::Filter;
pub use holder::Holder;
pub use import::{ImportedRescue, RefusedRescue};
pub use load::{Loaded, Loader};
pub use lock::Lock;
pub use pace::Noted;
pub use page::{Found, Page, Wanted};
pub use queue::Group;
pub use reader::Reader;
pub use recheck::Answered;
pub use record::{Record, RunInfo, Stopped, Stored};
pub use recover::Recovered;
pub use rescue::{Rescue, Rescued};
pub use survey::{How, Runner, Tried};
pub use system::wall_clock;
pub use types::{Claim, Offer, Settlement};
pub use verify::Verdict;
pub use writer::Store;
