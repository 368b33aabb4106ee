//! From a list to the final JSON, through every fault of a service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::Place;
use crate::support::{FakeApi, Reply, Request};

/// The service's behaviour for the file of this number.
fn trouble(target: &str) -> &'static str {
    match target.rsplit('/').next().unwrap().parse().unwrap_or(50) % 100 {
        1..=5 => "fails twice",
        6 => "is refused",
        7 => "loses its connection once",
        _ => "none",
    }
}

fn answer(request: &Request) -> Value {
    json!({"target": request.target, "size": request.body.len()})
}

#[test]
fn every_file_ends_as_expected_and_no_done_file_is_called_again() {
    let healed = Arc::new(AtomicBool::new(false));
    let api = FakeApi::start({
        let healed = Arc::clone(&healed);
        move |request| match trouble(&request.target) {
            "fails twice" if request.attempt < 2 => {
                Reply::json(json!({"error": "try again"})).with_status(500)
            }
            "is refused" if !healed.load(Ordering::SeqCst) => {
                Reply::json(json!({"error": "no"})).with_status(422)
            }
            "loses its connection once" if request.attempt == 0 => Reply::close(),
            _ => Reply::json(answer(request)),
        }
    });
    let place = Place::new();
    let url = format!("{}/v1/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = place.texts(1000);
    place
        .stride(&[
            "run",
            "-j",
            "32",
            "--retry-delay",
            "10ms",
            "--url",
            &url,
            "texts",
        ])
        .expect(3);
    let status = place.status();
    assert_eq!(
        (&status["done"], &status["failed"]),
        (&json!(991), &json!(10)),
        "{status}"
    );
    let failed = place.stride(&["failures", "-0"]).expect(0).stdout;
    let failed: Vec<&str> = std::str::from_utf8(&failed)
        .unwrap()
        .split_terminator('\0')
        .collect();
    let refused: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| trouble(name) == "is refused")
        .collect();
    assert_eq!(failed, refused);

    healed.store(true, Ordering::SeqCst);
    place
        .stride(&["retry"])
        .expect(0)
        .says("10 failed files pending again");

    let mut succeeded = BTreeMap::new();
    for logged in api.log().iter().filter(|logged| logged.status == Some(200)) {
        *succeeded.entry(logged.target.clone()).or_insert(0) += 1;
    }
    assert_eq!(succeeded.len(), 1001);
    assert!(
        succeeded.values().all(|times| *times == 1),
        "a file that was done was called again"
    );

    let exported = place.stride(&["export"]).expect(0).json();
    let names = std::iter::once("bystander.txt").chain(names.iter().map(String::as_str));
    let expected: Vec<(String, Value)> = names
        .map(|name| {
            let size = std::fs::metadata(place.at(name)).unwrap().len();
            let last = name.rsplit('/').next().unwrap();
            (
                name.to_owned(),
                json!({"target": format!("/v1/{last}"), "size": size}),
            )
        })
        .collect();
    assert_eq!(
        exported
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(place.bystander(), bystander);
    place.stride(&["verify"]).expect(0);
}

#[test]
fn keys_change_after_definite_answers_only() {
    let api = FakeApi::start(|request| match request.attempt {
        _ if request.target.ends_with("bystander.txt") => Reply::json(1),
        0 | 2 => Reply::status(500),
        1 => Reply::close(),
        3 => Reply::status(429).header("Retry-After", "0"),
        _ => Reply::json(1),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    place.with_bystander(&url);
    place.texts(1);
    place
        .stride(&["run", "--retry-delay", "0s", "--url", &url, "texts"])
        .expect(0);
    let keys: Vec<String> = api
        .log()
        .into_iter()
        .skip(1)
        .map(|logged| logged.key.unwrap())
        .collect();
    let [first, lost, repeated, throttled, last] = &keys[..] else {
        panic!("{keys:?}")
    };
    assert_ne!(first, lost, "a 500 is an answer");
    assert_eq!(lost, repeated, "a lost connection is none");
    assert_eq!(repeated, throttled, "a 500 does not settle the doubt");
    assert_eq!(
        throttled, last,
        "after throttling it is still the same operation"
    );
    let recorded = place.sql("SELECT idempotency_key, outcome FROM attempts WHERE path <> 'bystander.txt' ORDER BY number");
    let outcomes: Vec<&str> = recorded.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(
        outcomes,
        ["failed", "in_doubt", "failed", "throttled", "succeeded"]
    );
    assert_eq!(
        recorded
            .iter()
            .map(|row| row[0].clone())
            .collect::<Vec<_>>(),
        keys
    );
}

#[test]
fn throttling_fails_no_file() {
    let calls = AtomicUsize::new(0);
    let api = FakeApi::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) % 3 {
        1 => Reply::status(429).header("Retry-After", "0"),
        2 => Reply::status(503).header("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"),
        _ => Reply::json(1),
    });
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(9);
    place
        .stride(&[
            "run",
            "-j",
            "4",
            "--retries",
            "0",
            "--url",
            &api.url(),
            "texts",
        ])
        .expect(0);
    assert_eq!(place.status()["done"], json!(10));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn strides_are_those_of_the_script() {
    // The first call goes alone. Then calls go three at a time: the service replies only when all three have come, so
    // that no thread can run ahead.
    let together = Arc::new(std::sync::Barrier::new(3));
    let seen = crate::support::Counter::default();
    let api = FakeApi::start(move |_| {
        if seen.add() > 0 {
            together.wait();
        }
        Reply::json(1)
    });
    let place = Place::new();
    (1..=10).for_each(|i| place.write(format!("f/{i:02}"), "x"));
    place
        .stride(&[
            "run",
            "-j",
            "3",
            "--url",
            &format!("{}/{{name}}", api.url()),
            "f",
        ])
        .expect(0);
    for (chunk, expected) in [
        (0, vec!["f/01", "f/04", "f/07", "f/10"]),
        (1, vec!["f/02", "f/05", "f/08"]),
        (2, vec!["f/03", "f/06", "f/09"]),
    ] {
        let called = place.sql(&format!(
            "SELECT path FROM attempts WHERE chunk = {chunk} ORDER BY started, position"
        ));
        assert_eq!(called.concat(), expected);
    }
}

#[test]
fn an_outage_fails_no_job() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    let (url, port) = (api.url(), api.port());
    drop(api);
    place.texts(20);
    let run = place.begin(&["run", "-j", "4", "--retries", "0", "--url", &url, "texts"]);
    run.until_says("service unavailable");
    let api = FakeApi::start_on(port, |_| Reply::json(1));
    run.end().expect(0);
    assert_eq!(api.requests(), 20);
    let outcomes = place
        .sql("SELECT DISTINCT outcome FROM attempts ORDER BY 1")
        .concat();
    assert_eq!(outcomes, ["not_sent", "succeeded"]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn events_agree_with_the_database() {
    let api = FakeApi::start(|request| {
        if request.attempt == 0 && request.target.ends_with('3') {
            Reply::status(500)
        } else {
            Reply::json(1)
        }
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    place.with_bystander(&url);
    place.texts(10);
    place
        .stride(&[
            "run",
            "--retry-delay",
            "0s",
            "--events",
            "events.jsonl",
            "--url",
            &url,
            "texts",
        ])
        .expect(0);
    let text = std::fs::read_to_string(place.at("events.jsonl")).unwrap();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| {
        events
            .iter()
            .filter(|event| event["event"] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (
            of("started").len(),
            of("claimed").len(),
            of("settled").len(),
            of("stopped").len()
        ),
        (1, 11, 11, 1)
    );
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0]["t"].as_i64() <= pair[1]["t"].as_i64())
    );
    for event in of("settled") {
        let recorded = place.sql(&format!(
            "SELECT outcome, coalesce((SELECT lower(hex(sha256)) FROM result JOIN job ON job.id = job WHERE job.path = attempts.path), '')
             FROM attempts WHERE idempotency_key = '{}' AND path = '{}' AND number = {}",
            event["key"].as_str().unwrap(),
            event["path"].as_str().unwrap(),
            event["attempt"]
        ));
        assert_eq!(recorded[0][0], event["outcome"].as_str().unwrap());
        if let Some(sum) = event["sha256"].as_str() {
            assert_eq!(recorded[0][1], sum);
        }
    }
}

#[test]
fn a_paced_run_ends_with_its_last_call() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.texts(1);
    place
        .begin(&["run", "--rate", "1/h", "--url", &api.url(), "texts"])
        .end()
        .expect(0);
    assert_eq!(api.requests(), 1);
}

#[test]
fn a_removed_database_ends_the_run() {
    let gate = crate::support::Gate::default();
    let api = FakeApi::start({
        let gate = gate.clone();
        move |_| Reply::json(1).when(&gate)
    });
    let place = Place::new();
    place.texts(20);
    let run = place.begin(&["run", "-j", "2", "--url", &api.url(), "texts"]);
    // The first call goes alone.
    api.wait_for(1);
    std::fs::rename(place.at("stride.db"), place.at("elsewhere")).unwrap();
    gate.open();
    run.end().expect(6).says("was removed or replaced");
    assert_eq!(
        api.requests(),
        1,
        "nothing is called that cannot be recorded"
    );
}
