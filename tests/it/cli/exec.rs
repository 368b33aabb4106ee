//! `--exec` and `--exec-shell`: a process for each file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Place;

/// Does what the file says: a script of its own.
const OBEY: &[&str] = &["--exec-shell", "[ -s \"$1\" ] && . \"./$1\""];

fn run<'w>(call: &[&'w str], more: &[&'w str]) -> Vec<&'w str> {
    [&["run"], call, more].concat()
}

fn exported(place: &Place) -> Value {
    place.stride(&["export", "--partial"]).expect(0).json()
}

/// The state, class, kind, outcome and number of attempts of each job.
fn endings(place: &Place) -> BTreeMap<String, [String; 5]> {
    let rows = place.sql(
        "SELECT path, (SELECT max(number) FROM attempt WHERE job = job.id), class, kind, outcome
         FROM job JOIN attempt ON attempt.job = job.id
         WHERE number = (SELECT max(number) FROM attempt WHERE job = job.id)",
    );
    let states = place.stride(&["export", "--all", "--format", "jsonl"]);
    let text = String::from_utf8(states.stdout).unwrap();
    let states: BTreeMap<String, String> = text
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let name = row["file"].as_str().unwrap().to_owned();
            (name, row["state"].as_str().unwrap().to_owned())
        })
        .collect();
    rows.into_iter()
        .map(|row| {
            let [path, number, class, kind, outcome] = row.try_into().unwrap();
            let state = states[&path].clone();
            (path, [state, outcome, class, kind, number])
        })
        .collect()
}

/// Processes whose command line has this text.
fn processes_with(text: &str) -> Vec<String> {
    let folders = fs::read_dir("/proc").unwrap();
    let lines = folders.filter_map(|folder| {
        let words = fs::read(folder.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&words).replace('\0', " "))
    });
    lines.filter(|line| line.contains(text)).collect()
}

