//! `stride try`, and `stride run --dry-run`: requests to look at.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stride::caller::{Caller, Cancel, Credential, HttpPlan, Preview, ResponseHead};
use stride::governor::{Governor, Past};
use stride::input::{self, Item, Source};
use stride::job::{
    Answer, Attempt, AttemptId, Columns, Failure, FileName, IdempotencyKey, Job, JobId, Outcome,
    Position, escaped,
};
use stride::limits::Measure;
use stride::settings::{Call, Request, Settings, show_duration};
use stride::store::Reader;

use crate::cli::args::Try;
use crate::cli::config::Config;
use crate::cli::output::error::Problem;
use crate::cli::output::error::printed;
use crate::cli::output::exit;
use crate::cli::output::format::{counted, grouped};
use crate::cli::output::shown::{data, lines};
use crate::cli::output::terminal::Terminal;
use crate::cli::request::consent::{self, Confirmed, Scope, Use};
use crate::cli::request::plan::plan;
use crate::cli::request::{CredentialArgs, parse, parse_credentials};
use crate::cli::secrets::references::references;

/// How much of a request's body is shown, in bytes.
const SHOWN: usize = 4096;

/// What a run would be.
pub(crate) struct Prospect<'p> {
    pub(crate) plan: &'p HttpPlan,
    pub(crate) settings: &'p Settings,
    pub(crate) sources: &'p [Source],
    /// stride's own files, which are no input.
    pub(crate) own: &'p [PathBuf],
    /// The folder against which names resolve.
    pub(crate) base: &'p Path,
}

/// Says what a run would do: how many files, the first request, how fast. Nothing is called or made.
pub(crate) fn dry_run(prospect: &Prospect<'_>, terminal: &Terminal) -> Result<u8, Problem> {
    let (mut names, mut first) = (HashSet::new(), None);
    let (mut bytes, mut missing) = (0, 0);
    input::names(prospect.sources, prospect.own, &mut |item: Item| {
        let mut hash = DefaultHasher::new();
        item.name.hash(&mut hash);
        if !names.insert(hash.finish()) {
            return Ok::<_, Problem>(());
        }
        match std::fs::metadata(prospect.base.join(item.name.as_path())) {
            Ok(meta) => bytes += meta.len(),
            Err(_) => missing += 1,
        }
        if first.is_none() {
            first = Some(item);
        }
        Ok(())
    })?;
    let files = names.len() as u64;
    let mut out = vec![format!("files: {}", grouped(files))];
    out.push(format!("total size: {}", counted(bytes, "byte")));
    if missing > 0 {
        out.push(format!("not there: {}", counted(missing, "file")));
    }
    out.push(format!("threads: {}", prospect.settings.threads));
    out.push(format!("rate: {}", prospect.settings.rates));
    out.push(match earliest_finish(prospect.settings, files, bytes) {
        Some(time) => format!("earliest finish: {} after the start", show_duration(time)),
        None => {
            "earliest finish: unknown, for there is no rate; it is the service's pace".to_owned()
        }
    });
    if let Some(proxy) = prospect.plan.proxy() {
        out.push(format!("proxy: {proxy}"));
    }
    if let Some(item) = first {
        let job = job(item, prospect.base)?;
        out.push(format!("first request, for {}:", job.path));
        match prospect.plan.preview(&job, &attempt(), SHOWN) {
            Ok(preview) => out.extend(told(&preview, "an own one for each call")),
            Err(outcome) => out.push(format!("  none: {}", refused(&outcome))),
        }
    }
    terminal.say("dry run: nothing was called, and nothing was made");
    printed(lines(out))
}

/// How long the rates make a run take at least. `None` where there are none.
fn earliest_finish(settings: &Settings, files: u64, bytes: u64) -> Option<Duration> {
    if settings.rates.windows.is_empty() {
        return None;
    }
    let weight = settings.weight.map_or(0, |weight| weight.of(bytes));
    let others = settings.rates.windows.iter().filter_map(|rate| {
        let amount = match rate.measure() {
            Measure::Calls => return None,
            Measure::Bytes => bytes,
            Measure::Weight => weight,
        };
        Some(rate.interval().mul_f64(amount as f64))
    });
    let governor = Governor::new(settings.rules(), &Past::default(), Duration::ZERO);
    others.chain([governor.finish(files, Duration::ZERO)]).max()
}

