//! `stride completions`: what makes a shell complete the commands, their flags and their values.

use std::io::Write;

use clap::ColorChoice;
use clap_complete::Shell as Generator;

use crate::cli::args::{Completions, Shell};
use crate::cli::output::error::{Problem, printed};
use crate::cli::output::shown::data;

/// Prints the script for a shell.
pub(crate) fn completions(args: &Completions) -> Result<u8, Problem> {
    let shell = match args.shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
        Shell::Elvish => Generator::Elvish,
        Shell::Powershell => Generator::PowerShell,
    };
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut crate::cli::help::command(ColorChoice::Never),
        "stride",
        &mut script,
    );
    let mut out = data();
    printed(out.write_all(&script).and_then(|()| out.flush()))
}
