//! Killed exports and unusable targets. `cli/export` and `export` test the formats.

use std::fs;

use super::{named, place};
use crate::cli::{Place, listed};
use crate::support::{FakeApi, Reply};

/// An expression that takes an hour for an answer, in few steps.
const LONG: &str = "(. * 1000000) as $s | last(range(100000) | $s | explode | length)";

/// A run with everything done, and its export in `out.json`.
fn exported() -> Place {
    let api = FakeApi::start(|_| Reply::json("\"one\""));
    let place = place(5);
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.stride(&["run", "--url", &url, "texts"]).expect(0);
    place.stride(&["export", "-o", "out.json"]).expect(0);
    assert_eq!(place.bystander(), bystander);
    place
}

/// The temporary file or folder of an export, once it is there.
fn temporary(place: &Place, target: &str) -> String {
    let prefix = format!(".{target}.stride-");
    let find = || {
        let names = listed(&place.at(""));
        names.into_iter().find(|name| name.starts_with(&prefix))
    };
    place.until(|| find().is_some());
    find().unwrap()
}

#[test]
fn row_89_a_killed_export_keeps_the_old_file_and_the_next_one_removes_its_leftovers() {
    let place = exported();
    let old = fs::read(place.at("out.json")).unwrap();
    let words = ["export", "-o", "out.json", "--extract", LONG];
    let run = place.begin(&words);
    let temporary = temporary(&place, "out.json");
    // Another export writes meanwhile, and leaves it alone.
    place.stride(&["export", "-o", "out.json"]).expect(0);
    run.kill();
    assert!(place.at(&temporary).exists());
    assert_eq!(fs::read(place.at("out.json")).unwrap(), old);
    place.stride(&["export", "-o", "out.json"]).expect(0);
    assert_eq!(fs::read(place.at("out.json")).unwrap(), old);
    let hidden: Vec<String> = listed(&place.at(""))
        .into_iter()
        .filter(|name| name.contains("out.json"))
        .collect();
    assert_eq!(hidden, ["out.json"]);
}

#[test]
fn row_89_a_killed_export_of_any_format_keeps_the_old_one() {
    let place = exported();
    for format in ["parquet", "dir"] {
        let whole = ["export", "--format", format, "-o", "out"];
        place.stride(&whole).expect(0);
        let content = || match format {
            "dir" => fs::read(place.at("out/texts/0000.json")),
            _ => fs::read(place.at("out")),
        };
        let old = content().unwrap();
        let run = place.begin(&[&whole[..], &["--extract", LONG]].concat());
        let temporary = temporary(&place, "out");
        run.kill();
        assert!(place.at(&temporary).exists());
        assert_eq!(content().unwrap(), old, "{format}");
        place.stride(&whole).expect(0);
        assert_eq!(content().unwrap(), old, "{format}");
        let hidden = listed(&place.at(""));
        assert!(!hidden.contains(&temporary), "{hidden:?}");
        let _ = fs::remove_file(place.at("out"));
    }
}

#[test]
fn row_89_a_full_disk_keeps_the_old_export() {
    // Incompressible text, larger than a file may be.
    let mut seed = 1_u64;
    let words = (0..30_000).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{seed:016x}")
    });
    let words: String = words.collect();
    let api = FakeApi::start(move |_| Reply::json(serde_json::json!(words)));
    let place = place(1);
    let url = named(&api);
    place.stride(&["run", "--url", &url, "texts"]).expect(0);
    for format in ["json", "parquet", "dir"] {
        let whole = ["export", "--format", format, "--partial", "-o", "out"];
        place
            .stride(&[&whole[..], &["--extract", "1"]].concat())
            .expect(0);
        let kept = || match format {
            "dir" => fs::read(place.at("out/texts/0000.json")),
            _ => fs::read(place.at("out")),
        };
        let old = kept().unwrap();
        // Blocks of 512 bytes.
        let line = format!(
            "ulimit -f 200 && exec '{}' {}",
            env!("CARGO_BIN_EXE_stride"),
            whole.join(" ")
        );
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &line])
            .current_dir(place.at(""))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{format}: {said}");
        assert!(said.contains("error: cannot write out"), "{format}: {said}");
        assert_eq!(kept().unwrap(), old, "{format}");
        assert!(
            !listed(&place.at(""))
                .iter()
                .any(|name| name.starts_with(".out"))
        );
        let _ = fs::remove_file(place.at("out"));
    }
    place.stride(&["verify"]).expect(0);
}

#[test]
fn row_90_a_folder_that_is_not_writable_is_an_error_that_names_it() {
    let place = exported();
    // No user may create a file there, not even the superuser.
    for target in [
        "/proc/out.json",
        "/proc/self/none/out.json",
        "out.json/below",
    ] {
        place
            .stride(&["export", "-o", target])
            .expect(1)
            .says("error: cannot write ")
            .says(target)
            .says("hint: ");
    }
    place
        .stride(&["export", "--format", "json", "-o", "stride.db-wal"])
        .expect(2)
        .says("belongs to the run's database")
        .says("hint: ");
    place.stride(&["verify"]).expect(0);
}

#[test]
fn row_94_a_table_is_text_for_spreadsheets_unless_raw_values_are_requested() {
    let cells = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "\nx", "-1.5", "x"];
    let api = FakeApi::start(move |request| {
        let index = request.target.trim_start_matches('/').parse::<usize>();
        index.map_or_else(|_| Reply::json(1), |index| Reply::text(cells[index]))
    });
    let place = place(cells.len());
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.write("=name", "x");
    let words = [
        "run",
        "--expect",
        "any",
        "--accept-change",
        "--url",
        &url,
        "texts",
        "=name",
    ];
    place.stride(&words).expect(0);
    let table = |flags: &[&str]| {
        let words = [&["export", "--format", "csv"], flags].concat();
        let table = place.stride(&words).expect(0).stdout;
        let mut reader = csv::Reader::from_reader(table.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        rows[1..]
            .iter()
            .map(|row| (row[0].to_owned(), row[8].to_owned()))
            .collect::<Vec<_>>()
    };
    let (safe, raw) = (table(&[]), table(&["--raw-csv"]));
    for (index, cell) in cells.into_iter().enumerate() {
        assert_eq!(raw[index].1, cell);
        // A number is no formula.
        let expected = if index < 7 {
            format!("'{cell}")
        } else {
            cell.to_owned()
        };
        assert_eq!(safe[index].1, expected);
    }
    assert_eq!((safe[9].0.as_str(), raw[9].0.as_str()), ("'=name", "=name"));
    let wrong = place.stride(&["export", "--raw-csv"]);
    wrong.expect(2).says("--format csv");
    assert_eq!(place.bystander(), bystander);
}
