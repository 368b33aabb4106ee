//! Guards: what stops a run because going on would only make more of the same failures.
//!
//! A refusal that is not the file's fault (credentials, an allowance used up, a certificate, a name that is not
//! there, a redirect) begins a streak. Only a success that was claimed after the streak's first refusal breaks
//! it, for an earlier one says nothing about now. Until then the refused jobs stay pending and uncharged; when
//! the streak is broken, the files were to blame after all, and they fail; when it is long enough, the run
//! stops and leaves them pending.

use std::fmt;
use std::str::FromStr;

/// A refusal that has nothing to do with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The credentials are not accepted.
    Auth,
    /// The allowance is used up.
    Quota,
    /// The connection is not the service's, by its certificate.
    Tls,
    /// The service's name leads nowhere.
    Name,
    /// The service has moved.
    Redirect,
    /// Not a refusal of the service: the file is not there, perhaps nor is its disk.
    MissingFile,
}

impl Refusal {
    /// How many in a row stop the run, where some call has succeeded before, and where none has.
    fn threshold(self, proven: bool) -> u32 {
        match (self, proven) {
            (Self::MissingFile, _) => 20,
            // A certificate does not get better by looking at it again.
            (Self::Tls, false) => 1,
            (Self::Redirect, false) => 3,
            _ => 5,
        }
    }
}

/// How many failed files stop a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFailures {
    /// More than so many.
    Count(u64),
    /// More than so many of a hundred that are finished.
    Percent(f64),
}

impl MaxFailures {
    /// Of fewer finished files, a share says nothing.
    const SAMPLE: u64 = 20;

    fn is_passed(self, failed: u64, done: u64) -> bool {
        match self {
            Self::Count(most) => failed > most,
            Self::Percent(most) => {
                let finished = failed + done;
                finished >= Self::SAMPLE && failed as f64 * 100.0 > most * finished as f64
            }
        }
    }
}

impl FromStr for MaxFailures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        read.ok_or_else(|| {
            format!("`{text}` is neither a number of files, such as 100, nor a share, such as 5%")
        })
    }
}

impl fmt::Display for MaxFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
}

/// Refusals in a row.
#[derive(Debug, Default)]
struct Streak {
    length: u32,
    /// The first call that can break it.
    mark: u64,
    last: Option<Refusal>,
}

impl Streak {
    /// Counts a refusal; `next` is the number of the next call to be claimed.
    fn add(&mut self, refusal: Refusal, next: u64) -> u32 {
        if self.length == 0 {
            self.mark = next;
        }
        self.length += 1;
        self.last = Some(refusal);
        self.length
    }

    /// Whether a call broke it.
    fn broken_by(&mut self, call: u64) -> bool {
        let broken = self.length > 0 && call >= self.mark;
        if broken {
            *self = Self::default();
        }
        broken
    }
}

/// What a guard makes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Nothing.
    None,
    /// The streak goes on: the job stays pending.
    HoldBack,
    /// The streak is long enough: the run stops.
    Stop(Refusal),
}

/// Watches what calls come to.
#[derive(Debug)]
pub(super) struct Guard {
    /// Whether the first call goes alone.
    canary: bool,
    /// Whether a call has succeeded, or one was answered so that the others may follow.
    proven: bool,
    succeeded: bool,
    service: Streak,
    files: Streak,
    failed: u64,
    done: u64,
}

impl Guard {
    pub(super) fn new(canary: bool) -> Self {
        Self {
            canary,
            proven: false,
            succeeded: false,
            service: Streak::default(),
            files: Streak::default(),
            failed: 0,
            done: 0,
        }
    }

    /// Whether calls go one at a time, for it is not known yet whether any is accepted.
    pub(super) fn alone(&self) -> bool {
        self.canary && !self.proven
    }

    /// Whether a call has reached the service and was not refused.
    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// A call was refused; `next` is the number of the next call to be claimed.
    pub(super) fn refused(&mut self, refusal: Refusal, next: u64) -> Ruling {
        let streak = match refusal {
            Refusal::MissingFile => &mut self.files,
            _ => &mut self.service,
        };
        if streak.add(refusal, next) >= refusal.threshold(self.succeeded) {
            return Ruling::Stop(refusal);
        }
        match refusal {
            // Nothing was sent, and the job waits for the service in any case.
            Refusal::Tls | Refusal::Name => Ruling::None,
            _ => Ruling::HoldBack,
        }
    }

    /// A call reached the service and was not refused. Whether that ends the streak of missing files.
    pub(super) fn reached(&mut self, call: u64) -> bool {
        self.proven = true;
        self.files.broken_by(call)
    }

