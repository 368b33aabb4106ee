//! Answers of a service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{answered, counts, named, place, run};
use crate::support::{FakeApi, Reply};

fn out_of_quota() -> Reply {
    Reply::status(429).body(
        "application/json",
        r#"{"error":{"code":"insufficient_quota"}}"#,
    )
}

fn refusals() -> [(u16, fn() -> Reply); 4] {
    [
        (401, || Reply::status(401)),
        (403, || Reply::status(403)),
        (402, || Reply::status(402)),
        (429, out_of_quota),
    ]
}

#[test]
fn row_72_a_key_that_was_never_good_is_tried_five_times_one_after_the_other() {
    for (status, reply) in refusals() {
        let api = FakeApi::start(move |_| reply());
        let place = place(40);
        place
            .stride(&run(&api.url(), &["-j", "8"]))
            .expect(4)
            .says("hint:");
        // Five calls in a row, and two elsewhere in the list.
        assert_eq!((api.requests(), api.most_in_flight()), (7, 1), "{status}");
        counts(&place, &[("pending", 40), ("failed", 0), ("attempts", 7)]);
    }
}

#[test]
fn row_72_an_expired_key_is_refused_a_few_times_and_the_run_continues_with_a_good_one() {
    for (status, reply) in refusals() {
        let (calls, good) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
        let healed = Arc::clone(&good);
        let api = FakeApi::start(move |_| {
            if calls.fetch_add(1, Ordering::SeqCst) < 500 || good.load(Ordering::SeqCst) {
                Reply::json(1)
            } else {
                reply()
            }
        });
        let place = place(2000);
        let words = run(&api.url(), &["-j", "32"])
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        place.stride(&words).expect(4);
        let refused = answered(&api.log(), status);
        // Five, the 31 in flight beside the fifth, and four elsewhere in the list.
        assert!(refused <= 40, "{refused} answered {status}");
        counts(&place, &[("done", 500), ("pending", 1500), ("failed", 0)]);
        healed.store(true, Ordering::SeqCst);
        place.stride(&words).expect(0);
        counts(&place, &[("done", 2000)]);
    }
}

#[test]
fn row_72_a_request_that_is_wrong_for_every_file_stops_the_run() {
    let api = FakeApi::start(|_| Reply::text("no such model: gtp-4").with_status(404));
    let place = place(200);
    let ran = place.stride(&run(&api.url(), &["-j", "8"])).expect(4);
    ran.says("error: stopped: the calls of the first files all failed for one cause")
        .says("caused by: HTTP 404")
        .says("200 files pending; no file failed for this cause")
        .says("hint: correct the URL or the request and repeat the run command\n")
        .says("add --expect-status 2xx,404 to that command")
        .says("stride resume --max-failures none");
    counts(&place, &[("pending", 200), ("failed", 0)]);
    let stopped = &place.status()["stopped"];
    assert_eq!(
        (&stopped["reason"], &stopped["action"]),
        (&json!("rejected"), &json!("fix"))
    );
    place
        .stride(&["resume", "--max-failures", "none"])
        .expect(3);
    counts(&place, &[("pending", 0), ("failed", 200)]);
    assert_eq!(place.status()["stopped"], json!(null));
}

#[test]
fn row_73_single_forbidden_files_fail_and_the_run_continues() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/0010" | "/0020" | "/0039" => Reply::status(403),
        _ => Reply::json(1),
    });
    let place = place(40);
    place.stride(&run(&named(&api), &["-j", "2"])).expect(3);
    counts(&place, &[("done", 37), ("failed", 3), ("attempts", 40)]);
}

#[test]
fn row_74_all_threads_wait_out_a_storm_and_the_rate_rises_again() {
    const STORM: usize = 8;
    let calls = AtomicUsize::new(0);
    let api = FakeApi::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        // The first call goes alone.
        0 => Reply::json(1),
        1..=STORM => Reply::status(429)
            .header("Retry-After", "1")
            .after(Duration::from_millis(50)),
        _ => Reply::json(1),
    });
    let place = place(30);
    place
        .stride(&run(&api.url(), &["-j", "8", "--retries", "0"]))
        .expect(0);
    let log = api.log();
    let last = log[1..=STORM].iter().map(|call| call.at).max().unwrap();
    let after: Vec<f64> = log[1 + STORM..]
        .iter()
        .map(|call| call.at.duration_since(log[1 + STORM].at).as_secs_f64())
        .collect();
    assert!(
        log[1 + STORM].at.duration_since(last) >= Duration::from_secs(1),
        "somebody called too early"
    );
    // The other calls follow the probe soon.
    assert!(after.last() < Some(&3.0), "{after:?}");
    counts(&place, &[("done", 30), ("failed", 0)]);
    assert_eq!(place.sql("SELECT sum(charged) FROM work").concat(), ["0"]);
}

#[test]
fn row_75_a_stated_moment_is_judged_by_the_services_clock_and_nonsense_is_not_obeyed() {
    for wait in ["Sun, 06 Nov 1994 08:49:38 GMT", "-5", "NaN", "abc", "0"] {
        let calls = AtomicUsize::new(0);
        let api = FakeApi::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::status(429)
                .header("Retry-After", wait)
                .header("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            _ => Reply::json(1),
        });
        let place = place(2);
        place.stride(&run(&api.url(), &["-j", "2"])).expect(0);
        let log = api.log();
        let paused = log[1].at.duration_since(log[0].at);
        assert!(paused < Duration::from_secs(5), "{wait}: {paused:?}");
        if wait.len() > 5 {
            assert!(paused >= Duration::from_secs(1), "{paused:?}");
        }
    }
}

