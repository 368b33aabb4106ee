//! `--worker`: processes that stay. The worker of these tests does what the files say.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Place;
use crate::support::has_tool;

const OBEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/workers/obey.py");

/// Quick repeats.
const QUICK: [&str; 6] = ["--rate", "none", "--retry-delay", "1ms", "--retries", "1"];

/// The command of a worker with a width, which notes its calls in `log`.
fn obey(width: usize) -> String {
    format!("python3 {OBEY} {width} log")
}

fn run<'w>(worker: &'w str, more: &[&'w str]) -> Vec<&'w str> {
    [&["run", "--worker", worker], &QUICK[..], more].concat()
}

/// A place with a file that a worker of this width has done.
fn place(width: usize) -> Option<(Place, Vec<Vec<String>>)> {
    has_tool("python3").then(|| {
        let place = Place::new();
        place.write("bystander.txt", "done(json=1)");
        place
            .stride(&run(&obey(width), &["bystander.txt"]))
            .expect(0);
        let rows = place.bystander();
        (place, rows)
    })
}

/// The outcomes of each job's attempts: outcome, class, kind.
fn attempts(place: &Place) -> BTreeMap<String, Vec<String>> {
    let rows = place.sql(
        "SELECT path, outcome, class, kind FROM attempt JOIN job ON job.id = attempt.job
         WHERE path != 'bystander.txt' ORDER BY job.id, number",
    );
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let words = row[1..].join(" ");
        found
            .entry(row[0].clone())
            .or_default()
            .push(words.trim_end().to_owned());
    }
    found
}

fn exported(place: &Place) -> Value {
    place.stride(&["export", "--partial"]).expect(0).json()
}

