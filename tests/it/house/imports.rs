//! Imports point down: from layer to layer as `MAY_IMPORT` says, and without a circle between files anywhere.

use std::sync::LazyLock;

use super::all_sources;
use super::circles::circles;
use super::edges::{Named, read};

/// Modules that each layer may import, besides its own. A file belongs to the longest name that its module path begins with.
const MAY_IMPORT: [(&str, &[&str]); 35] = [
    ("text", &[]),
    ("job", &["text"]),
    ("bounded", &["text"]),
    ("paths", &[]),
    ("jq", &["job", "text"]),
    ("failure_class", &["job"]),
    ("curl", &[]),
    ("retry", &["job"]),
    ("limits", &["job"]),
    ("governor", &["job", "limits"]),
    (
        "settings",
        &["failure_class", "governor", "job", "limits", "retry"],
    ),
    ("filter", &["job", "settings"]),
    ("event", &["governor", "job", "settings"]),
    // Words only.
    ("guide", &[]),
    ("input", &["job", "paths"]),
    (
        "store",
        &[
            "filter", "event", "governor", "job", "limits", "paths", "retry", "settings", "text",
        ],
    ),
    ("validate", &["failure_class", "job", "jq", "settings"]),
    (
        "caller",
        &[
            "bounded",
            "failure_class",
            "job",
            "validate",
            "paths",
            "settings",
            "text",
        ],
    ),
    (
        "engine",
        &[
            "caller", "event", "governor", "job", "limits", "retry", "settings", "store",
        ],
    ),
    ("atomic_file", &["job", "paths"]),
    (
        "export",
        &["filter", "event", "job", "settings", "store", "atomic_file"],
    ),
    (
        "report",
        &[
            "event",
            "job",
            "limits",
            "retry",
            "settings",
            "store",
            "text",
            "atomic_file",
        ],
    ),
    ("extract", &["export", "job", "jq", "store", "validate"]),
    (
        "recheck",
        &["failure_class", "job", "validate", "settings", "store"],
    ),
    (
        "run",
        &[
            "caller", "engine", "event", "export", "job", "settings", "store",
        ],
    ),
    // The binary, which knows the library by its public names.
    ("cli::output", &[]),
    ("cli::args", &["cli::output"]),
    ("cli::secrets", &["cli::output"]),
    ("cli::config", &["cli::args", "cli::output"]),
    (
        "cli::request",
        &["cli::args", "cli::output", "cli::secrets"],
    ),
    ("cli::progress", &["cli::output"]),
    ("cli::help", &["cli::args", "cli::output"]),
    (
        "cli::session",
        &[
            "cli::args",
            "cli::config",
            "cli::output",
            "cli::progress",
            "cli::request",
            "cli::secrets",
        ],
    ),
    (
        "cli::commands",
        &[
            "cli::args",
            "cli::config",
            "cli::help",
            "cli::output",
            "cli::progress",
            "cli::request",
            "cli::secrets",
            "cli::session",
        ],
    ),
    (
        "cli",
        &[
            "cli::args",
            "cli::commands",
            "cli::config",
            "cli::help",
            "cli::output",
        ],
    ),
];

/// Folders that may still contain circles.
const NOT_YET: &[&str] = &[];

/// Crates that one folder alone may name.
const DRIVERS: [(&str, &str); 3] = [
    ("rusqlite", "src/store/"),
    ("reqwest", "src/caller/http/"),
    ("clap", "src/cli/"),
];

/// The library and the binary.
static CRATES: LazyLock<[Named; 2]> = LazyLock::new(|| {
    let sources = all_sources();
    ["src/lib.rs", "src/main.rs"].map(|root| read(root, &sources))
});

