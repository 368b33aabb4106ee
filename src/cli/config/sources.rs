//! Reads `STRIDE_` variables and the user's `stride.toml`.

use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt as _;

use clap::{Arg, Command};
use stride::job::{FileName, escaped};
use toml::de::{DeTable, DeValue};

use crate::cli::output::environment::{config_folder, names, variable};
use crate::cli::output::error::CliError;
use crate::cli::output::named;

/// The largest `stride.toml` that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// A setting in a variable or a file.
#[derive(Debug)]
pub(super) struct Entry {
    /// The flag's name.
    pub(super) name: String,
    /// The values, as for the flag.
    pub(super) values: Vec<String>,
    /// The name of the variable, or the file and the line.
    origin: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(", ");
        let values = escaped(values.as_bytes());
        write!(f, "{} = {values} ({})", self.name, self.origin)
    }
}

fn names_of(flags: &Command) -> impl Iterator<Item = &str> {
    flags.get_arguments().filter_map(Arg::get_long)
}

/// Returns the name of a flag's variable without the common prefix.
fn variable_name(flag: &str) -> String {
    flag.to_uppercase().replace('-', "_")
}

/// Reads the variables that have a value. An empty `STRIDE_ON_FINISH` counts, too: it turns the file's command off.
pub(super) fn variables(flags: &Command) -> Result<Vec<Entry>, CliError> {
    let set = names_of(flags).filter_map(|name| {
        let origin = format!("STRIDE_{}", variable_name(name));
        let value = variable(&origin).filter(|value| !value.is_empty() || name == "on-finish")?;
        Some((name, origin, value))
    });
    let entries = set.map(|(name, origin, value)| {
        let text = OsString::from_vec(value).into_string();
        let text = text.map_err(|_| wrong(format!("{origin} is not UTF-8")))?;
        let values = match name {
            "rate" => text.split(',').map(|rate| rate.trim().to_owned()).collect(),
            "class" => text.lines().map(str::to_owned).collect(),
            _ => vec![text],
        };
        Ok(Entry {
            name: name.to_owned(),
            values,
            origin,
        })
    });
    entries.collect()
}

/// Returns a warning for each variable whose name differs by one letter from that of a setting. Other programs may use
/// other variables with the prefix.
pub(super) fn misspelt(flags: &Command) -> Vec<String> {
    let known: Vec<String> = names_of(flags).chain(["db"]).map(variable_name).collect();
    let unknown = names("STRIDE_").into_iter();
    unknown
        .filter(|name| !known.contains(name))
        .filter_map(|name| {
            let near = |known: &&String| strsim::damerau_levenshtein(&name, known) == 1;
            let similar = known.iter().find(near)?;
            let name = escaped(name.as_bytes());
            Some(format!(
                "STRIDE_{name} is ignored; did you mean STRIDE_{similar}?"
            ))
        })
        .collect()
}

/// Reads the settings of the user's file, if it exists.
pub(super) fn file(flags: &Command) -> Result<Vec<Entry>, CliError> {
    let Some(path) = config_folder().map(|folder| folder.join("stride.toml")) else {
        return Ok(Vec::new());
    };
    let shown = FileName::from(path.as_path());
    let text = match named::read_text(&path, LARGEST) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(wrong(format!("cannot read {shown}: {error}"))),
    };
    let at = |offset: usize| {
        let line = 1 + text[..offset.min(text.len())].matches('\n').count();
        format!("{shown}, line {line}")
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let place = at(error.span().map_or(0, |span| span.start));
        let reason = escaped(error.message().as_bytes());
        wrong(format!("{place}: {reason}"))
    })?;
    let entries = table.get_ref().iter().map(|(key, value)| {
        let (name, origin) = (key.get_ref().as_ref(), at(key.span().start));
        if names_of(flags).all(|known| known != name) {
            return Err(unknown(&origin, name, flags));
        }
        let Some(values) = texts(value.get_ref()) else {
            return Err(wrong(format!(
                "{origin}: {name} is neither a value nor a list of values"
            )));
        };
        Ok(Entry {
            name: name.to_owned(),
            values,
            origin,
        })
    });
    entries.collect()
}

/// Refuses a name that is not a setting. A file cannot set requests and permissions.
fn unknown(origin: &str, name: &str, flags: &Command) -> CliError {
    let near = names_of(flags).min_by_key(|known| strsim::damerau_levenshtein(name, known));
    let near = near.filter(|known| strsim::damerau_levenshtein(name, known) <= 2);
    let hint = match near {
        Some(near) => format!("use {near}"),
        None => {
            let known: Vec<&str> = names_of(flags).collect();
            format!("use one of {}", known.join(", "))
        }
    };
    let name = escaped(name.as_bytes());
    CliError::usage(format!("{origin}: unknown setting `{name}`"))
        .note("nothing was changed")
        .hint(hint)
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| text(value.get_ref())).collect(),
        value => Some(vec![text(value)?]),
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(moment) => Some(moment.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Returns the error of an invalid configuration.
pub(super) fn wrong(reason: impl Into<String>) -> CliError {
    CliError::usage(reason)
        .note("nothing was changed")
        .hint("correct it there, or remove it")
}
