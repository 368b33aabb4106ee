//! Databases with one invalid value each, written past every check of the schema.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::{named, place, run};
use crate::cli::{Place, Ran};
use crate::support::{FakeApi, Reply};

/// A column of a table: both names, and the declared type.
#[derive(Debug, Clone)]
pub(super) struct Column {
    table: String,
    name: String,
    kind: String,
}

/// A run with a row in each table: files that are done, refused, failed, held and pending, from a table.
struct Sample {
    place: Place,
    _api: FakeApi,
    original: Vec<u8>,
}

impl Sample {
    fn new() -> Self {
        let api = FakeApi::start(|request| match request.target.as_str() {
            "/0001" => Reply::status(422),
            "/0002" => Reply::text("no JSON"),
            _ => Reply::json(1),
        });
        let place = place(5);
        let url = named(&api);
        let bystander = place.with_bystander(&url);
        let list: String = (0..5)
            .map(|i| format!("{{\"path\": \"texts/{i:04}\", \"language\": \"en\"}}\n"))
            .collect();
        place.write("list.jsonl", list);
        let words = [
            "--accept-change",
            "--files-from",
            "list.jsonl",
            "--list-format",
            "jsonl",
            "-j",
            "1",
            "--retries",
            "0",
            "--rate",
            "1000/s",
            "--max-calls",
            "5",
            "-H",
            "X-Kept: yes",
            "--success",
            "$headers != null",
        ];
        let words = run(&url, &words);
        place.stride(&words[..words.len() - 1]).expect(4);
        place.sql("UPDATE work SET state = 4 WHERE job = 2");
        place.sql("UPDATE counts SET failed = failed - 1, held = held + 1");
        assert_eq!(place.bystander(), bystander);
        let connection = Connection::open(place.at("stride.db")).unwrap();
        let folded = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        folded.unwrap();
        connection.close().unwrap();
        let original = fs::read(place.at("stride.db")).unwrap();
        Self {
            place,
            _api: api,
            original,
        }
    }

    fn database(&self) -> PathBuf {
        self.place.at("stride.db")
    }

    /// Restores the database, and changes it.
    fn with(&self, change: impl FnOnce(&Connection)) {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.place.at(format!("stride.db{end}")));
        }
        fs::write(self.database(), &self.original).unwrap();
        let connection = Connection::open(self.database()).unwrap();
        connection
            .execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF;")
            .unwrap();
        change(&connection);
        connection.close().unwrap();
    }

    /// The columns of all tables, according to the schema.
    fn columns(&self) -> Vec<Column> {
        let sql =
            "SELECT m.name, c.name, c.type FROM sqlite_schema m JOIN pragma_table_info(m.name) c
                   WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid";
        let rows = self.place.sql(sql).into_iter();
        let columns: Vec<Column> = rows
            .map(|row| {
                let [table, name, kind] = row.try_into().unwrap();
                Column { table, name, kind }
            })
            .collect();
        assert!(columns.len() > 60, "{} columns", columns.len());
        columns
    }
}

impl Column {
    /// Puts a value into every row of a column that accepts it; keys accept it in one row.
    fn put(&self, connection: &Connection, value: &Value) {
        let Self { table, name, .. } = self;
        for limit in ["", " WHERE rowid = (SELECT min(rowid) FROM {table})"] {
            let limit = limit.replace("{table}", table);
            let sql = format!("UPDATE OR IGNORE {table} SET {name} = ?1{limit}");
            let _ = connection.execute(&sql, [value]);
        }
    }
}

/// Every command that reads or continues a database, as a user types it.
const COMMANDS: &[&[&str]] = &[
    &["status"],
    &["status", "--request"],
    &["status", "--watch"],
    &["failures"],
    &["verify"],
    &["export", "--partial", "--format", "csv", "-o", "out.csv"],
    &["export", "--all", "-o", "out.json"],
    &["report", "-o", "out.html"],
    &["recheck", "--expect", "any"],
    &["recheck", "--expect", "any", "--apply"],
    &["set", "-j", "2"],
    &["try", "texts/0004"],
    &["retry", "--held", "--queue-only"],
    &[
        "retry",
        "--allow-commands",
        "--allow-references",
        "--max-calls",
        "6",
    ],
    &[
        "resume",
        "--allow-commands",
        "--allow-references",
        "--max-calls",
        "none",
    ],
];

/// Chooses a few commands for the case of this number, in turns; all of them with `THOROUGH` in the environment.
fn in_turns(
    commands: &'static [&'static [&'static str]],
    case: usize,
    count: usize,
) -> impl Iterator<Item = &'static [&'static str]> {
    let all = std::env::var_os("THOROUGH").is_some();
    let count = if all { commands.len() } else { count };
    let turned = commands.iter().cycle().skip(case * count % commands.len());
    turned.take(count).copied()
}

