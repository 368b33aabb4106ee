//! A pasted command sends what curl itself sends, byte for byte.

use std::process::Command;

use base64::Engine as _;

use super::Place;
use crate::support::{FakeApi, Logged, Reply};

const COMMANDS: &str = include_str!("../../data/curl/commands.txt");

/// The value of the variable that the commands use.
const KEY: &str = "sk-0123456789-abcdefgh";

/// Headers that curl or stride sends on its own.
const OWN: [&str; 6] = [
    "host",
    "user-agent",
    "accept",
    "content-length",
    "expect",
    "idempotency-key",
];

fn commands() -> Vec<String> {
    let blocks = COMMANDS.split("\n\n").map(str::trim);
    let commands = blocks.filter(|block| block.starts_with("curl"));
    commands.map(str::to_owned).collect()
}

/// The command with its host replaced, so that it calls the server of the test.
fn at(server: &str, command: &str) -> String {
    let hosts = ["https://", "http://localhost", "\"localhost", "http://text"];
    let found = hosts.iter().filter_map(|host| command.find(host)).min();
    let start = found.unwrap_or_else(|| panic!("no URL in {command}"));
    let start = start + usize::from(command[start..].starts_with('"'));
    let host = command[start..].find("://").map_or(start, |at| match at {
        5.. if !command[start..].starts_with("http") => start,
        at => start + at + 3,
    });
    let end = command[host..].find('/').unwrap() + host;
    format!("{}{server}{}", &command[..start], &command[end..])
}

/// The requests that a server has seen, with random parts replaced.
fn seen(logged: &Logged, asks_for_accept: bool) -> (String, String, Vec<(String, String)>, String) {
    let request = &logged.request;
    let boundary = request
        .header("content-type")
        .and_then(|value| value.split_once("boundary="))
        .map(|(_, boundary)| boundary.to_owned());
    let plain = |text: &str| match &boundary {
        Some(boundary) => text.replace(boundary, "BOUNDARY"),
        None => text.to_owned(),
    };
    let asked = |name: &str| name == "accept" && asks_for_accept;
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| {
            // The order of codings is irrelevant.
            let mut value: Vec<_> = value.split(", ").collect();
            value.sort_unstable();
            (name.to_ascii_lowercase(), plain(&value.join(", ")))
        })
        .filter(|(name, _)| asked(name) || !OWN.contains(&&**name))
        .collect();
    headers.sort();
    // Bytes that are not text stay different.
    let body: String = logged.body.iter().map(|byte| char::from(*byte)).collect();
    (
        request.method.clone(),
        request.target.clone(),
        headers,
        plain(&body),
    )
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the test's output should know"
)]
fn a_pasted_command_sends_what_curl_sends() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: curl is not installed");
        return;
    }
    let commands = commands();
    assert!(commands.len() >= 30, "{}", commands.len());
    for (number, command) in commands.iter().enumerate() {
        let api = FakeApi::start(|_| Reply::json("{}"));
        let place = Place::new();
        let (name, content) = if command.contains("{base64}") {
            ("picture.png", &b"\x89PNG\r\n\x1a\n\0\xff and so on"[..])
        } else {
            ("texts/call-1.txt", &b"It was a good call, all in all."[..])
        };
        place.write(name, content);
        let command = at(&api.url(), command);
        // The values that curl gets in place of the placeholders.
        let encoded = base64::engine::general_purpose::STANDARD.encode(content);
        let by_hand = command
            .replace("TOXICITY:{}", "TOXICITY:{ }")
            .replace("\": {}", "\": { }")
            .replace("{}", name)
            .replace("{ }", "{}")
            .replace("{name}", name.rsplit('/').next().unwrap())
            .replace("{base64}", &encoded)
            .replace("{text}", &String::from_utf8_lossy(content));
        let curl = Command::new("bash")
            .args(["-c", &by_hand])
            .current_dir(place.at(""))
            .env("API_KEY", KEY)
            .env("HOME", place.at(""))
            .output()
            .unwrap();
        assert!(curl.status.success(), "{by_hand}: {curl:?}");
        let stride = place
            .command(&["run", "--curl", &command, name])
            .env("API_KEY", KEY)
            .output()
            .unwrap();
        assert!(stride.status.success(), "{command}: {stride:?}");
        let log = api.log();
        assert_eq!(log.len(), 2, "{command}");
        let asks = command.to_ascii_lowercase().contains("accept:") || command.contains("--json");
        assert_eq!(
            seen(&log[1], asks),
            seen(&log[0], asks),
            "number {number}: {command}"
        );
    }
}
