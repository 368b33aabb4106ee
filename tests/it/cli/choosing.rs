//! `--where`, `--columns` and `--format dir` on the command line.

use std::fs;

use serde_json::{Value, json};

use super::{Place, listed};
use crate::support::{FakeApi, Reply};

/// A run of which two files are refused.
fn run() -> (FakeApi, Place) {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/0001" => Reply::json(json!({"error": "no"})).with_status(422),
        "/0003" => Reply::json(json!({"error": "no"})).with_status(404),
        target => Reply::json(json!({ "target": target })),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(5);
    place
        .stride(&["run", "--url", &url, "texts", "--accept-change"])
        .expect(3);
    assert_eq!(place.bystander(), bystander);
    (api, place)
}

fn names(place: &Place, words: &[&str]) -> String {
    let all = [&["export", "--format", "csv", "--columns", "file"], words].concat();
    let out = place.stride(&all).expect(0).stdout;
    String::from_utf8(out).unwrap().replace("\r\n", " ")
}

#[test]
fn files_are_selected_by_their_outcomes() {
    let (_api, place) = run();
    let all = |term| names(&place, &["--all", "--where", term]);
    assert_eq!(all("state=failed"), "file texts/0001 texts/0003 ");
    assert_eq!(all("status=422"), "file texts/0001 ");
    assert_eq!(all("class=rejected"), "file texts/0001 texts/0003 ");
    assert_eq!(all("name=texts/0004"), "file texts/0004 ");
    let words = ["--where", "name~texts/*", "--where", "state=done"];
    assert_eq!(
        names(&place, &words),
        "file texts/0000 texts/0002 texts/0004 "
    );
    // A full export needs the selected files, and its hints repeat the selection.
    let words = ["export", "--where", "name~texts/*", "-o", "out.json"];
    place
        .stride(&words)
        .expect(3)
        .says("3 of 5 files")
        .says("stride export --where 'name~texts/*' -o out.json --partial");
    assert!(!place.at("out.json").exists());
    let words = ["export", "--where", "state=done", "-o", "out.json"];
    place.stride(&words).expect(0).says("wrote 4 results");
    let out: Value = serde_json::from_slice(&fs::read(place.at("out.json")).unwrap()).unwrap();
    assert_eq!(out["texts/0002"], json!({"target": "/0002"}));
    assert_eq!(out.as_object().unwrap().len(), 4);
}

#[test]
fn a_folder_of_answers_is_written_replaced_and_known() {
    let (_api, place) = run();
    let words = ["export", "--partial", "--format", "dir", "-o", "answers"];
    place
        .stride(&words)
        .expect(0)
        .says("wrote 4 results to answers");
    assert_eq!(
        listed(&place.at("answers")),
        ["bystander.txt.json", "manifest.jsonl", "texts"]
    );
    assert_eq!(
        listed(&place.at("answers/texts")),
        ["0000.json", "0002.json", "0004.json"]
    );
    let answer = fs::read_to_string(place.at("answers/texts/0002.json")).unwrap();
    assert_eq!(answer, r#"{"target":"/0002"}"#);
    place.stride(&words).expect(0);
    place.write("answers/mine", "mine");
    place
        .stride(&words)
        .expect(2)
        .says("it is neither empty nor a complete earlier export");
    assert_eq!(fs::read(place.at("answers/mine")).unwrap(), b"mine");
    fs::remove_file(place.at("answers/mine")).unwrap();
    // A later walk ignores it.
    let words = [
        "export",
        "--partial",
        "--format",
        "dir",
        "-o",
        "texts/answers",
    ];
    place.stride(&words).expect(0);
    let url = place.sql("SELECT json_extract(call, '$.url') FROM run")[0][0].clone();
    place.write("texts/more", "more");
    place
        .stride(&["run", "--url", &url, "texts"])
        .expect(3)
        .says("texts/answers");
    assert_eq!(place.status()["total"], json!(7));
}

#[test]
fn words_that_extract_and_choose_go_with_every_format() {
    let (_api, place) = run();
    for (format, file) in [
        ("json", "x.json"),
        ("jsonl", "x.jsonl"),
        ("csv", "x.csv"),
        ("parquet", "x.parquet"),
        ("dir", "x"),
    ] {
        for selection in ["--partial", "--all"] {
            let words = ["export", "--format", format, selection, "-o", file];
            let extract = ["--extract", ".target", "--where", "name~texts/*"];
            place
                .stride(&[&words[..], &extract].concat())
                .expect(0)
                .says(match selection {
                    "--all" => "wrote 3 results and 2 failures",
                    _ => "wrote 3",
                });
            place.stride(&[&words[..], &["--raw"]].concat()).expect(0);
        }
        place
            .stride(&["export", "--format", format, "-o", file])
            .expect(3)
            .says(&format!(
                "stride export --format {format} -o {file} --partial"
            ));
    }
}
