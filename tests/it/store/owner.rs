//! One runner for each database.

use std::fs;

use stride::event::Ending;
use stride::settings::Settings;
use stride::store::{Filter, Lock, StoreError};

use crate::support::{Fixture, POLICY, claim, failed, settle, settlement, succeeded};

#[test]
fn row_37_a_second_lock_is_refused_and_names_the_holder_of_the_first() {
    let fixture = Fixture::numbered(1);
    let lock = fixture.lock();
    let before = fixture.contents();
    let refused = Lock::acquire(&fixture.database).unwrap_err();
    let StoreError::Busy { path, holder } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(path, &fixture.database);
    assert_eq!(holder.as_ref().unwrap().pid, std::process::id());
    assert!(
        refused
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{refused}"
    );
    assert_eq!(fixture.contents(), before);
    drop(lock);
    drop(fixture.open());
}

#[test]
fn row_38_a_lock_file_of_a_dead_process_is_not_a_lock() {
    let fixture = Fixture::numbered(1);
    for left in ["", r#"{"pi"#, r#"{"pid":1,"host":"elsewhere","since":0}"#] {
        fs::write(fixture.at("stride.db.lock"), left).unwrap();
        let lock = fixture.lock();
        let text = fs::read_to_string(fixture.at("stride.db.lock")).unwrap();
        let holder: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(holder["pid"], std::process::id());
        drop(lock);
    }
}

#[test]
fn a_lock_is_reported_even_if_its_holder_is_unknown() {
    let fixture = Fixture::numbered(1);
    let _lock = fixture.lock();
    fs::write(fixture.at("stride.db.lock"), "scribble").unwrap();
    let refused = Lock::acquire(&fixture.database).unwrap_err();
    assert!(
        matches!(refused, StoreError::Busy { holder: None, .. }),
        "{refused:?}"
    );
}

#[test]
fn row_23_a_store_that_has_lost_the_lock_writes_nothing_more() {
    let fixture = Fixture::new(&["a", "b", "c"]);
    let mut first = fixture.start();
    let running = claim(&mut first, fixture.id("a"));
    // A cleaning script does this.
    fs::remove_file(fixture.at("stride.db.lock")).unwrap();
    let mut second = fixture.open();
    assert_eq!(second.start(1, &POLICY).unwrap().in_doubt.len(), 1);
    let before = fixture.contents();

    let late = settlement(&running, succeeded("\"late\""));
    let refused = |result: Result<(), StoreError>, what: &str| {
        assert!(
            matches!(result, Err(StoreError::Usurped)),
            "{what}: {result:?}"
        );
    };
    refused(first.group().map(drop), "a group");
    refused(settle(&mut first, &late).map(drop), "a settlement");
    refused(
        first.load(|loader| loader.add(&"new".into())).map(drop),
        "a load",
    );
    refused(first.requeue(&Filter::default()).map(drop), "a requeue");
    refused(first.set_settings(&Settings::default()), "settings");
    refused(first.start(1, &POLICY).map(drop), "another start");
    refused(first.finish(&Ending::Finished), "an end");
    assert_eq!(fixture.contents(), before);

    let again = claim(&mut second, fixture.id("a"));
    let outcome = failed(stride::job::Class::Rejected, Some(422), "m");
    settle(&mut second, &settlement(&again, outcome)).unwrap();
    second.finish(&Ending::Finished).unwrap();
    second.close().unwrap();
    assert_eq!(fixture.problems(), [""; 0]);
}

/// Data in an unlinked file is lost with the process.
#[test]
fn rows_20_and_21_a_database_that_was_deleted_moved_or_replaced_takes_no_more_commits() {
    type Change = fn(&Fixture);
    let changes: [(&str, Change); 3] = [
        ("deleted", |fixture| {
            fs::remove_file(&fixture.database).unwrap();
        }),
        ("moved", |fixture| {
            fs::rename(&fixture.database, fixture.at("elsewhere.db")).unwrap();
        }),
        ("replaced", |fixture| {
            fs::copy(&fixture.database, fixture.at("copy.db")).unwrap();
            fs::rename(fixture.at("copy.db"), &fixture.database).unwrap();
        }),
    ];
    for (what, change) in changes {
        let mut fixture = Fixture::numbered(2);
        fixture.open().close().unwrap();
        let mut store = fixture.start();
        let claimed = claim(&mut store, fixture.id("0"));
        fixture.forget_bystander();
        change(&fixture);
        let settled = settle(&mut store, &settlement(&claimed, succeeded("1")));
        assert!(settled.is_err(), "{what}: reported as durable");
    }
}
