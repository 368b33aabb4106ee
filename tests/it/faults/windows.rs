//! A run keeps to the user's limits across stops and resumes, and meets a service's limits with few refusals.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::json;

use super::bystander::Scene;
use super::{counts, named, place};
use crate::cli::{Place, Running};
use crate::support::{Counter, FakeApi, Gate, Reply, lock};

/// The beginnings of calls that were perhaps sent, from a moment on, in milliseconds since 1970.
fn started(place: &Place, from: i64) -> Vec<i64> {
    let rows = place.sql(
        "SELECT started FROM attempt WHERE outcome IS NULL OR outcome <> 'not_sent' ORDER BY started",
    );
    let all = rows
        .concat()
        .into_iter()
        .map(|moment| moment.parse().unwrap());
    all.filter(|moment: &i64| *moment >= from).collect()
}

/// Checks that no window of `window` milliseconds has more calls than allowed.
#[track_caller]
fn kept(started: &[i64], most: usize, window: i64) {
    for calls in started.windows(most + 1) {
        let time = calls[most] - calls[0];
        assert!(time >= window, "{} calls in {time} ms", most + 1);
    }
}

/// Stops a run by a signal, and waits for its end.
fn interrupt(running: Running) {
    running.until_says("starting: ");
    running.signal(Signal::INT);
    running.end().expect(130);
}

#[test]
fn a_rate_holds_in_every_second_over_stops_and_resumes() {
    for burst in ["1", "10"] {
        let scene = Scene::new(60, |_| Reply::json(1));
        let flags = ["-j", "8", "--rate", "10/s", "--burst", burst];
        let mut running = scene.place.begin(&scene.words(&flags));
        for stop in [7, 12, 16, 30, 33] {
            scene.api.wait_for(1 + stop);
            interrupt(running);
            running = scene.place.begin(&["resume"]);
        }
        running.end().expect(0);
        scene.expect(0, 60, 0);
        kept(&started(&scene.place, 0), 10, 1000);
        assert_eq!(scene.calls(), 60);
    }
}

#[test]
fn a_rate_holds_in_every_minute_over_stops_and_resumes() {
    let scene = Scene::new(60, |_| Reply::json(1));
    let flags = ["-j", "8", "--rate", "30/m", "--burst", "30"];
    let mut running = scene.place.begin(&scene.words(&flags));
    for stop in [5, 14, 22] {
        scene.api.wait_for(1 + stop);
        interrupt(running);
        running = scene.place.begin(&["resume"]);
    }
    let held_up = || scene.place.status()["limit"] == json!("rate 30/m");
    scene
        .place
        .until(|| held_up() && scene.api.requests() >= 25);
    for _ in 0..3 {
        interrupt(running);
        running = scene.place.begin(&["resume"]);
        scene.place.until(held_up);
    }
    interrupt(running);
    let calls = started(&scene.place, 0);
    kept(&calls, 30, 60_000);
    assert!(calls.len() >= 25, "{} calls", calls.len());
    scene.expect(61 - calls.len() as u64, calls.len() as u64 - 1, 0);
}

#[test]
fn a_rate_that_is_set_during_a_run_holds_from_then_on() {
    let scene = Scene::new(200, |_| Reply::json(1));
    let flags = ["-j", "8", "--rate", "5/s", "--burst", "5"];
    let running = scene.place.begin(&scene.words(&flags));
    let mut moments = vec![(0, 5)];
    for rate in [20, 5, 10] {
        scene.api.wait_for(scene.api.requests() + 8);
        let word = format!("{rate}/s");
        scene.place.stride(&["set", "--rate", &word]).expect(0);
        running.until_says(&format!("rate {word}"));
        moments.push((Timestamp::now().as_millisecond(), rate));
    }
    scene.api.wait_for(scene.api.requests() + 15);
    interrupt(running);
    // The second and last rates are lower than those before or after them.
    kept(&started(&scene.place, 0), 20, 1000);
    let second = started(&scene.place, moments[2].0);
    let until_third = second.into_iter().filter(|at| *at < moments[3].0);
    let between: Vec<i64> = until_third.collect();
    // Setting the rate takes a moment, in which the next rate may be in force already.
    kept(&between[..between.len().min(8)], 5, 1000);
    kept(&started(&scene.place, moments[3].0), 10, 1000);
}

