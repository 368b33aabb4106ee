//! Exports to a folder: the files' names, and which folders an export may replace.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use stride::export::{ExportError, FileError, Form, Format, Selection, to_folder};
use stride::extract::Extraction;
use stride::job::{Checksum, Class, FileName};
use stride::jq::Expression;

use super::{VERBATIM, done, mixed};
use crate::support::{Fixture, answered, attempt, failed, succeeded};

fn write(fixture: &Fixture, selection: Selection, folder: &str) -> Result<u64, ExportError> {
    let folder = fixture.at(folder);
    to_folder(&fixture.reader(), Format::Json, selection, &folder).map(|written| written.jobs)
}

/// All files below a folder, by their names relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, &mut found);
    found.sort();
    let below = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_owned();
    found.iter().map(below).collect()
}

fn manifest(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("manifest.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_answer_is_a_file_byte_for_byte_and_in_the_manifest() {
    let fixture = done();
    assert_eq!(write(&fixture, Selection::Whole, "out").unwrap(), 4);
    let out = fixture.at("out");
    assert_eq!(
        files(&out),
        [
            "a.json",
            "b.bin",
            "by'stander\" % _ ? ;--.txt.json",
            "c.txt",
            "manifest.jsonl"
        ]
        .map(PathBuf::from)
    );
    assert_eq!(
        fs::read_to_string(out.join("a.json")).unwrap(),
        format!("\n {VERBATIM}\r\n")
    );
    assert_eq!(fs::read(out.join("b.bin")).unwrap(), b"\xff\0");
    let lines = manifest(&out);
    let names: Vec<&str> = lines
        .iter()
        .map(|line| line["file"].as_str().unwrap())
        .collect();
    assert_eq!(names[..3], ["b", "a", "c"]);
    for line in &lines {
        let bytes = fs::read(out.join(line["answer"].as_str().unwrap())).unwrap();
        assert_eq!(line["size"], bytes.len() as u64);
        assert_eq!(line["sha256"], Checksum::of(&bytes).to_string());
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (folder, file) = (fixture.at("usual"), fixture.at("usual/file"));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, "").unwrap();
    assert_eq!(mode(&out), mode(&folder));
    assert_eq!(mode(&out.join("a.json")), mode(&file));
}

#[test]
fn paths_stay_in_the_folder_and_are_unique() {
    let names = [
        &b"../../outside"[..],
        b"/etc/passwd",
        b"a",
        b"./a",
        b"a.json",
        b"a.json/b",
        b"x",
        b"x/y",
        b"x.json.json/z",
        b"manifest",
        b"manifest.jsonl",
        b"caf\xe9",
        b"deep/er/caf\xe9/../x",
    ]
    .map(FileName::new);
    let fixture = Fixture::new(&names);
    let mut store = fixture.start();
    for (index, name) in names.iter().enumerate() {
        let answer = match name.as_bytes() {
            b"manifest" => answered("application/x-ndjson", index.to_string()),
            _ => succeeded(&index.to_string()),
        };
        attempt(&mut store, fixture.id(name.clone()), answer);
    }
    drop(store);
    fs::create_dir(fixture.at("place")).unwrap();
    assert_eq!(write(&fixture, Selection::Whole, "place/out").unwrap(), 14);
    assert_eq!(fs::read_dir(fixture.at("place")).unwrap().count(), 1);
    let out = fixture.at("place/out");
    let lines = manifest(&out);
    let mut places = Vec::new();
    for (index, line) in lines.iter().enumerate().take(names.len()) {
        let name = match line["answer_bytes"].as_str() {
            None => line["answer"].as_str().unwrap().as_bytes().to_vec(),
            Some(bytes) => {
                use base64::Engine as _;
                let decoded = base64::engine::general_purpose::STANDARD.decode(bytes);
                decoded.unwrap()
            }
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(&name));
        assert_eq!(
            fs::read_to_string(out.join(path)).unwrap(),
            index.to_string()
        );
        places.push(path.to_string_lossy().into_owned());
    }
    assert_eq!(
        places,
        [
            "__/__/outside.json",
            "etc/passwd.json",
            "a.json",
            "a-2.json",
            "a-3.json",
            "a.json-2/b.json",
            "x.json",
            "x/y.json",
            "x.json.json/z.json",
            "manifest-2.jsonl",
            "manifest.jsonl.json",
            "caf\u{fffd}.json",
            "deep/er/caf\u{fffd}/__/x.json",
        ]
    );
    assert_eq!(files(&out).len(), 15);
    // A second export replaces the first one.
    assert_eq!(write(&fixture, Selection::Whole, "place/out").unwrap(), 14);
    assert_eq!(files(&out).len(), 15);
}

#[test]
fn the_manifest_has_jobs_without_an_answer() {
    let fixture = mixed();
    assert!(matches!(
        write(&fixture, Selection::Whole, "out"),
        Err(ExportError::Incomplete { .. })
    ));
    assert!(!fixture.at("out").exists());
    assert_eq!(write(&fixture, Selection::All, "out").unwrap(), 7);
    let lines = manifest(&fixture.at("out"));
    assert_eq!(lines.len(), 7);
    assert_eq!(files(&fixture.at("out")).len(), 4);
    assert_eq!(lines[1]["path_bytes"], "ZmFpbOlk");
    assert_eq!(
        (&lines[1]["state"], &lines[1]["class"], &lines[1]["status"]),
        (&"failed".into(), &"rejected".into(), &422.into())
    );
    assert_eq!(lines[1]["answer"], Value::Null);
    // A partial export replaces a whole one.
    assert_eq!(write(&fixture, Selection::Partial, "out").unwrap(), 3);
    assert_eq!(manifest(&fixture.at("out")).len(), 3);
}

#[test]
fn an_extracted_value_is_a_text_or_json_file() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("a"), succeeded(r#"{"by": "words"}"#));
    attempt(&mut store, fixture.id("b"), succeeded(r#"{"by": [1, 2]}"#));
    drop(store);
    let extract = Extraction {
        expression: Expression::new(".by").unwrap(),
        has_body: true,
    };
    let form = Form {
        extract: Some(&extract),
        ..Format::Json.into()
    };
    let out = fixture.at("out");
    to_folder(&fixture.reader(), form, Selection::Whole, &out).unwrap();
    assert_eq!(fs::read_to_string(out.join("a.txt")).unwrap(), "words");
    assert_eq!(fs::read_to_string(out.join("b.json")).unwrap(), "[1,2]");
}

#[test]
fn a_folder_that_is_not_an_export_is_not_changed() {
    let fixture = done();
    let at = |name: &str| fixture.at(name);
    let refused = |folder: &str| {
        let before = files(&at(folder));
        let refused = write(&fixture, Selection::Whole, folder);
        assert!(
            matches!(refused, Err(ExportError::File(FileError::Target { .. }))),
            "{folder}: {refused:?}"
        );
        assert_eq!(files(&at(folder)), before, "{folder}");
    };
    fs::create_dir(at("theirs")).unwrap();
    fs::write(at("theirs/letter"), "dear").unwrap();
    refused("theirs");
    // A foreign manifest.
    for text in [
        "",
        "{}\n",
        "not json\n",
        "{\"file\":\"x\",\"state\":\"done\",\"answer\":\"letter\",\"sha256\":null}\n{}\n",
    ] {
        fs::write(at("theirs/manifest.jsonl"), text).unwrap();
        refused("theirs");
    }
    // A manifest that names a file outside the folder.
    fs::write(at("beside"), "").unwrap();
    let leads = "{\"file\":\"x\",\"state\":\"done\",\"answer\":\"/etc/passwd\",\"sha256\":null}\n";
    fs::write(at("theirs/manifest.jsonl"), leads).unwrap();
    refused("theirs");
    // An export with a file added, with a file missing, or with a link in place of a file.
    write(&fixture, Selection::Whole, "out").unwrap();
    fs::create_dir(at("out/mine")).unwrap();
    fs::write(at("out/mine/notes"), "mine").unwrap();
    refused("out");
    fs::rename(at("out/mine/notes"), at("out/.notes")).unwrap();
    refused("out");
    fs::remove_file(at("out/.notes")).unwrap();
    fs::rename(at("out/a.json"), at("elsewhere")).unwrap();
    refused("out");
    symlink(at("elsewhere"), at("out/a.json")).unwrap();
    refused("out");
    fs::remove_file(at("out/a.json")).unwrap();
    fs::rename(at("elsewhere"), at("out/a.json")).unwrap();
    write(&fixture, Selection::Whole, "out").unwrap();
    assert!(!at("out/mine").exists());
    // An export with an edited answer, also of the same size.
    let answer = fs::read(at("out/a.json")).unwrap();
    fs::write(at("out/a.json"), "longer and mine").unwrap();
    refused("out");
    let mut edited = answer.clone();
    edited[0] ^= 1;
    let later = SystemTime::now() + Duration::from_secs(60);
    for (bytes, is_refused) in [(&edited, true), (&answer, false)] {
        fs::write(at("out/a.json"), bytes).unwrap();
        let file = fs::File::options().append(true).open(at("out/a.json"));
        file.unwrap().set_modified(later).unwrap();
        match is_refused {
            true => refused("out"),
            false => drop(write(&fixture, Selection::Whole, "out").unwrap()),
        }
    }
    // A regular file, and the run's own files.
    fs::write(at("file"), "").unwrap();
    for own in ["file", "stride.db", "stride.db.lock"] {
        let refused = write(&fixture, Selection::Whole, own);
        assert!(
            matches!(refused, Err(ExportError::File(FileError::Target { .. }))),
            "{own}"
        );
    }
    let hidden = fs::read_dir(fixture.folder()).unwrap();
    let hidden = hidden.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.as_bytes().starts_with(b".")
    });
    assert_eq!(hidden.count(), 0, "no temporary file remains");
}

#[test]
fn an_empty_folder_and_a_link_to_one_are_filled() {
    let fixture = done();
    fs::create_dir(fixture.at("empty")).unwrap();
    symlink("empty", fixture.at("link")).unwrap();
    write(&fixture, Selection::Whole, "link").unwrap();
    assert!(fixture.at("link").is_symlink());
    assert_eq!(files(&fixture.at("empty")).len(), 5);
    // An export removes the leftovers of a killed one.
    let stale = fixture.at(".empty.stride-0123456789abcdef");
    fs::create_dir_all(stale.join("below")).unwrap();
    write(&fixture, Selection::Whole, "empty").unwrap();
    assert!(!stale.exists());
}

#[test]
fn a_failed_export_keeps_the_previous_one() {
    let fixture = done();
    write(&fixture, Selection::Whole, "out").unwrap();
    let before = files(&fixture.at("out"));
    let damage = "UPDATE result SET body = x'00' WHERE job = (SELECT id FROM job WHERE path = 'c')";
    fixture.sql().execute(damage, []).unwrap();
    assert!(matches!(
        write(&fixture, Selection::Whole, "out"),
        Err(ExportError::Store(_))
    ));
    assert_eq!(files(&fixture.at("out")), before);
    let folder = fixture.at("out");
    let written = to_folder(&fixture.reader(), Format::Json, Selection::Partial, &folder).unwrap();
    assert_eq!((written.jobs, written.damaged), (3, vec!["c".into()]));
    // An export without answers is a folder with a manifest.
    let fixture = Fixture::new(&["a"]);
    attempt(
        &mut fixture.start(),
        fixture.id("a"),
        failed(Class::Rejected, None, "no"),
    );
    let chosen = [stride::filter::Term::read(b"state=failed", 0).unwrap()];
    let form = Form {
        chosen: &chosen,
        ..Format::Json.into()
    };
    let out = fixture.at("none");
    for _ in 0..2 {
        to_folder(&fixture.reader(), form, Selection::Partial, &out).unwrap();
        assert_eq!(files(&out), [PathBuf::from("manifest.jsonl")]);
    }
}
