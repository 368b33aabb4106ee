//! Invariants that the schema enforces for every writer.

use stride::job::Class;

use crate::support::{Fixture, attempt, claim, failed, succeeded};

#[test]
fn the_schema_enforces_the_invariants() {
    let fixture = Fixture::new(&["done", "failed", "running", "pending"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("done"), succeeded("1"));
    attempt(
        &mut store,
        fixture.id("failed"),
        failed(Class::Rejected, Some(422), "m"),
    );
    claim(&mut store, fixture.id("running"));
    let id = |name: &str| fixture.id(name).0;
    let (done, failed, running, pending) = (id("done"), id("failed"), id("running"), id("pending"));
    let sql = fixture.sql();
    sql.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let before = fixture.contents();
    for statement in [
        // One result for each job, of an existing attempt, with a checksum.
        format!("INSERT INTO result SELECT * FROM result WHERE job = {done}"),
        format!("INSERT INTO result VALUES ({done}, 1, NULL, x'00', zeroblob(32))"),
        format!("INSERT INTO result VALUES ({pending}, 1, NULL, x'00', zeroblob(32))"),
        format!("INSERT INTO result VALUES ({failed}, 2, NULL, x'00', zeroblob(32))"),
        format!("INSERT INTO result VALUES ({failed}, 1, NULL, x'00', zeroblob(31))"),
        format!("INSERT INTO result VALUES ({failed}, 1, NULL, NULL, zeroblob(32))"),
        format!("UPDATE result SET job = {pending} WHERE job = {done}"),
        format!("DELETE FROM attempt WHERE job = {done}"),
        format!("DELETE FROM job WHERE id = {done}"),
        // Attempts.
        format!("INSERT INTO attempt SELECT * FROM attempt WHERE job = {done}"),
        format!("UPDATE attempt SET outcome = 'perhaps' WHERE job = {done}"),
        format!("UPDATE attempt SET class = 'transient' WHERE job = {done}"),
        format!("UPDATE attempt SET class = 'unheard' WHERE job = {failed}"),
        format!("UPDATE attempt SET ended = NULL WHERE job = {done}"),
        format!("UPDATE attempt SET outcome = 'failed' WHERE job = {running}"),
        format!("UPDATE attempt SET number = 0 WHERE job = {running}"),
        format!("UPDATE attempt SET key = x'00' WHERE job = {running}"),
        format!("UPDATE attempt SET runner = 99 WHERE job = {running}"),
        // Jobs and their work.
        format!("DELETE FROM job WHERE id = {pending}"),
        format!("UPDATE work SET state = 6 WHERE job = {done}"),
        format!("UPDATE work SET state = 1 WHERE job = {pending}"),
        format!("UPDATE work SET not_before = 1 WHERE job = {done}"),
        "INSERT INTO work (job) VALUES (99)".into(),
        format!("UPDATE job SET path = 'done' WHERE id = {pending}"),
        format!("UPDATE job SET path = '' WHERE id = {pending}"),
        format!("UPDATE job SET path = 7 WHERE id = {pending}"),
        format!("UPDATE job SET path = NULL WHERE id = {pending}"),
        "INSERT INTO job (id, path) VALUES (-1, 'before')".into(),
        // One run, one row of counts; counts are not negative.
        "INSERT INTO run (id, uuid, created, base, call, settings) VALUES (2, zeroblob(16), 0, x'2e', '{}', '{}')".into(),
        "UPDATE run SET settings = 'not json'".into(),
        "INSERT INTO counts (id) VALUES (2)".into(),
        "UPDATE counts SET pending = -1".into(),
        "UPDATE runner SET ending = 'finished' WHERE ended IS NULL".into(),
    ] {
        assert!(sql.execute(&statement, []).is_err(), "{statement}");
    }
    assert_eq!(fixture.contents(), before);
}
