//! The governor's vocabulary: the rules it is given, the signals it gets, and its answers.

use std::time::Duration;

use super::pace::Stamp;
use crate::job::{Hint, JobId};
use crate::limits::{Budget, Budgets, Cost, MaxFailures, Money, Rate, Rates, Spent, Usage, Used};

/// The number of calls at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// A fixed number.
    Fixed(usize),
    /// As many as raise throughput, up to this number.
    Auto(usize),
}

/// The user's limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The rates, and whether a lower one may be found.
    pub rates: Rates,
    /// The calls that the shortest rate lets through in a row.
    pub burst: u64,
    /// Calls at the same time.
    pub width: Width,
    /// The longest wait that the service may ask for.
    pub max_wait: Duration,
    /// The longest outage.
    pub max_outage: Duration,
    /// The most failed files.
    pub max_failures: Option<MaxFailures>,
    /// Stop when every file is rejected for one cause and none has succeeded.
    pub stops_slips: bool,
    /// The budgets.
    pub budgets: Budgets,
    /// No call after this moment, in milliseconds since 1970.
    pub until: Option<i64>,
    /// Send the first call alone, for two seconds at most.
    pub canary: bool,
}

impl Rules {
    /// So many rejected files, all for one cause, may be a slip.
    pub const SLIP: u64 = 30;
}

/// The memory of a run's earlier runners.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// Usage in the last day, the oldest first.
    pub spent: Vec<Spent>,
    /// The rest of a wait that the service asked for.
    pub closed_for: Option<Duration>,
    /// Limits of the service that were found.
    pub found: Found,
    /// Budget used.
    pub used: Used,
    /// A file has succeeded under the present request.
    pub proven: bool,
    /// A guard stopped the last runner, so this one begins elsewhere in the list.
    pub stopped_by_guard: bool,
}

/// Limits of the service that were found.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Found {
    /// Calls in a second.
    pub rate: Option<f64>,
    /// Calls at the same time that the service accepts.
    pub at_once: Option<usize>,
    /// Calls at the same time that `-j auto` settled on.
    pub width: Option<usize>,
}

/// The state that the next runner needs, beside the usage by second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// The rest of a wait that the service asked for.
    pub closed_for: Option<Duration>,
    /// Limits of the service that were found.
    pub found: Found,
    /// Budget used since the memory was last taken; negative where more was given back than taken.
    pub used: Usage,
    /// A file has succeeded under the present request.
    pub proven: bool,
    /// The file that was refused most often while others were accepted, and how often.
    pub refused: Option<(JobId, u32)>,
}

/// The reason why no call may start now. Moments are on the governor's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    /// All of so many workers are busy.
    Threads(usize),
    /// The service takes so many calls at a time.
    AtOnce(usize),
    /// A rate of the user's.
    Rate(Rate),
    /// The calls in a second that the service was found to allow.
    Found(f64),
    /// The pace rises after a pause.
    Rising,
    /// The service asked every caller to wait until this moment.
    Asked(Duration),
    /// The service refused a call and named no moment; a probe goes at this one.
    Refused(Duration),
    /// The service said that no call is left until this moment.
    Spent(Duration),
    /// The service has been unavailable since this moment.
    Outage {
        /// The moment of the first failure.
        since: Duration,
        /// The time between two probes.
        every: Duration,
    },
    /// The first call goes alone.
    First,
    /// A call elsewhere in the list decides whether the files or the service are at fault.
    Looking,
    /// The disk has too little room for results.
    Room,
    /// Nothing: the files left wait for their next attempt, or are in flight.
    Work,
}

impl Why {
    /// The moment that belongs to it.
    pub fn moment(&self) -> Option<Duration> {
        match self {
            Self::Asked(moment) | Self::Refused(moment) | Self::Spent(moment) => Some(*moment),
            Self::Outage { since, .. } => Some(*since),
            _ => None,
        }
    }
}

/// The decision about a call.
#[derive(Debug)]
pub enum Verdict {
    /// It may be made.
    Go(Permit),
    /// Not before this moment, or before a call in flight has ended.
    Wait(Why, Option<Duration>),
    /// No call may be made any more.
    Halt(Reason),
}

/// The reason why a run stops although files are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Failures in a row that are not the files' own.
    Refused(Refusal),
    /// Every file so far was rejected for one cause.
    Rejected,
    /// More files failed than allowed.
    Failures(u64),
    /// The service was unavailable for so long.
    Outage(Duration),
    /// The service asks for this wait, longer than allowed.
    Wait(Duration),
    /// A budget is used up.
    Budget(Budget),
}

/// The way out of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Come back later; nothing needs to change.
    Wait,
    /// Raise a limit, the user's own or the one at the service.
    Raise,
    /// Correct the request, the credentials or the files.
    Fix,
}

impl Action {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Raise => "raise",
            Self::Fix => "fix",
        }
    }
}

