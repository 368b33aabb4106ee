//! Streams of HTTP/2 that a service refuses, resets or leaves behind.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use stride::job::{Class, Outcome};
use stride::settings::Http;

use super::{Client, is_in_doubt, succeeded, throttled};
use crate::cli::Place;
use crate::support::{Counter, FakeApi, RawServer, Reply};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn reset(stream: u32, reason: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &reason.to_be_bytes())
}

fn going_away(last: u32, reason: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}

/// The head of an answer with the status 200, which is one byte by the static table (RFC 7541, appendix A).
fn head(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[0x88])
}

fn answer(stream: u32) -> Vec<u8> {
    [head(stream), frame(DATA, END_STREAM, stream, b"1")].concat()
}

/// The action of a service after its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Stay,
    Close,
}

/// A service that answers each whole request with frames, given its stream and how many requests came before.
fn service(reply: impl Fn(u32, usize) -> (Vec<u8>, Then) + Send + 'static) -> (RawServer, Counter) {
    let requests = Counter::default();
    let counted = requests.clone();
    let server = RawServer::start(move |mut connection| {
        // Its end is the client's, or the behaviour's.
        let _ = serve(&mut connection, &counted, &reply);
    });
    (server, requests)
}

fn serve(
    connection: &mut TcpStream,
    requests: &Counter,
    reply: &dyn Fn(u32, usize) -> (Vec<u8>, Then),
) -> std::io::Result<()> {
    connection.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    let mut preface = [0; 24];
    connection.read_exact(&mut preface)?;
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        connection.read_exact(&mut vec![0; length])?;
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            let (frames, then) = reply(u32::from_be_bytes(stream), requests.add());
            connection.write_all(&frames)?;
            if then == Then::Close {
                return Ok(());
            }
        }
    }
}

/// Calls a service that does this to its one request.
fn call(frames: Vec<u8>, then: Then) -> Outcome {
    let (server, requests) = service(move |stream, _| {
        assert_eq!(stream, 1);
        (frames.clone(), then)
    });
    let mut client = Client::post(&format!("{}/", server.url()));
    client.request.transport.http = Http::Http2Only;
    let outcome = client.call();
    assert_eq!(requests.get(), 1, "nothing below a call sends again");
    outcome
}

#[test]
fn row_68_a_request_that_is_sent_back_unprocessed_was_not_sent() {
    for frames in [
        reset(1, REFUSED_STREAM),
        going_away(0, NO_ERROR),
        going_away(0, INTERNAL_ERROR),
    ] {
        for then in [Then::Stay, Then::Close] {
            let outcome = call(frames.clone(), then);
            let Outcome::Unreachable(failure) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(
                (failure.class, failure.kind.as_str()),
                (Class::Transient, "sent_back")
            );
        }
    }
}

#[test]
fn row_68_a_request_that_may_have_been_processed_is_in_doubt() {
    for frames in [
        reset(1, CANCEL),
        reset(1, INTERNAL_ERROR),
        going_away(1, NO_ERROR),
        going_away(1, INTERNAL_ERROR),
        going_away(i32::MAX as u32, NO_ERROR),
    ] {
        let outcome = call(frames, Then::Close);
        assert!(is_in_doubt(&outcome, "connection_lost"), "{outcome:?}");
    }
    // A service that has begun to answer has not refused the request.
    let begun = [head(1), reset(1, REFUSED_STREAM)].concat();
    let outcome = call(begun, Then::Close);
    assert!(is_in_doubt(&outcome, "truncated"), "{outcome:?}");
}

/// A stream that is reset without an error, or left open, does not end an incomplete answer.
#[test]
fn row_81_a_stream_that_ends_before_its_answer_is_never_a_result() {
    // `content-length: 3`, whose name is the 28th of the static table.
    let stated = frame(HEADERS, END_HEADERS, 1, &[0x88, 0x0f, 0x0d, 0x01, b'3']);
    let half = [stated.clone(), frame(DATA, 0, 1, b"[1")].concat();
    for end in [
        reset(1, NO_ERROR),
        reset(1, CANCEL),
        going_away(0, NO_ERROR),
        Vec::new(),
    ] {
        for begun in [&stated, &half] {
            let outcome = call([begun, &*end].concat(), Then::Close);
            assert!(is_in_doubt(&outcome, "truncated"), "{end:?}: {outcome:?}");
        }
    }
    let whole = [stated, frame(DATA, 0, 1, b"[1]"), reset(1, NO_ERROR)].concat();
    assert_eq!(succeeded(call(whole, Then::Close)).body, b"[1]");
    let ended = [answer(1), reset(1, NO_ERROR)].concat();
    assert_eq!(succeeded(call(ended, Then::Close)).body, b"1");
}

#[test]
fn row_68_enhance_your_calm_is_a_limit() {
    for frames in [
        reset(1, ENHANCE_YOUR_CALM),
        going_away(0, ENHANCE_YOUR_CALM),
    ] {
        let (failure, wait) = throttled(call(frames, Then::Close));
        assert_eq!((failure.class, wait), (Class::Throttled, None));
    }
}

/// A reloading service: each connection sends GOAWAY before it processes a later stream.
#[test]
fn row_68_a_service_that_sends_requests_back_is_called_again_and_nothing_is_charged() {
    let (server, requests) = service(|stream, before| match before % 3 {
        0 => (reset(stream, REFUSED_STREAM), Then::Stay),
        1 => (answer(stream), Then::Stay),
        _ => (going_away(stream - 1, NO_ERROR), Then::Close),
    });
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.texts(4);
    let url = server.url();
    let words = ["run", "--url", &url, "--accept-change", "-j", "1"];
    let more = ["--http2-prior-knowledge", "--retries", "0", "texts"];
    place.stride(&[&words[..], &more].concat()).expect(0);
    let outcomes =
        "SELECT outcome, count(*), max(charged) FROM attempt JOIN job ON job.id = attempt.job JOIN work ON work.job = job.id
                    WHERE path LIKE 'texts/%' GROUP BY outcome ORDER BY outcome";
    let unsent = (requests.get() - 4).to_string();
    assert!(requests.get() >= 10, "{}", requests.get());
    assert_eq!(
        place.sql(outcomes),
        [["not_sent", &unsent, "0"], ["succeeded", "4", "0"]]
    );
    assert_eq!(place.status()["calls"], 5);
    assert_eq!(place.bystander(), bystander);
}
