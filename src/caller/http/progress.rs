//! The progress of a call: whether it is still connecting, and when a byte of its file was last sent. It decides whether
//! an interrupted call was provably not sent, or is in doubt.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use tower_layer::Layer;
use tower_service::Service;

use crate::job::FileStamp;

/// The progress of the current call, shared by a caller, its connector and the body it sends.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<CallState>);

#[derive(Debug, Default)]
struct CallState {
    connecting: AtomicBool,
    /// The call has a new connection.
    fresh: AtomicBool,
    target: Mutex<Target>,
    upload: Mutex<Upload>,
}

/// The target of the current request.
#[derive(Debug, Default, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// The host whose answer names the target, if no URL of the user does.
    pub(super) named_by: Option<String>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Upload {
    /// The body is read while it is sent. Other bodies are sent at once and cannot stall.
    pub(super) streams: bool,
    /// The time at which a byte of the file was last sent, during the upload.
    pub(super) moved: Option<Instant>,
    /// The error that ended the upload.
    pub(super) error: Option<String>,
    /// The job's file, if the request reads it.
    pub(super) source: Option<FileStamp>,
}

impl Progress {
    /// Begins a new call.
    pub(super) fn reset(&self) {
        self.0.connecting.store(false, Ordering::SeqCst);
        self.0.fresh.store(false, Ordering::SeqCst);
        self.upload(|upload| *upload = Upload::default());
    }

    /// Returns whether the call waits for its connection. If so, nothing was sent, because the client makes one call at a
    /// time and has no other connection for it.
    pub(super) fn is_connecting(&self) -> bool {
        self.0.connecting.load(Ordering::SeqCst)
    }

    /// Returns whether the call has a new connection.
    pub(super) fn is_fresh(&self) -> bool {
        self.0.fresh.load(Ordering::SeqCst)
    }

    /// Returns the target of the current request.
    pub(super) fn target(&self) -> MutexGuard<'_, Target> {
        self.0.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn upload<T>(&self, look: impl FnOnce(&mut Upload) -> T) -> T {
        look(&mut self.0.upload.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Wraps a connector to record when it is at work.
impl<S> Layer<S> for Progress {
    type Service = RecordedConnector<S>;

    fn layer(&self, inner: S) -> RecordedConnector<S> {
        RecordedConnector {
            inner,
            progress: self.clone(),
        }
    }
}

/// A connector that records when it is at work.
#[derive(Debug, Clone)]
pub(super) struct RecordedConnector<S> {
    inner: S,
    progress: Progress,
}

impl<S, R> Service<R> for RecordedConnector<S>
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
