//! Errors as people read them: what failed, why, what is safe, and one thing to do.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::io::Errno;
use stride::caller::{PROXY_AUTHORIZATION, PlanError, Reference, TemplateError};
use stride::engine::RunError;
use stride::export::ExportError;
use stride::input::{InputError, RowFault};
use stride::job::FileName;
use stride::store::StoreError;
use stride::validate::WrongExpression;

use crate::cli::output::exit;
use crate::cli::output::terminal::{Terminal, bold, cyan, red, written};

/// An error, its exit code, and what the user can do.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: u8,
    error: String,
    below: Vec<(Label, String)>,
}

/// What a line below an error is, in the order in which they are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    /// A part of the error.
    More,
    Cause,
    Note,
    Hint,
}

impl Problem {
    pub(crate) fn new(code: u8, error: impl Into<String>) -> Self {
        Self {
            code,
            error: error.into(),
            below: Vec::new(),
        }
    }

    pub(crate) fn usage(error: impl Into<String>) -> Self {
        Self::new(exit::USAGE, error)
    }

    /// From an error and all its causes.
    pub(crate) fn of(code: u8, error: &dyn Error) -> Self {
        let mut problem = Self::new(code, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            let is_last = |(_, last): &(Label, String)| *last == text;
            if !problem.error.contains(&text) && !problem.below.last().is_some_and(is_last) {
                problem = problem.cause(text);
            }
            source = cause.source();
        }
        problem
    }

    /// Adds a line that belongs to the error itself.
    pub(crate) fn line(self, line: impl Into<String>) -> Self {
        self.with(Label::More, line)
    }

    pub(crate) fn cause(self, cause: impl Into<String>) -> Self {
        self.with(Label::Cause, cause)
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        self.with(Label::Note, note)
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        self.with(Label::Hint, hint)
    }

    fn with(mut self, label: Label, text: impl Into<String>) -> Self {
        self.below.push((label, text.into()));
        self
    }

    /// What failed, in a line.
    pub(crate) fn words(&self) -> &str {
        &self.error
    }

    pub(crate) fn print(&self, terminal: &Terminal) {
        terminal.say(&format!("{} {}", red("error:"), self.error));
        let mut below: Vec<&(Label, String)> = self.below.iter().collect();
        below.sort_by_key(|(label, _)| *label);
        for (label, text) in below {
            let label = match label {
                Label::More => String::new(),
                Label::Cause => format!("{} ", bold("caused by:")),
                Label::Note => format!("{} ", bold("note:")),
                Label::Hint => format!("{} ", cyan("hint:")),
            };
            terminal.say(&format!("{label}{text}"));
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Missing { .. } => Self::of(exit::UNUSABLE, &error)
                .hint("name the run's database with --db FILE, or make a run with `stride run --url URL FILES`"),
            StoreError::Foreign { .. } => {
                Self::of(exit::UNUSABLE, &error).note("nothing was changed").hint("name another file with --db FILE")
            }
            StoreError::Newer { .. } => {
                Self::of(exit::UNUSABLE, &error).note("nothing was changed").hint("update stride")
            }
            StoreError::Older { .. } => Self::of(exit::UNUSABLE, &error)
                .note("nothing was changed")
                .hint("export its results with the build that made it, and start a new run with another --db FILE"),
            StoreError::Busy { .. } => Self::of(exit::BUSY, &error)
                .note("nothing was changed")
                .hint("wait for it to end, look at it with `stride status`, or give another database with --db FILE"),
            StoreError::Usurped => Self::of(exit::BUSY, &error)
                .note("what was recorded is safe; calls that were in flight here will be found in doubt")
                .hint("let the other runner go on, and look at it with `stride status`"),
            StoreError::Gone { .. } => Self::of(exit::UNUSABLE, &error)
                .hint("put the database back in its place, with the files beside it; then give the same command again"),
            StoreError::Cut { .. } => Self::of(exit::UNUSABLE, &error)
                .hint("find the program that writes to the files beside the database; then give the same command again, which calls again what was lost"),
            StoreError::Full { .. } | StoreError::NoRoom { .. } => Self::of(exit::STORAGE, &error)
                .note("what was recorded is safe")
                .hint("make room on the disk, then give the same command again"),
            StoreError::Locked { .. } => Self::of(exit::UNUSABLE, &error)
                .note("nothing was changed")
                .hint("end what keeps it locked, perhaps a shell with an open transaction; then give the same command again"),
            StoreError::Damaged { .. } => Self::from_damage(&error, Vec::new()),
            StoreError::Network { .. } => Self::of(exit::UNUSABLE, &error)
                .cause("locks and syncs are not to be relied upon there, and a database can be lost")
                .hint("put it on a disk of this machine with --db FILE, or add --allow-network-fs"),
            StoreError::ManyNames { path, .. } => Self::of(exit::UNUSABLE, &error)
                .cause("under each name it would have a log of its own, and results would be lost")
                .hint(format!(
                    "remove the other names, which this finds: find {} -xdev -samefile {}",
                    quoted(path.parent().unwrap_or(Path::new("/"))),
                    quoted(path)
                )),
            StoreError::Mounted { .. } => Self::of(exit::UNUSABLE, &error)
                .cause("its log and its lock would lie beside the mount, where no other runner sees them, and results would be lost")
                .hint("mount the folder that the database lies in, and give its name there with --db"),
            StoreError::Unchecked { .. } => Self::of(exit::ERROR, &error).note("nothing was changed"),
            StoreError::Exists { .. } => Self::of(exit::UNUSABLE, &error)
                .note("nothing was changed")
                .hint("give the same command again to go on with the run that is there now"),
            StoreError::Stale { .. } => Self::of(exit::INTERNAL, &error).note("what was recorded is safe"),
            StoreError::DamagedResult { .. } => {
                Self::of(exit::UNUSABLE, &error).hint("`stride verify` finds everything that is damaged")
            }
            StoreError::File { .. } => Self::of(exit::ERROR, &error)
                .hint("put the file back in its place; `stride verify` names every one that is missing or changed"),
            StoreError::Lock { path, .. } if path.is_symlink() => {
                Self::of(exit::UNUSABLE, &error).note("nothing was changed")
            }
            StoreError::Lock { .. } => {
                Self::of(exit::UNUSABLE, &error).hint("give a database in a folder that can be written to, with --db FILE")
            }
            StoreError::Unusable { source, .. } if is_no_place(source.as_ref()) => Self::of(exit::UNUSABLE, &error)
                .hint("name the run's database with --db FILE, in a folder that is there"),
            StoreError::Unusable { .. } | StoreError::Failed { .. } => Self::of(exit::UNUSABLE, &error)
                .hint("see whether its disk is there, has room and can be written to; `stride verify` looks for damage"),
        }
    }
}

