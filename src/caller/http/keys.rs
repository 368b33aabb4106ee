//! A request's templates with their secrets in place, shared by all threads; and reading those secrets again
//! when the service no longer takes them, for a key may be renewed in the middle of a run that takes days.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::PlanError;
use super::message::Message;
use super::reference::{Lookup, Reference};
use super::secrets::Secrets;
use super::template::TemplateError;
use crate::job::{Class, Failure, FailureKind, JobId, Outcome};

/// The least time between two readings, so that a file which is forbidden for itself runs no command each time.
const BETWEEN_READINGS: Duration = Duration::from_secs(60);

/// How often in a row a job is called again with renewed credentials. A job that is forbidden for itself would otherwise
/// be called for ever where a command prints another value each time.
const MOST_IN_A_ROW: u8 = 3;

/// The message, and the way to its secrets.
pub(super) struct Keys {
    message: Message,
    lookup: Lookup,
    /// Held only ever for a moment.
    state: Mutex<State>,
    /// Held while secrets are read again, which may take long. Taken before `state`.
    reading: Mutex<()>,
    /// Whether it is held for that.
    is_reading: AtomicBool,
    clock: fn() -> Instant,
}

/// Says that secrets are being read again, until it is dropped.
struct IsReading<'k>(&'k AtomicBool);

impl<'k> IsReading<'k> {
    fn set(flag: &'k AtomicBool) -> Self {
        flag.store(true, Ordering::SeqCst);
        Self(flag)
    }
}

impl Drop for IsReading<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

struct State {
    current: Arc<Filled>,
    /// The last time that a refusal made the secrets be read again.
    last_reading: Option<Instant>,
    /// The current values were read after a refusal, and no call has been accepted with them. Then they are not read
    /// again, so that a file which changes all the time makes no endless loop.
    unproven: bool,
    /// How often in a row jobs came back for renewed credentials, and the version they came back from last.
    in_a_row: HashMap<JobId, (u8, u64)>,
}

/// The message with its secrets in place.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    /// Counts the readings that brought new values.
    version: u64,
    pub(super) message: Message,
    /// All secrets so far: a call that went out with an older one may still be answered.
    pub(super) secrets: Secrets,
    values: Values,
}

/// What references stand for. Each is looked up once.
#[derive(Clone, Default, PartialEq)]
struct Values(Vec<(Reference, Vec<u8>)>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} values]", self.0.len())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.message)
    }
}

impl Values {
    fn of(&mut self, reference: &Reference, lookup: &Lookup) -> Result<Vec<u8>, TemplateError> {
        let known = self.0.iter().find(|(known, _)| known == reference);
        if let Some((_, value)) = known {
            return Ok(value.clone());
        }
        let value = super::template::look_up(reference, &**lookup)?;
        self.0.push((reference.clone(), value.clone()));
        Ok(value)
    }
}

impl Keys {
    /// Looks up every reference. `secrets` are those that are none.
    pub(super) fn new(
        message: Message,
        secrets: Secrets,
        lookup: Lookup,
    ) -> Result<Self, PlanError> {
        let first = fill(0, &message, secrets, Values::default(), &lookup)?;
        let state = State {
            current: Arc::new(first),
            last_reading: None,
            unproven: false,
            in_a_row: HashMap::new(),
        };
        Ok(Self {
            message,
            lookup,
            state: Mutex::new(state),
            reading: Mutex::default(),
            is_reading: AtomicBool::new(false),
            clock: Instant::now,
        })
    }

