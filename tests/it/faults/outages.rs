//! Outages, and files that always fail at a healthy service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::bystander::Scene;
use super::counts;
use crate::cli::Place;
use crate::limits::Port;
use crate::support::api::Logged;
use crate::support::{Counter, FakeApi, Reply, at_once};

const FILES: usize = 300;

/// The limit of the run that `status` shows.
fn limit(place: &Place) -> String {
    place.status()["limit"].as_str().unwrap_or("").to_owned()
}

/// The stored limits of the service.
fn found(place: &Place) -> Vec<String> {
    place
        .sql("SELECT found_rate, found_at_once FROM limiter_state")
        .concat()
}

/// The number of requests whose answer was not 200.
fn in_vain(log: &[Logged]) -> usize {
    log.iter().filter(|call| call.status != Some(200)).count()
}

/// The number of calls of a file.
fn calls_of(log: &[Logged], target: &str) -> usize {
    log.iter().filter(|call| call.target == target).count()
}

/// Runs against a service that answers some calls and then fails, until `status` shows `said` and two more probes have
/// arrived.
fn away(reply: &Reply, said: &str) {
    let cases = [(8, 0), (8, 100), (64, 0), (64, 100)];
    at_once(cases, |(threads, good)| {
        away_for(FILES, threads, good, reply, said);
    });
}

fn away_for(files: usize, threads: usize, good: usize, reply: &Reply, said: &str) {
    let (seen, back) = (Counter::default(), Arc::new(AtomicBool::new(false)));
    let scene = Scene::new(files, {
        let (reply, back) = (reply.clone(), Arc::clone(&back));
        move |_| match seen.add() < good || back.load(Ordering::SeqCst) {
            true => Reply::json(1),
            false => reply.clone(),
        }
    });
    let threads_word = threads.to_string();
    let words = scene.words(&["-j", &threads_word]);
    let running = scene.place.begin(&words);
    scene.place.until(|| limit(&scene.place).starts_with(said));
    let before = in_vain(&scene.api.log());
    scene.api.wait_until(|log| in_vain(log) >= before + 2);
    back.store(true, Ordering::SeqCst);
    running.end().expect(0);
    let calls = in_vain(&scene.api.log());
    let most = 10 + 2 * threads;
    assert!(calls <= most, "{calls} calls of {most}, {threads} threads");
    scene.expect(0, files as u64, 0);
    scene.expect_nothing_charged();
    // An outage is no evidence of a limit.
    assert_eq!(found(&scene.place), ["", ""], "{threads} threads");
}

#[test]
fn a_service_that_is_away_with_500_gets_few_calls_and_fails_no_file() {
    away(&Reply::status(500), "service unavailable");
}

#[test]
fn a_service_that_is_away_with_502_gets_few_calls_and_fails_no_file() {
    away(&Reply::status(502), "service unavailable");
}

#[test]
fn a_service_that_is_away_with_503_gets_few_calls_and_fails_no_file() {
    away(&Reply::status(503), "service unavailable");
}

#[test]
fn a_service_that_is_away_with_503_and_a_wait_gets_few_calls_and_fails_no_file() {
    let reply = Reply::status(503).header("Retry-After", "1");
    away(&reply, "service unavailable");
}

#[test]
fn a_service_that_is_away_with_529_gets_few_calls_and_fails_no_file() {
    away(&Reply::status(529), "service unavailable");
}

#[test]
fn a_service_that_refuses_everything_with_429_gets_few_calls_and_fails_no_file() {
    away(&Reply::status(429), "waiting until ");
}

#[test]
fn a_service_that_closes_every_connection_gets_few_calls_and_fails_no_file() {
    away(&Reply::close(), "service unavailable");
}

#[test]
fn an_outage_is_recognized_with_fewer_files_than_threads() {
    let (away, closes) = (&Reply::status(502), &Reply::close());
    let cases = [
        (12, 0, away),
        (12, 0, closes),
        (FILES, FILES - 15, away),
        (FILES, FILES - 15, closes),
    ];
    at_once(cases, |(files, good, reply)| {
        away_for(files, 64, good, reply, "service unavailable");
    });
}

