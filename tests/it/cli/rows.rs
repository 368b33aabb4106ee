//! Rows of tables: their names, their files, and the columns that requests use.

use serde_json::{Value, json};

use super::names::echo;
use super::{Place, listed};

const LIST: &str = "id,path,lang\n1,in/a,de\n2,in/a,en\n3,in/b,de\n";

fn place() -> Place {
    let place = Place::new();
    place.write("in/a", "a");
    place.write("in/b", "b");
    place.write("list.csv", LIST);
    place
}

#[test]
fn a_name_with_other_columns_is_refused_with_both_lines() {
    let api = echo();
    let url = api.url();
    let place = place();
    place.write(
        "same.csv",
        "path,n\nin/a,1\n\"in/b\",\"2\n2\"\nin/a,1\nin/b,\"2\n2\"\n",
    );
    place.write("other.csv", "path,n\nin/b,2\n");
    place.write(
        "rows.jsonl",
        "{\"path\":\"in/a\"}\n\n{\"path\":\"in/a\",\"n\":1}\n",
    );
    place.write("rows", "in/a\nin/a\n");
    place.write("spelled.csv", "path,n\nin/a,1\n./in/a,1\n");
    let before = listed(&place.at(""));
    let cases = [
        (
            &["--files-from", "list.csv"][..],
            "lines 2 and 3 of the list list.csv have the name in/a",
        ),
        (
            &["--files-from", "list.csv", "--key-column", "lang"],
            "lines 2 and 4 of the list list.csv have the name de",
        ),
        (
            &[
                "--files-from",
                "rows",
                "--files-from",
                "same.csv",
                "--files-from",
                "other.csv",
            ],
            "line 3 of the list same.csv and line 2 of the list other.csv have the name in/b",
        ),
        (
            &["--files-from", "rows.jsonl"],
            "lines 1 and 3 of the list rows.jsonl",
        ),
        (
            &["--dry-run", "--files-from", "list.csv"],
            "lines 2 and 3 of the list list.csv",
        ),
    ];
    let check = |words: &[&str], said: &str| {
        place
            .stride(&[&["run", "--url", &url], words].concat())
            .expect(2)
            .says(said)
            .says("with different columns")
            .says("note: nothing was changed")
            .says("hint: use --key-column");
    };
    let spelled = "note: ./in/a and in/a are one file, but rows that spell it differently have different columns";
    for words in [
        &["--files-from", "spelled.csv"][..],
        &["--dry-run", "--files-from", "spelled.csv"],
    ] {
        check(words, spelled);
    }
    for (words, said) in cases {
        check(words, said);
        assert_eq!(listed(&place.at("")), before, "{words:?}");
    }
    let ran = place.stride_reading(
        &[
            "run",
            "--url",
            &url,
            "--list-format",
            "csv",
            "--files-from",
            "-",
        ],
        LIST.as_bytes(),
    );
    ran.expect(2)
        .says("lines 2 and 3 of the list on standard input");
    // Equal rows are one, and a bare name has nothing against a row.
    place
        .stride(&["run", "--url", &url, "in/a", "--files-from", "same.csv"])
        .expect(0)
        .says("2 files; 3 duplicates collapsed");
    let fields = place
        .sql("SELECT fields FROM columns ORDER BY job")
        .concat();
    assert_eq!(
        fields,
        [
            r#"{"path":"in/a","n":"1"}"#,
            r#"{"path":"in/b","n":"2\n2"}"#
        ]
    );
    // The run exists and its files are done: the verdict is the same.
    for (words, said) in cases {
        check(words, said);
    }
    assert_eq!(api.requests(), 2);
    let kept = place
        .sql("SELECT fields FROM columns ORDER BY job")
        .concat();
    assert_eq!(kept, fields);
    // No call uses the columns, so a done file gets another row.
    place
        .stride(&["run", "--url", &url, "--files-from", "other.csv"])
        .expect(0);
    let changed = place
        .sql("SELECT fields FROM columns ORDER BY job")
        .concat();
    assert_ne!(changed, fields);
    place.stride(&["verify"]).expect(0);
}

