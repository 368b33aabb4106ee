//! Blocking work, kept off the threads that drive calls.

use std::future;
use std::panic;

/// Runs blocking or long work on another thread. A panic there is raised here.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            // The runtime is shutting down and has dropped this call.
            Err(_) => future::pending().await,
        },
    }
}
