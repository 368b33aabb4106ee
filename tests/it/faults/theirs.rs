//! Databases of another user. stride does what they request of this machine only after a confirmation on it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{counts, named, place, run};
use crate::cli::{Place, Ran};
use crate::support::{FakeApi, Reply};

/// A user, whose home remembers the requests typed on their machine.
struct User(TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn stride(&self, place: &Place, words: &[&str]) -> Ran {
        let home = self.0.path().to_str().unwrap();
        place.stride_with(&[("HOME", home), ("KEY", "sesame-0123")], words)
    }
}

/// The number of files in a folder; zero without a folder.
fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn row_125_a_folder_that_was_not_given_on_this_machine_is_not_written_to() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/bystander.txt" => Reply::json(1),
        _ => Reply::text("#!/bin/sh").header("content-type", "application/x-sh"),
    });
    let (mine, theirs) = (User::new(), User::new());
    let place = place(2);
    let url = named(&api);
    let folder = place.at("startup");
    let path = folder.to_str().unwrap();
    let bystander = place.with_bystander(&url);
    let words = ["--output-dir", path, "--accept-change", "--max-calls", "2"];
    theirs.stride(&place, &run(&url, &words)).expect(4);
    let (calls, written) = (api.requests(), files(&folder));
    let none = ["--max-calls", "none"];
    for verb in [&["resume"][..], &["retry"]] {
        for more in [&[][..], &["--allow-commands", "--allow-references"]] {
            let words = [verb, &none, more].concat();
            mine.stride(&place, &words)
                .expect(2)
                .says(path)
                .says("--output-dir")
                .says("stride status --request");
        }
    }
    let words = ["resume", "--db", "own.db", "--output-dir", "startup"];
    let (own, max) = (["--db", "own.db"], ["--max-calls", "1"]);
    let own = [&["run", "--url", &url][..], &own, &max, &["bystander.txt"]].concat();
    mine.stride(&place, &own).expect(0);
    let calls = calls + 1;
    mine.stride(&place, &words)
        .expect(2)
        .says("go into its database");
    assert_eq!((api.requests(), files(&folder)), (calls, written));
    // A user may name another one.
    let words = ["resume", "--max-calls", "2", "--output-dir", "other"];
    mine.stride(&place, &words).expect(4);
    assert_eq!(files(&folder), written);
    // A user who has typed it once continues, and so does one who types it again, from then on.
    let words = [&["resume", "--output-dir", "startup"][..], &none].concat();
    mine.stride(&place, &words).expect(0);
    mine.stride(&place, &["resume"]).expect(0);
    theirs.stride(&place, &["resume"]).expect(0);
    counts(&place, &[("done", 3)]);
    assert_eq!(files(&folder), 2);
    assert_eq!(place.bystander(), bystander);
}

/// stride does not read and send anything that only the database names, either.
#[test]
fn row_125_secrets_and_files_are_not_sent_for_a_request_that_was_not_given_here() {
    for header in [
        &["-H", "X-Key: {file:secret}"][..],
        &["-H", "X-Key: {env:KEY}"],
        &["-F", "a=@{path}", "-F", "b=@secret"],
        &["-F", "a=@{path}", "-F", "b=<secret"],
        &["--data-binary", "@{dir}/../secret"],
    ] {
        let api = FakeApi::start(|_| Reply::json(1));
        let (mine, theirs) = (User::new(), User::new());
        let place = place(2);
        place.write("secret", "sesame-0123");
        let url = named(&api);
        let bystander = place.with_bystander(&url);
        let words = [header, &["--accept-change", "--max-calls", "2"]].concat();
        theirs.stride(&place, &run(&url, &words)).expect(4);
        for verb in [
            &["resume", "--max-calls", "none"][..],
            &["retry", "--max-calls", "none"],
            &["try", "texts/0001"],
        ] {
            for more in [&[][..], &["--allow-commands"]] {
                mine.stride(&place, &[verb, more].concat())
                    .expect(2)
                    .says("this run's request is not known on this machine")
                    .says("--allow-references");
            }
        }
        assert_eq!(api.requests(), 2, "{header:?}");
        let one = ["try", "texts/0001", "--allow-references"];
        mine.stride(&place, &one).expect(0);
        // One call is no confirmation for the others.
        mine.stride(&place, &["resume"]).expect(2);
        let all = ["resume", "--max-calls", "none", "--allow-references"];
        mine.stride(&place, &all).expect(0);
        mine.stride(&place, &["try", "texts/0001"]).expect(0);
        mine.stride(&place, &["resume"]).expect(0);
        let known = fs::read_to_string(mine.0.path().join(".local/state/stride/requests")).unwrap();
        assert!(
            !known.contains("secret") && !known.contains("KEY"),
            "{known}"
        );
        assert_eq!(place.bystander(), bystander);
    }
}

