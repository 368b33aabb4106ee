//! The demo, which is a newcomer's first minute.

use serde_json::Value;

use super::Place;

#[test]
fn the_demo_survives_a_kill_and_exports() {
    let place = Place::new();
    let demo = place.begin(&["demo"]);
    let done = || {
        let status = place.stride(&["status", "--json", "--db", "stride-demo/stride.db"]);
        if status.code == Some(0) {
            status.json()["done"].as_u64().unwrap()
        } else {
            0
        }
    };
    place.until(|| done() > 50);
    demo.kill();
    let before = done();
    let ran = place.begin(&["demo"]).end().expect(0);
    let ran = ran
        .says("$ stride run --url http://127.0.0.1:")
        .says("$ stride export --all")
        .says("recovered: ");
    assert!(ran.stderr.contains("fails now and then"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("--changed"), "{}", ran.stderr);
    let results: Value = serde_json::from_slice(
        &std::fs::read(place.at("stride-demo/api_call_results.json")).unwrap(),
    )
    .unwrap();
    let results = results.as_object().unwrap();
    assert_eq!(results.len(), 300);
    let scored = results
        .values()
        .filter(|result| result["score"].is_f64() && result["label"].is_string())
        .count();
    let refused = results
        .values()
        .filter(|result| result["error"]["status"] == 422)
        .count();
    assert_eq!(scored + refused, 300);
    assert!((1..=10).contains(&refused), "{refused} were refused");
    assert!(before > 50);
    // The commands that it names work after its end.
    for (words, code) in [("failures", 0), ("status", 0), ("resume", 3), ("retry", 3)] {
        let words = [words, "--db", "stride-demo/stride.db"];
        place.stride(&words).expect(code);
    }
    let (file, db) = (
        "stride-demo/transcripts/call-0001.txt",
        "stride-demo/stride.db",
    );
    place
        .stride(&["try", file, "--db", db])
        .expect(0)
        .says("the demo's API serves http://127.0.0.1:");
    // Once more: nothing is left to call, and the export is the same.
    place.begin(&["demo"]).end().expect(0);
}

#[test]
fn hints_name_the_program_as_it_was_started() {
    let place = Place::new();
    std::fs::create_dir(place.at("build")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stride"), place.at("build/stride")).unwrap();
    let say = |path: &str, words: &str| {
        let mut shell = std::process::Command::new("/bin/sh");
        let shell = shell.args(["-c", words]).current_dir(place.at(""));
        let output = shell.env("PATH", path).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    // `cargo run` starts a program that is not in the PATH.
    let said = say("/usr/bin:/bin", "build/stride");
    assert!(said.contains("  build/stride run --url URL"), "{said}");
    let said = say("/usr/bin:/bin", "build/stride status");
    assert!(
        said.contains("start a run with `build/stride run --url URL FILES`"),
        "{said}"
    );
    // An installed one needs no folder, even if it is started with one.
    let installed = super::path();
    for words in ["build/stride", "stride"] {
        let said = say(&installed, words);
        assert!(said.contains("  stride run --url URL"), "{said}");
    }
}
