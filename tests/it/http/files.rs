//! The file as the request's body.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::thread;

use stride::caller::{Caller, Cancel};
use stride::job::{Class, Job, Outcome};

use super::{Client, attempt, failed, succeeded};
use crate::support::{FakeApi, RawServer, Reply};

/// Bytes without repeated pieces.
fn noise(size: usize) -> Vec<u8> {
    (0..size)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8)
        .collect()
}

#[test]
fn a_file_arrives_byte_for_byte_with_its_length() {
    let api = FakeApi::start(|request| Reply::json(request.body.len()));
    let client = Client::post(&api.url());
    let mut caller = client.caller();
    let sizes = [1, 65_535, 65_536, 65_537, 131_072, 5 << 20];
    for (n, size) in sizes.into_iter().enumerate() {
        let bytes = noise(size);
        let job = client.job(format!("{size}").as_str(), &bytes);
        let answer = succeeded(caller.call(&job, &attempt(1), &Cancel::new()));
        assert_eq!(answer.body, size.to_string().into_bytes());
        let logged = &api.log()[n];
        assert!(*logged.body == *bytes, "{size} bytes");
        assert_eq!(
            logged.request.header("content-length"),
            Some(size.to_string().as_str())
        );
        assert_eq!(logged.request.count("transfer-encoding"), 0);
    }
    assert_eq!(api.accepted(), 1);
}

/// Without a length, some services answer 411 (RFC 9110, section 8.6, says that one should be sent).
#[test]
fn row_56_an_empty_file_arrives_with_its_length() {
    let api = FakeApi::start(|_| Reply::json(1));
    let client = Client::post(&api.url());
    succeeded(client.call_for(&client.job("empty", b"")));
    let logged = &api.log()[0];
    assert_eq!(
        (logged.body.len(), logged.request.header("content-length")),
        (0, Some("0"))
    );
}

#[test]
fn methods_without_a_body_send_none() {
    let api = FakeApi::start(|_| Reply::text(1));
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let client = Client::post(&format!("{}/{method}", api.url())).method(method);
        succeeded(client.call());
    }
    for logged in api.log() {
        let request = &logged.request;
        assert_eq!(format!("/{}", request.method), request.target);
        assert_eq!(request.body.len(), 0);
        for header in ["content-length", "content-type", "transfer-encoding"] {
            assert_eq!(request.header(header), None, "{} {header}", request.method);
        }
        assert!(request.key().is_some());
    }
}

#[test]
fn every_other_method_sends_the_file() {
    let api = FakeApi::start(|_| Reply::json(1));
    for method in ["POST", "PUT", "PATCH", "PURGE", "get"] {
        succeeded(Client::post(&api.url()).method(method).call());
    }
    let sent: Vec<(String, usize)> = api
        .log()
        .iter()
        .map(|l| (l.request.method.clone(), l.body.len()))
        .collect();
    assert_eq!(
        sent,
        ["POST", "PUT", "PATCH", "PURGE", "get"].map(|method| (method.to_owned(), 5))
    );
}

#[test]
fn a_missing_or_irregular_file_is_not_sent() {
    let api = FakeApi::start(|_| Reply::json(1));
    for method in ["POST", "PUT"] {
        let client = Client::post(&api.url()).method(method);
        fs::create_dir(client.folder.path().join("folder")).unwrap();
        symlink("loop", client.folder.path().join("loop")).unwrap();
        symlink("/dev/zero", client.folder.path().join("device")).unwrap();
        for (name, kind) in [
            ("missing", "input_missing"),
            ("missing/below", "input_missing"),
            ("folder", "not_a_regular_file"),
            ("device", "not_a_regular_file"),
            ("loop", "input_unreadable"),
        ] {
            let outcome = client.call_for(&client.job_without_file(name));
            let Outcome::Unsendable(failure) = outcome else {
                panic!("{name}: {outcome:?}")
            };
            assert_eq!(
                (failure.class, failure.kind.as_str()),
                (Class::Input, kind),
                "{name}"
            );
        }
    }
    assert_eq!(api.accepted(), 0);
}

