//! `stride recheck`.

use stride::export::check_list_columns;
use stride::jq::Expression;
use stride::recheck::{Changes, RecheckError, Rechecked, apply, preview};
use stride::settings::Call;
use stride::store::{Location, Reader};

use crate::cli::args::export::Recheck;
use crate::cli::args::{InvocationArgs, typed_with};
use crate::cli::output::error::{CliError, made_by};
use crate::cli::output::exit;
use crate::cli::output::format::{counted, grouped, short};
use crate::cli::output::shown::cyan;
use crate::cli::output::terminal::Terminal;
use crate::cli::request::consent::{self, Scope};
use crate::cli::session::storage;
use crate::cli::session::summary::standing;

pub(crate) fn recheck(db: &Location, args: &Recheck, terminal: &Terminal) -> Result<u8, CliError> {
    let reader = Reader::open(db)?;
    let info = reader.info()?;
    let call = judged(args, info.call)?;
    if let Some(success) = &args.success {
        // An invalid expression is reported later.
        let columns = Expression::new(success).map(|success| success.columns());
        check_list_columns(&reader, &columns.unwrap_or_default())?;
    }
    if !args.apply {
        let report = preview(&reader, &call, &info.settings.classes)?;
        print(&report, terminal);
        if report.failed.count + report.done.count > 0 {
            terminal.say("nothing was changed");
            let apply = typed_with("--apply");
            terminal.say(&format!(
                "{} {apply}   stores the new verdicts",
                cyan("hint:")
            ));
        }
        return Ok(exit::DONE);
    }
    drop(reader);
    // An unusable rescue file does not matter here, because recheck makes no calls.
    let invocation = InvocationArgs {
        ignore_rescue: true,
        ..InvocationArgs::default()
    };
    let mut store = storage::open(db, invocation, None, terminal)?;
    // Another process may have changed the request before the lock was taken.
    let before = store.call()?;
    let call = judged(args, before.clone())?;
    let classes = store.settings()?.classes;
    let report = apply(&mut store, &call, &classes)?;
    // Other rules for answers do not change what a known request sends, so it stays known on this machine.
    if consent::is_known(&before, store.base(), Scope::Run) {
        consent::remember(&call, store.base());
    }
    let counts = store.counts();
    store.close()?;
    print(&report, terminal);
    terminal.say(&standing(db, &counts));
    Ok(exit::DONE)
}

/// Returns the run's call with the rules of the command line.
fn judged(args: &Recheck, mut call: Call) -> Result<Call, CliError> {
    if let Call::Program { name } = &call {
        return Err(made_by(name).hint("validate the answers in that program"));
    }
    let Some(judging) = call.judging_mut() else {
        return Ok(call);
    };
    if let Some(statuses) = &args.expect_status {
        judging.statuses = statuses.clone();
    }
    if let Some(expect) = args.expect {
        judging.expect = expect;
    }
    if let Some(success) = &args.success {
        judging.success = Some(success.clone()).filter(|text| !text.trim().is_empty());
    }
    Ok(call)
}

fn print(report: &Rechecked, terminal: &Terminal) {
    terminal.say(&format!("judged {}", counted(report.judged, "answer")));
    for (change, intro, Changes { count, examples }) in [
        ("done -> failed", "", &report.failed),
        (
            "not done -> done",
            "; why they failed before:",
            &report.done,
        ),
    ] {
        if *count == 0 {
            continue;
        }
        terminal.say(&format!("{change}: {}{intro}", counted(*count, "file")));
        for (path, reason) in examples {
            terminal.say(&format!("    {path}: {}", short(reason.as_bytes())));
        }
        let rest = count - examples.len() as u64;
        if rest > 0 {
            terminal.say(&format!("    and {} more", grouped(rest)));
        }
    }
    if report.failed.count + report.done.count == 0 {
        terminal.say("no verdict changes");
    }
}

impl From<RecheckError> for CliError {
    fn from(error: RecheckError) -> Self {
        match error {
            RecheckError::Expression(error) => error.into(),
            RecheckError::Store(error) => error.into(),
            RecheckError::Unreadable { .. } => {
                Self::of(exit::ERROR, &error)
                    .note("nothing was changed")
                    .hint("restore its file; `stride verify` lists all that are missing or changed")
            }
            RecheckError::NoHeaders { .. } => Self::of(exit::USAGE, &error)
                .note("nothing was changed")
                .note("a run stores headers only if its own expressions use $headers")
                .hint("leave $headers out; or repeat the whole `stride run` command with the expression and --accept-change: later answers then have them"),
        }
    }
}
