//! `--worker -`: the program that starts stride makes the calls. Here that is the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Place;
use crate::support::within_limit;

/// A stride that this program has started.
struct Started {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

/// The end of such a stride: its code and what it wrote to stderr.
type Ended = (Option<i32>, String);

impl Started {
    fn new(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self {
            to: child.stdin.take(),
            child,
            from,
        }
    }

    /// Begins a command, and answers its hello.
    fn greeted(place: &Place, words: &[&str], hello: Value) -> Self {
        let mut started = Self::new(&mut place.command(words));
        let first = started.message();
        assert_eq!(
            (&first["t"], &first["protocol"]),
            (&json!("hello"), &json!([1]))
        );
        started.send(hello);
        started
    }

    fn message(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        // No Rust string has half of a surrogate pair.
        serde_json::from_str(&line.replace("\\udc", "U+DC").replace("U+DCff", "U+DCFF"))
            .unwrap_or_else(|_| {
                let mut said = String::new();
                let stderr = self.child.stderr.as_mut().unwrap();
                stderr.read_to_string(&mut said).unwrap();
                panic!("no message: {line:?}\n{said}")
            })
    }

    /// The next message that is not about progress.
    fn order(&mut self) -> Value {
        loop {
            let message = self.message();
            if message["t"] != "status" {
                return message;
            }
        }
    }

    fn call(&mut self) -> Value {
        let call = self.order();
        assert_eq!(call["t"], "call", "{call}");
        call
    }

    fn send(&mut self, message: Value) {
        self.write(&format!("{message}\n"));
    }

    fn write(&mut self, text: &str) {
        let to = self.to.as_mut().unwrap();
        to.write_all(text.as_bytes()).unwrap();
    }

    fn done(&mut self, call: &Value, answer: &Value) {
        self.send(json!({"t": "done", "id": call["id"], "json": answer}));
    }

    /// Answers every call with its name, until `bye`. Returns the last message about progress.
    fn serve(&mut self) -> Option<Value> {
        let mut status = None;
        loop {
            let message = self.message();
            match message["t"].as_str().unwrap() {
                "call" => self.done(&message, &message["name"]),
                "status" => status = Some(message),
                "bye" => return status,
                _ => panic!("{message}"),
            }
        }
    }

    fn end(mut self) -> Ended {
        self.to = None;
        self.end_open()
    }

    /// The end of a stride whose pipe stays open.
    fn end_open(self) -> Ended {
        let Self { child, to, from } = self;
        let (output, rest) = within_limit(move || {
            let output = child.wait_with_output().unwrap();
            (output, from.lines().map(Result::unwrap).collect::<Vec<_>>())
        });
        drop(to);
        assert_eq!(rest, [""; 0], "nothing follows `bye`");
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

fn hello(width: usize) -> Value {
    json!({"t": "hello", "protocol": 1, "name": "f", "version": "1", "width": width})
}

/// A run of these files, whose calls the test makes.
const RUN: [&str; 5] = ["run", "--worker", "-", "--rate", "none"];

/// A place with a done file.
fn place() -> (Place, Vec<Vec<String>>) {
    let place = Place::new();
    place.write("bystander.txt", "x");
    let words = [&RUN[..], &["bystander.txt"]].concat();
    let mut started = Started::greeted(&place, &words, hello(1));
    started.serve();
    assert_eq!(started.end().0, Some(0));
    let rows = place.bystander();
    (place, rows)
}

fn run<'w>(more: &[&'w str]) -> Vec<&'w str> {
    [&RUN[..], more].concat()
}

