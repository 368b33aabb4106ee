//! `kill -9` at any moment: no result is lost, no call is repeated without a reason, and doubt is bounded.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use super::Place;
use crate::support::{FakeApi, Reply};

const THREADS: u64 = 8;
const FILES: usize = 400;
const KILLS: usize = 20;

/// The limiter's state is stored now and then, so a kill can come before it says that a call has succeeded.
#[test]
fn a_killed_run_with_results_keeps_its_request() {
    let api = FakeApi::start(|_| Reply::json("1"));
    let place = Place::new();
    let url = api.url();
    let bystander = place.with_bystander(&url);
    place.texts(FILES);
    let other = format!("{url}/other");
    let words = |url| {
        [
            "run",
            "-j1",
            "--output-dir",
            "answers",
            "--url",
            url,
            "texts",
        ]
    };
    let (run, other) = (words(url.as_str()), words(other.as_str()));
    let running = place.begin(&[&run[..], &["--accept-change"]].concat());
    api.wait_for(20);
    running.kill();
    place.sql("UPDATE limiter_state SET proven = 0");
    place
        .stride(&other)
        .expect(2)
        .says("nothing was changed")
        .says("--accept-change");
    // Another folder for results is no other request.
    let moved = [
        "resume",
        "--output-dir",
        "other-answers",
        "--max-calls",
        "1",
    ];
    place.stride(&moved).expect(4);
    place.stride(&other).expect(2);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_1_a_run_that_is_killed_again_and_again_ends_complete() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let api = FakeApi::start(|request| Reply::json(json!({"target": request.target})));
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(FILES);
    let threads = THREADS.to_string();
    let command = ["run", "-j", &threads, "--url", &url, "texts"];
    let mut recovered_before = 0;
    for _ in 0..KILLS {
        let run = place.begin(&command);
        // The kills include moments before the first call and near the end.
        let more = random.usize(0..FILES / KILLS);
        let goal = (api.requests() + more).min(FILES);
        api.wait_for(goal);
        run.kill();
        let recovered = place.status()["in_doubt_recovered"].as_u64().unwrap();
        assert!(
            recovered - recovered_before <= THREADS,
            "seed {seed}: {recovered} - {recovered_before}"
        );
        recovered_before = recovered;
    }
    place.stride(&command).expect(0);
    let recovered = place.status()["in_doubt_recovered"].as_u64().unwrap();
    assert!(recovered - recovered_before <= THREADS);

    let attempts =
        place.sql("SELECT path, idempotency_key, outcome FROM attempts ORDER BY position, number");
    let keys: HashSet<&str> = attempts.iter().map(|row| row[1].as_str()).collect();
    assert!(
        api.log()
            .iter()
            .all(|call| keys.contains(call.key.as_deref().unwrap())),
        "a call without an attempt"
    );
    let mut outcomes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in &attempts {
        outcomes.entry(&row[0]).or_default().push(&row[2]);
    }
    assert_eq!(outcomes.len(), FILES + 1);
    for (path, outcomes) in outcomes {
        let (last, before) = outcomes.split_last().unwrap();
        assert_eq!(*last, "succeeded", "{path}");
        assert!(
            before.iter().all(|outcome| *outcome == "in_doubt"),
            "{path}: {before:?}"
        );
    }
    let exported = place.stride(&["export"]).expect(0).json();
    let exported = exported.as_object().unwrap();
    assert_eq!(exported.len(), FILES + 1);
    for (name, result) in exported {
        assert_eq!(
            result["target"],
            format!("/{}", name.rsplit('/').next().unwrap())
        );
    }
    assert_eq!(place.bystander(), bystander);
    place.stride(&["verify"]).expect(0);
}