/// Whether a path leads nowhere.
fn is_no_place(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == ErrorKind::InvalidFilename
            || matches!(
                Errno::from_io_error(error),
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
            )
    })
}

impl Problem {
    /// Of a database that is damaged.
    pub(crate) fn from_damage(error: &StoreError, notes: Vec<String>) -> Self {
        let problem = Self::of(exit::UNUSABLE, error).note("nothing is written into it any more");
        let problem = notes.into_iter().fold(problem, Self::note);
        problem.hint(
            "copy the database and the files beside it away; then SQLite's own shell can save what is readable: sqlite3 COPY .recover | sqlite3 NEW",
        )
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store { source, .. } => source.into(),
            RunError::NoThreads => Self::of(exit::INTERNAL, &error),
            RunError::Caller { .. } | RunError::Thread { .. } => Self::of(exit::ERROR, &error)
                .hint("use fewer threads (-j), or raise the limits of the system"),
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        let problem = Self::of(exit::USAGE, &error);
        match &error {
            PlanError::Template { error: TemplateError::Value { reference, .. }, .. } => match reference {
                Reference::Env(name) => {
                    problem.hint(format!("set it and give the command again: export {name}=…"))
                }
                Reference::File(_) => problem.hint(
                    "write the value, and nothing else, into the file; its path starts from the folder of the run",
                ),
                Reference::Cmd(command) => {
                    let text = quoted(Path::new(command));
                    problem.hint(format!("see what it prints: sh -c {text}"))
                }
                Reference::Netrc(host) => problem.hint(format!(
                    "put `machine {host} login NAME password WORD` into the file"
                )),
                Reference::Given(name) => problem.hint(format!(
                    "give it again with --credential '{name}=…', or make it a reference: run … {{env:VARIABLE}} … --accept-change"
                )),
            },
            PlanError::Template { .. } => problem.hint(
                "the placeholders are {path} {name} {stem} {ext} {dir} {index} {size} {mime} {sha256} {text} {base64} {col.NAME}, {env:NAME} {file:PATH} {cmd:COMMAND}; {{ and }} are braces",
            ),
            PlanError::Missing(name) if name == PROXY_AUTHORIZATION => {
                problem.hint("give it again with -U NAME:PASSWORD")
            }
            PlanError::Missing(name) if name.eq_ignore_ascii_case("authorization") => problem.hint(
                "give it again with -u NAME:PASSWORD or -H 'Authorization: …', or make it a reference: run … -H 'Authorization: Bearer {env:VARIABLE}' --accept-change",
            ),
            PlanError::Missing(name) => problem.hint(format!(
                "give it again with -H '{name}: …', or make it a reference: run … -H '{name}: {{env:VARIABLE}}' --accept-change"
            )),
            PlanError::Plain { .. } => problem
                .note("whoever is on the way could read it; nothing was sent")
                .hint("use https, or --allow-plain-http where the network between is trusted"),
            PlanError::Expression(wrong) => wrong_expression(wrong),
            PlanError::Followed(_) => {
                problem.hint("leave out -L, or the statuses of redirects from --expect-status")
            }
            PlanError::Client(_) => Self { code: exit::ERROR, ..problem },
            PlanError::Certificate { .. } => {
                problem.hint("the file has to be PEM: text with -----BEGIN …----- lines")
            }
            PlanError::Outputs { .. } => {
                problem.hint("give a folder to --output-dir; one that is missing is made")
            }
            PlanError::Proxy(_) => {
                problem.hint("write it as http://HOST:PORT, or socks5h://HOST:PORT")
            }
            PlanError::Url { .. } => {
                problem.hint("write it whole, as in --url https://api.example.com/v1/things")
            }
            PlanError::Method(_) => problem.hint("give a method with -X, such as -X PUT"),
            PlanError::Header { .. } => problem.hint("write it as -H 'Name: value', in one line"),
            PlanError::Address(_) => {
                problem.hint("write it as in --resolve api.example.com:443:192.0.2.1")
            }
        }
    }
}