#[test]
fn several_columns_or_the_line_name_rows() {
    let api = echo();
    let place = place();
    let url = format!("{}/{{col.lang}}", api.url());
    let files = ["--files-from", "list.csv", "--key-column"];
    let run = |db: &str, key: &str, more: &[&str]| {
        let words = ["run", "--db", db, "--url", &url];
        place.stride(&[&words[..], &files, &[key], more].concat())
    };
    let results = |db: &str| place.stride(&["export", "--db", db]).expect(0).json();
    let answer = |target: &str, body: &str| json!({"target": target, "body": body});
    let expected = [("/de", "a"), ("/en", "a"), ("/de", "b")];
    let expected = expected.map(|(target, body)| answer(target, body));
    let named = |names: [&str; 3]| -> Value {
        let pairs = names.map(str::to_owned).into_iter().zip(expected.clone());
        Value::Object(pairs.collect())
    };
    for (db, key, names) in [
        ("two.db", "path,lang", ["in/a,de", "in/a,en", "in/b,de"]),
        ("line.db", "@line", ["2", "3", "4"]),
    ] {
        run(db, key, &[]).expect(0).says("list: 3 files");
        assert_eq!(results(db), named(names));
        run(db, key, &[])
            .expect(0)
            .says("3 files, none of them new");
    }
    assert_eq!(api.requests(), 6);
    // A wrong column among several is named.
    run("no.db", "path,lng", &[])
        .expect(2)
        .says("line 1 of the list list.csv has no column `lng`, only `id`, `path`, `lang`");
    // A column whose name has a comma is one column.
    place.write("list.csv", "\"path,lang\",path,lang\nx,in/a,de\n");
    run("no.db", "path,lang", &["--json", "{row}"]).expect(0);
    let row = r#"{"path,lang":"x","path":"in/a","lang":"de"}"#;
    assert_eq!(results("no.db"), json!({"x": answer("/de", row)}));
    // `try` finds the row of a name.
    let tried = place
        .stride(&["try", "in/a,en", "--db", "two.db"])
        .expect(0);
    assert_eq!(tried.json(), answer("/en", "a"));
    place.stride(&["verify", "--db", "two.db"]).expect(0);
}

#[test]
fn rows_need_no_path_and_ids_may_be_numbers() {
    let api = echo();
    let place = Place::new();
    let rows = [
        r#"{"id": 17, "q": 1.50, "o": {"a": [null]}}"#,
        r#"{"q":"\u00e9","id":"x"}"#,
        r#"{"id":false}"#,
    ];
    place.write("rows.jsonl", rows.join("\n"));
    let url = api.url();
    let run = |words: &[&str]| {
        let list = [
            "run",
            "-j",
            "1",
            "--url",
            &url,
            "--files-from",
            "rows.jsonl",
        ];
        place.stride(&[&list, words].concat())
    };
    run(&["--json", "{row}"])
        .expect(2)
        .says("line 1 of the list rows.jsonl has no column `path` or `file`")
        .says("--key-column @line");
    run(&["--key-column", "id", "--json", "{row}"]).expect(0);
    let bodies = || -> Vec<String> {
        let log = api.log();
        let bodies = log
            .iter()
            .map(|call| String::from_utf8_lossy(&call.body).into());
        bodies.collect()
    };
    assert_eq!(bodies(), rows);
    let keys = place.stride(&["export"]).expect(0).json();
    let mut keys: Vec<&String> = keys.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["17", "false", "x"]);
    let line = ["--db", "line.db", "--key-column", "@line"];
    let json = r#"{"row": {row}, "text": "{row}", "id": {col.id}}"#;
    run(&[&line[..], &["--json", json]].concat()).expect(0);
    let sent: Value = serde_json::from_str(&bodies()[3]).unwrap();
    let row: Value = serde_json::from_str(rows[0]).unwrap();
    assert_eq!(sent, json!({"row": row, "text": rows[0], "id": 17}));
    assert!(bodies()[3].contains(rows[0]), "every digit is kept");
    let keys = place.stride(&["export", "--db", "line.db"]).json();
    assert_eq!(keys["3"]["body"].as_str().unwrap(), bodies()[5]);
    // A row without a file cannot be sent as one.
    run(&["--db", "no.db", "--key-column", "@line"])
        .expect(2)
        .says("line 1 of the list rows.jsonl names no file, and the calls read one")
        .says("--json '{row}'");
    run(&["--db", "id.db", "--key-column", "id"])
        .expect(3)
        .says("the file is missing; if the row names none, --json '{row}' or --data 'x={col.NAME}' sends the row itself");
    assert!(!place.at("no.db").exists());
    assert_eq!(api.requests(), 6);
}

