//! Messages about a run that a guard, a limit, the service or a panic ended early.

use serde::Serialize;

use stride::caller::{NO_TLS, UNSUPPORTED, UNTRUSTED};
use stride::event::{Counts, Halt};
use stride::export::timestamp;
use stride::governor::{Action, Fault, StopReason};
use stride::job::{FileName, escaped};
use stride::limits::Budget;
use stride::report::stop_reason;
use stride::settings::{Call, HeaderValue, Request, Way, is_sensitive, show_duration};
use stride::store::{Location, Stopped};

use crate::cli::output::again::{again, again_for};
use crate::cli::output::error::{CliError, command};
use crate::cli::output::exit;
use crate::cli::output::format::{counted, short};
use crate::cli::output::time::{clock, utc_in};

/// Returns the error of a run of this call that a guard, a limit or the service ended. `typed` are the flags that `resume`
/// needs too.
pub(crate) fn cli_error(
    db: &Location,
    call: &Call,
    halt: &Halt,
    counts: &Counts,
    typed: &str,
) -> CliError {
    let cli_error = CliError::new(code(&halt.reason), reason(&halt.reason));
    let cli_error = match halt.words.as_str() {
        "" => cli_error,
        words => cli_error.cause(escaped(words.as_bytes())),
    };
    let mut note = match (counts.pending, counts.waiting) {
        (0, waiting @ 1..) => format!("{} waiting", counted(waiting, "file")),
        (pending, 0) => format!("{} pending", counted(pending, "file")),
        (pending, waiting) => format!("{} pending, {waiting} waiting", counted(pending, "file")),
    };
    if halt.reason.is_guards() {
        note.push_str("; no file failed for this cause");
    }
    let cli_error = cli_error.note(note);
    hints(
        db,
        call,
        halt.reason.as_str(),
        &halt.words,
        typed,
        counts.done > 0,
    )
    .into_iter()
    .fold(cli_error, CliError::hint)
}

/// Returns the exit code of a stop.
fn code(reason: &StopReason) -> u8 {
    match reason.action() {
        Action::Wait => exit::TEMPORARY,
        Action::Raise | Action::Fix => exit::HALTED,
    }
}

/// Returns hints about a stop, from the word for its reason and the service's own words. A run without results accepts
/// another request without `--accept-change`.
fn hints(
    db: &Location,
    call: &Call,
    reason: &str,
    words: &str,
    typed: &str,
    has_results: bool,
) -> Vec<String> {
    let (accept, with_accept) = match has_results {
        true => (" and --accept-change", " with --accept-change"),
        false => ("", ""),
    };
    let resume = |flags: &str| {
        let words = format!("resume {flags}");
        again(db, call, &format!("{}{typed}", words.trim()))
    };
    if let Call::Command(command) = call
        && let Some(hints) = hints_of_program(command.way, reason, with_accept, &resume)
    {
        return hints;
    }
    let status = words.strip_prefix("HTTP ").and_then(|rest| rest.get(..3));
    let without = |flag: &str| {
        let flags = format!("{flag} none");
        format!(
            "to continue without a limit, or with a higher one: {}",
            resume(&flags)
        )
    };
    let hint = match reason {
        "credentials" => {
            let class = format!("--class status={}:rejected", status.unwrap_or("403"));
            return vec![
                key(call, words, &resume(""), &|header| resume(header)),
                format!(
                    "if the files themselves are refused, let them fail: {}",
                    resume(&class)
                ),
            ];
        }
        "quota" => format!("when the service allows more calls again: {}", resume("")),
        "certificate" if words.contains(UNTRUSTED) => format!(
            "if you trust the service, use a file with its certificate, or with that of the issuer: SSL_CERT_FILE=FILE.pem {}; or repeat the run command with --cacert FILE.pem",
            resume("")
        ),
        "certificate" if words.contains(NO_TLS) => {
            format!("repeat the run command with the port of TLS, or http://, in the URL{accept}")
        }
        "certificate" => format!(
            "if the URL is wrong, repeat the run command with the right one{accept}; when the certificate is corrected: {}",
            resume("")
        ),
        "name" => format!(
            "check the network, then: {}; if the name in the URL is wrong, repeat the run command with the right one{accept}",
            resume("")
        ),
        "proxy" => format!(
            "check the proxy and its credentials (-x, -U), or use --no-proxy; then: {}",
            resume("")
        ),
        "redirect" => {
            let follows = matches!(call, Call::Http(request) if request.transport.redirects > 0);
            let follow = match follows {
                true => "",
                false => {
                    "; -L follows the redirect, but 301, 302 and 303 turn a POST into a GET without the file"
                }
            };
            format!(
                "repeat the run command with the URL to which the redirect leads{accept}{follow}"
            )
        }
        "missing_files" => format!(
            "check that the files' disk is mounted, then: {}; if the list has wrong names, correct them and repeat the run command",
            resume("")
        ),
        "rejected" => {
            let expected = match status {
                Some(status) if status.starts_with('2') => "--expect any".to_owned(),
                Some(status) => format!("--expect-status 2xx,{status}"),
                None => "--expect text".to_owned(),
            };
            let correct = match status {
                Some("404" | "410") => "the URL or the request",
                Some("405") => "the method (-X) or the URL",
                _ => "the request",
            };
            let accepting = if has_results { " --accept-change" } else { "" };
            return vec![
                format!("correct {correct} and repeat the run command{with_accept}"),
                format!("if such answers are results, add {expected}{accepting} to that command"),
                format!("to continue anyway: {}", resume("--max-failures none")),
            ];
        }
        "failures" => format!(
            "look at {}; to continue anyway: {}",
            command(db, "failures"),
            resume("--max-failures none")
        ),
        "outage" => {
            let back = format!(
                "when the service is back: {}; with a longer --max-outage stride waits longer",
                resume("")
            );
            let wrong = "check the URL: its host, its port, and http:// or https://; if it is wrong, repeat the run command with the right one";
            return match has_results {
                true => vec![back],
                false => vec![back, wrong.to_owned()],
            };
        }
        "submitted" => format!("after that time: {}", resume("--submit-only")),
        "wait" => format!(
            "after that time: {}; with a longer --max-wait stride waits, with --ignore-wait it does not",
            resume("")
        ),
        "max_calls" => without("--max-calls"),
        "max_duration" => without("--max-duration"),
        "max_cost" => without("--max-cost"),
        _ => format!("to continue: {}", resume("")),
    };
    vec![hint]
}

