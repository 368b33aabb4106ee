//! `stride completions`: what makes a shell complete the commands, their flags and their values.

use std::io::Write;

use clap::{Args as ClapArgs, ColorChoice, ValueEnum};
use clap_complete::Shell;

use super::super::error::Problem;
use super::super::look::printed;
use super::super::shown::data;

/// `stride completions`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Kind,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

/// Prints the script for a shell.
pub(crate) fn completions(args: &Completions) -> Result<u8, Problem> {
    let shell = match args.shell {
        Kind::Bash => Shell::Bash,
        Kind::Zsh => Shell::Zsh,
        Kind::Fish => Shell::Fish,
        Kind::Elvish => Shell::Elvish,
        Kind::Powershell => Shell::PowerShell,
    };
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut super::command(ColorChoice::Never),
        "stride",
        &mut script,
    );
    let mut out = data();
    printed(out.write_all(&script).and_then(|()| out.flush()))
}
