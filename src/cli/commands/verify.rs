//! `stride verify`.

use stride::job::{FileName, escaped};
use stride::store::{Location, Reader};

use crate::cli::output::again::again_for;
use crate::cli::output::error::{CliError, printed};
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::shown;
use crate::cli::output::shown::red;
use crate::cli::output::terminal::Terminal;
use crate::cli::session::summary::standing;

pub(crate) fn verify(db: &Location, terminal: &Terminal) -> Result<u8, CliError> {
    let reader = Reader::open(db)?;
    let counts = reader.counts()?;
    let verdict = reader.verify()?;
    if verdict.problems.is_empty() {
        let results = counted(verdict.results, "result");
        let line = format!("sound: {}; {results} checked", standing(db, &counts));
        return printed(shown::lines([line]));
    }
    let label = red("damage:");
    for problem in &verdict.problems {
        terminal.say(&format!("{label} {}", escaped(problem.as_bytes())));
    }
    let cli_error = match verdict.is_damaged {
        true => CliError::new(
            exit::UNUSABLE,
            format!("{} is damaged", FileName::from(reader.path())),
        )
        .note("nothing was changed")
        .hint("work on a copy; `sqlite3 COPY .recover` saves what can be read"),
        false => CliError::new(
            exit::UNUSABLE,
            format!(
                "missing or changed: {}",
                counted(verdict.files, "result file")
            ),
        )
        .note("nothing was changed; the database itself is sound")
        .hint(format!(
            "restore the files; if their folder was moved, use {}",
            again_for(db, "resume --output-dir DIR")
        ))
        .hint(format!(
            "to call their files again, use {}",
            again_for(db, "retry --lost")
        )),
    };
    Err(cli_error)
}
