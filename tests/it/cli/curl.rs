//! A pasted command sends what curl itself sends, byte for byte, or is refused with words that say why.
//!
//! The commands are in `tests/data/curl`, as documentation and browsers write them, with the file in the place of theirs.
//! An empty line ends a command. `# refused: TEXT` and `# note: TEXT` name words of the message.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;

use super::Place;
use crate::http::tls::{authority, pem};
use crate::support::{FakeApi, Logged, Reply};

const FILES: [&str; 8] = [
    include_str!("../../data/curl/apps.txt"),
    include_str!("../../data/curl/cloud.txt"),
    include_str!("../../data/curl/commands.txt"),
    include_str!("../../data/curl/copied.txt"),
    include_str!("../../data/curl/idioms.txt"),
    include_str!("../../data/curl/models.txt"),
    include_str!("../../data/curl/refused.txt"),
    include_str!("../../data/curl/servers.txt"),
];

/// The value of variables that name no service.
const KEY: &str = "sk-0123456789-abcdefgh";

/// The beginnings of words that are URLs.
const HOSTS: [&str; 5] = ["https://", "http://", "localhost", "127.0.0.1", "ntfy.sh"];

/// A command, and what is right.
struct Case {
    command: String,
    refused: Option<&'static str>,
    notes: Vec<&'static str>,
}

/// The file that a command is about.
struct Sample {
    name: &'static str,
    content: &'static [u8],
}

const TEXT: Sample = Sample {
    name: "texts/call-1.txt",
    content: b"It was a good call, all in all.",
};
const PICTURE: Sample = Sample {
    name: "picture.png",
    content: b"\x89PNG\r\n\x1a\n\xff and so on",
};

impl Case {
    fn all() -> Vec<Self> {
        let blocks = FILES.iter().flat_map(|file| file.split("\n\n"));
        let cases = blocks.map(Self::read);
        cases.filter(|case| !case.command.is_empty()).collect()
    }

    fn read(block: &'static str) -> Self {
        let (comments, lines): (Vec<_>, Vec<_>) =
            block.lines().partition(|line| line.starts_with("# "));
        let named = |key: &str| {
            let found = comments.iter().filter_map(|line| line.strip_prefix(key));
            found.collect::<Vec<_>>()
        };
        let command = lines.join("\n").trim().to_owned();
        let command = EXAMPLES
            .iter()
            .fold(command, |command, example| command.replace(example, KEY));
        Self {
            command,
            refused: named("# refused: ").first().copied(),
            notes: named("# note: "),
        }
    }

    fn sample(&self) -> Sample {
        match self.command.contains("{base64}") {
            true => PICTURE,
            false => TEXT,
        }
    }

    /// The variables that the command uses.
    fn variables(&self, server: &str, place: &Place) -> BTreeMap<&str, String> {
        let names = self.command.split('$').skip(1).map(|rest| {
            let rest = rest.trim_start_matches('{');
            let end = rest.find(|char: char| !(char.is_ascii_uppercase() || char == '_'));
            &rest[..end.unwrap_or(rest.len())]
        });
        let value = |name: &str| match name {
            name if name.ends_with("URL") || name.ends_with("ENDPOINT") => {
                format!("http://{server}")
            }
            name if name.ends_with("HOME") => place.at("").to_str().unwrap().to_owned(),
            _ => KEY.to_owned(),
        };
        let names = names.filter(|name| !name.is_empty());
        names
            .chain(["API_KEY"])
            .map(|name| (name, value(name)))
            .chain([("LC_ALL", "C.UTF-8".to_owned())])
            .collect()
    }

    /// Runs the command with curl and with stride. Returns what is wrong.
    fn check(&self) -> Result<(), String> {
        let api = FakeApi::start(|_| Reply::json("{}"));
        let server = format!("127.0.0.1:{}", api.port());
        let (place, sample) = (Place::new(), self.sample());
        place.write(sample.name, sample.content);
        for name in ["options.txt", ".home/options.txt"] {
            place.write(name, "header = \"X-From: a file\"\n--compressed\n");
        }
        place.write("http_ca.crt", pem(authority().as_ref().der()));
        let variables = self.variables(&server, &place);
        let command = at(&server, &self.command);
        let stride = place
            .command(&["run", "--expect", "any", "--curl", &command, sample.name])
            .envs(&variables)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&stride.stderr);
        for text in self.notes.iter().chain(&self.refused) {
            if !said.contains(text) {
                return Err(format!("{text:?} is not said: {said}"));
            }
        }
        if self.refused.is_some() {
            let is_new = !place.at("stride.db").exists() && api.requests() == 0;
            return match stride.status.code() {
                Some(2) if is_new => Ok(()),
                code => Err(format!("not refused: {code:?} {said}")),
            };
        }
        let by_hand = by_hand(&command, &sample);
        let curl = Command::new("bash")
            .args(["-c", &by_hand])
            .current_dir(place.at(""))
            .envs(&variables)
            .env("HOME", place.at(".home"))
            .output()
            .unwrap();
        if !stride.status.success() || !curl.status.success() {
            return Err(format!("{by_hand}\ncurl: {curl:?}\nstride: {said}"));
        }
        let [ours, theirs] = &api.log()[..] else {
            return Err(format!("{} calls", api.requests()));
        };
        let [ours, theirs] = [ours, theirs].map(|logged| self.seen(logged));
        match ours == theirs {
            true => Ok(()),
            false => Err(format!("curl:   {theirs:?}\nstride: {ours:?}")),
        }
    }
}

