//! Makes one call. The outcome says whether anything was sent.

#[cfg(feature = "http")]
mod aside;
#[cfg(feature = "http")]
mod command;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod lanes;
#[cfg(feature = "http")]
mod outputs;
#[cfg(feature = "http")]
mod plan;
mod program;
#[cfg(feature = "http")]
mod spill;
#[cfg(feature = "http")]
mod timer;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use command::heard;
#[cfg(feature = "http")]
pub use command::{
    AsyncExecCaller, AsyncWorkerCaller, CommandContext, CommandError, ExecPlan, Hello,
    StarterPipes, WorkerPlan, WorkerStart,
};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use http::fuzzing;
#[cfg(feature = "http")]
pub use http::{
    AsyncHttpCaller, Braces, Credential, HttpCaller, HttpPlan, Lookup, NO_TLS, Network,
    PROXY_AUTHORIZATION, PlanContext, PlanError, Preview, Reference, ResponseHead, Template,
    TemplateError, UNSUPPORTED, UNTRUSTED, meant_placeholder,
};
#[cfg(feature = "http")]
pub use lanes::{Lanes, LanesError};
#[cfg(feature = "http")]
pub use outputs::WrongFolder;
#[cfg(feature = "http")]
pub use plan::Plan;
pub use program::{AsyncFnCaller, FnCaller, StepCaller};

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use crate::job::{Attempt, Job, Outcome};

/// Makes the calls of one slot, blocking its thread.
pub trait Caller: Send {
    /// Calls the service for one job and returns the outcome. A call that does not return soon after `cancel` is
    /// cancelled is abandoned, in doubt.
    fn call(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome;
}

/// A call in flight. It stays on its thread.
pub type Calling<'c> = Pin<Box<dyn Future<Output = Outcome> + 'c>>;

/// Makes the calls of one slot on a thread that many slots share.
pub trait AsyncCaller: Send {
    /// Does the same as [`Caller::call`], on a tokio runtime. It must never block its thread: disk access and long
    /// computations belong into [`tokio::task::spawn_blocking`].
    fn call<'c>(
        &'c mut self,
        job: &'c Job,
        attempt: &'c Attempt,
        cancel: &'c Cancel,
    ) -> Calling<'c>;
}

/// The caller of one slot.
pub enum SlotCaller {
    /// A caller with a thread of its own.
    Blocking(Box<dyn Caller>),
    /// A caller that shares a thread with others.
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

/// Tells a call to stop.
#[derive(Debug, Clone, Default)]
pub struct Cancel(CancellationToken);

impl Cancel {
    /// Returns a token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels every call that has this token.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Returns whether the token is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when the token is cancelled.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}
