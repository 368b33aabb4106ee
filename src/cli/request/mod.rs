//! Parses a request, from stride's own options or a pasted curl command, into the stored form and the credentials that are
//! not stored.

pub(crate) mod consent;
mod credentials;
mod data;
mod file;
mod form;
mod header;
mod json;
mod numbers;
mod options;
mod parsed;
pub(crate) mod plan;
mod pool;
mod program;
mod proxy;
pub(crate) mod results_folder;
mod slips;
mod stored;
mod templates;
mod then;
mod transport;
mod url;
mod withheld;

use std::path::Path;

use stride::caller::Braces;
use stride::curl::{self, CurlError, ParsedOption, Spec};

use crate::cli::args::RequestArgs;
use crate::cli::output::error::CliError;
pub(crate) use credentials::{
    CredentialArgs, GivenAgain, changed_request, lines, parse_credentials,
};
use options::Options;
use parsed::ParsedCall;
pub(crate) use stored::stored;
pub(crate) use templates::{RowUse, templates};

/// Parses the request of `stride run` and `stride try`.
pub(crate) fn parse(args: &RequestArgs) -> Result<ParsedCall, CliError> {
    let mut parsed = match program::call(&args.program, &args.answers)? {
        Some(call) => {
            refuse_options(args)?;
            let mut parsed = ParsedCall::of_program(call);
            parsed
                .notes
                .extend(program::note(&args.program, &args.answers));
            parsed
        }
        None => parse_request(args)?,
    };
    then::add(args, &mut parsed)?;
    let folder = args.answers.output_dir.as_deref();
    // The run's base is not known here.
    let folder = folder.map(|folder| results_folder::stored(folder, Path::new("")));
    parsed.call = parsed.call.with_output_dir(folder.transpose()?);
    Ok(parsed)
}

/// Refuses options of a request beside a program.
fn refuse_options(args: &RequestArgs) -> Result<(), CliError> {
    let (Some(flag), Some(word)) = (args.program.flag(), args.words.0.first()) else {
        return Ok(());
    };
    let written = &word.written;
    Err(CliError::usage(format!(
        "{written} belongs to an HTTP request, and {flag} makes none"
    ))
    .hint(format!("leave out {written}, or use --url without {flag}")))
}

fn parse_request(args: &RequestArgs) -> Result<ParsedCall, CliError> {
    let mut given = match &args.curl {
        Some(command) => curl::command(&file::pasted(command)?)?,
        None => Vec::new(),
    };
    if let Some(url) = &args.url {
        given.push(ParsedOption {
            option: Spec::long("url")?,
            value: Some(url.clone()),
            written: "--url".to_owned(),
            is_off: false,
        });
    }
    given.extend(args.words.0.iter().cloned());
    let mut options = Options {
        list: Vec::new(),
        braces: match args.curl {
            Some(_) => Braces::Pasted,
            None => Braces::Ours,
        },
    };
    options.read(given, 0)?;
    let mut parsed = options.parse()?;
    if let Some(judging) = parsed.call.judging_mut() {
        *judging = args.answers.judging(false);
    }
    Ok(parsed)
}

impl From<CurlError> for CliError {
    fn from(error: CurlError) -> Self {
        Self::usage(error.to_string()).hint(error.hint())
    }
}
