//! Two runners on one run, reads during a run, and clocks that jump.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{counts, gated, named};
use crate::cli::Place;
use crate::support::{Counter, FakeApi, Reply};

#[test]
fn rows_37_and_42_a_second_runner_ends_at_once_and_changes_nothing() {
    let (api, gate) = gated(1);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(3);
    let run = place.begin(&["run", "--url", &url, "texts"]);
    // The bystander's and all three of the run, so that nothing changes while they wait.
    api.wait_for(4);
    let rows = || place.sql("SELECT * FROM work LEFT JOIN attempt ON attempt.job = work.job");
    let before = rows();
    symlink("stride.db", place.at("same.db")).unwrap();
    symlink(".", place.at("folder")).unwrap();
    let absolute = place.at("stride.db");
    let says = format!(
        "{} is in use by process",
        absolute.canonicalize().unwrap().display()
    );
    let holder = format!("process {} on ", run.pid());
    for words in [
        vec!["resume"],
        vec!["retry"],
        vec!["run", "--url", "http://127.0.0.1:9/other", "texts"],
        vec!["resume", "--db", "same.db"],
        vec!["resume", "--db", "folder/folder/stride.db"],
        vec!["resume", "--db", absolute.to_str().unwrap()],
    ] {
        place.stride(&words).expect(5).says(&says).says(&holder);
    }
    assert_eq!(rows(), before);
    assert_eq!(place.status()["working"], json!(true));
    gate.open();
    run.end().expect(0);
    assert_eq!(api.requests(), 4);
    assert_eq!(place.sql("SELECT count(*) FROM runner").concat(), ["2"]);
    assert_eq!(place.bystander(), bystander);
}

/// The lock's holder is the system's answer and not the number in the file, which may belong to another process by now.
#[test]
fn row_38_the_number_of_a_dead_runner_blocks_no_other() {
    let (api, gate) = gated(1);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(3);
    let run = place.begin(&["run", "--url", &url, "texts"]);
    api.wait_for(2);
    let number = run.pid();
    run.kill();
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let lock = fs::read_to_string(place.at("stride.db.lock")).unwrap();
    let says = |pid| format!("{{\"pid\":{pid},");
    assert!(lock.starts_with(&says(number)), "{lock}");
    let taken = lock.replacen(&says(number), &says(other.id()), 1);
    fs::write(place.at("stride.db.lock"), taken).unwrap();
    gate.open();
    place.stride(&["resume"]).expect(0);
    counts(&place, &[("done", 4), ("in_doubt_recovered", 1)]);
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    assert_eq!(place.bystander(), bystander);
}

/// A read does not stop the runner, and shows one moment although the runner writes meanwhile.
#[test]
fn rows_39_and_91_reads_and_exports_during_a_run_show_one_moment() {
    const LOOKS: usize = 100;
    const FILES: usize = 3 * LOOKS;
    let (allowed, seen) = (Counter::default(), Counter::default());
    let api = FakeApi::start({
        let allowed = allowed.clone();
        move |request| {
            // Three calls for each read; the bystander's and the first come before.
            allowed.wait_for((seen.add() / 3).min(LOOKS));
            Reply::json(json!({"target": request.target}))
        }
    });
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(FILES);
    let words = ["run", "-j", "3", "--timeout", "10m", "--url", &url, "texts"];
    let run = place.begin(&words);
    api.wait_for(2);
    let (mut done, mut looked) = (0, std::time::Duration::ZERO);
    for _ in 0..LOOKS {
        let began = Instant::now();
        let status = place.status();
        looked += began.elapsed();
        let number = |name: &str| status[name].as_u64().unwrap();
        let parts = ["pending", "running", "done", "failed", "held"].map(number);
        assert_eq!(parts.iter().sum::<u64>(), number("total"), "{status}");
        assert!(number("done") >= done, "{status}");
        done = number("done");

        allowed.add();
        let words = ["export", "--all", "--format", "jsonl", "-o", "out"];
        place.stride(&words).expect(0);
        let lines = fs::read_to_string(place.at("out")).unwrap();
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let is_done = |line: &&Value| line["state"] == "done";
        assert_eq!(lines.len() as u64, number("total"));
        let with_result = lines
            .iter()
            .filter(|line| !line["result"].is_null())
            .count();
        assert_eq!(lines.iter().filter(is_done).count(), with_result);
        assert!(with_result as u64 >= done);
    }
    // No read waits for longer than a second.
    assert!(looked.as_secs() < LOOKS as u64, "{looked:?}");
    run.end().expect(0);
    assert_eq!(api.requests(), FILES + 1);
    assert_eq!(place.bystander(), bystander);
}

/// A clock that is set back is equivalent to later times in the database.
#[test]
fn row_40_a_clock_that_jumps_repeats_and_delays_no_call() {
    const HOUR: i64 = 3_600_000;
    for ahead in [HOUR, -HOUR, 56 * 365 * 24 * HOUR] {
        let api = FakeApi::start(|request| match (request.target.as_str(), request.attempt) {
            ("/0001" | "/0003", 0) => Reply::status(500),
            _ => Reply::json(1),
        });
        let place = Place::new();
        let url = named(&api);
        place.with_bystander(&url);
        place.texts(5);
        let words = ["run", "--retry-delay", "5000h", "--url", &url, "texts"];
        let run = place.begin(&words);
        api.wait_until(|log| log.iter().filter(|call| call.status.is_some()).count() == 6);
        place.until(|| place.status()["pending"] == json!(2));
        run.signal(Signal::INT);
        run.end().expect(130);
        let waiting = "SELECT count(*) FROM work WHERE not_before IS NOT NULL";
        assert_eq!(place.sql(waiting).concat(), ["2"]);
        rusqlite::Connection::open(place.at("stride.db"))
            .unwrap()
            .execute_batch(&format!(
                "UPDATE work SET not_before = not_before + {ahead};
                 UPDATE attempt SET started = started + {ahead}, ended = ended + {ahead};
                 UPDATE runner SET started = started + {ahead}, ended = ended + {ahead};
                 UPDATE run SET created = created + {ahead};
                 UPDATE usage SET second = second + {ahead} / 1000;"
            ))
            .unwrap();
        let bystander = place.bystander();
        // The stored moment is years away, and the longest allowed wait is not.
        let cap = [
            "resume",
            "--retry-delay",
            "0s",
            "--retry-max-delay",
            "100ms",
        ];
        place.stride(&cap).expect(0);
        counts(&place, &[("done", 6), ("attempts", 8), ("in_doubt", 0)]);
        assert_eq!(api.requests(), 8);
        place.stride(&["verify"]).expect(0);
        assert_eq!(place.bystander(), bystander);
    }
}