#[test]
fn an_unknown_column_is_refused_in_every_part_of_a_request() {
    let api = echo();
    let place = place();
    let url = api.url();
    place.write(
        "rows.jsonl",
        "{\"path\":\"in/a\",\"lang\":1}\n{\"path\":\"in/b\",\"b\":2}\n",
    );
    let before = listed(&place.at(""));
    let in_url = format!("{url}/{{col.lng}}");
    let curl = format!("curl {url}/{{col.lng}} -d @{{}}");
    let parts: [&[&str]; 12] = [
        &["--url", &in_url],
        &["--curl", &curl],
        &["--url", &url, "-H", "X-A: {col.lng}"],
        &["--url", &url, "-b", "a={col.lng}"],
        &["--url", &url, "-d", "a={col.lng}"],
        &["--url", &url, "--data-urlencode", "a={col.lng}"],
        &["--url", &url, "--json", "[{col.lng}]"],
        &["--url", &url, "-F", "a={col.lng}", "-F", "f=@{}"],
        &["--url", &url, "-F", "f=@{};filename={col.lng}"],
        &["--url", &url, "-F", "f=@{col.lng}"],
        &["--url", &url, "-G", "-d", "a={col.lng}"],
        &["--url", &url, "-T", "{col.lng}"],
    ];
    for list in ["list.csv", "rows.jsonl"] {
        let rows = ["--files-from", list, "--key-column", "@line"];
        for part in parts {
            let words = [&["run"], part, &rows].concat();
            place
                .stride(&words)
                .expect(2)
                .says("the request uses the column `lng`, which the list does not have")
                .says("caused by: its columns are `")
                .says("`lang`")
                .says("hint: use {col.lang}\n");
            assert_eq!(listed(&place.at("")), before, "{words:?}");
            let dry = [&words[..], &["--dry-run"]].concat();
            place.stride(&dry).expect(2).says("the column `lng`");
        }
    }
    // So are those of expressions.
    for (flag, expression) in [
        ("--success", ".a == $col.lng"),
        ("--extract", "{a: $col[\"lng\"]}"),
    ] {
        let rows = ["--files-from", "list.csv", "--key-column", "@line"];
        let words = [&["run", "--url", &url, flag, expression], &rows[..]].concat();
        place
            .stride(&words)
            .expect(2)
            .says(&format!(
                "{flag} uses the column `lng`, which the list does not have"
            ))
            .says("hint: use $col.lang\n");
        let dry = [&words[..], &["--dry-run"]].concat();
        place.stride(&dry).expect(2).says("the column `lng`");
        for words in [&["run", "in"][..], &["try", "in/a"]] {
            let words = [words, &["--url", &url, flag, expression]].concat();
            let ran = place.stride(&words).expect(2);
            ran.says(&format!("{flag} uses the column `lng`"));
        }
        assert_eq!(listed(&place.at("")), before);
    }
    // A list that is no table has no rows at all.
    for (part, used) in [("{col.lang}", "the column `lang`"), ("{row}", "{row}")] {
        let words = ["run", "--url", &url, "-d", part, "in"];
        place
            .stride(&words)
            .expect(2)
            .says(&format!("the request uses {used}"));
        assert_eq!(listed(&place.at("")), before);
    }
    assert_eq!(api.requests(), 0);

    // Expressions are not templates. A column that some rows have is needed of the others.
    let extract = ["--extract", "{row}", "--success", "{lng: 1} | .lng"];
    let json = [
        "run",
        "--url",
        &url,
        "--json",
        "[{col.lang}]",
        "--files-from",
        "rows.jsonl",
    ];
    place
        .stride(&[&json[..], &extract].concat())
        .expect(3)
        .says("1 row without the column `lang`, which the calls need, will fail")
        .says("the list gives this file no column `lang`");
    assert_eq!(api.requests(), 1);
    // The run exists: the same request on another list, and a name without a row.
    let words = [&json[..5], &extract, &["--files-from", "list.csv", "in/b"]].concat();
    place.stride(&words).expect(2).says("lines 2 and 3");
    let judged = ["--success", ".a == $col.lng", "in/a"];
    let words = [&["run", "--url", &url], &judged[..]].concat();
    place.stride(&words).expect(2).says("no column `col.lng`");
    let words = [&["try", "--url", &url], &judged[..]].concat();
    place.stride(&words).expect(2).says("no column `col.lng`");
    let words = [&json[..5], &extract, &["in/c"]].concat();
    place.write("in/c", "c");
    place
        .stride(&words)
        .expect(2)
        .says("in/c has no row, and the request uses the column `lang`");
    place.write("list.csv", "path\nin/c\n");
    let words = [&json[..5], &extract, &["--files-from", "list.csv"]].concat();
    place
        .stride(&words)
        .expect(2)
        .says("the column `lang`, which the list does not have");
    // Names that the run has already are not refused.
    let words = [&json[..5], &extract, &["in/a", "in/b"]].concat();
    place.stride(&words).expect(3).says("none of them new");
    assert_eq!(place.status()["total"], json!(2));
}