/// A reference that was confirmed for one service is not confirmed for another.
#[test]
fn row_125_a_request_that_was_changed_elsewhere_needs_a_new_confirmation() {
    let api = FakeApi::start(|_| Reply::json(1));
    let evil = FakeApi::start(|_| Reply::json(1));
    let user = User::new();
    let place = place(2);
    let url = named(&api);
    let words = run(&url, &["-H", "X-Key: {env:KEY}", "--max-calls", "1"]);
    user.stride(&place, &words).expect(4);
    let change = |from: &str, to: &str| {
        let connection = rusqlite::Connection::open(place.at("stride.db")).unwrap();
        let sql = "UPDATE run SET call = replace(call, ?1, ?2)";
        assert_eq!(connection.execute(sql, [from, to]).unwrap(), 1);
    };
    change(&api.url(), &evil.url());
    let resume = ["resume", "--max-calls", "none"];
    user.stride(&place, &resume).expect(2).says("variable KEY");
    assert_eq!(evil.requests(), 0);
    change(&evil.url(), &api.url());
    user.stride(&place, &resume).expect(0);
    // The user may change how answers are judged; that is not another request.
    user.stride(&place, &["recheck", "--expect", "any", "--apply"])
        .expect(0);
    user.stride(&place, &["resume"]).expect(0);
}

/// A list of another user leads only to files beside its database.
#[test]
fn row_125_files_outside_of_the_databases_folder_are_not_sent_unasked() {
    let api = FakeApi::start(|_| Reply::json(1));
    let (mine, theirs) = (User::new(), User::new());
    let place = place(2);
    let url = named(&api);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("outside"), "outside").unwrap();
    let outside = elsewhere.path().join("outside");
    let outside = outside.to_str().unwrap();
    fs::create_dir(place.at("sub")).unwrap();
    symlink(outside, place.at("link")).unwrap();
    symlink(elsewhere.path(), place.at("linked")).unwrap();
    for (db, list) in [
        ("sub/a.db", &["texts/0000", "texts/0001"][..]),
        ("b.db", &["texts/0000", outside]),
        ("c.db", &["texts/0000", "sub/../../../../etc/hostname"]),
        ("d.db", &["texts/0000", "link"]),
        ("e.db", &["texts/0000", "linked/outside"]),
    ] {
        let list = [list, &["--db", db]].concat();
        let words = [
            &["run", "--url", &url, "-j", "1", "--max-calls", "1"][..],
            &list,
        ]
        .concat();
        theirs.stride(&place, &words).expect(4);
        let calls = api.requests();
        let resume = ["resume", "--db", db, "--max-calls", "none"];
        mine.stride(&place, &resume)
            .expect(2)
            .says("outside of the database's folder")
            .says("--allow-references");
        assert_eq!(api.requests(), calls, "{db}");
    }
    // The whole command does not confirm them, either, if it does not name them.
    let again = ["run", "--url", &url, "--db", "c.db", "--max-calls", "none"];
    let all = ["texts/0000", "sub/../../../../etc/hostname"];
    let calls = api.requests();
    mine.stride(&place, &[&again[..], &all[..1]].concat())
        .expect(2)
        .says("outside of the database's folder");
    assert_eq!(api.requests(), calls);
    let resume = ["resume", "--db", "b.db", "--max-calls", "none"];
    mine.stride(&place, &[&resume[..], &["--allow-references"]].concat())
        .expect(0);
    mine.stride(&place, &[&again[..], &all].concat()).expect(0);
    // Files beside the database need no confirmation.
    let words = run(&url, &["--max-calls", "1"]);
    theirs.stride(&place, &words).expect(4);
    let resume = ["resume", "--max-calls", "none"];
    mine.stride(&place, &resume).expect(0);
    counts(&place, &[("done", 2)]);
}

