//! Failures of single files, which must neither end a run nor delay other files.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::json;

use super::bystander::Scene;
use super::counts;
use crate::cli::Place;
use crate::limits::Port;
use crate::support::api::Logged;
use crate::support::{FakeApi, Reply, at_once};

/// Creates the run without a call, and then removes these files.
fn remove(scene: &Scene, files: impl Iterator<Item = usize>) {
    // The bystander's call was the only one.
    scene.run(&["--max-calls", "1"]).expect(4);
    for file in files {
        fs::remove_file(scene.place.at(format!("texts/{file:04}"))).unwrap();
    }
}

#[test]
fn missing_files_fail_by_themselves_at_any_position() {
    let cases: [(usize, Range<usize>); 5] = [
        (21, 0..20),
        (300, 0..20),
        (300, 100..120),
        (300, 0..60),
        (300, 240..300),
    ];
    let cases = cases
        .into_iter()
        .flat_map(|(files, gone)| ["1", "8"].map(|threads| (files, gone.clone(), threads)));
    at_once(cases, |(files, gone, threads)| {
        let scene = Scene::new(files, |_| Reply::json(1));
        remove(&scene, gone.clone());
        let resume = ["resume", "--max-calls", "none", "-j", threads];
        scene.place.stride(&resume).expect(3);
        let (files, failed) = (files as u64, gone.len() as u64);
        scene.expect(0, files - failed, failed);
        assert_eq!(scene.calls() as u64, files - failed, "{gone:?}");
        let causes = scene.place.stride(&["failures", "--json"]).json();
        assert_eq!(causes[0]["class"], json!("input"), "{causes}");
    });
}

#[test]
fn a_folder_without_a_fifth_of_its_files_is_done_except_for_those() {
    at_once(["1", "8"], |threads| {
        let scene = Scene::new(300, |_| Reply::json(1));
        remove(&scene, (0..300).step_by(5));
        let resume = ["resume", "--max-calls", "none", "-j", threads];
        scene.place.stride(&resume).expect(3);
        scene.expect(0, 240, 60);
    });
}

/// The targets of the calls from number `from` on.
fn targets(log: &[Logged], from: usize) -> Vec<String> {
    log[from..].iter().map(|call| call.target.clone()).collect()
}

#[test]
fn a_resume_after_a_stop_begins_with_other_files() {
    at_once([401, 402, 403], |status| {
        let scene = Scene::new(300, move |_| Reply::status(status));
        scene.run(&["-j", "1"]).expect(4);
        let seen: HashSet<String> = targets(&scene.api.log(), 1).into_iter().take(5).collect();
        for _ in 0..3 {
            let before = scene.api.requests();
            scene.place.stride(&["resume"]).expect(4);
            let first = targets(&scene.api.log(), before).remove(0);
            assert!(!seen.contains(&first), "{status}: {first} again");
        }
        scene.expect(300, 0, 0);
        scene.expect_nothing_charged();
    });
}

#[test]
fn a_resume_gets_past_the_files_at_which_the_run_has_stopped() {
    at_once([401, 402, 403], |status| {
        let mended = Arc::new(AtomicBool::new(false));
        let scene = Scene::new(300, {
            let mended = Arc::clone(&mended);
            move |request| {
                let own = request.target.as_str() < "/0020";
                match own || !mended.load(Ordering::SeqCst) {
                    true => Reply::status(status),
                    false => Reply::json(1),
                }
            }
        });
        scene.run(&["-j", "1"]).expect(4);
        scene.expect(300, 0, 0);
        mended.store(true, Ordering::SeqCst);
        scene.place.stride(&["resume"]).expect(3);
        scene.expect(0, 280, 20);
    });
}

#[test]
fn files_in_a_row_that_are_forbidden_for_themselves_fail_and_the_others_are_done() {
    let cases: [(u16, Range<usize>); 6] = [
        (401, 100..105),
        (402, 100..105),
        (403, 100..105),
        (403, 100..130),
        (403, 270..300),
        (403, 0..30),
    ];
    let cases = cases
        .into_iter()
        .flat_map(|(status, own)| ["1", "8"].map(|threads| (status, own.clone(), threads)));
    at_once(cases, |(status, own, threads)| {
        let failed = own.len() as u64;
        let scene = Scene::new(300, {
            let own = own.clone();
            move |request| {
                let number: usize = request.target[1..].parse().unwrap();
                match own.contains(&number) {
                    true => Reply::status(status),
                    false => Reply::json(1),
                }
            }
        });
        let ran = scene.run(&["-j", threads]);
        assert_eq!(ran.code, Some(3), "{status} {own:?}: {}", ran.stderr);
        scene.expect(0, 300 - failed, failed);
        assert_eq!(scene.calls(), 300, "{status} {own:?}");
    });
}

