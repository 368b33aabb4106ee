//! Exports that are killed, and targets that are none. Their formats are in `cli/export` and `export`.

use std::fs;

use super::{named, place};
use crate::cli::{Place, listed, until};
use crate::support::{FakeApi, Reply};

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

#[test]
fn row_89_a_killed_export_leaves_the_old_file_and_its_own_is_taken_away_by_the_next() {
    let place = exported();
    let old = fs::read(place.at("out.json")).unwrap();
    // An expression that goes on for as long as nobody ends it.
    let words = ["export", "-o", "out.json", "--extract", "last(range(1e12))"];
    let run = place.begin(&words);
    let temporary = format!(".out.json.stride-{}", run.pid());
    until(|| place.at(&temporary).exists());
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
fn row_90_a_folder_that_takes_no_file_is_an_error_that_names_it() {
    let place = exported();
    // Nobody may make a file there, the superuser neither.
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
        .stride(&["export", "-o", "stride.db-wal"])
        .expect(2)
        .says("belongs to the run's database")
        .says("hint: ");
    place.stride(&["verify"]).expect(0);
}

#[test]
fn row_94_a_table_is_text_for_spreadsheets_unless_it_is_asked_for_as_it_is() {
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
