//! What an answer means. Pure.

use super::signs::{self, Speaks};
use crate::failure_class::{ClassRule, contains};
use crate::job::{Class, FailureKind};
use crate::validate::Validator;

/// What the body of a refusal says where the account's allowance is used up, so that no waiting helps: an error
/// code or a phrase of a service in wide use. A plain "quota exceeded" is not among them, for some large services
/// say so where they throttle.
const USED_UP: [&str; 7] = [
    "insufficient_quota",
    "exceeded your current quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit balance is too low",
    "insufficient credits",
    "insufficient balance",
];

/// What Google's services say beside it where the quota is one of a minute, and waiting helps.
const A_MINUTES_QUOTA: &str = "RESOURCE_EXHAUSTED";

/// The kind of a refusal for the size of the file, which no waiting helps.
pub(super) const TOO_LARGE: FailureKind = FailureKind::TooLarge;

/// Returns whether an answer is read whole, because its status is that of a result or may be by other rules.
pub(super) fn is_good(validator: &Validator, rules: &[ClassRule], status: u16) -> bool {
    // A rule on bodies never speaks of a success, so that none is needed here.
    validator.names(status) || (200..300).contains(&status) && ruled(rules, status, b"").is_none()
}

/// An answer that is not a success.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'b> {
    pub(super) status: u16,
    /// The beginning of its body.
    pub(super) body: &'b [u8],
    /// Whether it states how long to wait.
    pub(super) asks_to_wait: bool,
    /// The headers say that a limit is used up.
    pub(super) used_up: bool,
    /// Whether the attempt had the key of the one before.
    pub(super) repeat: bool,
}

impl Refusal<'_> {
    /// Returns whether a 403 is a limit: it asks to wait, or it says both that a limit is used up and that the limit is
    /// why it refuses. Services send what is left of a limit with any answer, also with a real 403.
    fn is_limit(&self) -> bool {
        self.asks_to_wait
            || match signs::speaks_of_limit(self.body) {
                Speaks::No => false,
                Speaks::Perhaps => self.used_up,
                Speaks::Surely => true,
            }
    }
}

