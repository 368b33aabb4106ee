//! The house is kept: imports point down, files stay readable, and only the command line prints.

use std::fs;
use std::path::{Path, PathBuf};

/// What each module may import of the others, besides what lies in its own folder.
const MAY_IMPORT: [(&str, &[&str]); 23] = [
    ("job", &[]),
    ("bounded", &[]),
    ("jq", &["job"]),
    ("class", &["job"]),
    ("curl", &[]),
    ("retry", &["job"]),
    ("limits", &[]),
    ("governor", &["job", "limits"]),
    ("settings", &["class", "governor", "limits", "retry"]),
    ("choice", &["job", "settings"]),
    ("event", &["governor", "job", "settings"]),
    // Words only.
    ("guide", &[]),
    ("input", &["job"]),
    (
        "store",
        &[
            "choice", "event", "governor", "job", "limits", "retry", "settings",
        ],
    ),
    ("judge", &["class", "job", "jq", "settings"]),
    ("caller", &["bounded", "class", "job", "judge", "settings"]),
    (
        "engine",
        &[
            "caller", "event", "governor", "job", "limits", "retry", "settings", "store",
        ],
    ),
    ("whole", &["job"]),
    (
        "export",
        &[
            "choice", "event", "job", "jq", "judge", "settings", "store", "whole",
        ],
    ),
    (
        "report",
        &["event", "job", "retry", "settings", "store", "whole"],
    ),
    ("recheck", &["class", "job", "judge", "settings", "store"]),
    (
        "run",
        &[
            "caller", "engine", "event", "export", "job", "settings", "store",
        ],
    ),
    ("lib", &["run"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The fuzzers are built in a folder of their own, and not all there is written by hand.
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

/// Two copies of SQLite in one process do not know of each other's locks.
#[test]
fn there_is_one_sqlite() {
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

/// The module that a file belongs to: the first name below `src`.
fn module(file: &str) -> Option<&str> {
    let rest = file.strip_prefix("src/")?;
    rest.split(['/', '.']).next()
}

/// The library's modules that a line refers to.
fn referred(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap();
    let names = code.split("crate::").skip(1);
    names
        .map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap()
        })
        .collect()
}

#[test]
fn imports_point_down() {
    let mut checked = 0;
    for (file, text) in all_sources() {
        let Some(module) = module(&file).filter(|module| !matches!(*module, "cli" | "main")) else {
            continue;
        };
        let rule = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let (_, allowed) =
            rule.unwrap_or_else(|| panic!("{file}: say in MAY_IMPORT what {module} may import"));
        for name in text.lines().flat_map(referred) {
            assert!(
                name == module || allowed.contains(&name),
                "{file} imports {name}"
            );
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked} imports were seen");
}

#[test]
fn drivers_stay_where_they_belong() {
    for (crate_name, home) in [
        ("rusqlite", "src/store/"),
        ("reqwest", "src/caller/"),
        ("clap", "src/cli/"),
    ] {
        let mut users = 0;
        for (file, text) in all_sources()
            .into_iter()
            .filter(|(file, _)| file.starts_with("src/"))
        {
            let uses = text.contains(&format!("use {crate_name}"))
                || text.contains(&format!("{crate_name}::"));
            assert!(!uses || file.starts_with(home), "{file} uses {crate_name}");
            users += usize::from(uses);
        }
        assert!(users > 0, "nobody uses {crate_name}");
    }
}

#[test]
fn statements_are_not_put_together_from_values() {
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
fn nobody_asks_for_the_time_in_the_rules() {
    let rules = [
        "src/governor/",
        "src/limits/",
        "src/retry.rs",
        "src/class.rs",
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
