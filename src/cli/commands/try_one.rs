//! `stride try`, which makes the calls of one file and records nothing.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use stride::caller::{Credential, Plan};
use stride::export::check_list_columns;
use stride::input::Item;
use stride::job::{
    Answer, Attempt, AttemptId, Columns, FileName, IdempotencyKey, Job, JobId, Outcome, Position,
    Step, StepAnswer, escaped,
};
use stride::retry::{Next, Record};
use stride::settings::{Call, Settings, show_duration};
use stride::store::{Location, Reader};

use crate::cli::args::Try;
use crate::cli::commands::call_lines::{answer_lines, call_lines, head_lines, message};
use crate::cli::config::Config;
use crate::cli::output::error::{CliError, made_by, printed};
use crate::cli::output::exit;
use crate::cli::output::format::counted;
use crate::cli::output::shown::{bold, data};
use crate::cli::output::terminal::Terminal;
use crate::cli::request::consent::{self, Confirmed, Scope, Use};
use crate::cli::request::plan::plan;
use crate::cli::request::{CredentialArgs, GivenAgain, RowUse, parse, parse_credentials};
use crate::cli::secrets::references::references;
use crate::cli::session::estimate::{self, Spent};
use crate::cli::session::files::current_folder;
use crate::cli::session::intake::without_row;
use crate::cli::session::list::{listed_names, refuse_urls};
use crate::cli::session::worker;

/// `stride try`: makes the call for one file. Prints the request, the response head, the duration, the body and the
/// verdict.
pub(crate) fn try_one(
    db: &Location,
    mut args: Try,
    config: &Config,
    terminal: &Terminal,
) -> Result<u8, CliError> {
    let is_given = args.request.is_given();
    refuse_urls(std::slice::from_ref(&args.file), &args.request)?;
    let (call, credentials, settings) = subject(db, &mut args, terminal)?;
    worker::check(&args.settings, &call, false)?;
    let base = current_folder()?;
    let settings = config.resolve(&args.settings, &[], &settings, &call)?;
    let settings = settings.announce(terminal);
    let plan = plan(&call, &settings, &credentials, args.invocation, &base)?;
    let job = job_of_run(db, &args.file, &base)?;
    let row_use = RowUse::new(&call);
    if is_given {
        check_judged(db, &row_use, &job)?;
    }
    if let Some(proxy) = plan.proxy() {
        terminal.say(&format!("proxy: {}", escaped(proxy.as_bytes())));
    }
    if let Some(lane) = lane_tried(&plan) {
        terminal.say(&lane);
    }
    let slips = row_use.slips(&job.columns.names());
    let (outcome, spent) = call_all(&plan, job, &slips, &settings, terminal)?;
    for line in estimate::of_calls(db, &spent, &settings) {
        terminal.say(&line);
    }
    show(&outcome, terminal)
}

/// Names the row of the pool that a trial uses: the first.
pub(super) fn lane_tried(plan: &Plan) -> Option<String> {
    let lanes = plan.lanes();
    let name = lanes
        .name(0)
        .map(|name| format!(" ({})", escaped(name.as_bytes())));
    (!lanes.is_empty()).then(|| {
        let name = name.unwrap_or_default();
        format!("pool: row 1{name} of {}", lanes.len())
    })
}

