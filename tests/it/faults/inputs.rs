//! Unusual and invalid lists and files.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;

use super::{counts, named};
use crate::cli::{Place, listed};
use crate::support::{FakeApi, RawServer, Reply, within_limit};

/// A service that echoes its requests.
fn echo() -> FakeApi {
    FakeApi::start(|request| {
        let body = String::from_utf8_lossy(&request.body);
        Reply::json(json!({"target": request.target, "body": body}))
    })
}

/// The failure kind of each failed job, in list order.
fn kinds(place: &Place) -> Vec<Vec<String>> {
    place.sql("SELECT path, kind, outcome FROM work JOIN job ON job.id = work.job JOIN attempt ON job.id = attempt.job WHERE state = 3 ORDER BY job.id")
}

#[test]
fn row_45_blank_lines_are_counted_and_the_last_line_needs_no_end() {
    let api = echo();
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    for name in ["first", " spaces ", "carriage\r", "\u{feff}mark", "last"] {
        place.write(name, "x");
    }
    place.write(
        "list",
        "first\n\n spaces \n\ncarriage\r\n\u{feff}mark\nlast",
    );
    place
        .stride(&["run", "--url", &url, "--files-from", "list"])
        .expect(0)
        .says("list: 5 files")
        .says("2 skipped (blank line)");
    // In a table, the byte-order mark and line ends belong to the format and not to a name.
    place.write("table", "\u{feff}path\r\nfirst\r\n\r\nlast\r\n");
    place
        .stride(&[
            "run",
            "--url",
            &url,
            "--files-from",
            "table",
            "--list-format",
            "csv",
        ])
        .expect(0)
        .says("list: 2 files, none of them new");
    assert_eq!(api.requests(), 6);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_46_a_new_run_that_is_killed_while_it_reads_its_list_leaves_no_run() {
    let api = echo();
    let place = Place::new();
    place.texts(50);
    let words = ["run", "--url", &named(&api), "--files-from", "-"];
    let mut command = place.command(&words);
    let mut run = command
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = run.stdin.take().unwrap();
    let names: String = (0..50).map(|i| format!("texts/{i:04}\n")).collect();
    stdin.write_all(names.as_bytes()).unwrap();
    place.until(|| listed(&place.at("")).contains(&".stride.db.new".to_owned()));
    run.kill().unwrap();
    run.wait().unwrap();
    drop(stdin);
    place.stride(&["status"]).expect(6).says("there is no run");
    place
        .stride(&["run", "--url", &named(&api), "texts"])
        .expect(0);
    counts(&place, &[("total", 50), ("done", 50)]);
    assert_eq!(
        listed(&place.at("")),
        [".home", "stride.db", "stride.db.lock", "texts"]
    );
}

#[test]
fn rows_47_and_51_names_are_the_same_where_their_bytes_are() {
    let api = echo();
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    place.write(composed, "one");
    place.write(decomposed, "two");
    place.write("a", "a");
    place.write(
        "list",
        format!("a\n./a\na\n{composed}\n{decomposed}\n{composed}\n"),
    );
    place
        .stride(&["run", "--url", &url, "--files-from", "list"])
        .expect(0)
        .says("list: 3 files; 3 duplicates collapsed");
    assert_eq!(api.requests(), 4);
    let exported = place.stride(&["export"]).expect(0).json();
    assert_eq!(exported[composed]["body"], "one");
    assert_eq!(exported[decomposed]["body"], "two");
    assert_eq!(exported["./a"], json!(null));
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn rows_52_to_55_an_unreadable_file_fails_without_a_call_and_delays_no_other() {
    let api = echo();
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.write("elsewhere/file", "far away");
    place.write("in/good", "good");
    symlink("loop", place.at("in/loop")).unwrap();
    symlink("../elsewhere/file", place.at("in/link")).unwrap();
    symlink("nowhere", place.at("in/nothing")).unwrap();
    let _socket = UnixListener::bind(place.at("in/socket")).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, place.at("in/fifo"), kind, mode, 0).unwrap();
    // Reading it fails like reading from a broken disk.
    let broken = "/proc/self/mem";
    let list = [
        "in/good",
        "in/link",
        "in/loop",
        "in/nothing",
        "in/socket",
        "in/fifo",
        "/proc/version",
        broken,
    ];
    place.write("list", list.join("\n"));
    place
        .stride(&["run", "--url", &url, "--files-from", "list"])
        .expect(3);
    assert_eq!(api.requests(), 3);
    let failed = kinds(&place);
    let failed: Vec<(&str, &str)> = failed
        .iter()
        .map(|row| {
            assert_eq!(row[2], "not_sent");
            (row[0].as_str(), row[1].as_str())
        })
        .collect();
    let not = "not_a_regular_file";
    let expected = [
        ("in/loop", "input_unreadable"),
        ("in/nothing", "input_missing"),
        ("in/socket", not),
        ("in/fifo", not),
        ("/proc/version", not),
        (broken, "input_unreadable"),
    ];
    assert_eq!(failed, expected);
    let exported = place.stride(&["export", "--partial"]).expect(0).json();
    assert_eq!(exported["in/link"]["body"], "far away");
    // A walk skips such files.
    let walked = Place::new();
    let bystander_there = walked.with_bystander(&url);
    let folder = place.at("in");
    let words = ["run", "--url", &url, folder.to_str().unwrap()];
    walked
        .stride(&words)
        .expect(0)
        .says("list: 2 files; 4 skipped (not a file)");
    assert_eq!(walked.bystander(), bystander_there);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_53_a_file_that_may_not_be_read_fails_without_a_call() {
    use std::os::unix::fs::PermissionsExt as _;
    let api = echo();
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.write("secret", "x");
    let nobodys = fs::Permissions::from_mode(0o000);
    fs::set_permissions(place.at("secret"), nobodys).unwrap();
    // The superuser may read everything, unless it drops the capability.
    let lesser = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let starter = if fs::read(place.at("secret")).is_ok() {
        &lesser[..]
    } else {
        &[]
    };
    let words = ["run", "--url", &url, "secret"];
    place
        .begin_command(&mut place.command_under(starter, &words))
        .end()
        .expect(3);
    assert_eq!(kinds(&place), [["secret", "input_unreadable", "not_sent"]]);
    assert_eq!(api.requests(), 1);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_56_an_empty_file_is_called_like_any_other() {
    let api = echo();
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.write("empty", "");
    place.stride(&["run", "--url", &url, "empty"]).expect(0);
    let call = &api.log()[1];
    assert_eq!(call.request.header("content-length"), Some("0"));
    assert_eq!(place.bystander(), bystander);
}

/// More than four gigabytes, in a sparse file.
#[test]
fn row_57_a_huge_file_is_streamed_in_little_memory() {
    const SIZE: u64 = (4 << 30) + 1;
    let (tell, told) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let server = RawServer::start(move |mut stream| {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
            head.push(byte[0]);
        }
        let (mut buffer, mut got) = (vec![0; 1 << 20], 0);
        while got < SIZE {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(read) => got += read as u64,
            }
        }
        let _ = tell.send((String::from_utf8(head).unwrap(), got));
        let _ = wait.recv();
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n1";
        let _ = stream.write_all(answer.as_bytes());
    });
    let place = Place::new();
    let file = fs::File::create(place.at("huge")).unwrap();
    file.set_len(SIZE).unwrap();
    let run = place.begin(&["run", "--url", &server.url(), "huge"]);
    let (head, got) = within_limit(move || told.recv().unwrap());
    assert!(
        head.contains(&format!("content-length: {SIZE}\r\n")),
        "{head}"
    );
    assert_eq!(got, SIZE);
    let peak = run.peak_memory();
    go_on.send(()).unwrap();
    run.end().expect(0);
    assert!(peak < 100 << 10, "{peak} KiB");
}

/// A repeated call sends the file's present content: under a new key after an answer, and under the old one after
/// doubt, so that a service that knows the key can reject the other content (row 77).
#[test]
fn row_59_a_changed_file_is_sent_with_its_new_content() {
    let api = FakeApi::start(|request| match (request.target.as_str(), request.attempt) {
        ("/answered", 0) => Reply::status(422),
        ("/doubtful", 0) => Reply::close(),
        _ => Reply::json(1),
    });
    let place = Place::new();
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.write("answered", "old");
    place.write("doubtful", "old");
    let words = [
        "run",
        "--retries",
        "0",
        "--in-doubt",
        "hold",
        "--url",
        &url,
        "answered",
        "doubtful",
    ];
    place.stride(&words).expect(3);
    counts(&place, &[("failed", 1), ("held", 1)]);
    place.write("answered", "new and longer");
    place.write("doubtful", "new and longer");
    place.stride(&["retry", "--queue-only"]).expect(0);
    place.stride(&["retry", "--held"]).expect(0);
    for target in ["/answered", "/doubtful"] {
        let calls = api.log();
        let of = calls.iter().filter(|call| call.target == target);
        let of: Vec<_> = of.collect();
        assert_eq!(
            (&*of[0].body, &*of[1].body),
            (&b"old"[..], &b"new and longer"[..])
        );
        assert_ne!(of[0].key, of[1].key, "{target}");
    }
    assert_eq!(place.bystander(), bystander);
}

/// Runs a request that reads a part from a file, and returns its output.
#[track_caller]
fn refused(place: &Place, words: &[&str], says: &str) {
    let run = [
        &["run", "--url", "http://127.0.0.1:9/{name}"],
        words,
        &["a.txt"],
    ]
    .concat();
    place.stride(&run).expect(2).says(says);
}

#[test]
fn row_120_a_file_without_end_is_refused_as_part_of_a_request() {
    let place = Place::new();
    let api = echo();
    let bystander = place.with_bystander(&named(&api));
    place.write("a.txt", "x");
    for words in [
        ["-d", "@/dev/zero"],
        ["--data-urlencode", "x@/dev/zero"],
        ["--json", "@/dev/zero"],
        ["-K", "/dev/zero"],
        ["-H", "@/dev/zero"],
        ["--cacert", "/dev/zero"],
        ["-H", "X-Key: {file:/dev/zero}"],
        ["-H", "X-Key: {cmd:yes}"],
    ] {
        refused(&place, &words, "it is larger than");
    }
    for flag in ["--cert", "--key"] {
        refused(
            &place,
            &["--cert", "/dev/zero", flag, "/dev/zero"],
            "it is larger than",
        );
    }
    place
        .stride_with(
            &[("NETRC", "/dev/zero")],
            &["run", "-n", "--url", &named(&api), "a.txt"],
        )
        .expect(2)
        .says("/dev/zero cannot be read: it is larger than");
    // `-n` without a bound would be another request.
    let own = ".home/.config/stride/stride.toml";
    place.write(own, "#".repeat(70_000));
    refused(&place, &[], "it is larger than");
    fs::remove_file(place.at(own)).unwrap();
    assert_eq!(api.requests(), 1, "only the bystander's");
    assert_eq!(place.bystander(), bystander);
}

/// stride reports a pipe or a command that produces nothing, and continues when it produces something.
#[test]
fn row_121_a_wait_for_input_is_reported_and_ends_when_the_input_arrives() {
    let api = echo();
    let cases = [
        (
            &["-d", "@pipe"][..],
            "waiting for a program to write into pipe",
            "hello {name}",
        ),
        (
            &["-H", "@pipe"],
            "waiting for a program to write into pipe",
            "X-Key: k",
        ),
        (
            &["-K", "pipe"],
            "waiting for a program to write into pipe",
            "header = X-Key:k",
        ),
        (
            &["-H", "X-Key: {file:pipe}"],
            "waiting for a program to write into /",
            "key",
        ),
        (
            &["-H", "X-Key: {cmd:cat pipe}"],
            "waiting for the command of {cmd:cat pipe}",
            "key",
        ),
        (
            &["-H", "X-Key: {cmd:echo key; exec >&-; read end < pipe}"],
            "waiting for the command of {cmd:echo key; ",
            "end\n",
        ),
        (
            &["--files-from", "pipe"],
            "waiting for a list from the pipe pipe",
            "a.txt\n",
        ),
    ];
    let url = &named(&api);
    thread::scope(|scope| {
        for (words, waits, written) in cases {
            scope.spawn(move || waited_for(url, words, waits, written));
        }
        // stride cannot report the wait for a certificate, so the wait is shorter.
        scope.spawn(|| {
            let place = Place::new();
            place.write("a.txt", "x");
            mkfifoat(CWD, place.at("pipe"), Mode::RWXU).unwrap();
            refused(
                &place,
                &["--cacert", "pipe"],
                "pipe cannot be used: it did not end",
            );
            assert_eq!(listed(&place.at("")), ["a.txt", "pipe"]);
        });
    });
}

/// Runs a request that waits until something is written into a pipe.
fn waited_for(url: &str, words: &[&str], waits: &str, written: &str) {
    let place = Place::new();
    let bystander = place.with_bystander(url);
    place.write("a.txt", "x");
    mkfifoat(CWD, place.at("pipe"), Mode::RWXU).unwrap();
    let run = [&["run", "--accept-change", "--url", url], words, &["a.txt"]].concat();
    let running = place.begin(&run);
    running.until_says(waits);
    fs::write(place.at("pipe"), written).unwrap();
    let ran = running.end();
    assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
    assert_eq!(
        ran.stderr.matches("waiting for").count(),
        1,
        "{}",
        ran.stderr
    );
    counts(&place, &[("done", 2)]);
    assert_eq!(place.bystander(), bystander);
}
