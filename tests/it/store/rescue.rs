//! Outcomes that could not be recorded, from a file back into the database.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use stride::job::{Answer, Body, Class, JobState, Outcome, StepKind};
use stride::store::{Chosen, ImportedRescue, Rescued, Store};

use crate::support::{
    Fixture, POLICY, advanced, answered, attempt, claim, failed, in_doubt, not_ready, settle,
    settlement, succeeded,
};

/// Saves the outcomes of calls of these jobs without recording them.
fn save(fixture: &Fixture, store: &mut Store, outcomes: Vec<(&str, Outcome)>) -> Rescued {
    let mut rescue = store.rescue();
    let mut save = |outcomes: &mut dyn Iterator<Item = (&str, Outcome)>| {
        let saved: Vec<_> = outcomes
            .map(|(name, outcome)| {
                let claim = claim(store, fixture.id(name));
                let settlement = settlement(&claim, outcome);
                (claim, settlement)
            })
            .collect();
        let saved = saved.iter().map(|(claim, settlement)| (claim, settlement));
        rescue.save(&saved.collect::<Vec<_>>());
    };
    // The first one alone, and the others together.
    let mut outcomes = outcomes.into_iter();
    save(&mut outcomes.by_ref().take(1));
    save(&mut outcomes);
    rescue.finish()
}

/// Imports rescue files, of which none is refused.
fn import(store: &mut Store) -> Vec<ImportedRescue> {
    let (imported, refused) = store.import_rescues().unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    imported
}

/// The only rescue file.
fn only(rescued: &Rescued) -> PathBuf {
    let [file] = &rescued.files[..] else {
        panic!("{rescued:?}")
    };
    file.clone()
}

