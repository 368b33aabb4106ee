//! `failures`: causes, and the command for each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Place;
use crate::support::{FakeApi, Reply, Request};

/// The reason for which a file is refused; one in ten is accepted.
fn refusal(request: &Request) -> Option<(u16, Value)> {
    let name = request.target.rsplit('/').next().unwrap();
    let number: usize = name.parse().ok()?;
    match number % 10 {
        0..=3 => Some((
            422,
            json!({"error": {"message": format!("{} is {number} s long, of 30", name)}}),
        )),
        4..=5 => Some((
            422,
            json!({"error": {"message": "no speech"}, "id": format!("req_{number:08x}")}),
        )),
        6 => Some((413, json!({"message": "too large"}))),
        7 => Some((400, json!({"detail": "what is that"}))),
        8 => Some((404, json!({"detail": "what is that"}))),
        _ => None,
    }
}

fn answer(request: &Request) -> Reply {
    match refusal(request) {
        Some((status, body)) => Reply::json(body).with_status(status),
        None => Reply::json(json!({"ok": true})),
    }
}

/// Fifty files, five causes, and files that are done.
fn mixed() -> (FakeApi, Place, Vec<Vec<String>>) {
    let api = FakeApi::start(answer);
    let place = Place::new();
    let url = format!("{}/v1/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(50);
    place.stride(&["run", "--url", &url, "texts"]).expect(3);
    (api, place, bystander)
}

fn listed(place: &Place, words: &[&str]) -> Vec<String> {
    let names = place
        .stride(&[&["failures", "-0"], words].concat())
        .expect(0)
        .stdout;
    let names = String::from_utf8(names).unwrap();
    names.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn failures_whose_words_differ_in_numbers_have_one_cause() {
    let (_api, place, bystander) = mixed();
    let said = String::from_utf8(place.stride(&["failures"]).expect(0).stdout).unwrap();
    let headings: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("failed: "))
        .collect();
    assert_eq!(
        headings,
        [
            "failed: 20 × HTTP 422 Unprocessable Entity: {} is # s long, of # (rejected)",
            "failed: 10 × HTTP 422 Unprocessable Entity: no speech (rejected)",
            "failed: 5 × HTTP 400 Bad Request: what is that (rejected)",
            "failed: 5 × HTTP 404 Not Found: what is that (rejected)",
            "failed: 5 × HTTP 413 Payload Too Large: too large (rejected)",
        ]
    );
    assert!(
        said.contains("\n    texts/0001: HTTP 422 Unprocessable Entity: 0001 is 1 s long, of 30\n"),
        "{said}"
    );
    // A common message is shown once.
    assert!(
        said.contains(
            "(rejected)\n    texts/0004\n    texts/0005\n    texts/0014\n    texts/0015\n    texts/0024\n    and 5 more\n"
        ),
        "{said}"
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn the_command_of_each_cause_calls_just_its_files_again() {
    let (_api, place, bystander) = mixed();
    let said = String::from_utf8(place.stride(&["failures"]).expect(0).stdout).unwrap();
    let commands: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("    again: stride "))
        .collect();
    assert_eq!(commands.len(), 5, "{said}");
    assert!(commands.contains(&"retry --status 413"), "{said}");
    let all = place.stride(&["failures", "--json"]).json();
    let mut of_cause: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for failure in all.as_array().unwrap() {
        let names = of_cause
            .entry(failure["cause"].as_str().unwrap())
            .or_default();
        names.push(failure["path"].as_str().unwrap().to_owned());
    }
    let mut seen: Vec<Vec<String>> = Vec::new();
    for command in &commands {
        let choice: Vec<&str> = command.split(' ').skip(1).collect();
        let chosen = listed(&place, &choice);
        assert!(
            of_cause.values().any(|names| *names == chosen),
            "{command}: {chosen:?}"
        );
        let before = place.status()["failed"].as_u64().unwrap();
        place
            .stride(&[&["retry", "--queue-only"], &choice[..]].concat())
            .expect(0);
        let status = place.status();
        assert_eq!(
            status["failed"].as_u64().unwrap(),
            before - chosen.len() as u64,
            "{command}"
        );
        let pending = place
            .sql("SELECT path FROM results WHERE state = 'pending' ORDER BY position")
            .concat();
        assert_eq!(pending, chosen, "{command}");
        // They fail again for the same cause.
        place.stride(&["resume"]).expect(3);
        seen.push(chosen);
    }
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), seen.concat().len()), (5, 45));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn failures_can_be_chosen_for_pipes() {
    let (_api, place, _) = mixed();
    assert_eq!(listed(&place, &[]).len(), 45);
    assert_eq!(
        listed(&place, &["--status", "413", "--status", "404"]).len(),
        10
    );
    assert_eq!(listed(&place, &["--match", "no speech"]).len(), 10);
    assert_eq!(listed(&place, &["--class", "transient"]).len(), 0);
    assert_eq!(listed(&place, &["--held"]).len(), 0);
    let json = place
        .stride(&["failures", "--json", "--match", "texts/0016"])
        .json();
    assert_eq!(json.as_array().unwrap().len(), 1);
    place
        .stride(&["failures", "--cause", "no"])
        .expect(2)
        .says("no failure has the cause `no`");
    place
        .stride(&["failures", "--json", "--class", "bad"])
        .expect(2)
        .says("unknown class `bad`");
}

