//! What calls cost, by their answers.

use std::collections::HashMap;

use serde_json::json;

use super::Place;
use crate::support::{FakeApi, Reply, Request};

const COST: &str = ".usage.total_tokens * 0.000002";
/// Billionths for each token at this price.
const BILLIONTHS: u64 = 2_000;

/// The tokens of a file: its target is its number. The bystander has another name.
fn tokens(target: &str) -> u64 {
    let number: u64 = target.trim_start_matches('/').parse().unwrap_or(0);
    1 + number * 7_919 % 1_013
}

fn answer(request: &Request) -> Reply {
    Reply::json(json!({"usage": {"total_tokens": tokens(&request.target)}}))
}

/// Writes billionths as the program does.
fn money(billionths: u64) -> String {
    let fraction = format!("{:09}", billionths % 1_000_000_000);
    let text = format!("{}.{fraction}", billionths / 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[test]
fn costs_over_kills_are_those_of_the_services_own_log() {
    const FILES: usize = 50;
    let api = FakeApi::start(answer);
    let place = Place::new();
    place.texts(FILES);
    let url = format!("{}/{{name}}", api.url());
    // The bystander's call costs nothing.
    let bystander = place.with_bystander(&url);
    let command = ["run", "-j", "4", "--cost", COST, "--url", &url, "texts"];
    for kill in 1..=10 {
        let running = place.begin(&command);
        api.wait_for((1 + 4 * kill).min(FILES));
        running.kill();
    }
    place.stride(&command).expect(0);

    // What the service has answered, by the key of the call.
    let log = api.log();
    let answered = log.iter().filter(|call| call.status.is_some());
    let answered: HashMap<&str, u64> = answered
        .map(|call| (call.key.as_deref().unwrap(), tokens(&call.target)))
        .collect();
    let attempts = place.sql(
        "SELECT idempotency_key, attempts.outcome, attempt.cost, attempt.cost_unknown FROM attempts
         JOIN attempt ON attempt.job = position AND attempt.number = attempts.number
         WHERE path <> 'bystander.txt' ORDER BY attempts.ended, position",
    );
    let (mut sum, mut unknown, mut dearest) = (0, 0, 0);
    for row in &attempts {
        let cost: u64 = row[2].parse().unwrap();
        match row[1].as_str() {
            "succeeded" => {
                assert_eq!(cost, answered[&*row[0]] * BILLIONTHS, "{row:?}");
                assert_eq!(row[3], "0");
                dearest = dearest.max(cost);
            }
            "in_doubt" => {
                // As much as the dearest call before: the cost of one, or nothing.
                let is_one = (answered.values()).any(|tokens| tokens * BILLIONTHS == cost);
                assert!(is_one || cost == 0, "{row:?}");
                assert_eq!(row[3], "1");
                unknown += 1;
            }
            other => panic!("{other}"),
        }
        sum += cost;
    }
    let status = place.status();
    assert_eq!(status["cost"], json!(money(sum)));
    assert_eq!(status["cost_unknown"], json!(unknown));
    let stored = place.sql("SELECT cost, cost_unknown, dearest FROM limiter_state");
    assert_eq!(
        stored[0],
        [sum.to_string(), unknown.to_string(), dearest.to_string()]
    );
    assert_eq!(place.bystander(), bystander);
    place.stride(&["verify"]).expect(0);
    // Without the doubts, the sum is that of each file once.
    let known: u64 = (0..FILES as u64)
        .map(|number| tokens(&format!("/{number}")) * BILLIONTHS)
        .sum();
    let succeeded = place.sql("SELECT sum(cost) FROM attempt WHERE cost_unknown = 0");
    assert_eq!(succeeded[0][0], known.to_string());
}

#[test]
fn a_budget_is_passed_at_most_by_what_calls_in_flight_cost_above_their_reserve() {
    // Every call costs 0.01, and every tenth 0.02. Each is seen before the budget matters.
    let api = FakeApi::start(|request| {
        let tokens = match request.target.ends_with('7') {
            true => 10_000,
            false => 5_000,
        };
        Reply::json(json!({"usage": {"total_tokens": tokens}}))
    });
    let place = Place::new();
    place.texts(100);
    let url = format!("{}/{{name}}", api.url());
    let ran = place.stride(&[
        "run",
        "-j",
        "8",
        "--cost",
        COST,
        "--max-cost",
        "0.505",
        "--url",
        &url,
        "texts",
    ]);
    ran.expect(4).says("--max-cost");
    let spent: f64 = place.status()["cost"].as_str().unwrap().parse().unwrap();
    assert!(spent <= 0.505, "{spent}");
    // One more call could cost 0.02.
    assert!(spent > 0.505 - 0.02, "{spent}");
    place.stride(&["verify"]).expect(0);
}

#[test]
fn under_a_budget_one_call_goes_alone_until_its_cost_is_known() {
    let gate = crate::support::Gate::default();
    let first = gate.clone();
    let api = FakeApi::start(move |request| match request.target.as_str() {
        "/0000" => {
            first.wait();
            answer(request)
        }
        _ => answer(request),
    });
    let place = Place::new();
    place.texts(20);
    let url = format!("{}/{{name}}", api.url());
    let words = ["run", "-j", "8", "--max-cost", "9"];
    let running = place.begin(&[&words[..], &["--cost", COST, "--url", &url, "texts"]].concat());
    api.wait_for(1);
    place.until(|| place.status()["limit"] == json!("the calls in flight may use up --max-cost"));
    assert_eq!(api.requests(), 1);
    gate.open();
    running.end().expect(0);
}

#[test]
fn unknown_costs_are_told_and_counted_as_the_dearest() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        // A failure with a cost, one without, and one that is free by the user's word.
        "/0001" => {
            Reply::status(422).body("application/json", r#"{"usage":{"total_tokens":1000000}}"#)
        }
        "/0002" => Reply::status(422).body("application/json", r#"{"usage":null}"#),
        "/0003" => Reply::json(json!({"usage": {"total_tokens": -1}})),
        "/0004" => Reply::json(json!({"usage": {"total_tokens": "many"}})),
        _ => Reply::json(json!({"usage": {"total_tokens": 500_000}})),
    });
    let place = Place::new();
    place.texts(6);
    let url = format!("{}/{{name}}", api.url());
    let run = ["run", "-j", "1", "--cost", COST, "--url", &url, "texts"];
    place
        .stride(&run)
        .expect(3)
        .says("3 calls have an unknown cost");
    // Two known ones, the failed one, and three unknown ones.
    let status = place.status();
    assert_eq!(status["cost"], json!("10"));
    assert_eq!(status["cost_unknown"], json!(3));
    let failed = place.sql("SELECT cost, cost_unknown FROM attempts ORDER BY position");
    let expected = ["1 0", "2 0", "2 1", "2 1", "2 1", "1 0"];
    let failed: Vec<String> = failed.iter().map(|row| row.join(" ")).collect();
    assert_eq!(failed, expected);
    place.stride(&["verify"]).expect(0);
    let report = String::from_utf8(place.stride(&["report"]).expect(0).stdout).unwrap();
    assert!(report.contains("calls of unknown cost"), "{report}");
    let ran = place.stride(&["set", "--cost", ".price"]).expect(2);
    ran.says("stride resume --cost .price");
}

#[test]
fn a_worker_states_costs_with_its_answers_and_failures() {
    if !crate::support::has_tool("python3") {
        return;
    }
    let place = Place::new();
    let worker = concat!(
        "python3 ",
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/workers/obey.py 1 log"
    );
    place.write("bystander.txt", "done(json=1)");
    let run = ["run", "--worker", worker, "--rate", "none", "-j", "1"];
    let words = |more: &[&'static str]| [&run[..], more].concat();
    place.stride(&words(&["bystander.txt"])).expect(0);
    let bystander = place.bystander();
    place.write("a", "done(json=1, cost=0.1, weight=7)");
    place.write("b", "fail(cost=0.2, message='no')");
    place.write("c", "done(json=1)");
    place.write("d", "done(json=1, cost=-1)");
    // What is not stated costs nothing: the run has no price.
    place.stride(&words(&["a", "b", "c", "d"])).expect(3);
    let status = place.status();
    assert_eq!(
        (&status["cost"], &status["cost_unknown"]),
        (&json!("0.3"), &json!(0))
    );
    let failed = place.stride(&["failures"]).expect(0);
    assert!(String::from_utf8_lossy(&failed.stdout).contains("is no cost"));
    // With a budget, it is unknown.
    place.write("e", "done(json=1)");
    place.write("f", "done(json=1, cost=0.1)");
    place
        .stride(&words(&["--max-cost", "0.6", "e", "f"]))
        .expect(4)
        .says("the run has cost 0.5");
    assert_eq!(place.status()["cost_unknown"], json!(1));
    place.stride(&["resume", "--max-cost", "none"]).expect(3);
    assert_eq!(place.status()["cost"], json!("0.6"));
    assert_eq!(place.bystander(), bystander);
    place.stride(&["verify"]).expect(0);
}

#[test]
fn a_settled_weight_replaces_the_estimate() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/0003" => Reply::json(json!({"usage": null})),
        _ => Reply::json(json!({"usage": {"total_tokens": 1}})),
    });
    let place = Place::new();
    place.texts(4);
    let url = format!("{}/{{name}}", api.url());
    // Two estimates are more than a minute allows, and each call takes next to nothing.
    let run = [
        "run",
        "--rate",
        "3000w/m",
        "--weight",
        "1990+size",
        "--settle",
        ".usage.total_tokens",
        "--url",
        &url,
        "texts",
    ];
    place.stride(&run).expect(0);
    let usage = place.sql("SELECT sum(calls), sum(weight) FROM usage");
    // Without a number, the estimate stays.
    assert_eq!(usage[0], ["4", "2003"]);
}

