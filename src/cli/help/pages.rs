//! `stride man`: the manual pages, one for stride and one for each command.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, ColorChoice, Command};
use clap_mangen::roff::{Inline, Roff, bold, roman};
use stride::job::FileName;

use super::super::error::Problem;
use super::super::exit;
use super::super::look::printed;
use super::super::shown::data;
use super::texts::{EXITS, FILES, PREFERENCES, TEXTS, Text, VARIABLES};

/// `stride man`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The command whose page to print; without it, stride's own
    #[arg(value_name = "COMMAND", value_parser = commands())]
    command: Option<String>,
    /// Write all pages into this folder instead, which is made where it is missing
    #[arg(short = 'o', long, value_name = "DIR", conflicts_with = "command")]
    output: Option<PathBuf>,
}

fn commands() -> PossibleValuesParser {
    let names = TEXTS.iter().map(|text| text.command);
    let names = names.filter(|name| !name.is_empty());
    PossibleValuesParser::new(names)
}

/// Prints a manual page, or writes them all.
pub(crate) fn man(args: &Man) -> Result<u8, Problem> {
    let mut top = super::command(ColorChoice::Never).disable_help_subcommand(true);
    top.build();
    let Some(folder) = &args.output else {
        let name = args.command.as_deref().unwrap_or_default();
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
    for text in TEXTS {
        let end = match text.command {
            "" => String::new(),
            name => format!("-{name}"),
        };
        fs::write(
            folder.join(format!("stride{end}.1")),
            page(top, text.command)?,
        )?;
    }
    Ok(())
}

/// The page of a command; of stride itself where the name is empty.
fn page(top: &Command, name: &str) -> io::Result<Vec<u8>> {
    let command = top.find_subcommand(name).unwrap_or(top);
    let man = clap_mangen::Man::new(command.clone());
    let mut out = Vec::new();
    let title = match name {
        "" => "STRIDE".to_owned(),
        name => format!("STRIDE-{}", name.to_uppercase()),
    };
    let version = env!("CARGO_PKG_VERSION");
    // The parser's own has no place for a date that is left out, and a synopsis of sixty flags.
    writeln!(out, r#".TH {title} 1 "" "stride {version}" "stride""#)?;
    man.render_name_section(&mut out)?;
    synopsis(command).to_writer(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if name.is_empty() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    if let Some(text) = super::text(name) {
        examples(&mut roff, text);
    }
    if command.get_arguments().any(|arg| arg.get_id() == "grace") || name.is_empty() {
        roff.control("SH", ["PREFERENCES"]);
        roff.text([roman(PREFERENCES)]);
    }
    listed(&mut roff, "EXIT STATUS", EXITS);
    listed(&mut roff, "ENVIRONMENT", VARIABLES);
    listed(&mut roff, "FILES", FILES);
    see_also(&mut roff, name);
    roff.to_writer(&mut out)?;
    Ok(out)
}

/// How the command is called, without its flags.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let name = command.get_bin_name().unwrap_or("stride");
    let rest = usage.strip_prefix(name).unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(name), roman(rest)]);
    roff
}

fn examples(roff: &mut Roff, text: &Text) {
    roff.control("SH", ["EXAMPLES"]);
    for (index, (what, example)) in text.examples.iter().enumerate() {
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

fn see_also(roff: &mut Roff, name: &str) {
    let others = TEXTS.iter().map(|text| text.command);
    let others = others
        .filter(|other| *other != name)
        .map(|other| match other {
            "" => "stride".to_owned(),
            other => format!("stride-{other}"),
        });
    let mut line: Vec<Inline> = Vec::new();
    for other in others {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(other), roman("(1)")]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text(line);
}
