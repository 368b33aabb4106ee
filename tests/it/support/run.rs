//! Runs on real files, each with a bystander: a done job that nothing may change.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use stride::event::Ending;
use stride::job::{Answer, Class, Failure, FileName, JobId, JobState, Outcome, Position, StepKind};
use stride::limits::Cost;
use stride::retry::{DoubtPolicy, RetryPolicy};
use stride::settings::{Call, Settings};
use stride::store::{Claim, Holder, Loaded, Lock, NewRun, Reader, Settlement, Store, StoreError};
use tempfile::TempDir;

use super::LIMIT;

/// The bystander's name, which breaks careless SQL.
pub(crate) const BYSTANDER: &str = "by'stander\" % _ ? ;--.txt";

/// Repeats at once.
pub(crate) const POLICY: RetryPolicy = RetryPolicy {
    retries: 2,
    delay: Duration::ZERO,
    max_delay: Duration::ZERO,
    in_doubt: DoubtPolicy::Retry,
    poll_every: Duration::ZERO,
    poll_for: Duration::from_secs(3600),
};

/// The rows that a job has in every table.
pub(crate) type Rows = Vec<Vec<Value>>;

/// The size of the pages of a new database, in bytes.
pub(crate) const PAGE: usize = 8192;

/// A run in a folder of its own.
pub(crate) struct Fixture {
    folder: TempDir,
    pub(crate) database: PathBuf,
    /// The bystander's rows, which must be the same at the end.
    bystander: Option<Rows>,
}

/// Returns the place of a file in this folder, or `None` where its name leads elsewhere: tests write nowhere else.
pub(crate) fn inside(folder: &Path, name: &FileName) -> Option<PathBuf> {
    let mut parts = name.as_path().components();
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    is_plain.then(|| folder.join(name.as_path()))
}

