//! What the governor is told and what it says.

use std::time::Duration;

use super::budget::{Budget, Limits, Used};
use super::finder::Found;
use super::gate::Stamp;
use super::guard::{MaxFailures, Refusal};
use super::rate::{Rate, Rates};
use super::window::Spent;
use crate::job::{Class, Hint};

/// How many calls at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// So many.
    Fixed(usize),
    /// As many as are of use, and at most so many.
    Auto(usize),
}

/// What the user allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The rates.
    pub rates: Rates,
    /// How many calls the shortest rate lets through in a row.
    pub burst: u64,
    /// Calls at the same time.
    pub width: Width,
    /// The longest wait that the service may ask for.
    pub max_wait: Duration,
    /// The longest outage.
    pub max_outage: Duration,
    /// The most failed files.
    pub max_failures: Option<MaxFailures>,
    /// The budgets.
    pub limits: Limits,
    /// No call after this moment, in milliseconds since 1970.
    pub until: Option<i64>,
    /// Whether the first call goes alone until the service has taken it.
    pub canary: bool,
}

/// What is remembered of a run's earlier runners.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// What was spent in the last day, the oldest first.
    pub spent: Vec<Spent>,
    /// For how long the service still asks everybody to wait.
    pub closed_for: Option<Duration>,
    /// What was found of the service's limits.
    pub found: Found,
    /// What of the budgets is used.
    pub used: Used,
}

/// What has to be remembered for the next runner, beside what was spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// For how long the service asks everybody to wait.
    pub closed_for: Option<Duration>,
    /// What was found of the service's limits.
    pub found: Found,
    /// What of the budgets is used.
    pub used: Used,
}

/// What keeps a run from going faster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So many calls at the same time.
    Threads(usize),
    /// A rate of the user's.
    Rate(Rate),
    /// The calls in a second that the service seems to allow.
    Found(f64),
    /// The service asked everybody to wait until this moment.
    Throttled(Duration),
    /// The service said that no call is left until this moment.
    Announced(Duration),
    /// No connection can be made since this moment.
    Outage(Duration),
    /// After a pause the flow ramps up.
    Ramp,
    /// The first call goes alone.
    First,
    /// There is too little room for results.
    Room,
    /// Nothing: what is left waits for its next attempt, or is in flight.
    Work,
}

/// Whether a call may be made.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It may.
    Go,
    /// Not before this moment, or before a call in flight has ended.
    Wait(Option<Duration>, Limit),
    /// None may any more.
    Stop,
}

/// Why a run stops although something is left to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// Refusals in a row that have nothing to do with the files.
    Refused {
        /// What they were.
        refusal: Refusal,
        /// What the last of them said.
        message: String,
    },
    /// More files failed than allowed: so many.
    Failures(u64),
    /// No connection could be made for so long.
    Outage {
        /// How long.
        lasted: Duration,
        /// What the last try came to.
        message: String,
    },
    /// The service asks for a longer wait than allowed.
    Wait {
        /// How long from the moment on at which it was asked for.
        wait: Duration,
        /// What it said.
        message: String,
    },
    /// A budget is used up.
    Budget(Budget),
}

/// What a call takes with it, to be given back with what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    pub(super) stamp: Stamp,
    pub(super) number: u64,
}

/// How a call bears on all the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The service did what it was asked.
    Succeeded,
    /// It answered otherwise, or the call was perhaps sent: `well` where it was not the service's fault.
    Reached {
        /// Whether the service is well.
        well: bool,
    },
    /// The service asked for patience, for so long if it said so.
    Throttled(Option<Duration>),
    /// No connection could be made.
    Unreachable,
    /// No address could be found for the service's name; perhaps for the moment only.
    NoName {
        /// Whether it may be for the moment only.
        temporary: bool,
    },
    /// A refusal that is not the file's fault.
    Refused(Refusal),
    /// It was refused for credentials that have been renewed since: it says nothing about the new ones.
    Stale,
    /// It says nothing: the call was never tried.
    Nothing,
}

impl Sign {
    /// Whether something was perhaps sent.
    pub(super) fn is_sent(self) -> bool {
        !matches!(
            self,
            Self::Unreachable
                | Self::NoName { .. }
                | Self::Nothing
                | Self::Refused(Refusal::Tls | Refusal::MissingFile)
        )
    }

    /// How an answer of this class bears on the others.
    pub fn of_class(class: Class) -> Self {
        match class {
            Class::Auth => Self::Refused(Refusal::Auth),
            Class::Quota => Self::Refused(Refusal::Quota),
            class => Self::Reached {
                well: class != Class::Transient,
            },
        }
    }
}

/// What a call came to, as far as it bears on the others.
#[derive(Debug, Clone, Copy)]
pub struct News<'c> {
    /// What it came to.
    pub sign: Sign,
    /// What the service said about its limits.
    pub hint: Option<&'c Hint>,
    /// How long the call took.
    pub took: Duration,
    /// What went wrong, in one line.
    pub message: &'c str,
}

/// Whom a refusal or a missing file casts suspicion on, other than the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suspect {
    /// The service or the credentials.
    Service,
    /// The disk.
    Disk,
}

/// What follows from a call for its job and for those that were held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lesson {
    /// The job is held back, pending, until it is known whether it is to blame.
    pub hold_back: Option<Suspect>,
    /// The service is not to blame for what it refused: the jobs that were held back are.
    pub service_cleared: bool,
    /// The disk is there: the files that were not found are missing.
    pub disk_cleared: bool,
}
