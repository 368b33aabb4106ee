//! Results in files of their own: their names, files in their way, and damage to them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stride::job::Checksum;

use super::{Place, listed};
use crate::support::{Counter, FakeApi, Gate, Reply, Request};

const AUDIO: &[u8] = b"ID3\xff\0audio";

/// An answer of each kind, by the name of the file.
fn answer(request: &Request) -> Reply {
    let typed = |media_type: &str, body: &[u8]| Reply::status(200).body(media_type, body.to_vec());
    match request.target.trim_start_matches('/') {
        "speech" => typed("audio/mpeg", AUDIO),
        "image" => typed("image/png", b"\x89PNG"),
        "text" => typed("text/plain; charset=utf-8", b"words"),
        "nameless" => Reply::status(200),
        "climbs" => typed("../../x", b"climbs"),
        "climbs-later" => typed("text/../../x", b"climbs"),
        "odd" => typed("audio/é\"; rm -rf", b"odd"),
        "says-a-name" => typed("application/x-nobody-knows", b"#!/bin/sh").header(
            "Content-Disposition",
            "attachment; filename=\"../../evil.sh\"",
        ),
        name => Reply::json(json!({"name": name, "n": name.len()})),
    }
}

/// A place with a bystander, and files of these names.
fn place(api: &FakeApi, names: &[&str]) -> (Place, String, Vec<Vec<String>>) {
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    names.iter().for_each(|name| place.write(name, name));
    (place, url, bystander)
}