    /// A call succeeded. Whether that ends the streak of refusals.
    pub(super) fn succeeded(&mut self, call: u64) -> bool {
        self.succeeded = true;
        self.service.broken_by(call)
    }

    /// Whether the streak of refusals says that no call at all was accepted, and which it was.
    pub(super) fn all_refused(&self) -> Option<Refusal> {
        self.service.last.filter(|_| !self.succeeded)
    }

    /// The refused jobs have been dealt with.
    pub(super) fn forget(&mut self) {
        self.service = Streak::default();
        self.files = Streak::default();
    }

    /// Counts a job that is finished.
    pub(super) fn finished(&mut self, failed: bool) {
        if failed {
            self.failed += 1;
        } else {
            self.done += 1;
        }
    }

    /// How many jobs have failed, if that is more than allowed.
    pub(super) fn too_many(&self, most: Option<MaxFailures>) -> Option<u64> {
        most.filter(|most| most.is_passed(self.failed, self.done))
            .map(|_| self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_a_row_stop_the_run() {
        let mut guard = Guard::new(true);
        for n in 0..4 {
            assert_eq!(guard.refused(Refusal::Auth, n + 1), Ruling::HoldBack);
            assert!(guard.alone(), "nobody follows a call that was refused");
        }
        assert_eq!(
            guard.refused(Refusal::Quota, 5),
            Ruling::Stop(Refusal::Quota)
        );
        assert_eq!(guard.all_refused(), Some(Refusal::Quota));
    }

    #[test]
    fn only_a_success_claimed_after_the_first_refusal_breaks_the_streak() {
        let mut guard = Guard::new(true);
        guard.reached(0);
        assert!(!guard.succeeded(0) && !guard.alone());
        // Calls 1 to 32 are in flight, the next is 33.
        guard.refused(Refusal::Auth, 33);
        assert!(!guard.succeeded(20));
        for _ in 0..3 {
            assert_eq!(guard.refused(Refusal::Auth, 34), Ruling::HoldBack);
        }
        assert!(guard.succeeded(33), "the files were to blame");
        assert_eq!(
            guard.refused(Refusal::Auth, 40),
            Ruling::HoldBack,
            "it begins anew"
        );
        assert_eq!(guard.all_refused(), None);
    }

    #[test]
    fn a_certificate_is_looked_at_once_and_redirects_thrice_while_nothing_is_proven() {
        let mut guard = Guard::new(true);
        assert_eq!(guard.refused(Refusal::Tls, 1), Ruling::Stop(Refusal::Tls));
        let mut guard = Guard::new(true);
        guard.refused(Refusal::Redirect, 1);
        guard.refused(Refusal::Redirect, 2);
        assert_eq!(
            guard.refused(Refusal::Redirect, 3),
            Ruling::Stop(Refusal::Redirect)
        );
        let mut guard = Guard::new(true);
        guard.succeeded(0);
        assert_eq!(guard.refused(Refusal::Tls, 1), Ruling::None);
    }

    #[test]
    fn twenty_missing_files_are_a_missing_disk() {
        let mut guard = Guard::new(true);
        for _ in 0..19 {
            assert_eq!(guard.refused(Refusal::MissingFile, 7), Ruling::HoldBack);
        }
        assert!(!guard.reached(6), "claimed before");
        assert_eq!(
            guard.refused(Refusal::MissingFile, 8),
            Ruling::Stop(Refusal::MissingFile)
        );
        guard.forget();
        guard.refused(Refusal::MissingFile, 9);
        assert!(guard.reached(9), "one that is there says that the disk is");
    }

    #[test]
    fn failures_are_counted_or_weighed() {
        let count: MaxFailures = "2".parse().unwrap();
        let share: MaxFailures = "5%".parse().unwrap();
        let mut guard = Guard::new(false);
        for _ in 0..3 {
            assert_eq!(guard.too_many(Some(count)), None);
            guard.finished(true);
        }
        assert_eq!(guard.too_many(Some(count)), Some(3));
        assert_eq!(guard.too_many(Some(share)), None, "three are no sample");
        (0..17).for_each(|_| guard.finished(false));
        assert_eq!(guard.too_many(Some(share)), Some(3));
        assert_eq!(guard.too_many(None), None);
        for wrong in ["", "-1", "5.5", "101%", "x%", "%"] {
            assert!(wrong.parse::<MaxFailures>().is_err(), "{wrong}");
        }
        assert_eq!(share.to_string(), "5%");
    }
}
