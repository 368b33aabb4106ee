//! Signals, terminals and closed outputs: faults of a process from outside.

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::{counts, gated, named};
use crate::cli::Place;
use crate::support::{FakeApi, Reply, within_limit};

/// The writer waits for another program's transaction, as it would for a stuck disk, so neither of the first two
/// signals can end the run soon. The exit code is the third signal's; a sooner end has the first one's.
#[test]
fn row_7_a_third_signal_ends_the_process_at_once() {
    let (api, gate) = gated(2);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(20);
    let words = ["run", "-j", "3", "--grace", "1h", "--url", &url, "texts"];
    let run = place.begin(&words);
    api.wait_for(5);
    run.signal(Signal::INT);
    run.until_says("stopping: waiting for 3 calls");
    let other = rusqlite::Connection::open(place.at("stride.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.open();
    run.signal(Signal::TERM);
    run.signal(Signal::HUP);
    // The system decides which of the two comes last.
    let ended = run.end();
    assert!(matches!(ended.code, Some(129 | 143)), "{ended:?}");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    counts(&place, &[("running", 3), ("done", 2)]);
    place
        .stride(&words)
        .expect(0)
        .says("recovered: 3 calls in flight when the last run died");
    counts(&place, &[("done", 21), ("in_doubt_recovered", 3)]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_8_a_closed_terminal_is_a_hangup_without_a_panic() {
    let (api, gate) = gated(20);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(200);
    let (terminal, end) = crate::support::terminal();
    let words = ["run", "-j", "2", "--url", &url, "texts"];
    // The process leads a session on this terminal, like a shell in a window.
    let mut command = place.command_under(&["setsid", "--ctty"], &words);
    command.env("TERM", "xterm");
    command.stdin(end()).stdout(end()).stderr(end());
    let mut run = command.spawn().unwrap();
    // The command itself holds three ends of the terminal.
    drop(command);
    api.wait_for(22);
    drop(terminal);
    gate.open();
    let status = within_limit(move || run.wait().unwrap());
    assert_eq!(status.code(), Some(129), "{status}");
    counts(&place, &[("running", 0), ("in_doubt", 0)]);
    place.stride(&words).expect(0);
    assert_eq!(api.requests(), 201, "no file is called twice");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_9_nohup_means_that_a_hangup_is_ignored() {
    let (api, gate) = gated(1);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(3);
    let words = ["run", "-j", "1", "--url", &url, "texts"];
    let run = place.begin_command(&mut place.command_under(&["nohup"], &words));
    api.wait_for(2);
    run.signal(Signal::HUP);
    gate.open();
    run.end().expect(0);
    assert_eq!(api.requests(), 4);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_10_a_run_continues_with_any_fault_of_its_stdout() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(10);
    let words = ["run", "--url", &url, "texts"];
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (files, stdout) in [(10, Stdio::from(writer)), (12, full.into())] {
        place.texts(files);
        let output = place.command(&words).stdout(stdout).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(api.requests(), files + 1);
    }
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_11_the_database_has_none_of_the_standard_descriptors() {
    let (api, gate) = gated(1);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(3);
    let words = ["run", "-j", "1", "--url", &url, "texts"];
    let closing = ["/bin/sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"];
    let run = place.begin_command(&mut place.command_under(&closing, &words));
    api.wait_for(2);
    for descriptor in 0..3 {
        let to = fs::read_link(format!("/proc/{}/fd/{descriptor}", run.pid())).unwrap();
        assert_eq!(to.to_str(), Some("/dev/null"), "{descriptor}");
    }
    gate.open();
    run.end().expect(0);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_12_a_suspended_run_continues_and_loses_nothing() {
    let (api, gate) = gated(2);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(12);
    let words = ["run", "-j", "3", "--timeout", "2s", "--url", &url, "texts"];
    let run = place.begin(&words);
    api.wait_for(5);
    run.signal(Signal::STOP);
    run.until_stopped();
    // The answers arrive now, and the stopped process reads none before the calls' timeout.
    gate.open();
    place.stride(&["resume"]).expect(5);
    // The elapsed time is the fault under test.
    let (began, time) = (Instant::now(), Duration::from_millis(3500));
    while began.elapsed() < time {
        std::thread::park_timeout(time - began.elapsed().min(time));
    }
    run.signal(Signal::CONT);
    run.end().expect(0);
    counts(&place, &[("done", 13), ("attempts", 13), ("in_doubt", 0)]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_12_ctrl_z_and_fg_change_nothing() {
    let (api, gate) = gated(2);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(12);
    let mut command = place.command(&["run", "-j", "3", "--url", &url, "texts"]);
    // In a process group of its own with a parent, like a job of a shell. Orphaned groups cannot be stopped in this
    // way.
    let run = place.begin_command(command.process_group(0));
    api.wait_for(5);
    run.signal(Signal::TSTP);
    run.until_stopped();
    gate.open();
    run.signal(Signal::CONT);
    run.end().expect(0);
    counts(&place, &[("done", 13), ("attempts", 13), ("in_doubt", 0)]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_13_a_quit_is_a_crash() {
    let (api, gate) = gated(2);
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(6);
    let words = ["run", "-j", "3", "--url", &url, "texts"];
    // No core dump in this folder.
    let starter = ["/bin/sh", "-c", "ulimit -c 0; exec \"$0\" \"$@\""];
    let mut command = place.command_under(&starter, &words);
    let mut run = command.stderr(Stdio::piped()).spawn().unwrap();
    api.wait_for(5);
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, Signal::QUIT).unwrap();
    let mut said = String::new();
    run.stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(3), "{said}");
    assert_eq!(place.status()["running"], json!(3));
    gate.open();
    place
        .stride(&words)
        .expect(0)
        .says("recovered: 3 calls in flight when the last run died");
    counts(&place, &[("done", 7), ("in_doubt_recovered", 3)]);
    assert_eq!(place.bystander(), bystander);
}
