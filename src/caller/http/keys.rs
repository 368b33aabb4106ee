//! The messages of a run with their secrets in place, shared by all threads. Secrets are read again when the service
//! refuses them, because a key may be renewed during a run of several days.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use super::error::PlanError;
use super::message::Message;
use super::reference::{Lookup, Reference};
use super::secrets::Secrets;
use super::template::secrets_of_service;
use crate::caller::lanes::Lanes;
use crate::job::{Class, Failure, FailureKind, JobId, Outcome};

/// The minimum interval between two readings. A file that the service always forbids would otherwise run a command at
/// each call.
const BETWEEN_READINGS: Duration = Duration::from_secs(60);

/// The maximum number of consecutive calls of a job with renewed credentials. Without it, a command that prints another
/// value each time would repeat a forbidden job forever.
const MOST_IN_A_ROW: u8 = 3;

/// The messages and the lookup of their secrets.
pub(super) struct Keys {
    messages: Vec<Message>,
    lookup: Lookup,
    /// Locked for writing while secrets are read again, which may take long. Locked before `state`.
    current: RwLock<Arc<Filled>>,
    state: Mutex<State>,
    clock: fn() -> Instant,
}

#[derive(Default)]
struct State {
    /// The last time that a refusal caused a reading.
    last_reading: Option<Instant>,
    /// The version read after a refusal, until the service accepts a call with it. Nothing is read again before that, so
    /// that a file which changes all the time causes no endless loop.
    unproven: Option<u64>,
    /// For each job, its number of consecutive renewals and the version that was refused last.
    in_a_row: HashMap<JobId, (u8, u64)>,
}

/// The messages with their secrets in place.
#[derive(Clone)]
pub(super) struct Filled {
    /// Counts the readings that brought new values.
    version: u64,
    /// One for each request of a job, in order.
    pub(super) messages: Vec<Message>,
    /// All secrets so far: a call with an older one may still be answered.
    pub(super) secrets: Secrets,
    values: Values,
}

/// The values of references. A reading looks up each once.
type Values = HashMap<Reference, Vec<u8>>;

impl Filled {
    /// Returns the references of all messages.
    pub(super) fn references(&self) -> impl Iterator<Item = &Reference> + Clone {
        self.values.keys()
    }

    /// Returns a copy whose messages have no values of secrets.
    pub(super) fn masked(&self) -> Self {
        Self {
            messages: self.messages.iter().map(Message::masked).collect(),
            ..self.clone()
        }
    }
}

impl fmt::Debug for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.messages)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.messages)
    }
}

impl Keys {
    /// Looks up all references. `secrets` holds the values that are not references.
    #[cfg(any(test, fuzzing))]
    pub(super) fn new(
        messages: Vec<Message>,
        secrets: Secrets,
        lookup: Lookup,
    ) -> Result<Self, PlanError> {
        Self::with(Values::default(), messages, secrets, lookup)
    }

    /// Looks up all references for each row of a pool, those that are the same for all rows once.
    pub(super) fn of_lanes(
        messages: &[Message],
        mut secrets: Secrets,
        lookup: &Lookup,
        lanes: &Lanes,
    ) -> Result<Vec<Self>, PlanError> {
        for (column, value) in lanes.secrets() {
            let reference = Reference::Pool(column.to_owned());
            add_secret(&mut secrets, messages, &reference, value.as_bytes());
        }
        let mut all: Vec<Self> = Vec::new();
        for row in 0..lanes.len().max(1) {
            let mut known = all
                .first()
                .map_or_else(Values::default, |first| first.current().values.clone());
            known.retain(|reference, _| !matches!(reference, Reference::Pool(_)));
            let (lanes, lookup) = (lanes.clone(), Arc::clone(lookup));
            let lookup: Lookup = Arc::new(move |reference| match reference {
                Reference::Pool(column) => lanes.look_up(row, column),
                reference => lookup(reference),
            });
            all.push(Self::with(
                known,
                messages.to_vec(),
                secrets.clone(),
                lookup,
            )?);
        }
        Ok(all)
    }

    fn with(
        known: Values,
        messages: Vec<Message>,
        secrets: Secrets,
        lookup: Lookup,
    ) -> Result<Self, PlanError> {
        let first = fill(0, &messages, secrets, known, &lookup)?;
        Ok(Self {
            messages,
            lookup,
            current: RwLock::new(Arc::new(first)),
            state: Mutex::default(),
            clock: Instant::now,
        })
    }

    /// Adds a secret that is not in any template.
    pub(super) fn hide(&mut self, value: &[u8]) {
        let current = self.current.get_mut();
        let current = current.unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(current).secrets.add(value);
    }

