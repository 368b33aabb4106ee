//! Takes over a changed request.

use std::path::Path;

use stride::job::FileName;
use stride::settings::{Call, Difference, Expect, Judging};
use stride::store::{Filter, Location, Store};
use stride::validate::Validator;

use crate::cli::output::again::again;
use crate::cli::output::error::{CliError, command, quoted};
use crate::cli::output::format::counted;
use crate::cli::output::shown::{bold, cyan};
use crate::cli::output::terminal::Terminal;
use crate::cli::request::{changed_request, lines, stored};
use crate::cli::session::loaded::report_renewed;

/// A changed request of a run.
pub(crate) struct Change {
    old: Call,
    new: Call,
    differences: Vec<Difference>,
    /// A file is done under the run's present request.
    has_results: bool,
    /// The number of files whose next request, or the answer that it follows, is that of a changed request.
    waiting: u64,
}

impl Change {
    /// Compares a request with the run's. Returns `None` if they are the same.
    ///
    /// # Errors
    ///
    /// Files are done under the run's present request, and the user has not accepted the change. `hint` names the ways out.
    /// A change of only what is exported needs no consent.
    pub(crate) fn check(
        db: &Location,
        store: &Store,
        new: Call,
        accepted: bool,
        hint: &str,
    ) -> Result<Option<Self>, CliError> {
        let old = store.call()?;
        let differences = old.differences(&new);
        if differences.is_empty() {
            return Ok(None);
        }
        let by_step = store.waiting_by_step()?;
        let waiting = |concerns: &dyn Fn(usize) -> bool| {
            let files = by_step.iter().filter(|(step, _)| concerns(*step));
            files.map(|(_, files)| files).sum::<u64>()
        };
        let lost = waiting(&|step| step >= new.steps());
        if lost > 0 {
            let refused = changed_request(&differences, store.counts().done, lost);
            let forget = command(db, "forget --where state=waiting");
            return Err(refused.hint(format!(
                "keep the requests that these files wait for, or take the files off the run: {forget}"
            )));
        }
        let changed = old.last_changed_step(&new);
        let change = Self {
            has_results: store.has_results_of_call()?,
            waiting: changed.map_or(0, |changed| {
                waiting(&|step| step <= changed.saturating_add(1))
            }),
            old,
            new,
            differences,
        };
        if (change.has_results || change.waiting > 0) && !accepted && !change.exports_only() {
            let done = store.counts().done;
            let refused = changed_request(&change.differences, done, change.waiting);
            return Err(match change.recheck(db) {
                Some(recheck) => refused.hint(format!(
                    "{recheck} judges the stored answers by the new rules, without calls; then repeat this command, or only add --accept-change to keep all results"
                )),
                None => refused.hint(hint),
            });
        }
        Ok(Some(change))
    }

    /// Returns the call that is replaced.
    pub(crate) fn replaced(&self) -> &Call {
        &self.old
    }

    /// Makes this the run's request.
    pub(crate) fn take(
        &self,
        db: &Location,
        store: &mut Store,
        terminal: &Terminal,
    ) -> Result<(), CliError> {
        if self.exports_only() {
            store.amend_call(&self.new)?;
            terminal.say("exports will write another value of each result:");
            lines(&self.differences).for_each(|line| terminal.say(&line));
            return Ok(());
        }
        let replaced = store.set_call(&self.new, &|earlier| serves(earlier, &self.new))?;
        report_renewed(replaced.renewed, "the request was changed", terminal);
        if self.has_results && store.counts().done > 0 {
            let kept = counted(store.counts().done, "result");
            let hint = match self.recheck(db).filter(|_| !replaced.is_other) {
                Some(recheck) => format!("{recheck}   judges them by the new rules, without calls"),
                None => format!(
                    "{}   calls their files again, and sets these results aside",
                    again(db, &self.new, "retry --outdated")
                ),
            };
            terminal.say(&format!(
                "the request was changed; {kept} of the old one will stay"
            ));
            terminal.say(&format!("{} {hint}", cyan("hint:")));
            return Ok(());
        }
        terminal.say(&match self.waiting {
            0 => "the request was changed; no file is done with the old one:".to_owned(),
            waiting => format!(
                "the request was changed; {} in the middle of the old one:",
                counted(waiting, "file")
            ),
        });
        lines(&self.differences).for_each(|line| terminal.say(&line));
        Ok(())
    }

