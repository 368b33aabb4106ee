//! `stride man`: the manual pages, one for stride and one for each command.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{self, ExitStatus, Stdio};

use clap::{ColorChoice, Command};
use clap_mangen::roff::{Roff, bold, roman};
use stride::job::FileName;

use crate::cli::args::Man;
use crate::cli::args::examples::{EXAMPLES, EXITS, FILES, PREFERENCES, VARIABLES};
use crate::cli::output::error::{CliError, printed};
use crate::cli::output::exit;
use crate::cli::output::shown::{self, data, is_terminal};

/// The name of the page about stride itself.
const STRIDE: &str = "stride";

/// Prints a manual page, or writes all of them.
pub(crate) fn man(args: &Man) -> Result<u8, CliError> {
    let mut top = super::command(ColorChoice::Never).disable_help_subcommand(true);
    top.build();
    let Some(folder) = &args.output else {
        let name = args.command.as_deref().unwrap_or(STRIDE);
        let page = page(&top, name).map_err(|error| CliError::of(exit::ERROR, &error))?;
        if is_terminal() {
            return read(&top, name, &page);
        }
        let mut out = data();
        return printed(out.write_all(&page).and_then(|()| out.flush()));
    };
    write_all(&top, folder).map_err(|error| {
        let name = FileName::from(folder.as_path());
        let message = format!("cannot write the manual pages to {name}");
        CliError::new(exit::ERROR, message)
            .cause(error.to_string())
            .hint("use a folder that you can write to, with -o DIR")
    })?;
    Ok(exit::DONE)
}

/// Shows a page on a terminal: as `man` formats it, or, without `man`, the text of the long help.
fn read(top: &Command, name: &str, page: &[u8]) -> Result<u8, CliError> {
    if format_page(page).is_ok_and(|status| status.success()) {
        return Ok(exit::DONE);
    }
    let mut command = top.find_subcommand(name).unwrap_or(top).clone();
    printed(shown::lines(command.render_long_help().to_string().lines()))
}

fn format_page(page: &[u8]) -> io::Result<ExitStatus> {
    let mut man = process::Command::new("man")
        .args(["-l", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = man.stdin.take() {
        // A reader may quit at the first screen.
        let _ = stdin.write_all(page);
    }
    man.wait()
}

fn write_all(top: &Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    EXAMPLES.iter().try_for_each(|(name, _)| {
        let file = format!("{}.1", full(name));
        fs::write(folder.join(file), page(top, name)?)
    })
}

/// Returns the name of a page: `stride` or `stride-run`.
fn full(name: &str) -> String {
    match name {
        STRIDE => name.to_owned(),
        name => format!("{STRIDE}-{name}"),
    }
}

/// Returns the page of a command, or of stride itself.
fn page(top: &Command, name: &str) -> io::Result<Vec<u8>> {
    let command = top.find_subcommand(name).unwrap_or(top);
    let man = clap_mangen::Man::new(command.clone())
        .title(full(name).to_uppercase())
        .source(format!("stride {}", env!("CARGO_PKG_VERSION")))
        .manual(STRIDE);
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    // clap_mangen's own synopsis lists every flag.
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(usage.trim_start_matches("Usage: "))]);
    roff.to_writer(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if name == STRIDE {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    for line in super::examples(name).lines() {
        roff.text([match line.starts_with('#') {
            true => roman(line),
            false => bold(line),
        }]);
    }
    roff.control("fi", []);
    if super::has_settings(command) || name == STRIDE {
        roff.control("SH", ["PREFERENCES"]);
        roff.text([roman(PREFERENCES)]);
    }
    list(&mut roff, "EXIT STATUS", EXITS);
    list(&mut roff, "ENVIRONMENT", VARIABLES);
    list(&mut roff, "FILES", FILES);
    if name != STRIDE {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold(STRIDE), roman("(1)")]);
    }
    roff.to_writer(&mut out)?;
    Ok(out)
}

fn list(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (name, text) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*text)]);
    }
}
