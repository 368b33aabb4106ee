//! Classifies answers by status, body and headers. Pure.

use super::signs;
use crate::failure_class::{ClassRule, contains};
use crate::job::{Class, FailureKind};

/// Error codes and phrases of widely used services for an exhausted allowance, for which waiting does not help. A plain
/// "quota exceeded" is missing, because some large services send it when they throttle.
const ALLOWANCE_EXHAUSTED: [&str; 7] = [
    "insufficient_quota",
    "exceeded your current quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit balance is too low",
    "insufficient credits",
    "insufficient balance",
];

/// Words of widely used services for a 409 that calling again does not change: what the call would create is there.
const ALREADY_THERE: [&str; 5] = [
    "alreadyexists",
    "already exists",
    "already_exists",
    "duplicatekey",
    "duplicate key",
];

/// Google's services add this to such a phrase when the quota is per minute, for which waiting helps.
const QUOTA_PER_MINUTE: &str = "RESOURCE_EXHAUSTED";

/// Returns whether an answer is read whole, because its status is that of a result, such as one that the user has named, or
/// may be by other rules.
pub(super) fn is_good(rules: &[ClassRule], status: u16, is_named: bool) -> bool {
    // Rules about bodies never apply to a success, so no body is needed here.
    is_named || (200..300).contains(&status) && ruled(rules, status, b"").is_none()
}

/// An answer whose status is not that of a result.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorAnswer<'b> {
    pub(super) status: u16,
    /// The beginning of its body.
    pub(super) body: &'b [u8],
    /// It states how long to wait.
    pub(super) asks_to_wait: bool,
    /// Its headers say that a limit is exhausted.
    pub(super) limit_exhausted: bool,
    /// The attempt had the same `Idempotency-Key` as the one before.
    pub(super) repeat: bool,
}

/// Returns the class and the kind of a failure. The first of the user's rules that applies takes precedence.
pub(super) fn classify(rules: &[ClassRule], answer: &ErrorAnswer<'_>) -> (Class, FailureKind) {
    let ErrorAnswer { status, body, .. } = *answer;
    if let Some(class) = ruled(rules, status, body) {
        return (class, FailureKind::HttpStatus);
    }
    let says_one = |texts: &[&str]| texts.iter().any(|text| contains(body, text));
    let allowance_exhausted =
        || says_one(&ALLOWANCE_EXHAUSTED) && !contains(body, QUOTA_PER_MINUTE);
    // Services send headers about limits with every answer, so on a 403 the body has to name the limit as its reason.
    let is_limit = || answer.asks_to_wait || signs::blames_limit(body, answer.limit_exhausted);
    match status {
        402 => (Class::Quota, FailureKind::Quota),
        400 | 403 | 429 if allowance_exhausted() => (Class::Quota, FailureKind::Quota),
        429 if signs::blames_size(body) => (Class::Rejected, FailureKind::TooLarge),
        429 => (Class::Throttled, FailureKind::HttpStatus),
        403 if is_limit() => (Class::Throttled, FailureKind::HttpStatus),
        503 if answer.asks_to_wait => (Class::Throttled, FailureKind::HttpStatus),
        409 if says_one(&ALREADY_THERE) => (Class::Rejected, FailureKind::HttpStatus),
        // The operation under this key is still running.
        409 => (Class::Transient, FailureKind::Conflict),
        // The service lacks what the request needs (RFC 9110, section 15.6; RFC 2295, section 8.1; RFC 2774, section 7).
        501 | 505 | 506 | 510 => (Class::Rejected, FailureKind::HttpStatus),
        408 | 425 | 500..=599 => (Class::Transient, FailureKind::HttpStatus),
        401 | 403 | 407 => (Class::Auth, FailureKind::HttpStatus),
        // The service has seen the key with a different request (draft-ietf-httpapi-idempotency-key-header, section
        // 2.7).
        422 if answer.repeat => (Class::Rejected, FailureKind::KeyReused),
        300..=399 => (Class::Rejected, FailureKind::Redirect),
        _ => (Class::Rejected, FailureKind::HttpStatus),
    }
}