    /// Returns the messages for the next call. Blocks while secrets are read again.
    pub(super) fn current(&self) -> Arc<Filled> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the messages for the next call, or `None` while secrets are read again.
    pub(super) fn at_hand(&self) -> Option<Arc<Filled>> {
        match self.current.try_read() {
            Ok(current) => Some(Arc::clone(&current)),
            Err(TryLockError::Poisoned(error)) => Some(Arc::clone(&error.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Returns whether [`Keys::learn`] may block on this outcome, because secrets may have to be read again.
    pub(super) fn learns_slowly(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Failed(failure) if failure.class == Class::Auth)
    }

    /// Records the outcome of a call that was made with `used`. If the service refused credentials that have been
    /// renewed, the outcome's kind is changed so that the job is called again at once.
    pub(super) fn learn(&self, used: &Filled, job: JobId, outcome: Outcome) -> Outcome {
        let mut failure = match outcome {
            Outcome::Failed(failure) if failure.class == Class::Auth => failure,
            outcome => {
                let mut state = self.state();
                state.in_a_row.remove(&job);
                if is_accepted(&outcome) && state.unproven == Some(used.version) {
                    state.unproven = None;
                }
                return outcome;
            }
        };
        match self.renewed(used) {
            Ok(true) if self.may_repeat(job, used.version) => {
                failure.kind = FailureKind::CredentialsRenewed;
                return Outcome::Failed(failure);
            }
            Ok(_) => {}
            Err(error) => failure.message = format!("{}; {error}", failure.message),
        }
        self.state().in_a_row.remove(&job);
        Outcome::Failed(failure)
    }

    /// Counts a job's repeat with renewed credentials. Returns false above the maximum.
    fn may_repeat(&self, job: JobId, from: u64) -> bool {
        let mut state = self.state();
        let (count, last) = state.in_a_row.entry(job).or_insert((0, from));
        if *count == 0 || *last != from {
            (*count, *last) = (*count + 1, from);
        }
        *count <= MOST_IN_A_ROW
    }

    /// Returns whether there are newer credentials than those that were refused. The first thread to ask reads them
    /// again. Meanwhile the others wait, and so does every call that would use the old ones.
    fn renewed(&self, used: &Filled) -> Result<bool, PlanError> {
        let current = self.current.write();
        let mut current = current.unwrap_or_else(PoisonError::into_inner);
        if used.version != current.version {
            return Ok(true);
        }
        if !current.values.keys().any(Reference::can_change) || !self.may_read() {
            return Ok(false);
        }
        let mut kept = current.values.clone();
        kept.retain(|reference, _| !reference.can_change());
        let (version, secrets) = (current.version + 1, current.secrets.clone());
        let read = fill(version, &self.messages, secrets, kept, &self.lookup)?;
        if read.values == current.values {
            return Ok(false);
        }
        *current = Arc::new(read);
        self.state().unproven = Some(version);
        Ok(true)
    }

    /// Returns whether the secrets may be read again now, and records the time if so.
    fn may_read(&self) -> bool {
        let now = (self.clock)();
        let mut state = self.state();
        let rested = state
            .last_reading
            .is_none_or(|last| now.duration_since(last) >= BETWEEN_READINGS);
        let may = rested && state.unproven.is_none();
        if may {
            state.last_reading = Some(now);
        }
        may
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the service accepted the credentials: a result, or any 2xx that is not classed as a refusal.
fn is_accepted(outcome: &Outcome) -> bool {
    let is_good = |failure: &Failure| {
        failure
            .status
            .is_some_and(|status| (200..300).contains(&status))
    };
    let is_answer = matches!(
        outcome,
        Outcome::Succeeded(_) | Outcome::Advanced { .. } | Outcome::NotReady { .. }
    );
    is_answer || outcome.failure().is_some_and(is_good)
}

/// Replaces references by their values. Looks up those that `values` lacks.
fn fill(
    version: u64,
    messages: &[Message],
    mut secrets: Secrets,
    mut values: Values,
    lookup: &Lookup,
) -> Result<Filled, PlanError> {
    let mut value = |reference: &Reference| {
        Ok(match values.entry(reference.clone()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(unknown) => {
                let value = super::template::look_up(reference, &**lookup)?;
                unknown.insert(value).clone()
            }
        })
    };
    let resolved = messages.iter().map(|message| message.resolve(&mut value));
    let resolved: Vec<Message> = resolved.collect::<Result<_, _>>()?;
    for (reference, value) in &values {
        if *reference != Reference::Pool("name".to_owned()) {
            add_secret(&mut secrets, messages, reference, value);
        }
    }
    for pair in resolved.iter().flat_map(Message::basic) {
        secrets.add(&pair);
    }
    Ok(Filled {
        version,
        messages: resolved,
        secrets,
        values,
    })
}

/// Adds the value of a reference. Of one that names the service, only parts are secret.
fn add_secret(secrets: &mut Secrets, messages: &[Message], reference: &Reference, value: &[u8]) {
    let mut messages = messages.iter();
    if messages.any(|message| message.names_service(reference)) {
        for secret in secrets_of_service(value) {
            secrets.add(secret.as_bytes());
        }
    } else {
        secrets.add(value);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use super::*;
    use crate::caller::http::message::Place;
    use crate::job::Answer;
    use crate::settings::{Header, HeaderValue, Request};

    const REFUSED: FailureKind = FailureKind::HttpStatus;
    const RENEWED: FailureKind = FailureKind::CredentialsRenewed;

    thread_local! {
        /// The tests' clock, in seconds after its beginning.
        static NOW: Cell<u64> = const { Cell::new(0) };
        static BEGINNING: Instant = Instant::now();
    }

    /// Returns keys whose header refers to a file, which holds the next number at each reading, up to `last`.
    fn keys(last: u32) -> Keys {
        let read = Mutex::new(0);
        let lookup: Lookup = Arc::new(move |reference| {
            assert_eq!(reference, &Reference::File("key".into()));
            let mut read = read.lock().unwrap();
            *read += 1;
            Ok(format!("key-number-{}", last.min(*read)).into_bytes())
        });
        let request = Request {
            method: "POST".to_owned(),
            url: "https://a.example/".to_owned(),
            headers: vec![Header {
                name: "X-Api-Key".to_owned(),
                value: HeaderValue::Template("{file:key}".to_owned()),
            }],
            ..Request::default()
        };
        let message = Message::compile(&request, Place::FIRST, &[], Path::new("/")).unwrap();
        let keys = Keys::new(vec![message], Secrets::default(), lookup).unwrap();
        let clock = || BEGINNING.with(|beginning| *beginning) + Duration::from_secs(NOW.get());
        Keys { clock, ..keys }
    }

    fn accept(keys: &Keys, used: &Filled) {
        let answer = Answer {
            status: Some(200),
            ..Answer::json_text("1")
        };
        keys.learn(used, JobId(1), Outcome::Succeeded(answer));
    }

    /// Returns the kind of a job's refusal.
    fn refuse(keys: &Keys, used: &Filled, job: i64) -> FailureKind {
        let failure = Failure::new(Class::Auth, REFUSED, "refused");
        let learnt = keys.learn(used, JobId(job), Outcome::Failed(failure));
        learnt.failure().unwrap().kind
    }

    #[test]
    fn secrets_are_read_once_a_minute_and_only_after_the_last_ones_were_accepted() {
        let keys = keys(u32::MAX);
        let first = keys.current();
        assert_eq!(refuse(&keys, &first, 2), RENEWED);
        let second = keys.current();
        assert_eq!(refuse(&keys, &second, 3), REFUSED);
        // A late answer to the first ones proves nothing about the second.
        assert_eq!(refuse(&keys, &first, 4), RENEWED);
        accept(&keys, &first);
        NOW.set(60);
        assert_eq!(refuse(&keys, &second, 5), REFUSED);
        accept(&keys, &second);
        assert_eq!(refuse(&keys, &second, 6), RENEWED);
        let third = keys.current();
        accept(&keys, &third);
        NOW.set(119);
        assert_eq!(refuse(&keys, &third, 7), REFUSED);
        NOW.set(120);
        assert_eq!(refuse(&keys, &third, 8), RENEWED);
        let secrets = &keys.current().secrets;
        let masked = secrets.mask_text("key-number-1, key-number-2");
        assert_eq!(masked, "[redacted], [redacted]");
        assert!(!format!("{keys:?} {second:?}").contains("number"));
    }

    #[test]
    fn an_unchanged_key_is_read_again_a_minute_later() {
        let keys = keys(1);
        let first = keys.current();
        assert_eq!(refuse(&keys, &first, 2), REFUSED);
        let lookup: Lookup = Arc::new(|_| Ok(b"key-number-2".to_vec()));
        let keys = Keys { lookup, ..keys };
        assert_eq!(refuse(&keys, &first, 3), REFUSED);
        NOW.set(60);
        assert_eq!(refuse(&keys, &first, 4), RENEWED);
    }

    #[test]
    fn a_forbidden_job_is_not_repeated_forever() {
        let keys = keys(u32::MAX);
        let mut kinds = Vec::new();
        for minute in 0..5 {
            NOW.set(minute * 61);
            kinds.push(refuse(&keys, &keys.current(), 7));
            // Other jobs are accepted meanwhile.
            accept(&keys, &keys.current());
        }
        assert_eq!(kinds, [RENEWED, RENEWED, RENEWED, REFUSED, RENEWED]);
    }
}
