//! Errors for people: the failure, its causes, a note on the safety of results, and a hint.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::LazyLock;

use stride::caller::{
    CommandError, PROXY_AUTHORIZATION, PlanError, Reference, TemplateError, WrongFolder,
    meant_placeholder,
};
use stride::export::{ExportError, FileError};
use stride::input::{InputError, RowFault};
use stride::job::{FileName, escaped};
use stride::paths::folder_of;
use stride::settings::Call;
use stride::store::Location;
use stride::validate::WrongExpression;

use crate::cli::output::shown::{bold, cyan, red};
use crate::cli::output::terminal::{Terminal, ignore_closed_pipe};
use crate::cli::output::{environment, exit};

/// The hint for a folder for results that cannot be used.
const FOLDER: &str =
    "use --output-dir with a folder in which you can write; stride makes a missing one";

/// An error with its exit code, causes, notes and hints.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) code: u8,
    error: String,
    below: Vec<(Label, String)>,
}

/// The kind of a line below an error. Lines are printed in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    /// A part of the error.
    More,
    Cause,
    Note,
    Hint,
}

impl CliError {
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

    /// Creates an error from another and its causes. Leaves out a cause that repeats the text above it.
    pub(crate) fn of(code: u8, error: &dyn Error) -> Self {
        let mut cli_error = Self::new(code, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            let is_last = |(_, last): &(Label, String)| *last == text;
            if !cli_error.error.contains(&text) && !cli_error.below.last().is_some_and(is_last) {
                cli_error = cli_error.cause(text);
            }
            source = cause.source();
        }
        cli_error
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
        self.with(Label::Hint, pasteable(hint.into()))
    }

    /// Replaces all hints.
    pub(crate) fn only_hint(mut self, hint: impl Into<String>) -> Self {
        self.below.retain(|(label, _)| *label != Label::Hint);
        self.hint(hint)
    }

    fn with(mut self, label: Label, text: impl Into<String>) -> Self {
        self.below.push((label, text.into()));
        self
    }

    /// Returns the line that names the failure.
    pub(crate) fn words(&self) -> &str {
        &self.error
    }

    pub(crate) fn print(&self, terminal: &Terminal) {
        terminal.insist(&format!("{} {}", red("error:"), self.error));
        let mut below: Vec<&(Label, String)> = self.below.iter().collect();
        below.sort_by_key(|(label, _)| *label);
        for (label, text) in below {
            let label = match label {
                Label::More => String::new(),
                Label::Cause => format!("{} ", bold("caused by:")),
                Label::Note => format!("{} ", bold("note:")),
                Label::Hint => format!("{} ", cyan("hint:")),
            };
            terminal.insist(&format!("{label}{text}"));
        }
    }
}

