//! What could not be recorded, from a file back into the database.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use stride::job::{Answer, Body, Class, JobState, Outcome};
use stride::store::{Rescued, Store};

use crate::support::{
    Fixture, POLICY, answered, claim, failed, in_doubt, settle, settlement, succeeded,
};

/// Saves what calls of these jobs came to, without recording it.
fn save(fixture: &Fixture, store: &mut Store, outcomes: Vec<(&str, Outcome)>) -> Rescued {
    let mut rescue = store.rescue();
    for (name, outcome) in outcomes {
        let claim = claim(store, fixture.id(name));
        rescue.save(&claim, &settlement(&claim, outcome));
    }
    rescue.finish()
}

/// The one file that was written.
fn only(rescued: &Rescued) -> PathBuf {
    let [file] = &rescued.files[..] else {
        panic!("{rescued:?}")
    };
    file.clone()
}

#[test]
fn what_was_saved_is_recorded_as_if_nothing_had_happened() {
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
    let taken = store.take_in().unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].recorded, &taken[0].left[..]), (5, &[][..]));
    assert!(!file.exists());
    let recovered = store.start(1, &POLICY).unwrap();
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
    assert!(store.take_in().unwrap().is_empty());
}

#[test]
fn what_a_later_runner_found_in_doubt_is_still_recorded() {
    let fixture = Fixture::new(&["a", "b", "c"]);
    let mut store = fixture.start();
    let outcomes = ["a", "b", "c"].map(|name| (name, succeeded("\"paid\"")));
    let rescued = save(&fixture, &mut store, outcomes.into());
    let file = only(&rescued);
    let aside = fixture.at("aside");
    fs::rename(&file, &aside).unwrap();
    drop(store);
    // A runner that does not find the file calls one of them again, and another one twice.
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
    let taken = store.take_in().unwrap();
    // The one whose job has a result is as good as recorded; the other one's job has gone another way.
    assert_eq!(
        (taken[0].recorded, &taken[0].left[..]),
        (1, &["c".into()][..])
    );
    let kept = taken[0].kept.clone().unwrap();
    assert!(kept.exists() && !file.exists());
    assert!(store.take_in().unwrap().is_empty(), "it is taken in once");
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

#[test]
fn what_is_not_whole_or_not_ours_is_not_recorded() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let outcomes = vec![("a", succeeded("\"one\"")), ("b", succeeded("\"two\""))];
    let file = only(&save(&fixture, &mut store, outcomes));
    drop(store);
    let whole = fs::read_to_string(&file).unwrap();
    let before = fixture.contents();
    let lines: Vec<&str> = whole.lines().collect();
    let changed = |from: &str, to: &str| {
        let text = whole.replace(from, to);
        assert_ne!(text, whole, "{from}");
        text
    };
    let altered = [
        // Another body than its checksum is of.
        changed("Im9uZSI=", "Im9uZiI=").replace("InR3byI=", "InR3ciI="),
        changed("\"done\"", "\"failed\""),
        changed("\"succeeded\"", "\"failed\""),
        changed("\"attempt\":1", "\"attempt\":2"),
        changed("\"next\":\"done\"", "\"next\":\"gone\""),
        changed("\"key\":\"", "\"key\":\"0"),
        changed("\"outcome\":\"succeeded\"", "\"outcome\":\"won\""),
        format!("{}\n{{\"path\":\"a\"", lines[0]),
    ];
    for text in altered {
        fs::write(&file, &text).unwrap();
        let mut store = fixture.open();
        let taken = store.take_in().unwrap();
        assert_eq!(taken[0].recorded, 0, "{text}");
        assert!(!taken[0].left.is_empty());
        fs::remove_file(taken[0].kept.as_ref().unwrap()).unwrap();
        drop(store);
        assert_eq!(fixture.contents(), before, "{text}");
    }
    // Another run's; one that others could have written; a link.
    let run = whole.find("\"run\":\"").unwrap() + 7;
    let other = format!("{}{}{}", &whole[..run], "0".repeat(32), &whole[run + 32..]);
    for (text, mode) in [(&other, 0o600), (&whole, 0o620)] {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fixture.open().take_in().unwrap(), []);
        assert!(file.exists());
    }
    fs::rename(&file, fixture.at("elsewhere")).unwrap();
    symlink("elsewhere", &file).unwrap();
    assert_eq!(fixture.open().take_in().unwrap(), []);
    assert_eq!(fixture.contents(), before);
    // A line that was cut short takes nothing from those before it.
    fs::remove_file(&file).unwrap();
    let cut = format!(
        "{}\n{}\n{}",
        lines[0],
        lines[1],
        &lines[2][..lines[2].len() / 2]
    );
    fs::write(&file, cut).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let taken = fixture.open().take_in().unwrap();
    assert_eq!((taken[0].recorded, taken[0].left.len()), (1, 1));
    assert_eq!(fixture.state("a"), JobState::Done);
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
    // The folders are those in which it is looked for, too.
    store.rescue_into(vec![good]);
    drop(store);
}
