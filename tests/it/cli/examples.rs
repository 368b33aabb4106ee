//! Runs every example of the help.

use std::fs;
use std::process::{Command, Output};

use super::Place;
use crate::support::{FakeApi, Reply};

/// The commands that there are, as `stride --help` lists them.
pub(super) fn commands(place: &Place) -> Vec<String> {
    let help = help(place, &["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    // A continued line has more indentation.
    let names = lines.filter(|line| !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

fn help(place: &Place, words: &[&str]) -> String {
    let ran = place.stride_with(&[("COLUMNS", "80")], words).expect(0);
    String::from_utf8(ran.stdout).unwrap()
}

/// The examples of a help: the comment and the lines of each.
fn examples(help: &str) -> Vec<(String, String)> {
    let text = help.split("Examples:\n").nth(1).unwrap();
    let text = text.split("\n\n").next().unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("  # ") {
            Some(what) => found.push((what.to_owned(), String::new())),
            None => {
                let (_, example) = found.last_mut().unwrap();
                example.push_str(line.strip_prefix("  ").unwrap());
                example.push('\n');
            }
        }
    }
    found
}

#[test]
fn every_command_has_examples_and_they_are_the_same_everywhere() {
    let place = Place::new();
    let mut names = commands(&place);
    assert!(names.len() >= 13, "{names:?}");
    names.push(String::new());
    for name in &names {
        let verb: Vec<&str> = [name.as_str()]
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect();
        let long = help(&place, &[&verb[..], &["--help"]].concat());
        let short = help(&place, &[&verb[..], &["-h"]].concat());
        let page = place
            .stride(&[&["man"], &verb[..]].concat())
            .expect(0)
            .stdout;
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        let found = examples(&long);
        assert!(found.len() >= 2, "{name}: {found:?}");
        for (what, example) in &found {
            assert!(!what.is_empty());
            for line in example.lines() {
                assert!(line.len() <= 78, "{line}");
                assert!(short.contains(line), "{name} -h: {line}");
                let words = line.trim_end_matches('\\').trim().replace('\'', "");
                let page = page
                    .replace("\\*(Aq", "")
                    .replace("\\(aq", "")
                    .replace('\'', "");
                assert!(page.contains(&words), "{name}.1: {words}");
            }
        }
    }
    for name in ["run", "resume", "retry"] {
        let short = help(&place, &[name, "-h"]);
        assert!(short.lines().count() <= 36, "{short}");
        assert!(short.lines().all(|line| line.len() <= 80), "{short}");
    }
    for name in ["demo", "man", "completions"] {
        assert!(!help(&place, &[name, "--help"]).contains("--db"), "{name}");
        for words in [&[name, "--db", "x"], &["--db", "x", name]] {
            let words = [&words[..], &["bash"][..usize::from(name == "completions")]].concat();
            place.stride(&words).expect(2).says("uses no --db");
        }
    }
    let long = help(&place, &["run", "--help"]);
    for flag in [
        "--oauth2-bearer",
        "--min-free",
        "--allow-commands",
        "stride.toml",
    ] {
        assert!(long.contains(flag), "{flag}");
        assert!(!help(&place, &["run", "-h"]).contains(flag), "{flag}");
    }
}

/// A folder for the examples: files, and a run with one refused file.
fn place(api: &FakeApi, with_run: bool) -> Place {
    let place = Place::new();
    for i in 0..4 {
        place.write(format!("texts/{i}.txt"), if i == 3 { "" } else { "fine" });
    }
    if with_run {
        let url = format!("{}/v1/sentiment", api.url());
        place.stride(&["run", "--url", &url, "texts/"]).expect(3);
        fs::create_dir(place.at("backup")).unwrap();
        fs::copy(place.at("stride.db"), place.at("backup/stride.db")).unwrap();
    }
    place
}

fn shell(place: &Place, script: &str) -> Command {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_stride"))
        .parent()
        .unwrap();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-e", "-c", script])
        .current_dir(place.at(""))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("HOME", place.at(".home"))
        .env("API_KEY", "none");
    shell
}

#[test]
fn every_example_works() {
    // An empty file is refused, so that there are failures to show.
    let api = FakeApi::start(|request| match request.body.is_empty() {
        true => Reply::json(r#"{"error":"too short"}"#).with_status(422),
        false => Reply::json(r#"{"label":"positive"}"#),
    });
    let names = commands(&Place::new());
    let mut given = 0;
    for name in names.iter().map(String::as_str).chain([""]) {
        let verb: Vec<&str> = [name].into_iter().filter(|name| !name.is_empty()).collect();
        let long = help(&Place::new(), &[&verb[..], &["--help"]].concat());
        for (_, example) in examples(&long) {
            given += 1;
            // The demo has its own test, and a server does not end.
            if example.starts_with("stride demo") {
                let place = place(&api, false);
                let words = example.replace("8080", "0");
                let words: Vec<&str> = words.split_whitespace().skip(1).collect();
                let demo = place.begin(&words);
                demo.until_says("http://127.0.0.1:");
                demo.kill();
                continue;
            }
            let place = place(&api, !example.starts_with("stride run"));
            let script = example.replace("https://api.example.com", &api.url());
            let Output {
                status,
                stdout,
                stderr,
            } = shell(&place, &script).output().unwrap();
            let said = String::from_utf8_lossy(&stderr);
            // An incomplete export and a refused file are a 3; everything else succeeds.
            let code = status.code().unwrap();
            let may_lack = [
                "stride run",
                "stride resume",
                "stride retry",
                "stride export -o",
            ];
            let lacks = may_lack.iter().any(|words| example.starts_with(words));
            assert!(code == 0 || code == 3 && lacks, "{example}{code}: {said}");
            if let Some((_, file)) = example.trim_end().rsplit_once("> ") {
                let file = file.replace('~', place.at(".home").to_str().unwrap());
                let written = fs::read(place.at(file)).unwrap();
                assert!(!written.is_empty(), "{example}");
            }
            drop(stdout);
        }
    }
    assert!(given >= 36, "{given} examples were given");
}