impl From<PlanError> for CliError {
    fn from(error: PlanError) -> Self {
        let cli_error = Self::of(exit::USAGE, &error);
        match &error {
            PlanError::Template { error: TemplateError::Value { reference, .. }, .. } => match reference {
                Reference::Env(name) => {
                    cli_error.hint(format!("set {name} to a valid value, then repeat the command: export {name}=…"))
                }
                Reference::File(_) => cli_error.hint(
                    "put only the value into the file; its path is relative to the folder of the run",
                ),
                Reference::Cmd(command) => {
                    let text = quoted(Path::new(command));
                    cli_error.hint(format!("check the command's output: sh -c {text}"))
                }
                Reference::Netrc(host) => cli_error.hint(format!(
                    "add `machine {host} login NAME password WORD` to ~/.netrc, or to the file that NETRC names"
                )),
                Reference::Pool(_) => cli_error.hint(
                    "use --pool FILE with a CSV table whose first line names the columns, such as name,key",
                ),
                Reference::Given(name) => cli_error.hint(format!(
                    "use --credential '{name}=…' again, or a reference: run … {{env:VARIABLE}} … --accept-change"
                )),
            },
            PlanError::Template { error: TemplateError::Encoded(reference), .. } => {
                let raw = reference.to_string().replace('}', ":raw}");
                cli_error.hint(format!("use {raw}, whose value is sent as it is"))
            }
            PlanError::Template { error: TemplateError::TooEarly(_), .. } => cli_error.hint(
                "use {answer.NAME} for the answer to the request before, and {step1.NAME} for that to the first",
            ),
            PlanError::Template { error: TemplateError::Unknown(word), .. }
                if let Some(meant) = meant_placeholder(word) =>
            {
                cli_error.hint(format!("did you mean {{{meant}}}?"))
            }
            PlanError::Template { .. } => cli_error.hint(
                "use one of {path} {name} {stem} {ext} {dir} {index} {size} {mime} {sha256} {text} {base64} {col.NAME} {row} {env:NAME} {file:PATH} {cmd:COMMAND} {pool.NAME}, or in a later request {answer.NAME} {header.NAME} {step1.NAME}; for a literal brace use {{ or }}",
            ),
            PlanError::Missing(name) if name == PROXY_AUTHORIZATION => {
                cli_error.hint("use -U NAME:PASSWORD again")
            }
            PlanError::Missing(name) if name.eq_ignore_ascii_case("authorization") => cli_error.hint(
                "use -u NAME:PASSWORD or -H 'Authorization: …' again, or a reference: run … -H 'Authorization: Bearer {env:VARIABLE}' --accept-change",
            ),
            PlanError::Missing(name) => cli_error.hint(format!(
                "use -H '{name}: …' again, or a reference: run … -H '{name}: {{env:VARIABLE}}' --accept-change"
            )),
            PlanError::Plain { .. } => cli_error
                .note("the network could read it; nothing was sent")
                .hint("use https, or --allow-plain-http if you trust the network"),
            PlanError::Expression(wrong) => wrong_expression(wrong),
            PlanError::Followed(_) => {
                cli_error.hint("leave out -L, or the statuses of redirects from --expect-status")
            }
            PlanError::Client(_) => Self { code: exit::ERROR, ..cli_error },
            PlanError::File { .. } => {
                cli_error.hint("correct its name; {path} or {} stands for each file of the run")
            }
            PlanError::Certificate { .. } => {
                cli_error.hint("use a PEM file: text with -----BEGIN …----- lines")
            }
            PlanError::Outputs(_) => cli_error.hint(FOLDER),
            PlanError::Proxy(_) => {
                cli_error.hint("use http://HOST:PORT, or socks5h://HOST:PORT")
            }
            PlanError::Url { .. } => {
                cli_error.hint("use a whole URL, such as https://api.example.com/v1/things")
            }
            PlanError::NotAllowed { .. } => cli_error
                .hint("correct or leave out the option: --proto, -4, -6 or --interface"),
            PlanError::FileOfAnswer => cli_error.hint(
                "leave out the @ to send the value itself; the files of this machine are your list's",
            ),
            PlanError::Origin(_) => cli_error.hint("use --allow-origin https://HOST, without a path"),
            PlanError::Method(_) => cli_error.hint("use a method such as -X PUT"),
            PlanError::Header { .. } => cli_error.hint("use -H 'Name: value', in one line"),
            PlanError::Address(_) => {
                cli_error.hint("use --resolve HOST:PORT:ADDRESS, such as api.example.com:443:192.0.2.1")
            }
        }
    }
}

impl From<CommandError> for CliError {
    fn from(error: CommandError) -> Self {
        let cli_error = Self::of(exit::USAGE, &error);
        match error {
            CommandError::Empty => cli_error.hint("use --exec 'PROGRAM ARGUMENTS'"),
            CommandError::Program { .. } => cli_error
                .note("nothing was changed")
                .hint("correct its name, or use its whole path; names resolve in the run's folder"),
            CommandError::Template { .. } => cli_error.hint("correct the placeholder"),
            CommandError::Secret(_) => cli_error.hint(
                "let the command read the secret from its environment, which is that of stride",
            ),
            CommandError::Contents(_) => {
                cli_error.hint("use {}: the command reads the file itself")
            }
            CommandError::Script { .. } => {
                cli_error.hint("use --exec-shell, where \"$1\" is the file")
            }
            CommandError::Expression(wrong) => wrong_expression(&wrong),
            CommandError::Outputs(_) => cli_error.hint(FOLDER),
        }
    }
}

