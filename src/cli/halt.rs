//! What is said when a guard, a budget or the service itself ends a run early.

use std::path::Path;

use stride::event::Counts;
use stride::governor::{Budget, Halt, Refusal};
use stride::job::{FileName, escaped};
use stride::settings::show_duration;

use super::error::{Problem, command};
use super::exit;
use super::terminal::counted;
use super::when::utc_in;

/// The end of a run that was not asked for.
pub(crate) fn problem(db: &Path, halt: &Halt, counts: &Counts) -> Problem {
    let resume = |flags: &str| command(db, format!("resume {flags}").trim());
    let said = |message: &str| escaped(message.as_bytes());
    let problem = Problem::new(exit::HALTED, reason(halt));
    let pending = format!(
        "{} pending; nothing was charged to those that were refused",
        counted(counts.pending, "file")
    );
    let left = format!("{} pending", counted(counts.pending, "file"));
    match halt {
        Halt::Refused { refusal, message } => {
            let hint = match refusal {
                Refusal::Auth => format!("give a key that is accepted, then: {}", resume("")),
                Refusal::Quota => format!("when there is allowance again: {}", resume("")),
                Refusal::Tls => {
                    format!("mend the certificate, or the URL; then: {}", resume(""))
                }
                Refusal::Name => format!(
                    "look at the network and at the name in the URL; then: {}",
                    resume("")
                ),
                Refusal::Redirect => {
                    "give the same command with the URL that it leads to, or with -L to follow it, and --accept-change"
                        .to_owned()
                }
                Refusal::MissingFile => {
                    format!("see whether the files' disk is there, then: {}", resume(""))
                }
            };
            problem.cause(said(message)).note(pending).hint(hint)
        }
        Halt::Failures(_) => problem.note(left).hint(format!(
            "look at {}; to go on all the same: {}",
            command(db, "failures"),
            resume("--max-failures none")
        )),
        Halt::Outage { message, .. } => problem
            .cause(said(message))
            .note(left)
            .hint(format!("when it is back: {}", resume(""))),
        Halt::Wait { message, .. } => problem.cause(said(message)).note(left).hint(format!(
            "after that: {}; with a longer --max-wait it waits, with --ignore-wait it does not",
            resume("")
        )),
        Halt::Budget(budget) => {
            let flags = match budget {
                Budget::Calls(_) => "--max-calls none",
                Budget::Duration(_) => "--max-duration none",
                Budget::Cost(_) => "--max-cost none",
                Budget::Until => "",
            };
            let hint = format!("to go on, with this or a higher limit: {}", resume(flags));
            problem.note(left).hint(hint)
        }
    }
}

/// The end of a run by a mistake in a program: stride's own, or that of a caller.
pub(crate) fn panicked(db: &Path, path: &FileName) -> Problem {
    Problem::new(exit::INTERNAL, format!("a call panicked: {path}"))
        .note("every other call was recorded; that one is in doubt")
        .hint(format!("{} goes on", command(db, "resume")))
}

/// Why a run stops, in a line.
pub(crate) fn reason(halt: &Halt) -> String {
    match halt {
        Halt::Refused { refusal, .. } => match refusal {
            Refusal::Auth => "stopped: the service does not accept the credentials".to_owned(),
            Refusal::Quota => "stopped: the allowance at the service is used up".to_owned(),
            Refusal::Tls => "stopped: the connection to the service cannot be trusted".to_owned(),
            Refusal::Name => "stopped: the service's name leads nowhere".to_owned(),
            Refusal::Redirect => {
                "stopped: the service answers with redirects, and they are not followed".to_owned()
            }
            Refusal::MissingFile => "stopped: one file after the other is not there".to_owned(),
        },
        Halt::Failures(failed) => format!(
            "stopped: {} failed, more than --max-failures allows",
            counted(*failed, "file")
        ),
        Halt::Outage { lasted, .. } => format!(
            "stopped: no connection for {}, which is all that --max-outage allows",
            show_duration(*lasted)
        ),
        Halt::Wait { wait, .. } => format!(
            "stopped: the server asks to wait until {}, longer than --max-wait allows",
            utc_in(*wait)
        ),
        Halt::Budget(budget) => match budget {
            Budget::Calls(calls) => {
                format!(
                    "stopped: the run has made its {} (--max-calls)",
                    counted(*calls, "call")
                )
            }
            Budget::Duration(time) => format!(
                "stopped: the run has had its {} of work (--max-duration)",
                show_duration(*time)
            ),
            Budget::Cost(spent) => {
                format!(
                    "stopped: the run has cost {spent}, and one call more is too much (--max-cost)"
                )
            }
            Budget::Until => "stopped: the time that --until gave has come".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_4_a_panic_is_an_internal_error_that_names_the_file() {
        let problem = panicked(Path::new("stride.db"), &FileName::from("a.txt"));
        assert_eq!(problem.code, 70);
        let told = format!("{problem:?}");
        assert!(told.contains("a call panicked: a.txt"), "{told}");
        assert!(told.contains("stride resume goes on"), "{told}");
    }
}
