//! Services that quote a key, each in its own form. No file and no message of stride contains the key in any of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::cli::Place;
use crate::support::{Counter, FakeApi, Gate, Reply, Request};

/// With characters that JSON, HTML, URLs and base64 escape.
const KEY: &str = "sk-+5/ca1a\"b1e&0d%da<11=";

/// A form in which a service quotes a key.
type Form = fn(&str) -> String;

/// Spells each character that is neither a letter nor a digit by itself.
fn spelled(text: &str, spell: impl Fn(char) -> String) -> String {
    let each = |char: char| match char {
        char if char.is_ascii_alphanumeric() => char.to_string(),
        char => spell(char),
    };
    text.chars().map(each).collect()
}

const FORMS: [Form; 15] = [
    |text| text.to_owned(),
    |text| in_json(text),
    |text| in_json(text).replace('/', "\\/"),
    |text| spelled(text, |char| format!("\\u00{:02x}", char as u32)),
    |text| spelled(text, |char| format!("\\u00{:02X}", char as u32)),
    |text| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;")
    },
    |text| spelled(text, |char| format!("&#{};", char as u32)),
    |text| spelled(text, |char| format!("&#x{:x};", char as u32)),
    |text| spelled(text, |char| format!("%{:02X}", char as u32)),
    |text| spelled(text, |char| format!("%{:02x}", char as u32)),
    |text| text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
    |text| STANDARD.encode(text),
    |text| URL_SAFE_NO_PAD.encode(text),
    |text| text.bytes().map(|byte| format!("{byte:02x}")).collect(),
    |text| text.bytes().map(|byte| format!("{byte:02X}")).collect(),
];

