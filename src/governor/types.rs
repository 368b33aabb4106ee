//! The governor's inputs and outputs: rules, signals, decisions.

use std::time::Duration;

use super::prices::Reservation;
use super::rate_controller::Stamp;
use crate::job::{Hint, JobId, Money, Price};
use crate::limits::{
    Budget, Budgets, Cost, MaxFailures, PastCharge, Rate, Rates, Usage, UsageDelta,
};

/// The number of concurrent calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// A fixed number.
    Fixed(usize),
    /// As many as raise throughput, up to this number.
    Auto(usize),
}

/// The user's limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Rate limits.
    pub rates: Rates,
    /// Calls that the shortest rate admits in a row.
    pub burst: u64,
    /// Concurrent calls.
    pub concurrency: Concurrency,
    /// Longest wait that the service may ask for. A longer one stops the run.
    pub max_wait: Duration,
    /// Longest outage. A longer one stops the run.
    pub max_outage: Duration,
    /// Most failed files.
    pub max_failures: Option<MaxFailures>,
    /// Stop if all of the first files are rejected, or crash their program, for one cause.
    pub stops_bad_requests: bool,
    /// Budgets.
    pub budgets: Budgets,
    /// No call starts from this moment on, in milliseconds since 1970.
    pub until: Option<i64>,
    /// Send the first call alone, for two seconds at most.
    pub canary: bool,
}

impl Rules {
    /// Rejected files, all for one cause, after which the request itself is suspect.
    pub const BAD_REQUEST: u64 = 30;
}

/// The state that earlier sessions of the run left.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The lanes: one, or one for each row of a pool.
    pub lanes: Vec<LaneHistory>,
    /// Consumption of the budgets.
    pub used: Usage,
    /// The dearest known cost of a call.
    pub dearest: Option<Money>,
    /// A guard stopped the last session, so this one starts with a spot check.
    pub stopped_by_guard: bool,
}

impl Default for History {
    /// One lane without a history.
    fn default() -> Self {
        Self {
            lanes: vec![LaneHistory::default()],
            used: Usage::default(),
            dearest: None,
            stopped_by_guard: false,
        }
    }
}

/// The state that earlier sessions left for one lane.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LaneHistory {
    /// Charges of the last day, the oldest first.
    pub spent: Vec<PastCharge>,
    /// Rest of a wait that the service asked for.
    pub closed_for: Option<Duration>,
    /// Limits of the service.
    pub found: LearnedLimits,
    /// A file has succeeded under the present request.
    pub proven: bool,
}

/// Limits of the service, learned from its answers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LearnedLimits {
    /// Calls per second.
    pub rate: Option<f64>,
    /// Concurrent calls that the service accepts.
    pub at_once: Option<usize>,
    /// Concurrent calls that `-j auto` settled on.
    pub width: Option<usize>,
}

/// The state that the next session needs, apart from the charges.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The lanes, in the order of [`History::lanes`].
    pub lanes: Vec<LaneCheckpoint>,
    /// Consumption of the budgets since the last checkpoint.
    pub used: UsageDelta,
    /// The dearest known cost of a call.
    pub dearest: Option<Money>,
    /// File that was throttled most often while others were accepted, and how often.
    pub refused: Option<(JobId, u32)>,
}

/// The state of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LaneCheckpoint {
    /// Rest of a wait that the service asked for.
    pub closed_for: Option<Duration>,
    /// Limits of the service.
    pub found: LearnedLimits,
    /// A file has succeeded under the present request.
    pub proven: bool,
    /// Reason for which no further call of this session goes to the lane.
    pub stopped: Option<StopReason>,
}

