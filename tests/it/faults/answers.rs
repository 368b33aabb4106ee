//! Invalid answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use super::{counts, named, place, run};
use crate::cli::Place;
use crate::support::{FakeApi, Gate, RawServer, Reply, within_limit};

/// Runs one file, `texts/0000`, against a service with this answer, beside a file that is done.
fn one(reply: Reply, more: &[&str], code: i32) -> Place {
    let api = FakeApi::start(move |request| match request.target.as_str() {
        "/bystander.txt" => Reply::json("\"done before\""),
        _ => reply.clone(),
    });
    let place = place(1);
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.stride(&run(&url, more)).expect(code);
    assert_eq!(place.bystander(), bystander);
    place
}

fn attempt(place: &Place) -> Vec<String> {
    let sql = "SELECT outcome, class, kind, coalesce(status, '') FROM attempt JOIN job ON job.id = attempt.job
               WHERE path LIKE 'texts/%' ORDER BY number LIMIT 1";
    place.sql(sql).concat()
}

/// The head of a request, and the body that it announces.
fn read_request(stream: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
        .unwrap_or(0);
    let _ = stream.take(length).read_to_end(&mut Vec::new());
}

#[test]
fn row_79_an_answer_without_end_is_too_large_and_its_connection_is_dropped() {
    let (dropped, was_dropped) = mpsc::channel();
    let server = RawServer::start(move |mut stream| {
        read_request(&mut stream);
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head);
        // Write until the client closes the connection.
        while stream.write_all(b"4\r\n1234\r\n").is_ok() {}
        let _ = dropped.send(());
    });
    let place = place(1);
    let url = server.url();
    place
        .stride(&run(&url, &["--max-response", "256KiB"]))
        .expect(3)
        .says("--max-response");
    within_limit(move || was_dropped.recv().unwrap());
    assert_eq!(
        attempt(&place),
        ["failed", "bad_response", "response_too_large", "200"]
    );
}

#[test]
fn row_80_the_timeout_of_the_call_ends_an_answer_that_drips_and_leaves_doubt() {
    let body = "\"0123456789\"".repeat(1000);
    let reply = Reply::drip(body, 1, Duration::from_millis(20));
    let words = [
        "--timeout",
        "400ms",
        "--idle-timeout",
        "10s",
        "--in-doubt",
        "hold",
    ];
    let place = one(reply, &words, 3);
    assert_eq!(attempt(&place)[..3], ["in_doubt", "transient", "timeout"]);
    counts(&place, &[("held", 1), ("done", 1)]);
}

#[test]
fn row_81_a_truncated_answer_is_never_a_result() {
    for reply in [
        Reply::truncated("{\"a\": 1}", 100),
        Reply::text("{\"a\": 1}").chunked_and_cut_off(4),
    ] {
        let place = one(
            reply,
            &["--in-doubt", "hold", "--expect", "any", "--accept-change"],
            3,
        );
        assert_eq!(attempt(&place)[..3], ["in_doubt", "transient", "truncated"]);
        counts(&place, &[("held", 1), ("done", 1)]);
        assert_eq!(place.sql("SELECT count(*) FROM result").concat(), ["1"]);
        assert_eq!(
            place.sql("SELECT count(*) FROM rejected_response").concat(),
            ["0"]
        );
    }
}