/// Runs sixty files of which the service always refuses one, until the others are done and `status` names that one.
fn always_refused(status: u16, wait: Option<&'static str>) {
    let scene = Scene::new(60, move |request| match request.target.as_str() {
        "/0030" => {
            let reply = Reply::text("this one is too much for me").with_status(status);
            match wait {
                Some(wait) => reply.header("Retry-After", wait),
                None => reply,
            }
        }
        _ => Reply::json(1),
    });
    let running = scene.place.begin(&scene.words(&["-j", "4"]));
    scene.api.wait_until(|log| {
        let done = log.iter().filter(|call| call.status == Some(200));
        done.count() == 60
    });
    // stride calls it again after the others.
    scene.place.until(|| scene.count("done") == 60);
    let before = scene.api.requests();
    scene.api.wait_for(before + 1);
    assert_eq!(scene.api.log()[before].target, "/0030");
    // `status` names it.
    scene
        .place
        .until(|| scene.place.status()["refused"]["file"] == json!("texts/0030"));
    let told = scene.place.stride(&["status"]).stdout;
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("texts/0030: "), "{told}");
    running.signal(Signal::INT);
    running.end().expect(130);
    scene.expect(1, 59, 0);
    scene.expect_nothing_charged();
    let log = scene.api.log();
    let refused = log.iter().filter(|call| call.target == "/0030").count();
    assert!(refused <= 20, "{refused} calls of one file");
    assert_eq!(
        log.len() - refused,
        60,
        "no other was refused or called twice"
    );
    let found = scene.place.sql("SELECT found_rate FROM limiter_state");
    assert_eq!(found.concat(), [""], "{status} {wait:?}");
}

#[test]
fn one_file_that_is_always_refused_delays_no_other_and_leaves_no_limit() {
    // One at a time: a machine under load accepts calls as slowly as a service with a limit.
    for (status, wait) in [
        (429, None),
        (429, Some("0")),
        (429, Some("1")),
        (503, Some("0")),
        (503, Some("1")),
    ] {
        always_refused(status, wait);
    }
}

#[test]
fn a_file_that_is_too_large_by_the_words_of_a_429_fails_at_once() {
    let words = "Request too large for this model: Limit 30000, Requested 31538";
    let scene = Scene::new(60, move |request| match request.target.as_str() {
        "/0030" => Reply::text(words)
            .with_status(429)
            .header("Retry-After", "1"),
        _ => Reply::json(1),
    });
    scene.run(&["-j", "4"]).expect(3).says("Request too large");
    scene.expect(0, 59, 1);
    assert_eq!(scene.calls(), 60);
    let failures = scene.place.stride(&["failures", "--json"]).json();
    assert_eq!(failures[0]["class"], json!("rejected"), "{failures}");
}

#[test]
fn missing_files_use_neither_rate_nor_budget() {
    let scene = Scene::new(10, |_| Reply::json(1));
    remove(&scene, (0..10).filter(|file| file % 4 != 3).take(7));
    // The bystander's call and those of the three existing files. The run does not wait an hour.
    let resume = ["resume", "-j", "1", "--rate", "4/h", "--burst", "4"];
    scene
        .place
        .stride(&[&resume[..], &["--max-calls", "4"]].concat())
        .expect(3);
    let there = 10 - missing(&scene);
    scene.expect(0, there, 10 - there);
    assert_eq!(scene.calls() as u64, there);
    assert_eq!(scene.place.status()["calls"], json!(there + 1));
}

fn missing(scene: &Scene) -> u64 {
    let gone = (0..10).filter(|file| !scene.place.at(format!("texts/{file:04}")).exists());
    gone.count() as u64
}

#[test]
fn refused_connections_use_neither_rate_nor_budget() {
    let (place, port) = (Place::new(), Port::reserve());
    let service = || FakeApi::start_on(port.number(), |_| Reply::json(1));
    let api = service();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    drop(api);
    place.texts(3);
    let words = ["run", "--url", &url, "--rate", "4/h", "--burst", "4"];
    let running = place.begin(&[&words[..], &["--max-calls", "4", "texts"]].concat());
    place.until(|| {
        let unsent = place.sql("SELECT count(*) FROM attempt WHERE outcome = 'not_sent'");
        unsent[0][0].parse::<usize>().unwrap() >= 6
    });
    let api = service();
    // A rate of four an hour would have allowed fewer.
    running.end().expect(0).says("; 3 calls in ");
    assert_eq!(api.requests(), 3);
    counts(&place, &[("done", 4), ("failed", 0), ("calls", 4)]);
    let spent = place.sql("SELECT sum(calls) FROM usage").concat();
    assert_eq!(spent, ["4"]);
    assert_eq!(place.bystander(), bystander);
}
