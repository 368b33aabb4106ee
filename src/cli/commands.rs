//! Commands that a request refers to, `{cmd:COMMAND}`, are run only where the user has given them on a command line:
//! a database may come from somebody else.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use stride::caller::Reference;
use stride::job::{Checksum, escaped};
use stride::settings::Request;

use super::environment::state_folder;
use super::error::Problem;
use super::request::templates;

/// Remembers the commands of a request that the user has just given, so that `resume` may run them.
pub(crate) fn remember(request: &Request) {
    // Where that cannot be written down, `resume` asks.
    let _ = note(&given(request));
}

/// Refuses to run commands that nobody has given on this machine.
pub(crate) fn check(request: &Request, allowed: bool) -> Result<(), Problem> {
    let known = place().and_then(|path| fs::read_to_string(path).ok());
    let known = known.unwrap_or_default();
    let is_known = |command: &&String| known.lines().any(|line| line == mark(command));
    let commands = given(request);
    match commands.iter().find(|command| !is_known(command)) {
        Some(command) if !allowed => Err(Problem::usage(
            "this run would run a command that was not given by you on this machine",
        )
        .cause(format!("its request has {{cmd:{}}}", escaped(command.as_bytes())))
        .note("nothing was run, and nothing was called; a database from somebody else can hold any command")
        .hint("add --allow-commands if the command is yours, or give the whole `stride run …` again")),
        _ => {
            remember(request);
            Ok(())
        }
    }
}

/// The commands of a request.
fn given(request: &Request) -> Vec<String> {
    let mut commands = Vec::new();
    for template in templates(request) {
        for reference in template.references() {
            if let Reference::Cmd(command) = reference
                && !commands.contains(command)
            {
                commands.push(command.clone());
            }
        }
    }
    commands
}

/// What is written down of a command: not the command itself, which others need not see.
fn mark(command: &str) -> String {
    Checksum::of(command.as_bytes()).to_string()
}

/// Where commands are remembered (XDG Base Directory Specification, `XDG_STATE_HOME`).
fn place() -> Option<PathBuf> {
    Some(state_folder()?.join("commands"))
}

fn note(commands: &[String]) -> io::Result<()> {
    let Some(path) = place().filter(|_| !commands.is_empty()) else {
        return Ok(());
    };
    let known = fs::read_to_string(&path).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)?;
    for command in commands {
        let mark = mark(command);
        if !known.lines().any(|line| line == mark) {
            file.write_all(format!("{mark}\n").as_bytes())?;
        }
    }
    Ok(())
}