    /// Makes files pending that failed under the old request, if no file of the run is done. If only the rules for answers
    /// differ, hints at `recheck` instead.
    pub(crate) fn requeue(
        &self,
        db: &Location,
        store: &mut Store,
        terminal: &Terminal,
    ) -> Result<(), CliError> {
        let counts = store.counts();
        if counts.done > 0 || counts.failed == 0 || self.exports_only() {
            return Ok(());
        }
        if self.judges_only() {
            let recheck = command(db, "recheck --apply");
            terminal.say(&format!(
                "{} {recheck}   judges the stored answers of failed files by the new rules, without calls",
                cyan("hint:")
            ));
            return Ok(());
        }
        let again = counted(store.requeue(&Filter::default())?, "failed file");
        terminal.say(&format!("{again} pending again"));
        Ok(())
    }

    /// Returns true if the old calls would get the same answers, and these are stored.
    fn judges_only(&self) -> bool {
        // Answers with another status are not stored whole.
        self.differs_only_in(|old, new| Judging {
            statuses: old.statuses.clone(),
            ..new.clone()
        })
    }

    /// Returns whether only the exported value differs, and every stored answer has what the new expression needs.
    fn exports_only(&self) -> bool {
        self.differs_only_in(|old, new| Judging {
            extract: new.extract.clone(),
            ..old.clone()
        }) && serves(&self.old, &self.new)
    }

    /// Returns the command that judges the stored answers by the new rules, if only these differ and it can express them.
    fn recheck(&self, db: &Location) -> Option<String> {
        if !self.differs_only_in(|_, new| new.clone()) {
            return None;
        }
        let (old, new) = self.judging()?;
        let mut words = "recheck".to_owned();
        if old.statuses != new.statuses {
            words.push_str(&format!(" --expect-status {}", new.statuses));
        }
        if old.expect != new.expect {
            // No value of --expect stands for the default.
            let expect = Some(new.expect).filter(|expect| *expect != Expect::AsStated)?;
            words.push_str(&format!(" --expect {expect}"));
        }
        if old.success != new.success {
            let success = new.success.as_deref().unwrap_or_default();
            words.push_str(&format!(" --success {}", quoted(Path::new(success))));
        }
        words.push_str(" --apply");
        Some(command(db, &words))
    }

    /// Returns whether the requests differ only in the rules that `taken` takes over from the new one.
    fn differs_only_in(&self, taken: impl Fn(&Judging, &Judging) -> Judging) -> bool {
        let Some((old, new)) = self.judging() else {
            return false;
        };
        let mut same = self.old.clone();
        let taken = taken(old, new);
        if let Some(judging) = same.judging_mut() {
            *judging = taken;
        }
        same == self.new
    }

    /// Returns the old and the new rules.
    fn judging(&self) -> Option<(&Judging, &Judging)> {
        self.old.judging().zip(self.new.judging())
    }
}

/// Returns true if the answers to an earlier call have all that the rules of a new one need.
fn serves(earlier: &Call, new: &Call) -> bool {
    let keeps_headers = |call: &Call| {
        let validator = call.judging().map(Validator::new).and_then(Result::ok);
        validator.is_some_and(|validator| validator.keeps_headers())
    };
    earlier.sent() == new.sent() && (keeps_headers(earlier) || !keeps_headers(new))
}

/// Names the parts of a request that look like keys, and that every reader of the database can see.
pub(crate) fn report_stored(call: &Call, db: &Location, terminal: &Terminal) {
    if let Some(parts) = stored(call) {
        terminal.say(&format!(
            "{} {parts} may hold a key, which {} stores in plain text",
            bold("note:"),
            FileName::from(db.file())
        ));
        let place = match call {
            Call::Command(_) => "let the program read it there",
            _ => "use {env:NAME} in its place",
        };
        terminal.say(&format!(
            "{} put the key into a variable, and {place}, with --accept-change",
            cyan("hint:")
        ));
    }
}
