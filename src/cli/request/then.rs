//! Parses the later requests of a job.

use serde_json::Value;

use stride::caller::{Braces, Credential, PlanError, Template};
use stride::curl::{self, ParsedOption, Spec};
use stride::settings::{Call, PollRule, Request, Then, Transport};

use super::file::pasted;
use super::options::{Options, Step};
use super::parsed::{CurlLimits, ParsedCall};
use crate::cli::args::RequestArgs;
use crate::cli::args::then::StepFlag;
use crate::cli::output::error::CliError;

/// The headers that describe a body, which a request without one does not inherit.
const OF_A_BODY: [&str; 6] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-type",
    "expect",
];

/// Adds the requests of `--then` and the origins of `--allow-origin` to a call.
///
/// # Errors
///
/// One of them is invalid, or the call is made by a program.
pub(super) fn add(args: &RequestArgs, parsed: &mut ParsedCall) -> Result<(), CliError> {
    let first_flag = args.then.0.first().map(|(flag, _)| flag.written());
    let origins = args.allow_origin.first();
    let Some(flag) = first_flag.or_else(|| origins.map(|_| "--allow-origin".to_owned())) else {
        return Ok(());
    };
    let Call::Http(request) = &mut parsed.call else {
        return Err(
            CliError::usage(format!("{flag} belongs to an HTTP request"))
                .note("a program makes all requests of its calls itself")
                .hint(format!("leave out {flag}, or use --url or --curl")),
        );
    };
    let first = request.clone();
    for (flag, value) in &args.then.0 {
        if *flag == StepFlag::Then {
            let known = &mut parsed.credentials;
            let (request_of_step, found) = match pasted_step(value)? {
                Some(command) => {
                    let options = options(curl::command(&command)?, Braces::Pasted)?;
                    if options.limits()? != CurlLimits::default() {
                        parsed.notes.push("limits of time and size in a command of --then have no effect: --timeout, --connect-timeout and --max-response are for all requests".to_owned());
                    }
                    parsed.notes.extend(options.without_effect());
                    let (mut request, found) =
                        options.request(Step::Later, known, &mut parsed.notes)?;
                    request.transport = inherited(&first.transport, &request.transport);
                    (request, found)
                }
                None => url_step(value, &first, known, &mut parsed.notes)?,
            };
            known.extend(found);
            request.then.push(Then {
                request: request_of_step,
                poll: None,
            });
            continue;
        }
        add_rule(request.then.last_mut(), *flag, value)?;
    }
    for (number, then) in (2..).zip(&request.then) {
        if then.poll.as_ref().is_some_and(|poll| poll.until.is_empty()) {
            return Err(CliError::usage(format!(
                "--poll-fail of step {number} has no --poll-until"
            ))
            .hint("add --poll-until EXPR, which is true of the answer that ends the step"));
        }
    }
    request.allow_origins = args.allow_origin.clone();
    Ok(())
}

/// Adds an expression to the step before it.
fn add_rule(then: Option<&mut Then>, flag: StepFlag, value: &str) -> Result<(), CliError> {
    let flag_written = flag.written();
    let Some(then) = then else {
        return Err(
            CliError::usage(format!("{flag_written} has no --then before it")).hint(format!(
                "put {flag_written} after the --then whose request is repeated"
            )),
        );
    };
    if value.trim().is_empty() {
        return Err(CliError::usage(format!("{flag_written} is empty"))
            .hint(format!("use {flag_written} '.status == \"done\"'")));
    }
    let poll = then.poll.get_or_insert(PollRule {
        until: String::new(),
        fail: None,
    });
    let is_second = match flag {
        StepFlag::PollFail => poll.fail.replace(value.to_owned()).is_some(),
        _ => !std::mem::replace(&mut poll.until, value.to_owned()).is_empty(),
    };
    match is_second {
        true => Err(
            CliError::usage(format!("one --then has two {flag_written}"))
                .hint("join them with `or` in one expression"),
        ),
        false => Ok(()),
    }
}

/// Returns the curl command of a step, unless the step is a URL.
fn pasted_step(given: &str) -> Result<Option<String>, CliError> {
    let text = match given.starts_with('@') {
        true => pasted(given)?,
        false => given.into(),
    };
    // A URL has white space only in a placeholder.
    let is_url = text.trim_start().starts_with(['{', 'h', 'H']) || !text.trim().contains(' ');
    match is_url {
        true if given.starts_with('@') => Err(CliError::usage(format!(
            "there is no curl command in {}",
            &given[1..]
        ))
        .hint("use --then URL, or a file with a curl command")),
        true => Ok(None),
        false => Ok(Some(text.into_owned())),
    }
}

fn options(given: Vec<ParsedOption>, braces: Braces) -> Result<Options, CliError> {
    let mut options = Options {
        list: Vec::new(),
        braces,
    };
    options.read(given, 0)?;
    Ok(options)
}

/// Returns the request of a step that is given as a URL: GET, with the headers and the transport of the first request.
fn url_step(
    url: &str,
    first: &Request,
    known: &[Credential],
    notes: &mut Vec<String>,
) -> Result<(Request, Vec<Credential>), CliError> {
    let url = url.trim();
    // Braces of a pasted command are lenient, and a slip in a URL would be sent.
    Template::parse(url).map_err(|error| PlanError::Template {
        place: format!("--then {url}"),
        error,
    })?;
    let braces = match first.pasted {
        true => Braces::Pasted,
        false => Braces::Ours,
    };
    let given = |long, value: Option<&str>| -> Result<ParsedOption, CliError> {
        Ok(ParsedOption {
            option: Spec::long(long)?,
            value: value.map(str::to_owned),
            written: "--then".to_owned(),
            is_off: false,
        })
    };
    let options = options(vec![given("url", Some(url))?, given("get", None)?], braces)?;
    let (mut request, found) = options.request(Step::Later, known, notes)?;
    let inherited = first.headers.iter().filter(|header| {
        let is = |name: &&str| header.name.eq_ignore_ascii_case(name);
        let own = &request.headers;
        let is_own = own
            .iter()
            .any(|own| own.name.eq_ignore_ascii_case(&header.name));
        !is_own && !OF_A_BODY.iter().any(is)
    });
    let inherited: Vec<_> = inherited.cloned().collect();
    request.headers.extend(inherited);
    request.transport = first.transport.clone();
    Ok((request, found))
}

/// Returns the transport of a command after the first request: its own options, and for the connection the first one's
/// where it has none. How answers are followed and decoded is its own.
fn inherited(first: &Transport, own: &Transport) -> Transport {
    let fields = |transport: &Transport| serde_json::to_value(transport).unwrap_or_default();
    let mut merged = fields(first);
    // The stored form lacks the fields that have their defaults.
    if let (Value::Object(merged), Value::Object(own)) = (&mut merged, fields(own)) {
        merged.extend(own);
    }
    let merged: Transport = serde_json::from_value(merged).unwrap_or_default();
    Transport {
        insecure: own.insecure,
        uncompressed: own.uncompressed,
        redirects: own.redirects,
        redirect_schemes: own.redirect_schemes.clone(),
        keep_post: own.keep_post.clone(),
        ..merged
    }
}