/// The calls that the workers noted.
fn log(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.at("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The processes of workers in a place, with their command lines.
fn processes(place: &Place) -> Vec<(Pid, String)> {
    let here = place.at("").canonicalize().unwrap();
    let folders = fs::read_dir("/proc").unwrap().flatten();
    let of_place = folders.filter(|folder| {
        let link = fs::read_link(folder.path().join("cwd"));
        link.is_ok_and(|link| link == here)
    });
    let processes = of_place.filter_map(|folder| {
        let words = fs::read(folder.path().join("cmdline")).ok()?;
        let pid = Pid::from_raw(folder.file_name().to_str()?.parse().ok()?)?;
        Some((pid, String::from_utf8_lossy(&words).replace('\0', " ")))
    });
    // stride has the worker's command among its own words.
    let is_worker = |words: &str| words.starts_with("python3 ") && words.contains("obey.py");
    processes.filter(|(_, words)| is_worker(words)).collect()
}

fn workers(place: &Place) -> Vec<String> {
    processes(place)
        .into_iter()
        .map(|(_, words)| words)
        .collect()
}

#[test]
fn every_answer_has_its_outcome() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    let mut expected = BTreeMap::new();
    let mut note = |name: &str, script: &str, attempts: &[&str]| {
        place.write(name, script);
        let attempts = attempts.iter().map(|attempt| (*attempt).to_owned());
        expected.insert(name.to_owned(), attempts.collect::<Vec<_>>());
    };
    let doubt = ["in_doubt transient exception"; 2];
    for (name, script, attempts) in [
        ("json", "done(json={'a': [1.0, None]})", &["succeeded"][..]),
        ("null", "done(json=None)", &["succeeded"]),
        ("nothing", "done()", &["succeeded"]),
        ("text", "done(text='so so')", &["succeeded"]),
        (
            "half",
            r"done(text='\udce9')",
            &["failed bad_response not_text"],
        ),
        (
            "bytes",
            "raw(b'{\"t\":\"done\",\"id\":%d,\"bytes\":4,\"type\":\"image/png\"}\\n\\n\\xff\\n\\n\\n' % number)",
            &["succeeded"],
        ),
        (
            "no-json",
            "raw('{\"t\":\"done\",\"id\":%d,\"bytes\":1,\"type\":\"application/json\"}\\n{\\n' % number)",
            &["failed bad_response not_json"],
        ),
        (
            "large",
            "raw(b'{\"t\":\"done\",\"id\":%d,\"bytes\":3000000}\\n' % number + bytes(3000000) + b'\\n')",
            &["failed bad_response response_too_large"],
        ),
        (
            "status",
            "done(json=1, status=404)",
            &["failed bad_response unexpected_status"],
        ),
        ("default", "fail()", &["failed rejected exception"]),
        (
            "transient",
            "fail(**{'class': 'transient'})",
            &["failed transient exception"; 2],
        ),
        (
            "local",
            "fail(**{'class': 'local'})",
            &["failed local exception"],
        ),
        (
            "quota-rule",
            "fail(message='slow DOWN')",
            &["failed bad_response exception"],
        ),
        (
            "input",
            "fail(sent=False, **{'class': 'input'})",
            &["not_sent input exception"],
        ),
        (
            "unknown",
            "fail(sent=None, **{'class': 'transient'})",
            &doubt,
        ),
        (
            "odd",
            r"fail(kind='Error', message='caf\udce9\n 2', body='x' * 9999)",
            &["failed rejected exception"],
        ),
    ] {
        note(name, script, attempts);
    }
    let names: Vec<&str> = expected.keys().map(String::as_str).collect();
    let more = [
        &[
            "--max-response",
            "2MiB",
            "--class",
            "body~slow down:bad_response",
        ],
        &names[..],
    ]
    .concat();
    place
        .stride(&run(&obey(1), &more))
        .expect(3)
        .says("Error: caf\u{fffd} 2")
        .says("worker 0: so long");
    assert_eq!(attempts(&place), expected);
    let results = exported(&place);
    for (name, result) in [
        ("json", json!({"a": [1.0, null]})),
        ("null", json!(null)),
        ("nothing", json!(null)),
        ("text", json!("so so")),
    ] {
        assert_eq!(results[name], result, "{name}");
    }
    assert_eq!(results["bytes"]["base64"], "Cv8KCg==");
    assert_eq!(log(&place).last().unwrap(), "bye");
    let kept =
        place.sql("SELECT length(body) FROM attempt JOIN job ON job.id = job WHERE path = 'odd'");
    assert_eq!(kept, [["4096"]]);
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_151_the_death_of_a_worker_is_in_doubt_and_costs_its_bystanders_nothing() {
    let Some((place, bystander)) = place(4) else {
        return;
    };
    // A worker waits for the other calls that it has before it dies.
    place.write("poison", "note('die'); os.kill(os.getpid(), 9)");
    let names: Vec<String> = (0..60).map(|i| format!("f{i}")).collect();
    names
        .iter()
        .for_each(|name| place.write(name, "done(json=call['attempt'])"));
    place.write("exits", "print('so it ends', file=sys.stderr); sys.exit(7)");
    place.write(
        "closes",
        "os.close(1); time.sleep(0.01); os.kill(os.getpid(), 15)",
    );
    // The first half of an answer is none.
    place.write(
        "half",
        "raw(b'{\"t\":\"done\",\"id\":%d,\"bytes\":9}\\nabc' % number); os._exit(0)",
    );
    // A child holds the pipe.
    place.write("leaves", "os.fork() and os._exit(3); time.sleep(1000)");
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    all.insert(30, "poison");
    all.insert(20, "exits");
    all.insert(10, "closes");
    all.extend(["half", "leaves"]);
    let worker = obey(4);
    place
        .stride(&run(&worker, &all))
        .expect(3)
        .says("signal 9 ended the worker during the call")
        .says("the worker exited with 7 during the call: so it ends")
        .says("signal 15 ended the worker during the call");
    let attempts = attempts(&place);
    for name in ["poison", "exits", "closes", "half", "leaves"] {
        // The first is free, and the second to be charged is the last.
        assert_eq!(attempts[name], ["in_doubt transient crashed"; 3], "{name}");
    }
    let charged = place.sql(
        "SELECT count(*), max(charged) FROM work JOIN job ON job.id = job WHERE path LIKE 'f%'",
    );
    assert_eq!(charged, [["60", "0"]], "{attempts:?}");
    assert_eq!(place.status()["done"], json!(61));
    assert_eq!(workers(&place), [""; 0]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_151_a_call_that_an_ended_worker_never_read_is_given_to_another() {
    let Some((place, bystander)) = place(2) else {
        return;
    };
    let names: Vec<String> = (0..30).map(|i| format!("f{i}")).collect();
    let script = "done(json=1); sys.exit(0)";
    names.iter().for_each(|name| place.write(name, script));
    let names = names.iter().map(String::as_str);
    let more: Vec<&str> = names.chain(["--workers", "2", "-j", "4"]).collect();
    let worker = obey(2);
    place
        .stride(&run(&worker, &[&more[..], &["--accept-change"]].concat()))
        .expect(0);
    let charged = place.sql("SELECT max(charged) FROM work");
    assert_eq!(charged, [["0"]], "{:?}", attempts(&place));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_152_a_worker_that_breaks_the_protocol_is_named_with_its_line() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    let mut expected = BTreeMap::new();
    for (name, script, says) in [
        (
            "print",
            "raw('Loading\\n')",
            "a line is no JSON object: `Loading`",
        ),
        ("array", "raw('[1]\\n')", "a line is no JSON object: `[1]`"),
        ("bytes", "raw(b'\\xff\\n')", "a line is not UTF-8"),
        (
            "kind",
            "send(t='dnoe', id=number)",
            "the unknown kind `dnoe`",
        ),
        (
            "twice",
            "raw(''.join('{\"t\":\"done\",\"id\":%d,\"json\":%d}\\n' % (number, n) for n in (1, 2)))",
            "",
        ),
        (
            "other",
            "send(t='done', id=number + 7)",
            "there is no such call",
        ),
        ("hello", "send(t='hello')", "a second hello"),
        (
            "stop",
            "send(t='stop')",
            "`stop` is for the program that started stride",
        ),
        (
            "unframed",
            "done(bytes='1', status='x')",
            "invalid type: string",
        ),
        (
            "unended",
            "raw('{\"t\":\"done\",\"id\":%d,\"bytes\":1}\\nxy' % number)",
            "no newline follows",
        ),
        (
            "long",
            "raw('x' * 1100000)",
            "a line has more than 1048576 bytes",
        ),
    ] {
        place.write(name, script);
        expected.insert(name, says);
    }
    let names: Vec<&str> = expected.keys().copied().collect();
    place.stride(&run(&obey(1), &names)).expect(3).says(
        ": broke the protocol: a second answer to twice: `{\"t\":\"done\",\"id\":1,\"json\":2}`",
    );
    let rows = place.sql(
        "SELECT path, kind, message FROM attempt JOIN job ON job.id = job WHERE path != 'bystander.txt'",
    );
    for row in &rows {
        let [path, kind, message] = row.as_slice() else {
            panic!("{row:?}");
        };
        let says = expected[path.as_str()];
        // The first answer is recorded before the second one is seen.
        if !says.is_empty() {
            assert_eq!(kind, "protocol", "{path}");
            assert!(message.contains(says), "{path}: {message}");
            assert!(message.len() < 400, "{message}");
        }
    }
    assert_eq!(rows.len(), 3 * (expected.len() - 1) + 1);
    assert_eq!(exported(&place)["twice"], json!(1));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_152_a_second_answer_is_told_whatever_else_the_run_does() {
    let Some((place, bystander)) = place(2) else {
        return;
    };
    let twice =
        "''.join('{\"t\":\"done\",\"id\":%d,\"json\":%d}\\n' % (number, n) for n in (1, 2))";
    // It is the last message of all, in the same write and after `bye`.
    place.write("write", format!("raw({twice})"));
    place.write(
        "bye",
        "done(json=1); sys.stdin.readline(); done(json=2); sys.exit()",
    );
    // Another call of the worker is in flight, and is called again alone.
    let begun = format!(
        "if call['attempt'] == 1: sys.stdin.readline(); raw({twice}); time.sleep(1000)\ndone()"
    );
    let pair = ["one", "two"];
    pair.iter().for_each(|name| place.write(name, &begun));
    let worker = obey(2);
    let quiet = ["--quiet", "-j", "2", "--workers", "1"];
    for name in ["write", "bye"] {
        place
            .stride(&run(&worker, &[&quiet[..], &[name]].concat()))
            .expect(0)
            .says(&format!(
                "warning: worker 0: broke the protocol: a second answer to {name}: `{{"
            ));
    }
    place
        .stride(&run(&worker, &[&quiet[..], &pair].concat()))
        .expect(0)
        .says("warning: worker 0: broke the protocol: a second answer to ");
    let attempts = attempts(&place);
    let mut ends = pair.map(|name| attempts[name].join(", "));
    ends.sort();
    assert_eq!(
        ends,
        ["in_doubt transient protocol, succeeded", "succeeded"]
    );
    let charged = place.sql("SELECT max(charged) FROM work");
    assert_eq!(charged, [["0"]]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_152_a_worker_that_stops_in_the_middle_of_an_answer_costs_its_bystanders_nothing() {
    let Some((place, bystander)) = place(4) else {
        return;
    };
    for (name, begun) in [
        ("bytes", r#"{"t":"done","id":%d,"bytes":100}\nabc"#),
        ("line", r#"{"t":"done","id":%d,"js"#),
    ] {
        // The others have begun when it stops, and cannot be answered.
        place.write(name, format!("raw('{begun}' % number); time.sleep(1000)"));
        let others = [0, 1, 2].map(|i| format!("{name}{i}"));
        others.iter().for_each(|other| place.write(other, "done()"));
        let more = [
            "--timeout",
            "100ms",
            "--retries",
            "0",
            "--workers",
            "1",
            "-j",
            "4",
            name,
        ];
        let more: Vec<&str> = more
            .into_iter()
            .chain(others.iter().map(String::as_str))
            .collect();
        let worker = obey(4);
        let words = [
            &[
                "run",
                "--worker",
                &worker,
                "--rate",
                "none",
                "--retry-delay",
                "1ms",
            ],
            &more[..],
        ]
        .concat();
        place
            .stride(&words)
            .expect(3)
            .says("the worker stopped in the middle of a line or of an answer");
        assert_eq!(attempts(&place)[name], ["in_doubt transient protocol"; 2]);
    }
    let charged = place.sql(
        "SELECT count(*), max(charged) FROM work JOIN job ON job.id = job WHERE path GLOB '*[0-2]'",
    );
    assert_eq!(charged, [["6", "0"]], "{:?}", attempts(&place));
    assert_eq!(place.status()["done"], json!(7));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_wrong_value_in_an_answer_fails_its_call_alone() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    let mut expected = BTreeMap::new();
    for (name, script, ends, says) in [
        (
            "class",
            "fail(**{'class': 'sad'})",
            "failed bad_response exception",
            "there is no class `sad`: `{",
        ),
        (
            "wait",
            "fail(retry_after='20', **{'class': 'throttled'})",
            "failed bad_response exception",
            r#"invalid type: string "20""#,
        ),
        (
            "doubt",
            "fail(status=-1, sent=call['attempt'] > 1 or None)",
            "in_doubt bad_response exception",
            "-1 is no such number",
        ),
        (
            "status",
            "done(json=1, status='200')",
            "failed bad_response protocol",
            r#"invalid type: string "200""#,
        ),
        (
            "text",
            "done(text=1)",
            "failed bad_response protocol",
            "`text` is no string",
        ),
        (
            "both",
            "done(json=1, text='x')",
            "failed bad_response protocol",
            "more than one of json, text and bytes",
        ),
        (
            "bytes",
            "raw('{\"t\":\"done\",\"id\":%d,\"bytes\":2,\"status\":70000}\\n{\\n\\n' % number)",
            "failed bad_response protocol",
            "70000 is no such number",
        ),
    ] {
        place.write(name, script);
        expected.insert(name, (ends, says));
    }
    // A language without whole numbers writes these.
    place.write(
        "floats",
        "done(json=os.getpid(), status=200.0, limit={'remaining': 3.0})",
    );
    place.write("last", "send(t='beat', id=1); done(json=os.getpid())");
    let mut names: Vec<&str> = expected.keys().copied().collect();
    names.insert(0, "floats");
    names.push("last");
    // One process makes all calls, as none of this ends it.
    let more = [&["-j", "1", "--workers", "1"], &names[..]].concat();
    place.stride(&run(&obey(1), &more)).expect(3);
    let results = exported(&place);
    assert_eq!(results["floats"], results["last"], "{results}");
    let rows = place.sql(
        "SELECT path, outcome || ' ' || class || ' ' || kind, message FROM attempt JOIN job ON job.id = job
         WHERE outcome != 'succeeded' AND number = 1",
    );
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    for row in &rows {
        let (ends, says) = expected[row[0].as_str()];
        assert_eq!(row[1], ends, "{row:?}");
        assert!(row[2].contains(says), "{row:?}");
    }
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_153_a_worker_that_cannot_start_costs_no_file() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    let names = place.texts(20);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    place
        .stride(&run("no-such-program", &names))
        .expect(2)
        .says("no folder of PATH has it");
    let more = [&["--accept-change", "--worker-start", "700ms"], &names[..]].concat();
    for (worker, says) in [
        (
            "sh -c 'echo no model >&2; exit 5'",
            "the worker exited with 5 before its hello: no model",
        ),
        ("echo Loading", "a line is no JSON object: `Loading`"),
        ("sleep 100", "said no hello within 0.7 s (--worker-start)"),
        (
            "echo '{\"t\":\"hello\",\"protocol\":2}'",
            "the protocol is not 1",
        ),
        (
            "echo '{\"t\":\"hello\",\"width\":0}'",
            "the width is not from 1 to 10000",
        ),
        (
            "echo '{\"t\":\"done\",\"id\":1}'",
            "the first line is no hello",
        ),
    ] {
        place
            .stride(&run(worker, &more))
            .expect(4)
            .says("the program that makes the calls cannot be used")
            .says(says)
            .says("20 files pending");
    }
    let status = place.status();
    assert_eq!(
        (&status["pending"], &status["failed"]),
        (&json!(20), &json!(0))
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_worker_that_is_not_ready_is_mentioned_and_the_wait_can_be_stopped() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    place.write("a", "done(json=1)");
    let slow = format!(
        "sh -c 'until [ -e ready ]; do sleep 0.02; done; exec {}'",
        obey(1)
    );
    let words = run(&slow, &["a", "--db", "slow.db"]);
    let waiting = place.begin(&words);
    waiting.until_says("waiting until the worker is ready");
    waiting.signal(Signal::INT);
    waiting.end().expect(130);
    let status = place
        .stride(&["status", "--json", "--db", "slow.db"])
        .json();
    assert_eq!(
        (&status["pending"], &status["attempts"]),
        (&json!(1), &json!(0))
    );
    let waiting = place.begin(&words);
    waiting.until_says("waiting until the worker is ready");
    place.write("ready", "");
    waiting.end().expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_154_a_call_that_takes_too_long_is_cancelled_and_then_its_worker_killed() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    place.write("fine", "done(json=1)");
    // It answers when it is cancelled.
    place.write(
        "late",
        "line = sys.stdin.readline(); note(json.loads(line)['t']); done(json='late')",
    );
    place.write(
        "beats",
        "send(t='beat', id=number); sys.stdin.readline(); fail(sent=None)",
    );
    let more = [
        "--timeout",
        "400ms",
        "--idle-timeout",
        "100ms",
        "fine",
        "late",
    ];
    place.stride(&run(&obey(1), &more)).expect(0);
    assert_eq!(exported(&place)["late"], json!("late"));
    assert!(log(&place).contains(&"cancel".to_owned()));
    let more = ["--timeout", "99s", "--idle-timeout", "100ms", "beats"];
    place.stride(&run(&obey(1), &more)).expect(3);
    assert_eq!(
        attempts(&place)["beats"],
        ["in_doubt rejected exception"; 2]
    );
    // This one ignores all of it, and its child too.
    place.write(
        "stuck",
        "import signal; signal.signal(15, signal.SIG_IGN); os.fork(); time.sleep(1000)",
    );
    let more = ["--timeout", "100ms", "stuck", "fine"];
    place
        .stride(&run(&obey(1), &more))
        .expect(3)
        .says("the worker did not answer within 100ms");
    assert_eq!(attempts(&place)["stuck"], ["in_doubt transient timeout"; 2]);
    assert_eq!(workers(&place), [""; 0]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_155_no_worker_outlives_a_stop_or_the_death_of_stride() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    let waits = "note('began'); sys.stdin.readline(); time.sleep(1000)";
    for (name, ends) in [("once", 1), ("twice", 2), ("killed", 0)] {
        place.write(name, waits);
        let worker = obey(1);
        let words = run(&worker, &["--grace", "200ms", "--db"]);
        let db = format!("{name}.db");
        let words: Vec<&str> = words.into_iter().chain([db.as_str(), name]).collect();
        fs::remove_file(place.at("log")).ok();
        let running = place.begin(&words);
        place.until(|| log(&place).contains(&"began".to_owned()));
        match ends {
            0 => running.kill(),
            _ => {
                running.signal(Signal::INT);
                running.until_says("stopping");
                if ends == 2 {
                    running.signal(Signal::TERM);
                }
                let ran = running.end().expect(130);
                assert!(ran.stderr.contains("1 file in doubt"), "{}", ran.stderr);
            }
        }
        place.until(|| workers(&place).is_empty());
    }
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_156_a_worker_of_a_database_from_elsewhere_does_not_run_unasked() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    place.write("marks", "import os\nopen('marker', 'w')\n");
    place.write("a", "done(json=1)");
    let worker = obey(1);
    // The bystander's call was the only one.
    place
        .stride(&run(&worker, &["a", "--max-calls", "1"]))
        .expect(4);
    place.sql("UPDATE run SET call = json_set(call, '$.words', json('[\"python3\", \"marks\"]'))");
    for words in [&["resume"][..], &["retry"], &["try", "a"]] {
        place
            .stride(words)
            .expect(2)
            .says("the request runs the command python3 marks")
            .says("--allow-commands");
    }
    assert!(!place.at("marker").exists());
    place
        .stride(&["resume", "--allow-commands", "--max-calls", "none"])
        .expect(4);
    assert!(place.at("marker").exists());
    // A configuration cannot name a program.
    place.write(".home/.config/stride/stride.toml", "worker = \"true\"\n");
    place
        .stride(&["resume"])
        .expect(2)
        .says("unknown setting `worker`");
    let ran = place.stride_with(&[("STRIDE_WORKER", "true")], &["run", "a"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn another_worker_is_refused_by_name_and_version() {
    let Some((place, _)) = place(1) else {
        return;
    };
    place.write("a", "done(json=1)");
    place.write("b", "done(json=2)");
    let worker = obey(1);
    let with = |name: &str, version: &str, words: &[&str]| {
        let variables = [("WORKER_NAME", name), ("WORKER_VERSION", version)];
        place.stride_with(
            &variables,
            &[&run(&worker, words)[..], &["--db", "named.db"]].concat(),
        )
    };
    // Nothing is done yet, so the new name is simply taken.
    place.write("bad", "fail()");
    with("first", "1", &["bad"]).expect(3);
    with("second", "1", &["bad", "a"])
        .expect(3)
        .says("worker name: second");
    let status = place
        .stride(&["status", "--request", "--db", "named.db"])
        .expect(0);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("second"), "{status}");
    with("second", "2", &["bad", "a", "b"])
        .expect(2)
        .says("worker version: 1")
        .says("worker version: 2")
        .says("--accept-change");
    assert!(!log(&place).contains(&"b".to_owned()));
    with("second", "2", &["bad", "a", "b", "--accept-change"]).expect(3);
    let variables = [("WORKER_NAME", "third")];
    place.write("c", "done(json=3)");
    place
        .stride_with(&variables, &["retry", "--db", "named.db"])
        .expect(2)
        .says("worker name: third");
}

#[test]
fn workers_get_no_more_calls_than_they_take() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    // The first call of a run goes alone. The others wait until all of them have begun.
    place.write("alone", "done(json=os.getpid())");
    let meet = "
note('in')
while open(LOG).read().count('in') < 3: time.sleep(0.01)
done(json=os.getpid())
";
    let names = ["m0", "m1", "m2"];
    names.iter().for_each(|name| place.write(name, meet));
    let more = [&["-j", "3", "alone"], &names[..]].concat();
    place.stride(&run(&obey(1), &more)).expect(0);
    let results = exported(&place);
    let mut processes: Vec<u64> = names
        .iter()
        .map(|name| results[name].as_u64().unwrap())
        .collect();
    processes.sort_unstable();
    processes.dedup();
    assert_eq!(processes.len(), 3, "{results}");
    // With a bound, one process makes all calls.
    names
        .iter()
        .for_each(|name| place.write(name, "done(json=os.getpid())"));
    let more = [&["--workers", "1", "--db", "one.db"], &more[..]].concat();
    place.stride(&run(&obey(1), &more)).expect(0);
    let of_one = place.stride(&["export", "--db", "one.db"]).expect(0).json();
    assert!(
        names.iter().all(|name| of_one[name] == of_one["alone"]),
        "{of_one}"
    );
    for (flags, says) in [
        (
            &["run", "--exec", "cat", "--workers", "2", "m0"][..],
            "use -j N",
        ),
        (
            &[
                "run",
                "--url",
                "http://127.0.0.1:1/{}",
                "--workers",
                "2",
                "m0",
            ],
            "use -j N",
        ),
        (
            &["run", "--worker", "true", "--workers", "0", "m0"],
            "is not a number from 1",
        ),
    ] {
        place.stride(flags).expect(2).says(says);
    }
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_worker_is_tried_and_shown() {
    let Some((place, bystander)) = place(1) else {
        return;
    };
    place.write("a", "note('tried'); done(json=call['name'])");
    place.write("list.csv", "path,id\na,7\n");
    let worker = obey(1);
    let ran = place.stride(&["try", "--worker", &worker, "a"]).expect(0);
    assert_eq!(String::from_utf8(ran.stdout.clone()).unwrap(), "\"a\"\n");
    ran.says("a run would record this")
        .says("{\"t\":\"call\",\"id\":1,\"name\":\"a\"");
    assert_eq!(log(&place).last().unwrap(), "bye");
    let calls = log(&place).len();
    let shown = place
        .stride(&[
            "run",
            "--worker",
            &worker,
            "--dry-run",
            "--files-from",
            "list.csv",
        ])
        .expect(0);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for words in ["> python3", r#""fields":{"path":"a","id":"7"}"#] {
        assert!(shown.contains(words), "{shown}");
    }
    assert_eq!(log(&place).len(), calls);
    assert_eq!(workers(&place), [""; 0]);
    assert_eq!(place.bystander(), bystander);
}

/// The number of kills; `STRIDE_KILLS` is for more, by hand.
fn kills() -> usize {
    let kills = std::env::var("STRIDE_KILLS").ok();
    kills.map_or(9, |kills| kills.parse().unwrap())
}

#[test]
fn rows_151_and_155_kills_at_any_moment_leave_every_call_traced_and_one_result_a_file() {
    let Some((place, bystander)) = place(2) else {
        return;
    };
    let kills = kills();
    let names: Vec<String> = (0..12 * kills).map(|i| format!("k{i}")).collect();
    // A call notes its attempt before it does anything else.
    let script =
        "note(f\"{call['name']} {call['attempt']}\"); time.sleep(0.003); done(json=call['name'])";
    names.iter().for_each(|name| place.write(name, script));
    place.write("list", names.join("\n"));
    let worker = obey(2);
    let words = [
        "run",
        "--worker",
        &worker,
        "--rate",
        "none",
        "--retry-delay",
        "1ms",
        "--retries",
        "99",
    ];
    let words = [&words[..], &["--files-from", "list", "-j", "4"]].concat();
    let mut random = fastrand::Rng::with_seed(7);
    let mut most_in_doubt = 0;
    let mut running = place.begin(&words);
    for _ in 0..kills {
        let most = log(&place).len() + random.usize(3..20);
        let said = || fs::read_to_string(place.at(".stderr")).unwrap();
        place.until(|| log(&place).len() >= most || said().contains(" done; "));
        if random.bool() {
            let workers = processes(&place).into_iter().take(random.usize(1..3));
            // It may have ended.
            for (pid, _) in workers {
                let _ = kill_process(pid, Signal::KILL);
            }
        } else {
            running.kill();
            place.until(|| workers(&place).is_empty());
            running = place.begin(&words);
        }
        most_in_doubt += 4;
    }
    running.end().expect(0);
    place.stride(&["verify"]).expect(0);
    let results = place.stride(&["export"]).expect(0).json();
    assert!(
        names.iter().all(|name| results[name] == json!(name)),
        "{results}"
    );
    let attempts = place.sql(
        "SELECT path || ' ' || number, outcome FROM attempt JOIN job ON job.id = attempt.job WHERE path LIKE 'k%'",
    );
    let known: BTreeMap<&str, &str> = attempts
        .iter()
        .map(|row| (row[0].as_str(), row[1].as_str()))
        .collect();
    let calls = log(&place);
    let calls: Vec<&String> = calls
        .iter()
        .filter(|line| line.starts_with('k') && line.contains(' '))
        .collect();
    for call in &calls {
        assert!(known.contains_key(call.as_str()), "{call} is not traced");
    }
    let mut once = calls.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), calls.len(), "an attempt is one call");
    let in_doubt = known
        .values()
        .filter(|outcome| **outcome == "in_doubt")
        .count();
    assert!(
        in_doubt <= most_in_doubt,
        "{in_doubt} in doubt after {kills} kills"
    );
    let succeeded = known
        .values()
        .filter(|outcome| **outcome == "succeeded")
        .count();
    assert_eq!(succeeded, names.len());
    assert_eq!(place.bystander(), bystander);
}
