//! Checks that `tests/FAULTS.md` names the tests of each fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::house::all_sources;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/FAULTS.md");

/// The experiments of the laboratory (`tests/lab`).
const EXPERIMENTS: [&str; 7] = ["kills", "calls", "errors", "cuts", "thin", "exports", "two"];

/// The rows in a test's name: `row_5_…`, `rows_5_and_7_…` or `rows_5_to_7_…`.
fn rows(function: &str) -> Vec<u32> {
    let Some(rest) = function
        .strip_prefix("row_")
        .or_else(|| function.strip_prefix("rows_"))
    else {
        return Vec::new();
    };
    let mut words = rest.split('_').peekable();
    let mut found: Vec<u32> = Vec::new();
    while let Some(Ok(row)) = words.next().map(str::parse::<u32>) {
        found.push(row);
        match words.next() {
            Some("and") => {}
            Some("to") => {
                let last = words.next().unwrap_or_default().parse();
                found.extend(row + 1..=last.unwrap_or(row));
                break;
            }
            _ => break,
        }
    }
    found
}

/// The tests of each row, sorted.
fn tests() -> BTreeMap<u32, Vec<String>> {
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (file, text) in all_sources() {
        if !file.starts_with("src/") && !file.starts_with("tests/it/") {
            continue;
        }
        let mut marked = false;
        let functions = text.lines().filter_map(|line| {
            marked |= line.trim() == "#[test]";
            let name = line.trim_start().strip_prefix("fn ")?;
            std::mem::take(&mut marked).then(|| name.split('(').next())?
        });
        for function in functions {
            for row in rows(function) {
                found.entry(row).or_default().push(function.to_owned());
            }
        }
    }
    found.values_mut().for_each(|tests| tests.sort());
    found
}

/// The cells of a line: the row's number, fault, behaviour, tests and other proof.
fn cells(line: &str) -> Option<(u32, Vec<String>)> {
    // An escaped bar does not end a cell.
    let whole = line.replace("\\|", "\u{0}");
    let inner = whole.strip_prefix('|')?.strip_suffix('|')?;
    let cells = inner
        .split('|')
        .map(|cell| cell.trim().replace('\u{0}', "\\|"));
    let cells: Vec<String> = cells.collect();
    Some((cells.first()?.parse().ok()?, cells))
}

/// The expected column of tests.
fn column(tests: &[String]) -> String {
    let quoted = tests.iter().map(|test| format!("`{test}`"));
    quoted.collect::<Vec<_>>().join(", ")
}

#[test]
fn every_row_lists_its_tests() {
    let tests = tests();
    let text = fs::read_to_string(TABLE).unwrap();
    let of = |row: &u32| tests.get(row).map(Vec::as_slice).unwrap_or_default();
    if std::env::var_os("STRIDE_REWRITE").is_some() {
        let lines = text.lines().map(|line| match cells(line) {
            Some((row, mut cells)) if cells.len() == 5 => {
                cells[3] = column(of(&row));
                let line = format!("| {} |\n", cells.join(" | "));
                line.replace("|  |", "| |").replace("|  |", "| |")
            }
            _ => format!("{line}\n"),
        });
        fs::write(TABLE, lines.collect::<String>()).unwrap();
        return;
    }
    let table: Vec<(u32, Vec<String>)> = text.lines().filter_map(cells).collect();
    let numbers: BTreeSet<u32> = table.iter().map(|(row, _)| *row).collect();
    assert_eq!(numbers.len(), table.len(), "each row once");
    for section in text.split("\n## ") {
        let rows = section.lines().filter_map(cells).map(|(row, _)| row);
        assert!(rows.is_sorted(), "{section}: in order");
    }
    for (row, cells) in &table {
        let [_, fault, done, column_there, beside] = &cells[..] else {
            panic!("row {row} has {} cells", cells.len());
        };
        assert!(!fault.is_empty() && done.ends_with('.'), "row {row}");
        let anew = "STRIDE_REWRITE=1 writes the column anew";
        assert_eq!(column_there, &column(of(row)), "row {row}: {anew}");
        let known = match beside.split_once(": ") {
            Some(("lab", name)) => EXPERIMENTS.contains(&name),
            Some(("none", why)) => !why.is_empty(),
            _ => false,
        };
        assert!(known || beside.is_empty(), "row {row}: {beside}");
        let has_something = known || !column_there.is_empty();
        assert!(has_something, "row {row} has neither a test nor a reason");
    }
    let strange = tests.keys().find(|row| !numbers.contains(row));
    assert_eq!(strange, None, "a test of a missing row");
}

#[test]
fn names_carry_their_rows() {
    for (name, expected) in [
        ("row_5_a_signal", &[5][..]),
        ("rows_5_and_7_signals", &[5, 7]),
        ("rows_5_and_7_and_9_signals", &[5, 7, 9]),
        ("rows_5_to_8_signals", &[5, 6, 7, 8]),
        ("rows_of_a_table", &[]),
        ("row", &[]),
        ("arrow_5_x", &[]),
    ] {
        assert_eq!(rows(name), expected, "{name}");
    }
}