/// A service that reads a request's head, signals it, reads the body after a signal, and then answers.
fn slow_reader(head_read: mpsc::Sender<()>, go_on: mpsc::Receiver<()>) -> RawServer {
    RawServer::start(move |mut connection| {
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        head_read.send(()).unwrap();
        go_on.recv().unwrap();
        let mut body = Vec::new();
        if reader.take(length).read_to_end(&mut body).is_err() {
            // The client has abandoned the request.
            return;
        }
        let answer = body.len().to_string();
        let _ = write!(
            connection,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
    })
}

/// Sends a file so large that most of it is unread when the service has the head, and applies `change` to it meanwhile.
fn change_while_sending(size: u64, change: impl FnOnce(&fs::File)) -> Outcome {
    let ((tell, head_read), (go_on, told)) = (mpsc::channel(), mpsc::channel());
    let server = slow_reader(tell, told);
    let client = Client::post(&server.url());
    let job = client.job("large", b"");
    let file = fs::File::options().append(true).open(&job.file).unwrap();
    file.set_len(size).unwrap();
    let mut caller = client.caller();
    thread::scope(|scope| {
        let call = scope.spawn(|| caller.call(&job, &attempt(1), &Cancel::new()));
        head_read.recv_timeout(crate::support::LIMIT).unwrap();
        change(&file);
        go_on.send(()).unwrap();
        call.join().unwrap()
    })
}

#[test]
fn row_58_a_file_that_becomes_shorter_while_it_is_sent_has_changed() {
    let outcome = change_while_sending(64 << 20, |file| file.set_len(1 << 10).unwrap());
    let failure = failed(outcome);
    assert_eq!(
        (failure.class, failure.kind.as_str()),
        (Class::Input, "input_changed")
    );
}

#[test]
fn row_58_a_file_that_grows_while_it_is_sent_is_sent_up_to_the_announced_length() {
    const SIZE: u64 = 16 << 20;
    let outcome = change_while_sending(SIZE, |mut file| file.write_all(&[1; 1000]).unwrap());
    assert_eq!(succeeded(outcome).body, SIZE.to_string().into_bytes());
}

/// Services that find a file too large answer early, and read on for a while so that the answer is not lost.
#[test]
fn an_answer_before_the_end_of_the_request_counts() {
    let server = RawServer::start(|mut connection| {
        let _ = connection.read(&mut [0; 1000]);
        let _ = connection.write_all(
            b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig",
        );
        let _ = connection.shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(&mut connection, &mut std::io::sink());
    });
    let client = Client::post(&server.url());
    let mut caller = client.caller();
    for _ in 0..10 {
        let job = client.job("large", b"");
        fs::File::options()
            .write(true)
            .open(&job.file)
            .unwrap()
            .set_len(32 << 20)
            .unwrap();
        let failure = failed(caller.call(&job, &attempt(1), &Cancel::new()));
        assert_eq!(
            (failure.class, failure.status, &failure.body[..]),
            (Class::Rejected, Some(413), &b"big"[..])
        );
    }
}

/// After an incomplete request, the caller uses another connection.
#[test]
fn a_caller_continues_after_any_failure() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/close" => Reply::close(),
        "/half" => Reply::truncated("x", 2),
        _ => Reply::json(1),
    });
    let client = Client::post(&format!("{}/{{name}}", api.url()));
    let mut caller = client.caller();
    let mut call = |job: &Job| caller.call(job, &attempt(1), &Cancel::new());
    for name in ["close", "half", "missing"] {
        let job = client.job_without_file(name);
        if name != "missing" {
            fs::write(&job.file, "x").unwrap();
        }
        assert!(!matches!(call(&job), Outcome::Succeeded(_)));
        succeeded(call(&client.job("good", b"x")));
    }
}
