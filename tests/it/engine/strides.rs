//! Which thread calls for which job, and which events report it.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Instant;

use stride::caller::{Caller, FnCaller, SlotCaller};
use stride::engine::{self, Stop, Urgency};
use stride::event::{Ending, Event};
use stride::job::{Answer, Failure, JobState};
use stride::settings::Settings;
use stride::store::Reader;

use super::{Calls, Running, Scripted, callers, name, run, settings, settled};
use crate::support::{BYSTANDER, Fixture, Gate, LIMIT, lock, succeeded};

/// The chunk of each job's attempts.
fn chunks(fixture: &Fixture) -> BTreeMap<String, Vec<i64>> {
    let sql = fixture.sql();
    let mut statement = sql
        .prepare("SELECT path, chunk FROM attempts ORDER BY path, number")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let mut chunks = BTreeMap::<String, Vec<i64>>::new();
    for (path, chunk) in rows.map(Result::unwrap) {
        chunks.entry(path).or_default().push(chunk);
    }
    chunks.remove(BYSTANDER);
    chunks
}

#[test]
fn three_threads_call_nine_jobs_in_strides() {
    let fixture = Fixture::numbered(9);
    let together = Arc::new(Barrier::new(3));
    let called = Arc::new(Mutex::new(vec![Vec::new(); 3]));
    let caller = |chunk: usize| {
        let (together, called) = (Arc::clone(&together), Arc::clone(&called));
        let script = move |job: &_, _: &_, _: &_| {
            lock(&called)[chunk].push(name(job));
            together.wait();
            succeeded("1")
        };
        Box::new(Scripted(script)) as Box<dyn Caller>
    };
    let callers = (0..3).map(caller).collect();
    let (run_outcome, _) = run(fixture.open(), callers, &settings());
    assert_eq!(
        *lock(&called),
        [["0", "3", "6"], ["1", "4", "7"], ["2", "5", "8"]]
    );
    assert_eq!(
        (run_outcome.ending, run_outcome.counts.done),
        (Ending::Finished, 10)
    );
    for (path, chunk) in chunks(&fixture) {
        assert_eq!(chunk, [path.parse::<i64>().unwrap() % 3], "{path}");
    }
}

#[test]
fn a_slow_chunk_delays_only_its_own_call() {
    let fixture = Fixture::numbered(12);
    let gate = Gate::default();
    let slow = gate.clone();
    let script = move |job: &_, _: &_, _: &_| {
        if name(job) == "0" {
            slow.wait();
        }
        succeeded("1")
    };
    let running = Running::start(fixture.open(), callers(3, script), &settings());
    running.wait_for_settled(11);
    assert_eq!(fixture.reader().counts().unwrap().running, 1);
    assert_eq!(fixture.state("0"), JobState::Running);
    let chunks = chunks(&fixture);
    for helped in ["3", "6", "9"] {
        assert!(
            matches!(chunks[helped][..], [1 | 2]),
            "{helped}: {chunks:?}"
        );
    }
    gate.open();
    let (run_outcome, ..) = running.finish();
    assert_eq!(run_outcome.counts.done, 13);
}

#[test]
fn one_thread_follows_the_list_and_more_threads_than_jobs_are_harmless() {
    for threads in [1, 40] {
        let fixture = Fixture::new(&["c", "a", "d", "b"]);
        let calls = Calls::default();
        let noted = calls.clone();
        let script = move |job: &_, attempt: &_, _: &_| {
            noted.note(job, attempt);
            succeeded("1")
        };
        let (run_outcome, _) = run(fixture.open(), callers(threads, script), &settings());
        assert_eq!(run_outcome.counts.done, 5);
        let mut names = calls.names();
        if threads > 1 {
            names.sort();
            assert_eq!(names, ["a", "b", "c", "d"]);
        } else {
            assert_eq!(names, ["c", "a", "d", "b"]);
        }
    }
}

#[test]
fn a_run_without_pending_jobs_calls_nothing() {
    let fixture = Fixture::numbered(0);
    let caller = FnCaller(|_: &_| -> Result<Answer, Failure> { panic!("called") });
    let (run_outcome, events) = run(fixture.open(), vec![Box::new(caller)], &settings());
    assert_eq!(
        (run_outcome.ending, run_outcome.counts.total),
        (Ending::Finished, 1)
    );
    assert!(
        matches!(events[..], [Event::Started { .. }, Event::Stopped { .. }]),
        "{events:?}"
    );
}

#[test]
fn a_resume_with_other_threads_calls_nothing_twice() {
    let fixture = Fixture::numbered(40);
    let calls = Calls::default();
    for (threads, until) in [(3, 11), (5, 27), (1, 30), (8, 1000)] {
        let stop = Stop::new();
        let (noted, asked) = (calls.clone(), stop.clone());
        let script = move |job: &_, attempt: &_, _: &_| {
            noted.note(job, attempt);
            if noted.len() >= until {
                asked.ask(Urgency::Drain);
            }
            succeeded(&format!("\"{}\"", name(job)))
        };
        let (run_outcome, _, store) =
            Running::start_with(fixture.open(), callers(threads, script), &settings(), stop)
                .finish();
        assert_eq!(run_outcome.counts.done, calls.len() as u64 + 1);
        store.close().unwrap();
    }
    let mut called: Vec<usize> = calls
        .names()
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    called.sort_unstable();
    assert_eq!(called, (0..40).collect::<Vec<_>>());
    for i in 0..40 {
        let record = fixture.record(&i.to_string());
        assert_eq!(
            (record.attempts, record.result.unwrap().body),
            (1, format!("\"{i}\"").into())
        );
    }
    assert_eq!(fixture.problems(), [""; 0]);
}

