//! Output of a run without a terminal.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use stride::Run;
use stride::caller::FnCaller;
use stride::engine::Stop;
use stride::event::Event;
use stride::job::{Answer, Class, Failure, Job};
use stride::settings::{Settings, Threads};
use stride::store::Reader;

use super::Place;
use crate::support::{FakeApi, Gate, LIMIT, Reply, within_limit};

/// A service that answers the bystander and two more files at once, and the others when the gate is open.
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
fn sigusr1_prints_progress_and_disturbs_nothing() {
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
fn sigusr1_before_the_first_call_does_not_end_a_run() {
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
    // It waits for the list; the signal comes before it has a status.
    let lock = place.at("stride.db.lock");
    let is_begun =
        || std::fs::read_to_string(&lock).is_ok_and(|text| text.contains(&run.id().to_string()));
    place.until(is_begun);
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
    // It holds no read lock: a checkpoint succeeds while it watches.
    place.until(|| {
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
fn a_run_without_a_runner_is_not_watched() {
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
fn a_signal_ends_watch() {
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

/// A Rust program keeps its own settings, except for those that `set` changes.
#[test]
fn row_132_set_changes_nothing_else_of_a_programs_run() {
    let place = Place::new();
    let own = Settings {
        threads: Threads::Fixed(1),
        retries: 0,
        retry_delay: Duration::ZERO,
        max_outage: Duration::from_secs(1_234),
        ..Settings::default()
    };
    let mut run = Run::builder(place.at("stride.db"))
        .workload("a test")
        .settings(own.clone())
        .open()
        .unwrap();
    run.add(["bystander.txt"]).unwrap();
    run.process(|_| Ok(Answer::json_text("1"))).unwrap();
    let bystander = place.bystander();
    run.add(["a", "b", "c"]).unwrap();
    let (gate, (calling, called)) = (Gate::default(), channel());
    let wait = gate.clone();
    let call = move |job: &Job| {
        let _ = calling.send(());
        wait.wait();
        match job.path.as_bytes() {
            b"a" => Ok(Answer::json_text("1")),
            _ => Err(Failure::new(Class::Transient, "tried", "once is enough")),
        }
    };
    let mut make = move || Ok(FnCaller(call.clone()).into());
    let (changing, changed) = channel();
    let mut changes = Vec::new();
    let outline = std::thread::scope(|scope| {
        let (place, gate) = (&place, &gate);
        scope.spawn(move || {
            called.recv().unwrap();
            // The default number of threads, which differs from this program's.
            let ran = place.stride(&["set", "-j", "8"]);
            let told = changed.recv_timeout(LIMIT);
            gate.open();
            ran.expect(0).says("saved; the running process");
            told.unwrap();
        });
        let mut on_event = |event: &Event| {
            if let Event::Changed(settings) = event {
                changes.push(settings.clone());
                let _ = changing.send(());
            }
        };
        run.process_callers(&mut make, &Stop::new(), &mut on_event)
    });
    let counts = outline.unwrap().counts;
    assert_eq!((counts.done, counts.failed, counts.attempts), (2, 2, 4));
    let after = Settings {
        threads: Threads::Fixed(8),
        given: changes[0].given.clone(),
        ..own
    };
    assert_eq!(*changes[0], after);
    drop(run);
    let stored = Reader::open(place.at("stride.db")).unwrap().info().unwrap();
    assert_eq!(stored.settings, after);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn status_counts_the_calls_that_were_sent() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.write("here", "here");
    place.write("list", "here\nmissing\n");
    let words = ["run", "--url", &url, "--files-from", "list"];
    place.stride(&words).expect(3);
    let told = String::from_utf8(place.stride(&["status"]).expect(0).stdout).unwrap();
    // The bystander's call, and one more.
    assert!(told.contains("\ncalls   2 calls\n"), "{told}");
    assert_eq!(place.bystander(), bystander);
}