/// The words of a run whose results go into `out`.
fn words<'w>(url: &'w str, names: &[&'w str]) -> Vec<&'w str> {
    let head = [
        "run",
        "--accept-change",
        "--url",
        url,
        "--output-dir",
        "out",
    ];
    [&head[..], names].concat()
}

/// The file with the result of a job.
fn file(place: &Place, name: &str) -> PathBuf {
    let sql = format!(
        "SELECT result.file FROM result JOIN job ON job.id = result.job WHERE path = '{name}'"
    );
    place.at(&place.sql(&sql)[0][0])
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn row_100_the_job_alone_names_the_file_of_a_result() {
    let api = FakeApi::start(answer);
    let kinds = [
        ("speech", "mp3", AUDIO),
        ("image", "png", b"\x89PNG"),
        ("text", "txt", b"words"),
        ("nameless", "bin", b""),
        ("climbs", "bin", b"climbs"),
        ("climbs-later", "bin", b"climbs"),
        ("odd", "bin", b"odd"),
        ("says-a-name", "bin", b"#!/bin/sh"),
        ("data", "json", br#"{"n":4,"name":"data"}"#),
    ];
    let names = kinds.map(|(name, ..)| name);
    let (place, url, bystander) = place(&api, &names);
    let before = listed(&place.at(""));
    let ran = place.stride(&words(&url, &names)).expect(0);

    let out = place.at("out").canonicalize().unwrap();
    ran.says(&format!(
        "results: each is written to a file in {}",
        out.display()
    ));
    assert_eq!(mode(&out), 0o700);
    let mut expected = Vec::new();
    for (name, ending, body) in kinds {
        let row = &place.sql(&format!(
            "SELECT job.id, file, size, hex(sha256), length(body), typeof(file) FROM result JOIN job ON job.id = job
             WHERE path = '{name}'"
        ))[0];
        let (id, path) = (&row[0], &place.at(&row[1]));
        assert_eq!(row[1], format!("out/{id}.{ending}"));
        assert_eq!(
            path.file_name().unwrap().to_str().unwrap(),
            format!("{id}.{ending}")
        );
        assert_eq!(path.parent().unwrap().canonicalize().unwrap(), out);
        let bytes = fs::read(path).unwrap();
        // The service chooses the order of the fields.
        if ending == "json" {
            assert_eq!(
                serde_json::from_slice::<Value>(&bytes).unwrap(),
                serde_json::from_slice::<Value>(body).unwrap()
            );
        } else {
            assert_eq!(bytes, body, "{name}");
        }
        assert_eq!(mode(path), 0o600);
        let sum = Checksum::of(&bytes).to_string();
        assert_eq!(row[2], bytes.len().to_string());
        assert_eq!(
            (row[3].to_lowercase(), &*row[4], &*row[5]),
            (sum, "0", "text")
        );
        expected.push(format!("{id}.{ending}"));
    }
    expected.sort();
    assert_eq!(listed(&out), expected);
    let mut after = listed(&place.at(""));
    after.retain(|name| name != "out");
    assert_eq!(after, before);
    assert!(!place.at("../x").exists() && !place.at("../evil.sh").exists());
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn exports_have_the_paths_of_results_and_read_them_if_needed() {
    let api = FakeApi::start(answer);
    let (place, url, bystander) = place(&api, &["speech", "data"]);
    place.stride(&words(&url, &["speech", "data"])).expect(0);
    let speech = file(&place, "speech");
    let told = json!({
        "file": speech.to_str().unwrap(),
        "size": AUDIO.len(),
        "media_type": "audio/mpeg",
        "sha256": Checksum::of(AUDIO).to_string(),
    });
    let exported = place.stride(&["export"]).expect(0).json();
    assert_eq!(exported["speech"], told);
    assert_eq!(exported["bystander.txt"]["name"], "bystander.txt");
    let lines = place
        .stride(&["export", "--format", "jsonl"])
        .expect(0)
        .stdout;
    let lines: Vec<Value> = String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[1]["result"], told);
    let table = place
        .stride(&["export", "--format", "csv"])
        .expect(0)
        .stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains(speech.to_str().unwrap()), "{table}");

    let extracted = place.stride(&["export", "--extract", ".n?"]).expect(0);
    assert_eq!(
        extracted.json(),
        json!({"bystander.txt": 13, "speech": null, "data": 4})
    );
    // Without the folder it is a different request.
    place
        .stride(&["run", "--url", &url, "data"])
        .expect(2)
        .says("- output-dir: ");
    place.stride(&["resume"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn an_existing_file_or_link_is_neither_overwritten_nor_followed() {
    let api = FakeApi::start(answer);
    let (place, url, bystander) = place(&api, &["text", "speech", "image"]);
    fs::create_dir(place.at("out")).unwrap();
    // The bystander is the first job.
    symlink(place.at("victim"), place.at("out/1.txt")).unwrap();
    place.write("theirs", "theirs");
    symlink(place.at("theirs"), place.at("out/2.mp3")).unwrap();
    place.write("out/3.png", "there");
    place
        .stride(&words(&url, &["text", "speech", "image"]))
        .expect(0);
    assert!(!place.at("victim").exists());
    assert_eq!(fs::read(place.at("theirs")).unwrap(), b"theirs");
    assert_eq!(fs::read(place.at("out/3.png")).unwrap(), b"there");
    for (name, start, body) in [
        ("text", "1-", &b"words"[..]),
        ("speech", "2-", AUDIO),
        ("image", "3-", b"\x89PNG"),
    ] {
        let path = file(&place, name);
        assert!(
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(start)
        );
        assert!(!path.is_symlink());
        assert_eq!(fs::read(path).unwrap(), body);
    }
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_later_attempt_has_its_number_in_the_name() {
    let api = FakeApi::start(|request| match request.attempt {
        0 if request.target == "/text" => Reply::status(500),
        _ => answer(request),
    });
    let (place, url, bystander) = place(&api, &["text"]);
    let quick = [&words(&url, &["text"])[..], &["--retry-delay", "1ms"]].concat();
    place.stride(&quick).expect(0);
    assert_eq!(listed(&place.at("out")), ["1-2.txt"]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn without_the_folder_results_go_into_the_database_with_one_warning() {
    let folder = Arc::new(Mutex::new(None::<PathBuf>));
    let api = FakeApi::start({
        let folder = Arc::clone(&folder);
        move |request| {
            if let Some(folder) = &*folder.lock().unwrap() {
                let _ = fs::remove_dir_all(folder);
            }
            answer(request)
        }
    });
    let (place, url, bystander) = place(&api, &["text", "speech", "image"]);
    *folder.lock().unwrap() = Some(place.at("out"));
    let said = place
        .stride(&words(&url, &["text", "speech", "image"]))
        .expect(0)
        .says("cannot write into ")
        .says("are stored in the database instead");
    assert_eq!(said.stderr.matches("cannot write into").count(), 1);
    assert_eq!(
        place.sql("SELECT count(*), count(file), sum(length(body)) FROM result WHERE job > 0"),
        [["3", "0", &(5 + AUDIO.len() + 4).to_string()]]
    );
    let exported = place.stride(&["export"]).expect(0).json();
    assert_eq!(exported["text"], "words");
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_file_that_is_missing_or_changed_is_named() {
    let api = FakeApi::start(answer);
    let (place, url, bystander) = place(&api, &["data", "text", "speech"]);
    place
        .stride(&words(&url, &["data", "text", "speech"]))
        .expect(0);
    let [data, text, speech] = ["data", "text", "speech"].map(|name| file(&place, name));
    let whole = fs::read(&data).unwrap();
    fs::remove_file(&data).unwrap();
    fs::write(&text, "longer words").unwrap();
    let mut changed = AUDIO.to_vec();
    changed[0] ^= 1;
    fs::write(&speech, changed).unwrap();
    let verdict = place.stride(&["verify"]);
    assert_eq!(verdict.code, Some(6), "{}", verdict.stderr);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&verdict.stdout),
        verdict.stderr
    );
    assert!(said.contains("missing or changed: 3 result files"));
    assert!(said.contains("the database itself is sound"));
    // Their damage does not hide that of the database.
    let count = |change: &str| {
        let database = rusqlite::Connection::open(place.at("stride.db")).unwrap();
        let sql = format!("UPDATE counts SET attempts = attempts {change}");
        database.execute(&sql, []).unwrap();
    };
    count("+ 1");
    place.stride(&["verify"]).expect(6).says("is damaged");
    count("- 1");
    for words in [
        format!(
            "the file {}, the result of data, cannot be used: No such file",
            data.display()
        ),
        "it has 12 bytes, and 5 were recorded".to_owned(),
        format!(
            "the file {}, the result of speech, cannot be used: its bytes are not those",
            speech.display()
        ),
    ] {
        assert!(said.contains(&words), "{words} is not in {said}");
    }
    let before = place.sql("SELECT * FROM result");
    for words in [
        &["recheck", "--success", ".n"][..],
        &["recheck", "--success", ".n", "--apply"],
    ] {
        place
            .stride(words)
            .expect(1)
            .says(data.to_str().unwrap())
            .says("stride verify");
    }
    assert_eq!(place.sql("SELECT * FROM result"), before);
    fs::write(&data, whole).unwrap();
    place
        .stride(&["recheck", "--success", ".n"])
        .expect(1)
        .says(text.to_str().unwrap());
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_128_an_export_insists_on_each_result_in_a_file() {
    let api = FakeApi::start(answer);
    let names = ["data", "text", "speech", "image"];
    let (place, url, bystander) = place(&api, &names);
    place.stride(&words(&url, &names)).expect(0);
    let [data, text, speech] = ["data", "text", "speech"].map(|name| file(&place, name));
    fs::remove_file(&data).unwrap();
    fs::write(&text, "longer words").unwrap();
    let mut changed = AUDIO.to_vec();
    changed[0] ^= 1;
    fs::write(&speech, changed).unwrap();
    for (format, target) in [
        ("json", "a.json"),
        ("jsonl", "a.jsonl"),
        ("csv", "a.csv"),
        ("parquet", "a.parquet"),
        ("dir", "answers"),
    ] {
        for extract in [&[][..], &["--extract", "."]] {
            let export = ["export", "--format", format, "-o", target];
            let export = [&export[..], extract].concat();
            place
                .stride(&export)
                .expect(3)
                .says("the result of data")
                .says(data.to_str().unwrap())
                .says("--partial")
                .says("stride verify");
            assert!(!place.at(target).exists(), "{format}");
            let partial = [&export[..], &["--partial"]].concat();
            let ran = place.stride(&partial).expect(3);
            let ran = ran
                .says("wrote 2 results")
                .says("skipped 3 damaged or missing results");
            for name in ["data", "text", "speech"] {
                assert!(ran.stderr.contains(name), "{}", ran.stderr);
            }
            match place.at(target).is_dir() {
                true => fs::remove_dir_all(place.at(target)).unwrap(),
                false => fs::remove_file(place.at(target)).unwrap(),
            }
        }
        // A stream reports it, too, and contains no damaged result.
        if format != "dir" {
            place.stride(&["export", "--format", format]).expect(3);
            let stream = place.stride(&["export", "--format", format, "--all"]);
            stream.expect(3).says("skipped ");
        }
    }
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn recheck_reads_a_result_from_its_file_and_moves_a_rejected_one() {
    let api = FakeApi::start(answer);
    let (place, url, bystander) = place(&api, &["data", "other"]);
    place.stride(&words(&url, &["data", "other"])).expect(0);
    let path = file(&place, "other");
    let bytes = fs::read(&path).unwrap();
    let calls = api.requests();
    place
        .stride(&["recheck", "--success", ".n != 5"])
        .expect(0)
        .says("done -> failed: 1 file");
    place
        .stride(&["recheck", "--success", ".n != 5", "--apply"])
        .expect(0)
        .says("done -> failed: 1 file");
    assert_eq!(
        place.sql("SELECT CAST(body AS TEXT) FROM rejected_response"),
        [[String::from_utf8(bytes.clone()).unwrap()]]
    );
    assert_eq!(fs::read(&path).unwrap(), bytes, "the file is the user's");
    place.stride(&["verify"]).expect(0);
    place
        .stride(&["recheck", "--success", "", "--apply"])
        .expect(0)
        .says("not done -> done: 1 file");
    let exported = place.stride(&["export"]).expect(0).json();
    assert_eq!(exported["other"]["n"], 5);
    assert_eq!(
        exported["data"]["size"],
        fs::metadata(file(&place, "data")).unwrap().len()
    );
    place.stride(&["verify"]).expect(0);
    assert_eq!(api.requests(), calls);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn only_results_go_into_files() {
    let api = FakeApi::start(answer);
    let (place, url, bystander) = place(&api, &["text", "data"]);
    let strict = [&words(&url, &["text", "data"])[..], &["--expect", "json"]].concat();
    place.stride(&strict).expect(3);
    assert_eq!(listed(&place.at("out")), ["2.json"]);
    assert_eq!(
        place.sql("SELECT job, CAST(body AS TEXT) FROM rejected_response"),
        [["1", "words"]]
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_walk_takes_no_result_for_input() {
    let api = FakeApi::start(answer);
    let (place, url, bystander) = place(&api, &["in/data", "in/text"]);
    let command = [
        "run",
        "--accept-change",
        "--url",
        &url,
        "--output-dir",
        "in/out",
        "in",
    ];
    place.stride(&command).expect(0);
    place.stride(&command).expect(0).says("in/out");
    place
        .stride(&["run", "--accept-change", "--url", &url, "in"])
        .expect(0);
    assert_eq!(place.status()["total"], json!(3));
    assert_eq!(listed(&place.at("in/out")).len(), 2);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn an_unusable_folder_is_refused_before_anything_is_created_or_called() {
    let api = FakeApi::start(answer);
    let place = Place::new();
    place.write("in/data", "data");
    place.write("file", "file");
    symlink("nowhere", place.at("link")).unwrap();
    let before = listed(&place.at(""));
    for (folder, said) in [
        ("file", "it is not a folder"),
        ("file/below", "ot a directory"),
        ("link", "a dangling link"),
        ("in", "cannot be both the input and the folder"),
        ("", "a value is required"),
    ] {
        place
            .stride(&["run", "--url", &api.url(), "--output-dir", folder, "in"])
            .expect(2)
            .says(said);
        assert_eq!(listed(&place.at("")), before, "{folder:?}");
    }
    // Reading creates nothing, either.
    let look = [
        "run",
        "--dry-run",
        "--url",
        &api.url(),
        "--output-dir",
        "out",
        "in",
    ];
    place.stride(&look).expect(0);
    assert_eq!((listed(&place.at("")), api.requests()), (before, 0));
}

#[test]
fn a_killed_run_continues_and_every_result_has_its_file() {
    const FILES: usize = 60;
    let gate = Gate::default();
    let api = FakeApi::start({
        let (gate, seen) = (gate.clone(), Counter::default());
        // The last calls wait, so that the run can be killed. Not fixed files: the first call of each runner goes alone, and
        // can be of any file.
        move |request| match seen.add() {
            0..55 => answer(request),
            _ => answer(request).when(&gate),
        }
    });
    let (place, url, bystander) = place(&api, &[]);
    place.texts(FILES);
    let command = [&words(&url, &["texts"])[..], &["-j", "4"]].concat();
    for kill in 1..=5 {
        let run = place.begin(&command);
        api.wait_for(kill * 10);
        run.kill();
    }
    gate.open();
    place.stride(&command).expect(0);
    let files = place
        .sql("SELECT file FROM result WHERE file IS NOT NULL")
        .concat();
    assert_eq!(files.len(), FILES);
    assert!(files.iter().all(|file| place.at(file).is_file()));
    // Leftovers of a kill lie beside them, and no job has two results.
    let distinct: std::collections::HashSet<_> = files.iter().collect();
    assert_eq!(distinct.len(), FILES);
    assert!(listed(&place.at("out")).len() <= FILES + 5 * 4);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}
