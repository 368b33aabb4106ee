//! Runs whose calls a program makes itself.

mod builder;
mod error;
mod results;

use std::path::Path;
use std::sync::Arc;

use crate::caller::{AsyncFnCaller, FnCaller, SlotCaller, StepCaller};
use crate::engine::{self, MakeCaller, RunOutcome, Stop};
use crate::event::Event;
use crate::export::{self, Format, Selection};
use crate::job::{Answer, Failure, FileName, Job, Reply, Step};
use crate::settings::Settings;
use crate::store::{Chosen, Filter, Forgotten, Loaded, Reader, Store};

pub use builder::Builder;
pub use error::Error;
pub use results::{Done, Entries, Failed};

/// A run whose calls a program makes itself. Until it is dropped, it holds the lock of its database, so that no other process
/// makes calls for it.
#[derive(Debug)]
pub struct Run {
    store: Store,
    settings: Settings,
}

impl Run {
    /// Adds files at the end of the list, all or none. Files that are in the list already stay as they are. Names are
    /// compared by their bytes: `a` and `./a` are two files, because a program need not read them.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn add(
        &mut self,
        files: impl IntoIterator<Item = impl Into<FileName>>,
    ) -> Result<Loaded, Error> {
        let loaded = self.store.load(|loader| {
            for file in files {
                loader.add(&file.into())?;
            }
            Ok::<_, Error>(())
        })?;
        // A rescue file may hold results of the files that were just added.
        self.store.import_rescues()?;
        Ok(loaded)
    }

    /// Calls `call` for each pending file and records what it returns. An error that becomes a [`Failure`] by `?` is
    /// transient: the file is called again as often as the settings say. Returns when no file is left to call, or a guard
    /// or a limit has stopped the run.
    ///
    /// A `call` that does not return after a stop outlives this method, so it must own all that it uses.
    ///
    /// # Errors
    ///
    /// The database fails, or a thread cannot be started. Everything recorded until then is safe.
    pub fn process<F>(&mut self, call: F) -> Result<RunOutcome, Error>
    where
        F: Fn(&Job) -> Result<Answer, Failure> + Send + Sync + 'static,
    {
        self.process_with(|| (), move |(), job| call(job))
    }

    /// Works as [`process`](Self::process), with a state for each thread, such as a client. `make` creates it before the
    /// thread's first call.
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    pub fn process_with<S, M, F>(&mut self, mut make: M, call: F) -> Result<RunOutcome, Error>
    where
        S: Send + 'static,
        M: FnMut() -> S + Send,
        F: Fn(&mut S, &Job) -> Result<Answer, Failure> + Send + Sync + 'static,
    {
        let call = Arc::new(call);
        let mut make = || {
            let (mut state, call) = (make(), Arc::clone(&call));
            Ok(FnCaller(move |job: &Job| call(&mut state, job)).into())
        };
        self.process_callers(&mut make, &Stop::new(), &mut |_| {})
    }

    /// Works as [`process`](Self::process), for services that take a job now and have its result later. `call` makes the
    /// step that it is given, and returns the result, an answer for the next step, or that the service is not ready.
    /// Each answer is recorded before the next step begins, so a job goes on from there in any later process, and is not
    /// submitted again. Between steps it takes neither a thread nor memory.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use stride::job::{Answer, Reply, StepKind};
    /// use stride::settings::Settings;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let submit = |_: &str| "ticket 7".to_owned();
    /// # let ask = |handle: &str, asked: u32| (asked > 0).then(|| format!("the result of {handle}"));
    /// let mut run = stride::Run::builder(folder.path().join("stride.db"))
    ///     .workload("transcribe v1")
    ///     .settings(Settings { poll_every: Duration::from_millis(50), ..Settings::default() })
    ///     .open()?;
    /// run.add(["a.wav"])?;
    /// let outcome = run.process_steps(move |job, step| {
    ///     let Some(submitted) = job.answers.first() else {
    ///         let handle = submit(job.path.as_str().unwrap_or_default());
    ///         return Ok(Reply::Next(Answer::text(handle), StepKind::Poll));
    ///     };
    ///     let handle = String::from_utf8_lossy(&submitted.body);
    ///     Ok(match ask(&handle, step.asked) {
    ///         Some(result) => Answer::text(result).into(),
    ///         None => Reply::NotReady { words: "queued".to_owned(), wait: None },
    ///     })
    /// })?;
    /// assert_eq!(outcome.counts.done, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    pub fn process_steps<F>(&mut self, call: F) -> Result<RunOutcome, Error>
    where
        F: Fn(&Job, &Step) -> Result<Reply, Failure> + Send + Sync + 'static,
    {
        let call = Arc::new(call);
        let mut make = || {
            let call = Arc::clone(&call);
            Ok(StepCaller(move |job: &Job, step: &Step| call(job, step)).into())
        };
        self.process_callers(&mut make, &Stop::new(), &mut |_| {})
    }

    /// Works as [`process`](Self::process), for calls that are futures of tokio. Many share one thread, so a call must
    /// not block it. A stop drops the call, which is then in doubt.
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    pub fn process_async<F, C>(&mut self, call: F) -> Result<RunOutcome, Error>
    where
        F: Fn(Job) -> C + Send + Sync + 'static,
        C: Future<Output = Result<Answer, Failure>> + 'static,
    {
        let call = Arc::new(call);
        let mut make = || {
            let call = Arc::clone(&call);
            Ok(SlotCaller::Async(Box::new(AsyncFnCaller(move |job| {
                call(job)
            }))))
        };
        self.process_callers(&mut make, &Stop::new(), &mut |_| {})
    }

    /// Works as [`process`](Self::process), with a [`Caller`](crate::caller::Caller) for each thread, a way to stop,
    /// and every event.
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    pub fn process_callers<'c>(
        &'c mut self,
        make: &'c mut MakeCaller<'c>,
        stop: &Stop,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<RunOutcome, Error> {
        // `stride set` and `stride status` use the stored settings.
        if self.store.settings()? != self.settings {
            self.store.set_settings(&self.settings)?;
        }
        self.store.renew_changed()?;
        let run_outcome = engine::run(&mut self.store, make, &self.settings, stop, on_event);
        Ok(run_outcome?)
    }

    /// Iterates over the files that are done, in list order.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn results(&self) -> Result<Entries<Done>, Error> {
        Ok(results::done(self.store.path().to_owned())?)
    }

    /// Iterates over the files that failed or are held, in list order within each.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn failures(&self) -> Result<Entries<Failed>, Error> {
        Ok(results::failed(self.store.path().to_owned())?)
    }

    /// Makes the failed or held files that `filter` selects pending again, and returns their number.
    /// [`Filter::default`] selects all failed ones. The next [`process`](Self::process) calls them.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn retry(&mut self, filter: &Filter) -> Result<u64, Error> {
        Ok(self.store.requeue(filter)?)
    }

    /// Takes files off the run: they are neither called nor exported nor counted, and adding them again changes nothing.
    /// Their results are kept. Changes nothing if one is unknown or running
    /// ([`Forgotten::is_refused`]).
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn forget(
        &mut self,
        files: impl IntoIterator<Item = impl Into<FileName>>,
    ) -> Result<Forgotten, Error> {
        let files: Vec<FileName> = files.into_iter().map(Into::into).collect();
        Ok(self.store.forget(Chosen::Names(&files))?)
    }

    /// Brings forgotten files back, in the state that they had. Changes nothing if one is unknown.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn bring_back(
        &mut self,
        files: impl IntoIterator<Item = impl Into<FileName>>,
    ) -> Result<Forgotten, Error> {
        let files: Vec<FileName> = files.into_iter().map(Into::into).collect();
        Ok(self.store.bring_back(Chosen::Names(&files))?)
    }

    /// Writes the results to a file, whole or not at all. Returns the number of the run's files in it.
    ///
    /// # Errors
    ///
    /// `selection` is [`Selection::Whole`] and a file is not done or its result is damaged, or reading or writing fails.
    pub fn export(
        &self,
        format: Format,
        selection: Selection,
        file: impl AsRef<Path>,
    ) -> Result<u64, Error> {
        let reader = Reader::open(self.store.path())?;
        Ok(export::to_file(&reader, format, selection, file.as_ref())?.jobs)
    }

    /// Gives access to the store.
    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }
}