/// Makes a command that no shell of this machine has, with the place's name in its path.
fn program(place: &Place, name: &str, script: &str) -> String {
    let path = place.at(name);
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn names_are_words_and_never_a_script() {
    let place = Place::new();
    let call = ["--exec", "cat"];
    let bystander = place.with_bystander_of(&call);
    let names = [
        "a b",
        "it's",
        "a\"b",
        "$(touch made)",
        "`touch made`",
        "a;touch made",
        "a|b",
        "-rf",
        "--help",
        "a\nb",
        "*",
        "{name}",
        "{key}",
        "ä 日本",
        "\\",
        "~",
        "$HOME",
        "!",
        "#x",
        "&",
    ];
    names.iter().for_each(|name| place.write(name, name));
    place.write("list", names.join("\0"));
    let more = ["--files-from", "list", "-0"];
    place.stride(&run(&call, &more)).expect(0);
    let shell = run(&["--exec-shell", "cat -- \"$1\""], &more);
    place
        .stride(&[&shell[..], &["--db", "shell.db"]].concat())
        .expect(0);
    let mut exported = exported(&place);
    assert_eq!(
        exported.as_object_mut().unwrap().remove("bystander.txt"),
        Some(json!("bystander"))
    );
    for name in names {
        assert_eq!(exported[name], json!(name), "{name:?}");
    }
    let of_shell = place
        .stride(&["export", "--db", "shell.db"])
        .expect(0)
        .json();
    assert_eq!(of_shell, exported);
    assert!(!place.at("made").exists());
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn every_exit_has_its_outcome() {
    let place = Place::new();
    let bystander = {
        place.write("bystander.txt", "echo fine");
        place.stride(&run(OBEY, &["bystander.txt"])).expect(0);
        place.bystander()
    };
    let mut expected = BTreeMap::new();
    let mut note = |name: &str, script: &str, ending: [&str; 5]| {
        place.write(name, script);
        expected.insert(name.to_owned(), ending.map(str::to_owned));
    };
    note(
        "json",
        "echo '{\"a\": 1}'",
        ["done", "succeeded", "", "", "1"],
    );
    note("text", "printf 'so so'", ["done", "succeeded", "", "", "1"]);
    note(
        "bytes",
        "printf '\\377'",
        ["done", "succeeded", "", "", "1"],
    );
    note("nothing", ":", ["done", "succeeded", "", "", "1"]);
    note(
        "1",
        "exit 1",
        ["failed", "failed", "rejected", "exited", "1"],
    );
    note(
        "3",
        "echo no >&2; exit 3",
        ["failed", "failed", "transient", "exited", "2"],
    );
    note(
        "64",
        "exit 64",
        ["failed", "failed", "local", "exited", "1"],
    );
    note(
        "65",
        "exit 65",
        ["failed", "failed", "rejected", "exited", "1"],
    );
    note(
        "66",
        "exit 66",
        ["failed", "not_sent", "input", "exited", "1"],
    );
    note(
        "69",
        "exit 69",
        ["failed", "failed", "transient", "exited", "2"],
    );
    note(
        "74",
        "exit 74",
        ["failed", "failed", "local", "exited", "1"],
    );
    note(
        "75",
        "exit 75",
        ["failed", "failed", "transient", "exited", "2"],
    );
    note("77", "exit 77", ["failed", "failed", "auth", "exited", "1"]);
    note(
        "said",
        "echo all busy >&2; exit 9",
        ["failed", "failed", "bad_response", "exited", "1"],
    );
    // The first end by a signal is not charged.
    note(
        "kill",
        "kill -9 $$",
        ["failed", "in_doubt", "transient", "signalled", "3"],
    );
    let names: Vec<&str> = expected.keys().map(String::as_str).collect();
    let rules = [
        "--class",
        "exit=3:transient",
        "--class",
        "body~busy:bad_response",
    ];
    let more = [
        &["--retries", "1", "--retry-delay", "1ms", "--rate", "none"],
        &rules[..],
        &names[..],
    ]
    .concat();
    let ran = place.stride(&run(OBEY, &more)).expect(3);
    ran.says("3: no").says("said: all busy").says("exit 77");
    let mut found = endings(&place);
    found.remove("bystander.txt");
    assert_eq!(found, expected);
    let exported = exported(&place);
    assert_eq!(
        (&exported["json"], &exported["text"], &exported["nothing"]),
        (&json!({"a": 1}), &json!("so so"), &json!(""))
    );
    let failures = place.stride(&["failures"]).expect(0);
    let failures = String::from_utf8(failures.stdout).unwrap();
    assert!(failures.contains("exit 9: all busy"), "{failures}");
    assert!(failures.contains("ended by signal 9"), "{failures}");
    place.stride(&["verify"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_command_that_cannot_start_costs_no_file() {
    let place = Place::new();
    for (call, says) in [
        (
            &["--exec", "no-such-program {}"][..],
            "no folder of PATH has it",
        ),
        (&["--exec", "./missing"], "there is no such file"),
        (&["--exec", "./bystander.txt"], "it is not executable"),
        (&["--exec", "cat {} | wc"], "`|` needs one"),
        (&["--exec", "sh -c 'cat {}'"], "use --exec-shell"),
        (&["--exec", "x {env:KEY}"], "would show a secret"),
        (&["--exec", ""], "is empty"),
        (&["--exec-shell", " "], "is empty"),
        (&["--exec", "python3"], "would run each file as a script"),
        (&["--exec-shell", "wc -c {}"], "is the same for every file"),
        (
            &["--exec", "cat", "--url", "http://127.0.0.1:1"],
            "cannot be used with",
        ),
        (
            &["--exec", "cat", "-H", "X: y"],
            "belongs to an HTTP request",
        ),
    ] {
        place.write("bystander.txt", "x");
        place
            .stride(&run(call, &["bystander.txt"]))
            .expect(2)
            .says(says);
        assert!(!place.at("stride.db").exists(), "{call:?}");
    }
    let call = [
        "--exec-shell",
        "echo >> called; [ -e ready ] || exec no-such-program; cat \"$1\"",
    ];
    let names = place.texts(20);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    place
        .stride(&run(&call, &names))
        .expect(4)
        .says("cannot be used")
        .says("stride resume");
    let status = place.status();
    assert_eq!(
        (&status["pending"], &status["failed"]),
        (&json!(20), &json!(0))
    );
    // The script has run, so its calls count.
    let called = fs::read_to_string(place.at("called")).unwrap().len();
    assert_eq!(
        place.sql("SELECT count(*) FROM attempt")[0],
        [called.to_string()]
    );
    assert!(called < 12, "{called}");
    place.write("ready", "");
    place.stride(&["resume"]).expect(0);
    assert_eq!(exported(&place).as_object().unwrap().len(), 20);
    // A file whose call alone exits so fails.
    let one = "case $1 in */0003) exit 127;; esac; cat \"$1\"";
    let one = [
        &run(&["--exec-shell", one], &names)[..],
        &["--db", "one.db"],
    ]
    .concat();
    place.stride(&one).expect(3).says("19 of 20 files done");
    // Nothing was called here, not even for the last file.
    let broken = program(&place, "broken", "#!/no/such/interpreter\n");
    let last = [
        &run(&["--exec", &broken], &[names[0]])[..],
        &["--db", "last.db"],
    ]
    .concat();
    place
        .stride(&last)
        .expect(4)
        .says("1 file pending")
        .says("0 calls");
}

#[test]
fn nothing_of_a_call_outlives_it() {
    let place = Place::new();
    let mark = place.at("mark").to_str().unwrap().to_owned();
    // Each has a descendant that ignores SIGTERM and carries the mark.
    let lasting = program(
        &place,
        "lasting",
        "#!/bin/sh\ntrap '' TERM\nwhile :; do read -r x < fifo; done\n",
    );
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.at("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    place.write("waits", format!("{lasting} {mark} &\nread -r x < fifo"));
    place.write(
        "ends",
        format!("{lasting} {mark} >/dev/null 2>&1 &\necho ended"),
    );
    place.write("holds", format!("{lasting} {mark} &\necho ended"));
    place.write(
        "tidies",
        "trap 'echo tidy >&2; touch tidied; exit 0' TERM\nwhile :; do sleep 0.05; done",
    );
    let more = [
        "--timeout",
        "300ms",
        "--retries",
        "0",
        "waits",
        "ends",
        "holds",
        "tidies",
    ];
    place
        .stride(&run(OBEY, &more))
        .expect(3)
        .says("did not end within 300ms")
        .says("what it had started kept its output open for 300ms")
        .says("tidies: tidy");
    assert_eq!(processes_with(&mark), [""; 0]);
    assert!(place.at("tidied").exists());
    let exported = exported(&place);
    assert_eq!(exported["ends"], json!("ended\n"));
    assert_eq!(exported.as_object().unwrap().len(), 1);
    // The second Ctrl-C ends the calls in flight, and `kill -9` leaves none behind.
    for end in ["interrupt", "kill"] {
        let db = format!("{end}.db");
        place.write("started", "");
        place.write("signals", format!("echo >> started\nexec {lasting} {mark}"));
        let words = [&run(OBEY, &["signals"])[..], &["--db", &db]].concat();
        let running = place.begin(&words);
        place.until(|| !processes_with(&mark).is_empty());
        if end == "kill" {
            running.kill();
        } else {
            running.signal(Signal::INT);
            running.until_says("again");
            running.signal(Signal::TERM);
            assert_eq!(running.end().code, Some(130));
        }
        place.until(|| processes_with(&mark).is_empty());
        let status = place.stride(&["status", "--json", "--db", &db]).json();
        assert_eq!(status["done"], json!(0));
    }
}

#[test]
fn a_command_knows_its_call_and_not_the_run() {
    let place = Place::new();
    let script = "printf '%s|' \"$STRIDE_NAME\" \"$STRIDE_FILE\" \"$STRIDE_ATTEMPT\" \"$PGPASSWORD\" \"$STRIDE_DB\" \"$OWN\" \"$PWD\"; cat; \
        [ \"$STRIDE_KEY\" = \"$1\" ] && echo same";
    let path = program(&place, "tell", &format!("#!/bin/sh\n{script}\n"));
    let call = ["--exec", &format!("{path} {{key}} {{}}")];
    let bystander = place.with_bystander_of(&call);
    let variables = [
        ("PGPASSWORD", "sesame"),
        ("STRIDE_DB", "stride.db"),
        ("OWN", "mine"),
    ];
    place.write("texts/a", "");
    place
        .stride_with(&variables, &run(&call, &["texts/a"]))
        .expect(0);
    let base = fs::canonicalize(place.at("")).unwrap();
    let base = base.to_str().unwrap().trim_end_matches('/');
    assert_eq!(
        exported(&place)["texts/a"],
        json!(format!(
            "texts/a|{}|1|||mine|{base}|same\n",
            place.at("texts/a").display()
        ))
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_changed_command_is_a_changed_request() {
    let place = Place::new();
    let bystander = place.with_bystander_of(&["--exec", "cat {}"]);
    place.write("a", "a");
    let other = ["run", "--exec", "wc -c {}", "a"];
    let refused = place.stride(&other).expect(2);
    refused
        .says("the request differs from the run's")
        .says("- exec: cat {}")
        .says("+ exec: wc -c {}");
    place
        .stride(&[&other[..], &["--accept-change"]].concat())
        .expect(0);
    assert_eq!(exported(&place)["a"], json!("1 a\n"));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_key_in_a_command_belongs_into_the_environment() {
    let place = Place::new();
    let bystander = place.with_bystander_of(&["--exec", "cat {}"]);
    place.write("a", "a");
    let call = ["--exec", "echo 0f9c1d2e3b4a59687786 {}"];
    place
        .stride(&run(&call, &["--db", "x.db", "a"]))
        .expect(0)
        .says("the command may hold a key")
        .says("put the key into a variable, and let the program read it there");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_command_of_another_person_is_not_run() {
    let place = Place::new();
    let call = ["--exec-shell", "touch ran; cat \"$1\""];
    place.with_bystander_of(&call);
    place.write("a", "a");
    place
        .stride(&run(&call, &["--max-calls", "1", "a"]))
        .expect(4);
    fs::remove_dir_all(place.at(".home")).unwrap();
    fs::remove_file(place.at("ran")).unwrap();
    for words in [
        &["resume"][..],
        &["retry", "--done", "bystander.txt"],
        &["try", "a"],
    ] {
        let more = if words[0] == "try" {
            &[][..]
        } else {
            &["--max-calls", "none"]
        };
        place
            .stride(&[words, more].concat())
            .expect(2)
            .says("the request runs the command touch ran; cat \"$1\"")
            .says("--allow-commands");
        assert!(!place.at("ran").exists(), "{words:?}");
    }
    place.write(".home/.config/stride/stride.toml", "exec = 'touch ran'\n");
    place
        .stride(&run(&call, &["a"]))
        .expect(2)
        .says("unknown setting `exec`");
    fs::remove_file(place.at(".home/.config/stride/stride.toml")).unwrap();
    assert!(!place.at("ran").exists());
    place
        .stride(&["resume", "--allow-commands", "--max-calls", "none"])
        .expect(0);
    assert!(place.at("ran").exists());
}

#[test]
fn the_other_commands_know_of_programs() {
    let place = Place::new();
    let call = ["--exec", "cat {}"];
    let bystander = place.with_bystander_of(&call);
    place.write("list.csv", "path,lang\na,de\nb,en\n");
    place.write("a", "{\"n\": 1}");
    place.write("b", "{\"n\": 2}");
    let list = ["--files-from", "list.csv"];
    let dry = place.stride(&run(
        &["--exec", "cat {} {col.lang}"],
        &[&list[..], &["--dry-run", "--db", "x.db"]].concat(),
    ));
    let dry = String::from_utf8(dry.expect(0).stdout).unwrap();
    assert!(dry.contains("first call, for a:\n> cat a de\n"), "{dry}");
    let tried = place
        .stride(&["try", "a", "--exec", "cat {}"])
        .expect(0)
        .says("> cat a");
    assert_eq!(tried.json(), json!({"n": 1}));
    let judged = [
        &list[..],
        &[
            "--success",
            "(try .n catch 1) == 1",
            "--output-dir",
            "out",
            "--accept-change",
        ],
    ]
    .concat();
    place.stride(&run(&call, &judged)).expect(3).says("out");
    let rows = place.stride(&[
        "export",
        "--partial",
        "--extract",
        ".n? // .",
        "--columns",
        "file,col.lang,result",
        "--format",
        "csv",
    ]);
    let rows = String::from_utf8(rows.expect(0).stdout).unwrap();
    assert!(rows.contains("a,de,1"), "{rows}");
    place
        .stride(&["recheck", "--success", "(try .n catch 1) > 0", "--apply"])
        .expect(0)
        .says("not done -> done: 1 file");
    for words in [
        &["status", "--request"][..],
        &["report", "-o", "r.html"],
        &["verify"],
    ] {
        place.stride(words).expect(0);
    }
    let page = fs::read_to_string(place.at("r.html")).unwrap();
    assert!(page.contains("cat {}"));
    assert_eq!(fs::read_dir(place.at("out")).unwrap().count(), 1);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn an_answer_may_be_as_large_as_allowed() {
    let place = Place::new();
    let call = ["--exec", "cat"];
    let bystander = place.with_bystander_of(&call);
    place.write("small", [b'x'; 1000]);
    place.write("large", [b'x'; 300_000]);
    let ran = place
        .stride(&run(&call, &["--max-response", "1000B", "small", "large"]))
        .expect(3);
    ran.says("larger than 1000 bytes");
    assert_eq!(exported(&place)["small"], json!("x".repeat(1000)));
    place.stride(&["retry", "--max-response", "1MB"]).expect(0);
    assert_eq!(exported(&place)["large"], json!("x".repeat(300_000)));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_stop_speaks_of_the_program() {
    let place = Place::new();
    let names = place.texts(60);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (code, hints) in [
        (
            "1",
            &[
                "correct the program, then: stride resume",
                "--max-failures none",
            ][..],
        ),
        (
            "77",
            &[
                "credentials that its service accepts",
                "--class exit=77:rejected",
            ],
        ),
    ] {
        let db = format!("{code}.db");
        let script = format!("echo no $1 >&2; echo at all >&2; exit {code}");
        let more = [&["--db", &db], &names[..]].concat();
        let ran = place
            .stride(&run(&["--exec-shell", &script], &more))
            .expect(4);
        let ran = ran
            .says(&format!("exit {code}: no texts/"))
            .says(" at all\n")
            .says("60 files pending");
        assert!(!ran.stderr.contains(r"\n"), "{}", ran.stderr);
        for hint in hints {
            assert!(ran.stderr.contains(hint), "{hint:?}: {}", ran.stderr);
        }
        assert!(
            !ran.stderr.contains("URL") && !ran.stderr.contains("--expect"),
            "{}",
            ran.stderr
        );
        let header = ["resume", "-H", "X: y", "--db", &db];
        place
            .stride(&header)
            .expect(2)
            .says("makes no HTTP requests");
    }
}

#[test]
fn an_answer_has_what_a_command_has_started_in_the_background() {
    let place = Place::new();
    let call = ["--exec-shell", "echo one $1; (sleep 0.05; echo two) &"];
    let bystander = place.with_bystander_of(&call);
    place.write("a", "");
    place.stride(&run(&call, &["a"])).expect(0);
    assert_eq!(exported(&place)["a"], json!("one a\ntwo\n"));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn an_answer_does_not_wait_for_the_standard_error_of_the_background() {
    let place = Place::new();
    let call = ["--exec-shell", "sleep 1000 > /dev/null & echo \"$1\""];
    let bystander = place.with_bystander_of(&call);
    place.write("a", "");
    let more = ["a", "--timeout", "60s", "--retries", "0"];
    place.stride(&run(&call, &more)).expect(0);
    assert_eq!(exported(&place)["a"], json!("a\n"));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn exits_are_known_even_if_the_starter_ignores_them() {
    let place = Place::new();
    let call = ["--exec-shell", "echo >> called; cat \"$1\""];
    let bystander = place.with_bystander_of(&call);
    let names = place.texts(3);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ignoring = ["env", "--ignore-signal=CHLD"];
    let ran = place.command_under(&ignoring, &run(&call, &names)).output();
    let ran = ran.unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(fs::read(place.at("called")).unwrap().len(), 4);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_row_with_a_nul_character_fails_alone() {
    let place = Place::new();
    let bystander = place.with_bystander_of(&["--exec", "cat"]);
    let rows =
        ["x", r"\u0000", "y"].map(|text| format!("{{\"path\":\"{text}\",\"text\":\"{text}\"}}\n"));
    let rows = rows.concat().replacen(r"\u0000", "nul", 1);
    place.write("rows.jsonl", rows);
    let more = ["--accept-change", "--files-from", "rows.jsonl", "-j", "1"];
    place
        .stride(&run(&["--exec", "printf %s {col.text}"], &more))
        .expect(3)
        .says("3 of 4 files done")
        .says("an argument or a variable has a NUL character");
    assert_eq!(
        endings(&place)["nul"][..4],
        ["failed", "not_sent", "input", "bad_argument"]
    );
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_command_that_was_killed_is_called_again_even_if_it_was_the_first() {
    let place = Place::new();
    let script = "[ -e once ] || { echo > once; kill -9 $$; }; cat \"$1\"";
    let call = ["--exec-shell", script];
    place.write("a", "a");
    place.stride(&run(&call, &["a"])).expect(0);
    let names = place.texts(100);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fs::remove_file(place.at("once")).unwrap();
    let many = [&run(&call, &names)[..], &["--db", "many.db"]].concat();
    place.stride(&many).expect(0).says("100 of 100 files done");
    // A command that is always killed does not cost every file its retries.
    let always = [
        &run(&["--exec-shell", "kill -9 $$ # $1"], &names)[..],
        &["--db", "always.db"],
    ]
    .concat();
    let ran = place
        .stride(&always)
        .expect(4)
        .says("stopped: the calls of the first files all failed for one cause")
        .says("ended by signal 9")
        .says("100 files pending");
    let calls = ran
        .stderr
        .split("; ")
        .find_map(|part| part.split(" calls in").next()?.parse().ok());
    assert!(
        calls.is_some_and(|calls: u32| calls < 100),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_a_failed_command_has_printed_is_kept() {
    let place = Place::new();
    let script = "[ $1 = bystander.txt ] || { echo rate limit; echo at once >&2; exit 1; }";
    let call = ["--exec-shell", script];
    let bystander = place.with_bystander_of(&call);
    place.write("a", "a");
    place.stride(&run(&call, &["a"])).expect(3);
    let failures = String::from_utf8(place.stride(&["failures"]).stdout).unwrap();
    assert!(failures.contains("exit 1: rate limit"), "{failures}");
    let rule = ["retry", "--class", "body~rate limit:auth"];
    place.stride(&rule).expect(3).says("exit 1");
    let class = "SELECT class FROM attempt ORDER BY started DESC LIMIT 1";
    assert_eq!(place.sql(class)[0], ["auth"]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_curl_that_takes_refusals_for_answers_is_told() {
    let place = Place::new();
    let bystander = place.with_bystander_of(&["--exec", "cat"]);
    place.write("a", "a");
    for (command, is_told) in [
        ("curl -s http://127.0.0.1:9/ -T \"$1\"", true),
        ("curl -sf http://127.0.0.1:9/ -T \"$1\"", false),
        ("curl --fail-with-body http://127.0.0.1:9/ -T \"$1\"", false),
        ("cat \"$1\"", false),
    ] {
        let ran = place.stride(&run(
            &["--exec-shell", command],
            &["--dry-run", "--db", "x.db", "a"],
        ));
        let ran = ran.expect(0);
        assert_eq!(
            ran.stderr.contains("--fail-with-body to it"),
            is_told,
            "{command}"
        );
    }
    assert_eq!(place.bystander(), bystander);
}
