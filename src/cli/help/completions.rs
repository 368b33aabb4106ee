//! `stride completions`.

use std::io::Write;

use clap::ColorChoice;

use crate::cli::args::Completions;
use crate::cli::output::error::{CliError, printed};
use crate::cli::output::shown::data;

/// Prints the completion script for a shell.
pub(crate) fn completions(args: &Completions) -> Result<u8, CliError> {
    let mut script = Vec::new();
    let mut command = super::command(ColorChoice::Never);
    clap_complete::generate(args.shell, &mut command, "stride", &mut script);
    let mut out = data();
    printed(out.write_all(&script).and_then(|()| out.flush()))
}
