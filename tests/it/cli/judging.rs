//! Which answers are results, which part of them is exported, and how they are judged again.

use std::fs;

use serde_json::{Value, json};

use super::Place;
use crate::support::{FakeApi, Gate, Reply};

/// A service with each kind of 2xx answer, chosen by the file's name.
fn service() -> FakeApi {
    FakeApi::start(|request| match request.target.trim_start_matches('/') {
        "html" => Reply::status(200).body("text/html", "<html>sign in</html>"),
        "empty" => Reply::json(""),
        "none" => Reply::status(204),
        "nan" => Reply::json("NaN"),
        "bom" => Reply::json("\u{feff}{}"),
        "two" => Reply::json("{} {}"),
        "bytes" => Reply::status(200).body("application/json", b"\"\xff\"".to_vec()),
        "busy" => Reply::json(r#"{"ok":false,"why":"busy"}"#).header("X-Cost", "0"),
        "typed" => Reply::text(r#"{"ok":true,"n":1}"#).header("X-Cost", "1"),
        "digits" => {
            Reply::json(r#"{"ok":true, "n":1234567890123456789012345}"#).header("X-Cost", "1")
        }
        "verbatim" => {
            Reply::json(r#"{"ok":true,"n":1e400,"n":0.10,"s":"\ud800"}"#).header("X-Cost", "1")
        }
        "deep" => Reply::json(format!("{}{}", "[".repeat(200), "]".repeat(200))),
        "abyss" => Reply::json(format!(
            "{}{}",
            "[".repeat(1_000_000),
            "]".repeat(1_000_000)
        )),
        _ => Reply::json(r#"{"ok":true,"n":0}"#).header("X-Cost", "1"),
    })
}

/// Runs these files with these flags. Returns the bystander's rows, too.
fn run(names: &[&str], words: &[&str], code: i32) -> (FakeApi, Place, Vec<Vec<String>>) {
    let api = service();
    let place = Place::new();
    names.iter().for_each(|name| place.write(name, name));
    let url = format!("{}/{{name}}", api.url());
    place.write("bystander.txt", "bystander");
    let first = [&["run", "--url", &url], words, &["bystander.txt"]].concat();
    place.stride(&first).expect(0);
    let bystander = place.bystander();
    place
        .stride(&[&["run", "--url", &url], words, names].concat())
        .expect(code);
    (api, place, bystander)
}

pub(super) fn counts(place: &Place) -> (u64, u64) {
    let status = place.status();
    (
        status["done"].as_u64().unwrap(),
        status["failed"].as_u64().unwrap(),
    )
}

pub(super) fn exported(place: &Place, words: &[&str]) -> Value {
    place
        .stride(&[&["export"], words].concat())
        .expect(0)
        .json()
}

const NOT_JSON: [&str; 7] = ["html", "empty", "none", "nan", "bom", "two", "bytes"];

#[test]
fn an_answer_that_is_not_json_becomes_a_result_by_recheck_without_a_call() {
    let names = [&NOT_JSON[..], &["typed", "deep", "abyss"]].concat();
    let (api, place, bystander) = run(&names, &[], 3);
    assert_eq!(counts(&place), (4, 7));
    let failures = place.stride(&["failures", "--json"]).json();
    for failure in failures.as_array().unwrap() {
        assert_eq!(
            (&failure["class"], &failure["kind"]),
            (&json!("bad_response"), &json!("not_json"))
        );
        let message = failure["message"].as_str().unwrap();
        for words in ["`--expect text`", "`--expect any`", "`stride recheck`"] {
            assert!(message.contains(words), "{message}");
        }
    }
    let calls = api.requests();
    // Without `--apply` it changes nothing, and shows the changes.
    let before = place.sql("SELECT * FROM attempt");
    let look = place.stride(&["recheck", "--expect", "text"]).expect(0);
    look.says("judged 11 answers")
        .says("not done -> done: 6 files")
        .says("html: the answer is not JSON")
        .says("and 3 more")
        .says("nothing was changed")
        .says("stride recheck --expect text --apply");
    assert_eq!(place.sql("SELECT * FROM attempt"), before);
    assert_eq!(counts(&place), (4, 7));
    place
        .stride(&["recheck", "--expect", "text", "--apply"])
        .expect(0)
        .says("not done -> done: 6 files")
        .says("10 of 11 files done, 1 failed");
    place
        .stride(&["recheck", "--expect", "any", "--apply"])
        .expect(0)
        .says("not done -> done: 1 file");
    assert_eq!(counts(&place), (11, 0));
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.sql("SELECT * FROM rejected_response").len(), 0);
    // Later answers are judged by the same rule: the same command shows it.
    let url = format!("{}/{{name}}", api.url());
    place
        .stride(&["run", "--url", &url, "html"])
        .expect(2)
        .says("- expect: any");
    place
        .stride(&["run", "--expect", "any", "--url", &url, "html"])
        .expect(0);
    place
        .stride(&["recheck"])
        .expect(0)
        .says("no verdict changes");
    // Undo it.
    place
        .stride(&["recheck", "--expect", "json", "--apply"])
        .expect(0)
        .says("done -> failed: 7 files");
    assert_eq!(counts(&place), (4, 7));
    place.stride(&["verify"]).expect(0);
    assert_eq!(api.requests(), calls, "somebody was called");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn json_of_any_kind_is_exported_byte_for_byte() {
    let (_api, place, _) = run(&["typed", "verbatim", "deep", "abyss"], &[], 0);
    let exported = place.stride(&["export"]).expect(0).stdout;
    let expected = format!(
        "{{\n\"bystander.txt\": {{\"ok\":true,\"n\":0}},\n\"typed\": {{\"ok\":true,\"n\":1}},\n\"verbatim\": {},\n\"deep\": {}{},\n\"abyss\": {}{}\n}}\n",
        r#"{"ok":true,"n":1e400,"n":0.10,"s":"\ud800"}"#,
        "[".repeat(200),
        "]".repeat(200),
        "[".repeat(1_000_000),
        "]".repeat(1_000_000),
    );
    assert!(exported == expected.as_bytes());
    place.stride(&["verify"]).expect(0);
}

#[test]
fn success_is_judged_by_the_body_the_status_and_the_headers() {
    let expression = r#".ok and $status == 200 and $headers["x-cost"] == "1""#;
    let names = ["busy", "typed", "abyss", "digits"];
    let (api, place, bystander) = run(&names, &["--success", expression], 3);
    assert_eq!(counts(&place), (3, 2));
    let failures = place.stride(&["failures", "--json"]).json();
    assert_eq!(failures[0]["kind"], json!("not_successful"));
    assert!(failures[1]["message"].as_str().unwrap().contains("nested"));
    let headers =
        place.sql("SELECT headers FROM rejected_response JOIN job ON id = job WHERE path = 'busy'");
    assert!(headers[0][0].contains(r#""x-cost":"0""#), "{headers:?}");

    let calls = api.requests();
    place
        .stride(&[
            "recheck",
            "--success",
            r#"$headers["x-cost"] == "0" or .ok"#,
        ])
        .expect(0)
        .says("not done -> done: 1 file");
    place
        .stride(&["recheck", "--success", "", "--apply"])
        .expect(0)
        .says("not done -> done: 2 files");
    place
        .stride(&["recheck", "--success", ".n > 0", "--apply"])
        .expect(0)
        .says("done -> failed: 3 files")
        .says("`.n > 0` is not true of the answer");
    assert_eq!(counts(&place), (2, 3));
    place.stride(&["verify"]).expect(0);
    place
        .stride(&["recheck", "--success", expression, "--apply"])
        .expect(0);
    assert_eq!(api.requests(), calls, "somebody was called");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_rejected_answer_is_called_again_by_its_class_and_then_forgotten() {
    let api = FakeApi::start(|request| match request.attempt {
        0 => Reply::json(r#"{"ok":false,"why":"busy"}"#),
        _ => Reply::json(r#"{"ok":true}"#),
    });
    let place = Place::new();
    let names = place.texts(5);
    let words = ["run", "--success", ".ok", "--url"];
    let url = format!("{}/{{path}}", api.url());
    let rest = [
        url.as_str(),
        "--class",
        "body~busy:transient",
        "--retry-delay",
        "1ms",
        "texts",
    ];
    place.stride(&[&words[..], &rest].concat()).expect(0);
    assert_eq!(api.requests(), 2 * names.len());
    assert_eq!(place.sql("SELECT * FROM rejected_response").len(), 0);
    place.stride(&["verify"]).expect(0);
}

#[test]
fn headers_that_were_not_kept_cannot_be_judged_by() {
    let (_api, place, _) = run(&["typed"], &[], 0);
    for apply in [&[][..], &["--apply"]] {
        let words = ["recheck", "--success", "$headers.a"];
        place
            .stride(&[&words[..], apply].concat())
            .expect(2)
            .says("the headers of the answer for bystander.txt were not kept")
            .says("hint: ");
    }
    place
        .stride(&["export", "--extract", "$headers.a"])
        .expect(1)
        .says("headers were not stored");
    assert_eq!(counts(&place), (2, 0));
}

#[test]
fn a_runner_at_work_keeps_others_from_changing_its_answers() {
    let gate = Gate::default();
    let api = FakeApi::start({
        let gate = gate.clone();
        move |request| match request.target.as_str() {
            "/bystander.txt" => Reply::json("0"),
            _ => Reply::json(1).when(&gate),
        }
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.write("a", "a");
    let run = place.begin(&["run", "--url", &url, "a"]);
    api.wait_for(2);
    place
        .stride(&["recheck", "--success", ". == 1"])
        .expect(0)
        .says("done -> failed: 1 file");
    place
        .stride(&["recheck", "--success", ". == 1", "--apply"])
        .expect(5);
    gate.open();
    run.end().expect(0);
    assert_eq!(place.bystander(), bystander);
    place
        .stride(&["recheck", "--success", ". == 1", "--apply"])
        .expect(0)
        .says("done -> failed: 1 file");
    place.stride(&["verify"]).expect(0);
}

#[test]
fn an_export_has_the_extracted_values() {
    let words = ["--extract", ".n", "--success", ".ok"];
    let (_api, place, _) = run(&["typed", "digits", "busy"], &words, 3);
    let whole = place.stride(&["export", "--partial"]).expect(0).stdout;
    assert_eq!(
        String::from_utf8(whole).unwrap(),
        "{\n\"bystander.txt\": 0,\n\"typed\": 1,\n\"digits\": 1234567890123456789012345\n}\n"
    );
    let raw = place
        .stride(&["export", "--partial", "--raw"])
        .expect(0)
        .stdout;
    assert!(
        String::from_utf8(raw)
            .unwrap()
            .contains(r#""digits": {"ok":true, "n":1234567890123456789012345}"#)
    );
    assert_eq!(
        exported(&place, &["--partial", "--extract", ".ok, $status"])["typed"],
        json!([true, 200])
    );
    assert_eq!(
        exported(&place, &["--partial", "--extract", "empty"])["typed"],
        json!(null)
    );
    let all = exported(&place, &["--all"]);
    assert_eq!(all["busy"]["error"]["kind"], json!("not_successful"));
    let jsonl = place
        .stride(&[
            "export",
            "--partial",
            "--format",
            "jsonl",
            "--extract",
            "{n}",
        ])
        .expect(0)
        .stdout;
    let line = String::from_utf8(jsonl).unwrap();
    assert!(
        line.lines().nth(1).unwrap().contains(r#""result":{"n":1}"#),
        "{line}"
    );
    let csv = |expression| {
        let words = [
            "export",
            "--partial",
            "--format",
            "csv",
            "--extract",
            expression,
        ];
        let csv = place.stride(&words).expect(0).stdout;
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        rows[1][8].to_owned()
    };
    for (expression, cell) in [
        (r#""a\n\"b\"""#, "a\n\"b\""),
        (r#""=1+1""#, "'=1+1"),
        ("-1.50", "-1.50"),
        (".", r#"{"ok":true,"n":1}"#),
        ("null", "null"),
        ("true", "true"),
    ] {
        assert_eq!(csv(expression), cell, "{expression}");
    }
}

#[test]
fn an_export_tells_of_nulls_that_a_wrong_name_gives() {
    let (_api, place, _) = run(&["x", "digits"], &[], 0);
    let export = |expression: &str| {
        let words = [
            "export",
            "--partial",
            "-o",
            "out.json",
            "--where",
            "name!=bystander.txt",
        ];
        let words = [&words[..], &["--extract", expression]].concat();
        place.stride(&words).expect(0).stderr
    };
    for (expression, told) in [
        (
            ".nn",
            "warning: all 2 values are null; is --extract .nn right?\nhint: ",
        ),
        (
            "{n, o: .okk}",
            "warning: null in 2 values of --extract: o; is --extract '{n, o: .okk}' right?\nhint: ",
        ),
        (
            "if .n == 0 then null else .n end",
            "note: 1 of 2 values of --extract are null\n",
        ),
    ] {
        let said = export(expression);
        assert!(said.contains(told), "{said}");
    }
    for expression in [".n", "{n, o: (if .n == 0 then null else .n end)}"] {
        let said = export(expression);
        assert!(!said.contains("null"), "{said}");
    }
}

#[test]
fn another_exported_value_is_taken_and_other_rules_name_recheck() {
    let (api, place, _) = run(&["x", "digits"], &[], 0);
    let url = format!("{}/{{name}}", api.url());
    let request = ["run", "--url", &url, "x", "digits"];
    let run = |words: &[&str], code| place.stride(&[&request[..], words].concat()).expect(code);
    let calls = api.requests();
    run(&["--extract", ".n"], 0)
        .says("exports will write another value of each result:")
        .says("  + extract: .n\n");
    assert_eq!(exported(&place, &[])["x"], json!(0));
    // Results still belong to the request.
    let refused = "the request differs from the run's (3 files done with the old one)";
    run(&["--extract", ".n", "-H", "X-A: b"], 2)
        .says(refused)
        .says("--accept-change");
    // Their headers are not stored.
    run(&["--extract", "$headers"], 2).says(refused);
    let success = [
        "--extract",
        ".n",
        "--success",
        ".ok // true",
        "--expect-status",
        "200",
    ];
    run(&success, 2)
        .says(refused)
        .says("hint: stride recheck --expect-status 200 --success '.ok // true' --apply judges the stored answers");
    let recheck = [
        "recheck",
        "--expect-status",
        "200",
        "--success",
        ".ok // true",
        "--apply",
    ];
    place.stride(&recheck).expect(0);
    run(&success, 0);
    run(&success[2..], 0).says("  - extract: .n\n");
    assert_eq!(api.requests(), calls);
    assert_eq!(exported(&place, &[])["x"]["n"], json!(0));
}

#[test]
fn an_export_without_an_extracted_value_for_each_result_fails() {
    let (_api, place, _) = run(&["typed", "deep"], &[], 0);
    place.write("out.json", "what was there before");
    let words = ["export", "-o", "out.json", "--extract", ".n"];
    place
        .stride(&words)
        .expect(1)
        .says("from the result of deep")
        .says("cannot index")
        .says("// null")
        .says("stride export -o out.json --extract .n --raw");
    let kept = fs::read_to_string(place.at("out.json")).unwrap();
    assert_eq!(kept, "what was there before");
    assert_eq!(
        super::listed(&place.at(""))
            .iter()
            .filter(|name| name.contains("out.json"))
            .count(),
        1
    );
    let export = exported(&place, &["--extract", ".n? // null"]);
    assert_eq!(
        (&export["typed"], &export["deep"]),
        (&json!(1), &json!(null))
    );
    // The last of --raw and --extract counts.
    let words = ["export", "--extract", ".a.b", "--raw"];
    place.stride(&words).expect(0);
}

#[test]
fn an_invalid_expression_is_refused_before_anything_is_created() {
    let place = Place::new();
    place.write("a", "a");
    let url = "http://127.0.0.1:9/";
    for (flag, expression, said) in [
        ("--success", ".a |", "a term is missing at the end"),
        (
            "--extract",
            ".a | nope",
            "there is no filter `nope` at column 6",
        ),
        ("--success", "$ENV.PATH", "there is no variable `$ENV`"),
        ("--success", "env", "there is no filter `env`"),
        ("--extract", "input", "there is no filter `input`"),
    ] {
        place
            .stride(&["run", "--url", url, flag, expression, "a"])
            .expect(2)
            .says(&format!("the expression of {flag} cannot be read"))
            .says(said);
    }
    place
        .stride(&["run", "--url", url, "--expect", "xml", "a"])
        .expect(2)
        .says("json, text or any");
    assert!(!place.at("stride.db").exists());
    let (_api, place, _) = run(&["typed"], &[], 0);
    place.stride(&["recheck", "--success", "("]).expect(2);
    place.stride(&["export", "--extract", "("]).expect(2);
}

#[test]
fn answers_that_stopped_a_run_are_judged_again_without_a_call() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/bystander.txt" => Reply::status(422),
        _ => Reply::status(200).body("text/html", "<html>text</html>"),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    place.write("bystander.txt", "bystander");
    place
        .stride(&["run", "--url", &url, "bystander.txt"])
        .expect(3);
    let bystander = place.bystander();
    place.texts(60);
    let run = ["run", "--url", &url, "texts"];
    place.stride(&run).expect(4).says("`stride recheck`");
    let calls = api.requests() as u64 - 1;
    assert_eq!(counts(&place), (0, 1));
    let recheck = ["recheck", "--expect", "text", "--apply"];
    place
        .stride(&recheck)
        .expect(0)
        .says(&format!("not done -> done: {calls} files"));
    assert_eq!(counts(&place), (calls, 1));
    place.stride(&["verify"]).expect(0);
    place.stride(&["resume"]).expect(3);
    assert_eq!(counts(&place), (60, 1));
    assert_eq!(api.requests(), 61);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn an_expression_that_runs_away_costs_no_call_and_harms_no_other_file() {
    let (api, place, bystander) = run(&["busy", "typed"], &[], 0);
    let calls = api.requests();
    place.write("new", "new");
    let url = format!("{}/{{name}}", api.url());
    for endless in ["def f: 1 + f; f", "[range(1e12)]"] {
        for words in [
            &[
                "run",
                "--db",
                "other.db",
                "--url",
                &url,
                "--success",
                endless,
                "new",
            ][..],
            &[
                "run",
                "--db",
                "other.db",
                "--url",
                &url,
                "--extract",
                endless,
                "new",
            ],
            &["export", "--extract", endless],
            &["recheck", "--success", endless],
        ] {
            let refused = place.stride(words).expect(2).stderr;
            assert!(refused.contains("runs without end"), "{refused}");
        }
    }
    assert_eq!(api.requests(), calls);
    // It runs away only from one of the answers.
    place
        .stride(&["recheck", "--success", "until(.ok; .next)", "--apply"])
        .expect(0);
    let failure = &place.stride(&["failures", "--json"]).json()[0];
    assert_eq!(failure["path"], "busy");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("too many steps"), "{message}");
    assert_eq!(place.bystander(), bystander);
}