impl From<WrongFolder> for CliError {
    fn from(error: WrongFolder) -> Self {
        Self::of(exit::USAGE, &error).hint(FOLDER)
    }
}

impl From<InputError> for CliError {
    fn from(error: InputError) -> Self {
        let cli_error = Self::of(exit::USAGE, &error).note("nothing was changed");
        match &error {
            InputError::Nul { .. } => {
                cli_error.hint("if names end with NUL bytes, as `find -print0` writes them, add -0")
            }
            InputError::Utf16 { list } => {
                let path = quoted(Path::new(list));
                cli_error.hint(format!(
                    "convert it, and use the copy: iconv -f UTF-16 -t UTF-8 {path} > list.txt"
                ))
            }
            InputError::Row { fault, .. } => cli_error.hint(row_hint(fault)),
            InputError::List { source, .. } => cli_error.hint(match source.kind() {
                ErrorKind::IsADirectory => {
                    "use the folder without --files-from to process its files"
                }
                ErrorKind::NotFound => "use a file with a list of names, or `-` for standard input",
                _ => "check that you may read it",
            }),
            InputError::Unreadable { path, .. } => {
                let path = quoted(path);
                cli_error.hint(format!("make it readable: chmod u+rx {path}; or list the other files: find … -print0 | stride run --files-from - -0 …"))
            }
        }
    }
}

/// Returns the hint for an invalid row of a table.
fn row_hint(fault: &RowFault) -> &'static str {
    match fault {
        RowFault::NoKey { columns, .. }
            if columns.len() == 1 && columns[0].contains([';', '\t', '|']) =>
        {
            "use --key-column with the column of the names; the cells of a CSV list are separated by commas"
        }
        RowFault::NoKey { .. } => {
            "use --key-column with the column of the names, or --key-column @line to name each row by its line"
        }
        RowFault::Twice { .. } => "use a different name for each column",
        RowFault::Cells { .. } => {
            "put a cell with a comma, a quote or a line break between quotes, and double each quote in it"
        }
        RowFault::Empty { .. } => {
            "add a name to each row, or use another column with --key-column, or @line for the row's line"
        }
        RowFault::Nul { .. } => "no file has such a name; use another column with --key-column",
        RowFault::NotText { .. } => "use UTF-8; in a CSV list only the names may have other bytes",
        RowFault::NotObject | RowFault::NotJson { .. } => {
            "use one whole object in each line, such as {\"path\": \"a.txt\"}; `jq -c '.[]'` makes such lines from an array"
        }
        RowFault::NotScalar { .. } => {
            "use a string or a number for each name, or name each row by its line with --key-column @line"
        }
        RowFault::Unclosed => {
            "close it; in a cell, double the quote and put the cell between quotes"
        }
        RowFault::TooLong => "check for an unclosed quote; put long texts into files",
        RowFault::TooDeep => "use a string for the deeply nested part",
    }
}

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            ExportError::File(error) => error.into(),
            ExportError::Incomplete { .. } => Self::of(exit::INCOMPLETE, &error),
            ExportError::NoColumn { ref known, .. } => {
                let cli_error = Self::of(exit::USAGE, &error).note("nothing was written");
                cli_error.hint(match known.is_empty() {
                    true => "leave it out: there are no such columns",
                    false => "use one of the columns that there are",
                })
            }
            ExportError::ManyColumns { .. } => Self::of(exit::USAGE, &error)
                .note("nothing was written")
                .hint(
                    "use --columns with those that you want: --columns file,col.NAME,result.NAME",
                ),
            ExportError::Extract { .. } | ExportError::Read { .. } => Self::of(exit::ERROR, &error),
        }
    }
}

