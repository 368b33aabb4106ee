//! The steps after a refused answer: one call in full, and calling files again by their names.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::Place;
use crate::support::{FakeApi, Reply};

fn number(target: &str) -> Option<u32> {
    target.rsplit('/').next()?.parse().ok()
}

#[test]
fn refused_files_are_looked_at_and_called_again_by_name() {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let api = FakeApi::start(move |request| match number(&request.target) {
        Some(..6) if !is_mended.load(Ordering::SeqCst) => {
            Reply::json(json!({"error": "too short"})).with_status(422)
        }
        _ => Reply::json(json!("ok")),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = place.texts(10);
    place
        .stride(&["run", "--url", &url, "texts", "--max-failures", "none"])
        .expect(3)
        .says("and 1 more")
        .says("\nstride failures --json lists every file\n")
        .says(&format!(
            "\nhint: stride try {}   shows its whole call\n",
            names[0]
        ));
    let failures = String::from_utf8(place.stride(&["failures"]).expect(0).stdout).unwrap();
    for line in [
        format!("\n    the whole call: stride try {}\n", names[0]),
        "\nstride failures --json lists every file\n".to_owned(),
    ] {
        assert!(failures.contains(&line), "{failures}");
    }
    // The name is that of the list, from any folder.
    place.stride(&["try", &names[0]]).expect(3).says("422");
    fs::create_dir(place.at("below")).unwrap();
    let mut elsewhere = place.command(&["failures", "--db", "../stride.db"]);
    let elsewhere = elsewhere.current_dir(place.at("below")).output().unwrap();
    let elsewhere = String::from_utf8(elsewhere.stdout).unwrap();
    let look = elsewhere
        .lines()
        .find_map(|line| line.strip_prefix("    the whole call: stride "));
    let look: Vec<&str> = look.unwrap().split(' ').collect();
    let mut look = place.command(&look);
    let look = look.current_dir(place.at("below")).output().unwrap();
    let said = String::from_utf8_lossy(&look.stderr);
    assert_eq!(look.status.code(), Some(3), "{said}");
    assert!(said.contains("/0000\n"), "{said}");

    mended.store(true, Ordering::SeqCst);
    let before = api.requests();
    let path = format!("./{}", names[1]);
    place
        .stride(&["retry", &names[0], &path, &names[9]])
        .expect(3)
        .says(&format!("note: {} has not failed: it is done", names[9]))
        .says("2 named files pending again");
    assert_eq!(api.requests(), before + 2);
    assert_eq!(place.status()["failed"], json!(4));
    place
        .stride(&["retry", &names[0]])
        .expect(2)
        .says("has not failed: it is done")
        .says(&format!(
            "set its result aside: stride retry --done {}",
            names[0]
        ));
    place.stride(&["retry", "nope", &names[2]]).expect(2);
    place.stride(&["forget", &names[2]]).expect(0);
    place.stride(&["retry", &names[2]]).expect(2).says(&format!(
        "to bring it back: stride forget --undo {}",
        names[2]
    ));
    assert_eq!(
        api.requests(),
        before + 2,
        "a refused command calls nothing"
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_held_file_is_called_again_by_name() {
    let api = FakeApi::start(|request| match number(&request.target) {
        Some(1) => Reply::close(),
        _ => Reply::json(1),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = place.texts(3);
    place
        .stride(&["run", "--url", &url, "texts", "--in-doubt", "hold"])
        .expect(3);
    assert_eq!(place.status()["held"], json!(1));
    place
        .stride(&["retry", "--queue-only", &names[1]])
        .expect(0)
        .says("1 named file pending again");
    let status = place.status();
    assert_eq!(
        (&status["held"], &status["pending"]),
        (&json!(0), &json!(1))
    );
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}
