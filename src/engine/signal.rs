//! Converts outcomes to the governor's signals.

use crate::governor::{Fault, Signal};
use crate::job::{Class, Failure, FailureKind, Outcome};

/// Converts an outcome to a signal. `cause` returns the number of a rejection's cause.
pub(super) fn signal(outcome: &Outcome, cause: impl FnOnce(&Failure) -> u64) -> Signal {
    match outcome {
        Outcome::Succeeded(_) | Outcome::Advanced { .. } => Signal::Accepted,
        Outcome::NotReady { .. } => Signal::Answered,
        // Only an answer names the host that could not be reached.
        Outcome::Failed(failure) if is_unsent(failure.kind) => Signal::Unsent,
        Outcome::Failed(failure) => failed(failure, cause),
        // This machine failed, not the service.
        Outcome::InDoubt(failure) if failure.class == Class::Local => Signal::Stale,
        Outcome::InDoubt(failure) if failure.kind == FailureKind::Stopped => Signal::Stale,
        // The file may be the cause, as with a rejection.
        Outcome::InDoubt(failure) if failure.kind.is_crash() => Signal::Crashed(cause(failure)),
        Outcome::InDoubt(_) => Signal::Failed,
        Outcome::Throttled { wait, failure } => Signal::Throttled {
            wait: *wait,
            unavailable: failure.status == Some(UNAVAILABLE),
        },
        Outcome::Unreachable(failure) => match failure.kind {
            FailureKind::Tls => Signal::Fault(Fault::Tls),
            FailureKind::Dns => Signal::Fault(Fault::Dns),
            FailureKind::Proxy => Signal::Fault(Fault::Proxy),
            FailureKind::NotStarted => Signal::Fault(Fault::NotStarted),
            FailureKind::Hung => Signal::Fault(Fault::Hung),
            _ => Signal::Unreachable,
        },
        Outcome::Unsendable(failure) if failure.kind == FailureKind::InputMissing => {
            Signal::Fault(Fault::MissingFile)
        }
        Outcome::Unsendable(_) | Outcome::Interrupted => Signal::Unsent,
    }
}

/// Returns whether no connection was made, by the kind of a failure.
fn is_unsent(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Dns | FailureKind::DnsTemporary | FailureKind::Tls | FailureKind::Unreachable
    )
}

fn failed(failure: &Failure, cause: impl FnOnce(&Failure) -> u64) -> Signal {
    match (failure.class, failure.status) {
        // Calls under credentials that were replaced meanwhile do not count against the new ones.
        _ if failure.kind == FailureKind::CredentialsRenewed => Signal::Stale,
        _ if failure.kind == FailureKind::NotStarted => Signal::Fault(Fault::NotRun),
        // The service works: it answers each poll.
        _ if failure.kind == FailureKind::PollTimedOut => Signal::Answered,
        _ if failure.kind == FailureKind::Redirect => Signal::Fault(Fault::Redirect),
        (Class::Auth, Some(403)) => Signal::Fault(Fault::Forbidden),
        (Class::Auth, _) => Signal::Fault(Fault::Auth),
        (Class::Quota, _) => Signal::Fault(Fault::Quota),
        // 409: the operation under this key is still running. 425: the request came too early. The service works.
        (Class::Transient, Some(409 | 425)) => Signal::Answered,
        (Class::Transient | Class::Throttled, Some(UNAVAILABLE)) => Signal::Throttled {
            wait: None,
            unavailable: true,
        },
        (Class::Transient | Class::Throttled, _) => Signal::Failed,
        (Class::Rejected | Class::BadResponse | Class::Input, _) => {
            Signal::Rejected(cause(failure))
        }
        (Class::Local, _) => Signal::Stale,
    }
}

/// Status code for a limit at some services, and for an outage at others (RFC 9110, section 15.6.4).
const UNAVAILABLE: u16 = 503;