impl Fixture {
    /// A folder without a run.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().canonicalize().unwrap().join("stride.db");
        Self {
            folder,
            database,
            bystander: None,
        }
    }

    /// A run with these jobs, and the bystander behind them; each has a file, which holds its name, if the name stays
    /// inside the folder.
    pub(crate) fn new<N: Into<FileName> + Clone>(names: &[N]) -> Self {
        let mut fixture = Self::empty();
        let mut names: Vec<FileName> = names.iter().cloned().map(Into::into).collect();
        names.push(BYSTANDER.into());
        for name in &names {
            // A name that no file of this folder can have has none.
            if let Some(place) = inside(fixture.folder.path(), name) {
                let _ = fs::write(place, name.as_bytes());
            }
        }
        let (mut store, _) = fixture.create(&names).unwrap();
        store.start(1, &POLICY).unwrap();
        let bystander = fixture.id(BYSTANDER);
        let claim = claim(&mut store, bystander);
        let answer = Outcome::Succeeded(Answer::json_text(r#"{"by": "stander"}"#));
        settle(&mut store, &settlement(&claim, answer)).unwrap();
        store.finish(&Ending::Finished).unwrap();
        store.close().unwrap();
        fixture.watch_bystander();
        fixture
    }

    /// A run with `n` jobs, `0` and on.
    pub(crate) fn numbered(n: usize) -> Self {
        Self::new(&numbers(n))
    }

    /// From now on the bystander's rows must not change.
    pub(crate) fn watch_bystander(&mut self) {
        self.bystander = Some(self.rows(BYSTANDER));
    }

    /// For a run whose database the test itself takes away.
    pub(crate) fn forget_bystander(&mut self) {
        self.bystander = None;
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn new_run(&self) -> NewRun {
        NewRun {
            call: Call::Program {
                name: "test".to_owned(),
            },
            settings: Settings::default(),
            base: self.database.parent().unwrap().to_owned(),
        }
    }

    /// Makes the run, of exactly these names.
    pub(crate) fn create(&self, names: &[FileName]) -> Result<(Store, Loaded), StoreError> {
        let lock = Lock::acquire(&self.database)?;
        Store::create(lock, &self.new_run(), |loader| {
            names.iter().try_for_each(|name| loader.add(name))
        })
    }

    pub(crate) fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(Lock::acquire(&self.database)?)
    }

    /// Acquires the lock of the database.
    pub(crate) fn lock(&self) -> Lock {
        take_lock(&self.database)
    }

    /// Opens the store.
    pub(crate) fn open(&self) -> Store {
        Store::open(self.lock()).unwrap()
    }

    /// A store whose runner has begun.
    pub(crate) fn start(&self) -> Store {
        let mut store = self.open();
        store.start(1, &POLICY).unwrap();
        store
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.database).unwrap()
    }

    /// A connection that knows nothing of stride.
    pub(crate) fn sql(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(&self.database).unwrap();
        connection.busy_timeout(super::LIMIT).unwrap();
        connection
    }

    /// The job of this name.
    pub(crate) fn id(&self, name: impl Into<FileName>) -> JobId {
        let name = name.into();
        let sql = "SELECT id FROM job WHERE CAST(path AS BLOB) = ?1";
        JobId(
            self.sql()
                .query_row(sql, [name.as_bytes()], |row| row.get(0))
                .unwrap(),
        )
    }

    pub(crate) fn state(&self, name: &str) -> JobState {
        self.record(name).state
    }

    pub(crate) fn record(&self, name: &str) -> stride::store::Record {
        let mut found = None;
        let name = FileName::from(name);
        let reader = self.reader();
        let each = &mut |record: stride::store::Record| {
            if record.path == name {
                found = Some(record);
            }
            Ok::<_, StoreError>(())
        };
        reader.records(true, each).unwrap();
        found.unwrap()
    }

    /// A job's rows in every table, as they are.
    pub(crate) fn rows(&self, name: impl Into<FileName>) -> Rows {
        let id = self.id(name);
        let connection = self.sql();
        let mut rows = Vec::new();
        for sql in [
            "SELECT * FROM job WHERE id = ?1",
            "SELECT * FROM work WHERE job = ?1",
            "SELECT * FROM attempt WHERE job = ?1 ORDER BY number",
            "SELECT * FROM result WHERE job = ?1",
            "SELECT * FROM columns WHERE job = ?1",
            "SELECT * FROM rejected_response WHERE job = ?1",
            "SELECT * FROM forgotten WHERE job = ?1",
            "SELECT * FROM progress WHERE job = ?1",
            "SELECT * FROM step_answer WHERE job = ?1 ORDER BY step",
        ] {
            let mut statement = connection.prepare(sql).unwrap();
            let columns = statement.column_count();
            let found = statement.query_map([id.0], |row| {
                (0..columns)
                    .map(|i| row.get(i))
                    .collect::<Result<_, rusqlite::Error>>()
            });
            rows.extend(found.unwrap().map(Result::unwrap));
        }
        rows
    }

    /// Everything in every table but the owner's token, to see that nothing changed.
    pub(crate) fn contents(&self) -> Vec<Rows> {
        let connection = self.sql();
        let tables = [
            "id, uuid, created, base, call, settings FROM run",
            "* FROM runner",
            "* FROM job",
            "* FROM work",
            "* FROM attempt",
            "* FROM result",
            "* FROM columns",
            "* FROM rejected_response",
            "* FROM forgotten",
            "* FROM progress",
            "* FROM step_answer",
            "* FROM counts",
            "* FROM artifact",
            "* FROM list",
            "* FROM earlier_request",
        ];
        let table = |columns: &str| {
            let mut statement = connection.prepare(&format!("SELECT {columns}")).unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                (0..columns)
                    .map(|i| row.get(i))
                    .collect::<Result<_, rusqlite::Error>>()
            });
            rows.unwrap().map(Result::unwrap).collect()
        };
        tables.map(table).into()
    }

    /// The problems that `verify` finds.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.reader().verify().unwrap().problems
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(before) = self.bystander.take()
            && !std::thread::panicking()
        {
            assert_eq!(self.rows(BYSTANDER), before, "the bystander was touched");
        }
    }
}

/// `0`, `1` and on.
pub(crate) fn numbers(n: usize) -> Vec<FileName> {
    (0..n)
        .map(|i| FileName::from(i.to_string().as_str()))
        .collect()
}

/// Claims a job that is pending, durably.
pub(crate) fn claim(store: &mut Store, job: JobId) -> Claim {
    let mut group = store.group().unwrap();
    let claim = group
        .claim(job, 0, Cost::default(), None)
        .unwrap()
        .expect("the job is pending");
    group.commit().unwrap();
    claim
}

