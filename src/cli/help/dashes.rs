//! Finds options that are also names of files. A shell expands `*` to all names of a folder, and `-k` among them would
//! silently change the calls.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::{ArgAction, ColorChoice};

use crate::cli::help;
use crate::cli::output::error::{CliError, quoted};

/// The commands that take files rather than names of the run's list, with their aliases.
const COMMANDS: [&str; 4] = ["run", "start", "try", "test"];

/// Refuses an option that is also the name of a file in the current folder. `--` ends the options.
pub(crate) fn check(words: &[OsString]) -> Result<(), CliError> {
    let words = words.get(1..).unwrap_or_default();
    if !words
        .iter()
        .any(|word| COMMANDS.iter().any(|command| word == command))
    {
        return Ok(());
    }
    let options = words.iter().take_while(|word| *word != "--");
    let mut dashed = options.filter(|word| word.len() > 1 && word.as_bytes().starts_with(b"-"));
    let is_file = |word: &&OsString| Path::new(word).symlink_metadata().is_ok();
    let Some(word) = dashed.find(is_file) else {
        return Ok(());
    };
    let name = quoted(Path::new(word));
    let file = quoted(&Path::new(".").join(word));
    let cli_error = CliError::usage(format!(
        "{name} is an option, and also the name of a file in this folder"
    ))
    .note("nothing was changed")
    .hint(format!(
        "to call the file, use {file}, ./* for all files, or -- before the files"
    ));
    Err(match long(word) {
        Some(long) => cli_error.hint(format!("for the option, use --{long}")),
        None => cli_error,
    })
}

/// Returns the long form of a flag of one letter.
fn long(word: &OsString) -> Option<String> {
    let letter = match word.to_str()?.as_bytes() {
        [b'-', letter] => char::from(*letter),
        _ => return None,
    };
    let top = help::command(ColorChoice::Never);
    let run = top.find_subcommand("run")?;
    let mut flags = run.get_arguments();
    let flag = flags.find(|arg| {
        arg.get_short() == Some(letter) && matches!(arg.get_action(), ArgAction::SetTrue)
    })?;
    flag.get_long().map(str::to_owned)
}
