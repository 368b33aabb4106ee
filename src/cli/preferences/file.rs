//! `stride.toml`: a line for each setting, under its flag's name.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, Command};
use stride::job::{FileName, escaped};
use toml::de::{DeTable, DeValue};

use super::super::error::Problem;
use super::{Origin, Preference, is_other_flag, variable_name};

/// The most that a file may have, in bytes: what is larger is another file than was meant.
const LARGEST: u64 = 64 << 10;

/// What is read from the user's own file alone: files that are written to, commands that are run.
const OWN: [&str; 2] = ["events", "on-finish"];

/// Reads a file. Where there is none, there is nothing in it.
///
/// # Errors
///
/// It cannot be read, is no TOML, or has a key that is no setting.
pub(super) fn read(path: &Path, own: bool, flags: &Command) -> Result<Vec<Preference>, Problem> {
    let Some(text) = content(path)? else {
        return Ok(Vec::new());
    };
    let at = |offset: usize| Origin::Line {
        file: path.to_owned(),
        line: 1 + text[..offset.min(text.len())].matches('\n').count(),
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let place = at(error.span().map_or(0, |span| span.start));
        let said = escaped(error.message().as_bytes());
        problem(&place, &said, "write each setting as in: threads = 4")
    })?;
    let mut found = Vec::new();
    for (key, value) in table.get_ref() {
        let (name, place) = (key.get_ref().as_ref(), at(key.span().start));
        if OWN.contains(&name) && !own {
            return Err(problem(
                &place,
                &format!(
                    "{name} is not read from the file beside a database, which may be from somebody else"
                ),
                &format!(
                    "give --{name}, or set it in your own stride.toml or in STRIDE_{}",
                    variable_name(name)
                ),
            ));
        }
        let mut args = flags.get_arguments();
        let Some(arg) = args.find(|arg| arg.get_long() == Some(name)) else {
            return Err(unknown(&place, name, flags));
        };
        let many = matches!(arg.get_action(), ArgAction::Append);
        let Some(values) = values(value.get_ref(), many) else {
            let (is, hint) = match many {
                true => ("texts in a list", format!("write {name} = [\"…\", \"…\"]")),
                false => ("one value", format!("write {name} = \"…\"")),
            };
            return Err(problem(&place, &format!("{name} has {is}"), &hint));
        };
        found.push(Preference {
            name: name.to_owned(),
            values,
            origin: place,
        });
    }
    Ok(found)
}

/// What a file has in it. A pipe or a device is none.
fn content(path: &Path) -> Result<Option<String>, Problem> {
    let failed = |error: &dyn ToString| {
        Problem::usage(format!("cannot read {}", FileName::from(path)))
            .cause(error.to_string())
            .note("nothing was changed")
            .hint("mend it, or move it away")
    };
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => return Err(failed(&"it is not a file")),
        Ok(meta) if meta.len() > LARGEST => {
            return Err(failed(&format!("it has more than {LARGEST} bytes")));
        }
        Ok(_) => {}
        // What else is wrong with the folder is told by whoever opens the database in it.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(failed(&error)),
        Err(_) => return Ok(None),
    }
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
        .map_err(|error| failed(&error))?;
    Ok(Some(text))
}

/// The texts of a value: one, or several where there may be.
fn values(value: &DeValue<'_>, many: bool) -> Option<Vec<String>> {
    match value {
        DeValue::Array(values) if many => {
            let texts = values.iter().map(|value| text(value.get_ref()));
            texts.collect()
        }
        value => Some(vec![text(value)?]),
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(whether) => Some(whether.to_string()),
        DeValue::Datetime(moment) => Some(moment.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// A key that is no setting.
fn unknown(place: &Origin, name: &str, flags: &Command) -> Problem {
    let shown = escaped(name.as_bytes());
    let said = format!("there is no setting `{shown}`");
    if name == "db" {
        return problem(place, &said, "name the database with --db or STRIDE_DB");
    }
    if is_other_flag(name) {
        let said = format!("`{shown}` is not read from a file");
        let hint = format!(
            "give --{shown} with the command: a request and what is allowed are said each time"
        );
        return problem(place, &said, &hint);
    }
    let error = flags
        .clone()
        .try_get_matches_from([format!("--{name}")])
        .err();
    let similar = error
        .as_ref()
        .and_then(|error| match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-')),
            _ => None,
        });
    match similar {
        Some(similar) => problem(place, &said, &format!("write {similar}")),
        None => {
            let known = flags.get_arguments().filter_map(clap::Arg::get_long);
            let known: Vec<&str> = known.collect();
            problem(
                place,
                &said,
                &format!("the settings are {}", known.join(", ")),
            )
        }
    }
}

fn problem(place: &Origin, said: &str, hint: &str) -> Problem {
    Problem::usage(format!("{place}: {said}"))
        .note("nothing was changed")
        .hint(hint)
}
