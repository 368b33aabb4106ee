//! Timeouts that usually do not expire.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// A wait that ends this late shows that the process was suspended. It is extended by this time.
const SUSPENDED: Duration = Duration::from_secs(1);

/// Waits. If the process was suspended meanwhile (Ctrl-Z, a debugger, a virtual machine), waits a moment more, because an
/// answer may have arrived unnoticed.
pub(super) async fn patience(wait: Duration) {
    let began = Instant::now();
    sleep(wait).await;
    catch_up(began, wait).await;
}

async fn catch_up(began: Instant, wait: Duration) {
    if began.elapsed().saturating_sub(wait) > SUSPENDED {
        sleep(SUSPENDED).await;
    }
}

/// One timer for all calls of a caller, reset only when it expires or is too late. Resetting it once in a timeout is
/// cheaper than once in a call.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits as [`patience`] does.
    pub(super) async fn patience(&mut self, wait: Duration) {
        let began = Instant::now();
        match began.checked_add(wait) {
            Some(moment) => self.until(moment).await,
            // The moment is too far away to be represented.
            None => sleep(wait).await,
        }
        catch_up(began, wait).await;
    }

    async fn until(&mut self, moment: Instant) {
        poll_fn(|context| {
            let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(moment)));
            if sleep.deadline() > moment {
                sleep.as_mut().reset(moment);
            }
            while {
                ready!(sleep.as_mut().poll(context));
                Instant::now() < moment
            } {
                sleep.as_mut().reset(moment);
            }
            Poll::Ready(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_timer_expires_at_each_moment_after_any_earlier_setting() {
        let mut timer = Timer::default();
        for wait in [10, 3, 7, 7, 0, 20, 1].map(Duration::from_secs) {
            // A call that ends before its timeout does not reset the timer.
            let cut = wait / 2;
            let moment = Instant::now() + wait;
            let early = timeout(cut, timer.until(moment)).await;
            assert_eq!(early.is_err(), !wait.is_zero());
            timer.until(moment).await;
            // The runtime's timers count milliseconds.
            assert!(moment.elapsed() <= Duration::from_millis(2));
            timer.until(moment).await;
        }
    }
}
