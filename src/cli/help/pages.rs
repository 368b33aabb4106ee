//! `stride man`: the manual pages, one for stride and one for each command.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{ColorChoice, Command};
use clap_mangen::roff::{Roff, bold, roman};
use stride::job::FileName;

use crate::cli::args::Man;
use crate::cli::args::examples::{EXAMPLES, EXITS, Example, FILES, PREFERENCES, VARIABLES};
use crate::cli::output::error::Problem;
use crate::cli::output::error::printed;
use crate::cli::output::exit;
use crate::cli::output::shown::data;

/// The name of the page about stride itself.
const STRIDE: &str = "stride";

/// Prints a manual page, or writes them all.
pub(crate) fn man(args: &Man) -> Result<u8, Problem> {
    let mut top = crate::cli::help::command(ColorChoice::Never).disable_help_subcommand(true);
    top.build();
    let Some(folder) = &args.output else {
        let name = args.command.as_deref().unwrap_or(STRIDE);
        let page = page(&top, name).map_err(|error| Problem::of(exit::ERROR, &error))?;
        let mut out = data();
        return printed(out.write_all(&page).and_then(|()| out.flush()));
    };
    write_all(&top, folder).map_err(|error| {
        let name = FileName::from(folder.as_path());
        Problem::new(
            exit::ERROR,
            format!("cannot write the manual pages to {name}"),
        )
        .cause(error.to_string())
        .hint("give a folder that can be written to, with -o DIR")
    })?;
    Ok(exit::DONE)
}

fn write_all(top: &Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, _) in EXAMPLES {
        let file = format!("{}.1", full(name));
        fs::write(folder.join(file), page(top, name)?)?;
    }
    Ok(())
}

/// The name of a page: `stride` or `stride-run`.
fn full(name: &str) -> String {
    match name {
        STRIDE => name.to_owned(),
        name => format!("{STRIDE}-{name}"),
    }
}

/// Returns the page of a command, or of stride itself.
fn page(top: &Command, name: &str) -> io::Result<Vec<u8>> {
    let command = top.find_subcommand(name).unwrap_or(top);
    let man = clap_mangen::Man::new(command.clone());
    let mut out = Vec::new();
    let title = full(name).to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    // clap_mangen cannot leave out the date, and its synopsis lists all sixty flags.
    writeln!(out, r#".TH {title} 1 "" "stride {version}" "stride""#)?;
    man.render_name_section(&mut out)?;
    synopsis(command).to_writer(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if name == STRIDE {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    examples(&mut roff, crate::cli::help::examples(name));
    if crate::cli::help::remembers(command) || name == STRIDE {
        roff.control("SH", ["PREFERENCES"]);
        roff.text([roman(PREFERENCES)]);
    }
    listed(&mut roff, "EXIT STATUS", EXITS);
    listed(&mut roff, "ENVIRONMENT", VARIABLES);
    listed(&mut roff, "FILES", FILES);
    if name != STRIDE {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold(STRIDE), roman("(1)")]);
    }
    roff.to_writer(&mut out)?;
    Ok(out)
}

/// How the command is called, without its flags.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let name = command.get_bin_name().unwrap_or(STRIDE);
    let rest = usage.strip_prefix(name).unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(name), roman(rest)]);
    roff
}

fn examples(roff: &mut Roff, examples: &[Example]) {
    roff.control("SH", ["EXAMPLES"]);
    for (index, (what, example)) in examples.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(format!("{what}:"))]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        for line in example.lines() {
            roff.text([bold(line)]);
        }
        roff.control("fi", []);
        roff.control("RE", []);
    }
}

fn listed(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (name, what) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*what)]);
    }
}