fn in_json(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The key in the `number`-th pair of forms, one within the other.
fn twice(number: usize) -> [String; 2] {
    let inner = FORMS[number % FORMS.len()](KEY);
    let outer = FORMS[number / FORMS.len() % FORMS.len()](&inner);
    [inner, outer]
}

/// The places in an answer that quote the key.
const PLACES: usize = 7;

fn answer(place: usize, quoted: &str) -> Reply {
    let message = json!({"error": {"message": format!("no such key: {quoted}!")}});
    match place {
        0 => Reply::json(message).with_status(422),
        1 => Reply::text(format!("no such key: {quoted}!")).with_status(400),
        2 => Reply::text(format!("<p>no such key: {quoted}</p>")).with_status(500),
        3 => Reply::status(302).header("location", format!("/login?next={quoted}")),
        4 => Reply::json(message).header("x-echo", quoted),
        5 => Reply::json("").body(&format!("text/x; key={quoted}"), message.to_string()),
        // Raised by the expression.
        _ => Reply::json(json!({"raised": format!("no such key: {quoted}!")})),
    }
}

/// The number in the name of the file that is called.
fn number(request: &Request) -> Option<usize> {
    let name = request.target.rsplit('/').next()?;
    name.split('?').next()?.parse().ok()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// All output, with its source.
#[derive(Default)]
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn add(&mut self, words: &[&str], output: Output) -> Option<i32> {
        let text = [output.stdout, output.stderr].concat();
        self.0.push((words.join(" "), text));
        output.status.code()
    }

    /// Takes in every file of a folder.
    fn files(&mut self, folder: &Path) {
        for path in files(folder) {
            let bytes = fs::read(&path).unwrap();
            self.0.push((path.display().to_string(), bytes));
        }
    }

    /// Checks that none of these texts occurs, ignoring case.
    fn holds_none(&self, forms: &[String]) {
        let mut finder = AhoCorasick::builder();
        let finder = finder.ascii_case_insensitive(true).build(forms).unwrap();
        for (by, text) in &self.0 {
            if let Some(found) = finder.find(text) {
                let around = found.start().saturating_sub(200)..text.len().min(found.end() + 200);
                let around = String::from_utf8_lossy(&text[around]);
                panic!("{by} has {}: {around}", forms[found.pattern()]);
            }
        }
    }
}

const SUCCESS: &str = ".error == null and (if .raised then error(.raised) else true end)";

#[test]
fn row_118_no_file_and_no_message_has_a_key_that_is_quoted_in_any_two_forms() {
    /// The number of calls that are answered before the crash.
    const AT_ONCE: usize = 300;
    let (gate, seen) = (Gate::default(), Counter::default());
    let api = {
        let gate = gate.clone();
        FakeApi::start(move |request| {
            let reply = match number(request) {
                // The files in between keep the guards from taking all files for rejected.
                Some(number) if number % 2 == 1 => {
                    answer(number / 2 % PLACES, &twice(number / 2)[1])
                }
                _ => Reply::json(json!({"ok": true})),
            };
            match seen.add() {
                before if before < AT_ONCE => reply,
                _ => reply.when(&gate),
            }
        })
    };
    let place = Place::new();
    let url = format!("{}/v1/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    // Each form within each other, at a place that changes from one to the next.
    let calls = FORMS.len() * FORMS.len();
    place.texts(2 * calls);
    let run = |words: &[&str]| {
        let output = place.command(words).env("KEY", KEY).output();
        output.unwrap()
    };
    let mut said = Said::default();
    let words = [
        "run",
        "--accept-change",
        "--url",
        &url,
        "-H",
        "X-Api-Key: {env:KEY}",
        "--success",
        SUCCESS,
        "--retries",
        "0",
        "--max-failures",
        "none",
        "-j",
        "4",
        "--events",
        "events",
        "--on-finish",
        "cat > summary; env -u KEY > variables",
        "texts",
    ];
    // A crash leaves the WAL beside the database.
    let running = place.begin_command(place.command(&words).env("KEY", KEY));
    let recorded = || place.sql("SELECT count(*) FROM attempt WHERE ended IS NOT NULL");
    // Some answers are recorded together with later ones.
    place.until(|| recorded().concat()[0].parse::<usize>().unwrap() > AT_ONCE / 2);
    running.kill();
    assert!(place.at("stride.db-wal").exists());
    said.files(&place.at(""));
    gate.open();

    assert_eq!(said.add(&words, run(&words)), Some(3));
    for words in [
        &["failures"][..],
        &["failures", "--json"],
        &["status"],
        &["status", "--json"],
        &["report", "-o", "report.html"],
        &["export", "--all"],
        &["export", "--all", "--format", "csv"],
        &["export", "--all", "--format", "jsonl", "-o", "all.jsonl"],
        &["verify"],
    ] {
        said.add(words, run(words));
    }
    for number in 0..PLACES {
        let file = format!("texts/{:04}", 2 * number + 1);
        let words = ["try", &file];
        assert_eq!(said.add(&words, run(&words)), Some(3));
    }
    said.files(&place.at(""));

    let status = place.status();
    assert_eq!(status["failed"], calls, "{status}");
    let masked = place.sql("SELECT count(DISTINCT job) FROM attempt WHERE instr(body, '[redacted]') OR instr(message, '[redacted]')");
    assert_eq!(masked.concat(), [calls.to_string()]);
    said.holds_none(&(0..calls).flat_map(twice).collect::<Vec<_>>());
    assert!(place.at("summary").exists() && place.at("variables").exists());
    assert_eq!(place.bystander(), bystander);
}

/// A service that refuses a key stops the run with its own words.
#[test]
fn row_118_the_words_that_stop_a_run_have_no_key_in_them() {
    for (number, form) in FORMS.into_iter().enumerate() {
        let api = FakeApi::start(move |request| match request.target.as_str() {
            "/v1/bystander.txt" => Reply::json(1),
            // Not escaped, as on the wire.
            _ => Reply::json(format!(
                "{{\"message\": \"bad key {}\"}}",
                match number {
                    0 => in_json(KEY),
                    5..8 => form(KEY),
                    _ => in_json(&form(KEY)),
                }
            ))
            .with_status(401),
        });
        let place = Place::new();
        let url = format!("{}/v1/{{name}}", api.url());
        let bystander = place.with_bystander(&url);
        place.texts(8);
        let words = [
            "run",
            "--accept-change",
            "--url",
            &url,
            "-u",
            "me:{env:KEY}",
            "--on-finish",
            "cat > summary",
            "texts",
        ];
        let mut said = Said::default();
        for words in [
            &words[..],
            &["status"],
            &["status", "--json"],
            &["report", "-o", "r.html"],
        ] {
            let output = place.command(words).env("KEY", KEY).output().unwrap();
            said.add(words, output);
        }
        said.files(&place.at(""));
        let summary = fs::read(place.at("summary")).unwrap();
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        let told = summary["stopped"].to_string();
        assert!(
            told.contains("bad key") && told.contains("[redacted]"),
            "{summary}"
        );
        said.holds_none(&[KEY.to_owned(), in_json(KEY), form(KEY)]);
        assert_eq!(place.bystander(), bystander);
    }
}

/// Credentials of several parts, of which the service quotes only the secret one.
#[test]
fn row_118_no_file_and_no_message_has_a_part_of_a_credential() {
    const PART: &str = "s3cr3t-Sesame99";
    let forms: [Form; 3] = [
        |text| text.to_owned(),
        |text| {
            text.chars()
                .map(|char| format!("&#{}", char as u32))
                .collect()
        },
        |text| {
            let (begin, end) = text.split_at(6);
            format!("{}\n\t{}", STANDARD.encode(begin), STANDARD.encode(end))
        },
    ];
    let api = FakeApi::start(move |request| match number(request) {
        Some(number) if number % 2 == 1 => {
            let (place, form) = (number / 2 % PLACES, number / 2 / PLACES);
            // No header contains a line break.
            let quoted = forms[form](PART).replace("\n\t", [" ", "\n\t"][usize::from(place < 3)]);
            answer(place, &quoted)
        }
        _ => Reply::json(json!({"ok": true})),
    });
    let pair = STANDARD.encode(format!("me:{PART}"));
    let calls = forms.len() * PLACES;
    for credential in [
        ["-b", "sid=s3cr3t-Sesame99; theme=dark"],
        ["-H", "Cookie: a=1; sid=s3cr3t-Sesame99"],
        ["-H", "Authorization: Token token=\"s3cr3t-Sesame99\""],
        ["-H", "X-Api-Key: id7,s3cr3t-Sesame99"],
        ["-H", "X-Api-Key: {cmd:echo id7:$PART}"],
        ["-H", "X-Api-Key: {file:key.json}"],
        ["-H", "Authorization: Basic {env:PAIR}"],
        ["-H", &format!("Authorization: basic {pair}")],
    ] {
        let place = Place::new();
        let url = format!("{}/v1/{{name}}", api.url());
        let bystander = place.with_bystander(&url);
        place.texts(2 * calls);
        // The file of a key contains the key, so it is read only if requested.
        let key = place.at("key.json");
        if credential[1].contains("key.json") {
            fs::write(&key, json!({"id": 7, "token": PART}).to_string()).unwrap();
        }
        let run = |words: &[&str]| {
            let mut command = place.command(words);
            command.env("PART", PART).env("PAIR", &pair);
            command.output().unwrap()
        };
        let options = ["--accept-change", "--success", SUCCESS, "--retries", "0"];
        let more = ["--max-failures", "none", "--events", "events", "texts"];
        let words = [&["run", "--url", &url], &credential[..], &options, &more].concat();
        let mut said = Said::default();
        assert_eq!(said.add(&words, run(&words)), Some(3), "{credential:?}");
        for words in [
            &["failures"][..],
            &["failures", "--json"],
            &["status", "--json"],
            &["report", "-o", "report.html"],
            &["export", "--all"],
            &["export", "--all", "--format", "jsonl", "-o", "all.jsonl"],
        ] {
            said.add(words, run(words));
        }
        if key.exists() {
            fs::remove_file(&key).unwrap();
        }
        said.files(&place.at(""));
        assert_eq!(place.status()["failed"], calls, "{credential:?}");
        let masked = place.sql("SELECT count(DISTINCT job) FROM attempt WHERE instr(body, '[redacted]') OR instr(message, '[redacted]')");
        assert_eq!(masked.concat(), [calls.to_string()], "{credential:?}");
        let begin = STANDARD.encode(&PART[..6]);
        said.holds_none(&[forms[0](PART), forms[1](PART), begin]);
        assert_eq!(place.bystander(), bystander);
    }
}
