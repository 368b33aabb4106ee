//! Every command of the README is given here, or by the continuous integration, as it stands there.

use std::process::Command;

use crate::support::{FakeApi, Reply};

use super::Place;

const README: &str = include_str!("../../../README.md");

/// The commands in the README's shell blocks, whole lines each.
fn commands() -> Vec<String> {
    let mut found = Vec::new();
    for block in README.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap().replace("\\\n", " ");
        found.extend(
            block
                .lines()
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    found
}

#[test]
fn every_command_of_the_readme_works_in_its_order() {
    // Recordings with nothing in them are refused once, so that there are failures to look at.
    let api = FakeApi::start(|request| match request.attempt {
        0 if request.body.is_empty() => Reply::json(r#"{"error":"too short"}"#).with_status(422),
        _ => Reply::json(r#"{"label":"positive"}"#),
    });
    let place = Place::new();
    for i in 0..5 {
        place.write(format!("texts/{i}.txt"), if i == 3 { "" } else { "fine" });
    }
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_stride"))
        .parent()
        .unwrap();
    let (mut given, mut exported) = (0, false);
    for command in commands() {
        if command.starts_with("cargo ") || command.starts_with("sqlite3 ") {
            continue;
        }
        let command = command
            .replace("https://api.example.com", &api.url())
            .replace("API_KEY=…", "API_KEY=none");
        if command.starts_with("export ") {
            continue;
        }
        let mut shell = Command::new("/bin/sh");
        let path = format!("{}:/usr/bin:/bin", bin.display());
        shell
            .args(["-c", &command])
            .current_dir(place.at(""))
            .env_clear()
            .env("PATH", path)
            .env("API_KEY", "none");
        let output = shell.output().unwrap();
        // What is not whole is not exported, and what was refused is a 3; everything else is a success.
        let code = output.status.code().unwrap();
        assert!(
            matches!(code, 0 | 3),
            "{command}: {code}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        exported |= command.contains("export -o") && code == 0;
        given += 1;
    }
    assert!(given >= 9, "{given} commands were found");
    assert!(
        !exported,
        "the file that was refused is missing from the first export"
    );
    place
        .stride(&["export", "-o", "api_call_results.json"])
        .expect(0);
    let query = commands()
        .into_iter()
        .find(|command| command.starts_with("sqlite3 "))
        .unwrap();
    let statement = query.split('\'').nth(1).unwrap();
    assert!(!place.sql(statement).is_empty());
}

#[test]
fn the_commands_that_ci_gives_are_in_the_readme() {
    let cargo: Vec<String> = commands()
        .into_iter()
        .filter(|command| command.starts_with("cargo "))
        .collect();
    assert_eq!(
        cargo,
        [
            "cargo run --locked -- demo",
            "cargo install --path . --locked",
            "cargo test --locked"
        ]
    );
}