#[test]
fn row_82_a_bomb_is_refused_within_the_bound() {
    const UNPACKED: usize = 256 << 20;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..UNPACKED / zeros.len() {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let gate = Gate::default();
    let api = {
        let gate = gate.clone();
        FakeApi::start(move |request| match request.target.as_str() {
            "/0000" => Reply::status(200)
                .body("application/json", bomb.clone())
                .header("content-encoding", "gzip"),
            _ => Reply::json(1).when(&gate),
        })
    };
    let place = place(2);
    let url = named(&api);
    let going_on = place.begin(&run(&url, &["-j", "1", "--max-response", "4MiB"]));
    // The second call is in flight, so the first is over and the process can be measured.
    api.wait_for(2);
    let peak = going_on.peak_memory();
    gate.open();
    going_on.end().expect(3);
    assert!(peak < 100 << 10, "{peak} KiB");
    assert_eq!(
        attempt(&place),
        ["failed", "bad_response", "response_too_large", "200"]
    );
}

#[test]
fn row_83_an_answer_that_is_not_json_is_a_result_only_if_allowed() {
    let html = "<html><body>502 Bad Gateway</body></html>";
    for reply in [
        Reply::status(200).body("text/html", html),
        Reply::status(200).body("application/json", html),
        Reply::text("plain"),
        Reply::status(200).body("application/json", ""),
        Reply::status(204),
    ] {
        let place = one(reply.clone(), &[], 3);
        assert_eq!(attempt(&place)[..3], ["failed", "bad_response", "not_json"]);
        let place = one(reply, &["--expect", "any", "--accept-change"], 0);
        counts(&place, &[("done", 2)]);
    }
    let place = one(Reply::status(200).body("text/html", html), &[], 3);
    assert_eq!(
        place
            .sql("SELECT CAST(body AS TEXT) FROM rejected_response")
            .concat(),
        [html]
    );
}

#[test]
fn rows_84_and_86_almost_json_is_rejected_and_kept_byte_for_byte() {
    let brackets = "[".repeat(1_000_000);
    for body in [
        &b"\"\xff\""[..],
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"{} {}",
        b"{} and more",
        brackets.as_bytes(),
    ] {
        let place = one(Reply::status(200).body("application/json", body), &[], 3);
        assert_eq!(
            attempt(&place),
            ["failed", "bad_response", "not_json", "200"]
        );
        let kept = place
            .sql("SELECT hex(body) FROM rejected_response")
            .concat()
            .concat();
        let hex: String = body.iter().map(|byte| format!("{byte:02X}")).collect();
        assert!(kept == hex);
    }
}

#[test]
fn row_85_json_is_recorded_and_exported_byte_for_byte() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for body in [
        r#"{"a": 1, "a": 2}"#,
        "1234567890123456789012345",
        "1e400",
        r#"["\ud800"]"#,
        &deep,
    ] {
        let place = one(Reply::status(200).body("application/json", body), &[], 0);
        let exported = place.stride(&["export"]).expect(0).stdout;
        let exported = String::from_utf8(exported).unwrap();
        assert!(
            exported.contains(&format!("\"texts/0000\": {body}\n")),
            "{exported}"
        );
    }
}

#[test]
fn row_87_an_answer_that_is_not_http_leaves_doubt_and_uses_no_memory() {
    let flood = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(20_000));
    for answer in [
        flood.as_str(),
        &long,
        &many,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "nothing of that kind\r\n\r\n",
    ] {
        let reply = Reply::raw(answer).then_close();
        let place = one(reply, &["--in-doubt", "hold"], 3);
        assert_eq!(
            attempt(&place)[..2],
            ["in_doubt", "transient"],
            "{}",
            &answer[..20]
        );
        counts(&place, &[("held", 1), ("done", 1)]);
    }
}

#[test]
fn row_88_an_echoed_secret_is_masked_in_files_and_messages() {
    const SECRET: &str = "sk-0f1e2d3c4b5a69788796";
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/0000" => Reply::text(format!("{:?}", request.headers)).with_status(400),
        // A rejected success, which is kept whole.
        "/0001" => Reply::text(format!("{:?}", request.headers)),
        _ => Reply::json(1),
    });
    let place = place(2);
    let url = named(&api);
    let header = "Authorization: Bearer {env:KEY}";
    let words = run(&url, &["-H", header, "--events", "events"]);
    place.stride_with(&[("KEY", SECRET)], &words).expect(3);
    assert_eq!(
        api.log()[0].request.header("authorization").unwrap().len(),
        7 + SECRET.len()
    );
    for name in ["stride.db", "events"] {
        let written = std::fs::read(place.at(name)).unwrap();
        let found = written
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!found, "{name}");
    }
    let masked =
        "SELECT count(*) FROM (SELECT body FROM attempt UNION ALL SELECT body FROM rejected_response)
                  WHERE instr(CAST(body AS TEXT), '[redacted]') > 0";
    assert_eq!(place.sql(masked).concat(), ["3"]);
}

#[test]
fn row_143_many_large_answers_are_judged_in_bounded_memory() {
    const FILES: usize = 6;
    const SIZE: usize = 4 << 20;
    let gate = Gate::default();
    let large = format!("[{}[]]", "[[]],".repeat(SIZE / 5));
    let api = FakeApi::start({
        let gate = gate.clone();
        move |request| match request.target.ends_with("last") {
            true => Reply::json(1).when(&gate),
            false => Reply::json(&large),
        }
    });
    let place = place(FILES);
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.write("last", "last");
    let judged = "type == \"array\" or . == 1";
    let words = ["-j", "7", "--accept-change", "--success", judged];
    let words = [&run(&url, &words)[..], &["last"]].concat();
    let running = place.begin(&words);
    let done = (FILES + 1).to_string();
    place.until(|| place.sql("SELECT done FROM counts") == [[done.clone()]]);
    let peak = running.peak_memory();
    gate.open();
    running.end().expect(0);
    assert_eq!(place.bystander(), bystander);
    // Their values alone, all at once, would be 380 MiB.
    assert!(peak < 300 << 10, "{peak} KiB");
}
