//! Runs every command of the README and the guide. `.ci/run` runs those of cargo.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::{FakeApi, Reply, Request, has_tool};

use super::Place;

const README: &str = include_str!("../../../README.md");

/// The commands in the README's shell blocks.
fn commands() -> Vec<String> {
    commands_of(README)
}

/// The commands in the shell blocks of a page.
fn commands_of(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in page.split("```sh\n").skip(1) {
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

/// The programs of a page, with the names in the comments at their beginnings.
fn programs_of(page: &str) -> Vec<(String, String)> {
    let blocks = ["```python\n", "```bash\n"].map(|fence| page.split(fence).skip(1));
    let programs = blocks.into_iter().flatten().filter_map(|block| {
        let program = block.split("```").next().unwrap();
        let mut comments = program.lines().filter_map(|line| line.strip_prefix("# "));
        let name = comments.find(|comment| comment.ends_with(".py") || comment.ends_with(".sh"))?;
        Some((name.to_owned(), program.to_owned()))
    });
    programs.collect()
}

#[test]
fn every_command_of_the_readme_works_in_its_order() {
    // An empty file is refused once, so that there are failures to show.
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
        if ["cargo ", "sqlite3 ", "pip "]
            .iter()
            .any(|other| command.starts_with(other))
        {
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
        // An incomplete export and a refused file are a 3; everything else succeeds.
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
        exported,
        "after `retry`, the export has a result for every file"
    );
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
            "cargo install --path . --locked",
            "cargo run --locked -- demo",
            "cargo test --locked"
        ]
    );
}

/// A service that answers later, of any of the usual kinds.
fn later(request: &Request) -> Reply {
    let url = format!("http://{}", request.header("host").unwrap());
    let answer = json!({
        "id": "7",
        "upload_url": format!("{url}/uploads/7"),
        "urls": {"get": format!("{url}/predictions/7")},
        "output": [format!("{url}/output/7")],
        "status": if request.target.contains("operations") { "succeeded" } else { "completed" },
        "text": "fine",
    });
    match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/v1/queue") => Reply::status(202).header("Location", "/v1/queue/7"),
        ("GET", "/v1/queue/7") => Reply::status(303).header("Location", "/v1/results/7"),
        ("POST", "/v1/analyze") => {
            Reply::status(202).header("Operation-Location", format!("{url}/operations/7"))
        }
        _ => Reply::json(answer),
    }
}

/// Runs the commands of a page of the guide in order, in a new folder. Each must exit with 0, or with the code in its
/// comment: `# exit 3`. Returns the folder.
pub(super) fn give(page: &str) -> Place {
    // On a page with a failure, the empty file is refused the first time.
    let refuses = AtomicBool::new(page.contains("# exit 3"));
    let answers_later = page.contains("--then");
    let states_usage = page.contains(".usage.");
    let api = FakeApi::start(move |request| {
        if answers_later {
            return later(request);
        }
        match request.body.is_empty() && refuses.swap(false, Ordering::SeqCst) {
            true => Reply::json(r#"{"error":"too short"}"#).with_status(422),
            false if states_usage => Reply::json(r#"{"usage":{"total_tokens":120}}"#),
            false => Reply::json(r#"{"label":"positive","score":0.75}"#),
        }
    });
    let place = Place::new();
    for i in 0..10 {
        place.write(format!("texts/{i}.txt"), if i == 3 { "" } else { "fine" });
    }
    for (name, program) in programs_of(page) {
        place.write(name, program.replace("https://api.example.com", &api.url()));
    }
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_stride"));
    let path = format!("{}:/usr/bin:/bin", bin.parent().unwrap().display());
    let mut given = 0;
    for command in commands_of(page) {
        let expected = match command.split_once("# exit ") {
            Some((_, code)) => code.trim().parse().unwrap(),
            None => 0,
        };
        let words = command.replace("https://api.example.com", &api.url());
        if let Some(statement) = words.strip_prefix("sqlite3 stride.db ") {
            assert!(
                !place.sql(statement.trim_matches(['\'', '"'])).is_empty(),
                "{command}"
            );
            given += 1;
            continue;
        }
        if words.starts_with("export ") {
            continue;
        }
        let output = Command::new("/bin/sh")
            .args(["-c", &words])
            .current_dir(place.at(""))
            .env_clear()
            .envs([("PATH", path.as_str()), ("API_KEY", "first")])
            .env("HOME", place.at(".home"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(expected), "{command}: {said}");
        given += 1;
    }
    assert!(given > 1, "{given} commands were found");
    place
}

#[test]
fn every_command_of_the_guide_works_in_its_order() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide");
    let mut pages = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_page =
            path.extension().is_some_and(|ending| ending == "md") && !path.ends_with("mod.md");
        if is_page {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let list = include_str!("../../../src/guide/mod.md");
            assert!(
                list.contains(&format!("[{name}]: {name}.md")),
                "{name} is not in the list"
            );
            let page = std::fs::read_to_string(&path).unwrap();
            // tests/python runs the page about Python.
            if name != "python" && (!page.contains("'python3 ") || has_tool("python3")) {
                give(&page);
            }
            pages += 1;
        }
    }
    assert!(pages >= 8, "{pages} pages");
}