impl Reason {
    /// The word for it. The list is closed.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.as_str(),
            Self::Rejected => "rejected",
            Self::Failures(_) => "failures",
            Self::Outage(_) => "outage",
            Self::Wait(_) => "wait",
            Self::Budget(Budget::Calls(_)) => "max_calls",
            Self::Budget(Budget::Duration(_)) => "max_duration",
            Self::Budget(Budget::Cost(_)) => "max_cost",
            Self::Budget(Budget::Until) => "until",
        }
    }

    /// The way out.
    pub fn action(&self) -> Action {
        match self {
            Self::Outage(_) | Self::Wait(_) | Self::Budget(Budget::Until) => Action::Wait,
            Self::Failures(_) | Self::Budget(_) | Self::Refused(Refusal::Quota) => Action::Raise,
            Self::Refused(_) | Self::Rejected => Action::Fix,
        }
    }

    /// Returns true where a guard judged the files' failures to be everybody's: the next runner begins elsewhere.
    pub fn is_guards(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Rejected)
    }
}

/// A failure that has nothing to do with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The service does not accept the credentials (401, 407).
    Auth,
    /// The service forbids the call (403): for the credentials, or for this file.
    Forbidden,
    /// The allowance at the service is used up.
    Quota,
    /// The connection cannot be trusted, or the service wants a client certificate.
    Tls,
    /// The service's name leads nowhere.
    Name,
    /// The proxy does not let the call through.
    Proxy,
    /// The service has moved.
    Redirect,
    /// The file is missing, and perhaps its disk.
    MissingFile,
}

impl Refusal {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth | Self::Forbidden => "credentials",
            Self::Quota => "quota",
            Self::Tls => "certificate",
            Self::Name => "name",
            Self::Proxy => "proxy",
            Self::Redirect => "redirect",
            Self::MissingFile => "missing_files",
        }
    }
}

/// The right to make one call. It goes back with what became of the call.
#[derive(Debug)]
pub struct Permit {
    pub(super) stamp: Stamp,
    /// Counts permits from 0.
    pub(super) number: u64,
    pub(super) at: Duration,
    pub(super) cost: Cost,
    /// Its price when it was given.
    pub(super) price: Money,
    /// For a look elsewhere in the list: for whose sake.
    pub(super) look: Option<Look>,
}

impl Permit {
    /// The cost that it was given for.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The place in the list where this call has to be made, if not in order.
    pub fn place(&self) -> Option<Elsewhere> {
        self.look.map(|look| look.place)
    }
}

/// A look elsewhere in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) cause: Option<SharedCause>,
    pub(super) place: Elsewhere,
}

/// A place in the list where a guard looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// The last file that is left and has not failed.
    Last,
    /// A random one of those.
    Random,
}

/// The effect of one call on all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The call succeeded.
    Accepted,
    /// The service answered, and the failure is this file's own.
    Answered,
    /// The service rejected the file; equal numbers are one cause.
    Rejected(u64),
    /// The service asks for patience.
    Refused {
        /// The wait that it asks for.
        wait: Option<Duration>,
        /// A 503, which may mean an outage as well as a limit.
        unavailable: bool,
    },
    /// A passing failure of the service: 5xx, a lost connection, a time-out.
    Failed,
    /// No connection was made.
    Unreachable,
    /// A failure that is not the file's own.
    Refusal(Refusal),
    /// The credentials have been renewed since; the answer says nothing about the new ones.
    Stale,
    /// The call was never tried.
    Unsent,
}

impl Signal {
    /// Returns true unless nothing can have been sent.
    pub fn is_sent(self) -> bool {
        !matches!(
            self,
            Self::Unreachable
                | Self::Unsent
                | Self::Refusal(
                    Refusal::Tls | Refusal::Name | Refusal::Proxy | Refusal::MissingFile
                )
        )
    }
}

/// An ended call.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'c> {
    /// The file.
    pub file: JobId,
    /// The file failed for good before, while others succeeded.
    pub failed_before: bool,
    /// The effect on others.
    pub signal: Signal,
    /// The limits that the service stated.
    pub hint: Option<&'c Hint>,
    /// The duration of the call.
    pub took: Duration,
}

/// A cause beside the file for which its failure is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SharedCause {
    /// The credentials, the allowance or the address.
    Service,
    /// The disk.
    Disk,
    /// The request, which may be wrong for all files.
    Request,
    /// An outage.
    Outage,
}

impl SharedCause {
    pub(super) const ALL: [Self; 4] = [Self::Service, Self::Disk, Self::Request, Self::Outage];
}

/// The fate of the file of an ended call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// As the retry policy says.
    ByPolicy,
    /// Pending and not called again until its cause is cleared or convicted.
    Quarantine(SharedCause),
    /// Pending and not charged; to be called again from this moment on.
    Again(Duration),
    /// The same, and after all other files; `true` where it is the first time for this file.
    AgainLast(Duration, bool),
    /// As the retry policy says, but held back where that fails the file.
    Defer(SharedCause),
    /// Charged as a passing failure; called again from this moment on at the earliest; `true` for held back where that
    /// fails the file.
    Charge(Duration, bool),
    /// Failed: the service refuses this file again and again, and takes others.
    Reject,
}

/// The consequences of an ended call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lesson {
    /// The fate of its file.
    pub fate: Fate,
    /// Causes that were cleared: the files held back for them fail.
    pub cleared: [bool; 4],
    /// An outage was established: what was charged for it is given back.
    pub outage: bool,
}

impl Lesson {
    pub(super) fn new(fate: Fate) -> Self {
        Self {
            fate,
            cleared: [false; 4],
            outage: false,
        }
    }

    /// Returns true where this cause was cleared.
    pub fn clears(&self, cause: SharedCause) -> bool {
        self.cleared[cause as usize]
    }
}