/// The limit that decides when the next call starts. Moments are on the governor's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LimitedBy {
    /// All threads are busy; their number.
    Threads(usize),
    /// The service accepts only this many concurrent calls.
    ServiceConcurrency(usize),
    /// A rate set by the user.
    Rate(Rate),
    /// The service's learned limit, in calls per second.
    LearnedRate(f64),
    /// The rate rises after a pause.
    RampUp,
    /// The service asked for a wait until this moment.
    RetryAfter(Duration),
    /// The service refused a call and named no wait. A probe follows at this moment.
    Throttled(Duration),
    /// The service reported that no call is left until this moment.
    QuotaReset(Duration),
    /// The service is unavailable.
    Outage {
        /// Moment of the first failure.
        since: Duration,
        /// Time between two probes.
        every: Duration,
    },
    /// The first call is in flight alone, or the calls in flight have to show whether the request is valid.
    Canary,
    /// A spot check is in flight: it decides whether the files or the service are at fault.
    SpotCheck,
    /// The disk has too little space for results.
    DiskSpace,
    /// The calls in flight may cost what is left of the budget.
    Cost,
    /// This many files are submitted and unfinished, as many as may be.
    Submitted(u64),
    /// Every file left waits for its next attempt, or is in flight.
    NoWork,
}

impl LimitedBy {
    /// Returns the moment that belongs to the limit.
    pub fn moment(&self) -> Option<Duration> {
        match self {
            Self::RetryAfter(moment) | Self::Throttled(moment) | Self::QuotaReset(moment) => {
                Some(*moment)
            }
            Self::Outage { since, .. } => Some(*since),
            _ => None,
        }
    }
}

/// The decision about a requested call.
#[derive(Debug)]
pub enum Admission {
    /// The call may start.
    Go(Permit),
    /// The call may start at this moment, or when a call in flight has completed.
    Wait(LimitedBy, Option<Duration>),
    /// The run stops: no further call may start.
    Halt(StopReason),
}

/// The reason why a run stops although files are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Consecutive failures with a cause outside the files.
    Fault(Fault),
    /// The call of every file so far was rejected, or crashed its program, for one cause.
    Rejected,
    /// More files failed than allowed; their number.
    Failures(u64),
    /// The service was unavailable for this long.
    Outage(Duration),
    /// The service asked for this wait, which is longer than allowed.
    Wait(Duration),
    /// A budget is exhausted.
    Budget(Budget),
    /// Only jobs are left that wait for their next step, the first for this long, and the session only submits.
    Submitted(Duration),
}

/// The user's way to continue a stopped run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Resume later; nothing needs to change.
    Wait,
    /// Raise a limit, the user's own or the one at the service.
    Raise,
    /// Correct the request, the credentials or the files.
    Fix,
}

impl Action {
    /// Returns its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Raise => "raise",
            Self::Fix => "fix",
        }
    }
}

impl StopReason {
    /// Returns its stored name. The list is closed.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.as_str(),
            Self::Rejected => "rejected",
            Self::Failures(_) => "failures",
            Self::Outage(_) => "outage",
            Self::Wait(_) => "wait",
            Self::Submitted(_) => "submitted",
            Self::Budget(Budget::Calls(_)) => "max_calls",
            Self::Budget(Budget::Duration(_)) => "max_duration",
            Self::Budget(Budget::Cost(_)) => "max_cost",
            Self::Budget(Budget::Until) => "until",
        }
    }

    /// Returns the way to continue.
    pub fn action(&self) -> Action {
        match self {
            Self::Outage(_) | Self::Wait(_) | Self::Submitted(_) | Self::Budget(Budget::Until) => {
                Action::Wait
            }
            Self::Failures(_) | Self::Budget(_) | Self::Fault(Fault::Quota) => Action::Raise,
            Self::Fault(_) | Self::Rejected => Action::Fix,
        }
    }

    /// Returns true if no other account can help.
    pub fn is_of_run(&self) -> bool {
        match self {
            Self::Fault(fault) => {
                fault.is_of_program() || matches!(fault, Fault::MissingFile | Fault::NotRun)
            }
            Self::Rejected | Self::Failures(_) | Self::Budget(_) | Self::Submitted(_) => true,
            Self::Outage(_) | Self::Wait(_) => false,
        }
    }

    /// Returns true if a guard stopped the run, because every file would fail the same way.
    pub fn is_guards(&self) -> bool {
        matches!(self, Self::Fault(_) | Self::Rejected)
    }
}