/// `stride try`: calls one file and shows everything about it.
pub(crate) fn attempt_one(
    db: &Path,
    args: &Try,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, Problem> {
    let (request, credentials, base, settings) = subject(db, args)?;
    let settings = config.resolve(&args.settings, &[], &settings)?;
    let settings = settings.announce(terminal);
    let plan = plan(&request, &settings, &credentials, args.once, &base)?;
    let name = FileName::from(args.file.as_path());
    let columns = None;
    let job = job(Item { name, columns }, &base)?;
    let attempt = attempt();
    if let Some(proxy) = plan.proxy() {
        terminal.say(&format!("proxy: {}", escaped(proxy.as_bytes())));
    }
    let preview = plan.preview(&job, &attempt, SHOWN);
    let preview = preview.map_err(|outcome| {
        let reason = escaped(refused(&outcome).as_bytes());
        Problem::new(exit::INCOMPLETE, format!("{}: {reason}", job.path))
            .note("nothing was called")
            .hint("mend that, or name another file")
    })?;
    for line in told(&preview, &attempt.key.to_string()) {
        terminal.say(&line);
    }
    let mut caller = plan.caller()?.watched();
    let cancel = Cancel::new();
    let began = std::time::Instant::now();
    let outcome = caller.call(&job, &attempt, &cancel);
    let took = began.elapsed();
    if let Some(ResponseHead {
        version,
        status,
        headers,
    }) = caller.seen()
    {
        terminal.say(&format!("< {version} {status}"));
        for (name, value) in headers {
            terminal.say(&format!("< {name}: {}", escaped(value.as_bytes())));
        }
        terminal.say("<");
    }
    terminal.say(&format!(
        "took {} ms; nothing was recorded",
        took.as_millis()
    ));
    shown(&outcome, terminal)
}

/// The request, its credentials, the folder and the settings: as they are given, or those of the run there is.
fn subject(
    db: &Path,
    args: &Try,
) -> Result<(Request, Vec<Credential>, PathBuf, Settings), Problem> {
    let here = std::env::current_dir().map_err(|error| Problem::of(exit::ERROR, &error))?;
    if args.asks.url.is_some() || args.asks.curl.is_some() {
        if !args.credential.is_empty() {
            return Err(
                Problem::usage("--credential is for a request that a run has stored")
                    .hint("write the value into the request"),
            );
        }
        let parsed = parse(&args.asks)?;
        return Ok((
            parsed.request,
            parsed.credentials,
            here,
            Settings::default(),
        ));
    }
    if db.symlink_metadata().is_err() {
        return Err(Problem::usage("there is nothing to call")
            .hint("name the service with --url, or paste a command with --curl; without either it is the run's own request"));
    }
    let info = Reader::open(db)?.info()?;
    let words = |long: &str| {
        let given = args.asks.words.0.iter();
        given
            .filter(|word| word.option.long == long)
            .map(|word| word.value().to_owned())
            .collect::<Vec<_>>()
    };
    let known = ["header", "user", "proxy-user"];
    if let Some(word) = args
        .asks
        .words
        .0
        .iter()
        .find(|word| !known.contains(&word.option.long))
    {
        return Err(
            Problem::usage(format!("{} changes the run's request", word.written))
                .hint("give the whole request, --url too"),
        );
    }
    let (headers, users, proxy_users) = (words("header"), words("user"), words("proxy-user"));
    let again = CredentialArgs {
        headers: &headers,
        credentials: &args.credential,
        user: users.last(),
        proxy_user: proxy_users.last(),
    };
    let lookup = references(&info.base);
    let credentials = parse_credentials(&again, &info.call, &lookup)?;
    match info.call {
        Call::Http(request) => {
            let confirmed = Confirmed {
                commands: args.once.allow_commands,
                references: args.once.allow_references,
                folder: None,
            };
            // The file is given here, and nothing is written.
            let mut uses = consent::uses(&request);
            uses.retain(|used| !matches!(used, Use::Folder(_)));
            let (base, one) = (&info.base, Scope::OneCall);
            consent::check(db, &request, base, one, || Ok(uses), confirmed)?;
            Ok((*request, credentials, here, info.settings))
        }
        Call::Program { .. } => Err(Problem::usage(
            "this run's calls are made by a program of its own",
        )),
    }
}

fn job(item: Item, base: &Path) -> Result<Job, Problem> {
    let columns = item.columns.as_deref().map(Columns::read).transpose();
    Ok(Job {
        id: JobId(1),
        position: Position(0),
        file: base.join(item.name.as_path()),
        path: item.name,
        columns: columns
            .map_err(|error| Problem::of(exit::INTERNAL, &error))?
            .unwrap_or_default(),
    })
}

/// An attempt of no run: its key is nobody else's.
fn attempt() -> Attempt {
    let mut run = [0; 16];
    // Without chance it is a key that was perhaps used before, by another trial.
    let _ = getrandom::fill(&mut run);
    let job = JobId(1);
    Attempt {
        id: AttemptId { job, number: 1 },
        key: IdempotencyKey::derive(&run, job, 0),
        repeat: false,
    }
}

/// A request, a line each.
fn told(preview: &Preview, key: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "> {} {}",
        preview.method,
        escaped(preview.url.as_bytes())
    )];
    for (name, value) in &preview.headers {
        let value = match name.as_str() {
            "idempotency-key" => key,
            _ => value,
        };
        lines.push(format!("> {name}: {}", escaped(value.as_bytes())));
    }
    lines.push(">".to_owned());
    let Some(length) = preview.length else {
        return lines;
    };
    match std::str::from_utf8(cut(&preview.body)) {
        Ok(text) => {
            let text = text.strip_suffix('\n').unwrap_or(text);
            let shown = text.split('\n').map(|line| {
                format!(
                    "> {}",
                    escaped(line.strip_suffix('\r').unwrap_or(line).as_bytes())
                )
            });
            lines.extend(shown);
            // Where secrets are masked, what is shown may be shorter than all there is.
            if length > SHOWN as u64 {
                lines.push(format!("> … ({length} bytes in all)"));
            }
        }
        Err(_) => lines.push(format!("> ({length} bytes that are not text)")),
    }
    lines
}

