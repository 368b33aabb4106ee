//! The one place where the environment is read.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The value of a variable, as bytes.
pub(crate) fn variable(name: &str) -> Option<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    std::env::var_os(name).map(OsStringExt::into_vec)
}

/// Whether a variable is set to anything but nothing.
pub(crate) fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| !value.is_empty())
}

/// The names of all variables that begin so, without this beginning.
pub(crate) fn names(beginning: &str) -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| Some(name.to_str()?.strip_prefix(beginning)?.to_owned()))
        .collect()
}

/// Where the user's programs keep what is to outlive them (XDG Base Directory Specification), for this one.
pub(crate) fn state_folder() -> Option<PathBuf> {
    folder("XDG_STATE_HOME", ".local/state")
}

/// Where the user's programs are told what the user prefers (XDG Base Directory Specification), for this one.
pub(crate) fn config_folder() -> Option<PathBuf> {
    folder("XDG_CONFIG_HOME", ".config")
}

fn folder(name: &str, usual: &str) -> Option<PathBuf> {
    let folder = variable(name).filter(|value| value.starts_with(b"/"));
    let folder = match folder {
        Some(value) => PathBuf::from(OsString::from_vec(value)),
        // The user's own folder is known without HOME too.
        None => std::env::home_dir()?.join(usual),
    };
    Some(folder.join("stride"))
}
