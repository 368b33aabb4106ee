//! `--pool`: several keys and addresses.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::Place;
use crate::support::{FakeApi, Logged, Reply};

const KEYS: [&str; 3] = [
    "sk-anna-0a1b2c3d4e5f",
    "sk-bob-6a7b8c9d0e1f",
    "sk-carl-2a3b4c5d6e7f",
];
/// The request's credential.
const BEARER: [&str; 4] = [
    "--pool",
    "keys.csv",
    "-H",
    "Authorization: Bearer {pool.key}",
];

fn key(call: &Logged) -> &str {
    let header = call.request.header("authorization").unwrap();
    header.strip_prefix("Bearer ").unwrap()
}

/// Answers with 401 for these keys, and quotes them.
fn api(revoked: &'static [&'static str]) -> FakeApi {
    FakeApi::start(move |request| {
        let given = request.header("authorization").unwrap_or_default();
        match revoked.iter().find(|key| given.ends_with(**key)) {
            Some(key) => Reply::json(json!({"error": format!("revoked: {key}")})).with_status(401),
            None => Reply::json(1),
        }
    })
}

/// A place with a pool of three keys.
fn place() -> Place {
    let place = Place::new();
    let rows = ["anna", "bob", "carl"].iter().zip(KEYS);
    let rows: String = rows.map(|(name, key)| format!("{name},{key}\n")).collect();
    place.write("keys.csv", format!("name,key\n{rows}"));
    place
}

/// Checks that no value of the pool is in any file but the pool itself.
#[track_caller]
fn no_key_is_written(place: &Place) {
    fn look(folder: &Path, seen: &mut usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, seen);
            } else if path.file_name().unwrap() != "keys.csv" {
                let bytes = fs::read(&path).unwrap();
                *seen += 1;
                for key in KEYS {
                    let found = bytes
                        .windows(key.len())
                        .any(|bytes| bytes == key.as_bytes());
                    assert!(!found, "{key} is in {}", path.display());
                }
            }
        }
    }
    let mut seen = 0;
    look(&place.at(""), &mut seen);
    assert!(seen > 3, "{seen} files");
}

#[test]
fn row_170_a_revoked_key_ends_its_lane_and_the_others_call_its_files() {
    let place = place();
    let api = api(&[KEYS[1]]);
    let bystander = place.with_bystander(&api.url());
    place.texts(60);
    let url = api.url();
    let words = [
        &[
            "run",
            "--db",
            "new.db",
            "--events",
            "events.jsonl",
            "-j",
            "6",
            "--url",
            &url,
        ][..],
        &BEARER,
        &["texts"],
    ]
    .concat();
    let ran = place.stride(&words).expect(0);
    let ran = ran
        .says("pool: 3 lanes")
        .says("lane 2 (bob): ")
        .says("2 lanes left");
    place.write("stderr.txt", &ran.stderr);
    let status = place.stride(&["status", "--db", "new.db", "--json"]).json();
    assert_eq!(status["done"], 60);
    assert_eq!(status["lanes"][1]["name"], "bob");
    assert_eq!(status["lanes"][1]["stopped"], "credentials");
    assert_eq!(status["lanes"][0]["stopped"], Value::Null);
    let results = |lane: usize| status["lanes"][lane]["results"].as_u64().unwrap();
    assert_eq!((results(0) + results(2), results(1)), (60, 0));
    assert!(results(0) > 10 && results(2) > 10, "{status}");
    place.stride(&["status", "--db", "new.db"]).expect(0);
    let events = fs::read_to_string(place.at("events.jsonl")).unwrap();
    let events = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<Value> = events.collect();
    let stopped: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "lane_stopped")
        .collect();
    assert_eq!(stopped.len(), 1);
    let fields = ["lane", "lane_name", "reason", "left"].map(|field| &stopped[0][field]);
    assert_eq!(
        fields,
        [&json!(2), &json!("bob"), &json!("credentials"), &json!(2)]
    );
    let settled = events
        .iter()
        .filter(|event| event["outcome"] == "succeeded");
    let lanes: HashSet<String> = settled
        .map(|event| event["lane_name"].to_string())
        .collect();
    assert_eq!(lanes, ["\"anna\"", "\"carl\""].map(str::to_owned).into());
    place
        .stride(&["export", "--db", "new.db", "-o", "out.json"])
        .expect(0);
    place
        .stride(&["report", "--db", "new.db", "-o", "report.html"])
        .expect(0);
    let report = fs::read_to_string(place.at("report.html")).unwrap();
    assert!(report.contains("Lanes of the pool") && report.contains("carl"));
    place.stride(&["verify", "--db", "new.db"]).expect(0);
    no_key_is_written(&place);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_171_the_run_stops_when_no_lane_is_left_with_the_reasons_of_all() {
    let place = place();
    let api = api(&KEYS);
    place.texts(40);
    let url = api.url();
    let words = [&["run", "-j", "6", "--url", &url][..], &BEARER, &["texts"]].concat();
    let ran = place.stride(&words).expect(4);
    for lane in [
        "lane 1 (anna): HTTP 401",
        "lane 2 (bob): HTTP 401",
        "lane 3 (carl): HTTP 401",
    ] {
        assert!(
            ran.stderr.contains(lane),
            "{lane} is not in:\n{}",
            ran.stderr
        );
    }
    place.write("stderr.txt", &ran.stderr);
    assert_eq!(place.status()["pending"], 40);
    no_key_is_written(&place);
}

