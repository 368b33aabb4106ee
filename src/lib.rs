//! Makes one call for each file of a long list, and never loses an answer.
//!
//! This is the library of the command `stride`, for programs that make the calls themselves. The list is a
//! queue in a SQLite database. N threads call `files[i::N]` each, and a synced transaction records each result
//! or failure before an event reports it. A program that was killed resumes when you start it again.
//!
//! ```
//! use stride::export::{Format, Selection};
//! use stride::job::{Answer, Failure};
//! use stride::store::Filter;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let at = |name: &str| folder.path().join(name);
//! # std::fs::write(at("a.txt"), "good")?;
//! # std::fs::write(at("b.txt"), "so so")?;
//! # std::fs::write(at("empty.txt"), "")?;
//! let mut run = stride::Run::builder(at("stride.db"))
//!     .workload("count words v1")
//!     .threads(8)
//!     .retries(0)
//!     .open()?;
//! run.add([at("a.txt"), at("b.txt"), at("empty.txt"), at("missing.txt")])?;
//!
//! let outcome = run.process(|job| {
//!     // This is your `api_call(file)`. stride retries after an error that `?` returns.
//!     let text = std::fs::read_to_string(&job.file)?;
//!     if text.is_empty() {
//!         // A retry would not help, so this file fails at once.
//!         return Err(Failure::permanent("the file is empty"));
//!     }
//!     Answer::json(&text.split_whitespace().count())
//! })?;
//! assert_eq!((outcome.counts.done, outcome.counts.failed), (2, 2));
//!
//! for done in run.results()? {
//!     let done = done?;
//!     let answer = done.answer.ok_or("the stored answer is damaged")?;
//!     println!("{}: {}", done.path, String::from_utf8_lossy(&answer.body.bytes()?));
//! }
//! for failed in run.failures()? {
//!     let failed = failed?;
//!     println!("{}: {}", failed.path, failed.message);
//! }
//!
//! // Failed files are called again only on request.
//! # std::fs::write(at("missing.txt"), "here")?;
//! # std::fs::write(at("empty.txt"), "no more")?;
//! run.retry(&Filter::default())?;
//! let outcome = run.process(|job| {
//!     Answer::json(&std::fs::read_to_string(&job.file)?.split_whitespace().count())
//! })?;
//! # assert_eq!(outcome.counts.done, 4);
//! run.export(Format::Json, Selection::Partial, at("api_call_results.json"))?;
//! # let exported = std::fs::read_to_string(at("api_call_results.json"))?;
//! # assert!(exported.contains("b.txt\": 2"), "{exported}");
//! # Ok(())
//! # }
//! ```
//!
//! To resume after a crash, a kill or a stop, start the same program again. [`Builder::open`] finds the run,
//! [`Run::add`] skips files that it has, and [`Run::process`] calls only those that are pending.
//! [`RunOutcome::ending`](engine::RunOutcome::ending) says why `process` returned: it may be a guard, with files pending.
//! [`Failure::throttled`](job::Failure::throttled) makes all threads wait. [`Run::process_callers`] takes a
//! [`Stop`](engine::Stop), for Ctrl-C, and passes on events. `stride status`, `failures`, `export` and `verify` read
//! the same database.
//!
//! The package is `stride-batch`. With `default-features = false` it has all that is shown here. The features are
//! `http` (HTTP calls), `jq` (expressions), `parquet` and `report`; `cli`, the default, is the command line and needs all.
//!
//! [`Run`] is the short way. It combines three parts that you can use alone. [`store::Store`] is the queue. A
//! [`caller::Caller`] makes the calls of one thread; [`caller::HttpPlan`] creates HTTP callers. [`engine::run`] drives
//! both and passes on each [`event::Event`]. The library prints nothing and installs no signal handlers. It reads no
//! environment variables, except that the HTTP client reads the usual ones for proxies.

mod atomic_file;
#[cfg(feature = "http")]
pub mod bounded;
pub mod caller;
#[cfg(feature = "http")]
pub mod curl;
pub mod engine;
pub mod event;
pub mod export;
#[cfg(feature = "jq")]
pub mod extract;
pub mod failure_class;
pub mod filter;
pub mod governor;
pub mod guide;
pub mod input;
pub mod job;
#[cfg(feature = "jq")]
pub mod jq;
pub mod limits;
pub mod paths;
#[cfg(feature = "jq")]
pub mod recheck;
#[cfg(feature = "report")]
pub mod report;
pub mod retry;
mod run;
pub mod settings;
pub mod store;
pub mod text;
#[cfg(feature = "jq")]
pub mod validate;

pub use run::{Builder, Done, Entries, Error, Failed, Run};
