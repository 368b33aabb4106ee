//! The columns of exported tables: those of the list, and the fields of results.

use std::fs;

use serde_json::{Value, json};

use super::{Place, Ran};
use crate::support::{FakeApi, Reply};

/// A run of a table whose texts include a formula, a comma, a quote and a line break. The service refuses `c`.
fn table() -> (FakeApi, Place) {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/c" => Reply::json(json!({"error": {"message": "too short"}})).with_status(422),
        "/d" => Reply::json(r#"[1, 2]"#),
        "/e" => Reply::json(r#"{"label": "\ud800", "=n": 7, "o": {"p": 1}}"#),
        _ => Reply::json(r#"{"label": "=1+1", "score": 0.50, "ok": true}"#),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    for name in ["a", "b", "c", "d", "e"] {
        place.write(name, name);
    }
    let list = "id,path,lang,\"=x\"\n1,a,de,\"=1+1\"\n2,b,\"en, us\",\n10,c,fr,\"q\"\"x\ny\"\n3,d,de,-5\n4,e,,z\n";
    place.write("list.csv", list);
    let words = [
        "run",
        "--accept-change",
        "--url",
        &url,
        "--files-from",
        "list.csv",
        "--list-format",
        "csv",
    ];
    place.stride(&words).expect(3);
    assert_eq!(place.bystander(), bystander);
    (api, place)
}

/// The rows of a CSV export, the first with the names.
fn rows(ran: &Ran) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(&*ran.stdout);
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        row.iter().map(str::to_owned).collect()
    });
    rows.collect()
}

fn csv(place: &Place, words: &[&str]) -> Vec<Vec<String>> {
    let words = [&["export", "--format", "csv"], words].concat();
    rows(&place.stride(&words).expect(0))
}

