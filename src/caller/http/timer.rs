//! Waits that seldom come to their end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// From how late on a wait shows that the whole process stood still, and how long what arrived meanwhile has then.
const STOOD_STILL: Duration = Duration::from_secs(1);

/// Waits for so long. Where the whole process stood still meanwhile (Ctrl-Z, a debugger, a virtual machine), an answer
/// may have arrived that nobody could take: there is a moment more for it.
pub(super) async fn patience(wait: Duration) {
    let began = Instant::now();
    sleep(wait).await;
    catch_up(began, wait).await;
}

async fn catch_up(began: Instant, wait: Duration) {
    if began.elapsed().saturating_sub(wait) > STOOD_STILL {
        sleep(STOOD_STILL).await;
    }
}

/// One timer for all calls of a caller. It is left running when a call ends, and set again only when it goes off before
/// the end of the call that is waited for then: so it is touched once in a time-out and not once in a call.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// As [`patience`].
    pub(super) async fn patience(&mut self, wait: Duration) {
        let began = Instant::now();
        match began.checked_add(wait) {
            Some(moment) => self.until(moment).await,
            // As good as never.
            None => sleep(wait).await,
        }
        catch_up(began, wait).await;
    }

    /// Resolves at this moment.
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

    /// Time is virtual here: it goes on when nothing else can.
    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_each_moment_whatever_it_was_set_to_before() {
        let mut timer = Timer::default();
        for wait in [10, 3, 7, 7, 0, 20, 1].map(Duration::from_secs) {
            // A call that ends before its time-out leaves the timer as it is.
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