#[test]
fn saved_outcomes_are_recorded_like_any_other() {
    let fixture = Fixture::new(&["a", "b", "c", "d", "e"]);
    let mut store = fixture.start();
    let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    let mut spilled = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut spilled, &bytes).unwrap();
    let large = Outcome::Succeeded(Answer {
        body: Body::spilled(spilled, bytes.len() as u64),
        ..Answer::text("")
    });
    let rescued = save(
        &fixture,
        &mut store,
        vec![
            ("a", answered("application/json", r#"{"a": 1, "a": 2}"#)),
            ("b", large),
            ("c", failed(Class::Rejected, Some(422), "no \u{1b} thanks")),
            ("d", failed(Class::Transient, Some(500), "later")),
            ("e", in_doubt()),
        ],
    );
    assert_eq!((rescued.saved, rescued.lost.len()), (5, 0));
    let file = only(&rescued);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    drop(store);

    let mut store = fixture.open();
    let imported = import(&mut store);
    assert_eq!(imported.len(), 1);
    assert_eq!((imported[0].recorded, &imported[0].left[..]), (5, &[][..]));
    assert!(file.exists(), "the run may not begin");
    let recovered = store.start(1, &POLICY).unwrap();
    assert!(!file.exists());
    assert_eq!(recovered.in_doubt, [], "nothing is left in flight");
    let expected = [
        ("a", JobState::Done),
        ("b", JobState::Done),
        ("c", JobState::Failed),
        ("d", JobState::Pending),
        ("e", JobState::Pending),
    ];
    for (name, state) in expected {
        assert_eq!(fixture.state(name), state, "{name}");
    }
    let stored = |name| fixture.record(name).result.unwrap().body;
    assert_eq!(stored("a"), r#"{"a": 1, "a": 2}"#);
    assert_eq!(stored("b"), bytes);
    let failure = fixture.record("c");
    assert_eq!(
        (failure.status, failure.message.as_deref()),
        (Some(422), Some("no \u{1b} thanks"))
    );
    assert_eq!(store.counts().in_doubt, 1);
    assert_eq!(fixture.problems(), [""; 0]);
    assert_eq!(import(&mut store), []);
}

#[test]
fn a_saved_outcome_is_recorded_after_a_recovery_in_doubt() {
    let fixture = Fixture::new(&["a", "b", "c"]);
    let mut store = fixture.start();
    let outcomes = ["a", "b", "c"].map(|name| (name, succeeded("\"paid\"")));
    let rescued = save(&fixture, &mut store, outcomes.into());
    let file = only(&rescued);
    let aside = fixture.at("aside");
    fs::rename(&file, &aside).unwrap();
    drop(store);
    // A runner that does not find the file calls one of the jobs again, and another one twice.
    let mut store = fixture.start();
    assert_eq!(store.counts().in_doubt_recovered, 3);
    let again = claim(&mut store, fixture.id("b"));
    settle(&mut store, &settlement(&again, succeeded("\"again\""))).unwrap();
    let again = claim(&mut store, fixture.id("c"));
    settle(
        &mut store,
        &settlement(&again, failed(Class::Rejected, Some(422), "m")),
    )
    .unwrap();
    drop(store);

    fs::rename(&aside, &file).unwrap();
    let mut store = fixture.open();
    let taken = import(&mut store);
    // The job with a result counts as recorded; the other one has later attempts.
    assert_eq!(
        (taken[0].recorded, &taken[0].left[..]),
        (1, &["c".into()][..])
    );
    let kept = taken[0].kept.clone().unwrap();
    assert!(kept.exists() && !file.exists());
    assert_eq!(import(&mut store), [], "it is imported once");
    assert!(
        store.own_files().contains(&kept),
        "a walk does not take it for input"
    );
    assert_eq!(fixture.record("a").result.unwrap().body, "\"paid\"");
    assert_eq!(fixture.record("b").result.unwrap().body, "\"again\"");
    assert_eq!(fixture.state("c"), JobState::Failed);
    let counts = store.counts();
    assert_eq!((counts.in_doubt, counts.in_doubt_recovered), (2, 2));
    drop(store);
    assert_eq!(fixture.problems(), [""; 0]);
}

/// Changes a rescue file, also against the rules of its schema.
fn alter(file: &Path, sql: &str) {
    let file = rusqlite::Connection::open(file).unwrap();
    let rules = "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF;";
    file.execute_batch(&format!("{rules} {sql}")).unwrap();
}

#[test]
fn contradictory_outcomes_are_not_recorded() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let outcomes = vec![("a", succeeded("\"one\"")), ("b", succeeded("\"two\""))];
    let file = only(&save(&fixture, &mut store, outcomes));
    drop(store);
    let whole = fs::read(&file).unwrap();
    let before = fixture.contents();
    for sql in [
        "UPDATE result SET body = x'00'",
        "UPDATE work SET state = 3",
        "UPDATE work SET state = 1",
        "UPDATE attempt SET outcome = 'failed'",
        "UPDATE attempt SET number = 2; UPDATE work SET attempts = 2",
        "UPDATE attempt SET key = zeroblob(16)",
    ] {
        fs::write(&file, &whole).unwrap();
        alter(&file, sql);
        let mut store = fixture.open();
        let imported = import(&mut store);
        assert_eq!(imported[0].recorded, 0, "{sql}");
        assert!(!imported[0].left.is_empty(), "{sql}");
        fs::remove_file(imported[0].kept.as_ref().unwrap()).unwrap();
        drop(store);
        assert_eq!(fixture.contents(), before, "{sql}");
    }
    for sql in [
        "UPDATE attempt SET outcome = 'won'",
        "UPDATE attempt SET class = 'input'",
        "UPDATE attempt SET ended = NULL",
        "DELETE FROM run",
        "DROP TABLE rejected_response",
    ] {
        fs::write(&file, &whole).unwrap();
        alter(&file, sql);
        let (imported, refused) = fixture.open().import_rescues().unwrap();
        assert_eq!((imported.len(), refused.len()), (0, 1), "{sql}");
        assert_eq!(fixture.contents(), before, "{sql}");
    }
}

#[test]
fn a_saved_result_that_cannot_be_used_leaves_the_others() {
    for sql in [
        "UPDATE result SET body = x'00' WHERE job = 0",
        "UPDATE attempt SET message = CAST(x'ff' AS TEXT) WHERE job = 0",
        "UPDATE work SET charged = 5000000000 WHERE job = 0",
    ] {
        let fixture = Fixture::new(&["a", "b"]);
        let mut store = fixture.start();
        let outcomes = vec![("a", succeeded("1")), ("b", succeeded("2"))];
        let file = only(&save(&fixture, &mut store, outcomes));
        drop(store);
        alter(&file, sql);
        let imported = import(&mut fixture.open());
        assert_eq!(
            (imported[0].recorded, &imported[0].left[..]),
            (1, &["a".into()][..]),
            "{sql}"
        );
        assert_eq!(fixture.state("b"), JobState::Done, "{sql}");
    }
}

#[test]
fn impossible_times_are_not_imported() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let file = only(&save(&fixture, &mut store, vec![("a", succeeded("1"))]));
    drop(store);
    let most = i64::MAX;
    alter(
        &file,
        &format!("UPDATE attempt SET started = {most}, ended = {most}, took = {most}"),
    );
    assert_eq!(import(&mut fixture.open())[0].recorded, 1);
    let record = fixture.record("a");
    assert!(record.took < Some(most / 2));
    let database = rusqlite::Connection::open(fixture.at("stride.db")).unwrap();
    let ended: i64 = database
        .query_row("SELECT ended FROM attempt", [], |row| row.get(0))
        .unwrap();
    assert!(ended < most / 2);
}