#[test]
fn an_outage_gives_every_charge_back() {
    // No file is due when stride recognizes the outage, and each is called several times before.
    at_once(
        [
            (12, ["-j", "64", "--retry-delay", "2s"]),
            (100, ["-j", "2", "--retry-delay", "0s"]),
        ],
        |(files, flags)| {
            let back = Arc::new(AtomicBool::new(false));
            let scene = Scene::new(files, {
                let back = Arc::clone(&back);
                move |_| match back.load(Ordering::SeqCst) {
                    true => Reply::json(1),
                    false => Reply::status(502),
                }
            });
            let running = scene.place.begin(&scene.words(&flags));
            scene
                .place
                .until(|| limit(&scene.place).starts_with("service unavailable"));
            back.store(true, Ordering::SeqCst);
            running.end().expect(0);
            scene.expect(0, files as u64, 0);
            scene.expect_nothing_charged();
        },
    );
}

#[test]
fn a_retry_in_an_outage_waits_for_its_end() {
    let phase = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let scene = Scene::new(100, {
        let phase = Arc::clone(&phase);
        move |request| {
            let is_good = request.target.as_str() < "/0020";
            match phase.load(Ordering::SeqCst) {
                0 if !is_good => Reply::status(404),
                1 => Reply::status(502),
                _ => Reply::json(1),
            }
        }
    });
    scene.run(&["-j", "8"]).expect(3);
    phase.store(1, Ordering::SeqCst);
    let before = scene.api.requests();
    let running = scene.place.begin(&["retry", "-j", "8"]);
    scene
        .place
        .until(|| limit(&scene.place).starts_with("service unavailable"));
    phase.store(2, Ordering::SeqCst);
    running.end().expect(0);
    scene.expect(0, 100, 0);
    let calls = scene.api.requests() - before - 80;
    assert!(calls <= 26, "{calls} calls in vain");
}

#[test]
fn a_service_whose_connections_are_refused_gets_few_calls_and_fails_no_file() {
    at_once([8, 64], |threads| {
        let (place, port) = (Place::new(), Port::reserve());
        let service = || FakeApi::start_on(port.number(), |_| Reply::json(1));
        let api = service();
        let url = format!("{}/{{name}}", api.url());
        let bystander = place.with_bystander(&url);
        place.texts(FILES);
        let threads_word = threads.to_string();
        let running = place.begin(&["run", "--url", &url, "-j", &threads_word, "texts"]);
        api.wait_for(100);
        drop(api);
        let in_vain = || {
            let rows = place.sql("SELECT count(*) FROM attempt WHERE outcome <> 'succeeded'");
            rows[0][0].parse::<usize>().unwrap()
        };
        place.until(|| limit(&place).starts_with("service unavailable"));
        let before = in_vain();
        place.until(|| in_vain() >= before + 2);
        let _api = service();
        running.end().expect(0);
        let (calls, most) = (in_vain(), 10 + 2 * threads);
        assert!(calls <= most, "{calls} calls of {most}, {threads} threads");
        counts(&place, &[("done", FILES as u64 + 1), ("failed", 0)]);
        let charged = place.sql("SELECT path FROM work JOIN job ON id = job WHERE charged > 0");
        assert!(charged.is_empty(), "{charged:?}");
        assert_eq!(found(&place), ["", ""], "{threads} threads");
        assert_eq!(place.bystander(), bystander);
    });
}

#[test]
fn refusals_in_a_row_and_then_none_are_not_a_limit() {
    at_once(["1", "8"], |threads| {
        let seen = Counter::default();
        let scene = Scene::new(FILES, move |_| match seen.add() {
            50..53 => Reply::status(429).header("Retry-After", "1"),
            _ => Reply::json(1),
        });
        scene.run(&["-j", threads]).expect(0);
        scene.expect(0, FILES as u64, 0);
        assert_eq!(scene.calls(), FILES + 3);
        assert_eq!(found(&scene.place), ["", ""], "{threads} threads");
    });
}

#[test]
fn an_outage_that_lasts_too_long_ends_the_run_and_status_shows_it() {
    at_once(
        [
            (Reply::status(500), "HTTP 500"),
            (Reply::status(503), "HTTP 503"),
            (Reply::status(503).header("Retry-After", "1"), "HTTP 503"),
            (Reply::status(529), "HTTP 529"),
        ],
        |(reply, words)| {
            let back = Arc::new(AtomicBool::new(false));
            let scene = Scene::new(40, {
                let back = Arc::clone(&back);
                move |_| match back.load(Ordering::SeqCst) {
                    true => Reply::json(1),
                    false => reply.clone(),
                }
            });
            scene
                .run(&["--max-outage", "1s"])
                .expect(75)
                .says("the service was unavailable for")
                .says(words)
                .says("stride resume");
            scene.expect(40, 0, 0);
            scene.expect_nothing_charged();
            let stopped = scene.place.status()["stopped"].clone();
            for (name, value) in [
                ("reason", json!("outage")),
                ("action", json!("wait")),
                ("until", json!(null)),
            ] {
                assert_eq!(stopped[name], value, "{stopped}");
            }
            assert!(
                stopped["words"].as_str().unwrap().contains(words),
                "{stopped}"
            );
            back.store(true, Ordering::SeqCst);
            scene.place.stride(&["resume"]).expect(0);
            scene.expect(0, 40, 0);
            assert_eq!(scene.place.status()["stopped"], json!(null));
        },
    );
}

