//! Results in files that are moved or lost.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{Place, listed};
use crate::support::{FakeApi, Reply, Request};

fn answer(request: &Request) -> Reply {
    let typed = |media_type: &str, body: &str| Reply::status(200).body(media_type, body);
    match &*request.target {
        "/speech" => typed("audio/mpeg", "audio"),
        "/image" => typed("image/png", "png"),
        "/text" => typed("text/plain", "words"),
        _ => Reply::json(1),
    }
}

/// The file with the result of a job.
fn file(place: &Place, name: &str) -> PathBuf {
    let sql = format!(
        "SELECT result.file FROM result JOIN job ON job.id = result.job WHERE path = '{name}'"
    );
    place.at(&place.sql(&sql)[0][0])
}

#[test]
fn a_run_is_moved_with_the_files_of_its_results() {
    let api = FakeApi::start(answer);
    let place = Place::new();
    let home = place.at(".home");
    let url = format!("{}/{{name}}", api.url());
    for name in ["speech", "image", "text"] {
        place.write(format!("old/{name}"), name);
    }
    let run = |folder: &str, words: &[&str]| {
        let output = place
            .command(words)
            .current_dir(place.at(folder))
            .env("HOME", &home)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), output.stdout, said)
    };
    let words = [
        "run",
        "--url",
        &url,
        "--output-dir",
        "out",
        "speech",
        "image",
    ];
    assert_eq!(run("old", &words).0, Some(0));
    fs::rename(place.at("old"), place.at("new")).unwrap();
    assert_eq!(run("new", &["verify"]).0, Some(0));
    let (_, exported, _) = run("new", &["export"]);
    let exported: Value = serde_json::from_slice(&exported).unwrap();
    let speech = place.at("new/out/0.mp3");
    assert_eq!(exported["speech"]["file"], speech.to_str().unwrap());
    // The request is new in this place, so its folder has to be confirmed; then it is the moved one.
    let words = [
        "run",
        "--url",
        &url,
        "--output-dir",
        "out",
        "speech",
        "image",
        "text",
    ];
    let (code, _, said) = run("new", &words);
    assert_eq!(code, Some(0), "{said}");
    assert!(!place.at("old").exists());
    assert_eq!(listed(&place.at("new/out")), ["0.mp3", "1.png", "2.txt"]);

    // The results are moved alone.
    fs::rename(place.at("new/out"), place.at("elsewhere")).unwrap();
    let (code, _, said) = run("new", &["verify"]);
    assert_eq!(code, Some(6));
    assert!(said.contains("stride resume --output-dir DIR"), "{said}");
    let (code, _, said) = run("new", &["resume", "--output-dir", "../elsewhere"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("3 lost results found in "), "{said}");
    assert_eq!(run("new", &["verify"]).0, Some(0));
    assert!(!place.at("new/out").exists());
}

#[test]
fn a_lost_result_is_called_again() {
    let api = FakeApi::start(answer);
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = ["speech", "image", "text"];
    names.iter().for_each(|name| place.write(name, name));
    let run = [
        "run",
        "--accept-change",
        "--url",
        &url,
        "--output-dir",
        "out",
    ];
    place.stride(&[&run[..], &names].concat()).expect(0);
    fs::remove_file(file(&place, "speech")).unwrap();
    fs::write(file(&place, "text"), "WORDS").unwrap();
    place
        .stride(&["verify"])
        .expect(6)
        .says("stride retry --lost");
    let requests = api.requests();
    place
        .stride(&["retry", "--lost"])
        .expect(0)
        .says("2 done files pending again")
        .says("4 of 4 files done");
    assert_eq!(api.requests(), requests + 2);
    assert_eq!(fs::read(file(&place, "text")).unwrap(), b"words");
    place.stride(&["verify"]).expect(0);
    place
        .stride(&["retry", "--lost"])
        .expect(0)
        .says("0 done files");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn results_that_are_found_in_another_folder_are_not_lost() {
    let api = FakeApi::start(answer);
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&api.url());
    ["speech", "image"]
        .iter()
        .for_each(|name| place.write(name, name));
    let run = [
        "run",
        "--url",
        &url,
        "--output-dir",
        "out",
        "--accept-change",
    ];
    place
        .stride(&[&run[..], &["speech", "image"]].concat())
        .expect(0);
    let calls = api.requests();
    place.stride(&["forget", "image"]).expect(0);
    fs::rename(place.at("out"), place.at("moved")).unwrap();
    place
        .stride(&["retry", "--lost", "--output-dir", "moved"])
        .expect(0)
        .says("2 lost results found")
        .says("0 done files pending again");
    assert_eq!(api.requests(), calls);
    // The result of a forgotten file has moved with the others.
    place.stride(&["forget", "--undo"]).expect(0);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

/// Only the bytes that were recorded are a result, in the old folder and in the new one.
#[test]
fn a_file_of_the_right_size_is_not_taken_for_a_result() {
    let api = FakeApi::start(answer);
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&api.url());
    place.write("speech", "speech");
    let run = [
        "run",
        "--url",
        &url,
        "--output-dir",
        "out",
        "--accept-change",
        "speech",
    ];
    place.stride(&run).expect(0);
    let out = place.at("out");
    let result = listed(&out).remove(0);
    let bytes = fs::read(out.join(&result)).unwrap();
    fs::create_dir(place.at("other")).unwrap();
    fs::rename(out.join(&result), place.at("other").join(&result)).unwrap();
    let wrong: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
    // A wrong file is in the new folder, and then in the old one.
    place.write(format!("wrong/{result}"), &wrong);
    let ran = place.stride(&["resume", "--output-dir", "wrong"]).expect(0);
    assert!(!ran.stderr.contains("found in"), "{}", ran.stderr);
    place.write(format!("out/{result}"), &wrong);
    place.stride(&["verify"]).expect(6);
    place
        .stride(&["resume", "--output-dir", "other"])
        .expect(0)
        .says("1 lost result found in ");
    place.stride(&["verify"]).expect(0);
    // A result that is right where it is stays there.
    place.write(format!("out/{result}"), &bytes);
    let ran = place.stride(&["resume", "--output-dir", "out"]).expect(0);
    assert!(!ran.stderr.contains("found in"), "{}", ran.stderr);
    assert_eq!(place.bystander(), bystander);
}