/// Replaces the host of the first word that is a URL, so that the command calls the server of the test.
fn at(server: &str, command: &str) -> String {
    let (mut quote, mut is_escaped, mut begins) = (None, false, true);
    for (at, char) in command.char_indices() {
        if begins {
            let rest = &command[at..];
            let bare = rest.trim_start_matches(['$', '\'', '"']);
            if HOSTS.iter().any(|host| bare.starts_with(host)) {
                return with_host(server, command, at + rest.len() - bare.len());
            }
        }
        begins = false;
        match char {
            _ if is_escaped => {
                is_escaped = false;
                begins = quote.is_none() && char == '\n';
            }
            '\\' if quote != Some('\'') => is_escaped = true,
            _ if quote == Some(char) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(char),
            char => begins = quote.is_none() && char.is_whitespace(),
        }
    }
    command.to_owned()
}

/// Replaces the host of the URL at an offset, but not the name and the password before it.
fn with_host(server: &str, command: &str, url: usize) -> String {
    let rest = &command[url..];
    let (scheme, after) = match rest.find("://").filter(|at| *at <= "https".len()) {
        Some(at) => ("http://", &rest[at + 3..]),
        None => ("", rest),
    };
    let end = after.find(|char: char| "/?#'\"".contains(char) || char.is_whitespace());
    let (host, after) = after.split_at(end.unwrap_or(after.len()));
    let user = host.rfind('@').map_or("", |at| &host[..=at]);
    format!("{}{scheme}{user}{server}{after}", &command[..url])
}

/// Writes the values into the command, as a user would who calls curl for one file.
fn by_hand(command: &str, sample: &Sample) -> String {
    let name = sample.name.rsplit('/').next().unwrap();
    let digest = stride::job::Checksum::of(sample.content).to_string();
    let encoded = base64::engine::general_purpose::STANDARD.encode(sample.content);
    let text = String::from_utf8_lossy(sample.content);
    let mut command = command.to_owned();
    // Empty objects of JSON, and double braces, are no placeholders.
    for literal in [": {}", ":{}", "\":{}"] {
        command = command.replace(literal, &literal.replace("{}", "{\0}"));
    }
    command = command.replace("{{", "{{\0");
    for (placeholder, value) in [
        ("{}", sample.name),
        ("{name}", name),
        ("{stem}", name.split('.').next().unwrap()),
        ("{size}", &sample.content.len().to_string()),
        ("{mime}", "text/plain"),
        ("{index}", "0"),
        ("{sha256}", &digest),
        ("{base64}", &encoded),
        ("{text}", &text),
    ] {
        command = command.replace(placeholder, value);
    }
    command.replace('\0', "")
}

/// Examples of keys in documentation, which stride refuses to send.
const EXAMPLES: [&str; 12] = [
    "YOUR_API_TOKEN",
    "<YOUR_API_KEY>",
    "<YOUR-TOKEN>",
    "<your_access_token>",
    "<personal_access_token>",
    "YOUR_TOKEN",
    "INSERT_YOUR_API_KEY_HERE",
    "YOUR_API_KEY",
    "<ACCESS_TOKEN>",
    "<your API key>",
    "<subscriptionKey>",
    "<your-key>",
];

/// What a server has seen, with the boundary of a form replaced.
type Seen = (String, String, Vec<(String, String)>, String);

impl Case {
    /// Returns what the server has seen, without the headers that curl or stride adds on its own.
    fn seen(&self, logged: &Logged) -> Seen {
        let request = &logged.request;
        let boundary = request
            .header("content-type")
            .and_then(|value| value.rsplit_once("boundary="))
            .map(|(_, boundary)| boundary.to_owned())
            .filter(|boundary| boundary.starts_with("-----"));
        let plain = |text: &str| match &boundary {
            Some(boundary) => text.replace(boundary, "BOUNDARY"),
            None => text.to_owned(),
        };
        let is_own = |name: &str| match name {
            "idempotency-key" | "expect" => true,
            "user-agent" => !self.names_agent(),
            // Boundaries of later versions of curl are longer.
            "content-length" if boundary.is_some() => true,
            "content-length" if self.notes("Transfer-Encoding") => true,
            name => self.notes(name),
        };
        let headers = request.headers.iter();
        let mut headers: Vec<_> = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), plain(&in_order(value))))
            .filter(|(name, _)| !is_own(name))
            .collect();
        headers.sort();
        // Bytes that are not text stay different.
        let body: String = logged.body.iter().map(|byte| char::from(*byte)).collect();
        let target = request.target.clone();
        (request.method.clone(), target, headers, plain(&body))
    }

    fn names_agent(&self) -> bool {
        let command = self.command.to_ascii_lowercase();
        ["user-agent", "-a "]
            .iter()
            .any(|name| command.contains(name))
    }

    /// Returns whether a note names this header, which stride sets itself.
    fn notes(&self, header: &str) -> bool {
        let mut notes = self.notes.iter();
        notes.any(|note| note.eq_ignore_ascii_case(header))
    }
}

/// The value of a header, whose codings curl lists in another order. Versions of curl separate cookies differently.
fn in_order(value: &str) -> String {
    let mut values: Vec<_> = value.split(", ").collect();
    values.sort_unstable();
    values.join(", ").replace("; ", ";")
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the test's output should know"
)]
fn a_pasted_command_sends_what_curl_sends_or_is_refused() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: curl is not installed");
        return;
    }
    let (cases, next) = (Case::all(), AtomicUsize::new(0));
    let refused = cases.iter().filter(|case| case.refused.is_some()).count();
    assert!(cases.len() - refused >= 200 && refused >= 50, "{refused}");
    let check = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(message) = case.check() {
                wrong.push(format!("{}\n{message}\n", case.command));
            }
        }
        wrong
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(check)).collect();
        let wrong = workers.into_iter().map(|worker| worker.join().unwrap());
        wrong.flatten().collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
