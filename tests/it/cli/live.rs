//! What a run says while it goes on, where nobody sits before a terminal.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Place, until};
use crate::support::{FakeApi, Gate, Reply, within_limit};

/// A service that answers for the bystander and two files more, and for others when the gate is open.
fn held() -> (FakeApi, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let api = FakeApi::start(move |request| match &*request.target {
        "/0" | "/1" | "/2" => Reply::json(1),
        _ => Reply::json(1).when(&held),
    });
    (api, gate)
}

fn has_no_control_characters(text: &str) {
    let is_control = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(is_control), "{text:?}");
}

#[test]
fn sigusr1_asks_where_a_run_stands_and_disturbs_nothing() {
    let (api, gate) = held();
    let place = Place::new();
    let url = format!("{}/{{index}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(6);
    let run = place.begin(&["run", "-j", "2", "--url", &url, "texts"]);
    api.wait_for(5);
    run.signal(Signal::USR1);
    run.until_says("3 of 7 done · ");
    gate.open();
    let ran = run.end().expect(0).says("7 of 7 files done");
    assert_eq!(
        ran.stderr.matches(" of 7 done · ").count(),
        1,
        "{}",
        ran.stderr
    );
    has_no_control_characters(&ran.stderr);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn sigusr1_before_the_first_call_is_no_end_either() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("a", "a");
    let mut command = place.command(&["run", "--url", &api.url(), "--files-from", "-"]);
    let mut run = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It waits for the list, and is asked before there is anything to say.
    let lock = place.at("stride.db.lock");
    let is_begun =
        || std::fs::read_to_string(&lock).is_ok_and(|text| text.contains(&run.id().to_string()));
    until(is_begun);
    kill_process(Pid::from_child(&run), Signal::USR1).unwrap();
    let mut list = run.stdin.take().unwrap();
    std::io::Write::write_all(&mut list, b"a\n").unwrap();
    drop(list);
    let output = within_limit(move || run.wait_with_output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("1 of 2 done · "), "{said}");
    assert_eq!(place.bystander(), bystander);
}

/// A command whose stdout is read line by line.
fn watch(place: &Place) -> (Child, impl Iterator<Item = String> + Send + use<>) {
    let mut command = place.command(&["status", "--watch"]);
    let mut watch = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    (watch, lines.map(Result::unwrap))
}

#[test]
fn a_run_is_watched_by_a_pipe_until_it_ends() {
    let (api, gate) = held();
    let place = Place::new();
    let url = format!("{}/{{index}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(6);
    let run = place.begin(&["run", "-j", "2", "--url", &url, "texts"]);
    api.wait_for(5);
    let (watched, mut lines) = watch(&place);
    let (first, mut lines) = within_limit(move || (lines.next().unwrap(), lines));
    assert!(first.starts_with("3 of 7 done · "), "{first}");
    // It holds on to nothing: what is in the log can be folded into the database while it looks.
    until(|| {
        let blocked = place.sql("PRAGMA wal_checkpoint(TRUNCATE)");
        blocked[0][0] == "0"
    });
    gate.open();
    run.end().expect(0);
    let rest = within_limit(move || lines.by_ref().collect::<Vec<String>>().join("\n"));
    assert!(rest.contains("files   7 of 7 files done"), "{rest}");
    assert!(rest.contains("runner  the last one finished"), "{rest}");
    has_no_control_characters(&rest);
    let output = within_limit(move || watched.wait_with_output().unwrap());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_run_that_nobody_works_on_is_not_watched() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    let plain = place.stride(&["status"]).expect(0);
    let watched = place.stride(&["status", "--watch"]).expect(0);
    assert_eq!(watched.stdout, plain.stdout);
    assert_eq!(watched.stderr, "");
    place
        .stride(&["status", "--watch", "--db", "none"])
        .expect(6);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn whoever_watches_is_gone_at_a_signal() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let (api, gate) = held();
        let place = Place::new();
        let url = format!("{}/{{index}}", api.url());
        let bystander = place.with_bystander(&url);
        place.texts(6);
        let run = place.begin(&["run", "-j", "2", "--url", &url, "texts"]);
        api.wait_for(5);
        let (watched, mut lines) = watch(&place);
        let first = within_limit(move || lines.next().unwrap());
        assert!(first.starts_with("3 of 7 done · "), "{first}");
        kill_process(Pid::from_child(&watched), signal).unwrap();
        let output = within_limit(move || watched.wait_with_output().unwrap());
        assert_eq!(output.status.code(), Some(code));
        gate.open();
        run.end().expect(0);
        assert_eq!(place.bystander(), bystander);
    }
}
