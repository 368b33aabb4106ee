//! `stride recheck`.

use std::path::Path;

use stride::recheck::{Changes, RecheckError, Rechecked, apply, preview};
use stride::settings::{Call, Request};
use stride::store::Reader;

use crate::cli::args::{Once, Recheck};
use crate::cli::output::error::{Problem, command, quoted};
use crate::cli::output::exit;
use crate::cli::output::format::short;
use crate::cli::output::format::{counted, grouped};
use crate::cli::output::terminal::{Terminal, cyan};
use crate::cli::request::consent::{self, Scope};
use crate::cli::session::storage;
use crate::cli::session::summary::standing;

pub(crate) fn recheck(db: &Path, args: &Recheck, terminal: &Terminal) -> Result<u8, Problem> {
    let reader = Reader::open(db)?;
    let info = reader.info()?;
    let request = self::request(args, info.call)?;
    if !args.apply {
        let report = preview(&reader, &request, &info.settings.classes)?;
        tell(&report, terminal);
        if report.failed.count + report.done.count > 0 {
            terminal.say("nothing was changed");
            terminal.say(&format!(
                "{} {}   changes it",
                cyan("hint:"),
                command(db, &again(args))
            ));
        }
        return Ok(exit::DONE);
    }
    drop(reader);
    // It calls nobody, so that nothing is called twice.
    let once = Once {
        ignore_rescue: true,
        ..Once::default()
    };
    let mut store = storage::open(db, once, terminal)?;
    // Somebody may have changed it meanwhile.
    let call = store.call()?;
    let request = self::request(args, call.clone())?;
    let classes = store.settings()?.classes;
    let report = apply(&mut store, &request, &classes)?;
    // The user has changed it here, and nothing of what is sent.
    if let Call::Http(before) = &call
        && consent::is_known(before, store.base(), Scope::Run)
    {
        consent::remember(&request, store.base());
    }
    let counts = store.counts();
    store.close()?;
    tell(&report, terminal);
    terminal.say(&standing(&counts));
    Ok(exit::DONE)
}

/// The run's request, judged in the way that is asked for.
fn request(args: &Recheck, call: Call) -> Result<Request, Problem> {
    let Call::Http(mut request) = call else {
        return Err(
            Problem::usage("this run's calls are made by a program of its own")
                .hint("that program says which answers are results"),
        );
    };
    if let Some(statuses) = &args.expect_status {
        request.judging.statuses = statuses.clone();
    }
    if let Some(expect) = args.expect {
        request.judging.expect = expect;
    }
    if let Some(success) = &args.success {
        request.judging.success = Some(success.clone()).filter(|text| !text.trim().is_empty());
    }
    Ok(*request)
}

fn tell(report: &Rechecked, terminal: &Terminal) {
    terminal.say(&format!("judged {}", counted(report.judged, "answer")));
    for (change, Changes { count, examples }) in [
        ("done -> failed", &report.failed),
        ("not done -> done", &report.done),
    ] {
        if *count == 0 {
            continue;
        }
        terminal.say(&format!("{change}: {}", counted(*count, "file")));
        for (path, reason) in examples {
            terminal.say(&format!("    {path}: {}", short(reason.as_bytes())));
        }
        let rest = count - examples.len() as u64;
        if rest > 0 {
            terminal.say(&format!("    and {} more", grouped(rest)));
        }
    }
    if report.failed.count + report.done.count == 0 {
        terminal.say("every answer is what it was judged to be");
    }
}

/// The words that do what was looked at.
fn again(args: &Recheck) -> String {
    let mut words = "recheck".to_owned();
    if let Some(statuses) = &args.expect_status {
        words.push_str(&format!(" --expect-status {statuses}"));
    }
    if let Some(expect) = args.expect {
        words.push_str(&format!(" --expect {expect}"));
    }
    if let Some(success) = &args.success {
        words.push_str(&format!(" --success {}", quoted(Path::new(success))));
    }
    words.push_str(" --apply");
    words
}

impl From<RecheckError> for Problem {
    fn from(error: RecheckError) -> Self {
        match error {
            RecheckError::Expression(error) => error.into(),
            RecheckError::Store(error) => error.into(),
            RecheckError::Unreadable { .. } => {
                Self::of(exit::ERROR, &error).note("nothing was changed")
            }
            RecheckError::NoHeaders { .. } => Self::of(exit::USAGE, &error).note("nothing was changed").hint(
                "headers are kept only where the run's own expressions say $headers; `stride run … --success EXPR --accept-change` says so for the answers to come",
            ),
        }
    }
}