/// A claim is in the database before its call begins, and an event follows its commit.
#[test]
fn every_claim_and_outcome_is_recorded_before_it_is_sent_or_reported() {
    let fixture = Fixture::numbered(30);
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let outcome_of =
        |database: &std::path::Path, job: i64, number: u32| -> Option<Option<String>> {
            let sql = rusqlite::Connection::open(database).unwrap();
            sql.busy_timeout(LIMIT).unwrap();
            let query = "SELECT outcome FROM attempt WHERE job = ?1 AND number = ?2";
            sql.query_row(query, (job, number), |row| row.get(0)).ok()
        };
    let (database, noted) = (fixture.database.clone(), Arc::clone(&wrong));
    let script = move |_: &_, attempt: &stride::job::Attempt, _: &_| {
        let recorded = outcome_of(&database, attempt.id.job.0, attempt.id.number);
        if recorded != Some(None) {
            lock(&noted).push(format!(
                "{attempt:?} is sent while the database has {recorded:?}"
            ));
        }
        succeeded("[1]")
    };
    let mut store = fixture.open();
    let (mut claimed, mut told) = (0, 0);
    let mut callers = callers(4, script).into_iter();
    let mut make = move || {
        callers
            .next()
            .map(SlotCaller::from)
            .ok_or_else(|| "no caller is left".into())
    };
    let settings = Settings {
        threads: 4.into(),
        ..settings()
    };
    let run_outcome = engine::run(
        &mut store,
        &mut make,
        &settings,
        &Stop::new(),
        &mut |event| match event {
            Event::Claimed { attempt, .. } => {
                claimed += 1;
                if outcome_of(&fixture.database, attempt.job.0, attempt.number).is_none() {
                    lock(&wrong).push(format!("{event:?} is not in the database"));
                }
            }
            Event::Settled(settled) => {
                told += 1;
                let recorded = outcome_of(
                    &fixture.database,
                    settled.attempt.job.0,
                    settled.attempt.number,
                );
                let mut stored = None;
                let reader = Reader::open(&fixture.database).unwrap();
                let each = &mut |record: stride::store::Record| {
                    if record.path == settled.path {
                        stored = record.result.map(|result| result.body.checksum().unwrap());
                    }
                    Ok::<_, stride::store::StoreError>(())
                };
                reader.records(true, each).unwrap();
                if recorded.flatten().as_deref() != Some(settled.outcome)
                    || stored != settled.sha256
                    || stored.is_none()
                {
                    lock(&wrong).push(format!("{settled:?} is not in the database"));
                }
            }
            _ => {}
        },
    );
    assert_eq!(*lock(&wrong), [""; 0]);
    assert_eq!(
        (claimed, told, run_outcome.unwrap().counts.done),
        (30, 30, 31)
    );
}

#[test]
fn events_tell_a_run_from_beginning_to_end() {
    let fixture = Fixture::new(&["a", "b"]);
    let (run_outcome, events) = run(
        fixture.open(),
        callers(1, |_: &_, _: &_, _: &_| succeeded("{}")),
        &settings(),
    );
    let [
        Event::Started {
            runner,
            recovered,
            counts,
            ..
        },
        middle @ ..,
        Event::Stopped {
            ending,
            counts: last,
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*runner, recovered.len(), counts.pending), (2, 0, 2));
    assert_eq!((ending, *last), (&Ending::Finished, run_outcome.counts));
    let words: Vec<String> = middle
        .iter()
        .filter(|event| !matches!(event, Event::Flow(_)))
        .map(|event| match event {
            Event::Claimed {
                path,
                position,
                attempt,
                chunk,
                ..
            } => {
                format!(
                    "claimed {path} at {} for {} by {chunk}",
                    position.0, attempt.number
                )
            }
            Event::Settled(settled) => format!("{} {}", settled.path, settled.outcome),
            event => format!("{event:?}"),
        })
        .collect();
    assert_eq!(
        words,
        [
            "claimed a at 0 for 1 by 0",
            "a succeeded",
            "claimed b at 1 for 1 by 0",
            "b succeeded"
        ]
    );
    for settled in settled(&events) {
        assert_eq!(
            (settled.state, settled.status, settled.class),
            (JobState::Done, None, None)
        );
        assert_eq!(settled.sha256, Some(stride::job::Checksum::of(b"{}")));
    }
}

/// The n-th claim is made no earlier than n intervals after the beginning, for any number of threads.
#[test]
fn all_threads_together_keep_the_rate() {
    let fixture = Fixture::numbered(12);
    let began = Instant::now();
    let called = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&called);
    let script = move |_: &_, _: &_, _: &_| {
        lock(&times).push(began.elapsed());
        succeeded("1")
    };
    let rate: stride::limits::Rate = "50/s".parse().unwrap();
    let settings = Settings {
        rates: stride::limits::Rates::parse(["50/s"]).unwrap(),
        ..settings()
    };
    let (run_outcome, _) = run(fixture.open(), callers(6, script), &settings);
    assert_eq!(run_outcome.counts.done, 13);
    let mut times = lock(&called).clone();
    times.sort();
    for (n, time) in (0..).zip(times) {
        assert!(time >= rate.interval() * n, "call {n} after {time:?}");
    }
}
