//! `forget`: files are taken off a run and brought back.

use serde_json::{Value, json};

use super::{Place, Ran};
use crate::support::{FakeApi, Gate, Reply};

/// The commands of the hints with this word, as words to run.
fn hinted(ran: &Ran, word: &str) -> Vec<Vec<String>> {
    let commands = ran.stderr.lines().filter_map(|line| {
        let command = line.strip_prefix("hint: stride ")?.split("   ").next()?;
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        format!("{command} ")
            .starts_with(&format!("{word} "))
            .then_some(words)
    });
    commands.collect()
}

/// Runs the only command of the hints with this word.
#[track_caller]
fn obey(place: &Place, ran: &Ran, word: &str) -> Ran {
    let commands = hinted(ran, word);
    let [command] = &commands[..] else {
        panic!("{commands:?}: {}", ran.stderr);
    };
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    place.stride(&words)
}

fn counts(place: &Place) -> [u64; 7] {
    let status = place.status();
    [
        "total",
        "pending",
        "running",
        "done",
        "failed",
        "held",
        "forgotten",
    ]
    .map(|count| status[count].as_u64().unwrap())
}

fn exported(place: &Place) -> Value {
    place.stride(&["export"]).expect(0).json()
}

/// A service that rejects `rejected`, drops the connection of `held` and answers the others with their own bytes.
fn service() -> FakeApi {
    FakeApi::start(|request| match request.target.rsplit('/').next().unwrap() {
        "rejected" => Reply::json(json!({"error": "no"})).with_status(422),
        "held" => Reply::close(),
        name => Reply::json(json!(name)),
    })
}