/// Returns hints about a stop of calls that a program makes, where they are not those of HTTP.
fn hints_of_program(
    way: Way,
    reason: &str,
    with_accept: &str,
    resume: &dyn Fn(&str) -> String,
) -> Option<Vec<String>> {
    let another = match way {
        Way::Starter => String::new(),
        _ => format!("; or repeat the run command with another one{with_accept}"),
    };
    let correct = format!("correct the program, then: {}{another}", resume(""));
    Some(match reason {
        "not_started" => vec![correct],
        "hung" => vec![format!(
            "let the function end by itself, such as by a timeout of its client; then: {}",
            resume("")
        )],
        "rejected" => vec![
            correct,
            format!("to continue anyway: {}", resume("--max-failures none")),
        ],
        "credentials" => vec![
            format!(
                "give the program credentials that its service accepts, then: {}",
                resume("")
            ),
            match way {
                Way::Starter => "if the files themselves are refused, let their calls fail with the class `rejected`; in Python, raise stride.Rejected".to_owned(),
                Way::Worker => "if the files themselves are refused, let the worker answer with the class `rejected`".to_owned(),
                _ => format!(
                    "if the files themselves are refused, let them fail: {}",
                    resume("--class exit=77:rejected")
                ),
            },
        ],
        "outage" => vec![format!(
            "when the service is back: {}; with a longer --max-outage stride waits longer",
            resume("")
        )],
        _ => return None,
    })
}

/// Returns the hint for calls that the service refuses for lack of a valid key. `resume` is the command that continues, and
/// `with` makes the one that adds a flag.
fn key(call: &Call, words: &str, resume: &str, with: &dyn Fn(&str) -> String) -> String {
    let Call::Http(request) = call else {
        return format!("use a key that the service accepts, then: {resume}");
    };
    if words.contains(UNSUPPORTED) {
        return format!(
            "stride has no Digest, NTLM or Kerberos: use a key that the service takes in a header (-H), or a password for Basic authentication (-u); then: {resume}"
        );
    }
    if has_credential(request) {
        return match variable(request) {
            Some(name) => {
                format!("export {name}=… with a key that the service accepts, then: {resume}")
            }
            None => format!("use a key that the service accepts, then: {resume}"),
        };
    }
    let header = match words.contains("Basic authentication") {
        true => "-u '{env:NAME}:{env:PASSWORD}'",
        false => "-H 'Authorization: Bearer {env:API_KEY}'",
    };
    format!(
        "the request has no key; if the service wants one, put it into a variable and use it: {}",
        with(header)
    )
}

/// Returns the name of the variable that a request refers to, if it refers to exactly one.
fn variable(request: &Request) -> Option<String> {
    let stored = serde_json::to_string(request).unwrap_or_default();
    let names = stored.split("{env:").skip(1);
    let mut names: Vec<&str> = names
        .filter_map(|rest| rest.split(['}', ':']).next())
        .collect();
    names.dedup();
    match names[..] {
        [name] => Some(name.to_owned()),
        _ => None,
    }
}

/// Returns whether a request carries something that may be a credential.
fn has_credential(request: &Request) -> bool {
    let in_header = request.headers.iter().any(|header| {
        header.value != HeaderValue::Absent && is_sensitive(&header.name)
            || matches!(header.value, HeaderValue::Basic(_) | HeaderValue::Withheld)
    });
    let stored = serde_json::to_string(request).unwrap_or_default();
    let references = ["{env:", "{file:", "{cmd:", "{netrc:", "{given:"];
    in_header
        || request.transport.certificate.is_some()
        || references
            .iter()
            .any(|reference| stored.contains(reference))
}

