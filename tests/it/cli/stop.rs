//! Signals that stop a run.

use std::collections::BTreeMap;
use std::io::Write as _;

use rustix::process::Signal;
use serde_json::json;

use super::Place;
use crate::support::{Counter, FakeApi, Gate, Reply};

/// A service that answers only the bystander and the first file, whose call goes alone.
fn never_answering() -> FakeApi {
    let seen = Counter::default();
    FakeApi::start(move |_| match seen.add() {
        0 | 1 => Reply::json(1),
        _ => Reply::hang(),
    })
}

#[test]
fn a_stop_drains_and_any_number_of_threads_resumes() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(600);
    let run = place.begin(&["run", "-j", "8", "--url", &url, "texts"]);
    api.wait_for(200);
    run.signal(Signal::INT);
    run.end().expect(130).says("resume");
    let run = place.begin(&["resume", "-j", "5"]);
    api.wait_for(400);
    run.signal(Signal::INT);
    let ended = run.end();
    assert!(matches!(ended.code, Some(130 | 0)), "{}", ended.stderr);
    place
        .stride(&["run", "-j", "64", "--url", &url, "texts"])
        .expect(0);
    let mut calls = BTreeMap::new();
    for call in api.log() {
        *calls.entry(call.target).or_insert(0) += 1;
    }
    assert_eq!(calls.len(), 601);
    assert!(
        calls.values().all(|times| *times == 1),
        "a file that was done was called again"
    );
    assert_eq!(place.status()["in_doubt"], json!(0));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_5_the_first_signal_waits_for_the_calls_in_flight_and_claims_nothing_more() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let gate = Gate::default();
        let api = FakeApi::start({
            let (gate, seen) = (gate.clone(), Counter::default());
            move |_| match seen.add() {
                0 | 1 => Reply::json(1),
                _ => Reply::json(1).when(&gate),
            }
        });
        let place = Place::new();
        let url = format!("{}/{{name}}", api.url());
        let bystander = place.with_bystander(&url);
        place.texts(20);
        let run = place.begin(&["run", "-j", "3", "--grace", "10m", "--url", &url, "texts"]);
        api.wait_for(5);
        run.signal(signal);
        run.until_says("stopping: waiting for 3 calls");
        gate.open();
        let again = match signal {
            Signal::INT => "press Ctrl-C again to stop now",
            _ => "send the signal again to stop now",
        };
        run.end().expect(code).says(again);
        let status = place.status();
        assert_eq!(
            (&status["done"], &status["in_doubt"]),
            (&json!(5), &json!(0)),
            "{status}"
        );
        assert_eq!(api.requests(), 5);
        assert_eq!(place.bystander(), bystander);
    }
}

#[test]
fn row_6_the_second_signal_does_not_wait() {
    let api = never_answering();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(20);
    // Only the second signal can end this within the test's limit.
    let run = place.begin(&[
        "run",
        "-j",
        "3",
        "--grace",
        "1h",
        "--timeout",
        "1h",
        "--url",
        &url,
        "texts",
    ]);
    api.wait_for(5);
    run.signal(Signal::INT);
    run.until_says("stopping");
    run.signal(Signal::TERM);
    run.end().expect(130).says("3 files in doubt, because");
    let status = place.status();
    assert_eq!(
        (&status["in_doubt"], &status["in_doubt_recovered"]),
        (&json!(3), &json!(0)),
        "{status}"
    );
    assert_eq!(
        (&status["running"], &status["pending"]),
        (&json!(0), &json!(19))
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_5_the_end_of_the_grace_acts_as_a_second_signal() {
    let api = never_answering();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(3);
    let run = place.begin(&[
        "run",
        "--grace",
        "100ms",
        "--timeout",
        "1h",
        "--url",
        &url,
        "texts",
    ]);
    api.wait_for(4);
    run.signal(Signal::INT);
    run.end().expect(130).says("2 files in doubt, because");
    assert_eq!(place.bystander(), bystander);
}

/// Fills a pipe without a reader, so that its next writer blocks.
fn fill(writer: &mut std::io::PipeWriter) {
    let flags = rustix::fs::fcntl_getfl(&*writer).unwrap();
    rustix::fs::fcntl_setfl(&*writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while writer.write(&[0; 512]).is_ok() {}
    while writer.write(&[0]).is_ok() {}
    rustix::fs::fcntl_setfl(&*writer, flags).unwrap();
}

/// A pipe that no program reads.
fn make_pipe(place: &Place) {
    let mut make = std::process::Command::new("mkfifo");
    assert!(make.arg(place.at("events")).status().unwrap().success());
}

/// Runs some thousand files with a stuck stderr, and checks that the run ends with all of them done.
fn ends_without_words(options: &[&str], stderr: impl Into<std::process::Stdio>) {
    const FILES: usize = 3000;
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(FILES);
    make_pipe(&place);
    let words = [&["run", "--url", &url, "texts"], options].concat();
    let mut command = place.command(&words);
    command
        .env("TERM", "xterm")
        .stdout(std::process::Stdio::null())
        .stderr(stderr);
    let mut run = command.spawn().unwrap();
    drop(command);
    let status = crate::support::within_limit(move || run.wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert_eq!(place.status()["done"], json!(FILES + 1));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_138_a_run_ends_although_its_output_and_events_are_not_read() {
    let (_reader, mut writer) = std::io::pipe().unwrap();
    fill(&mut writer);
    ends_without_words(&["--events", "events"], writer);
}

#[test]
fn row_138_a_run_ends_though_its_terminal_is_frozen() {
    let (_near, far) = crate::support::terminal();
    let terminal = far();
    rustix::termios::tcflow(&terminal, rustix::termios::Action::OOff).unwrap();
    ends_without_words(&[], terminal);
}

#[test]
fn row_138_events_that_a_pipe_does_not_take_are_counted() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(1000);
    make_pipe(&place);
    place
        .stride(&["run", "--events", "events", "--url", &url, "texts"])
        .expect(0)
        .says("events not written to events: it, or its reader, is too slow");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn events_that_a_full_disk_does_not_take_are_counted() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(1);
    // The only batch of lines fails after the last event.
    place
        .stride(&["run", "--events", "/dev/full", "--url", &url, "texts"])
        .expect(0)
        .says("cannot write the events to /dev/full: No space left on device")
        .says("events not written to /dev/full");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn rows_6_and_8_a_stuck_terminal_does_not_delay_the_exit() {
    let api = never_answering();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(3);
    let (_reader, mut writer) = std::io::pipe().unwrap();
    let mut command = place.command(&[
        "run",
        "--timeout",
        "1h",
        "--grace",
        "1h",
        "--url",
        &url,
        "texts",
    ]);
    command
        .stdout(std::process::Stdio::null())
        .stderr(writer.try_clone().unwrap());
    let mut run = command.spawn().unwrap();
    api.wait_for(4);
    fill(&mut writer);
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let status = crate::support::within_limit(move || run.wait().unwrap());
    // The system decides which of two signals comes first.
    assert!(matches!(status.code(), Some(130 | 143)), "{status}");
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}