/// Makes all calls for a file, and shows each. Returns the outcome of the last, and what all have taken.
fn call_all(
    plan: &Plan,
    mut job: Job,
    slips: &[String],
    settings: &Settings,
    terminal: &Terminal,
) -> Result<(Outcome, Spent), CliError> {
    let (run, mut step) = (random(), Step::FIRST);
    let (mut polling, mut spent) = (Instant::now(), Spent::default());
    loop {
        let attempt = attempt(&run, step);
        let is_repeated = step.asked > 0;
        if !is_repeated {
            let key = attempt.key.to_string();
            let lines = call_lines(plan, &job, &attempt, &key).map_err(|outcome| {
                let reason = escaped(message(&outcome).as_bytes());
                CliError::new(exit::INCOMPLETE, format!("{}: {reason}", job.path))
                    .note(match step.index {
                        0 => "no call was made".to_owned(),
                        made => format!("{} made", counted(made.into(), "call")),
                    })
                    .hint("correct the request or the file, or use another file")
            })?;
            lines.iter().for_each(|line| terminal.say(line));
        }
        for slip in slips.iter().filter(|_| step == Step::FIRST) {
            terminal.say(&format!("{} {slip}", bold("note:")));
        }
        let began = Instant::now();
        let called = plan.call_once(&job, &attempt);
        let (outcome, head) = called.map_err(|error| CliError::of(exit::ERROR, &*error))?;
        spent.add(&outcome, began.elapsed());
        let took = began.elapsed().as_millis();
        for line in plan.said() {
            terminal.say(&line);
        }
        let is_repeat_of_poll = is_repeated && matches!(outcome, Outcome::NotReady { .. });
        if let Some(head) = head.filter(|_| !is_repeat_of_poll) {
            head_lines(head).iter().for_each(|line| terminal.say(line));
        }
        for remark in plan.remarks() {
            terminal.say(&format!("{} {}", bold("note:"), escaped(remark.as_bytes())));
        }
        plan.warnings()
            .iter()
            .for_each(|warning| terminal.warn(warning));
        let wait = match outcome {
            Outcome::Advanced { answer, next, wait } => {
                answer_lines(&answer)
                    .iter()
                    .for_each(|line| terminal.say(line));
                terminal.say(&format!("took {took} ms; the next request follows"));
                let body = answer.body.bytes();
                let body = body.map_err(|error| CliError::of(exit::ERROR, &error))?;
                job.answers.push(StepAnswer {
                    body: body.into_owned(),
                    status: answer.status,
                    media_type: answer.media_type,
                    headers: answer.headers,
                });
                step = Step {
                    index: step.index + 1,
                    kind: next,
                    ..Step::FIRST
                };
                polling = Instant::now();
                wait.unwrap_or_default()
            }
            outcome @ Outcome::NotReady { .. } => {
                step.since = polling.elapsed();
                let policy = settings.retry_policy();
                let polled = Attempt { step, ..attempt };
                let (next, _) = policy.after(Record::default(), &polled, &outcome, 0.0);
                let Next::Poll(wait) = next else {
                    return Ok((outcome, spent));
                };
                step.asked += 1;
                if let Outcome::NotReady { words, .. } = &outcome {
                    let wait = show_duration(wait);
                    let words = escaped(words.as_bytes());
                    terminal.say(&format!(
                        "not ready ({words}); the same request follows in {wait}"
                    ));
                }
                wait
            }
            outcome => {
                terminal.say(&format!("took {took} ms; nothing was recorded"));
                return Ok((outcome, spent));
            }
        };
        pause(wait);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "`stride try` has no queue, and no other event to wait for"
)]
fn pause(wait: Duration) {
    std::thread::sleep(wait);
}

/// Refuses expressions with a column that the list does not have.
fn check_judged(db: &Location, row_use: &RowUse, job: &Job) -> Result<(), CliError> {
    let Some(used) = row_use.describe_judged() else {
        return Ok(());
    };
    match Reader::open(db) {
        Ok(run) if !job.columns.is_empty() => Ok(check_list_columns(&run, &row_use.judged())?),
        _ => Err(without_row(&job.path, &used)),
    }
}

/// Returns the request of the command line, or else the run's, with its credentials and settings.
fn subject(
    db: &Location,
    args: &mut Try,
    terminal: &Terminal,
) -> Result<(Call, Vec<Credential>, Settings), CliError> {
    if args.request.is_given() {
        if !args.credential.is_empty() {
            return Err(
                CliError::usage("--credential cannot be combined with --url or --curl")
                    .hint("use the value in the request itself, such as in -H"),
            );
        }
        let parsed = parse(&args.request)?;
        parsed.limits.fill(&mut args.settings);
        for note in &parsed.notes {
            terminal.say(&format!("{} {note}", bold("note:")));
        }
        return Ok((parsed.call, parsed.credentials, Settings::default()));
    }
    if db.file().symlink_metadata().is_err() {
        let message = format!("there is no run at {}", FileName::from(db.file()));
        return Err(CliError::usage(message)
            .hint("use --url or --curl, or --db with the database of a run"));
    }
    let info = Reader::open(db)?.info()?;
    let words = &args.request.words.0;
    let known = ["header", "user", "proxy-user"];
    let changes = |word: &&stride::curl::ParsedOption| !known.contains(&word.option.long);
    if let Some(word) = words.iter().find(changes) {
        let message = format!("{} changes the run's request", word.written);
        return Err(CliError::usage(message).hint("use --url with the whole request"));
    }
    let values = |long: &str| -> Vec<String> {
        let given = words.iter().filter(|word| word.option.long == long);
        given.map(|word| word.value().to_owned()).collect()
    };
    let (headers, users, proxy_users) = (values("header"), values("user"), values("proxy-user"));
    let again = CredentialArgs {
        headers: &headers,
        credentials: &args.credential,
        user: users.last(),
        proxy_user: proxy_users.last(),
    };
    let GivenAgain {
        credentials,
        changed,
    } = parse_credentials(&again, &info.call, &references(&info.base))?;
    let call = info.call;
    if let Call::Program { name } = &call {
        return Err(made_by(name).hint("use --url or --curl with a request"));
    }
    let confirmed = Confirmed {
        commands: args.invocation.allow_commands,
        references: args.invocation.allow_references,
        folder: None,
    };
    // `try` writes no results, so the output folder needs no consent.
    let mut uses = consent::uses(&call, &info.base);
    uses.retain(|used| !matches!(used, Use::Folder(_)));
    let scope = Scope::OneCall;
    consent::check(db, &call, &info.base, scope, || Ok(uses), confirmed)?;
    if args.settings.pool.is_none() {
        let pool = info.settings.pool.as_deref();
        consent::check_pool(db, &call, &info.base, pool, confirmed)?;
    }
    // Nothing is recorded, so other headers need no consent.
    Ok((changed.unwrap_or(call), credentials, info.settings))
}