/// The bytes without the beginning of a character at their end.
fn cut(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

fn refused(outcome: &Outcome) -> String {
    outcome.failure().map_or_else(
        || "the request cannot be made".to_owned(),
        |failure| failure.message.clone(),
    )
}

/// Shows what a call came to: the answer's body on stdout, the verdict on stderr.
fn shown(outcome: &Outcome, terminal: &Terminal) -> Result<u8, Problem> {
    let (body, verdict, code) = match outcome {
        Outcome::Succeeded(Answer { body, .. }) => {
            let verdict = "this would be recorded as the file's result".to_owned();
            let body = body
                .bytes()
                .map_err(|error| Problem::of(exit::ERROR, &error))?;
            (body, verdict, exit::DONE)
        }
        Outcome::Interrupted => (Cow::default(), "interrupted".to_owned(), exit::ERROR),
        outcome => {
            let failure = outcome.failure();
            let body = failure.map(|failure: &Failure| Cow::from(&failure.body));
            let class = failure.map_or("", |failure| failure.class.as_str());
            let verdict = format!(
                "{}: {} ({class})",
                outcome.as_str(),
                escaped(refused(outcome).as_bytes())
            );
            (body.unwrap_or_default(), verdict, exit::INCOMPLETE)
        }
    };
    let mut stdout = data();
    let ends = body.last().is_none_or(|byte| *byte == b'\n');
    let newline: &[u8] = if ends { b"" } else { b"\n" };
    printed(
        stdout
            .write_all(&body)
            .and_then(|()| stdout.write_all(newline))
            .and_then(|()| stdout.flush()),
    )?;
    terminal.say(&verdict);
    Ok(code)
}