fn ruled(rules: &[ClassRule], status: u16, body: &[u8]) -> Option<Class> {
    rules.iter().find_map(|rule| rule.class_of(status, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Judging;
    use crate::validate::Validator;

    fn answer(status: u16, body: &str) -> ErrorAnswer<'_> {
        ErrorAnswer {
            status,
            body: body.as_bytes(),
            asks_to_wait: false,
            limit_exhausted: false,
            repeat: false,
        }
    }

    #[test]
    fn words_and_headers_decide_where_the_status_does_not() {
        let github = r#"{"message":"API rate limit exceeded for user ID 1."}"#;
        let google = r#"{"error":{"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota"}}"#;
        let too_large = "Request too large: Limit 30000, Requested 31538.";
        let waiting = |status| ErrorAnswer {
            asks_to_wait: true,
            ..answer(status, "")
        };
        let exhausted = |status, body| ErrorAnswer {
            limit_exhausted: true,
            ..answer(status, body)
        };
        for (answer, expected) in [
            (waiting(403), Class::Throttled),
            (waiting(401), Class::Auth),
            (waiting(502), Class::Transient),
            (answer(409, ""), Class::Transient),
            (
                answer(409, "<Code>BlobAlreadyExists</Code>"),
                Class::Rejected,
            ),
            (answer(500, "it already exists"), Class::Transient),
            (answer(501, ""), Class::Rejected),
            (answer(505, ""), Class::Rejected),
            (exhausted(403, github), Class::Throttled),
            (exhausted(401, github), Class::Auth),
            (exhausted(403, ""), Class::Auth),
            (answer(403, github), Class::Auth),
            (answer(403, "a secondary rate limit"), Class::Throttled),
            (answer(401, "a secondary rate limit"), Class::Auth),
            (answer(429, google), Class::Throttled),
            (answer(429, "Quota exceeded"), Class::Throttled),
            (answer(403, "quotaExceeded"), Class::Auth),
            (answer(403, too_large), Class::Auth),
            (
                answer(429, "insufficient_quota: request too large"),
                Class::Quota,
            ),
        ] {
            assert_eq!(classify(&[], &answer).0, expected, "{answer:?}");
        }
        for phrase in ALLOWANCE_EXHAUSTED {
            let body = format!("{{\"error\": \"{}\"}}", phrase.to_uppercase());
            let class = |status| classify(&[], &answer(status, &body)).0;
            for status in [400, 403, 429] {
                assert_eq!(class(status), Class::Quota, "{body}");
            }
            assert_eq!((class(401), class(500)), (Class::Auth, Class::Transient));
        }
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let rules = ["body~busy:throttled", "status=4xx:auth", "status=202:local"];
        let rules: Vec<ClassRule> = rules.map(|rule| rule.parse().unwrap()).into();
        let class = |status, body| classify(&rules, &answer(status, body)).0;
        assert_eq!(class(404, "busy"), Class::Throttled);
        assert_eq!(class(429, "request too large"), Class::Auth);
        assert_eq!(class(409, ""), Class::Auth);
        assert_eq!(class(500, "idle"), Class::Transient);
        let is_good =
            |validator: &Validator, status| is_good(&rules, status, validator.names(status));
        let usual = Validator::default();
        assert!(is_good(&usual, 200) && !is_good(&usual, 202) && !is_good(&usual, 302));
        let named = Validator::new(&Judging {
            statuses: "202,404".parse().unwrap(),
            ..Judging::default()
        })
        .unwrap();
        // The answer with status 200 is kept too, for `recheck`.
        for (status, good) in [(200, true), (202, true), (404, true), (500, false)] {
            assert_eq!(is_good(&named, status), good, "{status}");
        }
    }
}
