//! A program that makes its own calls with [`stride::Run`].

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stride::caller::FnCaller;
use stride::engine::Stop;
use stride::event::Event;
use stride::job::{Answer, Class, Failure, Job, Money};
use stride::settings::{Settings, Threads};
use stride::store::{Filter, StoreError};
use stride::{Builder, Error, Run};

use crate::support::LIMIT;

const BYSTANDER: &str = "bystander";

/// Opens the builder's run. A program that another test starts holds this process's locks between its fork and its exec,
/// so a lock of this process's own is waited for.
fn open_patiently(builder: &Builder) -> Result<Run, Error> {
    let began = Instant::now();
    loop {
        match builder.clone().open() {
            Err(Error::Store(StoreError::Busy {
                holder: Some(holder),
                ..
            })) if holder.pid == std::process::id() && began.elapsed() < LIMIT => {
                std::thread::yield_now();
            }
            opened => return opened,
        }
    }
}

/// Opens a run without waits in which the bystander is done.
fn open(folder: &Path) -> Run {
    let settings = Settings {
        threads: Threads::Fixed(3),
        retries: 1,
        retry_delay: Duration::ZERO,
        canary: false,
        ..Settings::default()
    };
    let builder = Run::builder(folder.join("stride.db")).workload("a test");
    let mut run = open_patiently(&builder.settings(settings)).unwrap();
    if run.add([BYSTANDER]).unwrap().added > 0 {
        run.process(|_| Answer::json(&"bystander")).unwrap();
    }
    run
}

/// Returns the names and texts of all results, in list order.
fn results(run: &Run) -> Vec<(String, Option<String>)> {
    let text = |done: stride::Done| {
        let answer = done.answer.map(|answer| {
            let body = answer.open(&done.path).unwrap();
            String::from_utf8(body.bytes().unwrap().into_owned()).unwrap()
        });
        (done.path.to_string(), answer)
    };
    let done = run.results().unwrap();
    done.map(|done| text(done.unwrap())).collect()
}

fn done(name: &str, text: &str) -> (String, Option<String>) {
    (name.to_owned(), Some(text.to_owned()))
}

#[test]
fn a_program_continues_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path());
    run.add(["a", "b"]).unwrap();
    let run_outcome = run.process(|job| match job.path.as_bytes() {
        b"a" => Answer::json(&[1, 2]),
        _ => Err(Failure::permanent("not this one")),
    });
    assert_eq!(run_outcome.unwrap().counts.failed, 1);
    drop(run);

    let other = Run::builder(folder.path().join("stride.db")).workload("another");
    assert!(matches!(
        open_patiently(&other),
        Err(Error::OtherWorkload { .. })
    ));

    let mut run = open(folder.path());
    let failed: Vec<_> = run.failures().unwrap().map(Result::unwrap).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].path.to_string(), "b");
    assert_eq!(failed[0].class, Some(Class::Rejected));
    assert_eq!(failed[0].message, "not this one");
    assert_eq!((failed[0].attempts, failed[0].is_held), (1, false));
    assert_eq!(run.retry(&Filter::default()).unwrap(), 1);
    let called = Arc::new(Mutex::new(Vec::new()));
    let calls = Arc::clone(&called);
    let run_outcome = run.process(move |job| {
        calls.lock().unwrap().push(job.path.to_string());
        Ok(Answer::text("well"))
    });
    assert_eq!(run_outcome.unwrap().counts.done, 3);
    assert_eq!(*called.lock().unwrap(), ["b"]);
    let all = [
        done(BYSTANDER, "\"bystander\""),
        done("a", "[1,2]"),
        done("b", "well"),
    ];
    assert_eq!(results(&run), all);
}

#[test]
fn an_error_is_transient_and_shown_with_its_causes() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path());
    run.add(["no such file"]).unwrap();
    let run_outcome = run.process(|job| Ok(Answer::text(std::fs::read_to_string(&job.file)?)));
    assert_eq!(run_outcome.unwrap().counts.failed, 1);
    let failed = run.failures().unwrap().next().unwrap().unwrap();
    assert_eq!((failed.class, failed.attempts), (Some(Class::Transient), 2));
    assert!(failed.message.contains("No such file"), "{failed:?}");
    assert_eq!(results(&run), [done(BYSTANDER, "\"bystander\"")]);
}

#[test]
fn each_thread_has_a_state_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path());
    run.add(["a", "b", "c", "d", "e", "f"]).unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let make = || (made.fetch_add(1, Ordering::Relaxed), 0);
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let states = Arc::clone(&seen);
    let run_outcome = run.process_with(make, move |(index, calls), _| {
        *calls += 1;
        assert!(states.lock().unwrap().insert((*index, *calls)));
        Answer::json(index)
    });
    assert_eq!(run_outcome.unwrap().counts.done, 7);
    assert_eq!(made.load(Ordering::Relaxed), 3);
    assert_eq!(seen.lock().unwrap().len(), 6);
    assert_eq!(results(&run)[0], done(BYSTANDER, "\"bystander\""));
}