#[test]
fn a_result_that_cannot_be_saved_leaves_the_others() {
    let fixture = Fixture::new(&["a", "b", "c", "d"]);
    let mut store = fixture.start();
    let bad = Outcome::Succeeded(Answer {
        headers: Some("no object".to_owned()),
        ..Answer::text("1")
    });
    let outcomes = vec![
        ("a", succeeded("1")),
        ("b", succeeded("2")),
        ("c", bad),
        ("d", succeeded("3")),
    ];
    let rescued = save(&fixture, &mut store, outcomes);
    assert_eq!((rescued.saved, &rescued.lost[..]), (3, &["c".into()][..]));
    drop(store);
    let imported = import(&mut fixture.open());
    let recorded: u64 = imported.iter().map(|each| each.recorded).sum();
    assert_eq!(recorded, 3);
}

#[test]
fn rescue_files_of_other_runs_are_left_in_place() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let file = only(&save(&fixture, &mut store, vec![("a", succeeded("1"))]));
    drop(store);
    let whole = fs::read(&file).unwrap();
    let before = fixture.contents();
    // A file of another run, with any version.
    alter(
        &file,
        "UPDATE run SET uuid = zeroblob(16); PRAGMA user_version = 1000",
    );
    assert_eq!(fixture.open().import_rescues().unwrap().0, []);
    assert!(fixture.open().import_rescues().unwrap().1.is_empty());
    // A file of this run that others can write to, directly or by a journal; a link.
    fs::write(&file, &whole).unwrap();
    let refused = || {
        let (imported, refused) = fixture.open().import_rescues().unwrap();
        assert_eq!(imported, []);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].path, file);
        assert_eq!(fixture.contents(), before);
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
    refused();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for suffix in ["-journal", "-wal"] {
        let beside = PathBuf::from(format!("{}{suffix}", file.display()));
        fs::write(&beside, "").unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o602)).unwrap();
        refused();
        fs::remove_file(&beside).unwrap();
    }
    fs::rename(&file, fixture.at("elsewhere")).unwrap();
    symlink("elsewhere", &file).unwrap();
    refused();
}

#[test]
fn a_kill_during_a_rescue_keeps_the_results_saved_before() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    let file = only(&save(&fixture, &mut store, vec![("a", succeeded("1"))]));
    drop(store);
    let names = ["", "-journal"].map(|suffix| PathBuf::from(format!("{}{suffix}", file.display())));
    // The state of the files during a transaction that exceeds its cache.
    let other = rusqlite::Connection::open(&file).unwrap();
    other
        .execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE result SET body = zeroblob(1000000);")
        .unwrap();
    let killed = names.each_ref().map(|name| fs::read(name).unwrap());
    drop(other);
    for (name, bytes) in names.iter().zip(killed) {
        fs::write(name, bytes).unwrap();
        fs::set_permissions(name, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut store = fixture.open();
    assert_eq!(import(&mut store)[0].recorded, 1);
    store.close().unwrap();
    assert!(names.iter().all(|name| !name.exists()));
    assert_eq!(fixture.record("a").result.unwrap().body, "1");
}

#[test]
fn a_folder_that_cannot_be_written_is_passed_over() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    fs::write(fixture.at("file"), "").unwrap();
    let good = fixture.at("deep/good");
    store.rescue_into(vec![
        fixture.at("file/below"),
        good.clone(),
        fixture.at("never"),
    ]);
    let rescued = save(&fixture, &mut store, vec![("a", succeeded("1"))]);
    assert_eq!(only(&rescued).parent(), Some(&*good));
    assert_eq!(rescued.saved, 1);
    assert!(!fixture.at("never").exists());
    store.rescue_into(vec![fixture.at("file/below")]);
    let rescued = save(&fixture, &mut store, vec![("b", succeeded("1"))]);
    assert_eq!((rescued.saved, &rescued.lost[..]), (0, &["b".into()][..]));
    // Imports look in the same folders.
    store.rescue_into(vec![good]);
    drop(store);
}