#[test]
fn row_75_too_long_a_wait_stops_the_run_and_shows_its_end() {
    for wait in ["99000000000", "3600"] {
        let calls = AtomicUsize::new(0);
        let api = FakeApi::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::status(429).header("Retry-After", wait),
            _ => Reply::json(1),
        });
        let place = place(3);
        let url = api.url();
        place
            .stride(&run(&url, &["--max-wait", "10m"]))
            .expect(75)
            .says("asks to wait until ");
        place
            .stride(&["resume"])
            .expect(75)
            .says("asks to wait until ");
        assert_eq!(api.requests(), 1, "it is not asked again before");
        counts(&place, &[("pending", 3), ("failed", 0)]);
        place.stride(&["resume", "--ignore-wait"]).expect(0);
    }
}

#[test]
fn row_76_a_service_that_fails_is_tried_again_under_new_keys() {
    for status in [500, 502, 504] {
        let api = FakeApi::start(move |request| match request.target.as_str() {
            "/0001" => Reply::status(status),
            _ => Reply::json(1),
        });
        let place = place(3);
        place
            .stride(&run(&named(&api), &["--retries", "2"]))
            .expect(3);
        counts(&place, &[("done", 2), ("failed", 1)]);
        let log = api.log();
        let mut keys: Vec<_> = log
            .iter()
            .filter(|call| call.target == "/0001")
            .map(|call| call.key.clone())
            .collect();
        assert_eq!(keys.len(), 3);
        keys.dedup();
        assert_eq!(keys.len(), 3, "each answer ends its key");
    }
}

/// The first call may have done its work, and a 500 to its repeat does not say.
#[test]
fn row_76_a_failure_after_doubt_keeps_the_key() {
    let api = FakeApi::start(
        move |request| match (request.target.as_str(), request.attempt) {
            ("/0001" | "/0002", 0) => Reply::close(),
            ("/0001", 1) | ("/0002", 1..=3) => Reply::status(500),
            _ => Reply::json(1),
        },
    );
    let place = place(3);
    let keys = |target: &str| -> Vec<_> {
        let log = api.log();
        let calls = log.iter().filter(|call| call.target == target);
        calls.map(|call| call.key.clone()).collect()
    };
    place
        .stride(&run(&named(&api), &["--retries", "3"]))
        .expect(3);
    counts(&place, &[("done", 2), ("failed", 1)]);
    for (target, calls) in [("/0001", 3), ("/0002", 4)] {
        let mut keys = keys(target);
        assert_eq!(keys.len(), calls);
        keys.dedup();
        assert_eq!(keys.len(), 1, "{target}");
    }
    // A service may repeat a stored 500 under its key, so the user's own decision begins a new one.
    place.stride(&["retry"]).expect(0);
    let keys = keys("/0002");
    assert_eq!(keys.len(), 5);
    assert_ne!(keys[3], keys[4]);
}

#[test]
fn row_77_a_conflict_is_waited_out_under_its_key_and_a_key_for_something_else_is_an_error() {
    let api = FakeApi::start(|request| match (request.target.as_str(), request.attempt) {
        ("/0000", 0) => Reply::status(409),
        ("/0001", 0) => Reply::close(),
        ("/0001", _) => Reply::status(422),
        _ => Reply::json(1),
    });
    let place = place(3);
    place.stride(&run(&named(&api), &[])).expect(3);
    counts(&place, &[("done", 2), ("failed", 1)]);
    let log = api.log();
    for target in ["/0000", "/0001"] {
        let keys: Vec<_> = log
            .iter()
            .filter(|call| call.target == target)
            .map(|call| &call.key)
            .collect();
        assert!(keys.len() == 2 && keys[0] == keys[1], "{target}: {keys:?}");
    }
    let failures = place.stride(&["failures", "--json"]).json();
    assert_eq!(failures[0]["kind"], "key_reused");
}

#[test]
fn row_77_a_file_that_is_refused_after_a_pause_is_refused_for_itself() {
    let api = FakeApi::start(|request| match (request.target.as_str(), request.attempt) {
        ("/0001", 0) => Reply::status(429).header("Retry-After", "0"),
        ("/0001", _) => Reply::status(422),
        _ => Reply::json(1),
    });
    let place = place(2);
    place.stride(&run(&named(&api), &[])).expect(3);
    let failures = place.stride(&["failures", "--json"]).json();
    assert_eq!(failures[0]["kind"], "http_status");
}

#[test]
fn row_78_too_many_failures_stop_the_run() {
    for most in ["10", "20%"] {
        let calls = AtomicUsize::new(0);
        let api = FakeApi::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => Reply::json(1),
            _ => Reply::status(422),
        });
        let place = place(200);
        place
            .stride(&run(&api.url(), &["-j", "4", "--max-failures", most]))
            .expect(4)
            .says("--max-failures");
        let status = place.status();
        let failed = status["failed"].as_u64().unwrap();
        assert!((5..=15).contains(&failed), "{most}: {status}");
        assert!(status["pending"].as_u64().unwrap() > 150, "{status}");
    }
}