#[test]
fn a_call_may_be_a_future_that_a_stop_drops() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path());
    run.add(["a"]).unwrap();
    let call = |job: Job| async move {
        tokio::task::yield_now().await;
        Answer::json(&job.path.to_string())
    };
    assert_eq!(run.process_async(call).unwrap().counts.done, 2);
    assert_eq!(results(&run)[1], done("a", "\"a\""));

    let written = folder.path().join("b");
    run.add([written.as_path()]).unwrap();
    let stop = Stop::new();
    let asked = stop.clone();
    let endless = move |_| {
        asked.ask(stride::engine::Urgency::Now);
        std::future::pending::<Result<Answer, Failure>>()
    };
    let mut make = || {
        let caller = stride::caller::AsyncFnCaller(endless.clone());
        Ok(stride::caller::SlotCaller::Async(Box::new(caller)))
    };
    let run_outcome = run.process_callers(&mut make, &stop, &mut |_| {}).unwrap();
    assert_eq!(run_outcome.in_doubt.len(), 1);
    // The call in doubt is another one after its file was written.
    let file = std::fs::File::create(&written).unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(1);
    file.set_modified(later).unwrap();
    assert_eq!(run.process_async(call).unwrap().counts.done, 3);
    let keys = "SELECT count(DISTINCT idempotency_key) FROM attempts WHERE path LIKE '%/b'";
    let database = rusqlite::Connection::open(run.store().path()).unwrap();
    let keys: u32 = database.query_row(keys, [], |row| row.get(0)).unwrap();
    assert_eq!(keys, 2);
    assert_eq!(results(&run)[0], done(BYSTANDER, "\"bystander\""));
}

#[test]
fn a_throttled_call_is_made_again_and_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path());
    run.add(["a"]).unwrap();
    let calls = AtomicUsize::new(0);
    let run_outcome = run.process(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0..3 => Err(Failure::throttled(
            "slow down",
            Some(Duration::from_millis(1)),
        )),
        _ => Answer::json(&1),
    });
    assert_eq!(run_outcome.unwrap().counts.done, 2);
    assert_eq!(
        results(&run),
        [done(BYSTANDER, "\"bystander\""), done("a", "1")]
    );
}

#[test]
fn a_damaged_result_is_one_without_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path());
    run.add(["a"]).unwrap();
    run.process(|_| Answer::json(&1)).unwrap();
    drop(run);
    let database = rusqlite::Connection::open(folder.path().join("stride.db")).unwrap();
    let sql = "UPDATE result SET body = x'32' WHERE job = (SELECT id FROM job WHERE path = 'a')";
    assert_eq!(database.execute(sql, []).unwrap(), 1);
    database.close().unwrap();
    let run = open(folder.path());
    let all = [done(BYSTANDER, "\"bystander\""), ("a".to_owned(), None)];
    assert_eq!(results(&run), all);
}

#[test]
fn forgotten_files_are_not_called_and_have_no_results() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = open(folder.path());
    run.add(["a", "b", "c"]).unwrap();
    assert_eq!(run.forget(["b"]).unwrap().changed, 1);
    let outline = run.process(|_| Answer::json(&1)).unwrap();
    let counts = outline.counts;
    assert_eq!((counts.done, counts.total, counts.forgotten), (3, 3, 1));
    run.forget(["a"]).unwrap();
    let [by, a, c] = [
        done(BYSTANDER, "\"bystander\""),
        done("a", "1"),
        done("c", "1"),
    ];
    assert_eq!(results(&run), [by.clone(), c.clone()]);
    assert!(run.forget(["c", "nope"]).unwrap().is_refused());
    assert_eq!(run.add(["a"]).unwrap().forgotten, 1);
    assert_eq!(results(&run), [by.clone(), c.clone()]);
    run.bring_back(["a"]).unwrap();
    assert_eq!(results(&run), [by, a, c]);
}

#[test]
fn costs_that_answers_state_are_summed_and_limited() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        threads: Threads::Fixed(1),
        max_cost: Some("0.35".parse().unwrap()),
        ..Settings::default()
    };
    let builder = Run::builder(folder.path().join("stride.db")).settings(settings);
    let mut run = open_patiently(&builder).unwrap();
    run.add(["a", "b", "c", "d", "e"]).unwrap();
    let mut make = || {
        let call = |job: &Job| match job.path.as_str() {
            // Its cost is unknown: it counts as much as the one before.
            Some("b") => Answer::json(&2),
            _ => Ok(Answer::json(&1)?
                .with_cost(Money(100_000_000))
                .with_weight(7)),
        };
        Ok(FnCaller(call).into())
    };
    let mut prices = Vec::new();
    let outcome = run.process_callers(&mut make, &Stop::new(), &mut |event| {
        if let Event::Settled(settled) = event {
            prices.push(settled.price.map(|price| (price.amount.0, price.is_known)));
        }
    });
    let outcome = outcome.unwrap();
    let price = |is_known| Some((100_000_000, is_known));
    assert_eq!(prices, [price(true), price(false), price(true)]);
    assert_eq!(outcome.ending.as_str(), "halted");
    assert_eq!(outcome.used.cost.to_string(), "0.3");
    assert_eq!((outcome.used.unknown, outcome.counts.pending), (1, 2));
}
