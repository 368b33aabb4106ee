//! Refuses names that the run does not have.

use std::path::Path;

use stride::filter::Term;
use stride::job::FileName;
use stride::store::{Location, Reader, wall_clock};

use crate::cli::output::error::{CliError, command, quoted};
use crate::cli::output::format::{counted, names};

/// The maximum number of names in which a similar one is searched.
const SEARCHED: u32 = 100_000;
/// The maximum number of wrong names for each of which a similar one is searched.
const CORRECTED: usize = 3;

/// The characters of patterns.
const PATTERN: [char; 3] = ['*', '?', '['];

/// Refuses names that the run does not have. `takes_terms` says that the command has `--where`.
pub(crate) fn not_listed(db: &Location, unknown: &[FileName], takes_terms: bool) -> CliError {
    let message = match unknown {
        [name] => format!("the run has no file {name}"),
        _ => format!(
            "the run does not have {}: {}",
            counted(unknown.len() as u64, "file"),
            names(unknown)
        ),
    };
    let hint = Reader::open(db).ok().and_then(|reader| {
        let pattern = unknown.first().filter(|_| takes_terms);
        pattern
            .and_then(|name| term(&reader, name))
            .or_else(|| corrected(&reader, unknown))
    });
    CliError::usage(message)
        .note("nothing was changed")
        .hint(hint.unwrap_or_else(|| like(db, unknown)))
}

/// Returns the hint for a pattern or a folder in place of a name.
fn term(reader: &Reader, name: &FileName) -> Option<String> {
    let text = name.as_str()?;
    let pattern = match text.contains(PATTERN) {
        true => text.to_owned(),
        false => {
            let folder = format!("{}/", text.trim_end_matches('/'));
            let some = reader.some_names(b"", SEARCHED).ok()?;
            let mut within = some.iter().map(FileName::as_bytes);
            within
                .any(|name| name.starts_with(folder.as_bytes()))
                .then(|| format!("{folder}*"))?
        }
    };
    let term = format!("name~{pattern}");
    Term::read(term.as_bytes(), wall_clock()).ok()?;
    Some(format!("use --where {}", quoted(Path::new(&term))))
}

/// Returns the hint with the names that wrong ones probably mean, if each means one.
fn corrected(reader: &Reader, unknown: &[FileName]) -> Option<String> {
    if unknown.len() > CORRECTED {
        return None;
    }
    let meant = unknown.iter().map(|name| similar(reader, name));
    let meant: Vec<FileName> = meant.collect::<Option<_>>()?;
    let meant: Vec<String> = meant.iter().map(|name| quoted(name.as_path())).collect();
    Some(format!("use {}", meant.join(" ")))
}

/// Returns the name that a wrong one probably means. A wrong folder is likelier than a wrong name, and another number is
/// another file.
fn similar(reader: &Reader, wrong: &FileName) -> Option<FileName> {
    let last = FileName::from(Path::new(wrong.as_path().file_name()?));
    let ending = [b"/", last.as_bytes()].concat();
    let mut elsewhere = reader.some_names(&ending, 2).ok()?;
    elsewhere.extend(reader.has(&last).ok()?.then_some(last));
    match elsewhere.as_slice() {
        [only] => return Some(only.clone()),
        [] => {}
        _ => return None,
    }
    let wrong = wrong.as_str().filter(|wrong| !wrong.contains(PATTERN))?;
    let digits = |name: &str| name.bytes().filter(u8::is_ascii_digit).collect::<Vec<_>>();
    let distance = |name: &str| strsim::damerau_levenshtein(wrong, name);
    let names = reader.some_names(b"", SEARCHED).ok()?;
    let near = names.into_iter().filter(|name| {
        let most = 1.max(wrong.len() / 4);
        let text = name.as_str();
        text.is_some_and(|text| digits(text) == digits(wrong) && distance(text) <= most)
    });
    near.min_by_key(|name| name.as_str().map(distance))
}

/// Returns the hint that lists the names like the first wrong one.
fn like(db: &Location, unknown: &[FileName]) -> String {
    let last = unknown.first().and_then(|name| name.as_path().file_name());
    let last = FileName::from(last.map_or(Path::new(""), Path::new));
    // A set of characters is less likely than a name with brackets.
    let last = last.to_string().replace('[', "[[]");
    let like = quoted(Path::new(&format!("name~*{last}*")));
    let export = format!("export --all --format csv --columns file,state --where {like}");
    format!(
        "use the names of the list; {} shows those like it",
        command(db, &export)
    )
}

/// Refuses an empty list with `--forget-unlisted`: the command that makes the list has probably failed.
pub(crate) fn nothing_listed() -> CliError {
    CliError::usage("--forget-unlisted would forget every file, because the list is empty")
        .note("nothing was changed")
        .hint("check the command or the folder that the list comes from")
}