/// Returns the job of a file, with its row if the run has one for it.
fn job_of_run(db: &Location, file: &Path, base: &Path) -> Result<Job, CliError> {
    // The request may be given without a run.
    if let Ok(run) = Reader::open(db)
        && let [name] = listed_names(db, &[file.to_owned()])?.as_slice()
        && let Some(known) = run.job_named(name)?
    {
        let run_base = run.info()?.base;
        let mut job = job(name.clone().into(), &run_base)?;
        let (columns, own) = run.row(known)?;
        job.columns = columns;
        if let Some(own) = own {
            job.file = run_base.join(own.as_path());
        } else if base.join(file).exists() {
            job.file = base.join(file);
        }
        return Ok(job);
    }
    job(FileName::from(file).into(), base)
}

pub(super) fn job(item: Item, base: &Path) -> Result<Job, CliError> {
    let columns = item.columns.as_deref().map(Columns::read).transpose();
    let file = item.file.as_ref().unwrap_or(&item.name);
    Ok(Job {
        id: JobId(1),
        position: Position(0),
        file: base.join(file.as_path()),
        path: item.name,
        columns: columns
            .map_err(|error| CliError::of(exit::INTERNAL, &error))?
            .unwrap_or_default(),
        answers: Vec::new(),
    })
}

/// Returns a random seed of idempotency keys, for calls outside of any run.
pub(super) fn random() -> [u8; 16] {
    let mut run = [0; 16];
    // Ignore failure: the keys are then the same for every `stride try`.
    let _ = getrandom::fill(&mut run);
    run
}

/// Creates an attempt outside of any run.
pub(super) fn attempt(run: &[u8; 16], step: Step) -> Attempt {
    let job = JobId(1);
    Attempt {
        id: AttemptId { job, number: 1 },
        key: IdempotencyKey::derive(run, job, step.index.into()),
        repeat: false,
        suspect: false,
        step,
        lane: 0,
    }
}

/// Prints the answer's body to stdout and the verdict to stderr.
fn show(outcome: &Outcome, terminal: &Terminal) -> Result<u8, CliError> {
    let (body, verdict, code) = match outcome {
        Outcome::Succeeded(Answer { body, .. }) => {
            let body = body
                .bytes()
                .map_err(|error| CliError::of(exit::ERROR, &error))?;
            let verdict = "a run would record this as the file's result".to_owned();
            (body, verdict, exit::DONE)
        }
        Outcome::NotReady { words, .. } => {
            let verdict = format!("not ready within --poll-for: {}", escaped(words.as_bytes()));
            (Cow::default(), verdict, exit::INCOMPLETE)
        }
        Outcome::Interrupted => (Cow::default(), "interrupted".to_owned(), exit::ERROR),
        outcome => {
            let failure = outcome.failure();
            let body = failure.map_or(Cow::default(), |failure| Cow::from(&failure.body));
            let class = failure.map_or("", |failure| failure.class.as_str());
            let message = escaped(message(outcome).as_bytes());
            let verdict = format!("{}: {message} ({class})", outcome.as_str());
            (body, verdict, exit::INCOMPLETE)
        }
    };
    let mut stdout = data();
    let newline: &[u8] = match body.last() {
        None | Some(b'\n') => b"",
        Some(_) => b"\n",
    };
    printed(
        stdout
            .write_all(&body)
            .and_then(|()| stdout.write_all(newline))
            .and_then(|()| stdout.flush()),
    )?;
    terminal.say(&verdict);
    Ok(code)
}
