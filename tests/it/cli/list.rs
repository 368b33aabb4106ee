//! Lists: files, folders, names of any bytes.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Place, listed};
use crate::support::{FakeApi, Reply};

fn echo() -> FakeApi {
    FakeApi::start(|request| {
        Reply::json(json!({"body": request.body.len(), "target": request.target}))
    })
}

#[test]
fn rows_47_and_48_a_longer_list_adds_and_a_shorter_one_removes_nothing() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(3);
    let run = |words: &[&str]| place.stride(&[&["run", "--url", &api.url()], words].concat());
    run(&["texts/0000", "texts/0001", "texts/0000"])
        .expect(0)
        .says("1 duplicate collapsed")
        .says("missing from the list");
    run(&["texts", "bystander.txt"])
        .expect(0)
        .says("4 files, 1 of them new");
    run(&["texts/0002"]).expect(0).says(
        "3 files of this run missing from the list and kept: bystander.txt, texts/0000, texts/0001",
    );
    assert_eq!(api.requests(), 4);
    let order = place.sql("SELECT path FROM job ORDER BY id").concat();
    assert_eq!(
        order,
        ["bystander.txt", "texts/0000", "texts/0001", "texts/0002"]
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_walk_skips_files_that_stride_wrote() {
    let api = echo();
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/.hidden", "no");
    let folder = place.at("in");
    let url = api.url();
    let run = |words: &[&str]| {
        let words = [
            &["run", "--url", &url, "--events", "events.jsonl", "."],
            words,
        ]
        .concat();
        let output = place.command(&words).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    run(&[]);
    let export = |words: &[&str]| place.command(words).current_dir(&folder).output().unwrap();
    assert!(export(&["export", "-o", "results.json"]).status.success());
    let to = fs::File::create(folder.join("redirected.json")).unwrap();
    assert!(
        place
            .command(&["export"])
            .current_dir(&folder)
            .stdout(to)
            .status()
            .unwrap()
            .success()
    );
    let said = run(&[]);
    assert!(said.contains("skipped stride's own files"), "{said}");
    assert_eq!(
        place
            .command(&["status", "--json"])
            .current_dir(&folder)
            .output()
            .unwrap()
            .stdout
            .first(),
        Some(&b'{')
    );
    assert_eq!(api.requests(), 1, "{said}");
    assert_eq!(
        listed(&folder),
        [
            ".hidden",
            "a.txt",
            "events.jsonl",
            "redirected.json",
            "results.json",
            "stride.db",
            "stride.db.lock"
        ]
    );
}

#[test]
fn rows_49_and_50_any_name_goes_all_the_way() {
    let names: Vec<Vec<u8>> = vec![
        b"new\nline".to_vec(),
        b"quo\"te'".to_vec(),
        b"-dash".to_vec(),
        b"\xff\xfe caf\xe9".to_vec(),
        vec![b'n'; 200],
        b"   ".to_vec(),
        b"=1+1".to_vec(),
        b"\x1b]0;pwn\x07".to_vec(),
        "größe 文 👍".into(),
        b"{env:HOME}{path}".to_vec(),
        b"'; DROP TABLE job;--".to_vec(),
        b"100%41".to_vec(),
    ];
    let api = echo();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    for name in &names {
        place.write([b"odd/", name.as_slice()].concat(), name);
    }
    let mut list = place.command(&["run", "--url", &url, "-0", "--files-from", "-"]);
    let mut run = list
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = run.stdin.take().unwrap();
    for name in &names {
        stdin
            .write_all(&[b"odd/", name.as_slice(), b"\0"].concat())
            .unwrap();
    }
    drop(stdin);
    assert!(run.wait().unwrap().success());

    // The same bytes reach the service, percent-encoded.
    for name in &names {
        let encoded: String =
            percent_encoding::percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string();
        let decoded =
            |target: &str| percent_encoding::percent_decode_str(target).collect::<Vec<u8>>();
        let expected = [b"/", name.as_slice()].concat();
        assert!(
            api.log()
                .iter()
                .any(|call| decoded(&call.target) == expected),
            "{encoded}"
        );
        let body = api
            .log()
            .iter()
            .find(|call| decoded(&call.target) == expected)
            .unwrap()
            .body
            .clone();
        assert_eq!(&*body, name.as_slice());
    }
    // Every export contains them.
    let jsonl = place
        .stride(&["export", "--format", "jsonl"])
        .expect(0)
        .stdout;
    let lines: Vec<Value> = jsonl
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(lines.len(), names.len() + 1);
    for (line, name) in lines[1..].iter().zip(&names) {
        let name = [b"odd/", name.as_slice()].concat();
        match std::str::from_utf8(&name) {
            Ok(text) => assert_eq!(line["file"], text),
            Err(_) => {
                use base64::Engine as _;
                let encoded = base64::engine::general_purpose::STANDARD.encode(&name);
                assert_eq!(line["path_bytes"], encoded);
            }
        }
    }
    let json = String::from_utf8(place.stride(&["export"]).expect(0).stdout).unwrap();
    assert!(json.contains(r#""odd/\udcff\udcfe caf\udce9": "#), "{json}");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_44_lists_that_cannot_be_read_leave_nothing_behind() {
    let place = Place::new();
    fs::create_dir(place.at("folder")).unwrap();
    place.write("nul", b"a\0b\n");
    for list in ["none", "folder", "nul"] {
        let words = ["run", "--url", "http://127.0.0.1:9/", "--files-from", list];
        place.stride(&words).expect(2).says("error: ").says(list);
        assert_eq!(listed(&place.at("")), ["folder", "nul"], "{list}");
    }
}

#[test]
fn row_43_an_empty_list_is_a_run_with_nothing_to_do() {
    let place = Place::new();
    place.write("list", "\n\n");
    place
        .stride(&[
            "run",
            "--url",
            "http://127.0.0.1:9/",
            "--files-from",
            "list",
        ])
        .expect(0)
        .says("0 files");
    assert_eq!(place.stride(&["export"]).expect(0).json(), json!({}));
}

#[test]
fn rows_52_and_54_a_folder_or_missing_file_fails_without_a_call() {
    let api = echo();
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    fs::create_dir(place.at("folder")).unwrap();
    fs::create_dir(place.at("folder/below")).unwrap();
    let fifo = place.at(OsStr::from_bytes(b"fifo"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    place.write("list", "missing\nfifo\nfolder\n/dev/zero\n");
    place
        .stride(&["run", "--url", &api.url(), "--files-from", "list"])
        .expect(3);
    assert_eq!(api.requests(), 1);
    let failures = place.stride(&["failures", "--json"]).expect(0).json();
    let found: Vec<(&str, &str)> = failures
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| {
            assert_eq!(
                (&failure["outcome"], &failure["class"]),
                (&json!("not_sent"), &json!("input"))
            );
            (
                failure["path"].as_str().unwrap(),
                failure["kind"].as_str().unwrap(),
            )
        })
        .collect();
    let not = "not_a_regular_file";
    assert_eq!(
        found,
        [
            ("missing", "input_missing"),
            ("fifo", not),
            ("folder", not),
            ("/dev/zero", not)
        ]
    );
    // A file that appeared meanwhile is called.
    place.write("missing", "here");
    place
        .stride(&["retry", "--match", "missing"])
        .expect(3)
        .says("1 failed file pending again");
    assert_eq!(api.requests(), 2);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_run_continues_from_another_folder() {
    let api = echo();
    let place = Place::new();
    place.texts(2);
    place.write("else/x", "x");
    let run = place.begin(&["run", "--url", "http://127.0.0.1:9/", "texts"]);
    run.until_says("service unavailable");
    run.signal(rustix::process::Signal::INT);
    run.end().expect(130);
    let elsewhere = |words: &[&str]| {
        let output = place
            .command(words)
            .current_dir(place.at("else"))
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = elsewhere(&[
        "run",
        "--accept-change",
        "--db",
        "../stride.db",
        "--url",
        &api.url(),
        "x",
    ]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("made in another folder"), "{said}");
    let absolute = place.at("else/x");
    let words = [
        "run",
        "--accept-change",
        "--db",
        "../stride.db",
        "--url",
        &api.url(),
        absolute.to_str().unwrap(),
    ];
    let (code, said) = elsewhere(&words);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(api.requests(), 3);
}

/// Opening the database as a file and closing it again would cost SQLite its locks.
#[test]
fn the_database_is_refused_as_input_under_any_name() {
    let api = echo();
    let place = Place::new();
    place.write("list", "stride.db\n./stride.db\n");
    place
        .stride(&["run", "--url", &api.url(), "--files-from", "list"])
        .expect(0)
        .says("own files");
    place.write("in/a", "a");
    std::os::unix::fs::symlink("../stride.db", place.at("in/link")).unwrap();
    fs::hard_link(place.at("stride.db.lock"), place.at("in/hard")).unwrap();
    place
        .stride(&["run", "--url", &api.url(), "in"])
        .expect(0)
        .says("own files: in/hard, in/link");
    assert_eq!(
        (api.requests(), place.status()["total"].clone()),
        (1, json!(1))
    );
}

#[test]
fn a_file_with_the_locks_name_is_kept_if_it_is_not_a_lock() {
    let place = Place::new();
    place.write("Cargo.lock", "[[package]]\n");
    let words = [
        "run",
        "--db",
        "Cargo",
        "--url",
        "http://127.0.0.1:9/",
        "--files-from",
        "none",
    ];
    place
        .stride(&words)
        .expect(6)
        .says("not a lock file of stride");
    assert_eq!(fs::read(place.at("Cargo.lock")).unwrap(), b"[[package]]\n");
}

/// JSON cannot carry such a name, and another one in its place would be wrong.
#[test]
fn a_name_that_is_not_utf_8_fails_in_json() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write(b"caf\xe9", "x");
    place.write("plain", "x");
    place.write("list", b"caf\xe9\nplain\n");
    let run = [
        "run",
        "--accept-change",
        "--url",
        &api.url(),
        "--files-from",
        "list",
    ];
    let data = ["--json", r#"{"name": "{name}", "path": {path}}"#];
    let calls = api.requests();
    place.stride(&[&run[..], &data].concat()).expect(3);
    assert_eq!(api.requests(), calls + 1);
    let failures = place.stride(&["failures", "--json"]).json();
    assert_eq!(
        (&failures[0]["class"], &failures[0]["kind"]),
        (&"input".into(), &"not_text".into())
    );
    assert_eq!(failures.as_array().unwrap().len(), 1);
    // Elsewhere it is sent as it is.
    place.stride(&["retry", "-q"]).expect(3);
    place
        .stride(&[&run[..], &["-d", "n={name}"]].concat())
        .expect(3);
    place.stride(&["retry"]).expect(0);
    assert_eq!(&*api.log().pop().unwrap().request.body, b"n=caf%E9");
    assert_eq!(place.bystander(), bystander);
}