/// Returns true if a terminal obeys the character.
fn acts(char: char) -> bool {
    char.is_control() && !matches!(char, '\n' | '\t')
        || matches!(char, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Checks that no part of a value begins a line of its own or controls the terminal, in output for people.
fn check(ran: &Ran, what: &str) {
    let stdout = String::from_utf8_lossy(&ran.stdout);
    for text in [&ran.stderr, &*stdout] {
        assert!(!text.contains(acts), "{what}: {text:?}");
        let begins = text.lines().any(|line| line.starts_with("FORGED"));
        assert!(!begins, "{what}: {text}");
    }
}

const POISON: &str = "x\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}\u{fdd0}\r\nFORGED\u{2028}";

#[test]
fn row_127_nothing_in_a_database_is_obeyed_by_a_terminal() {
    let sample = Sample::new();
    for (case, column) in sample.columns().into_iter().enumerate() {
        let value = match column.kind.as_str() {
            "TEXT" | "ANY" => Value::Text(POISON.to_owned()),
            "BLOB" => Value::Blob(POISON.as_bytes().to_owned()),
            _ => continue,
        };
        sample.with(|connection| column.put(connection, &value));
        for words in in_turns(COMMANDS, case, 3) {
            let ran = sample.place.stride(words);
            check(&ran, &format!("{column:?} {words:?}"));
        }
    }
}

/// Commands that show or use the request and the settings.
const REQUESTING: &[&[&str]] = &[
    &["status", "--request"],
    &["failures"],
    &["export", "--all", "-o", "out.json"],
    &["report", "-o", "out.html"],
    &["recheck"],
    &["set", "-j", "2"],
    &["try", "texts/0004", "--allow-references"],
    &["resume", "--allow-references", "--max-calls", "none"],
];

/// The same for each text in the request and the settings, which are JSON.
#[test]
fn row_127_nothing_in_a_request_or_a_setting_is_obeyed_by_a_terminal() {
    let sample = Sample::new();
    for column in ["call", "settings"] {
        let stored = sample
            .place
            .sql(&format!("SELECT {column} FROM run"))
            .concat();
        let stored: serde_json::Value = serde_json::from_str(&stored[0]).unwrap();
        let mut places = Vec::new();
        leaves(&stored, &mut String::new(), &mut places);
        assert!(places.len() > 5, "{places:?}");
        for (case, place) in places.into_iter().enumerate() {
            let mut changed = stored.clone();
            *changed.pointer_mut(&place).unwrap() = POISON.into();
            sample.with(|connection| {
                let sql = format!("UPDATE run SET {column} = ?1");
                connection.execute(&sql, [changed.to_string()]).unwrap();
            });
            for words in in_turns(REQUESTING, case, 3) {
                let ran = sample.place.stride(words);
                check(&ran, &format!("{column}{place} {words:?}"));
            }
        }
    }
}

/// The paths of all values that are neither objects nor arrays.
fn leaves(value: &serde_json::Value, at: &mut String, found: &mut Vec<String>) {
    let length = at.len();
    let mut below = |name: String, value: &serde_json::Value| {
        at.push_str(&format!("/{name}"));
        leaves(value, at, found);
        at.truncate(length);
    };
    match value {
        serde_json::Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, value)| below(name.clone(), value));
        }
        serde_json::Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .for_each(|(i, value)| below(i.to_string(), value));
        }
        _ => found.push(at.clone()),
    }
}

/// Commands that show or use every number.
const COUNTING: &[&[&str]] = &[
    &["status"],
    &["status", "--json"],
    &["export", "--all", "--format", "jsonl", "-o", "out.jsonl"],
    &["report", "-o", "out.html"],
    &["recheck", "--expect", "text", "--apply"],
    &[
        "retry",
        "--held",
        "--max-calls",
        "none",
        // A stored wait is cut to this.
        "--retry-max-delay",
        "1s",
        "--on-finish",
        "cat > /dev/null",
    ],
];

/// Checks that a command ended by itself and without a panic.
fn ended(ran: &Ran, what: &str) {
    let ends = [0, 1, 2, 3, 4, 5, 6, 7, 75].map(Some);
    assert!(ends.contains(&ran.code), "{what}: {ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
}

#[test]
fn row_129_no_number_in_a_database_makes_a_command_panic() {
    let sample = Sample::new();
    let mut case = 0;
    for column in sample.columns() {
        if !matches!(column.kind.as_str(), "INTEGER" | "REAL") {
            continue;
        }
        for number in [i64::MIN, -1, 0, i64::MAX] {
            sample.with(|connection| column.put(connection, &Value::Integer(number)));
            case += 1;
            for words in in_turns(COUNTING, case, 1) {
                let ran = sample.place.stride(words);
                ended(&ran, &format!("{column:?} {number} {words:?}"));
            }
        }
    }
}

/// Counts for the right number of jobs, in wrong states.
#[test]
fn row_129_contradictory_counts_are_damage() {
    let sample = Sample::new();
    let states = ["pending", "running", "done", "failed", "held"];
    let all = "pending + running + done + failed + held";
    let mut damaged = 0;
    for state in states {
        let others = states.into_iter().filter(|other| *other != state);
        let others: String = others.map(|other| format!(", {other} = 0")).collect();
        for words in [
            &["status"][..],
            &["recheck", "--expect", "any", "--apply"],
            &["retry", "--held", "--max-calls", "none"],
            &["retry", "--max-calls", "none"],
            &["resume", "--max-calls", "none"],
        ] {
            let sql = format!("UPDATE counts SET {state} = {all}{others}");
            sample.with(|connection| assert_eq!(connection.execute(&sql, []).unwrap(), 1));
            let ran = sample.place.stride(words);
            ended(&ran, &format!("{state} {words:?}"));
            if ran.code == Some(6) {
                damaged += 1;
                ran.says("the database is damaged")
                    .says("changing the counts");
            }
            sample
                .place
                .stride(&["verify"])
                .expect(6)
                .says("the counts say");
        }
    }
    assert!(damaged > 8, "{damaged}");
    let most = "UPDATE counts SET pending = 9223372036854775807, done = pending, failed = pending";
    for words in COUNTING {
        sample.with(|connection| assert_eq!(connection.execute(most, []).unwrap(), 1));
        let most = "UPDATE counts SET done = pending, failed = pending";
        sample.place.sql(most);
        ended(&sample.place.stride(words), &format!("{words:?}"));
    }
}
