//! The outcomes of failures that workers report. Pure.

use super::wire::Fail;
use crate::failure_class::ClassRule;
use crate::job::{Class, Failure, FailureKind, Outcome, Refused};

/// Returns the outcome of a failure. The first of the user's rules that applies takes precedence over the worker's class.
pub(super) fn outcome(fail: Fail, rules: &[ClassRule]) -> Outcome {
    let Fail {
        class,
        sent,
        message,
        status,
        wait,
        body,
        answer,
        hint,
        ..
    } = fail;
    let text = format!("{message}\n{body}");
    let ruled = (rules.iter()).find_map(|rule| rule.class_of_failure(status, text.as_bytes()));
    let class = ruled.unwrap_or(class);
    let mut body = body.into_bytes();
    body.truncate(Failure::BODY_KEPT);
    let kind = match (sent, class) {
        (Some(false), Class::Transient | Class::Local) => FailureKind::Unreachable,
        _ => FailureKind::Exception,
    };
    let refused = |answer: String| Refused {
        media_type: Some("application/json".to_owned()),
        headers: None,
        body: answer.into_bytes().into(),
    };
    let failure = Failure {
        status,
        body,
        answer: answer.map(refused).map(Box::new),
        hint,
        ..Failure::new(class, kind, message)
    };
    match (sent, class) {
        (None, _) => Outcome::InDoubt(failure),
        (_, Class::Throttled) => Outcome::Throttled { failure, wait },
        (Some(false), Class::Input) => Outcome::Unsendable(failure),
        // Another call would not reach the service either.
        (Some(false), Class::Transient | Class::Local) => Outcome::Unreachable(failure),
        _ => Outcome::Failed(failure),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn fail(class: Class, sent: Option<bool>) -> Fail {
        Fail {
            id: 1,
            class,
            sent,
            message: "RateLimitError: slow down".to_owned(),
            status: Some(400),
            wait: Some(Duration::from_secs(2)),
            body: "x".repeat(5000),
            answer: None,
            hint: None,
        }
    }

    #[test]
    fn a_failure_is_definite_not_sent_or_in_doubt() {
        let all = Class::ALL.iter();
        for (sent, class, expected) in [
            (Some(false), Class::Transient, "Unreachable"),
            (Some(false), Class::Local, "Unreachable"),
            (Some(false), Class::Input, "Unsendable"),
            (Some(false), Class::Auth, "Failed"),
            (Some(false), Class::Throttled, "Throttled"),
        ]
        .into_iter()
        .chain(all.clone().map(|class| match class {
            Class::Throttled => (Some(true), *class, "Throttled"),
            class => (Some(true), *class, "Failed"),
        }))
        .chain(all.map(|class| (None, *class, "InDoubt")))
        {
            let outcome = outcome(fail(class, sent), &[]);
            let shown = format!("{outcome:?}");
            assert!(shown.starts_with(expected), "{sent:?} {class:?}: {shown}");
            let failure = outcome.failure().unwrap();
            assert_eq!((failure.class, failure.status), (class, Some(400)));
            assert_eq!(failure.body.len(), Failure::BODY_KEPT);
        }
    }

    #[test]
    fn rules_come_first() {
        for (rule, class) in [
            ("body~ratelimiterror:quota", Class::Quota),
            ("body~xxxx:auth", Class::Auth),
            ("status=4xx:transient", Class::Transient),
            ("exit=1:transient", Class::Rejected),
        ] {
            let outcome = outcome(fail(Class::Rejected, Some(true)), &[rule.parse().unwrap()]);
            assert_eq!(outcome.failure().unwrap().class, class, "{rule}");
        }
    }
}