#[test]
fn the_program_that_starts_stride_makes_the_calls() {
    let (place, bystander) = place();
    place.write("list", b"\xff\n\0a\0-rf\0");
    // The names need not be those of files.
    let words = run(&["--files-from", "list", "-0", "-j", "3", "--timeout", "9s"]);
    let mut started = Started::greeted(&place, &words, hello(2));
    let first = started.call();
    let file = place.at("").canonicalize().unwrap().join("a");
    assert_eq!(
        first,
        json!({
            "t": "call", "id": 1, "name": "a", "file": file, "position": 2, "chunk": 0, "attempt": 1, "key": first["key"],
            "repeat": false, "timeout": 9.0, "fields": {},
        })
    );
    started.write("{\"t\":\"done\",\"id\":1,\"json\": [1.0, \"\\u00e9\"]}\n");
    // Each seat of the width has a call.
    let (second, third) = (started.call(), started.call());
    let mut names = [&second["name"], &third["name"]];
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["-rf", "U+DCFF\n"]);
    let text = format!(
        "{{\"t\":\"done\",\"id\":{},\"text\":\"so so\"}}\n",
        second["id"]
    );
    let bytes = format!(
        "{{\"t\":\"done\",\"id\":{},\"bytes\":3}}\na\nb\n",
        third["id"]
    );
    started.write(&(text + &bytes));
    assert_eq!(started.order(), json!({"t": "bye"}));
    let (code, said) = started.end();
    assert_eq!(code, Some(0), "{said}");
    let results = place.sql("SELECT media_type, CAST(body AS TEXT) FROM result ORDER BY job");
    let mut results: Vec<String> = results.iter().map(|row| row.join(" ")).collect();
    results.sort();
    let expected = [
        "application/json \"bystander.txt\"",
        "application/json [1.0, \"\\u00e9\"]",
        "application/octet-stream a\nb",
        "text/plain; charset=utf-8 so so",
    ];
    assert_eq!(results, expected);
    assert_eq!(place.bystander(), bystander);
    place.stride(&["verify"]).expect(0);
}

