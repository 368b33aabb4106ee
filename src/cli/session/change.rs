//! Takes over a changed request.

use stride::settings::{Call, Difference, Judging, Request};
use stride::store::{Filter, Location, Store};

use crate::cli::output::error::{CliError, command};
use crate::cli::output::format::counted;
use crate::cli::output::shown::cyan;
use crate::cli::output::terminal::Terminal;
use crate::cli::request::{changed_request, lines};

/// A changed request of a run.
pub(crate) struct Change {
    old: Call,
    new: Call,
    differences: Vec<Difference>,
    /// A file is done under the run's present request.
    has_results: bool,
}

impl Change {
    /// Compares a request with the run's. Returns `None` if they are the same.
    ///
    /// # Errors
    ///
    /// Files are done under the run's present request, and the user has not accepted the change. `hint` names the ways out.
    pub(crate) fn check(
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
        let has_results = store.has_results_of_call()?;
        if has_results && !accepted {
            return Err(changed_request(&differences, store.counts().done).hint(hint));
        }
        Ok(Some(Self {
            old,
            new,
            differences,
            has_results,
        }))
    }

    /// Makes this the run's request.
    pub(crate) fn take(&self, store: &mut Store, terminal: &Terminal) -> Result<(), CliError> {
        store.set_call(&self.new)?;
        if self.has_results {
            let kept = counted(store.counts().done, "result");
            terminal.say(&format!(
                "the request was changed; {kept} of the old one will stay"
            ));
            return Ok(());
        }
        terminal.say("the request was changed; no file is done with the old one:");
        lines(&self.differences).for_each(|line| terminal.say(&line));
        Ok(())
    }

    /// Calls files again that failed under the old request, if no file of the run is done.
    pub(crate) fn requeue(
        &self,
        db: &Location,
        store: &mut Store,
        terminal: &Terminal,
    ) -> Result<(), CliError> {
        let counts = store.counts();
        if counts.done > 0 || counts.failed == 0 {
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
        let (Call::Http(old), Call::Http(new)) = (&self.old, &self.new) else {
            return false;
        };
        let judging = Judging {
            // Answers with another status are not stored whole.
            statuses: old.judging.statuses.clone(),
            ..new.judging.clone()
        };
        let same = Request {
            judging,
            ..(**old).clone()
        };
        same == **new
    }
}
