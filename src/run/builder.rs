//! Opens or makes a run for a program.

use std::fs;
use std::path::PathBuf;

use super::Run;
use super::error::Error;
use crate::settings::{Call, Settings, Threads};
use crate::store::{Lock, NewRun, RefusedRescue, Store};

/// Settings for a [`Run`] that is about to be opened. Made by [`Run::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    database: PathBuf,
    workload: String,
    settings: Settings,
}

impl Run {
    /// Begins to open the run in a database, which is made where it does not exist.
    pub fn builder(database: impl Into<PathBuf>) -> Builder {
        Builder {
            database: database.into(),
            workload: String::new(),
            settings: Settings::default(),
        }
    }
}

impl Builder {
    /// Names what the calls do, in a few words, such as `count words v1`. A run is only opened again under the same
    /// name, because results of different calls do not belong together.
    pub fn workload(mut self, name: impl Into<String>) -> Self {
        self.workload = name.into();
        self
    }

    /// Sets the number of calls at the same time. The default is that of [`Settings::default`].
    pub fn threads(mut self, threads: usize) -> Self {
        self.settings.threads = Threads::Fixed(threads);
        self
    }

    /// Sets how often a call is made again after a transient failure.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Replaces all settings, those of [`threads`](Self::threads) and [`retries`](Self::retries) among them.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Opens the run, or makes it where there is no database. Relative names of files resolve against the folder
    /// that is current when the run is made.
    ///
    /// # Errors
    ///
    /// The database cannot be used, another process works on it, its workload has another name, or answers that an
    /// earlier process saved cannot be taken in.
    pub fn open(self) -> Result<Run, Error> {
        let Self {
            database,
            workload,
            settings,
        } = self;
        let lock = Lock::acquire(&database)?;
        let call = Call::Program {
            name: workload.clone(),
        };
        if fs::symlink_metadata(lock.database()).is_err() {
            let run = NewRun {
                call,
                settings: settings.clone(),
                base: std::env::current_dir()?,
            };
            let (store, _) = Store::create(lock, &run, |_| Ok::<_, Error>(()))?;
            return Ok(Run { store, settings });
        }
        let mut store = Store::open(lock)?;
        let (_, refused) = store.import_rescues()?;
        if let Some(RefusedRescue { path, reason }) = refused.into_iter().next() {
            return Err(Error::RefusedRescue { path, reason });
        }
        if store.call()? != call {
            return Err(Error::OtherWorkload { asked: workload });
        }
        Ok(Run { store, settings })
    }
}
