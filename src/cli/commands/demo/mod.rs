//! `stride demo` shows stride at work without an account, a key or files: it writes transcripts, serves an API on
//! this machine, and runs the commands that a user would type.

mod api;
mod transcripts;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::ColorChoice;
use stride::limits::Rate;
use stride::settings::Call;
use stride::store::{Location, Reader};

use crate::cli::args::{Args, Demo};
use crate::cli::help;
use crate::cli::output::error::{CliError, program, quoted};
use crate::cli::output::shown::bold;
use crate::cli::output::terminal::Terminal;
use crate::cli::output::{exit, lacking};
use crate::cli::session::files::resolved;
use api::{Api, Options};

const FOLDER: &str = "stride-demo";
const DATABASE: &str = "stride.db";
const TRANSCRIPTS: usize = 300;
/// Long enough to press Ctrl-C in the middle of the demo, short enough not to be bored.
const LATENCY: Range<Duration> = Duration::from_millis(60)..Duration::from_millis(180);
/// In calls per second. Eight threads would make more.
const LIMIT: u32 = 40;

/// Runs a parsed command.
pub(crate) type Dispatch = fn(Args, &Terminal) -> Result<u8, CliError>;

pub(crate) fn demo(args: &Demo, terminal: &Terminal, dispatch: Dispatch) -> Result<u8, CliError> {
    match args.serve {
        Some(port) => serve(port, args, terminal),
        None => show(terminal, dispatch),
    }
}

/// Serves the API and nothing else, until the process is killed.
fn serve(port: u16, args: &Demo, terminal: &Terminal) -> Result<u8, CliError> {
    let options = Options {
        port,
        interval: args.limit.map(Rate::interval).unwrap_or_default(),
        faults: args.faults,
        ..Options::default()
    };
    let api = Api::bind(options).map_err(|error| cannot_serve(port, &error))?;
    let url = api.url();
    terminal.say(&format!(
        "serving a small sentiment API at {url}; press Ctrl-C to stop it"
    ));
    terminal.say(&format!(
        "in another terminal: {} run --url {url} FOLDER",
        program()
    ));
    api.serve()
}

fn cannot_serve(port: u16, error: &io::Error) -> CliError {
    let message = format!("cannot serve on port {port} of this machine");
    CliError::new(exit::ERROR, message)
        .cause(error.to_string())
        .hint(format!(
            "use another port: {} demo --serve {}",
            program(),
            port.wrapping_add(1).max(1024)
        ))
}

/// Binds the API as the demo shows it.
fn bind(port: u16) -> io::Result<Arc<Api>> {
    Api::bind(Options {
        port,
        latency: LATENCY,
        interval: Duration::from_secs(1) / LIMIT,
        faults: true,
    })
}

/// Serves the API again for a command that continues the demo's run, because it ended with the demo.
pub(crate) fn revive(db: &Location, terminal: &Terminal) {
    let demos = Path::new(FOLDER).join(DATABASE);
    let is_demos = resolved(db.file()).is_some_and(|db| db.ends_with(demos) && db.exists());
    // The command itself reports a database that cannot be read.
    let port = is_demos.then(|| port_of(db).ok().flatten()).flatten();
    // A port in use has the API of a demo that is running.
    if let Some(api) = port.and_then(|port| bind(port).ok()) {
        terminal.say(&format!(
            "the demo's API serves {} until this command ends",
            api.url()
        ));
        // Without a thread, the calls find nothing.
        let _ = serve_aside(api);
    }
}

/// Serves the API on a thread of its own.
fn serve_aside(api: Arc<Api>) -> Result<(), CliError> {
    let thread = thread::Builder::new().spawn(move || api.serve());
    thread.map(drop).map_err(|error| lacking::thread(&error))
}

fn show(terminal: &Terminal, dispatch: Dispatch) -> Result<u8, CliError> {
    let folder = Path::new(FOLDER);
    let (texts, db) = (folder.join("transcripts"), folder.join(DATABASE));
    let results = folder.join("api_call_results.json");
    transcripts::write(&texts, TRANSCRIPTS).map_err(|error| {
        CliError::new(exit::ERROR, format!("cannot write to {}", texts.display()))
            .cause(error.to_string())
            .hint("cd to a folder that you can write to")
    })?;
    // With the port of an earlier demo, the request stays the same.
    let before = db
        .exists()
        .then(|| port_of(&(&db).into()))
        .transpose()?
        .flatten();
    let api = bind(before.unwrap_or(0))
        .or_else(|_| bind(0))
        .map_err(|error| cannot_serve(0, &error))?;
    let (url, port) = (api.url(), api.address.port());
    serve_aside(api)?;
    let (texts, db, results) = (quoted(&texts), quoted(&db), quoted(&results));
    for line in [
        &format!("{TRANSCRIPTS} transcripts of calls are in {texts}/."),
        &format!("A small sentiment API serves {url}. It is slow, allows"),
        &format!(
            "{LIMIT} calls a second, fails now and then, and rejects transcripts that are too short."
        ),
        &format!(
            "Press Ctrl-C, or kill it: `{} demo` continues where it stopped.",
            program()
        ),
    ] {
        terminal.say(line);
    }
    let mut run = format!("run --url {url} --db {db} {texts}");
    if before.is_some_and(|before| before != port) {
        run.push_str(" --accept-change");
    }
    let command = |words: &str| {
        terminal.say("");
        terminal.say(&bold(&format!("$ {} {words}", program())));
        let words = std::iter::once("stride").chain(words.split(' '));
        let args = help::parse(words, ColorChoice::Never)
            .map_err(|error| CliError::new(exit::INTERNAL, error.to_string()))?;
        dispatch(args, terminal)
    };
    match command(&run)? {
        exit::DONE | exit::INCOMPLETE => {}
        code => return Ok(code),
    }
    let code = command(&format!("export --all --db {db} -o {results}"))?;
    let program = program();
    for line in [
        "",
        &format!("{results} is what `json.dump(store, fp)` would have written."),
        "Look at the run:",
        &format!("  {program} status --db {db}"),
        &format!("  {program} failures --db {db}"),
        &format!(
            "  {program} report --db {db} -o {}",
            quoted(&folder.join("report.html"))
        ),
        "Try it with your own files, and the demo's API in another terminal:",
        &format!("  {program} demo --serve 8080"),
        &format!("  {program} run --url http://127.0.0.1:8080/sentiment FOLDER"),
    ] {
        terminal.say(line);
    }
    Ok(code)
}

/// Returns the port that an earlier demo called.
fn port_of(db: &Location) -> Result<Option<u16>, CliError> {
    let Call::Http(request) = Reader::open(db)?.info()?.call else {
        return Ok(None);
    };
    let address = request.url.split('/').nth(2);
    let port = address.and_then(|address| address.rsplit(':').next());
    Ok(port.and_then(|port| port.parse().ok()))
}
