//! Rules for the sources: which file may import which, and which text may occur where.

mod circles;
mod edges;
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The fuzzers' build folder has generated sources.
        if path.ends_with("tests/fuzz/target") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// Two copies of SQLite in one process do not know each other's locks.
#[test]
fn the_program_links_one_sqlite() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap();
    let copies = lock.matches("name = \"libsqlite3-sys\"").count();
    let others = ["sqlite3-src", "sqlite3-sys", "libsql-ffi"];
    let others = others.map(|name| format!("name = \"{name}\""));
    assert_eq!(copies, 1);
    assert!(others.iter().all(|other| !lock.contains(other.as_str())));
}

pub(crate) fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut found);
    }
    assert!(found.len() > 40, "{} sources", found.len());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (
            path.strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
            text,
        )
    };
    found.into_iter().map(read).collect()
}

#[test]
fn sql_is_not_built_from_values() {
    let formatted = [
        "format!(\"SELECT",
        "format!(\"UPDATE",
        "format!(\"INSERT",
        "format!(\"DELETE",
    ];
    for (file, text) in all_sources()
        .into_iter()
        .filter(|(file, _)| file.starts_with("src/"))
    {
        assert!(
            !formatted.iter().any(|start| text.contains(start)),
            "{file} formats SQL"
        );
    }
}

#[test]
fn pure_modules_do_not_read_the_clock() {
    let rules = [
        "src/governor/",
        "src/limits/",
        "src/retry.rs",
        "src/failure_class.rs",
        "src/event.rs",
    ];
    let mut checked = 0;
    for (file, text) in all_sources()
        .into_iter()
        .filter(|(file, _)| rules.iter().any(|rule| file.starts_with(rule)))
    {
        for clock in [
            "Instant",
            "SystemTime",
            "elapsed()",
            "clock_gettime",
            "sleep(",
        ] {
            assert!(!text.contains(clock), "{file} knows {clock}");
        }
        checked += 1;
    }
    assert!(checked > 10, "{checked} files were seen");
}
