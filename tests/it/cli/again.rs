//! The steps after a refused answer: one call in full, and calling files again by their names.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

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

#[test]
fn results_that_were_set_aside_come_back_if_there_are_no_new_ones() {
    let status = Arc::new(AtomicU16::new(200));
    let now = Arc::clone(&status);
    let api = FakeApi::start(move |request| match now.load(Ordering::SeqCst) {
        200 => Reply::json(json!("old")),
        // Its answer is kept as a rejected response.
        222 if number(&request.target) == Some(0) => Reply::text("no JSON"),
        222 => Reply::json(json!({"error": "no"})).with_status(422),
        status => Reply::json(json!("no")).with_status(status),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = place.texts(40);
    place.stride(&["run", "--url", &url, "texts"]).expect(0);
    let results = "SELECT path, state, status, error, result FROM results ORDER BY position";
    let (before, good) = (
        place.sql(results),
        place.stride(&["export"]).expect(0).stdout,
    );

    // A stopped repeat leaves files pending, and other files fail.
    for name in &names {
        place.write(name, "longer than before");
    }
    status.store(401, Ordering::SeqCst);
    let restore = "stride retry --restore brings back what was set aside";
    place
        .stride(&["retry", "--changed", "-j", "1"])
        .expect(4)
        .says("40 done files pending again; results are set aside until there are new ones")
        .says("\nhint: stride retry --restore   brings back those that got no new one\n")
        .says(&format!(
            "\nnote: no new result yet for 40 files; {restore}\n"
        ));
    place.stride(&["forget", &names[39]]).expect(0);
    status.store(222, Ordering::SeqCst);
    place
        .stride(&["resume", "--max-failures", "none"])
        .expect(3)
        .says(&format!("note: no new result yet for 39 files; {restore}"));
    status.store(200, Ordering::SeqCst);
    place.stride(&["retry", &names[2]]).expect(3);
    let shown = place.stride(&["status"]).expect(0).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains(&format!(
            "earlier no new result yet for 38 files; {restore}"
        )),
        "{shown}"
    );
    assert_eq!(place.status()["restorable"], json!(38));
    place
        .stride(&["export"])
        .expect(3)
        .says(&format!("note: no new result yet for 38 files; {restore}"));
    place
        .stride(&["export", "--partial"])
        .expect(0)
        .says(restore);

    // Some by their names, then all. Nothing is called.
    let requests = api.requests();
    place
        .stride(&["retry", "--restore", "nope"])
        .expect(2)
        .says("nothing was changed");
    place
        .stride(&[
            "retry",
            "--restore",
            &names[0],
            &names[0],
            &names[2],
            &names[39],
        ])
        .expect(0)
        .says(&format!(
            "note: {} is done, and has no earlier result",
            names[2]
        ))
        .says(&format!(
            "note: {} is forgotten, and has no earlier result",
            names[39]
        ))
        .says("\n1 file done again, with the earlier results\n");
    place.stride(&["verify"]).expect(0);
    place.stride(&["forget", "--undo"]).expect(0);
    place
        .stride(&["retry", "--restore"])
        .expect(0)
        .says("38 files done again, with the earlier results\n41 of 41 files done\n")
        .says("hint: stride export -o results.json");
    place
        .stride(&["retry", "--restore"])
        .expect(0)
        .says("0 files done again");
    assert_eq!(api.requests(), requests);

    // The rows are those of the result's own call, not of the later one that failed.
    assert_eq!(place.sql(results), before);
    assert_eq!(place.stride(&["export"]).expect(0).stdout, good);
    let columns = [
        "export",
        "--format",
        "csv",
        "--columns",
        "file,status,class,error,result",
    ];
    let table = place.stride(&columns).expect(0).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("texts/0001,200,,,"), "{table}");
    let chosen = ["export", "--where", "status=422"];
    assert_eq!(place.stride(&chosen).expect(0).json(), json!({}));
    place.stride(&["verify"]).expect(0);
    let shown = place.stride(&["status"]).expect(0).stdout;
    assert!(!String::from_utf8(shown).unwrap().contains("earlier"));
    // Their files are still not those that were sent.
    place
        .stride(&["run", "--url", &url, "texts"])
        .expect(0)
        .says("39 done files changed");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_restored_result_is_told_of_if_it_is_of_an_earlier_request_or_its_file_is_lost() {
    let refuses = Arc::new(AtomicBool::new(false));
    let is_refusing = Arc::clone(&refuses);
    let api = FakeApi::start(move |request| match is_refusing.load(Ordering::SeqCst) {
        true => Reply::json(json!("no")).with_status(422),
        false => Reply::json(json!(request.target)),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander_of(&["--url", &url, "--output-dir", "out"]);
    let names = place.texts(3);
    let run = |url: &str, more: &[&str]| {
        let words = ["run", "--url", url, "--output-dir", "out", "texts"];
        place.stride(&[&words[..], more].concat())
    };
    run(&url, &[]).expect(0);
    let results = "SELECT path, state, file, sha256 FROM results ORDER BY position";
    let before = place.sql(results);
    refuses.store(true, Ordering::SeqCst);
    run(&format!("{url}?v=2"), &["--accept-change"]).expect(0);
    place
        .stride(&[
            "retry",
            "--max-failures",
            "none",
            "--done",
            &names[0],
            &names[1],
            &names[2],
        ])
        .expect(3);
    fs::remove_file(place.at(&before[1][2])).unwrap();
    place
        .stride(&["retry", "--restore"])
        .expect(0)
        .says("note: the earlier results of 1 file cannot be brought back: their files in --output-dir are missing")
        .says("\n2 files done again")
        .says("note: from a request that the run had before: 2 results of these")
        .says("hint: stride retry --outdated   calls their files with the present one");
    let after = place.sql(results);
    assert_eq!(after[1], [&names[0], "failed", "", ""]);
    assert_eq!(after[2..], before[2..]);
    let shown = place.stride(&["status"]).expect(0).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        !shown.contains("earlier"),
        "a lost one cannot come back: {shown}"
    );
    // Judged by stricter rules, a restored result is set aside again.
    place
        .stride(&["recheck", "--success", "contains(\"bystander\")", "--apply"])
        .expect(0);
    assert_eq!(place.status()["restorable"], json!(2));
    place.stride(&["verify"]).expect(0);
    place
        .stride(&["retry", "--restore", &names[1]])
        .expect(0)
        .says("1 file done again");
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_wrong_name_is_found_before_anything_is_changed() {
    let place = Place::new();
    let call = ["--exec", "cat", "--output-dir", "out"];
    let bystander = place.with_bystander_of(&call);
    fs::rename(place.at("out"), place.at("moved")).unwrap();
    let request = || place.sql("SELECT call FROM run");
    let before = request();
    for wrong in [&["nope"][..], &["--done", "nope"], &["--cause", "nope"]] {
        let words = [&["retry", "--output-dir", "moved"], wrong].concat();
        place.stride(&words).expect(2).says("nothing was changed");
        assert_eq!(request(), before, "{wrong:?}");
    }
    assert_eq!(place.bystander(), bystander);
}