#[test]
fn an_answer_of_a_forgotten_job_is_recorded_and_the_job_stays_forgotten() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let outcomes = vec![
        ("a", succeeded("{}")),
        ("b", failed(Class::Rejected, Some(422), "no")),
    ];
    save(&fixture, &mut store, outcomes);
    drop(store);
    // A runner finds the calls cut off, and they are forgotten before their outcomes come.
    let mut store = fixture.start();
    let names = ["a", "b"].map(Into::into);
    store.forget(Chosen::Names(&names)).unwrap();
    drop(store);
    let mut store = fixture.open();
    let imported = import(&mut store);
    assert_eq!((imported[0].recorded, &imported[0].left[..]), (2, &[][..]));
    assert_eq!(store.counts().forgotten, 2);
    store.bring_back(Chosen::Names(&names)).unwrap();
    let states = ["a", "b"].map(|name| fixture.state(name));
    assert_eq!(states, [JobState::Done, JobState::Failed]);
    assert!(fixture.record("a").result.is_some());
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn saved_steps_are_recorded_and_their_jobs_go_on_from_there() {
    let fixture = Fixture::new(&["submitted", "polled", "ready", "doubted"]);
    let mut store = fixture.start();
    for name in ["polled", "ready", "doubted"] {
        attempt(&mut store, fixture.id(name), advanced("{}", StepKind::Poll));
        attempt(&mut store, fixture.id(name), not_ready());
    }
    let rescued = save(
        &fixture,
        &mut store,
        vec![
            ("submitted", advanced(r#"{"id": 1}"#, StepKind::Poll)),
            ("polled", not_ready()),
            ("ready", succeeded("7")),
            ("doubted", in_doubt()),
        ],
    );
    assert_eq!((rescued.saved, rescued.lost.len()), (4, 0));
    drop(store);
    let mut store = fixture.open();
    // A later run may have found the calls cut off already.
    store.recover(&POLICY).unwrap();
    let imported = import(&mut store);
    assert_eq!((imported[0].recorded, &imported[0].left[..]), (3, &[][..]));
    store.start(1, &POLICY).unwrap();
    for (name, state) in [
        ("submitted", JobState::Waiting),
        ("polled", JobState::Waiting),
        ("ready", JobState::Done),
        ("doubted", JobState::Waiting),
    ] {
        assert_eq!(fixture.state(name), state, "{name}");
    }
    assert_eq!(fixture.problems(), [""; 0]);
    let poll = claim(&mut store, fixture.id("submitted"));
    assert_eq!((poll.attempt.step.index, poll.attempt.id.number), (1, 2));
    assert_eq!(poll.job.answers[0].body, br#"{"id": 1}"#);
    let poll = claim(&mut store, fixture.id("polled"));
    assert_eq!((poll.attempt.step.asked, poll.attempt.step.polls), (2, 3));
}

#[test]
fn a_saved_poll_whose_claim_was_lost_is_recorded() {
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("a"), advanced("{}", StepKind::Poll));
    attempt(&mut store, fixture.id("a"), not_ready());
    let before = fs::read(&fixture.database).unwrap();
    let wal = fixture.database.with_file_name("stride.db-wal");
    let log = fs::read(&wal).unwrap();
    save(&fixture, &mut store, vec![("a", succeeded("7"))]);
    drop(store);
    fs::write(&fixture.database, before).unwrap();
    fs::write(&wal, log).unwrap();
    let mut store = fixture.open();
    let imported = import(&mut store);
    assert_eq!((imported[0].recorded, &imported[0].left[..]), (1, &[][..]));
    assert_eq!(fixture.state("a"), JobState::Done);
    assert_eq!(fixture.problems(), [""; 0]);
}