fn layer(module: &str) -> Option<&'static str> {
    let names = MAY_IMPORT.iter().map(|(name, _)| *name);
    names
        .filter(|name| {
            let rest = module.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
        .max_by_key(|name| name.len())
}

/// Returns a crate's edges that violate `MAY_IMPORT`.
fn upward(named: &Named) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, module) in &named.modules {
        if !module.is_empty() && layer(module).is_none() {
            wrong.push(format!("{file}: add {module} to MAY_IMPORT"));
        }
    }
    for edge in &named.edges {
        let from = layer(&named.modules[&edge.from]);
        let to = layer(&named.modules[&edge.to]);
        let allowed = from.and_then(|from| MAY_IMPORT.iter().find(|(name, _)| *name == from));
        let is_allowed =
            from == to || to.is_some_and(|to| allowed.is_none_or(|(_, names)| names.contains(&to)));
        if !is_allowed {
            wrong.push(format!("{} -> {} -> {}", edge.from, edge.item, edge.to));
        }
    }
    wrong
}

fn circles_outside(named: &Named, not_yet: &[&str]) -> Vec<String> {
    let inside = |folder: &str, file: &str| file.starts_with(folder);
    let checked: Vec<_> = named
        .edges
        .iter()
        .filter(|edge| {
            !not_yet
                .iter()
                .any(|folder| inside(folder, &edge.from) && inside(folder, &edge.to))
        })
        .collect();
    circles(&checked)
}

fn lines(found: &[String]) -> String {
    format!("\n{}", found.join("\n"))
}

#[test]
fn imports_point_down() {
    for named in &*CRATES {
        assert!(named.edges.len() > 100, "{} edges", named.edges.len());
        assert!(named.unresolved.is_empty(), "{:#?}", named.unresolved);
        let wrong = upward(named);
        assert!(wrong.is_empty(), "{}", lines(&wrong));
    }
}

#[test]
fn no_file_imports_itself_through_others() {
    for named in &*CRATES {
        let found = circles_outside(named, NOT_YET);
        assert!(found.is_empty(), "{}", lines(&found));
    }
}

#[test]
fn the_list_of_open_folders_is_no_longer_than_it_has_to_be() {
    let circles: Vec<String> = CRATES
        .iter()
        .flat_map(|named| circles_outside(named, &[]))
        .collect();
    for folder in NOT_YET {
        assert!(
            circles.iter().any(|circle| circle.starts_with(folder)),
            "{folder} has no circle: take it from NOT_YET"
        );
    }
}

#[test]
fn drivers_stay_where_they_belong() {
    for (driver, home) in DRIVERS {
        let users: Vec<&str> = CRATES
            .iter()
            .flat_map(|named| &named.external)
            .filter(|(_, name)| name == driver)
            .map(|(file, _)| file.as_str())
            .collect();
        assert!(!users.is_empty(), "no file uses {driver}");
        for file in users {
            assert!(file.starts_with(home), "{file} uses {driver}");
        }
    }
}

mod checker {
    use super::*;

