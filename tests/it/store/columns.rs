//! The columns of a list that is a table, from the list to the claim.

use stride::job::FileName;
use stride::store::{Loaded, Store, StoreError};

use crate::support::{BYSTANDER, Fixture, attempt, claim, failed, succeeded};

fn load(store: &mut Store, rows: &[(&str, Option<&str>)]) -> Result<Loaded, StoreError> {
    store.load(|loader| {
        rows.iter()
            .try_for_each(|(name, columns)| loader.add_with(&FileName::from(*name), *columns))
    })
}

/// The columns of a job as they are stored.
fn stored(fixture: &Fixture, name: &str) -> Option<String> {
    let sql = fixture.sql();
    let fields = sql.query_row(
        "SELECT fields FROM columns WHERE job = ?1",
        [fixture.id(name).0],
        |row| row.get(0),
    );
    fields.ok()
}

#[test]
fn columns_go_from_the_list_to_the_claim() {
    let fixture = Fixture::new(&["a"]);
    let big = r#"{"n": 12345678901234567890.00, "t":"x\ny", "n'; DROP TABLE columns;--":null}"#;
    let mut store = fixture.start();
    let loaded = load(&mut store, &[("b", Some(big)), ("c", None)]).unwrap();
    assert_eq!((loaded.added, loaded.left), (2, 2));
    assert_eq!(stored(&fixture, "b").as_deref(), Some(big));
    let columns = claim(&mut store, fixture.id("b")).job.columns;
    assert_eq!(columns.json("n"), Some("12345678901234567890.00"));
    assert_eq!(columns.text("t").unwrap(), "x\ny");
    assert_eq!(columns.json("n'; DROP TABLE columns;--"), Some("null"));
    for bare in ["a", "c"] {
        let columns = claim(&mut store, fixture.id(bare)).job.columns;
        assert_eq!(columns.json("n"), None, "{bare}");
    }
    store.close().unwrap();
    // Another runner finds them too.
    let mut store = fixture.start();
    let columns = claim(&mut store, fixture.id("b")).job.columns;
    assert_eq!(columns.text("t").unwrap(), "x\ny");
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn a_new_run_has_its_columns_at_once() {
    let mut fixture = Fixture::empty();
    let lock = fixture.lock();
    let (mut store, loaded) = Store::create(lock, &fixture.new_run(), |loader| {
        loader.add_with(&BYSTANDER.into(), Some(r#"{"a":1}"#))?;
        loader.add_with(&"x".into(), Some(r#"{"a":2}"#))?;
        loader.add_with(&"x".into(), Some(r#"{"a":2}"#))
    })
    .unwrap();
    assert_eq!((loaded.added, loaded.duplicates), (2, 1));
    fixture.watch_bystander();
    store.start(1, &crate::support::POLICY).unwrap();
    let columns = claim(&mut store, fixture.id("x")).job.columns;
    assert_eq!(columns.json("a"), Some("2"));
}

#[test]
fn a_later_row_counts_unless_its_file_is_done() {
    let fixture = Fixture::new(&["pending", "failed", "done", "bare"]);
    let rows = ["pending", "failed", "done"].map(|name| (name, Some(r#"{"a":"old"}"#)));
    let mut store = fixture.start();
    load(&mut store, &rows).unwrap();
    let refused = failed(stride::job::Class::Rejected, Some(422), "no");
    attempt(&mut store, fixture.id("failed"), refused);
    attempt(&mut store, fixture.id("done"), succeeded("{}"));
    let done = fixture.rows("done");
    let new = Some(r#"{"a":"new"}"#);
    let rows = [
        ("pending", new),
        ("failed", new),
        ("done", new),
        ("bare", new),
        (BYSTANDER, new),
        ("pending", new),
    ];
    let loaded = load(&mut store, &rows).unwrap();
    assert_eq!(
        (loaded.known, loaded.duplicates, loaded.outdated),
        (5, 1, 2)
    );
    for name in ["pending", "failed", "bare"] {
        assert_eq!(stored(&fixture, name).as_deref(), new, "{name}");
    }
    assert_eq!(fixture.rows("done"), done);
    // A list of bare names has no columns.
    load(&mut store, &[("pending", None), ("new", None)]).unwrap();
    assert_eq!(stored(&fixture, "pending").as_deref(), new);
    let columns = claim(&mut store, fixture.id("pending")).job.columns;
    assert_eq!(columns.text("a").unwrap(), "new");
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn columns_that_are_not_json_are_not_stored() {
    let fixture = Fixture::numbered(2);
    let mut store = fixture.start();
    let before = fixture.contents();
    let rows = [("new", Some(r#"{"a":1}"#)), ("0", Some("{"))];
    assert!(load(&mut store, &rows).is_err());
    assert_eq!(fixture.contents(), before);
    let columns = claim(&mut store, fixture.id("0")).job.columns;
    assert_eq!(columns.json("a"), None);
}

#[test]
fn damaged_columns_are_an_error() {
    let fixture = Fixture::numbered(1);
    let mut store = fixture.start();
    load(&mut store, &[("0", Some("{}"))]).unwrap();
    let sql = fixture.sql();
    sql.execute("UPDATE columns SET fields = '[]'", []).unwrap();
    let mut group = store.group().unwrap();
    let spoilt = group.claim(fixture.id("0"), 0, stride::limits::Cost::default(), None);
    assert!(
        spoilt
            .unwrap_err()
            .to_string()
            .contains("reading a file's columns")
    );
}
