//! Budgets, limits and their changes during a run.

use std::fs;

use serde_json::json;

use super::{counts, place, run};
use crate::support::{FakeApi, Reply};

#[test]
fn calls_are_counted_over_all_resumes() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(30);
    place
        .stride(&run(&api.url(), &["-j", "4", "--max-calls", "10"]))
        .expect(4)
        .says("stride resume --max-calls none");
    assert_eq!(api.requests(), 10);
    place.stride(&["resume"]).expect(4);
    assert_eq!(api.requests(), 10, "it is kept");
    place.stride(&["resume", "--max-calls", "15"]).expect(4);
    assert_eq!(api.requests(), 15);
    place.stride(&["resume", "--max-calls", "none"]).expect(0);
    counts(&place, &[("done", 30), ("calls", 30)]);
}

#[test]
fn money_is_never_overspent() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(30);
    let words = ["-j", "8", "--max-cost", "0.01", "--cost", "0.003"];
    place
        .stride(&run(&api.url(), &words))
        .expect(4)
        .says("0.009");
    assert_eq!(api.requests(), 3);
    assert_eq!(place.status()["cost"], json!("0.009"));
}

#[test]
fn a_missing_disk_stops_the_run_and_a_few_missing_files_do_not() {
    let api = FakeApi::start(|_| Reply::json(1));
    for (missing, code, pending, failed) in [(30, 4, 30, 0), (5, 3, 0, 5)] {
        let place = place(missing);
        place
            .stride(&run(&api.url(), &["--rate", "1/h", "--max-calls", "0"]))
            .expect(4);
        fs::rename(place.at("texts"), place.at("unmounted")).unwrap();
        place
            .stride(&["resume", "--rate", "none", "--max-calls", "none"])
            .expect(code);
        counts(&place, &[("pending", pending), ("failed", failed)]);
    }
    assert_eq!(api.requests(), 0);
}

#[test]
fn a_running_run_is_changed_from_another_terminal() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(40);
    let url = api.url();
    let running = place.begin(&run(&url, &["--rate", "1/h"]));
    api.wait_for(1);
    place.until(|| place.status()["limit"] == json!("rate 1/h"));
    place
        .stride(&["set", "--rate", "1000/s", "-j", "4"])
        .expect(0)
        .says("within a second");
    running
        .end()
        .expect(0)
        .says("settings changed; now threads 4, rate 1000/s");
    let status = place.status();
    assert_eq!(
        (&status["rate"], &status["threads"]),
        (&json!("1000/s"), &json!(4))
    );
}

#[test]
fn bytes_and_weights_are_paced_too() {
    let api = FakeApi::start(|_| Reply::json(1));
    for words in [
        &["--rate", "1MB/s", "--rate", "100/s"][..],
        &["--rate", "100000w/s", "--weight", "size/4"],
    ] {
        let place = place(20);
        place.stride(&run(&api.url(), words)).expect(0);
        counts(&place, &[("done", 20)]);
        let spent = place
            .sql("SELECT sum(calls), sum(bytes) FROM usage")
            .concat();
        // Each file holds its own name, of ten bytes.
        assert_eq!(spent, ["20", "200"]);
    }
}

#[test]
fn contradictory_settings_are_refused_before_anything_is_created() {
    let place = place(1);
    for (words, said) in [
        (&["--rate", "9w/m"][..], "--weight"),
        (&["--weight", "size"], "--rate 90000w/m"),
        (&["--max-cost", "1"], "--cost"),
        (&["--rate", "10"], "10/s"),
        (&["--rate", "none", "--rate", "1/s"], "cannot be combined"),
        (&["--until", "yesterday"], "06:00"),
        (&["--max-failures", "101%"], "5%"),
        (&["--class", "status=409"], "status=409:transient"),
    ] {
        place
            .stride(&run("http://127.0.0.1:9/", words))
            .expect(2)
            .says(said);
    }
    assert_eq!(crate::cli::listed(&place.at("")), ["texts"]);
    place.stride(&["set", "--rate", "1/s"]).expect(6);
}

#[test]
fn a_rule_puts_answers_into_another_class() {
    let api = FakeApi::start(|request| match request.attempt {
        0 => Reply::status(418).body("text/plain", "short and stout"),
        _ => Reply::json(1),
    });
    let place = place(3);
    let url = format!("{}/{{name}}", api.url());
    place
        .stride(&run(&url, &["--class", "body~stout:transient"]))
        .expect(0);
    counts(&place, &[("done", 3), ("attempts", 6)]);
}

#[test]
fn a_password_of_netrc_is_used_for_its_host_never_stored_and_renewed_when_refused() {
    let api = FakeApi::start(|request| match request.header("authorization") {
        // me:new-password
        Some("Basic bWU6bmV3LXBhc3N3b3Jk") => Reply::json(1),
        _ => Reply::status(401),
    });
    let place = place(3);
    let file = |word: &str| {
        place.write(
            "netrc",
            format!("machine 127.0.0.1 login me password {word}\n"),
        );
    };
    file("old-password");
    let url = api.url();
    let with = |words: &[&str]| {
        let mut command = place.command(words);
        command.env("NETRC", place.at("netrc"));
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = with(&run(&url, &["--netrc"]));
    assert_eq!(code, Some(4), "{said}");
    file("new-password");
    let (code, said) = with(&["resume"]);
    assert_eq!(code, Some(0), "{said}");
    let database = fs::read(place.at("stride.db")).unwrap();
    for secret in ["old-password", "new-password", "bWU6bmV3LXBhc3N3b3Jk"] {
        let found = database
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    fs::remove_file(place.at("netrc")).unwrap();
    let (code, said) = with(&run(&url, &["--netrc"]));
    assert!(code == Some(2) && said.contains(".netrc"), "{said}");
}

#[test]
fn repeated_settings_are_checked_together_with_stored_ones() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(2);
    let url = api.url();
    let with = |more: &[&str]| place.stride(&run(&url, more));
    with(&["--cost", "0.003", "--max-cost", "1"]).expect(0);
    with(&["--max-cost", "2"]).expect(0);
    with(&["--rate", "90000w/m", "--weight", "size/4"]).expect(0);
    with(&["--rate", "50000w/m"]).expect(0);
    with(&["--weight", "size/8"]).expect(0);
    with(&["--cost", "none"])
        .expect(2)
        .says("--max-cost needs --cost");
    counts(&place, &[("done", 2), ("attempts", 2)]);
}

#[test]
fn a_command_that_has_the_key_is_run_once_an_invocation() {
    let api = FakeApi::start(|request| match request.attempt {
        0 => Reply::status(422),
        _ => Reply::json(1),
    });
    let place = place(2);
    let url = format!("{}/{{name}}", api.url());
    let header = "X-Api-Key: {cmd:echo once >> runs; echo sesame-open-now}";
    let runs = || {
        fs::read_to_string(place.at("runs"))
            .unwrap()
            .lines()
            .count()
    };
    place.stride(&run(&url, &["-H", header])).expect(3);
    assert_eq!(runs(), 1);
    place.stride(&["retry"]).expect(0);
    assert_eq!(runs(), 2);
    place.stride(&["resume"]).expect(0);
    assert_eq!(runs(), 2, "there is nothing to call");
}
