//! `stride export`.

use std::path::Path;

use stride::event::Counts;
use stride::export::{
    ColumnList, ExportError, Extract, FileError, Form, Selection, Written, to_file, to_folder,
    to_stream,
};
use stride::extract::Extraction;
use stride::job::FileName;
use stride::jq::Expression;
use stride::settings::{Call, Judging};
use stride::store::{Reader, StoreError, note_artifact};
use stride::validate::WrongExpression;

use crate::cli::args::{Export, FormatArg};
use crate::cli::output::error::printed;
use crate::cli::output::error::{Problem, command, quoted};
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::format::names;
use crate::cli::output::shown::{data, is_terminal};
use crate::cli::output::terminal::{Terminal, bold};
use crate::cli::session::files::not_listed;
use crate::cli::session::summary::standing;

pub(crate) fn export(db: &Path, args: &Export, terminal: &Terminal) -> Result<u8, Problem> {
    if args.raw_csv && args.format != FormatArg::Csv {
        return Err(Problem::usage("--raw-csv is for tables").hint(format!(
            "{} writes one",
            command(db, "export --raw-csv --format csv")
        )));
    }
    check(db, args)?;
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
    let chosen = args.choosing.terms();
    let format = Form {
        format: args.format.into(),
        expect: judging.expect,
        extract: extract.as_ref().map(|extract| extract as &dyn Extract),
        raw_csv: args.raw_csv,
        columns: args.choosing.columns.as_ref().map(ColumnList::as_slice),
        chosen: &chosen,
    };
    let incomplete = |error: ExportError| {
        match error {
        ExportError::Incomplete { counts } => Problem::from(error).note(match chosen.is_empty() {
            true => standing(&counts),
            false => format!("of the files that --where chooses: {}", standing(&counts)),
        }).hint(format!(
            "{}; {} writes the results there are; {} writes what became of the other files too",
            way_on(db, &counts),
            command(db, &again(args, "--partial")),
            command(db, &again(args, "--all")),
        )),
        ExportError::Extract { .. } => Problem::from(error).hint(format!(
            "in the expression, `?` passes over what is not there and `//` gives another value, as in '.a.b? // null'; {} writes the whole answers",
            command(db, &again(args, "--raw"))
        )),
        ExportError::Store(StoreError::DamagedResult { .. } | StoreError::File { .. }) => Problem::of(exit::INCOMPLETE, &error).hint(format!(
            "`stride verify` names every damaged one; {} writes the others",
            command(db, &again(args, "--partial"))
        )),
        ExportError::File(FileError::Target { .. }) if args.format == FormatArg::Dir => Problem::of(exit::USAGE, &error)
            .hint("name a folder with -o FOLDER that is not there yet, is empty, or is an earlier export"),
        _ => error.into(),
    }
    };
    let ended = |written: &Written| {
        if written.damaged.is_empty() {
            return exit::DONE;
        }
        terminal.say(&format!(
            "{} {} left out, for what is stored is not what was recorded: {}",
            bold("warning:"),
            counted(written.damaged.len() as u64, "result"),
            names(&written.damaged)
        ));
        exit::INCOMPLETE
    };
    if let Some(path) = output(args) {
        not_listed(&reader, path)?;
        let write = match args.format {
            FormatArg::Dir => to_folder,
            _ => to_file,
        };
        let written = write(&reader, format, selection, path).map_err(incomplete)?;
        // The look ends before the note is written: the last to leave folds the log into the database.
        drop(reader);
        if let Ok(path) = path.canonicalize() {
            note_artifact(&database, &path);
        }
        terminal.say(&format!(
            "wrote {} to {}",
            counted(written.jobs, "result"),
            FileName::from(path)
        ));
        return Ok(ended(&written));
    }
    match to_stream(&reader, format, selection, &mut data()) {
        Ok(written) => {
            drop(reader);
            // Where a shell sent stdout into a file, a later walk should know that file.
            if let Ok(path) = std::fs::read_link("/proc/self/fd/1")
                && path.is_file()
            {
                note_artifact(&database, &path);
            }
            Ok(ended(&written))
        }
        Err(ExportError::File(FileError::Write { source, .. })) => printed(Err(source)),
        Err(error) => Err(incomplete(error)),
    }
}

/// Where it goes, if not to stdout.
fn output(args: &Export) -> Option<&Path> {
    let path = args.output.as_deref();
    path.filter(|path| *path != Path::new("-"))
}

/// Checks that what is asked for goes together.
fn check(db: &Path, args: &Export) -> Result<(), Problem> {
    let needs = |what: &str, place: &str| {
        Problem::usage(format!("--format {} writes {what}", word(args.format))).hint(format!(
            "say where, as in {}",
            command(
                db,
                &format!("export --format {} -o {place}", word(args.format))
            )
        ))
    };
    match args.format {
        FormatArg::Dir if output(args).is_none() => Err(needs("a folder", "results")),
        FormatArg::Parquet if output(args).is_none() && is_terminal() => Err(needs(
            "bytes, which are not for a terminal",
            "results.parquet",
        )),
        FormatArg::Json | FormatArg::Dir if args.choosing.columns.is_some() => {
            Err(Problem::usage("--columns is for tables").hint(format!(
                "{} writes one; so do csv and parquet",
                command(
                    db,
                    &format!("export{} --format jsonl", args.choosing.words())
                )
            )))
        }
        _ => Ok(()),
    }
}

/// The word for a format.
fn word(format: FormatArg) -> &'static str {
    match format {
        FormatArg::Json => "json",
        FormatArg::Jsonl => "jsonl",
        FormatArg::Csv => "csv",
        FormatArg::Parquet => "parquet",
        FormatArg::Dir => "dir",
    }
}

/// What is to be made of each result: what is asked for here, or what the run says.
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

/// What has to be done before the whole is there.
fn way_on(db: &Path, counts: &Counts) -> String {
    if counts.pending + counts.running > 0 {
        return format!("{} goes on with it", command(db, "resume"));
    }
    let (words, which) = match counts.failed {
        0 => ("retry --held", "held"),
        _ => ("retry", "failed"),
    };
    format!("{} calls the {which} files again", command(db, words))
}

/// The words of this export, with a way out added.
fn again(args: &Export, way_out: &str) -> String {
    let raw_csv = if args.raw_csv { " --raw-csv" } else { "" };
    let format = match args.format {
        FormatArg::Json => String::new(),
        format => format!(" --format {}{raw_csv}", word(format)),
    };
    let chosen = args.choosing.words();
    let output = args
        .output
        .as_ref()
        .map_or_else(String::new, |path| format!(" -o {}", quoted(path)));
    let extract = match &args.extract {
        _ if args.raw && way_out != "--raw" => " --raw".to_owned(),
        Some(text) if way_out != "--raw" => format!(" --extract {}", quoted(Path::new(text))),
        _ => String::new(),
    };
    let selection = match (args.partial, args.all) {
        _ if way_out != "--raw" => "",
        (true, _) => " --partial",
        (_, true) => " --all",
        _ => "",
    };
    format!("export {way_out}{selection}{extract}{format}{chosen}{output}")
}