#[test]
fn row_172_a_repeat_after_doubt_goes_to_the_key_of_the_first_send() {
    let place = place();
    let hangs = FakeApi::start(|request| match request.attempt {
        0 if request.target != "/bystander.txt" => Reply::hang(),
        _ => Reply::json(1),
    });
    let bystander = place.with_bystander(&format!("{}/{{name}}", hangs.url()));
    place.texts(9);
    let url = format!("{}/{{name}}", hangs.url());
    let words = [
        &["run", "--db", "new.db", "-j", "9", "--url", &url][..],
        &BEARER,
        &["texts"],
    ]
    .concat();
    let running = place.begin(&words);
    hangs.wait_for(10);
    running.kill();
    // Rows may be reordered: they are known by their names.
    let text = fs::read_to_string(place.at("keys.csv")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    place.write("keys.csv", lines.join("\n"));
    place.stride(&["resume", "--db", "new.db"]).expect(0);
    let mut keys: HashMap<String, Vec<String>> = HashMap::new();
    for call in hangs
        .log()
        .iter()
        .filter(|call| call.target != "/bystander.txt")
    {
        keys.entry(call.target.clone())
            .or_default()
            .push(key(call).to_owned());
    }
    assert_eq!(keys.len(), 9);
    for (target, keys) in &keys {
        assert_eq!((keys.len(), &keys[0]), (2, &keys[1]), "{target}");
    }
    let used: HashSet<&String> = keys.values().map(|keys| &keys[0]).collect();
    assert_eq!(used.len(), 3);
    place.stride(&["verify", "--db", "new.db"]).expect(0);
    no_key_is_written(&place);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_173_a_file_whose_row_is_gone_is_held_until_it_is_submitted_anew() {
    let place = place();
    place.write("keys.csv", format!("name,key\nanna,{}\n", KEYS[0]));
    let hangs = FakeApi::start(|request| match request.attempt {
        0 => Reply::hang(),
        _ => Reply::json(1),
    });
    place.write("a", "a");
    let url = hangs.url();
    let words = [&["run", "--url", &url][..], &BEARER, &["a"]].concat();
    let running = place.begin(&words);
    hangs.wait_for(1);
    running.kill();
    place.write("keys.csv", format!("name,key\nbob,{}\n", KEYS[1]));
    let ran = place.stride(&["resume"]).expect(3);
    ran.says("1 file held, because the pool has no row any more for the account that knows it");
    let failures = place.stride(&["failures"]);
    let said = String::from_utf8(failures.stdout).unwrap() + &failures.stderr;
    assert!(
        said.contains("the pool has no row for lane 1 (anna), which sent it"),
        "{said}"
    );
    assert_eq!(hangs.requests(), 1);
    place.stride(&["retry", "--held"]).expect(0);
    let log = hangs.log();
    assert_eq!(key(&log[1]), KEYS[1]);
    assert_ne!(log[0].key, log[1].key);
    let lanes = place.sql("SELECT number, lane FROM attempt ORDER BY number");
    assert_eq!(lanes, [["1", "1"], ["2", "2"]]);
    no_key_is_written(&place);
}

#[test]
fn addresses_and_keys_come_from_one_row() {
    let place = Place::new();
    let [one, two] = [
        FakeApi::start(|_| Reply::json(1)),
        FakeApi::start(|_| Reply::json(2)),
    ];
    place.texts(12);
    let pool = format!(
        "url,key\n{},{}\n{}/v1,{}\n",
        one.url(),
        KEYS[0],
        two.url(),
        KEYS[1]
    );
    let ran = place.stride_with(
        &[("POOL", &pool)],
        &[
            "run",
            "-j",
            "4",
            "--url",
            "{pool.url}/{name}",
            "--pool",
            "env:POOL",
            "-H",
            "X-Key: {pool.key}",
            "texts",
        ],
    );
    ran.expect(0);
    for (api, key, prefix) in [(&one, KEYS[0], "/"), (&two, KEYS[1], "/v1/")] {
        let log = api.log();
        assert!(log.len() > 2, "{}", log.len());
        for call in &log {
            assert_eq!(call.request.header("x-key"), Some(key));
            assert!(call.target.starts_with(prefix), "{}", call.target);
        }
    }
    let lanes = place.status()["lanes"].clone();
    assert_eq!(
        (&lanes[0]["lane"], &lanes[0]["name"]),
        (&json!(1), &Value::Null)
    );
    no_key_is_written(&place);
}

#[test]
fn a_pool_with_a_slip_is_refused_before_any_call() {
    let place = place();
    let api = api(&[]);
    place.write("a", "a");
    place.write("twice.csv", "name,key\na,k1\na,k2\n");
    place.write("same.csv", "k1\nk1\n");
    place.write("empty.csv", "name,key\n");
    place.write("plain.csv", format!("{},x\n{},y\n", KEYS[0], KEYS[1]));
    place.write("gap.csv", "name,key\nanna,k1\nbob,\n");
    let run = |pool: &str, header: &str| {
        let mut words = vec!["run", "--url"];
        let url = api.url();
        words.extend([url.as_str(), "-H", header]);
        if !pool.is_empty() {
            words.extend(["--pool", pool]);
        }
        words.push("a");
        place.stride(&words).expect(2)
    };
    let bearer = "Authorization: Bearer {pool.key}";
    run("", bearer)
        .says("{pool.key}: no pool is given")
        .says("hint: use --pool FILE");
    run("keys.csv", "Authorization: Bearer {pool.token}").says("it has name, key");
    run("missing.csv", bearer).says("missing.csv cannot be used");
    run("env:NOT_SET", bearer).says("the variable is not set");
    run("twice.csv", bearer).says("two rows have the name a");
    run("same.csv", bearer).says("rows 1 and 2 are the same");
    run("empty.csv", bearer).says("it has no row");
    run("gap.csv", bearer).says("row 2 of the pool has no value for it");
    let ran = run("plain.csv", bearer).says("its first line does not name its columns");
    assert!(!ran.stderr.contains(KEYS[0]), "{}", ran.stderr);
    assert_eq!(api.requests(), 0);
    place.write(
        "more.csv",
        format!("name,key,org\nanna,{},org-1\n", KEYS[0]),
    );
    let ran = place.stride(&[
        "run",
        "--url",
        &api.url(),
        "-H",
        bearer,
        "--pool",
        "more.csv",
        "a",
    ]);
    ran.expect(0)
        .says("note: the request does not use the pool's column `org`");
}

#[test]
fn a_database_of_another_person_reads_no_pool_unasked() {
    let place = place();
    let api = api(&[]);
    place.texts(2);
    let url = api.url();
    let words = [
        &["run", "--max-calls", "1", "--url", &url][..],
        &BEARER,
        &["texts"],
    ]
    .concat();
    place.stride(&words).expect(4);
    fs::remove_dir_all(place.at(".home")).unwrap();
    let request = place.stride(&["status", "--request"]).expect(0).stdout;
    let request = String::from_utf8(request).unwrap();
    assert!(request.contains("keys.csv"), "{request}");
    let ran = place.stride(&["resume", "--max-calls", "none"]).expect(2);
    ran.says("the request sends the content of the file")
        .says("--allow-references");
    assert_eq!(api.requests(), 1);
    place
        .stride(&["resume", "--max-calls", "none", "--allow-references"])
        .expect(0);
}

#[test]
fn workers_and_commands_get_the_row_of_the_call() {
    let place = place();
    place.texts(4);
    place.write(
        "worker.py",
        "import json, sys\nfor line in sys.stdin:\n    m = json.loads(line)\n    if m['t'] == 'hello': print(json.dumps({'t': 'hello', 'width': 4}), flush=True)\n    elif m['t'] == 'call': print(json.dumps({'t': 'done', 'id': m['id'], 'json': m['pool']['name'] + ' ' + str(len(m['pool']['key']))}), flush=True)\n    else: break\n",
    );
    let shell = "printf '\"%s %s\"' \"$STRIDE_POOL_NAME\" \"${#STRIDE_POOL_KEY}\"";
    for (db, way, command) in [
        ("w.db", "--worker", "python3 worker.py"),
        ("e.db", "--exec-shell", shell),
    ] {
        place
            .stride(&[
                "run", "--db", db, "-j", "3", "--pool", "keys.csv", way, command, "texts",
            ])
            .expect(0);
        place
            .stride(&["export", "--db", db, "-o", "out.json"])
            .expect(0);
        let out = fs::read_to_string(place.at("out.json")).unwrap();
        assert!(out.contains(&format!("anna {}", KEYS[0].len())), "{out}");
        assert!(out.contains(&format!("carl {}", KEYS[2].len())), "{out}");
        fs::remove_file(place.at("out.json")).unwrap();
    }
    no_key_is_written(&place);
}

/// A service whose accounts know only their own jobs. Each job is ready at its third poll.
fn submits() -> FakeApi {
    let owners = Mutex::new(HashMap::new());
    FakeApi::start(move |request| {
        let key = request.header("authorization").unwrap_or_default();
        let mut owners = owners.lock().unwrap();
        if request.target == "/jobs" {
            let id = owners.len().to_string();
            owners.insert(id.clone(), key.to_owned());
            return Reply::json(json!({ "id": id }));
        }
        let id = request.target.strip_prefix("/jobs/").unwrap();
        match owners.get(id) {
            Some(owner) if owner == key => Reply::json(json!({"done": request.attempt >= 2})),
            _ => Reply::json("unknown").with_status(404),
        }
    })
}

/// The words of a run at such a service, with rows for its keys.
fn polls(url: &str) -> Vec<String> {
    let words = [
        "run",
        "--db",
        "new.db",
        "-j",
        "4",
        "--pool",
        "keys.csv",
        "--poll-every",
        "30ms",
        "--url",
        &format!("{url}/jobs"),
        "-H",
        "Authorization: Bearer {pool.key}",
        "--then",
        &format!("{url}/jobs/{{answer.id}}"),
        "--poll-until",
        ".done",
        "texts",
    ];
    words.map(str::to_owned).into()
}

#[test]
fn every_later_request_goes_to_the_key_of_the_first() {
    let place = place();
    let (other, api) = (FakeApi::start(|_| Reply::json(1)), submits());
    let bystander = place.with_bystander(&other.url());
    place.texts(12);
    let words = polls(&api.url());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let running = place.begin(&words);
    // Some are submitted, and some polled.
    api.wait_for(16);
    running.kill();
    place.stride(&["resume", "--db", "new.db"]).expect(0);
    let log = api.log();
    assert!(log.iter().all(|call| call.status != Some(404)));
    let keys: HashSet<&str> = log.iter().map(key).collect();
    assert_eq!(keys.len(), 3);
    let attempts = "SELECT count(DISTINCT lane) FROM attempt GROUP BY job";
    let connection = rusqlite::Connection::open(place.at("new.db")).unwrap();
    let mut statement = connection.prepare(attempts).unwrap();
    let lanes: Vec<i64> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(lanes, [1; 12]);
    place.stride(&["verify", "--db", "new.db"]).expect(0);
    no_key_is_written(&place);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_173_a_submitted_file_whose_row_is_gone_is_submitted_anew_on_demand() {
    let place = place();
    let api = submits();
    place.texts(6);
    let words = polls(&api.url());
    let words = words.iter().map(|word| match word.as_str() {
        "30ms" => "1h",
        word => word,
    });
    let words: Vec<&str> = words.chain(["--submit-only"]).collect();
    place.stride(&words).expect(75);
    let submitted = place.stride(&["status", "--db", "new.db", "--json"]).json();
    assert_eq!(submitted["waiting"], 6);
    let connection = rusqlite::Connection::open(place.at("new.db")).unwrap();
    let files = "SELECT count(DISTINCT job) FROM attempt WHERE lane = 1";
    let gone: u64 = connection.query_row(files, [], |row| row.get(0)).unwrap();
    drop(connection);
    assert!((1..6).contains(&gone), "{submitted}");
    let rows = ["bob", "carl"].iter().zip(&KEYS[1..]);
    let rows: String = rows.map(|(name, key)| format!("{name},{key}\n")).collect();
    place.write("keys.csv", format!("name,key\n{rows}"));
    place
        .stride(&["resume", "--db", "new.db", "--submit-only"])
        .expect(75);
    let held = place.stride(&["status", "--db", "new.db", "--json"]).json();
    assert_eq!(
        (&held["held"], &held["waiting"]),
        (&json!(gone), &json!(6 - gone))
    );
    let again = place.stride(&["retry", "--held", "--db", "new.db", "--submit-only"]);
    again.expect(75);
    let submissions = api
        .log()
        .iter()
        .filter(|call| call.target == "/jobs")
        .count() as u64;
    assert_eq!(submissions, 6 + gone);
    place.stride(&["verify", "--db", "new.db"]).expect(0);
    no_key_is_written(&place);
}

#[test]
fn what_a_program_repeats_of_the_pool_is_masked() {
    let place = place();
    place.texts(3);
    place.write(
        "worker.py",
        "import json, sys\nfor line in sys.stdin:\n    m = json.loads(line)\n    if m['t'] == 'hello': print(json.dumps({'t': 'hello'}), flush=True)\n    elif m['t'] == 'call':\n        print('called with', m['pool']['key'], file=sys.stderr, flush=True)\n        print(json.dumps({'t': 'fail', 'id': m['id'], 'class': 'rejected', 'message': 'no: ' + m['pool']['key'], 'body': m['pool']['key']}), flush=True)\n    else: break\n",
    );
    let shell = "echo \"no: $STRIDE_POOL_KEY\" >&2; exit 1";
    for (db, way, command) in [
        ("w.db", "--worker", "python3 worker.py"),
        ("e.db", "--exec-shell", shell),
    ] {
        let call = ["--retries", "0", "--pool", "keys.csv", way, command];
        let words = [&["run", "--db", db][..], &call, &["texts"]].concat();
        let ran = place.stride(&words).expect(3);
        let tried = place.stride(&[&["try"][..], &call[2..], &["texts/0000"]].concat());
        for (number, ran) in [ran, tried].iter().enumerate() {
            assert!(ran.stderr.contains("[redacted]"), "{}", ran.stderr);
            place.write(
                format!("{db}.{number}.txt"),
                [ran.stderr.as_bytes(), &ran.stdout].concat(),
            );
        }
        let failures = place.stride(&["failures", "--db", db]);
        let said = String::from_utf8(failures.stdout).unwrap();
        assert!(said.contains("no: [redacted]"), "{said}");
    }
    no_key_is_written(&place);
}