#[test]
fn messages_that_all_differ_are_many_causes_of_which_the_summary_shows_some() {
    let words = |request: &Request| {
        let name = request.target.rsplit('/').next().unwrap();
        name.chars()
            .map(|digit| char::from(b'a' + digit.to_digit(10).unwrap_or(0) as u8))
            .collect::<String>()
    };
    let api = FakeApi::start(move |request| {
        Reply::json(json!({"error": words(request)})).with_status(422)
    });
    let place = Place::new();
    place.texts(1100);
    let url = format!("{}/v1/{{name}}", api.url());
    let ran = place
        .stride(&[
            "run",
            "-j",
            "16",
            "--max-failures",
            "none",
            "--url",
            &url,
            "texts",
        ])
        .expect(3)
        .says("and 993 other causes: stride failures lists all");
    assert_eq!(ran.stderr.matches("failed: ").count(), 8, "{}", ran.stderr);
    let said = String::from_utf8(place.stride(&["failures"]).expect(0).stdout).unwrap();
    // stride distinguishes a thousand causes, and groups the rest by class.
    assert!(
        said.starts_with("failed: 100 × HTTP 422 Unprocessable Entity (rejected)\n"),
        "{said}"
    );
    assert!(
        said.contains("again: stride retry --class rejected --status 422\n"),
        "{said}"
    );
    assert_eq!(said.matches("again: ").count(), 1001);
}