#[test]
fn row_126_status_shows_everything_that_a_request_would_send() {
    let api = FakeApi::start(|_| Reply::json(1));
    let (mine, theirs) = (User::new(), User::new());
    let place = place(2);
    place.write("secret", "sesame-0123");
    place.write("client.pem", "");
    let url = format!("{}?q={{env:KEY}}", named(&api));
    let folder = place.at("startup");
    let words = [
        "run",
        "texts/",
        "--dry-run",
        "--url",
        &url,
        "-H",
        "X-File: {file:secret}",
        "-H",
        "X-Ran: {cmd:echo secret}",
        "-F",
        "part=@{path}",
        "-F",
        "more=@prompt\u{1b}[2J.txt",
        "--proxy",
        "http://127.0.0.1:9",
        "--resolve",
        "api.example:443:192.0.2.7",
        "--output-dir",
        folder.to_str().unwrap(),
    ];
    place.write("prompt\u{1b}[2J.txt", "x");
    theirs.stride(&place, &words).expect(0);
    let words: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| *word != "--dry-run")
        .collect();
    let words = [&words[..], &["--max-calls", "0"]].concat();
    let ran = theirs.stride(&place, &words);
    assert!(place.at("stride.db").exists(), "{}", ran.stderr);
    let calls = api.requests();
    let here = place.at("");
    let expected = [
        "method: POST",
        &url,
        "x-file: {file:secret}",
        "x-ran: {cmd:echo secret}",
        "part=@{path}",
        r"more=@prompt\u{1b}[2J.txt",
        "proxy: http://127.0.0.1:9",
        "192.0.2.7",
        "startup",
        "sends the value of the variable KEY",
        "sends the content of the file secret",
        "runs the command echo secret",
        "writes files into the folder",
        here.to_str().unwrap().trim_end_matches('/'),
    ];
    let shown = |user: &User, words: &[&str]| {
        let ran = user.stride(&place, words).expect(0);
        String::from_utf8(ran.stdout).unwrap()
    };
    for text in [
        shown(&mine, &["status"]),
        shown(&theirs, &["status", "--request"]),
    ] {
        for each in expected {
            assert!(text.contains(each), "{each:?} is not in:\n{text}");
        }
        assert!(!text.contains("sesame"), "{text}");
    }
    let ordinary = shown(&theirs, &["status"]);
    assert!(!ordinary.contains("x-file"), "{ordinary}");
    let json: Value = serde_json::from_str(&shown(&mine, &["status", "--json"])).unwrap();
    assert_eq!(json["given"], false);
    let uses = json["uses"].to_string();
    for each in [
        "\"variable\"",
        "\"secret_file\"",
        "\"command\"",
        "\"file\"",
        "\"folder\"",
    ] {
        assert!(uses.contains(each), "{uses}");
    }
    assert_eq!(json["call"]["transport"]["proxy"], "http://127.0.0.1:9");
    let json = shown(&theirs, &["status", "--json"]);
    assert!(json.contains("\"given\": true"), "{json}");
    assert_eq!(api.requests(), calls);
}