    /// Reads a small crate and returns its edges as `from Item to`, without folder and ending.
    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let named = of(files);
        assert!(named.unresolved.is_empty(), "{:?}", named.unresolved);
        let short = |file: &str| file["src/".len()..file.len() - ".rs".len()].to_owned();
        named
            .edges
            .iter()
            .map(|edge| format!("{} {} {}", short(&edge.from), edge.item, short(&edge.to)))
            .collect()
    }

    fn of(files: &[(&str, &str)]) -> Named {
        let owned: Vec<_> = files
            .iter()
            .map(|(file, text)| (format!("src/{file}.rs"), (*text).to_owned()))
            .collect();
        read("src/lib.rs", &owned)
    }

    const ROOT: (&str, &str) = ("lib", "mod a; mod b;");
    const FOLDER: [(&str, &str); 2] = [
        ("b/mod", "mod inner; pub use inner::{B, f as g};"),
        ("b/inner", "pub struct B; pub fn f() {} pub enum E { V }"),
    ];

    fn edges_of_a(text: &str) -> Vec<String> {
        edges(&[ROOT, ("a", text), FOLDER[0], FOLDER[1]])
    }

    #[test]
    fn uses_of_every_form_are_edges() {
        for text in [
            "use crate::b::B;",
            "use crate::\n    b::{\n    self,\n    B,\n};",
            "use super::b::B as Other;",
            "use crate::{b::{B}};",
            "use crate::b as c; fn x() -> c::B { loop {} }",
            "fn x() { use crate::b::B; }",
            "use self::nested::B; mod nested { pub use crate::b::B; }",
            "mod nested { use super::super::b::B; }",
        ] {
            assert_eq!(edges_of_a(text), ["a B b/inner"], "{text}");
        }
    }

    #[test]
    fn globs_lead_to_the_module_and_to_its_used_items() {
        assert_eq!(edges_of_a("use crate::b::*;"), ["a * b/mod"]);
        assert_eq!(
            edges_of_a("use crate::b::*; fn x() -> B { loop {} }"),
            ["a * b/mod", "a B b/inner"]
        );
    }

    #[test]
    fn paths_in_code_types_and_macros_are_edges() {
        for (text, item) in [
            ("fn x() { crate::b::g(); }", "f"),
            ("fn x() { use crate::b; b::g() }", "f"),
            ("fn x() { use crate::b as c; c::g() }", "f"),
            ("fn x() { println!(\"{}\", crate::b::g()) }", "f"),
            ("fn x() { matches!(1, super::b::B::C) }", "B"),
            ("struct X(Vec<super::b::B>);", "B"),
            ("impl Into<crate::b::B> for () {}", "B"),
            ("#[x(with = crate::b::B)] struct Y;", "B"),
        ] {
            assert_eq!(edges_of_a(text), [format!("a {item} b/inner")], "{text}");
        }
    }

    #[test]
    fn declarations_re_exports_and_tests_are_not_edges() {
        for text in [
            "pub use crate::b::B;",
            "pub(crate) use crate::b::B;",
            "use crate::b;",
            "#[cfg(test)] use crate::b::B;",
            "#[cfg(test)] mod tests { use crate::b::B; }",
            "struct X; impl X { #[cfg(test)] fn x() { crate::b::g(); } }",
            "use std::fmt::Display as B; struct X(Box<dyn B>);",
            "pub(in crate::a) struct X;",
        ] {
            assert!(edges_of_a(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_is_reported() {
        let named = of(&[ROOT, ("a", "use crate::b::Gone;"), FOLDER[0], FOLDER[1]]);
        assert_eq!(named.unresolved, ["src/a.rs: crate::b::Gone"]);
    }

    #[test]
    fn names_of_other_crates_are_known_by_their_file() {
        let text = "use rusqlite as db; fn x() { db::open(reqwest::get()) }";
        let named = of(&[ROOT, ("a", text), FOLDER[0], FOLDER[1]]);
        let has = |name: &str| {
            let pair = ("src/a.rs".to_owned(), name.to_owned());
            named.external.contains(&pair)
        };
        assert!(has("rusqlite") && has("reqwest"), "{:?}", named.external);
    }

    #[test]
    fn a_circle_is_reported_with_its_items() {
        let named = of(&[
            ("lib", "mod a; mod b; mod c;"),
            ("a", "use crate::b::B; pub struct A;"),
            ("b", "pub struct B(\n    crate::c\n    ::C,\n);"),
            (
                "c",
                "pub struct C; mod deep { use super::super::a as x; fn f(_: x::A) {} }",
            ),
        ]);
        assert_eq!(
            circles_outside(&named, &[]),
            ["src/a.rs -> B -> src/b.rs -> C -> src/c.rs -> A -> src/a.rs"]
        );
        assert!(circles_outside(&named, &["src/"]).is_empty());
    }

    /// Proves that the check can fail.
    #[test]
    fn one_import_against_the_rule_fails() {
        let mut sources = all_sources();
        let job = sources
            .iter_mut()
            .find(|(file, _)| file == "src/job/mod.rs");
        job.unwrap()
            .1
            .push_str("\nuse crate::engine::{\n    RunOutcome as _Unused,\n};\n");
        let after = read("src/lib.rs", &sources);
        assert_eq!(
            upward(&after),
            ["src/job/mod.rs -> RunOutcome -> src/engine/run_outcome.rs"]
        );
        let step = "src/job/mod.rs -> RunOutcome -> src/engine/run_outcome.rs";
        let circles = circles_outside(&after, NOT_YET);
        assert!(circles.iter().any(|circle| circle.contains(step)));
    }
}
