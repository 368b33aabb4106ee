//! The one place where the environment is read.

use std::os::unix::ffi::OsStringExt;

/// The value of a variable, as bytes.
pub(crate) fn variable(name: &str) -> Option<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    std::env::var_os(name).map(OsStringExt::into_vec)
}

/// Whether a variable is set to anything but nothing.
pub(crate) fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| !value.is_empty())
}
