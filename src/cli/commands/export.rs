//! `stride export`.

use std::path::Path;

use stride::event::Counts;
use stride::export::{
    ColumnList, ExportError, Extract, FileError, Form, Selection, to_file, to_folder, to_stream,
};
use stride::extract::Extraction;
use stride::job::FileName;
use stride::jq::Expression;
use stride::settings::{Call, Judging};
use stride::store::{Location, Reader, StoreError};
use stride::validate::WrongExpression;

use crate::cli::args::export::{Export, FormatArg};
use crate::cli::args::typed_with;
use crate::cli::output::error::{CliError, command, printed};
use crate::cli::output::exit;
use crate::cli::output::format::{counted, names};
use crate::cli::output::shown::{bold, data, is_terminal};
use crate::cli::output::terminal::Terminal;
use crate::cli::session::files::{named_output, not_listed, remember_output};
use crate::cli::session::summary::standing;

pub(crate) fn export(db: &Location, args: &Export, terminal: &Terminal) -> Result<u8, CliError> {
    let output = named_output(args.output.as_deref());
    check(args, output)?;
    let reader = Reader::open(db)?;
    let database = reader.path().to_owned();
    let selection = match (args.partial, args.all) {
        (true, _) => Selection::Partial,
        (_, true) => Selection::All,
        _ => Selection::Whole,
    };
    let (judging, has_body) = match reader.info()?.call {
        Call::Http(request) => (request.judging.clone(), request.has_answer_body()),
        Call::Program { .. } => (Judging::default(), true),
    };
    let extract = extract(args, &judging)?.map(|expression| Extraction {
        expression,
        has_body,
    });
    let form = Form {
        format: args.format.into(),
        expect: judging.expect,
        extract: extract.as_ref().map(|extract| extract as &dyn Extract),
        raw_csv: args.raw_csv,
        columns: args.columns.as_ref().map(ColumnList::as_slice),
        chosen: &args.terms,
    };
    let written = match output {
        Some(path) => {
            not_listed(&reader, path)?;
            let write = match args.format {
                FormatArg::Dir => to_folder,
                _ => to_file,
            };
            write(&reader, form, selection, path)
        }
        None => to_stream(&reader, form, selection, &mut data()),
    };
    let written = match written {
        Ok(written) => written,
        Err(ExportError::File(FileError::Write { source, .. })) if output.is_none() => {
            return printed(Err(source));
        }
        Err(error) => return Err(cli_error(db, args, error)),
    };
    let lacking = match selection {
        Selection::All => {
            let counts = reader.counts_of(&args.terms)?;
            counts.total - counts.done
        }
        Selection::Whole | Selection::Partial => 0,
    };
    drop(reader);
    remember_output(&database, output);
    if let Some(path) = output {
        let mut what = counted(written.jobs.saturating_sub(lacking), "result");
        if lacking > 0 {
            what.push_str(&format!(
                " and the state of {}",
                counted(lacking, "other file")
            ));
        }
        terminal.say(&format!("wrote {what} to {}", FileName::from(path)));
    }
    if written.damaged.is_empty() {
        return Ok(exit::DONE);
    }
    terminal.say(&format!(
        "{} skipped {} (checksum mismatch): {}",
        bold("warning:"),
        counted(written.damaged.len() as u64, "damaged result"),
        names(&written.damaged)
    ));
    Ok(exit::INCOMPLETE)
}

/// Refuses flags that do not fit the format.
fn check(args: &Export, output: Option<&Path>) -> Result<(), CliError> {
    let cli_error = match args.format {
        FormatArg::Dir if output.is_none() => {
            CliError::usage("--format dir needs an output folder").hint("use -o FOLDER")
        }
        FormatArg::Parquet if output.is_none() && is_terminal() => {
            CliError::usage("--format parquet cannot write to a terminal").hint("use -o FILE")
        }
        FormatArg::Json | FormatArg::Dir if args.columns.is_some() => {
            CliError::usage("--columns needs a table format")
                .hint("add --format csv, jsonl or parquet")
        }
        FormatArg::Csv => return Ok(()),
        _ if args.raw_csv => {
            CliError::usage("--raw-csv needs --format csv").hint("add --format csv")
        }
        _ => return Ok(()),
    };
    Err(cli_error)
}

/// Parses the expression to apply to each result: that of the command line, or else the run's.
fn extract(args: &Export, judging: &Judging) -> Result<Option<Expression>, WrongExpression> {
    let text = args.extract.as_ref().or(judging.extract.as_ref());
    text.filter(|_| !args.raw)
        .map(|text| Expression::new(text))
        .transpose()
        .map_err(|source| WrongExpression {
            flag: "extract",
            source,
        })
}

fn cli_error(db: &Location, args: &Export, error: ExportError) -> CliError {
    match error {
        ExportError::Incomplete { counts } => {
            let standing = standing(&counts);
            let note = match args.terms.is_empty() {
                true => standing,
                false => format!("of the files that --where selects: {standing}"),
            };
            let (partial, all) = (typed_with("--partial"), typed_with("--all"));
            let cli_error = CliError::from(error)
                .note(note)
                .hint(completion(db, &counts))
                .hint(format!("{partial} writes the results so far"))
                .hint(format!("{all} writes the failures too"));
            match counts.failed + counts.held {
                0 => cli_error,
                _ => {
                    let forget = command(db, "forget --where state=failed,held");
                    cli_error.hint(format!("{forget} takes those files off the run"))
                }
            }
        }
        ExportError::Extract { .. } => CliError::from(error).hint(format!(
            "in the expression, `?` skips a missing value and `//` replaces it, as in '.a.b? // null'; {} writes the whole answers",
            typed_with("--raw")
        )),
        ExportError::Store(StoreError::DamagedResult { .. } | StoreError::File { .. }) => {
            CliError::of(exit::INCOMPLETE, &error).hint(format!(
                "`stride verify` names all damaged results; {} writes the others",
                typed_with("--partial")
            ))
        }
        ExportError::File(FileError::Target { .. }) if args.format == FormatArg::Dir => {
            CliError::of(exit::USAGE, &error)
                .hint("use -o with a new folder, an empty one, or an earlier export")
        }
        _ => error.into(),
    }
}

/// Returns the command that completes the run.
fn completion(db: &Location, counts: &Counts) -> String {
    if counts.pending + counts.running > 0 {
        format!("{} resumes the run", command(db, "resume"))
    } else if counts.failed > 0 {
        format!("{} calls the failed files again", command(db, "retry"))
    } else {
        format!("{} calls the held files again", command(db, "retry --held"))
    }
}