impl From<InputError> for Problem {
    fn from(error: InputError) -> Self {
        let problem = Self::of(exit::USAGE, &error).note("nothing was changed");
        match &error {
            InputError::Nul { .. } => {
                problem.hint("if names end with NUL bytes, as `find -print0` writes them, add -0")
            }
            InputError::Row { fault, .. } => problem.hint(mend_row(fault)),
            InputError::List { source, .. } => problem.hint(match source.kind() {
                ErrorKind::IsADirectory => {
                    "to call every file of a folder, name it without --files-from"
                }
                ErrorKind::NotFound => {
                    "name a file that has a list of names in it, or `-` for standard input"
                }
                _ => "see whether you may read it",
            }),
            InputError::Unreadable { .. } => problem.hint("make it readable, or leave it out"),
        }
    }
}

/// What can be done about a row of a list that is a table.
fn mend_row(fault: &RowFault) -> &'static str {
    match fault {
        RowFault::NoKey { columns, .. } if columns.len() == 1 => {
            "name the column that has the names with --key-column; between the cells of a CSV list are commas"
        }
        RowFault::NoKey { .. } => "name the column that has the names with --key-column",
        RowFault::Twice { .. } => "give each column a name of its own",
        RowFault::Cells { .. } => {
            "put a cell that has a comma, a quote or a line break in it between quotes, and write each quote in it twice"
        }
        RowFault::Empty { .. } => {
            "give each row a name in it, or choose another column with --key-column"
        }
        RowFault::Nul { .. } => "no file has such a name; choose another column with --key-column",
        RowFault::NotText { .. } => {
            "write the list in UTF-8; in CSV lists the names alone may have any bytes"
        }
        RowFault::NotObject | RowFault::NotJson { .. } => {
            "a JSONL list has one whole object a line, such as {\"path\": \"a.txt\"}; of an array, `jq -c '.[]'` makes that"
        }
        RowFault::NotString { .. } => "write the names as strings, between quotes",
        RowFault::Unclosed => {
            "close it; a quote that belongs to a cell is written twice, and the cell between quotes"
        }
        RowFault::TooLong => "perhaps a quote is not closed there; put long texts into files",
        RowFault::TooDeep => "put what is nested so deep into a string",
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            ExportError::Target { .. } => {
                Self::of(exit::USAGE, &error).hint("name another file with -o FILE")
            }
            ExportError::Incomplete { .. } => Self::of(exit::INCOMPLETE, &error),
            ExportError::Extract { .. } | ExportError::Read { .. } => Self::of(exit::ERROR, &error),
            ExportError::Write { .. } => Self::of(exit::ERROR, &error)
                .note("whatever was there before is there still")
                .hint("name a file with -o FILE where there is room and where you may write"),
        }
    }
}

/// A command to paste, for this database: ` --db FILE` is left out where it is the default.
pub(crate) fn command(db: &Path, words: &str) -> String {
    if db == Path::new("stride.db") {
        format!("stride {words}")
    } else {
        format!("stride {words} --db {}", quoted(db))
    }
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let name = FileName::from(path);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./+,:@%".contains(byte);
    match name.as_str() {
        Some(text) if !text.is_empty() && text.as_bytes().iter().all(plain) => text.to_owned(),
        _ => format!("'{}'", name.to_string().replace('\'', r"'\''")),
    }
}

/// Returns the exit code of a command that printed data.
pub(crate) fn printed(result: io::Result<()>) -> Result<u8, Problem> {
    let failed = |error: io::Error| {
        Problem::new(exit::ERROR, "cannot write to stdout")
            .cause(error.to_string())
            .hint("see whether there is room where it goes")
    };
    written(result).map(|()| exit::DONE).map_err(failed)
}

impl From<WrongExpression> for Problem {
    fn from(error: WrongExpression) -> Self {
        PlanError::from(error).into()
    }
}

/// An expression that cannot be read, and where.
pub(crate) fn wrong_expression(error: &WrongExpression) -> Problem {
    Problem::of(exit::USAGE, error).hint(
        "expressions are those of jq (https://jqlang.org/manual), without files, environment and clock; put them into single quotes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(command(Path::new("stride.db"), "retry"), "stride retry");
        assert_eq!(
            command(Path::new("my runs/a.db"), "retry"),
            "stride retry --db 'my runs/a.db'"
        );
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }
}