/// The class and the kind of a failure. The user's rules come first, and the first of them that speaks of the
/// answer decides.
pub(super) fn class(rules: &[ClassRule], refusal: &Refusal<'_>) -> (Class, FailureKind) {
    let Refusal { status, body, .. } = *refusal;
    if let Some(class) = ruled(rules, status, body) {
        return (class, FailureKind::HttpStatus);
    }
    let used_up =
        || USED_UP.iter().any(|text| contains(body, text)) && !contains(body, A_MINUTES_QUOTA);
    match status {
        402 => (Class::Quota, FailureKind::Quota),
        400 | 403 | 429 if used_up() => (Class::Quota, FailureKind::Quota),
        429 if signs::too_large(body) => (Class::Rejected, TOO_LARGE),
        429 => (Class::Throttled, FailureKind::HttpStatus),
        403 if refusal.is_limit() => (Class::Throttled, FailureKind::HttpStatus),
        503 if refusal.asks_to_wait => (Class::Throttled, FailureKind::HttpStatus),
        // The operation under this key is still going on.
        409 => (Class::Transient, FailureKind::Conflict),
        408 | 425 | 500..=599 => (Class::Transient, FailureKind::HttpStatus),
        401 | 403 | 407 => (Class::Auth, FailureKind::HttpStatus),
        // The service knows the key from a request that it takes for another one
        // (draft-ietf-httpapi-idempotency-key-header, section 2.7).
        422 if refusal.repeat => (Class::Rejected, FailureKind::KeyReused),
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

    fn refusal(status: u16, body: &str) -> Refusal<'_> {
        Refusal {
            status,
            body: body.as_bytes(),
            asks_to_wait: false,
            used_up: false,
            repeat: false,
        }
    }

    fn judge(status: u16, body: &str) -> (Class, FailureKind) {
        class(&[], &refusal(status, body))
    }

    fn rules(texts: &[&str]) -> Vec<ClassRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_quota_of_a_minute_is_throttling() {
        let body = r#"{"error":{"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota"}}"#;
        assert_eq!(judge(429, body).0, Class::Throttled);
    }

    #[test]
    fn statuses_have_their_classes() {
        for (status, class) in [
            (400, Class::Rejected),
            (401, Class::Auth),
            (403, Class::Auth),
            (404, Class::Rejected),
            (407, Class::Auth),
            (408, Class::Transient),
            (422, Class::Rejected),
            (425, Class::Transient),
            (429, Class::Throttled),
            (500, Class::Transient),
            (503, Class::Transient),
            (599, Class::Transient),
        ] {
            assert_eq!(
                judge(status, ""),
                (class, FailureKind::HttpStatus),
                "{status}"
            );
        }
        assert_eq!(judge(402, ""), (Class::Quota, FailureKind::Quota));
        assert_eq!(judge(409, ""), (Class::Transient, FailureKind::Conflict));
        assert_eq!(judge(307, ""), (Class::Rejected, FailureKind::Redirect));
    }

    #[test]
    fn a_stated_wait_makes_a_503_and_a_403_throttling_and_nothing_else() {
        for (status, expected) in [
            (503, Class::Throttled),
            (502, Class::Transient),
            (403, Class::Throttled),
            (401, Class::Auth),
        ] {
            let refusal = Refusal {
                asks_to_wait: true,
                ..refusal(status, "")
            };
            assert_eq!(class(&[], &refusal).0, expected, "{status}");
        }
    }

    #[test]
    fn a_403_is_a_limit_where_headers_and_words_say_so() {
        let github = r#"{"message":"API rate limit exceeded for user ID 1."}"#;
        let secondary = "You have exceeded a secondary rate limit";
        for (body, used_up, expected) in [
            (github, true, Class::Throttled),
            (github, false, Class::Auth),
            ("Too many requests", true, Class::Throttled),
            ("Resource not accessible by integration", true, Class::Auth),
            ("", true, Class::Auth),
            (secondary, false, Class::Throttled),
            (r#"{"reason":"rateLimitExceeded"}"#, false, Class::Throttled),
        ] {
            let refusal = Refusal {
                used_up,
                ..refusal(403, body)
            };
            assert_eq!(
                class(&[], &refusal),
                (expected, FailureKind::HttpStatus),
                "{body}"
            );
            let rules = rules(&["status=403:rejected"]);
            assert_eq!(class(&rules, &refusal).0, Class::Rejected);
            let other = Refusal {
                status: 401,
                ..refusal
            };
            assert_eq!(class(&[], &other).0, Class::Auth, "{body}");
        }
    }

    #[test]
    fn a_429_for_the_files_own_size_is_no_throttling() {
        let body = "Request too large: Limit 30000, Requested 31538.";
        assert_eq!(judge(429, body), (Class::Rejected, FailureKind::TooLarge));
        assert_eq!(judge(429, "Request rate is large").0, Class::Throttled);
        assert_eq!(judge(403, body).0, Class::Auth);
        let used_up = "insufficient_quota: request too large";
        assert_eq!(judge(429, used_up).0, Class::Quota);
        let rules = rules(&["status=429:throttled"]);
        assert_eq!(class(&rules, &refusal(429, body)).0, Class::Throttled);
    }

    #[test]
    fn a_key_is_reused_only_where_it_was_used_before() {
        let repeat = |status| Refusal {
            repeat: true,
            ..refusal(status, "")
        };
        assert_eq!(
            class(&[], &repeat(422)),
            (Class::Rejected, FailureKind::KeyReused)
        );
        assert_eq!(
            class(&[], &repeat(400)),
            (Class::Rejected, FailureKind::HttpStatus)
        );
    }

    #[test]
    fn what_is_used_up_is_told_by_the_body() {
        for text in USED_UP {
            let body = format!("{{\"error\": \"{}\"}}", text.to_uppercase());
            for status in [400, 403, 429] {
                assert_eq!(
                    judge(status, &body),
                    (Class::Quota, FailureKind::Quota),
                    "{body}"
                );
            }
            assert_eq!(judge(401, &body).0, Class::Auth);
            assert_eq!(judge(500, &body).0, Class::Transient);
        }
        assert_eq!(judge(429, "Quota exceeded").0, Class::Throttled);
        assert_eq!(judge(403, "quotaExceeded").0, Class::Auth);
    }

    #[test]
    fn the_first_rule_that_speaks_decides() {
        let rules = rules(&["body~busy:throttled", "status=4xx:auth", "status=202:local"]);
        let judge = |status, body| class(&rules, &refusal(status, body));
        assert_eq!(
            judge(404, "busy"),
            (Class::Throttled, FailureKind::HttpStatus)
        );
        assert_eq!(judge(402, "idle"), (Class::Auth, FailureKind::HttpStatus));
        assert_eq!(judge(409, ""), (Class::Auth, FailureKind::HttpStatus));
        assert_eq!(
            judge(500, "idle"),
            (Class::Transient, FailureKind::HttpStatus)
        );
        let is_good = |validator: &Validator, status| is_good(validator, &rules, status);
        let usual = Validator::default();
        assert!(is_good(&usual, 200) && !is_good(&usual, 202) && !is_good(&usual, 302));
        // A status that is named decides before any rule.
        let named = Validator::new(&Judging {
            statuses: "202,404".parse().unwrap(),
            ..Judging::default()
        })
        .unwrap();
        assert!(is_good(&named, 202) && is_good(&named, 404) && !is_good(&named, 500));
        // Its answer is kept, to be judged again.
        assert!(is_good(&named, 200));
    }
}
