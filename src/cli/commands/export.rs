//! `stride export`.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::path::Path;

use stride::event::Counts;
use stride::export::{
    Column, ColumnError, ColumnList, ColumnName, ExportError, ExportSummary, Extract, FileError,
    Form, Nulls, Selection, check_list_columns, has_result_field, to_file, to_folder, to_stream,
};
use stride::extract::Extraction;
use stride::filter::Term;
use stride::job::{FileName, escaped};
use stride::jq::Expression;
use stride::settings::Judging;
use stride::store::{Location, Reader, StoreError};
use stride::validate::WrongExpression;

use crate::cli::args::export::{Export, FormatArg};
use crate::cli::args::typed_with;
use crate::cli::output::again::{again_for, effect_for};
use crate::cli::output::error::{CliError, command, printed, quoted};
use crate::cli::output::exit;
use crate::cli::output::format::{counted, grouped, names};
use crate::cli::output::shown::{bold, cyan, data, is_terminal};
use crate::cli::output::terminal::Terminal;
use crate::cli::session::files::{named_output, not_listed, remember_output};
use crate::cli::session::summary::{earlier_results, standing};

pub(crate) fn export(db: &Location, args: &Export, terminal: &Terminal) -> Result<u8, CliError> {
    let output = named_output(args.output.as_deref());
    let format = format(db, args, output)?;
    check(args, format, output)?;
    let reader = Reader::open(db)?;
    let database = reader.path().to_owned();
    let selection = match (args.partial, args.all) {
        (true, _) => Selection::Partial,
        (_, true) => Selection::All,
        _ => Selection::Whole,
    };
    let call = reader.info()?.call;
    let has_body = call.has_answer_body();
    let judging = call.judging().cloned().unwrap_or_default();
    let extract = extract(args, &judging)?.map(|expression| Extraction {
        expression,
        has_body,
    });
    check_columns(&reader, args, extract.as_ref())?;
    let form = Form {
        format: format.into(),
        expect: judging.expect,
        extract: extract.as_ref().map(|extract| extract as &dyn Extract),
        raw_csv: args.raw_csv,
        bom: args.bom,
        replace_surrogates: args.replace_surrogates,
        columns: None,
        flatten: args.flatten,
        chosen: &args.terms,
    };
    let columns = columns(&reader, args, &form)?;
    let form = Form {
        columns: columns.as_ref().map(ColumnList::as_slice),
        ..form
    };
    let written = match output {
        Some(path) => {
            not_listed(&reader, path)?;
            let write = match format {
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
        Err(error) => return Err(cli_error(db, &reader, args, format, error)),
    };
    let earlier = earlier_results(db, &reader)?;
    drop(reader);
    remember_output(&database, output);
    if let Some(path) = output {
        let what = describe(&written);
        terminal.say(&format!("wrote {what} to {}", FileName::from(path)));
    }
    if let Some(note) = earlier {
        terminal.say(&format!("{} {note}", bold("note:")));
    }
    if let Some(extract) = &extract {
        report_nulls(&written.nulls, extract.expression.as_str(), terminal);
    }
    if written.damaged.is_empty() {
        return Ok(exit::DONE);
    }
    terminal.warn(&format!(
        "skipped {}: {}",
        counted(written.damaged.len() as u64, "damaged or missing result"),
        names(&written.damaged)
    ));
    let verify = command(db, "verify");
    terminal.say(&format!(
        "{} {verify}   says what is wrong with each",
        cyan("hint:")
    ));
    Ok(exit::INCOMPLETE)
}

/// Reports nulls, which a wrong name in the expression gives.
fn report_nulls(nulls: &Nulls, expression: &str, terminal: &Terminal) {
    let Nulls {
        values,
        whole,
        members,
    } = nulls;
    if *whole > 0 && whole < values {
        let (whole, values) = (grouped(*whole), counted(*values, "value"));
        terminal.say(&format!(
            "{} {whole} of {values} of --extract are null",
            bold("note:")
        ));
    }
    let subject = match (*whole > 0 && whole == values, members.is_empty()) {
        (true, _) if *values == 1 => "the value is null".to_owned(),
        (true, _) => format!("all {} values are null", grouped(*values)),
        (false, false) => {
            let members = members.iter().map(|name| FileName::from(name.as_str()));
            let members = names(&members.collect::<Vec<_>>());
            format!(
                "null in {} of --extract: {members}",
                counted(*values, "value")
            )
        }
        (false, true) => return,
    };
    let expression = quoted(Path::new(expression));
    terminal.warn(&format!("{subject}; is --extract {expression} right?"));
    let raw = typed_with("--raw");
    terminal.say(&format!(
        "{} {raw}   writes the whole answers, with the names of their fields",
        cyan("hint:")
    ));
}

/// Counts what was written: results, failures, and files that are neither.
fn describe(written: &ExportSummary) -> String {
    let mut parts = vec![counted(written.results, "result")];
    if written.failures > 0 {
        parts.push(counted(written.failures, "failure"));
    }
    let rest = written.jobs - written.results - written.failures;
    if rest > 0 {
        parts.push(counted(rest, "unfinished file"));
    }
    match parts.pop() {
        Some(last) if !parts.is_empty() => format!("{} and {last}", parts.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// Returns the format that was asked for, or else that of the ending of the file's name. The default is JSON.
fn format(db: &Location, args: &Export, output: Option<&Path>) -> Result<FormatArg, CliError> {
    let (None, Some(path)) = (args.format, output) else {
        return Ok(args.format.unwrap_or(FormatArg::Json));
    };
    let name = FileName::from(path);
    let meta = path.metadata();
    let is_folder = meta.as_ref().is_ok_and(Metadata::is_dir);
    if is_folder || name.as_bytes().ends_with(b"/") {
        let dir = typed_with("--format dir");
        return Err(CliError::usage(format!("{name} is a folder")).hint(format!(
            "use -o with a file; {dir} writes a file for each answer"
        )));
    }
    let ending = path.extension().map(OsStr::to_ascii_lowercase);
    let is_device = meta.is_ok_and(|meta| !meta.is_file());
    // Writing refuses the database as the output.
    let is_usual = !is_device && path != db.file();
    let Some(ending) = ending.filter(|_| is_usual) else {
        return Ok(FormatArg::Json);
    };
    let with_ending = |ending| FileName::from(path.with_extension(ending));
    Ok(match ending.as_encoded_bytes() {
        b"json" => FormatArg::Json,
        b"jsonl" | b"ndjson" => FormatArg::Jsonl,
        b"csv" => FormatArg::Csv,
        b"parquet" => FormatArg::Parquet,
        ending => {
            let error = CliError::usage(format!(
                "no format has the ending .{} of {name}",
                escaped(ending)
            ));
            return Err(match ending {
                b"xls" | b"xlsx" | b"ods" | b"tsv" => error.hint(format!(
                    "use -o {}, which spreadsheets open; --bom helps Excel",
                    with_ending("csv")
                )),
                b"gz" | b"zst" | b"xz" | b"bz2" | b"zip" => error.hint(
                    "use a pipe to compress: stride export --format json | gzip > results.json.gz",
                ),
                b"db" | b"sqlite" | b"sqlite3" => error.hint(
                    "the run's own database has the view `results`, which any SQLite program reads",
                ),
                _ => error.hint(format!(
                    "use the ending .json, .jsonl, .csv or .parquet, or name the format: {}",
                    typed_with("--format json")
                )),
            });
        }
    })
}

/// Refuses flags that do not fit the format.
fn check(args: &Export, format: FormatArg, output: Option<&Path>) -> Result<(), CliError> {
    let is_table = !matches!(format, FormatArg::Json | FormatArg::Dir);
    let needs_table = |flag: &str| {
        CliError::usage(format!("{flag} needs a table format"))
            .hint("use --format csv, jsonl or parquet")
    };
    let needs_csv =
        |flag: &str| CliError::usage(format!("{flag} needs --format csv")).hint("use --format csv");
    Err(if format == FormatArg::Dir && output.is_none() {
        CliError::usage("--format dir needs an output folder").hint("use -o FOLDER")
    } else if format == FormatArg::Parquet && output.is_none() && is_terminal() {
        CliError::usage("--format parquet cannot write to a terminal").hint("use -o FILE")
    } else if !is_table && args.columns.is_some() {
        needs_table("--columns")
    } else if !is_table && args.flatten {
        needs_table("--flatten")
    } else if format != FormatArg::Csv && args.raw_csv {
        needs_csv("--raw-csv")
    } else if format != FormatArg::Csv && args.bom {
        needs_csv("--bom")
    } else if format == FormatArg::Dir && args.replace_surrogates {
        CliError::usage("--format dir writes each answer as received")
            .hint("leave out --replace-surrogates")
    } else {
        return Ok(());
    })
}

/// Parses the columns of the table. A column of the list needs its prefix if the results have a field of the same name.
fn columns(
    reader: &Reader,
    args: &Export,
    form: &Form<'_>,
) -> Result<Option<ColumnList>, CliError> {
    let Some(text) = &args.columns else {
        return Ok(None);
    };
    let whole = Form {
        extract: None,
        ..*form
    };
    let is_in_list =
        |name: &str| check_list_columns(reader, std::slice::from_ref(&name.to_owned())).is_ok();
    let is_field = |name: &str| has_result_field(reader, form, name).unwrap_or(false);
    let is_listed = |name: &str| is_in_list(name) && !is_field(name);
    let columns = ColumnList::read(text, is_listed).map_err(|error| {
        let cli_error = CliError::of(exit::USAGE, &error);
        match &error {
            ColumnError::Repeated(_) => cli_error.hint("use it once"),
            ColumnError::Unknown { name, .. } if is_in_list(name) => {
                let name = escaped(name.as_bytes());
                CliError::usage(format!(
                    "`{name}` is a column of the list and a field of the results"
                ))
                .hint(format!("use col.{name} or result.{name}"))
            }
            ColumnError::Unknown { name, .. } if is_field(name) => {
                let name = escaped(name.as_bytes());
                CliError::usage(format!("`{name}` is a field of the results"))
                    .hint(format!("use result.{name} for it"))
            }
            ColumnError::Unknown { name, .. }
                if has_result_field(reader, &whole, name).unwrap_or(false) =>
            {
                let name = escaped(name.as_bytes());
                CliError::usage(format!(
                    "`{name}` is a field of the answers, of which --extract exports another part"
                ))
                .hint(format!("use result.{name} with --raw, or the column result"))
            }
            ColumnError::Unknown { .. } => cli_error.hint(format!(
                "use some of {}, col.NAME for a column of the list, result.NAME for a field of the results",
                Column::ALL.iter().map(|column| column.as_str()).collect::<Vec<_>>().join(", ")
            )),
        }
    })?;
    if args.flatten && !columns.as_slice().contains(&Column::Result.into()) {
        let is_field = |column: &ColumnName| matches!(column, ColumnName::Field(_));
        let refused =
            CliError::usage("--flatten replaces the column result, which --columns leaves out");
        return Err(match columns.as_slice().iter().any(is_field) {
            true => refused.hint("leave out --flatten: --columns names the fields itself"),
            false => {
                refused.hint("add result to --columns, or leave out --flatten and name the fields: --columns file,result.NAME")
            }
        });
    }
    Ok(Some(columns))
}

/// Refuses `--where` and `--extract` with a column that the list does not have.
fn check_columns(
    reader: &Reader,
    args: &Export,
    extract: Option<&Extraction>,
) -> Result<(), CliError> {
    let mut asked: Vec<String> = args
        .terms
        .iter()
        .filter_map(Term::column)
        .map(str::to_owned)
        .collect();
    if let Some(extract) = extract.filter(|_| args.extract.is_some()) {
        asked.extend(extract.expression.columns());
    }
    Ok(check_list_columns(reader, &asked)?)
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

fn cli_error(
    db: &Location,
    reader: &Reader,
    args: &Export,
    format: FormatArg,
    error: ExportError,
) -> CliError {
    match error {
        ExportError::Incomplete { counts } if counts.done == 0 && !args.terms.is_empty() => {
            let all = typed_with("--all");
            CliError::of(exit::INCOMPLETE, &error)
                .note(format!("--where selects no file with a result: {}", standing(db, &counts)))
                .hint(format!("{all} writes their failures and states"))
        }
        ExportError::Incomplete { counts } => {
            let standing = standing(db, &counts);
            let note = match args.terms.is_empty() {
                true => standing,
                false => format!("of the files that --where selects: {standing}"),
            };
            let (partial, all) = (typed_with("--partial"), typed_with("--all"));
            let earlier = earlier_results(db, reader).unwrap_or_default();
            let cli_error = earlier
                .into_iter()
                .fold(CliError::from(error).note(note), CliError::note)
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
            "in the expression, `?` ignores an error and `//` replaces null, as in '.a.b? // null'; {} writes the whole answers",
            typed_with("--raw")
        )),
        ExportError::Store(StoreError::DamagedResult { .. } | StoreError::File { .. }) => {
            CliError::of(exit::INCOMPLETE, &error).hint(format!(
                "`stride verify` names all damaged results; {} writes the others",
                typed_with("--partial")
            ))
        }
        ExportError::File(FileError::Target { .. }) if format == FormatArg::Dir => {
            CliError::of(exit::USAGE, &error)
                .hint("use -o with a new folder, an empty one, or an earlier export")
        }
        _ => error.into(),
    }
}

/// Returns the command that completes the run.
fn completion(db: &Location, counts: &Counts) -> String {
    if counts.open() + counts.running > 0 {
        format!("to resume the run: {}", again_for(db, "resume"))
    } else if counts.failed > 0 {
        let effect = effect_for(db, "the failed files");
        format!("{} {effect}", again_for(db, "retry"))
    } else {
        let effect = effect_for(db, "the held files");
        format!("{} {effect}", again_for(db, "retry --held"))
    }
}
