//! `stride demo` shows stride at work without an account, a key or files: it writes transcripts, serves an API on
//! this machine, and runs the commands that a user would type.

mod api;
mod transcripts;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::ColorChoice;
use stride::limits::Rate;
use stride::settings::Call;
use stride::store::{Location, Reader};

use crate::cli::args::{Args, Demo};
use crate::cli::help;
use crate::cli::output::error::{CliError, quoted};
use crate::cli::output::exit;
use crate::cli::output::shown::bold;
use crate::cli::output::terminal::Terminal;
use api::{Api, Options};

const FOLDER: &str = "stride-demo";
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
        "in another terminal: stride run --url {url} FOLDER"
    ));
    api.serve()
}

fn cannot_serve(port: u16, error: &io::Error) -> CliError {
    let message = format!("cannot serve on port {port} of this machine");
    CliError::new(exit::ERROR, message)
        .cause(error.to_string())
        .hint("use another port")
}

fn show(terminal: &Terminal, dispatch: Dispatch) -> Result<u8, CliError> {
    let folder = Path::new(FOLDER);
    let (texts, db) = (folder.join("transcripts"), folder.join("stride.db"));
    let results = folder.join("api_call_results.json");
    transcripts::write(&texts, TRANSCRIPTS).map_err(|error| {
        CliError::new(exit::ERROR, format!("cannot write to {}", texts.display()))
            .cause(error.to_string())
    })?;
    let bind = |port| {
        Api::bind(Options {
            port,
            latency: LATENCY,
            interval: Duration::from_secs(1) / LIMIT,
            faults: true,
        })
    };
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
    thread::spawn(move || api.serve());
    let (texts, db, results) = (quoted(&texts), quoted(&db), quoted(&results));
    for line in [
        &format!("{TRANSCRIPTS} transcripts of calls are in {texts}/."),
        &format!("A small sentiment API serves {url}. It is slow, allows"),
        &format!(
            "{LIMIT} calls a second, fails now and then, and rejects transcripts that are too short."
        ),
        "Press Ctrl-C, or kill it: `stride demo` resumes where it stopped.",
    ] {
        terminal.say(line);
    }
    let mut run = format!("run --url {url} --db {db} {texts}");
    if before.is_some_and(|before| before != port) {
        run.push_str(" --accept-change");
    }
    let command = |words: &str| {
        terminal.say("");
        terminal.say(&bold(&format!("$ stride {words}")));
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
    for line in [
        "",
        &format!("{results} is what `json.dump(store, fp)` would have written."),
        "The API ends with the demo. To try it with your own files:",
        "  stride demo --serve 8080",
        "  stride run --url http://127.0.0.1:8080/sentiment FOLDER      (in another terminal)",
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
