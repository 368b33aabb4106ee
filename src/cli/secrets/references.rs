//! Looks up references: environment variables, files, commands and `.netrc`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use stride::bounded::{Patience, Wait, read_from};
use stride::caller::{Credential, Lookup, Reference};
use stride::job::{FileName, escaped};

use crate::cli::output::environment::variable;
use crate::cli::output::named;
use crate::cli::output::screen;
use crate::cli::output::shown::Line;
use crate::cli::secrets::netrc;

/// The largest secret, in bytes. A larger file is probably a mistake.
const LARGEST: u64 = 64 << 10;

/// Returns the function that looks up references. Paths and commands start in the folder in which the run was made.
pub(crate) fn references(base: &Path) -> Lookup {
    let base = base.to_owned();
    Arc::new(move |reference| match reference {
        Reference::Env(name) => {
            variable(name).ok_or_else(|| format!("the environment variable {name} is not set"))
        }
        Reference::File(path) => named::read(base.join(path), LARGEST)
            .map(value)
            .map_err(|error| format!("the file cannot be read: {error}")),
        Reference::Cmd(command) => run_command(command, &base),
        Reference::Netrc(host) => netrc_credential(host),
        Reference::Pool(_) => Err("no pool is given".to_owned()),
        Reference::Given(_) => Err("it was typed into the request and is not stored".to_owned()),
    })
}

/// Returns the Basic credential of a host from the file that `NETRC` names, or from `.netrc` in the home folder.
fn netrc_credential(host: &str) -> Result<Vec<u8>, String> {
    let path = match (variable("NETRC"), variable("HOME")) {
        (Some(file), _) => PathBuf::from(OsString::from_vec(file)),
        (None, Some(home)) => Path::new(&OsString::from_vec(home)).join(".netrc"),
        (None, None) => return Err("neither NETRC nor HOME is set".to_owned()),
    };
    let file = FileName::from(path.as_path());
    let text =
        named::read(&path, LARGEST).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let (name, password) = netrc::find(&String::from_utf8_lossy(&text), host)
        .ok_or_else(|| format!("{file} has no password for {host}"))?;
    Ok(Credential::basic(format!("{name}:{password}").as_bytes()).into_bytes())
}

/// Runs a command and returns its stdout. It shares stride's stderr. A timeout kills it.
fn run_command(command: &str, folder: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("the command cannot be run: {error}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let shown = escaped(command.as_bytes());
    let say = || {
        let words = format!("waiting for the command of {{cmd:{shown}}} to end");
        screen::say(&Line::new(&words, false));
    };
    let mut wait = Wait::begin(Patience::USUAL, &say);
    let printed = match child.stdout.take() {
        Some(stdout) => read_from(stdout, LARGEST, &mut wait),
        None => Ok(Vec::new()),
    };
    let ended = printed.and_then(|printed| Ok((printed, end(&mut child, &mut wait)?)));
    let (printed, status) = ended.map_err(|error| {
        // Ignore failure: the command may have ended by itself. Its stdout is closed by now, so children that still print
        // end too.
        let _ = child.kill();
        let _ = child.wait();
        format!("the output of the command cannot be used: {error}")
    })?;
    if status.success() {
        Ok(value(printed))
    } else {
        Err(format!("the command failed: {status}"))
    }
}

/// Waits for the end of a command after its output.
fn end(child: &mut Child, wait: &mut Wait<'_>) -> io::Result<ExitStatus> {
    // Linux before 5.3 has no such descriptor.
    if let Ok(ends) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        wait.until_ready(&ends)?;
    }
    child.wait()
}

/// Removes one newline at the end of a secret.
fn value(mut value: Vec<u8>) -> Vec<u8> {
    if value.ends_with(b"\n") {
        value.pop();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_a_command_give_their_text_without_one_newline() {
        let folder = tempfile::tempdir().unwrap();
        let lookup = references(folder.path());
        let file = |text: &str| {
            std::fs::write(folder.path().join("key"), text).unwrap();
            lookup(&Reference::File("key".into()))
        };
        assert_eq!(file("sesame\n").unwrap(), b"sesame");
        assert_eq!(file("sesame\n\n").unwrap(), b"sesame\n");
        assert_eq!(file("").unwrap(), b"");
        assert!(file(&"x".repeat(LARGEST as usize + 1)).is_err());
        file("sesame\n").unwrap();
        let command = |text: &str| lookup(&Reference::Cmd(text.to_owned()));
        assert_eq!(command("cat key | tr s S").unwrap(), b"SeSame");
        let error = command("cat key; exit 3").unwrap_err();
        assert!(error.contains('3') && !error.contains("sesame"), "{error}");
        assert!(command("yes sesame").unwrap_err().contains("larger"));
        assert!(lookup(&Reference::File("none".into())).is_err());
        assert!(lookup(&Reference::Env("STRIDE_NO_SUCH".to_owned())).is_err());
    }
}