#[test]
fn one_file_that_always_fails_among_good_ones_fails_by_itself() {
    at_once(
        [(500, "1"), (500, "8"), (502, "4"), (503, "4"), (529, "4")],
        |(status, threads)| {
            let scene = Scene::new(40, move |request| match request.target.as_str() {
                "/0020" => Reply::status(status),
                _ => Reply::json(1),
            });
            let flags = ["-j", threads, "--retries", "2", "--retry-delay", "0s"];
            let ran = scene.run(&flags).expect(3);
            scene.expect(0, 39, 1);
            assert_eq!(calls_of(&scene.api.log(), "/0020"), 3, "{status}");
            assert_eq!(scene.calls(), 39 + 3, "{status}: no other was called twice");
            assert!(
                !ran.stderr.contains("service unavailable"),
                "{}",
                ran.stderr
            );
        },
    );
}

#[test]
fn five_bad_files_in_a_row_fail_by_themselves_without_an_outage() {
    at_once(
        [(500, "1"), (502, "1"), (500, "4"), (503, "1"), (503, "4")],
        |(status, threads)| {
            // A 503 may be a limit, so the first few are not charged.
            let most = if status == 503 { 6 } else { 3 };
            let is_bad = |target: &str| ("/0010".."/0015").contains(&target);
            let scene = Scene::new(40, move |request| match is_bad(&request.target) {
                true => Reply::status(status),
                false => Reply::json(1),
            });
            let flags = ["-j", threads, "--retries", "2", "--retry-delay", "0s"];
            let ran = scene.run(&flags).expect(3);
            scene.expect(0, 35, 5);
            let log = scene.api.log();
            for bad in 10..15 {
                let calls = calls_of(&log, &format!("/{bad:04}"));
                assert!((3..=most).contains(&calls), "{status}: {calls} calls");
            }
            assert!(
                !ran.stderr.contains("service unavailable"),
                "{}",
                ran.stderr
            );
        },
    );
}

#[test]
fn the_last_files_of_a_list_fail_within_their_retries() {
    at_once(
        [(500, "1"), (500, "8"), (503, "1"), (503, "8")],
        |(status, threads)| {
            let scene = Scene::new(20, move |request| match request.target.as_str() {
                "/0017" | "/0018" | "/0019" => Reply::status(status),
                _ => Reply::json(1),
            });
            scene
                .run(&["-j", threads, "--retries", "2", "--retry-delay", "0s"])
                .expect(3);
            scene.expect(0, 17, 3);
            let log = scene.api.log();
            for last in ["/0017", "/0018", "/0019"] {
                assert_eq!(calls_of(&log, last), 3, "{status}, {threads} threads");
            }
        },
    );
}

#[test]
fn a_retry_of_files_that_always_fail_ends_within_their_retries() {
    at_once(
        [(500, "1"), (500, "8"), (503, "1"), (503, "8")],
        |(status, threads)| {
            let mended = Arc::new(AtomicBool::new(false));
            let bad = ["/0002", "/0005", "/0009", "/0013", "/0016"];
            let scene = Scene::new(20, {
                let mended = Arc::clone(&mended);
                move |request| {
                    let is_bad = bad.contains(&request.target.as_str());
                    match is_bad && !mended.load(Ordering::SeqCst) {
                        true => Reply::status(status),
                        false => Reply::json(1),
                    }
                }
            });
            let flags = ["-j", threads, "--retries", "1", "--retry-delay", "0s"];
            scene.run(&flags).expect(3);
            scene.expect(0, 15, 5);
            let before = scene.calls();
            scene.place.stride(&["retry"]).expect(3);
            scene.expect(0, 15, 5);
            assert_eq!(
                scene.calls() - before,
                5 * 2,
                "{status}, {threads} threads: each once and again"
            );
            mended.store(true, Ordering::SeqCst);
            scene.place.stride(&["retry"]).expect(0);
            scene.expect(0, 20, 0);
        },
    );
}