#[test]
fn a_debt_of_tokens_holds_the_next_session_too() {
    let api = FakeApi::start(|_| Reply::json(json!({"usage": {"total_tokens": 9_000}})));
    let place = Place::new();
    place.write("list.csv", "path,tokens\na,10\nb,20.5\n");
    place.write("a", "a");
    place.write("b", "b");
    let url = api.url();
    let list = ["--files-from", "list.csv"];
    let run = [
        "run",
        "--rate",
        "3000w/m",
        "--weight",
        "{col.tokens}*2",
        "--settle",
        ".usage.total_tokens",
        "--max-calls",
        "1",
        "--url",
        &url,
    ];
    place.stride(&[&run[..], &list].concat()).expect(4);
    let usage = || place.sql("SELECT sum(calls), sum(weight) FROM usage");
    assert_eq!(usage()[0], ["1", "9000"]);
    let running = place.begin(&["resume", "--max-calls", "none"]);
    place.until(|| place.status()["limit"] == json!("rate 3000w/m"));
    running.kill();
    assert_eq!(api.requests(), 1);
    // The estimate of the second file comes from its row.
    place
        .stride(&[
            "resume",
            "--max-calls",
            "none",
            "--rate",
            "none",
            "--weight",
            "none",
            "--settle",
            "none",
        ])
        .expect(0);
    let again = [
        "try",
        "--url",
        &url,
        "--rate",
        "1w/s",
        "--weight",
        "{col.tokans}",
        "b",
    ];
    place.stride(&again).expect(0);
    let missing = [
        "run",
        "--db",
        "other.db",
        "--url",
        &url,
        "--rate",
        "1w/s",
        "--weight",
        "{col.tokans}",
    ];
    place
        .stride(&[&missing[..], &list].concat())
        .expect(2)
        .says("--weight");
}