/// Claims the first job that is pending, durably.
pub(crate) fn claim_next(store: &mut Store) -> Option<Claim> {
    let mut group = store.group().unwrap();
    let offers = group.offer(Position(0), 1, Duration::MAX).unwrap();
    let claim = group
        .claim(offers.first()?.job, 0, Cost::default(), None)
        .unwrap();
    group.commit().unwrap();
    claim
}

/// The settlement of an outcome under [`POLICY`].
pub(crate) fn settlement(claim: &Claim, outcome: Outcome) -> Settlement {
    settlement_under(&POLICY, claim, outcome)
}

pub(crate) fn settlement_under(
    policy: &RetryPolicy,
    claim: &Claim,
    outcome: Outcome,
) -> Settlement {
    let (next, record) = policy.after(claim.record, &claim.attempt, &outcome, 0.0);
    Settlement {
        price: None,
        attempt: claim.attempt.id,
        step: claim.attempt.step,
        outcome,
        checksum: None,
        took: Duration::from_millis(7),
        next,
        record,
    }
}

/// Settles, durably.
pub(crate) fn settle(store: &mut Store, settlement: &Settlement) -> Result<JobState, StoreError> {
    let mut group = store.group()?;
    let state = group.settle(settlement)?;
    group.commit()?;
    Ok(state)
}

/// Claims and settles one job, durably.
pub(crate) fn attempt(store: &mut Store, job: JobId, outcome: Outcome) -> JobState {
    let claim = claim(store, job);
    settle(store, &settlement(&claim, outcome)).unwrap()
}

pub(crate) fn succeeded(json: &str) -> Outcome {
    Outcome::Succeeded(Answer::json_text(json))
}

pub(crate) fn failed(class: Class, status: Option<u16>, message: &str) -> Outcome {
    Outcome::Failed(failure(class, status, message))
}

pub(crate) fn failure(class: Class, status: Option<u16>, message: &str) -> Failure {
    Failure {
        status,
        ..Failure::new(class, "test", message)
    }
}

pub(crate) fn throttled(wait: Option<Duration>) -> Outcome {
    Outcome::Throttled {
        failure: failure(Class::Throttled, Some(429), "patience"),
        wait,
    }
}

pub(crate) fn in_doubt() -> Outcome {
    Outcome::InDoubt(failure(Class::Transient, None, "who knows"))
}

pub(crate) fn unreachable() -> Outcome {
    Outcome::Unreachable(failure(Class::Transient, None, "nobody there"))
}

pub(crate) fn unsendable() -> Outcome {
    Outcome::Unsendable(failure(Class::Input, None, "no such file"))
}

/// The answer of a step that is not the last.
pub(crate) fn advanced(json: &str, next: StepKind) -> Outcome {
    Outcome::Advanced {
        answer: Box::new(Answer::json_text(json)),
        next,
        wait: None,
    }
}

/// The answer to a poll: not ready.
pub(crate) fn not_ready() -> Outcome {
    Outcome::NotReady {
        status: Some(202),
        wait: None,
        words: "queued".to_owned(),
        hint: None,
    }
}

/// A successful answer of an HTTP service.
pub(crate) fn answered(media_type: &str, body: impl Into<Vec<u8>>) -> Outcome {
    Outcome::Succeeded(Answer {
        status: Some(200),
        media_type: Some(media_type.to_owned()),
        headers: None,
        body: body.into().into(),
        hint: None,
        source: None,
    })
}

/// Acquires a database's lock. A program that another test starts holds this process's locks between its fork and its
/// exec, so this waits for a lock of the own process, and for one without a recorded holder.
pub(crate) fn take_lock(database: &Path) -> Lock {
    let began = Instant::now();
    let is_own = |holder: &Option<Holder>| {
        (holder.as_ref()).is_none_or(|holder| holder.pid == std::process::id())
    };
    loop {
        match Lock::acquire(database) {
            Err(StoreError::Busy { holder, .. }) if is_own(&holder) && began.elapsed() < LIMIT => {
                std::thread::yield_now();
            }
            acquired => return acquired.unwrap(),
        }
    }
}
