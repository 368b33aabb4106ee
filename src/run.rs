//! A run for programs that make the calls themselves: the short way through the library.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::caller::FnCaller;
use crate::engine::{self, MakeCaller, Outline, RunError, Stop};
use crate::event::Event;
use crate::export::{self, ExportError, Format, Selection};
use crate::job::{Answer, Failure, FileName, Job};
use crate::settings::{Call, Settings};
use crate::store::{Loaded, Lock, NewRun, Reader, Store, StoreError, Untaken};

/// A run whose calls a program makes itself. It is the one writer of its database until it is dropped.
#[derive(Debug)]
pub struct Run(Store);

/// What can go wrong with a [`Run`].
#[derive(Debug, Error)]
pub enum Error {
    /// The run was made for other calls than these.
    #[error("this run's calls are not `{asked}`")]
    OtherCalls {
        /// What was asked for.
        asked: String,
    },
    /// Answers that an earlier runner saved cannot be taken in. Their files would be called again.
    #[error("saved answers cannot be taken in: {}", FileName::from(.path.as_path()))]
    Untaken {
        /// The file, or the folder that may have some.
        path: PathBuf,
        /// Why not.
        #[source]
        reason: io::Error,
    },
    /// The current folder is not known.
    #[error("the current folder cannot be found")]
    Folder(#[from] io::Error),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run could not go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The results cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl Run {
    /// Opens the run in a database, or makes it where there is none. `calls` says what its calls are, in a few
    /// words: a run goes on only under the same ones, for results of different calls do not belong together.
    /// Relative names resolve against the folder that is current when the run is made.
    ///
    /// # Errors
    ///
    /// The database cannot be used, another runner has it, or its calls are others.
    pub fn open(database: impl AsRef<Path>, calls: &str) -> Result<Self, Error> {
        let lock = Lock::acquire(database.as_ref())?;
        let call = Call::Program {
            name: calls.to_owned(),
        };
        if fs::symlink_metadata(lock.database()).is_err() {
            let run = NewRun {
                call,
                settings: Settings::default(),
                base: std::env::current_dir()?,
            };
            return Ok(Self(Store::create(lock, &run, |_| Ok::<_, Error>(()))?.0));
        }
        let mut store = Store::open(lock)?;
        store.take_in()?;
        if let Some(untaken) = store.untaken()?.into_iter().next() {
            let Untaken { path, reason } = untaken;
            return Err(Error::Untaken { path, reason });
        }
        if store.call()? != call {
            return Err(Error::OtherCalls {
                asked: calls.to_owned(),
            });
        }
        Ok(Self(store))
    }

    /// Adds files at the end of the list, all or none. Those that are in it already stay as they are.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn add(
        &mut self,
        files: impl IntoIterator<Item = impl Into<FileName>>,
    ) -> Result<Loaded, Error> {
        let loaded = self.0.load(|loader| {
            for file in files {
                loader.add(&file.into())?;
            }
            Ok::<_, Error>(())
        })?;
        // Answers may have been saved for files that the list had lost.
        self.0.take_in()?;
        Ok(loaded)
    }

    /// Calls `call` for each file that has no result yet, in `settings.threads` chunk threads, and records what
    /// it returns. Each thread has a clone of it. An `Err` of the class
    /// [`Transient`](crate::job::Class::Transient) is tried again later, any other is final.
    ///
    /// # Errors
    ///
    /// The database fails; what was recorded by then is safe.
    pub fn process<F>(&mut self, settings: &Settings, call: F) -> Result<Outline, Error>
    where
        F: FnMut(&Job) -> Result<Answer, Failure> + Clone + Send + 'static,
    {
        let mut make = move || Ok(FnCaller(call.clone()).into());
        self.process_with(settings, &mut make, &Stop::new(), &mut |_| {})
    }

    /// As [`process`](Self::process), with a [`Caller`](crate::caller::Caller) of its own for each thread, a way to stop, and every
    /// event.
    ///
    /// # Errors
    ///
    /// The database fails; what was recorded by then is safe.
    pub fn process_with<'c>(
        &'c mut self,
        settings: &Settings,
        make: &'c mut MakeCaller<'c>,
        stop: &Stop,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Outline, Error> {
        // `stride set` changes what is stored, and `stride status` shows it.
        if self.0.settings()? != *settings {
            self.0.set_settings(settings)?;
        }
        Ok(engine::run(&mut self.0, make, settings, stop, on_event)?)
    }

    /// Writes the results to a file, whole or not at all. Returns how many files' results were written.
    ///
    /// # Errors
    ///
    /// Not everything is done and `selection` is [`Selection::Whole`], or reading or writing fails.
    pub fn export(
        &self,
        format: Format,
        selection: Selection,
        file: impl AsRef<Path>,
    ) -> Result<u64, Error> {
        let reader = Reader::open(self.0.path())?;
        Ok(export::to_file(&reader, format, selection, file.as_ref())?.jobs)
    }

    /// The store beneath, for all that is not here.
    pub fn store(&mut self) -> &mut Store {
        &mut self.0
    }
}
