//! `stride demo` shows stride at work without an account, a key or files: it writes transcripts, serves an API on
//! this machine, and runs the commands that a user would type.

mod api;
mod transcripts;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::ColorChoice;
use stride::settings::Call;
use stride::store::Reader;

use crate::cli::args::{Args, Demo};
use crate::cli::help;
use crate::cli::output::error::{Problem, quoted};
use crate::cli::output::exit;
use crate::cli::output::terminal::{Terminal, bold};
use api::{Api, Options};

const FOLDER: &str = "stride-demo";
const TRANSCRIPTS: usize = 300;
/// Long enough to press Ctrl-C in the middle of the demo, short enough not to be bored.
const LATENCY: Range<Duration> = Duration::from_millis(60)..Duration::from_millis(180);
/// In calls per second. Eight threads would make more.
const LIMIT: f64 = 40.0;

/// Runs a parsed command.
pub(crate) type Dispatch = fn(Args, &Terminal) -> Result<u8, Problem>;

pub(crate) fn demo(args: &Demo, terminal: &Terminal, dispatch: Dispatch) -> Result<u8, Problem> {
    match args.serve {
        Some(port) => serve(port, args, terminal),
        None => show(terminal, dispatch),
    }
}

/// Serves the API and nothing else, until the process is killed.
fn serve(port: u16, args: &Demo, terminal: &Terminal) -> Result<u8, Problem> {
    let limit = args.limit.map(|rate| 1.0 / rate.interval().as_secs_f64());
    let api = bind(Options {
        port,
        limit,
        faults: args.faults,
        ..Options::default()
    })?;
    let url = api.url();
    terminal.say(&format!(
        "serving a small sentiment API at {url}; Ctrl-C ends it"
    ));
    terminal.say(&format!(
        "in another terminal: stride run --url {url} FOLDER"
    ));
    api.serve()
}

fn bind(options: Options) -> Result<Arc<Api>, Problem> {
    let port = options.port;
    Api::bind(options).map_err(|error| {
        Problem::new(
            exit::ERROR,
            format!("cannot serve on port {port} of this machine"),
        )
        .cause(error.to_string())
        .hint("use another port")
    })
}

fn show(terminal: &Terminal, dispatch: Dispatch) -> Result<u8, Problem> {
    let folder = Path::new(FOLDER);
    let (texts, db) = (folder.join("transcripts"), folder.join("stride.db"));
    let results = folder.join("api_call_results.json");
    transcripts::write(&texts, TRANSCRIPTS).map_err(|error| {
        Problem::new(exit::ERROR, format!("cannot write to {}", texts.display()))
            .cause(error.to_string())
    })?;
    let options = |port| Options {
        port,
        latency: LATENCY,
        limit: Some(LIMIT),
        faults: true,
    };
    // With the port of an earlier demo, the request stays the same.
    let before = db.exists().then(|| port_of(&db)).transpose()?.flatten();
    let api = match before.map(|port| Api::bind(options(port))) {
        Some(Ok(api)) => api,
        _ => bind(options(0))?,
    };
    let (url, port) = (api.url(), api.port());
    thread::spawn(move || api.serve());
    let (texts, db, results) = (quoted(&texts), quoted(&db), quoted(&results));
    terminal.say(&format!(
        "{TRANSCRIPTS} transcripts of calls are in {texts}/."
    ));
    terminal.say(&format!(
        "A small sentiment API serves {url}. It is slow, allows"
    ));
    terminal.say(&format!(
        "{LIMIT} calls a second, fails now and then, and rejects recordings with nothing in them."
    ));
    terminal.say("Press Ctrl-C, or kill it: `stride demo` goes on where it stopped.");
    let mut run = format!("run --url {url} --db {db} {texts}");
    if before.is_some_and(|before| before != port) {
        run.push_str(" --accept-change");
    }
    let command = |words: &str| {
        terminal.say("");
        terminal.say(&bold(&format!("$ stride {words}")));
        let words = std::iter::once("stride").chain(words.split(' '));
        let args = help::parse(words, ColorChoice::Never)
            .map_err(|error| Problem::new(exit::INTERNAL, error.to_string()))?;
        dispatch(args, terminal)
    };
    match command(&run)? {
        exit::DONE | exit::INCOMPLETE => {}
        code => return Ok(code),
    }
    let code = command(&format!("export --all --db {db} -o {results}"))?;
    terminal.say("");
    terminal.say(&format!(
        "{results} is what `json.dump(store, fp)` would have written."
    ));
    terminal.say("The API ends with the demo. To try it with your own files:");
    terminal.say("  stride demo --serve 8080");
    terminal.say(
        "  stride run --url http://127.0.0.1:8080/sentiment FOLDER      (in another terminal)",
    );
    Ok(code)
}

/// Returns the port that an earlier demo called.
fn port_of(db: &Path) -> Result<Option<u16>, Problem> {
    let Call::Http(request) = Reader::open(db)?.info()?.call else {
        return Ok(None);
    };
    let address = request.url.split('/').nth(2);
    let port = address.and_then(|address| address.rsplit(':').next());
    Ok(port.and_then(|port| port.parse().ok()))
}