#[test]
fn words_in_braces_that_are_sent_as_they_are_are_told_if_a_column_or_placeholder_is_near() {
    let api = echo();
    let place = place();
    let url = api.url();
    let body = r#"{"a": "{path} {lang} {Lang} {{lang}} ${lang} {row.lang} {txt} {other}", "b": {"id": 1}}"#;
    let given = format!("curl {url} -d '{body}'");
    let form = "f={path} {lang} {Lang} {row.lang} {txt}";
    let requests: [&[&str]; 4] = [
        &["--url", &url, "--json", body],
        &["--url", &url, "-d", body],
        &["--url", &url, "-F", form],
        &["--curl", &given],
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let db = format!("{number}.db");
        let rows = [
            "--files-from",
            "list.csv",
            "--key-column",
            "@line",
            "--db",
            &db,
        ];
        let run = [&["run"], request, &rows].concat();
        let dry = [&run[..], &["--dry-run"]].concat();
        let one = [&["try", "2", "--db", &db], request].concat();
        for words in [&dry, &run, &one] {
            let ran = place.stride(words).expect(0);
            let column = "is sent as it is; the list's column is {col.lang}";
            let ran = ["lang", "Lang", "row.lang"].iter().fold(ran, |ran, word| {
                ran.says(&format!("note: `{{{word}}}` {column}\n"))
            });
            let told = ran.stderr.matches("is sent as it is").count();
            assert_eq!(told, 4, "{words:?}: {}", ran.stderr);
            ran.says("note: `{txt}` is sent as it is; did you mean {text}?\n");
        }
    }
    // Without a table, a word is no column.
    let ran = place.stride(&[
        "run",
        "--url",
        &url,
        "--json",
        r#"["{lang}", "{path}"]"#,
        "in",
    ]);
    assert!(!ran.expect(0).stderr.contains("as it is"));
}

#[test]
fn the_ending_of_a_list_states_its_format() {
    let api = echo();
    let place = place();
    let url = api.url();
    place.write("list.CSV", "path,n\nin/a,1\n");
    place.write("rows.ndjson", "{\"path\":\"in/b\"}\n");
    place.write("list.txt", "in/a\n");
    for (list, rows) in [("list.CSV", 1), ("rows.ndjson", 1), ("list.txt", 0)] {
        let db = format!("{list}.db");
        let words = ["run", "--db", &db, "--url", &url, "--files-from", list];
        place.stride(&words).expect(0).says("list: 1 file");
        let database = rusqlite::Connection::open(place.at(&db)).unwrap();
        let count = database.query_row("SELECT count(*) FROM columns", [], |row| row.get(0));
        assert_eq!(count, Ok(rows), "{list}");
    }
    // An explicit format counts.
    place.write("names.csv", "in/a\nin/b\n");
    let words = [
        "run",
        "--url",
        &url,
        "--files-from",
        "names.csv",
        "--list-format",
        "lines",
    ];
    place.stride(&words).expect(0).says("list: 2 files");
}