#[test]
fn earlier_calls_count_under_a_rate_that_is_set_later() {
    let scene = Scene::new(300, |_| Reply::json(1));
    let running = scene.place.begin(&scene.words(&["--rate", "50/s"]));
    scene.api.wait_for(20);
    let set = ["set", "--rate", "10/h", "--burst", "10"];
    scene.place.stride(&set).expect(0);
    running.until_says("rate 10/h");
    interrupt(running);
    let calls = scene.api.requests();
    let running = scene.place.begin(&["resume"]);
    scene
        .place
        .until(|| scene.place.status()["limit"] == json!("rate 10/h"));
    interrupt(running);
    assert_eq!(scene.api.requests(), calls, "the hour is used up");
}

#[test]
fn slow_files_are_all_in_flight_before_one_is_answered() {
    let (all, seen) = (Gate::default(), Counter::default());
    let api = FakeApi::start({
        let all = all.clone();
        move |_| {
            // Only the eighth call opens the gate.
            if seen.add() == 7 {
                all.open();
            }
            Reply::json(1).when(&all)
        }
    });
    let (place, url) = (place(8), named(&api));
    place
        .stride(&["run", "-j", "8", "--url", &url, "texts"])
        .expect(0);
    assert_eq!(api.most_in_flight(), 8);
    counts(&place, &[("done", 8), ("attempts", 8)]);
}

/// Allowed calls a second.
const ALLOWED: usize = 20;
const SECOND: Duration = Duration::from_secs(1);

/// A service's way of counting.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Counting {
    /// In any second.
    Moving,
    /// In any second, including refused calls.
    MovingAll,
    /// From one whole second to the next.
    Fixed,
}

/// A service of twenty calls a second, for each way to count and to refuse.
fn limited(counting: Counting, refusal: Reply) -> FakeApi {
    let began = Instant::now();
    let taken: Arc<Mutex<VecDeque<Instant>>> = Arc::default();
    FakeApi::start(move |_| {
        let (now, mut taken) = (Instant::now(), lock(&taken));
        let window = |at: Instant| (at - began).as_secs();
        taken.retain(|at| match counting {
            Counting::Fixed => window(*at) == window(now),
            _ => *at + SECOND > now,
        });
        let accepts = taken.len() < ALLOWED;
        if accepts || counting == Counting::MovingAll {
            taken.push_back(now);
        }
        drop(taken);
        match accepts {
            true => Reply::json(1),
            false => refusal.clone(),
        }
    })
}

#[test]
fn a_service_that_counts_calls_is_met_with_few_refusals() {
    const CALLS: usize = 120;
    std::thread::scope(|scope| {
        for counting in [Counting::Moving, Counting::MovingAll, Counting::Fixed] {
            for reply in [
                Reply::status(429),
                Reply::status(429).header("Retry-After", "1"),
                Reply::status(503),
            ] {
                scope.spawn(move || {
                    let api = limited(counting, reply.clone());
                    let (place, url) = (place(CALLS), named(&api));
                    let words = ["run", "-j", "16", "--url", &url, "texts"];
                    place.stride(&words).expect(0);
                    counts(&place, &[("done", CALLS as u64), ("failed", 0)]);
                    let refused = api.requests() - CALLS;
                    // A few on a quiet machine; with a busy processor, each answer comes late.
                    assert!(
                        refused <= CALLS / 2 + 2 * 16,
                        "{counting:?} {reply:?}: {refused} refused"
                    );
                });
            }
        }
    });
}

#[test]
fn a_rate_equal_to_the_services_limit_is_rarely_refused() {
    let api = limited(Counting::Moving, Reply::status(429));
    let (place, url) = (place(100), named(&api));
    let rate = format!("{ALLOWED}/s");
    let words = ["run", "-j", "10", "--rate", &rate, "--url", &url, "texts"];
    place.stride(&words).expect(0);
    counts(&place, &[("done", 100), ("failed", 0)]);
    let refused = api.requests() - 100;
    assert!(refused <= 5, "{refused} refused");
}

#[test]
fn calls_that_are_refused_at_random_fail_no_file_and_are_called_again() {
    for status in [429, 503] {
        let seen = Counter::default();
        let scene = Scene::new(300, move |_| match seen.add() % 6 {
            5 => Reply::status(status).header("Retry-After", "1"),
            _ => Reply::json(1),
        });
        scene.run(&["-j", "16"]).expect(0);
        scene.expect(0, 300, 0);
        let refused = scene.calls() - 300;
        assert!(refused <= 300 / 5 + 1, "{status}: {refused} refused");
    }
}
