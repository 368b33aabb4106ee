//! What an answer means. Pure.

use std::time::{Duration, SystemTime};

use crate::job::Class;
use crate::pace::retry_after;

/// What an answer's head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// 2xx: what counts now is the body.
    Good,
    /// The service asks for patience.
    Throttled(Option<Duration>),
    /// A definite failure, of this class and kind.
    Bad(Class, &'static str),
}

/// Judges an answer by its status and the two headers that bear on waiting.
pub(super) fn head(status: u16, retry: Option<&str>, date: Option<&str>, now: SystemTime) -> Head {
    let wait = || retry.and_then(|value| retry_after(value, date, now));
    match status {
        200..=299 => Head::Good,
        429 => Head::Throttled(wait()),
        503 if retry.is_some() => Head::Throttled(wait()),
        408 | 425 | 500..=599 => Head::Bad(Class::Transient, "http_status"),
        401 | 403 => Head::Bad(Class::Auth, "http_status"),
        402 => Head::Bad(Class::Quota, "http_status"),
        300..=399 => Head::Bad(Class::Rejected, "redirect"),
        _ => Head::Bad(Class::Rejected, "http_status"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_classes() {
        let judge = |status, retry| head(status, retry, None, SystemTime::UNIX_EPOCH);
        assert_eq!(judge(204, None), Head::Good);
        for status in [408, 425, 500, 502, 503, 504, 599] {
            assert_eq!(
                judge(status, None),
                Head::Bad(Class::Transient, "http_status"),
                "{status}"
            );
        }
        assert_eq!(
            judge(503, Some("7")),
            Head::Throttled(Some(Duration::from_secs(7)))
        );
        assert_eq!(judge(429, None), Head::Throttled(None));
        assert_eq!(judge(429, Some("soon")), Head::Throttled(None));
        for (status, class) in [
            (400, Class::Rejected),
            (401, Class::Auth),
            (402, Class::Quota),
            (403, Class::Auth),
            (422, Class::Rejected),
        ] {
            assert_eq!(
                judge(status, Some("1")),
                Head::Bad(class, "http_status"),
                "{status}"
            );
        }
        assert_eq!(judge(307, None), Head::Bad(Class::Rejected, "redirect"));
    }
}
