//! A request's templates with their secrets in place, shared by all threads; and reading those secrets again
//! when the service no longer takes them, for a key may be renewed in the middle of a run that takes days.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::PlanError;
use super::message::Message;
use super::reference::{Lookup, Reference};
use super::secrets::Secrets;
use super::template::TemplateError;
use crate::job::{Class, Failure, Outcome};

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
    /// Whether a refusal makes the secrets be read again. One reading is allowed until a call has been accepted,
    /// so that a file which changes all the time makes no endless loop.
    may_read: bool,
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
            may_read: true,
        };
        Ok(Self {
            message,
            lookup,
            state: Mutex::new(state),
            reading: Mutex::default(),
            is_reading: AtomicBool::new(false),
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

    /// Whether taking note of this outcome may take long: the secrets may have to be read again.
    pub(super) fn learns_slowly(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Failed(failure) if failure.status == Some(UNAUTHORIZED))
    }

    /// Takes note of how a call ended that was made with `used`. Where it was refused for credentials that are
    /// not the current ones, or are no longer, the outcome says so: the job is to be called again at once.
    pub(super) fn learn(&self, used: &Filled, outcome: Outcome) -> Outcome {
        let mut failure = match outcome {
            Outcome::Failed(failure) if failure.status == Some(UNAUTHORIZED) => failure,
            outcome => {
                if is_accepted(&outcome) {
                    self.accepted(used);
                }
                return outcome;
            }
        };
        match self.renewed(used) {
            Ok(true) => {
                failure.class = Class::Auth;
                failure.kind = Failure::CREDENTIALS_RENEWED;
            }
            Ok(false) => {}
            Err(error) => failure.message = format!("{}; {error}", failure.message),
        }
        Outcome::Failed(failure)
    }

    fn accepted(&self, used: &Filled) {
        let mut state = self.state();
        // A late answer to the credentials before says nothing about these.
        if used.version == state.current.version {
            state.may_read = true;
        }
    }

    /// Whether there are newer credentials than those that were refused. The first thread to ask reads them again;
    /// the others wait meanwhile, and so does every call that would go out with the old ones.
    fn renewed(&self, used: &Filled) -> Result<bool, PlanError> {
        let _alone = self.wait();
        let current = self.latest();
        if used.version != current.version {
            return Ok(true);
        }
        let lasting = |(reference, _): &(Reference, _)| !reference.can_change();
        if current.values.0.iter().all(lasting) || !std::mem::take(&mut self.state().may_read) {
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
        *self.state() = State {
            current: Arc::new(read),
            // Whatever was accepted meanwhile had the old ones.
            may_read: false,
        };
        Ok(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status that says that credentials are not, or no longer, valid (RFC 9110, section 15.5.2).
const UNAUTHORIZED: u16 = 401;

/// Whether the service took the credentials: any 2xx, whatever its body.
fn is_accepted(outcome: &Outcome) -> bool {
    let status = match outcome {
        Outcome::Succeeded(answer) => answer.status,
        outcome => outcome.failure().and_then(|failure| failure.status),
    };
    status.is_some_and(|status| (200..300).contains(&status))
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
    use std::path::Path;

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
        Keys::new(message, Secrets::default(), lookup).unwrap()
    }

    fn refused() -> Outcome {
        Outcome::Failed(Failure {
            status: Some(401),
            ..Failure::new(Class::Auth, "http_status", "HTTP 401")
        })
    }

    fn kind(keys: &Keys, used: &Filled) -> &'static str {
        keys.learn(used, refused()).failure().unwrap().kind
    }

    #[test]
    fn one_reading_is_allowed_until_a_call_is_accepted() {
        let keys = keys(u32::MAX);
        let first = keys.current();
        assert_eq!(kind(&keys, &first), Failure::CREDENTIALS_RENEWED);
        let second = keys.current();
        assert_eq!(kind(&keys, &second), "http_status");
        // With those before, however late; an answer to them allows nothing.
        assert_eq!(kind(&keys, &first), Failure::CREDENTIALS_RENEWED);
        let good = || {
            Outcome::Succeeded(Answer {
                status: Some(200),
                ..Answer::json("1")
            })
        };
        keys.learn(&first, good());
        assert_eq!(kind(&keys, &second), "http_status");
        keys.learn(&second, good());
        assert_eq!(kind(&keys, &second), Failure::CREDENTIALS_RENEWED);
        let masked = keys
            .current()
            .secrets
            .mask_text("key-number-1, key-number-2");
        assert_eq!(masked, "[redacted], [redacted]");
        assert!(!format!("{keys:?} {second:?}").contains("number"));
    }

    #[test]
    fn what_has_not_changed_is_refused_as_before() {
        let keys = keys(1);
        let first = keys.current();
        assert_eq!(kind(&keys, &first), "http_status");
        assert_eq!(kind(&keys, &first), "http_status");
    }
}
