//! `stride demo`: a first look without an account, a key or a file of one's own. It makes transcripts and an
//! API on this machine, and then gives the very commands that anybody would give.

mod api;
mod bucket;
mod scenes;
mod sentiment;
mod service;
mod transcripts;

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use clap::ColorChoice;
use stride::settings::Call;
use stride::store::Reader;

use super::args::Demo;
use super::error::{Problem, quoted};
use super::terminal::{Terminal, bold};
use super::{exit, help};
use api::{Api, Options};

const FOLDER: &str = "stride-demo";
const TRANSCRIPTS: usize = 300;
/// Long enough that somebody can press Ctrl-C, short enough that nobody has to.
const LATENCY: Range<Duration> = Duration::from_millis(60)..Duration::from_millis(180);
/// In calls per second; eight threads would make more.
const LIMIT: f64 = 40.0;

pub(crate) fn demo(args: &Demo, terminal: &Terminal) -> Result<u8, Problem> {
    match args.serve {
        Some(port) => serve(port, args, terminal),
        None => show(terminal),
    }
}

/// Serves the API and nothing else.
fn serve(port: u16, args: &Demo, terminal: &Terminal) -> Result<u8, Problem> {
    let limit = args.limit.map(|rate| 1.0 / rate.interval().as_secs_f64());
    let api = start(Options {
        port,
        limit,
        faults: args.faults,
        ..Options::default()
    })?;
    let url = format!("http://{}/sentiment", api.address());
    terminal.say(&format!(
        "serving a small sentiment API at {url}; Ctrl-C ends it"
    ));
    terminal.say(&format!(
        "in another terminal: stride run --url {url} FOLDER"
    ));
    api.wait()
        .map(|()| exit::DONE)
        .map_err(|error| Problem::of(exit::ERROR, &error))
}

fn start(options: Options) -> Result<Api, Problem> {
    let port = options.port;
    Api::start(options).map_err(|error| {
        Problem::new(
            exit::ERROR,
            format!("cannot serve on port {port} of this machine"),
        )
        .cause(error.to_string())
        .hint("give another port")
    })
}

fn show(terminal: &Terminal) -> Result<u8, Problem> {
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
    // The same port as before, if it is free: then the request is the same too.
    let before = db.exists().then(|| port_of(&db)).transpose()?.flatten();
    let api = match before.map(|port| Api::start(options(port))) {
        Some(Ok(api)) => api,
        _ => start(options(0))?,
    };
    let url = format!("http://{}/sentiment", api.address());
    terminal.say(&format!(
        "{TRANSCRIPTS} transcripts of calls lie in {}/, and a small sentiment API",
        texts.display()
    ));
    terminal.say(&format!(
        "answers at {url}. It takes its time, allows {LIMIT} calls a second,"
    ));
    terminal.say("fails now and then, and refuses recordings with nothing in them.");
    terminal.say("Press Ctrl-C, or kill it: `stride demo` goes on where it was.");
    let (texts, db, results) = (quoted(&texts), quoted(&db), quoted(&results));
    let mut run = format!("run --url {url} --db {db} {texts}");
    if before.is_some_and(|port| port != api.address().port()) {
        run.push_str(" --accept-change");
    }
    match command(&run, terminal)? {
        exit::DONE | exit::INCOMPLETE => {}
        code => return Ok(code),
    }
    let code = command(&format!("export --all --db {db} -o {results}"), terminal)?;
    terminal.say("");
    terminal.say(&format!(
        "That was it: {results} is what `json.dump(store, fp)` would have written."
    ));
    terminal.say("The API ends with the demo. To try it on files of your own:");
    terminal.say("  stride demo --serve 8080");
    terminal.say(
        "  stride run --url http://127.0.0.1:8080/sentiment FOLDER      (in another terminal)",
    );
    Ok(code)
}

/// Shows a command and gives it.
fn command(words: &str, terminal: &Terminal) -> Result<u8, Problem> {
    terminal.say("");
    terminal.say(&bold(&format!("$ stride {words}")));
    let words = std::iter::once("stride").chain(words.split(' '));
    let args = help::parse(words, ColorChoice::Never)
        .map_err(|error| Problem::new(exit::INTERNAL, error.to_string()))?;
    super::dispatch(args, terminal)
}

/// The port that an earlier demo called.
fn port_of(db: &Path) -> Result<Option<u16>, Problem> {
    let Call::Http(request) = Reader::open(db)?.info()?.call else {
        return Ok(None);
    };
    let port = request
        .url
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next());
    Ok(port.and_then(|port| port.parse().ok()))
}