/// The cause of a failure outside the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service does not accept the credentials (401, 407).
    Auth,
    /// The service forbids the call (403), to the credentials or for this file.
    Forbidden,
    /// The quota at the service is exhausted.
    Quota,
    /// The TLS connection cannot be trusted, or the service requires a client certificate.
    Tls,
    /// The service's host name does not resolve.
    Dns,
    /// The proxy refuses the connection.
    Proxy,
    /// The command or the worker cannot be started.
    NotStarted,
    /// All threads of the function hang in calls that were given up.
    Hung,
    /// The command has started, and says that it cannot be run: exit 126 or 127.
    NotRun,
    /// The service redirects elsewhere.
    Redirect,
    /// The file is missing, and perhaps its disk.
    MissingFile,
}

impl Fault {
    /// Returns its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth | Self::Forbidden => "credentials",
            Self::Quota => "quota",
            Self::Tls => "certificate",
            Self::Dns => "name",
            Self::Proxy => "proxy",
            Self::NotStarted | Self::NotRun => "not_started",
            Self::Hung => "hung",
            Self::Redirect => "redirect",
            Self::MissingFile => "missing_files",
        }
    }

    /// Returns true for a cause before the connection, which no file can have.
    pub(super) fn is_before_connection(self) -> bool {
        matches!(self, Self::Tls | Self::Dns | Self::Proxy) || self.is_of_program()
    }

    /// Returns true if there is no program that makes the calls. One such failure is certain, and no file is at fault.
    pub(super) fn is_of_program(self) -> bool {
        matches!(self, Self::NotStarted | Self::Hung)
    }
}

/// The right to make one call. It returns to the governor with the call's signal.
#[derive(Debug)]
pub struct Permit {
    pub(super) lane: usize,
    /// The call only reads what was submitted.
    pub(super) reads: bool,
    pub(super) stamp: Stamp,
    /// Number of the call in the run, from 0.
    pub(super) number: u64,
    /// Number of the call in its lane, from 0.
    pub(super) of_lane: u64,
    /// Moment of the permit.
    pub(super) at: Duration,
    pub(super) cost: Cost,
    pub(super) reservation: Reservation,
    pub(super) spot_check: Option<SpotCheck>,
}

impl Permit {
    /// Returns the lane of the call.
    pub fn lane(&self) -> usize {
        self.lane
    }

    /// Returns true for a call that only reads what was submitted.
    pub fn reads(&self) -> bool {
        self.reads
    }

    /// Returns the charge on the rate limits.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Returns the price at which the call is counted before its answer.
    pub fn price(&self) -> Option<Money> {
        match self.reservation {
            Reservation::Counted(amount) if amount > Money::default() => Some(amount),
            Reservation::Counted(_) | Reservation::Reserved(_) | Reservation::Exempt => None,
        }
    }

    /// Returns where in the list a spot check takes its file; `None` for a call in list order.
    pub fn spot(&self) -> Option<Spot> {
        self.spot_check.map(|check| check.spot)
    }

    /// Returns true for a spot check on missing files. If the file exists on disk, no call is needed.
    pub fn checks_disk(&self) -> bool {
        self.spot_check
            .is_some_and(|check| check.cause == Some(SharedCause::Disk))
    }
}

/// A call for a file elsewhere in the list. It shows whether the recent failures are the files' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpotCheck {
    /// Suspected cause; `None` after a guard stopped the last session.
    pub(super) cause: Option<SharedCause>,
    pub(super) spot: Spot,
}

/// The file of a spot check, among those that are left and have not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// The last one.
    Last,
    /// A random one.
    Random,
}