    /// Adds a secret that no template has.
    pub(super) fn hide(&mut self, value: &[u8]) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut state.current).secrets.add(value);
    }

    /// What calls are made with now. While the secrets are read again, that is waited for.
    pub(super) fn current(&self) -> Arc<Filled> {
        self.at_hand().unwrap_or_else(|| {
            let _end = self.wait();
            self.latest()
        })
    }

    /// The same, if there is nothing to wait for.
    pub(super) fn at_hand(&self) -> Option<Arc<Filled>> {
        (!self.is_reading.load(Ordering::SeqCst)).then(|| self.latest())
    }

    fn latest(&self) -> Arc<Filled> {
        Arc::clone(&self.state().current)
    }

    fn wait(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether taking note of this outcome may take long, because the secrets may have to be read again.
    pub(super) fn learns_slowly(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Failed(failure) if failure.class == Class::Auth)
    }

    /// Takes note of how a job's call ended that was made with `used`. Where it was refused for credentials that are
    /// not the current ones, or are no longer, the outcome says so: the job is to be called again at once.
    pub(super) fn learn(&self, used: &Filled, job: JobId, outcome: Outcome) -> Outcome {
        let mut failure = match outcome {
            Outcome::Failed(failure) if failure.class == Class::Auth => failure,
            outcome => {
                let mut state = self.state();
                state.in_a_row.remove(&job);
                // A late answer to the credentials before says nothing about these.
                if is_accepted(&outcome) && used.version == state.current.version {
                    state.unproven = false;
                }
                return outcome;
            }
        };
        match self.renewed(used) {
            Ok(true) if self.comes_back(job, used.version) => {
                failure.kind = FailureKind::CredentialsRenewed;
                return Outcome::Failed(failure);
            }
            Ok(_) => {}
            Err(error) => failure.message = format!("{}; {error}", failure.message),
        }
        self.state().in_a_row.remove(&job);
        Outcome::Failed(failure)
    }

    /// Counts that a job comes back for renewed credentials. Returns false where it has done so too often.
    fn comes_back(&self, job: JobId, from: u64) -> bool {
        let mut state = self.state();
        let (count, last) = state.in_a_row.entry(job).or_insert((0, from));
        if *count == 0 || *last != from {
            (*count, *last) = (*count + 1, from);
        }
        *count <= MOST_IN_A_ROW
    }

    /// Returns whether there are newer credentials than those that were refused. The first thread to ask reads them
    /// again; the others wait meanwhile, and so does every call that would go out with the old ones.
    fn renewed(&self, used: &Filled) -> Result<bool, PlanError> {
        let _alone = self.wait();
        let current = self.latest();
        if used.version != current.version {
            return Ok(true);
        }
        let lasting = |(reference, _): &(Reference, _)| !reference.can_change();
        if current.values.0.iter().all(lasting) || !self.may_read() {
            return Ok(false);
        }
        let _reading = IsReading::set(&self.is_reading);
        let mut kept = current.values.clone();
        kept.0.retain(lasting);
        let (version, secrets) = (current.version + 1, current.secrets.clone());
        let read = fill(version, &self.message, secrets, kept, &self.lookup)?;
        let same = |(reference, value): &(Reference, Vec<u8>)| {
            let before = current
                .values
                .0
                .iter()
                .find(|(known, _)| known == reference);
            before.is_some_and(|(_, before)| before == value)
        };
        if read.values.0.iter().all(same) {
            return Ok(false);
        }
        let mut state = self.state();
        state.current = Arc::new(read);
        // The calls that were accepted meanwhile had the old ones.
        state.unproven = true;
        Ok(true)
    }

    /// Returns whether the secrets may be read again now, and takes note that they are.
    fn may_read(&self) -> bool {
        let now = (self.clock)();
        let mut state = self.state();
        let rested = state
            .last_reading
            .is_none_or(|last| now.duration_since(last) >= BETWEEN_READINGS);
        let may = rested && !state.unproven;
        if may {
            state.last_reading = Some(now);
        }
        may
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the service took the credentials: a result, or any 2xx that was not judged to be their refusal.
fn is_accepted(outcome: &Outcome) -> bool {
    let is_good = |failure: &Failure| {
        failure
            .status
            .is_some_and(|status| (200..300).contains(&status))
    };
    matches!(outcome, Outcome::Succeeded(_)) || outcome.failure().is_some_and(is_good)
}

/// Puts values in the place of references; those that `values` has not yet are looked up.
fn fill(
    version: u64,
    message: &Message,
    mut secrets: Secrets,
    mut values: Values,
    lookup: &Lookup,
) -> Result<Filled, PlanError> {
    let message = message.resolve(&mut |reference| values.of(reference, lookup))?;
    for (_, value) in &values.0 {
        secrets.add(value);
    }
    for pair in message.basic() {
        secrets.add(&pair);
    }
    Ok(Filled {
        version,
        message,
        secrets,
        values,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;
    use std::sync::atomic::AtomicI64;

    use super::*;
    use crate::job::Answer;
    use crate::settings::{Header, HeaderValue, Request};

    /// Keys in a header whose file holds the next number at each reading, up to `last`.
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
        let message = Message::compile(&request, &[], Path::new("/")).unwrap();
        let keys = Keys::new(message, Secrets::default(), lookup).unwrap();
        let clock = || BEGINNING.with(|beginning| *beginning) + Duration::from_secs(NOW.get());
        Keys { clock, ..keys }
    }

    thread_local! {
        /// The tests' clock, as so many seconds after its beginning.
        static NOW: Cell<u64> = const { Cell::new(0) };
        static BEGINNING: Instant = Instant::now();
    }

    fn later(seconds: u64) {
        NOW.set(NOW.get() + seconds);
    }

    fn refused(status: u16) -> Outcome {
        Outcome::Failed(Failure {
            status: Some(status),
            ..Failure::new(Class::Auth, FailureKind::HttpStatus, "refused")
        })
    }

    fn good() -> Outcome {
        Outcome::Succeeded(Answer {
            status: Some(200),
            ..Answer::json_text("1")
        })
    }

    fn kind_for(keys: &Keys, used: &Filled, job: i64) -> FailureKind {
        let outcome = refused(401);
        assert!(Keys::learns_slowly(&outcome));
        let learnt = keys.learn(used, JobId(job), outcome);
        learnt.failure().unwrap().kind
    }

    /// The kind of the refusal of a job that is refused for the first time.
    fn kind(keys: &Keys, used: &Filled) -> FailureKind {
        static JOBS: AtomicI64 = AtomicI64::new(1000);
        kind_for(keys, used, JOBS.fetch_add(1, Ordering::SeqCst))
    }

    const RENEWED: FailureKind = FailureKind::CredentialsRenewed;

    #[test]
    fn a_reading_is_allowed_once_a_minute_and_not_before_the_last_one_has_proved_good() {
        let keys = keys(u32::MAX);
        let first = keys.current();
        assert_eq!(kind(&keys, &first), RENEWED);
        let second = keys.current();
        assert_eq!(kind(&keys, &second), FailureKind::HttpStatus);
        // With those before, however late; an answer to them proves nothing.
        assert_eq!(kind(&keys, &first), RENEWED);
        keys.learn(&first, JobId(1), good());
        later(60);
        assert_eq!(kind(&keys, &second), FailureKind::HttpStatus);
        keys.learn(&second, JobId(1), good());
        assert_eq!(kind(&keys, &second), RENEWED);
        let third = keys.current();
        keys.learn(&third, JobId(1), good());
        later(59);
        assert_eq!(kind(&keys, &third), FailureKind::HttpStatus);
        later(1);
        assert_eq!(kind(&keys, &third), RENEWED);
        let masked = keys
            .current()
            .secrets
            .mask_text("key-number-1, key-number-2");
        assert_eq!(masked, "[redacted], [redacted]");
        assert!(!format!("{keys:?} {second:?}").contains("number"));
    }

    #[test]
    fn a_key_that_had_not_changed_is_looked_at_again_a_minute_later() {
        let keys = keys(1);
        let first = keys.current();
        assert_eq!(kind(&keys, &first), FailureKind::HttpStatus);
        assert_eq!(kind(&keys, &first), FailureKind::HttpStatus);
        let read = Arc::new(AtomicI64::new(0));
        let lookup: Lookup = {
            let read = Arc::clone(&read);
            Arc::new(move |_| {
                read.fetch_add(1, Ordering::SeqCst);
                Ok(b"key-number-2".to_vec())
            })
        };
        let keys = Keys { lookup, ..keys };
        assert_eq!(kind(&keys, &first), FailureKind::HttpStatus);
        assert_eq!(read.load(Ordering::SeqCst), 0);
        later(60);
        assert_eq!(kind(&keys, &first), RENEWED);
        assert_eq!(read.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn whatever_is_in_the_class_of_credentials_makes_them_be_read_again() {
        for status in [200, 400, 401, 403, 407] {
            let keys = keys(u32::MAX);
            let outcome = refused(status);
            assert!(Keys::learns_slowly(&outcome));
            let outcome = keys.learn(&keys.current(), JobId(1), outcome);
            assert_eq!(outcome.failure().unwrap().kind, RENEWED, "{status}");
        }
        let rejected = Outcome::Failed(Failure {
            status: Some(401),
            ..Failure::new(Class::Rejected, FailureKind::HttpStatus, "by a rule")
        });
        assert!(!Keys::learns_slowly(&rejected));
        let keys = keys(u32::MAX);
        let outcome = keys.learn(&keys.current(), JobId(1), rejected.clone());
        assert_eq!(outcome, rejected);
    }

    #[test]
    fn a_job_that_is_forbidden_for_itself_does_not_come_back_for_ever() {
        let keys = keys(u32::MAX);
        let mut kinds = Vec::new();
        for _ in 0..5 {
            let used = keys.current();
            kinds.push(kind_for(&keys, &used, 7));
            // Others are accepted meanwhile, and its calls take minutes.
            keys.learn(&keys.current(), JobId(1), good());
            later(61);
        }
        let refused = FailureKind::HttpStatus;
        assert_eq!(kinds, [RENEWED, RENEWED, RENEWED, refused, RENEWED]);
    }
}
