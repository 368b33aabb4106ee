//! The checks before a database is opened for writing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stride::store::{Reader, Store, StoreError, Watch};

use crate::support::{Fixture, PAGE, claim};

/// Counts how often a check asks whether to continue.
fn counting() -> (Watch, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let watch = move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        true
    };
    (Arc::new(watch), asked)
}

#[test]
fn row_28_after_an_unclean_end_the_database_is_checked_first() {
    let names: Vec<String> = (0..3000).map(|i| format!("{i:0200}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut fixture = Fixture::new(&names);
    let open = |watch: &Watch| Store::open_watched(fixture.lock(), watch);
    let (watch, asked) = counting();
    drop(open(&watch).unwrap());
    assert_eq!(
        asked.load(Ordering::SeqCst),
        0,
        "a clean end needs no check"
    );
    let mut store = fixture.start();
    claim(&mut store, fixture.id(names[0]));
    // It dies, and the next one to close checkpoints its WAL.
    drop(store);
    drop(open(&watch).unwrap());
    assert!(asked.load(Ordering::SeqCst) > 0);

    let stopped: Watch = Arc::new(|_| false);
    let refused = open(&stopped).unwrap_err();
    assert!(
        matches!(refused, StoreError::Unchecked { .. }),
        "{refused:?}"
    );

    // A page of names that no query reads before the first claim.
    let whole = fs::read(&fixture.database).unwrap();
    let at = whole
        .windows(200)
        .rposition(|bytes| bytes == names[2000].as_bytes())
        .unwrap();
    let page = at / PAGE * PAGE;
    let mut bytes = whole.clone();
    bytes[page..page + 8].fill(0x5a);
    fs::write(&fixture.database, &bytes).unwrap();
    let refused = open(&watch).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused:?}");
    assert_eq!(
        fs::read(&fixture.database).unwrap(),
        bytes,
        "nothing is mended in silence"
    );
    fs::write(&fixture.database, whole).unwrap();
    fixture.watch_bystander();
}

#[test]
fn a_database_that_is_complete_only_with_its_wal_is_recognized() {
    let fixture = Fixture::numbered(2000);
    let mut store = fixture.start();
    let names: Vec<_> = (0..2000)
        .map(|i| format!("more {i:0200}").as_str().into())
        .collect();
    store
        .load(|loader| names.iter().try_for_each(|name| loader.add(name)))
        .unwrap();
    // After a full disk or a power cut: the first page was checkpointed, and the last ones were not.
    for name in ["stride.db", "stride.db-wal"] {
        fs::copy(fixture.at(name), fixture.at(&name.replace("stride", "cut"))).unwrap();
    }
    let pages: i64 = fixture
        .sql()
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    let mut bytes = fs::read(fixture.at("cut.db")).unwrap();
    assert!(bytes.len() / PAGE < pages as usize);
    bytes[28..32].copy_from_slice(&u32::try_from(pages).unwrap().to_be_bytes());
    fs::write(fixture.at("cut.db"), bytes).unwrap();
    let reader = Reader::open(fixture.at("cut.db")).unwrap();
    assert_eq!(reader.counts().unwrap().total, 4001);
}

#[test]
fn row_32_a_database_with_several_names_is_refused() {
    let fixture = Fixture::numbered(1);
    fs::hard_link(&fixture.database, fixture.at("other.db")).unwrap();
    let refused = fixture.try_open().unwrap_err();
    assert!(
        matches!(refused, StoreError::ManyNames { names: 2, .. }),
        "{refused:?}"
    );
    fs::remove_file(fixture.at("other.db")).unwrap();
    drop(fixture.open());
}