#[test]
fn a_list_with_wrong_names_ends_whole_after_the_hints() {
    let api = service();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let mut names = place.texts(300);
    let whole = names.join("\n");
    for (index, wrong) in [(7, "texts/0007.txt"), (150, "text/0150"), (299, "0299")] {
        names[index] = wrong.to_owned();
    }
    place.write("list", names.join("\n"));
    let run = ["run", "--url", &url, "--files-from", "list"];
    let first = place.stride(&run).expect(3);
    assert_eq!(
        hinted(&first, "forget"),
        [["forget", "--where", "class=input"]]
    );
    place
        .stride(&["export"])
        .expect(3)
        .says("stride forget --where state=failed,held");
    place.write("list", whole);
    let second = place
        .stride(&run)
        .expect(3)
        .says("300 files, 3 of them new")
        .says("stride forget texts/0007.txt text/0150 0299");
    let forgot = obey(&place, &keep_first(second), "forget").expect(0);
    let forgot = forgot
        .says("forgot 3 files: texts/0007.txt, text/0150, 0299")
        .says("301 of 301 files done, 3 forgotten")
        .says("stride export -o results.json");
    assert_eq!(exported(&place).as_object().unwrap().len(), 301);
    place.stride(&run).expect(0).says("301 of 301 files done");
    obey(&place, &forgot, "forget --undo")
        .expect(0)
        .says("brought back 3 files");
    assert_eq!(counts(&place), [304, 0, 0, 301, 3, 0, 0]);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

/// Leaves only the hint about the list, which comes before the calls.
fn keep_first(ran: Ran) -> Ran {
    let end = ran.stderr.find("starting: ").unwrap();
    Ran {
        stderr: ran.stderr[..end].to_owned(),
        ..ran
    }
}

#[test]
fn every_state_comes_back_as_it_was() {
    let api = service();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    for name in ["done", "rejected", "held", "pending"] {
        place.write(name, name);
    }
    let names = ["done", "rejected", "held", "pending"];
    let run = [
        &[
            "run",
            "-j",
            "1",
            "--in-doubt",
            "hold",
            "--max-calls",
            "4",
            "--url",
            &url,
        ],
        &names[..],
    ]
    .concat();
    place.stride(&run).expect(4);
    let all = [5, 1, 0, 2, 1, 1, 0];
    assert_eq!(counts(&place), all);
    let tables = "SELECT * FROM work JOIN job ON job.id = work.job LEFT JOIN result ON result.job = work.job";
    let (before, requests) = (place.sql(tables), api.requests());
    for (name, left) in names.into_iter().zip([
        [4, 1, 0, 1, 1, 1, 1],
        [4, 1, 0, 2, 0, 1, 1],
        [4, 1, 0, 2, 1, 0, 1],
        [4, 0, 0, 2, 1, 1, 1],
    ]) {
        let forgot = place.stride(&["forget", name]).expect(0);
        assert_eq!(counts(&place), left, "{name}");
        place.stride(&["verify"]).expect(0);
        let state = place.sql(&format!("SELECT state FROM results WHERE path = '{name}'"));
        assert_eq!(state, [["forgotten"]]);
        // Twice is once.
        place
            .stride(&["forget", name])
            .expect(0)
            .says("forgot 0 files");
        // The same list does not bring it back, and says so.
        let again = place.stride(&run);
        again.says(&format!(
            "1 file of this list forgotten and not called: {name}"
        ));
        assert_eq!(counts(&place), left, "{name}");
        obey(&place, &forgot, "forget --undo")
            .expect(0)
            .says(&format!("brought back 1 file: {name}"));
        assert_eq!(counts(&place), all, "{name}");
        assert_eq!(place.sql(tables), before, "{name}");
    }
    // All at once, by their states.
    place
        .stride(&["forget", "--where", "state!=done"])
        .expect(0)
        .says("forgot 3 files");
    place.stride(&["export"]).expect(0);
    place
        .stride(&["forget", "--undo", "--where", "state=failed"])
        .expect(0)
        .says("brought back 1 file: rejected");
    place
        .stride(&["forget", "--undo", "--where", "state=forgotten"])
        .expect(0)
        .says("brought back 2 files: held, pending");
    assert_eq!(place.sql(tables), before);
    assert_eq!(api.requests(), requests);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_run_whose_files_are_all_forgotten_says_so() {
    let (api, place) = (service(), Place::new());
    place.write("a", "a");
    let url = format!("{}/{{name}}", api.url());
    place.with_bystander(&url);
    place.stride(&["run", "--url", &url, "a"]).expect(0);
    place.stride(&["forget", "a", "bystander.txt"]).expect(0);
    let hint = "hint: stride forget --undo   brings them back";
    for words in [&["resume"][..], &["run", "--url", &url, "a"]] {
        place
            .stride(words)
            .expect(0)
            .says("nothing to do: all files of the run are forgotten")
            .says(hint);
    }
    place.stride(&["forget", "--undo"]).expect(0);
    place
        .stride(&["resume"])
        .expect(0)
        .says("2 of 2 files done");
}

#[test]
fn no_command_takes_a_forgotten_file_for_one_of_the_run() {
    let api = service();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    for name in ["a", "b", "rejected"] {
        place.write(name, name);
    }
    place
        .stride(&["run", "--url", &url, "a", "b", "rejected"])
        .expect(3);
    place.stride(&["forget", "b", "rejected"]).expect(0);
    let requests = api.requests();
    assert_eq!(
        exported(&place),
        json!({"bystander.txt": "bystander.txt", "a": "a"})
    );
    for format in ["json", "jsonl", "csv"] {
        let all = place
            .stride(&["export", "--all", "--format", format])
            .expect(0);
        let text = String::from_utf8(all.stdout).unwrap();
        assert!(text.contains('a') && !text.contains("rejected"), "{text}");
    }
    let chosen = [
        "export",
        "--all",
        "--format",
        "jsonl",
        "--where",
        "state=forgotten",
    ];
    let listed = String::from_utf8(place.stride(&chosen).expect(0).stdout).unwrap();
    let rows: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let rows: Vec<(&Value, &Value)> = rows
        .iter()
        .map(|row| (&row["file"], &row["state"]))
        .collect();
    assert_eq!(
        rows,
        [
            (&json!("b"), &json!("forgotten")),
            (&json!("rejected"), &json!("forgotten"))
        ]
    );
    place
        .stride(&[&chosen[..], &["-o", "forgotten.jsonl"]].concat())
        .expect(0)
        .says("wrote 0 results and 2 ");
    assert_eq!(place.stride(&["failures", "--json"]).json(), json!([]));
    let failures = String::from_utf8(place.stride(&["failures"]).expect(0).stdout).unwrap();
    assert!(
        failures.contains("2 of 2 files done, 2 forgotten"),
        "{failures}"
    );
    place
        .stride(&["retry"])
        .expect(0)
        .says("0 failed files pending again");
    place.stride(&["resume"]).expect(0);
    place
        .stride(&["recheck", "--success", "false"])
        .expect(0)
        .says("done -> failed: 2 files");
    let status = String::from_utf8(place.stride(&["status"]).expect(0).stdout).unwrap();
    assert!(
        status.contains("2 of 2 files done, 2 forgotten"),
        "{status}"
    );
    let report = String::from_utf8(place.stride(&["report"]).expect(0).stdout).unwrap();
    assert!(report.contains("Forgotten: 2 files"), "{report}");
    assert_eq!(api.requests(), requests);
    place.stride(&["verify"]).expect(0);
    place.stride(&["forget", "--undo", "b"]).expect(0);
    let whole = json!({"bystander.txt": "bystander.txt", "a": "a", "b": "b"});
    assert_eq!(exported(&place), whole);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_running_run_takes_it_in() {
    let gate = Gate::default();
    let held = gate.clone();
    let api = FakeApi::start(move |request| match &*request.target {
        "/bystander.txt" => Reply::json(1),
        _ => Reply::json(1).when(&held),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = place.texts(40);
    place
        .stride(&["run", "-j", "1", "--max-calls", "1", "--url", &url, "texts"])
        .expect(4);
    place.stride(&["forget", &names[20]]).expect(0);
    let run = place.begin(&["resume", "-j", "2", "--max-calls", "none"]);
    api.wait_for(3);
    // What is in flight stays.
    let refused = place.stride(&["forget", &names[5], &names[0]]).expect(5);
    refused
        .says("calls in flight cannot be forgotten: texts/0000")
        .says("nothing was changed");
    let others = place
        .stride(&["forget", "--where", "name~texts/001*"])
        .expect(0);
    others.says("forgot 10 files: texts/0010, texts/0011, texts/0012 and 7 more");
    run.until_says("10 files forgotten");
    place
        .stride(&["forget", "--undo", &names[20], &names[12]])
        .expect(0);
    run.until_says("2 files brought back");
    gate.open();
    run.end().expect(0).says("32 of 32 files done, 9 forgotten");
    let called: Vec<String> = api.log().into_iter().map(|logged| logged.target).collect();
    for (index, name) in names.iter().enumerate() {
        let is_called = called.iter().any(|target| name.ends_with(&**target));
        assert_eq!(
            is_called,
            !(10..20).contains(&index) || index == 12,
            "{name}"
        );
    }
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_file_in_flight_at_a_crash_can_be_forgotten() {
    let gate = Gate::default();
    let held = gate.clone();
    let api = FakeApi::start(move |request| match &*request.target {
        "/bystander.txt" => Reply::json(1),
        _ => Reply::json(1).when(&held),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(2);
    let run = place.begin(&["run", "-j", "1", "--url", &url, "texts"]);
    api.wait_for(2);
    run.kill();
    gate.open();
    place
        .stride(&["forget", "texts/0000"])
        .expect(0)
        .says("recovered: 1 call in flight when the last run died: texts/0000")
        .says("1 of 2 files done, 1 pending, 1 forgotten");
    place.stride(&["resume"]).expect(0);
    assert_eq!(counts(&place), [2, 0, 0, 2, 0, 0, 1]);
    // It comes back as the call left it: to be called.
    place.stride(&["forget", "--undo"]).expect(0);
    place
        .stride(&["resume"])
        .expect(0)
        .says("3 of 3 files done");
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_crashed_run_says_that_its_calls_were_cut_off() {
    let gate = Gate::default();
    let held = gate.clone();
    let api = FakeApi::start(move |request| match &*request.target {
        "/bystander.txt" => Reply::json(1),
        _ => Reply::json(1).when(&held),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(3);
    let run = place.begin(&["run", "-j", "1", "--url", &url, "texts"]);
    api.wait_for(2);
    let counts = "1 of 4 files done, 1 running, 2 pending";
    place.stride(&["export"]).expect(3).says(counts);
    run.kill();
    gate.open();
    let counts = "1 of 4 files done, 1 cut off, 2 pending";
    place
        .stride(&["export"])
        .expect(3)
        .says(counts)
        .says("to resume the run: stride resume");
    let status = place.stride(&["status"]).expect(0).stdout;
    assert!(String::from_utf8(status).unwrap().contains(counts));
    place
        .stride(&["retry", "texts/0000", "--queue-only"])
        .expect(0)
        .says("texts/0000 has not failed: it is cut off, and called again anyway\n");
    // A condition means the state that the user has seen.
    place
        .stride(&["forget", "--where", "state=running"])
        .expect(0)
        .says("forgot 1 file: texts/0000\n")
        .says("hint: stride resume   continues where this stopped\n");
    place
        .stride(&["resume"])
        .expect(0)
        .says("3 of 3 files done, 1 forgotten");
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn names_are_those_of_the_list_or_paths_to_them() {
    let api = service();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(4);
    place.write("-k", "k");
    place
        .stride(&["run", "--url", &url, "texts", "--", "-k"])
        .expect(0);
    let from = |folder: &str, words: &[&str]| {
        let mut command = place.command(words);
        let output = command.current_dir(place.at(folder)).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    from("texts", &["forget", "--db", "../stride.db", "0001"]);
    place
        .stride(&[
            "forget",
            "./texts//0002",
            place.at("texts/0003").to_str().unwrap(),
        ])
        .expect(0);
    let forgot = place.stride(&["forget", "--", "-k"]).expect(0);
    assert_eq!(counts(&place), [2, 0, 0, 2, 0, 0, 4]);
    obey(&place, &forgot, "forget --undo").expect(0);
    assert_eq!(counts(&place), [3, 0, 0, 3, 0, 0, 3]);
    place
        .stride(&["forget", "texts/0000", "texts/9999", "texts"])
        .expect(2)
        .says("the run does not have 2 files: texts/9999, texts")
        .says("nothing was changed")
        .says("'name~*9999*'");
    assert_eq!(counts(&place), [3, 0, 0, 3, 0, 0, 3]);
    place.stride(&["forget"]).expect(2);
    place
        .stride(&["forget", "--where", "state=failed"])
        .expect(0)
        .says("forgot 0 files");
    let all = place.stride(&["forget", "--where", "name~*"]).expect(0);
    all.says("0 of 0 files done, 6 forgotten")
        .says("rm stride.db");
    place
        .stride(&["forget", "--undo"])
        .expect(0)
        .says("6 of 6 files done");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_mended_list_can_replace_that_of_the_run() {
    let api = service();
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    let names = place.texts(60);
    let wrong: Vec<String> = names
        .iter()
        .flat_map(|name| [name.clone(), format!("{name}.txt")])
        .collect();
    let run = ["run", "--url", &url, "--files-from", "list"];
    place.write(
        "list",
        [&["bystander.txt".to_owned()], &wrong[..]]
            .concat()
            .join("\n"),
    );
    place.stride(&run).expect(3);
    place.write(
        "list",
        [&["bystander.txt".to_owned()], &names[..]]
            .concat()
            .join("\n"),
    );
    let hint = place.stride(&run).expect(3);
    // Too many for a command line: the list itself says which.
    hint.says(&format!(
        "hint: stride run --url '{url}' --files-from list --forget-unlisted   takes"
    ));
    let words = [&run[..], &["--forget-unlisted"]].concat();
    let forgot = place.stride(&words).expect(0);
    let forgot = forgot.says("forgot 60 files missing from the list: texts/0000.txt, texts/0001.txt, texts/0002.txt and 57 more");
    assert_eq!(counts(&place), [61, 0, 0, 61, 0, 0, 60]);
    assert_eq!(exported(&place).as_object().unwrap().len(), 61);
    obey(&place, &forgot, "forget --undo").expect(0);
    assert_eq!(counts(&place), [121, 0, 0, 61, 60, 0, 0]);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn rows_of_a_table_are_chosen_by_their_columns() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.write("list.csv", "id,lang\na,de\nb,en\nc,de\n");
    let list = [
        "--files-from",
        "list.csv",
        "--list-format",
        "csv",
        "--key-column",
        "id",
    ];
    let data = ["run", "--url", &api.url(), "--data", "{col.lang}"];
    place.stride(&[&data[..], &list].concat()).expect(0);
    place
        .stride(&["forget", "--where", "col.lang=de"])
        .expect(0)
        .says("forgot 2 files: a, c");
    assert_eq!(exported(&place), json!({"b": 1}));
    place
        .stride(&[
            "forget",
            "--undo",
            "--where",
            "col.lang=de",
            "--where",
            "name=a",
        ])
        .expect(0)
        .says("brought back 1 file: a");
    place
        .stride(&["forget", "--where", "col.langue=de"])
        .expect(2)
        .says("langue");
    place.stride(&["verify"]).expect(0);
}

/// The command that makes the list has failed.
#[test]
fn an_empty_list_does_not_forget_the_run() {
    let api = FakeApi::start(|_| Reply::json("1"));
    let place = Place::new();
    let url = api.url();
    let bystander = place.with_bystander(&url);
    place.texts(3);
    place.stride(&["run", "--url", &url, "texts"]).expect(0);
    place.write("empty", "");
    std::fs::create_dir(place.at("nothing")).unwrap();
    for list in [&["--files-from", "empty"][..], &["nothing"]] {
        let run = ["run", "--quiet", "--forget-unlisted", "--url", &url];
        place
            .stride(&[&run[..], list].concat())
            .expect(2)
            .says("the list is empty")
            .says("nothing was changed");
    }
    assert_eq!(place.status()["forgotten"], 0);
    assert_eq!(place.bystander(), bystander);
}
