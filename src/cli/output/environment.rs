//! Reads environment variables. No other module of the command line does.

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::cli::output::shown::stderr;

/// Returns the value of a variable, as bytes.
pub(crate) fn variable(name: &str) -> Option<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "no other module reads it")]
    std::env::var_os(name).map(OsStringExt::into_vec)
}

/// Returns whether a variable is set and not empty.
pub(crate) fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| !value.is_empty())
}

/// Returns the names of all variables with a prefix, without the prefix.
pub(crate) fn names(prefix: &str) -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| Some(name.to_str()?.strip_prefix(prefix)?.to_owned()))
        .collect()
}

/// Returns stride's folder for state (XDG Base Directory Specification).
pub(crate) fn state_folder() -> Option<PathBuf> {
    folder("XDG_STATE_HOME", ".local/state")
}

/// Returns stride's folder for configuration (XDG Base Directory Specification).
pub(crate) fn config_folder() -> Option<PathBuf> {
    folder("XDG_CONFIG_HOME", ".config")
}

fn folder(variable_name: &str, default: &str) -> Option<PathBuf> {
    let folder = match variable(variable_name).filter(|value| value.starts_with(b"/")) {
        Some(value) => PathBuf::from(OsString::from_vec(value)),
        // Without HOME, the system's list of users has the home folder.
        None => std::env::home_dir()?.join(default),
    };
    Some(folder.join("stride"))
}

/// Returns the word that starts this program in the user's shell: `stride`, or, if the PATH does not lead to this program,
/// the path that the user typed, such as `target/debug/stride`.
pub(crate) fn program() -> PathBuf {
    let typed = std::env::args_os().next().map(PathBuf::from);
    let typed = typed.filter(|typed| typed.components().count() > 1);
    match typed {
        Some(typed) if !is_in_path() => typed,
        _ => PathBuf::from(NAME),
    }
}

/// The name of the program.
const NAME: &str = "stride";

/// Returns whether the first program of this name in the PATH is this one.
fn is_in_path() -> bool {
    let path = variable("PATH").map(OsString::from_vec).unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    let own = std::env::current_exe().and_then(|own| own.canonicalize());
    found
        .find_map(|program| program.canonicalize().ok())
        .zip(own.ok())
        .is_some_and(|(found, own)| found == own)
}

/// Returns whether stderr is the journal of systemd, which adds the time to each line (systemd.exec(5)).
pub(crate) fn stderr_is_journal() -> bool {
    let journal = variable("JOURNAL_STREAM");
    let own = rustix::fs::fstat(stderr().as_fd());
    let own = own.map(|file| format!("{}:{}", file.st_dev, file.st_ino));
    own.is_ok_and(|own| journal.is_some_and(|journal| journal == own.as_bytes()))
}
