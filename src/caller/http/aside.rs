//! Work that may take its time, beside the thread that drives the calls.

use std::future;
use std::panic;

/// Does in another thread what may wait or compute for long. A panic there is one here.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            // The runtime is shutting down, and nobody waits for this call any longer.
            Err(_) => future::pending().await,
        },
    }
}
