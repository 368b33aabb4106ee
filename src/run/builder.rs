//! Opens or creates a run for a program.

use std::fs;

use super::Run;
use super::error::Error;
use crate::settings::{Call, Settings, Threads};
use crate::store::{Location, Lock, NewRun, RefusedRescue, Store};

/// Opens a [`Run`]. Made by [`Run::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    location: Location,
    workload: String,
    settings: Settings,
}

impl Run {
    /// Returns a builder that opens the run at a location, usually the path of a SQLite database, or creates it.
    pub fn builder(location: impl Into<Location>) -> Builder {
        Builder {
            location: location.into(),
            workload: String::new(),
            settings: Settings::default(),
        }
    }
}

impl Builder {
    /// Names the calls in a few words, such as `count words v1`. A run opens only under the same name again, because
    /// results of different calls do not belong together.
    pub fn workload(mut self, name: impl Into<String>) -> Self {
        self.workload = name.into();
        self
    }

    /// Sets the number of concurrent calls. The default is that of [`Settings::default`].
    pub fn threads(mut self, threads: usize) -> Self {
        self.settings.threads = Threads::Fixed(threads);
        self
    }

    /// Sets the number of retries after transient failures.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Replaces all settings, those of [`threads`](Self::threads) and [`retries`](Self::retries) among them.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Opens the run, or creates it if the database is missing. Relative names of files resolve against the current
    /// folder at creation.
    ///
    /// # Errors
    ///
    /// The database cannot be used, another process works on it, or its workload has another name. Or a rescue file of an
    /// earlier process cannot be imported, or the current folder cannot be found.
    pub fn open(self) -> Result<Run, Error> {
        let Self {
            location,
            workload,
            settings,
        } = self;
        let lock = Lock::acquire(location)?;
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