#[test]
fn a_sample_estimates_what_the_whole_list_costs() {
    let api = FakeApi::start(|_| Reply::json(json!({"usage": {"total_tokens": 500}})));
    let place = Place::new();
    place.texts(40);
    let url = api.url();
    let dry = |words: &[&str]| {
        let ran = place.stride(&[&["run", "--dry-run", "--url", &url, "texts"], words].concat());
        String::from_utf8(ran.expect(0).stdout).unwrap()
    };
    assert!(dry(&["--cost", COST]).contains("cost: unknown before the first answers"));
    assert!(dry(&["--cost", "0.25"]).contains("cost: 10, if each file takes one call"));
    place
        .stride(&["try", "--url", &url, "--cost", COST, "texts/0001"])
        .expect(0)
        .says("cost: 0.001\n");
    let pace = ["--rate", "120/m", "--cost", COST];
    place
        .stride(&[&["run", "--sample", "2", "--url", &url, "texts"], &pace[..]].concat())
        .expect(0)
        .says("estimate for all 40 files: cost about 0.04 (0.001 a file), time about 19 s");
    place
        .stride(&["try", "texts/0001"])
        .expect(0)
        .says("cost: 0.001\n")
        .says("estimate for all 40 files: cost about 0.04");
    place
        .stride(&["try", "--url", &url, "--cost", ".price", "texts/0001"])
        .expect(0)
        .says("cost: unknown, because `.price` is no number of at least zero");
}