/// Returns the error of a run whose caller panicked.
pub(crate) fn panicked(db: &Location, path: &FileName) -> CliError {
    CliError::new(exit::INTERNAL, format!("a call panicked: {path}"))
        .note("all other calls are recorded; this one is in doubt")
        .hint(format!("to continue: {}", again_for(db, "resume")))
}

/// Describes why a run stops.
pub(crate) fn reason(reason: &StopReason) -> String {
    let words = match reason {
        StopReason::Fault(Fault::Forbidden) => "the service forbids the calls".to_owned(),
        StopReason::Fault(_) | StopReason::Rejected | StopReason::Budget(Budget::Until) => {
            stop_reason(reason.as_str(), "").to_owned()
        }
        StopReason::Failures(failed) => format!(
            "{} failed, more than --max-failures allows",
            counted(*failed, "file")
        ),
        StopReason::Outage(lasted) => format!(
            "the service was unavailable for {} (--max-outage)",
            show_duration(*lasted)
        ),
        StopReason::Wait(wait) => format!(
            "the service asks to wait until {}, longer than --max-wait allows",
            utc_in(*wait)
        ),
        StopReason::Submitted(wait) => format!(
            "no file may be submitted, and nothing is due to be polled before {} (--submit-only)",
            utc_in(*wait)
        ),
        StopReason::Budget(Budget::Calls(calls)) => format!(
            "the run has made its {} (--max-calls)",
            counted(*calls, "call")
        ),
        StopReason::Budget(Budget::Duration(time)) => format!(
            "the run has worked for its {} (--max-duration)",
            show_duration(*time)
        ),
        StopReason::Budget(Budget::Cost(spent)) => {
            format!("the run has cost {spent}; another call would exceed --max-cost")
        }
    };
    format!("stopped: {words}")
}

/// The stop of the last session, for other programs.
#[derive(Serialize)]
pub(crate) struct StoppedJson<'s> {
    reason: &'s str,
    action: &'s str,
    until: Option<String>,
    words: Option<&'s str>,
}

impl<'s> From<&'s Stopped> for StoppedJson<'s> {
    fn from(stopped: &'s Stopped) -> Self {
        Self {
            reason: &stopped.reason,
            action: &stopped.action,
            until: stopped.until.map(timestamp),
            words: stopped.words.as_deref(),
        }
    }
}

/// Describes the stop of the last session in a line: the reason, the service's own words, and the first hint.
pub(crate) fn describe(db: &Location, call: &Call, stopped: &Stopped, has_results: bool) -> String {
    let words = stopped.words.as_deref().unwrap_or_default();
    let mut line = escaped(stop_reason(&stopped.reason, words).as_bytes());
    if !words.is_empty() {
        line.push_str(&format!(" ({})", short(words.as_bytes())));
    }
    let hint = match stopped.until {
        Some(until) => format!("after {}: {}", clock(until), again(db, call, "resume")),
        None => hints(db, call, &stopped.reason, words, "", has_results).swap_remove(0),
    };
    format!("{line}; {hint}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn row_4_a_panic_is_an_internal_error_that_names_the_file() {
        let cli_error = panicked(&"stride.db".into(), &FileName::from("a.txt"));
        assert_eq!(cli_error.code, 70);
        let told = format!("{cli_error:?}");
        assert!(told.contains("a call panicked: a.txt"), "{told}");
        assert!(told.contains("to continue: stride resume"), "{told}");
    }

    #[test]
    fn a_stop_that_passes_by_itself_has_a_code_of_its_own() {
        let hour = Duration::from_secs(3_600);
        for (reason, expected) in [
            (StopReason::Outage(hour), 75),
            (StopReason::Wait(hour), 75),
            (StopReason::Submitted(hour), 75),
            (StopReason::Budget(Budget::Until), 75),
            (StopReason::Budget(Budget::Calls(3)), 4),
            (StopReason::Failures(3), 4),
            (StopReason::Fault(Fault::Quota), 4),
            (StopReason::Fault(Fault::Proxy), 4),
            (StopReason::Rejected, 4),
        ] {
            assert_eq!(code(&reason), expected, "{reason:?}");
        }
    }

    #[test]
    fn a_stop_has_the_words_of_the_service_and_a_way_out() {
        let halt = Halt {
            reason: StopReason::Fault(Fault::Forbidden),
            words: "HTTP 403: not \x1b yours".to_owned(),
        };
        let call = Call::Http(Box::default());
        let cli_error = cli_error(&"stride.db".into(), &call, &halt, &Counts::default(), "");
        let told = format!("{cli_error:?}");
        for words in [
            "stopped: the service forbids the calls",
            r"HTTP 403: not \\u{1b} yours",
            "0 files pending; no file failed for this cause",
            "stride resume --class status=403:rejected",
        ] {
            assert!(told.contains(words), "{told}");
        }
    }
}