impl From<FileError> for CliError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Target { .. } => {
                Self::of(exit::USAGE, &error).hint("use another file with -o FILE")
            }
            FileError::Write { ref target, .. } => {
                let folder = folder_of(Path::new(target));
                let cli_error = Self::of(exit::ERROR, &error);
                match folder.try_exists() {
                    Ok(false) => {
                        cli_error.hint(format!("make its folder: mkdir -p {}", quoted(folder)))
                    }
                    Ok(true) if !folder.is_dir() => cli_error.hint(format!(
                        "use -o FILE in a folder: {} is a file",
                        FileName::from(folder)
                    )),
                    _ => cli_error
                        .note("an older file is unchanged")
                        .hint("use -o FILE in a writable folder on a disk with free space"),
                }
            }
        }
    }
}

/// Returns a command to paste, for this database. `--db FILE` is left out if it is the default.
pub(crate) fn command(db: &Location, words: &str) -> String {
    let program = program();
    if is_default(db) {
        format!("{program} {words}")
    } else {
        format!("{program} {words} --db {}", quoted(db.file()))
    }
}

/// Returns whether a database is the default of `--db`.
pub(crate) fn is_default(db: &Location) -> bool {
    db.file() == Path::new("stride.db")
}

/// Returns the word that starts this program, as a shell reads it.
pub(crate) fn program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| match cfg!(test) {
        // The program of the unit tests has another name.
        true => "stride".to_owned(),
        false => quoted(&environment::program()),
    });
    &PROGRAM
}

/// Makes the commands in a text pasteable where `stride` alone does not start this program.
fn pasteable(text: String) -> String {
    match program() {
        "stride" => text,
        program => text.replace("`stride ", &format!("`{program} ")),
    }
}

/// Quotes a path for a shell. Escapes what is not printable UTF-8 as bash, zsh and ksh read it: `$'…'`.
pub(crate) fn quoted(path: &Path) -> String {
    let name = FileName::from(path);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./+,:@%".contains(byte);
    match name.as_str() {
        Some(text) if !text.is_empty() && text.as_bytes().iter().all(plain) => text.to_owned(),
        Some(text) if name.to_string() == text => format!("'{}'", text.replace('\'', r"'\''")),
        _ => format!(
            "$'{}'",
            path.as_os_str()
                .as_bytes()
                .iter()
                .map(byte_escaped)
                .collect::<String>()
        ),
    }
}

fn byte_escaped(byte: &u8) -> String {
    match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}

/// Returns the exit code of a command that printed data.
pub(crate) fn printed(result: io::Result<()>) -> Result<u8, CliError> {
    let failed = |error: io::Error| {
        CliError::new(exit::ERROR, "cannot write to stdout")
            .cause(error.to_string())
            .hint("check the free space at its destination")
    };
    ignore_closed_pipe(result)
        .map(|()| exit::DONE)
        .map_err(failed)
}

impl From<WrongExpression> for CliError {
    fn from(error: WrongExpression) -> Self {
        PlanError::from(error).into()
    }
}

/// Creates the error of a command on a run whose calls a Rust program makes.
pub(crate) fn made_by(program: &str) -> CliError {
    let name = escaped(program.as_bytes());
    CliError::usage(format!(
        "this run's calls are made by another program, with its caller {name}"
    ))
}

/// Creates the error of a command that needs the program which makes a run's calls.
pub(crate) fn made_by_starter(call: &Call) -> CliError {
    let name = escaped(call.summary().as_bytes());
    CliError::usage(format!(
        "this run's calls are made by the program that starts stride: {name}"
    ))
}

/// Creates the error of an invalid expression.
pub(crate) fn wrong_expression(error: &WrongExpression) -> CliError {
    CliError::of(exit::USAGE, error).hint(
        "use a jq expression (https://jqlang.org/manual) in single quotes; it cannot read files, the environment or the clock",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(command(&"stride.db".into(), "retry"), "stride retry");
        assert_eq!(
            command(&"my runs/a.db".into(), "retry"),
            "stride retry --db 'my runs/a.db'"
        );
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
        assert_eq!(quoted(Path::new("new\nline's")), r"$'new\x0aline\'s'");
        let name = std::ffi::OsStr::from_bytes(b"\xff\xfe.txt");
        assert_eq!(quoted(Path::new(name)), r"$'\xff\xfe.txt'");
    }
}