#[test]
fn progress_is_reported_to_a_program_that_asks() {
    let (place, bystander) = place();
    let names = place.texts(5);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asking = json!({"t": "hello", "name": "f", "version": "1", "width": 9, "status": true});
    let mut started = Started::greeted(&place, &run(&names), asking);
    let last = started.serve().unwrap();
    let expected =
        json!({"total": 6, "pending": 0, "running": 0, "done": 6, "failed": 0, "held": 0});
    assert_eq!((&last["counts"], &last["finish"]), (&expected, &json!(0.0)));
    assert_eq!(started.end().0, Some(0));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn the_program_stops_the_run_as_ctrl_c_does() {
    for now in [false, true] {
        let (place, bystander) = place();
        let words = run(&["--files-from", "list", "-j", "2"]);
        place.write("list", "a\nb\nc\n");
        let mut started = Started::greeted(&place, &words, hello(2));
        // The first call goes alone.
        let first = started.call();
        started.done(&first, &json!(1));
        let (second, third) = (started.call(), started.call());
        started.send(json!({"t": "stop", "now": now}));
        if now {
            let cancels = [started.order(), started.order()];
            assert!(
                cancels.iter().all(|cancel| cancel["t"] == "cancel"),
                "{cancels:?}"
            );
            // An answer that comes soon is recorded.
            started.done(&second, &json!(2));
        } else {
            started.done(&second, &json!(2));
            started.done(&third, &json!(3));
        }
        assert_eq!(started.order()["t"], "bye");
        let (code, said) = started.end();
        assert_eq!(code, Some(130), "{said}");
        let status = place.status();
        let expected = if now { (3, 1) } else { (4, 0) };
        assert_eq!(
            (&status["done"], &status["in_doubt"]),
            (&json!(expected.0), &json!(expected.1)),
            "{said}"
        );
        assert_eq!(place.bystander(), bystander);
    }
}

#[test]
fn row_150_the_death_of_the_program_ends_the_run_and_leaves_doubt() {
    let (place, bystander) = place();
    place.write("list", "a\nb\nc\n");
    let words = run(&["--files-from", "list", "-j", "2"]);
    let mut started = Started::greeted(&place, &words, hello(2));
    let first = started.call();
    started.done(&first, &json!(1));
    started.call();
    started.call();
    // A part of an answer is none.
    started.write("{\"t\":\"done\",\"id\":2,\"bytes\":9}\nabc");
    started.to = None;
    let (code, said) = {
        let Started { child, .. } = started;
        let output = within_limit(move || child.wait_with_output().unwrap());
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("2 files in doubt"), "{said}");
    let rows =
        place.sql("SELECT kind, charged FROM attempt JOIN work USING (job) WHERE kind IS NOT NULL");
    assert_eq!(rows, [["stopped", "0"], ["stopped", "0"]]);
    // The same calls again, under the same keys.
    let mut again = Started::greeted(&place, &words, hello(2));
    let call = again.call();
    assert_eq!(
        (&call["attempt"], &call["repeat"]),
        (&json!(2), &json!(true))
    );
    again.done(&call, &json!(2));
    again.serve();
    assert_eq!(again.end().0, Some(0));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_152_a_program_that_stops_in_the_middle_of_an_answer_costs_no_file() {
    let (place, bystander) = place();
    place.write("list", "a\nb\nc\n");
    let words = run(&["--files-from", "list", "-j", "2", "--retries", "0"]);
    let timed = [&words[..], &["--timeout", "100ms"]].concat();
    let mut started = Started::greeted(&place, &timed, hello(2));
    let first = started.call();
    started.done(&first, &json!(1));
    started.call();
    started.call();
    started.write("{\"t\":\"done\",\"id\":2,\"bytes\":9}\nabc");
    let cancels = [started.order(), started.order()];
    assert!(
        cancels.iter().all(|cancel| cancel["t"] == "cancel"),
        "{cancels:?}"
    );
    let (code, said) = started.end_open();
    assert_eq!(code, Some(4), "{said}");
    let stopped = "the program that started stride stopped in the middle of a line or of an answer";
    assert!(said.contains(stopped), "{said}");
    let hint = "hint: correct the program, then: start the program again\n";
    assert!(said.contains(hint), "{said}");
    let rows = place
        .sql("SELECT kind, charged FROM attempt JOIN work USING (job) WHERE outcome = 'in_doubt'");
    assert_eq!(rows, [["protocol", "0"], ["protocol", "0"]]);
    let mut again = Started::greeted(&place, &words, hello(2));
    again.serve();
    assert_eq!(again.end().0, Some(0));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_152_a_second_answer_of_the_program_is_told() {
    let (place, bystander) = place();
    place.write("list", "a\n");
    let words = run(&["--files-from", "list"]);
    let mut started = Started::greeted(&place, &words, hello(1));
    let first = started.call();
    // It is the last message of all.
    let answer = json!({"t": "done", "id": first["id"]});
    started.write(&format!("{answer}\n{answer}\n"));
    let (code, said) = started.end_open();
    assert_eq!(code, Some(0), "{said}");
    let told =
        "warning: the program that started stride: broke the protocol: a second answer to a: `{";
    assert!(said.contains(told), "{said}");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn another_program_is_refused_by_name() {
    let (place, bystander) = place();
    let words = run(&["--files-from", "list"]);
    place.write("list", "a\n");
    let other = json!({"t": "hello", "name": "g", "version": "1"});
    let mut started = Started::greeted(&place, &words, other.clone());
    assert_eq!(started.order()["t"], "bye");
    let (code, said) = started.end();
    assert_eq!(code, Some(2), "{said}");
    for words in ["worker name: f", "worker name: g", "--accept-change"] {
        assert!(said.contains(words), "{said}");
    }
    // Also if nothing is left to call.
    place.stride(&["forget", "a"]).expect(0);
    let mut started = Started::greeted(&place, &words, other.clone());
    assert_eq!(started.order()["t"], "bye");
    assert_eq!(started.end().0, Some(2));
    place.stride(&["forget", "--undo", "a"]).expect(0);
    let accepting = [&words[..], &["--accept-change"]].concat();
    let mut started = Started::greeted(&place, &accepting, other);
    started.serve();
    assert_eq!(started.end().0, Some(0));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn another_source_is_told_once_and_accepted() {
    let (place, bystander) = place();
    let run = |source: Option<&str>, names: &str| {
        place.write("list", names);
        let hello = json!({"t": "hello", "name": "f", "version": "1", "source": source});
        let mut started = Started::greeted(&place, &run(&["--files-from", "list"]), hello);
        started.serve();
        let (code, said) = started.end();
        assert_eq!(code, Some(0), "{said}");
        said.contains("warning: the source of f has changed; 2 results of the old one will stay")
    };
    // A run that knows no source yet takes it.
    let told = [
        (None, "a\n"),
        (Some("1"), "a\n"),
        (Some("1"), "a\n"),
        (Some("2"), "a\nb\n"),
        (Some("2"), "a\nb\n"),
    ]
    .map(|(source, names)| run(source, names));
    assert_eq!(told, [false, false, false, true, false]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_refusal_of_its_calls_is_told_in_its_terms() {
    let (place, bystander) = place();
    place.write("list", place.texts(60).join("\n"));
    let words = run(&["--files-from", "list"]);
    let mut started = Started::greeted(&place, &words, hello(1));
    loop {
        let order = started.order();
        if order["t"] == "bye" {
            break;
        }
        started
            .send(json!({"t": "fail", "id": order["id"], "class": "auth", "message": "bad key"}));
    }
    let (code, said) = started.end();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("in Python, raise stride.Rejected"), "{said}");
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn only_the_program_itself_goes_on_with_its_run() {
    let (place, bystander) = place();
    place.write("list", "a\n");
    let words = run(&["--files-from", "list", "--retries", "0"]);
    let mut started = Started::greeted(&place, &words, hello(1));
    let call = started.call();
    started.send(json!({"t": "fail", "id": call["id"], "kind": "ValueError", "message": "no\n good", "body": "trace"}));
    started.serve();
    let (code, said) = started.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("ValueError: no good"), "{said}");
    let retry =
        "stride retry --queue-only   has the program call the failed files again when you start it";
    assert!(said.contains(retry), "{said}");
    for command in [&["resume"][..], &["retry"], &["try", "a"]] {
        place
            .stride(command)
            .expect(2)
            .says("the program that starts stride: f")
            .says("start that program again");
    }
    // A start alone would not call the failed file.
    place.stride(&["retry"]).says("add --queue-only");
    let mut again = Started::greeted(&place, &["retry", "--worker", "-"], hello(1));
    let call = again.call();
    assert_eq!((&call["name"], &call["attempt"]), (&json!("a"), &json!(2)));
    again.done(&call, &json!(1));
    again.serve();
    assert_eq!(again.end().0, Some(0));
    let mut again = Started::greeted(&place, &["resume", "--worker", "-"], hello(1));
    assert_eq!(again.order()["t"], "bye");
    assert_eq!(again.end().0, Some(0));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn standard_input_is_for_the_protocol_alone() {
    let place = Place::new();
    place.write("list", "a\n");
    let with_list = run(&["--files-from", "-"]);
    place
        .stride(&with_list)
        .expect(2)
        .says("no list can come there")
        .says("/dev/fd/N");
    assert!(!place.at("stride.db").exists());
    // What else goes to standard output does not reach the program.
    let words = run(&[
        "--files-from",
        "list",
        "--on-finish",
        "echo said",
        "--sample",
        "1",
    ]);
    let mut started = Started::greeted(&place, &words, hello(1));
    started.serve();
    let (code, said) = started.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("said") && said.contains("a\tdone"), "{said}");
}

#[test]
fn a_signal_stops_the_run_as_ever() {
    let (place, bystander) = place();
    place.write("list", "a\nb\n");
    let words = run(&["--files-from", "list"]);
    let mut started = Started::greeted(&place, &words, hello(1));
    let call = started.call();
    kill_process(Pid::from_child(&started.child), Signal::TERM).unwrap();
    started.done(&call, &json!(1));
    started.serve();
    assert_eq!(started.end().0, Some(143));
    assert_eq!(place.bystander(), bystander);
}
