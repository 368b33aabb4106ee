//! What is known of a call that is under way: whether its connection is still being made, and when its file
//! last moved. It is what turns a cut-off call into "provably not sent" or "in doubt".

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use tower_layer::Layer;
use tower_service::Service;

/// Shared by a caller, its connector and the body it sends.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    connecting: AtomicBool,
    /// The call has a connection that no call had before.
    fresh: AtomicBool,
    upload: Mutex<Upload>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Upload {
    /// Whether there is a body that is read while it is sent. What is sent at once cannot stand still.
    pub(super) streams: bool,
    /// When the file last moved, while it is being sent.
    pub(super) moved: Option<Instant>,
    /// What went wrong with the file.
    pub(super) error: Option<String>,
}

impl Progress {
    /// Forgets the call before.
    pub(super) fn reset(&self) {
        self.0.connecting.store(false, Ordering::SeqCst);
        self.0.fresh.store(false, Ordering::SeqCst);
        self.upload(|upload| *upload = Upload::default());
    }

    /// Whether the call waits for a connection that is being made. Then nothing of it was sent: the caller's
    /// client makes one call at a time, so no other connection can have taken it.
    pub(super) fn is_connecting(&self) -> bool {
        self.0.connecting.load(Ordering::SeqCst)
    }

    /// Returns whether the call has a connection that no call had before.
    pub(super) fn is_fresh(&self) -> bool {
        self.0.fresh.load(Ordering::SeqCst)
    }

    pub(super) fn upload<T>(&self, look: impl FnOnce(&mut Upload) -> T) -> T {
        look(&mut self.0.upload.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes a connector tell when it is at work.
impl<S> Layer<S> for Progress {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched {
            inner,
            progress: self.clone(),
        }
    }
}

/// A connector that tells when it is at work.
#[derive(Debug, Clone)]
pub(super) struct Watched<S> {
    inner: S,
    progress: Progress,
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let progress = self.progress.clone();
        progress.0.connecting.store(true, Ordering::SeqCst);
        progress.0.fresh.store(true, Ordering::SeqCst);
        let connect = self.inner.call(target);
        Box::pin(async move {
            let connected = connect.await;
            if connected.is_ok() {
                progress.0.connecting.store(false, Ordering::SeqCst);
            }
            connected
        })
    }
}