#[test]
fn tables_have_the_columns_of_the_list_after_strides_own() {
    let (_api, place) = table();
    let found = csv(&place, &["--all"]);
    let own = [
        "file",
        "state",
        "attempts",
        "status",
        "class",
        "error",
        "started",
        "duration",
        "result",
        "path_bytes",
    ];
    assert_eq!(found[0][..10], own);
    // Not even a name is a formula.
    assert_eq!(found[0][10..], ["id", "path", "lang", "'=x"]);
    let theirs: Vec<&[String]> = found[1..].iter().map(|row| &row[10..]).collect();
    assert_eq!(theirs[0], ["", "", "", ""], "the bystander has no row");
    assert_eq!(theirs[1], ["1", "a", "de", "'=1+1"]);
    assert_eq!(theirs[2], ["2", "b", "en, us", ""]);
    assert_eq!(theirs[3], ["10", "c", "fr", "q\"x\ny"]);
    assert_eq!(theirs[4], ["3", "d", "de", "-5"]);
    let lines = place.stride(&["export", "--all", "--where", "name!=e", "--format", "jsonl"]);
    let lines = String::from_utf8(lines.expect(0).stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["lang"], &lines[0]["=x"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(
        (&lines[3]["id"], &lines[3]["=x"]),
        (&json!("10"), &json!("q\"x\ny"))
    );
    // A JSON object has results only.
    let object = place
        .stride(&["export", "--partial", "--where", "name!=e"])
        .expect(0)
        .json();
    assert_eq!(object["d"], json!([1, 2]));
}

#[test]
fn names_that_collide_get_a_prefix() {
    let api = FakeApi::start(|_| Reply::json(r#"{"lang": "de", "status": "fine"}"#));
    let place = Place::new();
    place.write("a", "a");
    let run = |db: &str, header: &str| {
        place.write("list.csv", format!("{header}\na,1,2\n"));
        let words = [
            "run",
            "--db",
            db,
            "--url",
            &api.url(),
            "--files-from",
            "list.csv",
            "--list-format",
            "csv",
        ];
        place.stride(&words).expect(0);
        csv(&place, &["--db", db, "--flatten"])[0].clone()
    };
    for (db, header, expected) in [
        (
            "1.db",
            "path,x,y",
            "result.lang,result.status,path_bytes,path,x,y",
        ),
        (
            "2.db",
            "file,x,y",
            "result.lang,result.status,path_bytes,col.file,col.x,col.y",
        ),
        // Some readers ignore the case of names.
        (
            "3.db",
            "path,Status,",
            "result.lang,result.status,path_bytes,col.path,col.Status,col.",
        ),
    ] {
        assert_eq!(run(db, header)[8..].join(","), expected);
    }
    let words = ["--db", "2.db", "--columns", "result.lang,col.y,file"];
    assert_eq!(
        csv(&place, &words),
        [["result.lang", "col.y", "file"], ["de", "2", "a"]]
    );
    place.write("list.csv", "path,x,x\na,1,2\n");
    let words = [
        "run",
        "--db",
        "4.db",
        "--url",
        &api.url(),
        "--files-from",
        "list.csv",
        "--list-format",
        "csv",
    ];
    place
        .stride(&words)
        .expect(2)
        .says("has the column `x` twice");
    assert!(!place.at("4.db").exists());
}

#[test]
fn columns_are_named_with_their_prefix() {
    let (_api, place) = table();
    let words = ["--partial", "--columns", "col.lang,file,result.score"];
    let found = csv(&place, &words);
    assert_eq!(found[0], ["lang", "file", "score"]);
    assert_eq!(found[2], ["de", "a", "0.50"]);
    assert_eq!(found[4], ["de", "d", ""]);
    // Without the prefix, a name must have one meaning.
    let found = csv(&place, &["--partial", "--columns", "id,file,status"]);
    assert_eq!(found[0], ["id", "file", "status"]);
    assert_eq!(found[2], ["1", "a", "200"]);
    let words = ["export", "--partial", "--format", "csv", "--columns", "id"];
    place
        .stride(&[&words[..], &["--extract", "{id: 7}"]].concat())
        .expect(2)
        .says("error: `id` is a column of the list and a field of the results\n")
        .says("hint: use col.id or result.id\n");
    let words = [
        "export",
        "--all",
        "--format",
        "csv",
        "-o",
        "out.csv",
        "--columns",
    ];
    let refused = |columns: &str, says: &str| {
        place
            .stride(&[&words[..], &[columns]].concat())
            .expect(2)
            .says(says);
        assert!(!place.at("out.csv").exists());
    };
    refused("file,label", "error: `label` is a field of the results\n");
    refused("file,label", "hint: use result.label for it\n");
    refused(
        "file,col.nope",
        "there is no column `col.nope`, only `col.id`, `col.path`, `col.lang`, `col.=x`",
    );
    refused(
        "file,result.nope",
        "no column `result.nope`, only `result.label`, `result.score`",
    );
    let extract = ["--columns", "label", "--extract", ".score?"];
    place
        .stride(&[&["export", "--format", "csv"], &extract[..]].concat())
        .expect(2)
        .says("error: `label` is a field of the answers, of which --extract exports another part\n")
        .says("hint: use result.label with --raw, or the column result\n");
    refused("file,sate", "(did you mean `state`?)");
    refused("file,file", "the column `file` is repeated");
    for (columns, hint) in [
        ("col.id,result.label", "hint: leave out --flatten"),
        (
            "file",
            "hint: add result to --columns, or leave out --flatten",
        ),
    ] {
        let words = [
            "export",
            "--format",
            "csv",
            "--flatten",
            "--columns",
            columns,
        ];
        place.stride(&words).expect(2).says(hint);
    }
    for (term, hint) in [
        ("lang=de", "use 'col.lang=de' for a column of the list"),
        ("score > 3", "use 'col.score> 3' for a column of the list"),
        ("file~a*", "use 'name~a*' for the file's name"),
        ("Stat=done", "hint: use state=failed,held\n"),
        (
            "result.label=x",
            "stride export --format jsonl | jq -c 'select(.result.label == ",
        ),
        ("name~[a", "hint: use 'name~[[]a' for the [ itself\n"),
        ("name~a[]x", "hint: use 'name~a[[]]x' for the [ itself\n"),
        ("name!~a", "hint: use 'name!~*a*' for what contains it\n"),
        (
            "col.\"a~*\"~de",
            "hint: use 'col.\"a~*\"~*de*' for what contains it\n",
        ),
    ] {
        place
            .stride(&["export", "--where", term])
            .expect(2)
            .says(hint);
    }
}

#[test]
fn expressions_and_terms_see_the_columns_of_the_list() {
    let (_api, place) = table();
    let extract = [
        "export",
        "--where",
        "col.lang=de",
        "--extract",
        "{l: $col.lang, id: $col[\"id\"]}",
    ];
    let object = place.stride(&extract).expect(0).json();
    let expected = json!({"a": {"l": "de", "id": "1"}, "d": {"l": "de", "id": "3"}});
    assert_eq!(object, expected);
    let names = |term: &str| -> Vec<String> {
        let found = csv(&place, &["--all", "--columns", "file", "--where", term]);
        found[1..].iter().map(|row| row[0].clone()).collect()
    };
    assert_eq!(names("$col.lang == \"de\""), ["a", "d"]);
    assert_eq!(names("col.lang=\"en, us\",fr"), ["b", "c"]);
    assert_eq!(
        names("col.id>=4"),
        ["c", "e"],
        "numbers are ordered as numbers"
    );
    assert_eq!(names("col.lang~?e"), ["a", "d"]);
    assert_eq!(names("col.lang=\"\""), ["e"]);
    assert_eq!(names("col.lang!=de,fr"), ["bystander.txt", "b", "e"]);
    assert_eq!(names("col.\"=x\"=-5"), ["d"]);
    for words in [["--where", "col.nope=1"], ["--extract", "$col.nope"]] {
        let words = [&["export", "--partial", "-o", "out.json"], &words[..]].concat();
        place
            .stride(&words)
            .expect(2)
            .says("there is no column `col.nope`, only `col.id`");
        assert!(!place.at("out.json").exists());
    }
    place
        .stride(&["recheck", "--success", "$col.nope"])
        .expect(2)
        .says("there is no column `col.nope`, only `col.id`");
    place
        .stride(&["recheck", "--success", "$col.lang != \"de\""])
        .expect(0)
        .says("done -> failed: 2 files");
}

#[test]
fn a_result_is_judged_beside_its_row() {
    let api = FakeApi::start(|_| Reply::json(r#"{"lang": "de"}"#));
    let place = Place::new();
    place.write(
        "list.jsonl",
        "{\"path\":\"a\",\"lang\":\"de\"}\n{\"path\":\"b\",\"lang\":\"en\"}\n",
    );
    let words = [
        "run",
        "--url",
        &api.url(),
        "--data",
        "{col.lang}",
        "--files-from",
        "list.jsonl",
        "--list-format",
        "jsonl",
        "--success",
        ".lang == $col.lang",
        "--extract",
        "{want: $col.lang, got: .lang}",
    ];
    place
        .stride(&words)
        .expect(3)
        .says("is not true of the answer");
    let object = place.stride(&["export", "--partial"]).expect(0).json();
    assert_eq!(object, json!({"a": {"want": "de", "got": "de"}}));
    let words = ["recheck", "--success", ".lang != $col.lang", "--apply"];
    place.stride(&words).expect(0);
    let object = place.stride(&["export", "--partial"]).expect(0).json();
    assert_eq!(object, json!({"b": {"want": "en", "got": "de"}}));
}

#[test]
fn fields_of_results_become_columns() {
    let (_api, place) = table();
    let found = csv(
        &place,
        &["--all", "--flatten", "--columns", "file,result,error"],
    );
    let expected = [
        "file", "label", "score", "ok", "'=n", "o", "result", "error",
    ];
    assert_eq!(found[0], expected);
    assert_eq!(found[2], ["a", "'=1+1", "0.50", "true", "", "", "", ""]);
    let refusal = "HTTP 422 Unprocessable Entity: too short";
    assert_eq!(found[4], ["c", "", "", "", "", "", "", refusal]);
    assert_eq!(found[5], ["d", "", "", "", "", "", "[1, 2]", ""]);
    assert_eq!(
        found[6],
        ["e", "\"\\ud800\"", "", "", "7", "{\"p\": 1}", "", ""]
    );
    // Without other results, they have no column.
    let words = ["--partial", "--flatten", "--where", "name!=d", "--extract"];
    let found = csv(
        &place,
        &[&words[..], &["{label, lang: $col.lang}"]].concat(),
    );
    let header = found[0].join(",");
    assert!(
        header.contains(",duration,result.label,result.lang,path_bytes,id,path,lang,"),
        "{header}"
    );
    let lines = [
        "export",
        "--partial",
        "--flatten",
        "--format",
        "jsonl",
        "--where",
        "name=a",
    ];
    let line = place.stride(&lines).expect(0).json();
    assert_eq!((&line["score"], &line["ok"]), (&json!(0.5), &json!(true)));
    assert!(line.get("result").is_none(), "{line}");
    for (words, says) in [
        (&["--flatten"][..], "--flatten needs a table format"),
        (
            &["--flatten", "--format", "csv", "--columns", "file"],
            "which --columns leaves out",
        ),
    ] {
        let words = [&["export", "--all"], words].concat();
        place.stride(&words).expect(2).says(says);
    }
}

#[test]
fn fields_and_columns_have_types_in_parquet() {
    let (_api, place) = table();
    let file = place.at("t.parquet");
    let words = ["export", "--all", "--flatten", "-o", "t.parquet"];
    place
        .stride(&words)
        .expect(0)
        .says("wrote 5 results and 1 failure");
    let file = fs::File::open(file).unwrap();
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(file).unwrap();
    let reader = &reader as &dyn parquet::file::reader::FileReader;
    let schema = reader.metadata().file_metadata().schema();
    let types: Vec<String> = schema
        .get_fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.get_physical_type()))
        .collect();
    assert_eq!(
        types[8..],
        [
            "label BYTE_ARRAY",
            "score DOUBLE",
            "ok BOOLEAN",
            "=n INT64",
            "o BYTE_ARRAY",
            "result BYTE_ARRAY",
            "path_bytes BYTE_ARRAY",
            "media_type BYTE_ARRAY",
            "result_type BYTE_ARRAY",
            "result_bytes BYTE_ARRAY",
            "id BYTE_ARRAY",
            "path BYTE_ARRAY",
            "lang BYTE_ARRAY",
            "=x BYTE_ARRAY",
        ]
    );
    let rows: Vec<String> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| row.unwrap().to_string())
        .collect();
    let parts = ["label: \"=1+1\"", "score: 0.5", "ok: true", "=n: null"];
    assert!(
        parts.iter().all(|part| rows[1].contains(part)),
        "{}",
        rows[1]
    );
    assert!(
        rows[3].contains(
            "=x: \"q\"x
y\""
        ),
        "{}",
        rows[3]
    );
}
