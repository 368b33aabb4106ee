//! Looks for the program of a command.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::CommandError;

/// Checks that a program is an executable file: by its path, or in one of `folders`, as `execvp` looks for it.
pub(super) fn check_program(
    program: &str,
    base: &Path,
    folders: Option<&OsStr>,
) -> Result<(), CommandError> {
    let is_executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let refused = |reason| CommandError::Program {
        program: program.to_owned(),
        reason,
    };
    if program.contains('/') {
        let path = base.join(program);
        return match path.exists() {
            true if is_executable(&path) => Ok(()),
            true => Err(refused("it is not executable")),
            false => Err(refused("there is no such file")),
        };
    }
    let Some(folders) = folders else {
        return Ok(());
    };
    let mut folders = std::env::split_paths(folders);
    match folders.any(|folder| is_executable(&base.join(folder).join(program))) {
        true => Ok(()),
        false => Err(refused("no folder of PATH has it")),
    }
}
