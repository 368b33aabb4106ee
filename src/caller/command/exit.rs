//! The meaning of a process's exit. Pure.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::said::last_line;
use crate::failure_class::ClassRule;
use crate::job::{Body, Class, Failure, FailureKind, Outcome, Refused, said as beginning};

/// Returns the outcome of a process that did not exit with 0. `said` is the end of what it
/// said. The user's rules come
/// first, then the codes of BSD's `sysexits.h` and those of a shell that cannot start a command (POSIX, Shell Command
/// Language, 2.8.2).
pub(super) fn outcome(status: ExitStatus, said: Vec<u8>, rules: &[ClassRule]) -> Outcome {
    // People see the beginning of the body after the message.
    let reason = last_line(&said).filter(|line| !beginning(&said).ends_with(line));
    let reason = reason.map_or_else(String::new, |line| format!(": {line}"));
    let failure = |class, kind, what: &str| Failure {
        body: said.clone(),
        ..Failure::new(class, kind, format!("{what}{reason}"))
    };
    let Some(code) = status.code() else {
        let signal = status.signal().unwrap_or_default();
        let what = format!("ended by signal {signal}");
        let kind = FailureKind::Signalled;
        return Outcome::InDoubt(failure(Class::Transient, kind, &what));
    };
    let exited = |class| failure(class, FailureKind::Exited, &format!("exit {code}"));
    if let Some(class) = rules
        .iter()
        .find_map(|rule| rule.class_of_exit(code, &said))
    {
        let failure = exited(class);
        return match class {
            Class::Throttled => Outcome::Throttled {
                failure,
                wait: None,
            },
            _ => Outcome::Failed(failure),
        };
    }
    let class = match code {
        // EX_UNAVAILABLE, EX_TEMPFAIL
        69 | 75 => Class::Transient,
        // EX_NOPERM
        77 => Class::Auth,
        // EX_NOINPUT
        66 => return Outcome::Unsendable(exited(Class::Input)),
        // EX_USAGE, and the codes of errors of the system
        64 | 70..=74 | 78 => Class::Local,
        // A command cannot be executed, or was not found. A script may have done other work before.
        126 | 127 => {
            let what = format!("exit {code}");
            return Outcome::Failed(failure(Class::Local, FailureKind::NotStarted, &what));
        }
        _ => Class::Rejected,
    };
    Outcome::Failed(exited(class))
}

/// Returns the outcome of a process whose exit status is lost. Its output is kept: it may be a good answer.
pub(super) fn unknown(error: &io::Error, said: Vec<u8>, output: Option<Body>) -> Outcome {
    let message = format!("the command has ended, and its exit status is unknown: {error}");
    let refused = |body| {
        Box::new(Refused {
            media_type: None,
            headers: None,
            body,
        })
    };
    Outcome::InDoubt(Failure {
        body: said,
        answer: output.map(refused),
        ..Failure::new(Class::Transient, FailureKind::Exited, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: i32, rules: &[&str]) -> (&'static str, Option<Class>, FailureKind) {
        let rules: Vec<ClassRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let said = b"it began\ntoo busy\n".to_vec();
        let outcome = outcome(ExitStatus::from_raw(raw), said, &rules);
        let failure = outcome.failure().unwrap();
        assert_eq!(failure.body, b"it began\ntoo busy\n");
        // The beginning of the body has the reason already.
        assert!(!failure.message.contains("busy"), "{}", failure.message);
        (outcome.as_str(), Some(failure.class), failure.kind)
    }

    #[test]
    fn every_code_has_its_outcome() {
        let exited = |code: i32| of(code << 8, &[]);
        let failed = |class| ("failed", Some(class), FailureKind::Exited);
        for (codes, expected) in [
            (&[69, 75][..], failed(Class::Transient)),
            (&[77], failed(Class::Auth)),
            (
                &[1, 2, 3, 65, 67, 68, 76, 79, 125, 128, 255],
                failed(Class::Rejected),
            ),
            (&[64, 70, 71, 72, 73, 74, 78], failed(Class::Local)),
            (&[66], ("not_sent", Some(Class::Input), FailureKind::Exited)),
            (
                &[126, 127],
                ("failed", Some(Class::Local), FailureKind::NotStarted),
            ),
        ] {
            for code in codes {
                assert_eq!(exited(*code), expected, "{code}");
            }
        }
        let signalled = ("in_doubt", Some(Class::Transient), FailureKind::Signalled);
        assert_eq!(of(9, &[]), signalled);
        assert_eq!(of(9, &["body~busy:quota"]), signalled);
    }

    #[test]
    fn a_reason_that_the_beginning_lacks_is_in_the_message() {
        let message = |said: &str| {
            let outcome = outcome(ExitStatus::from_raw(1 << 8), said.into(), &[]);
            outcome.failure().unwrap().message.clone()
        };
        let long = format!("{}\nno key\n", "x\n".repeat(200));
        for (said, expected) in [
            ("", "exit 1"),
            ("no key\n", "exit 1"),
            (
                "Traceback (most recent call last):\n  x\nKeyError: 'a'\n",
                "exit 1",
            ),
            (&long, "exit 1: no key"),
        ] {
            assert_eq!(message(said), expected);
        }
    }

    #[test]
    fn rules_come_first() {
        let rules = ["exit=3:transient", "body~busy:throttled"];
        assert_eq!(of(3 << 8, &rules).1, Some(Class::Transient));
        assert_eq!(of(127 << 8, &rules).0, "throttled");
    }

    #[test]
    fn an_unknown_exit_keeps_the_output() {
        let error = io::Error::from_raw_os_error(10);
        let outcome = unknown(&error, Vec::new(), Some(b"good".to_vec().into()));
        assert_eq!(outcome.as_str(), "in_doubt");
        let answer = outcome.failure().unwrap().answer.as_ref().unwrap();
        assert_eq!(answer.body.in_memory(), Some(&b"good"[..]));
    }
}
