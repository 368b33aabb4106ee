//! Making one call. A [`Caller`] belongs to one chunk thread; what it returns says whether anything was sent.

#[cfg(feature = "http")]
mod http;
mod program;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use http::fuzzing;
#[cfg(feature = "http")]
pub use http::{
    AsyncHttpCaller, Braces, Credential, HttpCaller, HttpPlan, Lookup, Network,
    PROXY_AUTHORIZATION, PlanContext, PlanError, Preview, Reference, Seen, Template, TemplateError,
};
pub use program::{AsyncFnCaller, FnCaller};

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use crate::job::{Attempt, Job, Outcome};

/// Makes the calls of one chunk thread.
pub trait Caller: Send {
    /// Calls the service for one job and says what the attempt came to. It should return soon after `cancel`
    /// is cancelled; a call that does not is left behind, in doubt.
    fn call(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome;
}

/// A call that is under way. It stays in the thread where it began.
pub type Calling<'c> = Pin<Box<dyn Future<Output = Outcome> + 'c>>;

/// Makes the calls of one chunk without keeping a thread while it waits: many of them share one.
pub trait AsyncCaller: Send {
    /// The same as [`Caller::call`], as a future of tokio's. It must never keep its thread for long; what may wait for a
    /// disk, or compute, belongs into [`tokio::task::spawn_blocking`].
    fn call<'c>(
        &'c mut self,
        job: &'c Job,
        attempt: &'c Attempt,
        cancel: &'c Cancel,
    ) -> Calling<'c>;
}

/// The caller of one slot.
pub enum SlotCaller {
    /// One that has a thread to itself.
    Blocking(Box<dyn Caller>),
    /// One that shares a thread with others.
    Async(Box<dyn AsyncCaller>),
}

impl<C: Caller + 'static> From<C> for SlotCaller {
    fn from(caller: C) -> Self {
        Self::Blocking(Box::new(caller))
    }
}

impl From<Box<dyn Caller>> for SlotCaller {
    fn from(caller: Box<dyn Caller>) -> Self {
        Self::Blocking(caller)
    }
}

/// Tells a call that nobody waits for it any longer.
#[derive(Debug, Clone, Default)]
pub struct Cancel(CancellationToken);

impl Cancel {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels every call that has this token.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when it is cancelled.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}