/// The meaning of a completed call for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The call succeeded.
    Accepted,
    /// The service answered; the failure is the file's own.
    Answered,
    /// The service rejected the file. Equal numbers are one cause.
    Rejected(u64),
    /// A program of the user's ended during the call, perhaps because of the file. Equal numbers are one cause.
    Crashed(u64),
    /// The service refused the call because of a limit or its load.
    Throttled {
        /// Wait that the service asked for.
        wait: Option<Duration>,
        /// A 503, which may also mean an outage.
        unavailable: bool,
    },
    /// A transient failure of the service: 5xx, a lost connection, a timeout.
    Failed,
    /// The call was not processed, for example because no connection was made.
    Unreachable,
    /// A failure with a cause outside the file.
    Fault(Fault),
    /// The answer says nothing about the service, for example because the credentials have changed since.
    Stale,
    /// Nothing was sent, because no request could be built or a stop came first.
    Unsent,
}

impl Signal {
    /// Returns true if the service processed the call, even if it rejected the file.
    pub(super) fn is_accepted(self) -> bool {
        matches!(
            self,
            Self::Accepted | Self::Answered | Self::Rejected(_) | Self::Crashed(_)
        )
    }

    /// Returns true unless nothing can have been sent.
    pub fn is_sent(self) -> bool {
        match self {
            Self::Unreachable | Self::Unsent | Self::Fault(Fault::MissingFile) => false,
            Self::Fault(fault) => !fault.is_before_connection(),
            _ => true,
        }
    }
}

/// A completed call.
#[derive(Debug, Clone, Copy)]
pub struct CompletedCall<'c> {
    /// The file's job.
    pub file: JobId,
    /// The index of the file's step. A good answer says nothing about later steps.
    pub step: u16,
    /// The file failed for good before, while others succeeded.
    pub failed_before: bool,
    /// Meaning for other calls.
    pub signal: Signal,
    /// Limits that the service stated.
    pub hint: Option<&'c Hint>,
    /// More calls for the file follow, whose answers may state the cost.
    pub goes_on: bool,
    /// Duration of the call.
    pub took: Duration,
}

/// A suspected cause that failures of several files share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SharedCause {
    /// The credentials, the allowance or the address.
    Service,
    /// The disk.
    Disk,
    /// The request, which may be invalid for all files.
    Request,
    /// An outage.
    Outage,
}

impl SharedCause {
    pub(super) const ALL: [Self; 4] = [Self::Service, Self::Disk, Self::Request, Self::Outage];

    /// Returns true if the cause is the run's, and not that of one lane.
    pub fn is_of_run(self) -> bool {
        matches!(self, Self::Disk | Self::Request)
    }
}

/// The next state of a completed call's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The retry policy decides.
    ByPolicy,
    /// Pending, and not called until its cause is cleared or confirmed.
    Quarantine(SharedCause),
    /// The retry policy decides, but a file that would fail is quarantined.
    QuarantineIfFailed(SharedCause),
    /// Pending from this moment on, without a charge.
    Requeue(Duration),
    /// As [`Disposition::Requeue`], but after all other files. True for the first time.
    RequeueLast(Duration, bool),
    /// Charged as a transient failure, and pending from this moment on. If true, a file that would fail is quarantined.
    Charge(Duration, bool),
    /// Failed, because the service throttles this file repeatedly and accepts others.
    Reject,
}

/// The consequences of a completed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    /// Next state of its file.
    pub disposition: Disposition,
    /// Cleared causes, by [`SharedCause`]: the files quarantined for them fail.
    pub cleared: [bool; 4],
    /// An outage was established: its charges are refunded.
    pub outage: bool,
    /// The price of the call; `None` if it is free.
    pub price: Option<Price>,
}

impl Assessment {
    pub(super) fn new(disposition: Disposition) -> Self {
        Self {
            disposition,
            cleared: [false; 4],
            outage: false,
            price: None,
        }
    }
    /// Returns true if this cause was cleared.
    pub fn clears(&self, cause: SharedCause) -> bool {
        self.cleared[cause as usize]
    }
}