#[test]
fn a_done_file_is_called_again_by_name_and_its_result_is_set_aside() {
    let api = FakeApi::start(|request| match (&*request.target, request.attempt) {
        ("/bad", _) => Reply::json(1).with_status(422),
        ("/worse", 1) => Reply::json(1).with_status(422),
        (_, attempt) => Reply::json(attempt),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    for name in ["a", "b", "bad", "worse"] {
        place.write(name, name);
    }
    place
        .stride(&["run", "--url", &url, "a", "b", "bad", "worse"])
        .expect(3);
    place
        .stride(&["retry", "--done", "a", "bad", "./worse"])
        .expect(3)
        .says("note: bad is failed, not done")
        .says("2 done files pending again");
    let results = place.sql(
        "SELECT path, state, result FROM results WHERE path <> 'bystander.txt' ORDER BY position",
    );
    assert_eq!(
        results,
        [
            ["a", "done", "1"],
            ["b", "done", "0"],
            ["bad", "failed", ""],
            ["worse", "failed", ""]
        ]
    );
    let aside =
        "SELECT path, attempt, body FROM earlier_result JOIN job ON job.id = job ORDER BY job.id";
    assert_eq!(place.sql(aside), [["a", "1", "0"], ["worse", "1", "0"]]);
    // A service that knows the key would answer from memory.
    let of_a: Vec<_> = api
        .log()
        .into_iter()
        .filter(|logged| logged.target == "/a")
        .collect();
    assert_eq!(of_a.len(), 2);
    assert_ne!(of_a[0].key, of_a[1].key);
    let before = place.sql("SELECT * FROM work");
    place
        .stride(&["retry", "--done", "b", "nope"])
        .expect(2)
        .says("the run has no file nope");
    assert_eq!(place.sql("SELECT * FROM work"), before);
    place
        .stride(&["retry", "--done", "b", "--status", "422"])
        .expect(2);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_done_file_that_has_changed_is_told_of_and_called_again() {
    let api = FakeApi::start(|request| Reply::json(json!(String::from_utf8_lossy(&request.body))));
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = place.texts(8);
    let run = ["run", "--url", &url, "texts"];
    place.stride(&run).expect(0);
    let quiet = place.stride(&run).expect(0);
    assert!(!quiet.stderr.contains("changed"), "{}", quiet.stderr);
    // Another content, another time alone, another size under the old time, no file.
    let time = |name: &str| place.at(name).metadata().unwrap().modified().unwrap();
    let set_time = |name: &str, time| {
        let file = std::fs::File::options()
            .write(true)
            .open(place.at(name))
            .unwrap();
        file.set_modified(time).unwrap();
    };
    place.write(&names[1], "mended");
    set_time(
        &names[1],
        time(&names[0]) + std::time::Duration::from_secs(60),
    );
    set_time(
        &names[3],
        time(&names[3]) - std::time::Duration::from_secs(3600),
    );
    let before = time(&names[5]);
    place.write(&names[5], "longer than before");
    set_time(&names[5], before);
    std::fs::remove_file(place.at(&names[7])).unwrap();
    place
        .stride(&run)
        .expect(0)
        .says("warning: 3 done files changed on disk since the call, by time or size: texts/0001, texts/0003, texts/0005")
        .says("hint: stride retry --changed   calls them again");
    let requests = api.requests();
    place
        .stride(&["retry", "--changed"])
        .expect(0)
        .says("3 done files pending again");
    assert_eq!(api.requests(), requests + 3);
    let exported = place.stride(&["export"]).expect(0).json();
    let answers: Vec<&Value> = names.iter().map(|name| &exported[name]).collect();
    let expected: Vec<String> = ["mended", "texts/0003", "longer than before"]
        .map(str::to_owned)
        .into();
    assert_eq!(
        [answers[1], answers[3], answers[5]],
        [
            &json!(expected[0]),
            &json!(expected[1]),
            &json!(expected[2])
        ]
    );
    assert_eq!(answers[7], &json!("texts/0007"));
    place
        .stride(&["retry", "--changed"])
        .expect(0)
        .says("0 done files");
    let quiet = place.stride(&run).expect(0);
    assert!(!quiet.stderr.contains("changed"), "{}", quiet.stderr);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

/// A run of three files of which two are refused, one of them named like a flag.
fn two_failures() -> (FakeApi, Place) {
    let api = FakeApi::start(|request| match &*request.body {
        b"fine" | b"bystander" => Reply::json(r#"{"ok":true}"#),
        b"long" => Reply::json(json!({"error": "too long"})).with_status(413),
        _ => Reply::json(json!({"error": "too short"})).with_status(422),
    });
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("in/fine", "fine");
    place.write("-n", "long");
    place.write("in/two\nlines", "short");
    let words = ["run", "--url", &api.url(), "in", "--", "-n"];
    place.stride(&words).expect(3);
    assert_eq!(place.bystander(), bystander);
    (api, place)
}

#[test]
fn bare_names_lead_to_the_files_from_any_folder() {
    let (_api, place) = two_failures();
    fs::create_dir(place.at("elsewhere")).unwrap();
    place.write("elsewhere/-n", "another folder's");
    for (folder, db) in [
        ("", "stride.db"),
        ("elsewhere", "../stride.db"),
        ("in", "../stride.db"),
    ] {
        let bin = env!("CARGO_BIN_EXE_stride");
        let command = format!("'{bin}' failures -0 --db {db} | xargs -0 cat");
        let mut shell = Command::new("/bin/sh");
        let output = shell
            .args(["-c", &command])
            .current_dir(place.at(folder))
            .output();
        let output = output.unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            read,
            "shortlong",
            "{folder}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let names = place
            .command(&["failures", "--json", "--db", db])
            .current_dir(place.at(folder))
            .output()
            .unwrap();
        let names: Value = serde_json::from_slice(&names.stdout).unwrap();
        let base = place.at("").canonicalize().unwrap();
        assert_eq!(Path::new(names[0]["base"].as_str().unwrap()), base);
        assert!(Path::new(names[1]["path"].as_str().unwrap()).is_relative());
    }
    // A list of the bare names has the run's own names.
    let names = place.stride(&["failures", "-0"]).expect(0).stdout;
    let names = String::from_utf8(names).unwrap();
    assert!(
        names.contains("in/two\nlines\0") && names.contains("./-n\0"),
        "{names:?}"
    );
    let said = place
        .command(&["failures", "--db", "../stride.db"])
        .current_dir(place.at("in"))
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("names are relative to /"), "{said}");
}

#[test]
fn the_names_of_a_table_that_are_no_files_stay_as_they_are() {
    let api = FakeApi::start(|_| Reply::json(json!({"error": "no"})).with_status(422));
    let place = Place::new();
    place.write("list.csv", "path,text\nid-1,x\nfile,y\n");
    place.write("file", "f");
    let words = [
        "run",
        "--url",
        &api.url(),
        "--data",
        "{col.text}",
        "--files-from",
        "list.csv",
        "--list-format",
        "csv",
    ];
    place.stride(&words).expect(3);
    fs::create_dir(place.at("elsewhere")).unwrap();
    let output = place
        .command(&["failures", "-0", "--db", "../stride.db"])
        .current_dir(place.at("elsewhere"))
        .output()
        .unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    let file = place.at("file").canonicalize().unwrap();
    assert_eq!(names, format!("id-1\0{}\0", file.display()));
}

#[test]
fn an_unknown_cause_is_answered_with_those_that_there_are() {
    let (api, place) = two_failures();
    let causes = place.stride(&["failures", "--json"]).expect(0).json();
    let ids: Vec<&str> = (0..2)
        .map(|at| causes[at]["cause"].as_str().unwrap())
        .collect();
    let calls = api.requests();
    for command in ["retry", "failures"] {
        for wrong in ["nope", "0000000", "too short"] {
            let ran = place.stride(&[command, "--cause", wrong]).expect(2);
            let words = "1 × HTTP 422 Unprocessable Entity: too short";
            assert!(
                ran.stderr.contains(words) && ran.stderr.contains(ids[0]),
                "{}",
                ran.stderr
            );
            ran.says(&format!("no failure has the cause `{wrong}`"));
        }
    }
    assert_eq!(api.requests(), calls);
    let said = |words: &[&str]| {
        let ran = place.stride(&[&["failures"], words].concat()).expect(0);
        String::from_utf8(ran.stdout).unwrap()
    };
    let one = said(&["--cause", ids[1]]);
    assert_eq!(one.matches("failed: ").count(), 1, "{one}");
    let short = said(&["--status", "422"]);
    assert!(
        short.contains("too short") && !short.contains("too long"),
        "{short}"
    );
    assert!(said(&["--status", "500"]).starts_with("no failure matches: 2 of 4 files done"));
    place
        .stride(&["retry", "--cause", &ids[0].to_uppercase()])
        .expect(3);
    assert_eq!(api.requests(), calls + 1);
}
