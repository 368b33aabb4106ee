//! The cost of a call in the database does not depend on the length of the list.

use crate::support::Fixture;

/// The statements of the writer, from its source.
fn statements() -> Vec<&'static str> {
    let sources = [
        include_str!("../../../src/store/queue.rs"),
        include_str!("../../../src/store/queue/offers.rs"),
        include_str!("../../../src/store/settle.rs"),
    ];
    let words = ["SELECT ", "UPDATE ", "INSERT ", "DELETE "];
    let literals = sources.iter().flat_map(|source| source.split('"'));
    let found: Vec<&str> = literals
        .filter(|text| words.iter().any(|word| text.starts_with(word)))
        .collect();
    // Offers, claims and settlements are among them.
    for known in ["ORDER BY job LIMIT", "SET state = 1", "INTO result"] {
        assert!(found.iter().any(|sql| sql.contains(known)), "{known}");
    }
    found
}

#[test]
fn row_60_offering_claiming_and_settling_read_only_their_jobs() {
    let fixture = Fixture::numbered(3);
    let sql = fixture.sql();
    let mut seen = 0;
    for statement in statements() {
        // Sampled files are in a table of their own, which has a few hundred rows.
        if statement.contains(" drawn") {
            continue;
        }
        let explained = format!("EXPLAIN QUERY PLAN {statement}");
        let mut plan = sql
            .prepare(&explained)
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        for parameter in 1..=plan.parameter_count() {
            plan.raw_bind_parameter(parameter, 1).unwrap();
        }
        let mut rows = plan.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let step: String = row.get(3).unwrap();
            // The counts are one row, for a list of any length.
            let scans = step.starts_with("SCAN")
                && !step.ends_with(" CONSTANT ROW")
                && step != "SCAN counts";
            let searches = !scans && !step.contains("TEMP B-TREE");
            assert!(searches, "{step}: {statement}");
            seen += 1;
        }
    }
    assert!(seen > 3, "{seen} steps were seen");
}