#[test]
fn rows_1_and_137_kills_at_one_thread_fail_no_file() {
    const KILLS: usize = 25;
    let seen = crate::support::Counter::default();
    let api = FakeApi::start(move |_| match seen.add() {
        // After the bystander's call, a kill cuts off each of the first calls.
        1..=KILLS => Reply::hang(),
        _ => Reply::json(1),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(6);
    let command = ["run", "-j", "1", "--retries", "0", "--url", &url, "texts"];
    for kill in 1..=KILLS {
        let run = place.begin(&command);
        api.wait_for(1 + kill);
        run.kill();
    }
    let called: Vec<String> = api.log()[1..]
        .iter()
        .map(|call| call.target.clone())
        .collect();
    let mut first: Vec<&String> = called[..12].iter().collect();
    first.dedup();
    assert_eq!(
        first.len(),
        6,
        "after two deaths the next file has its turn"
    );
    let told = place.stride(&["status"]).expect(0);
    let words = "crashed these files may crash stride";
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains(words), "{told}");
    place.stride(&command).expect(0);
    let outcomes = place.sql("SELECT outcome, count(*) FROM attempts GROUP BY outcome");
    assert_eq!(outcomes, [["in_doubt", "25"], ["succeeded", "7"]]);
    let crashed = &place.status()["crashed"];
    assert_eq!(*crashed, json!([]), "what is done is not suspected");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_137_a_file_that_was_alone_at_two_crashes_is_called_last_and_alone() {
    let gate = crate::support::Gate::default();
    let seen = crate::support::Counter::default();
    let others = gate.clone();
    let api = FakeApi::start(move |_| match seen.add() {
        0 => Reply::json(0),
        1 | 2 => Reply::hang(),
        _ => Reply::json(1).when(&others),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(9);
    let command = ["run", "-j", "4", "--url", &url, "texts"];
    for calls in [2, 3] {
        let run = place.begin(&command);
        api.wait_for(calls);
        run.kill();
    }
    let run = place.begin(&command);
    api.wait_for(4);
    let crashed = place.status()["crashed"][0].clone();
    assert_eq!(crashed["times"], json!(2));
    let killer = crashed["file"].as_str().unwrap();
    gate.open();
    run.end().expect(0);
    let log = api.log();
    let last = log.last().unwrap();
    assert!(
        killer.ends_with(last.target.trim_start_matches('/')),
        "{}",
        last.target
    );
    // It began when all others had ended.
    let sql = "SELECT (SELECT max(started) FROM attempts) >= (SELECT max(ended) FROM attempts WHERE path <> ?1)";
    let sql = sql.replace("?1", &format!("'{killer}'"));
    assert_eq!(place.sql(&sql), [["1"]]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn calls_in_doubt_are_held_on_request_and_released_by_retry() {
    let seen = crate::support::Counter::default();
    let api = FakeApi::start(move |request| {
        // The bystander's call, and the first one after it, which goes alone.
        if seen.add() > 1 && request.attempt == 0 {
            Reply::hang()
        } else {
            Reply::json(1)
        }
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(4);
    let run = place.begin(&[
        "run",
        "-j",
        "2",
        "--in-doubt",
        "hold",
        "--url",
        &url,
        "texts",
    ]);
    api.wait_for(4);
    run.kill();
    // The last file hangs, too; a second signal cuts off its call.
    let run = place.begin(&["resume"]);
    api.wait_for(5);
    run.signal(rustix::process::Signal::INT);
    run.until_says("stopping");
    run.signal(rustix::process::Signal::TERM);
    run.end().expect(130).says("1 file in doubt, because");
    assert_eq!(place.status()["held"], json!(3));
    place.stride(&["resume"]).expect(3).says("retry --held");
    assert_eq!(api.requests(), 5, "what is held is not called");
    place
        .stride(&["retry", "--held"])
        .expect(0)
        .says("3 held files pending again");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_46_a_killed_list_leaves_all_or_nothing() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(50);
    // The list never ends: stdin stays open, and the names stay uncommitted.
    let mut command = place.command(&["run", "--url", &api.url(), "texts", "--files-from", "-"]);
    let run = place.begin_command(command.stdin(std::process::Stdio::piped()));
    let holder = || stride::store::Lock::holder(place.at("stride.db"));
    place.until(|| holder().is_some_and(|holder| holder.pid == run.pid()));
    run.kill();
    assert_eq!(place.status()["total"], json!(1));
    assert_eq!(api.requests(), 1, "calls begin when the list has ended");
    place
        .stride(&["run", "--url", &api.url(), "texts"])
        .expect(0);
    assert_eq!(place.status()["total"], json!(51));
    assert_eq!(place.bystander(), bystander);
}
