//! Limits of size and time.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use stride::job::Class;

use super::{Client, failed, is_in_doubt, succeeded};
use crate::support::{FakeApi, RawServer, Reply};

const LARGEST: u64 = 10_000;

fn bounded(reply: Reply) -> stride::job::Outcome {
    let api = FakeApi::start(move |_| reply.clone());
    Client::post(&api.url())
        .with(|settings| settings.max_response = LARGEST)
        .call()
}

fn is_too_large(reply: Reply) {
    let failure = failed(bounded(reply));
    assert_eq!(
        (failure.class, failure.kind.as_str()),
        (Class::BadResponse, "response_too_large")
    );
    assert_eq!(failure.status, Some(200));
    assert!(
        failure.message.contains("10000 bytes"),
        "{}",
        failure.message
    );
}

#[test]
fn an_answer_may_reach_the_size_limit_and_not_exceed_it() {
    let fits = "x".repeat(LARGEST as usize);
    let over = format!("{fits}y");
    assert_eq!(succeeded(bounded(Reply::text(&fits))).body.len(), LARGEST);
    assert_eq!(
        succeeded(bounded(Reply::text(&fits).chunked(999)))
            .body
            .len(),
        LARGEST
    );
    is_too_large(Reply::text(&over));
    is_too_large(Reply::text(&over).chunked(999));
    is_too_large(Reply::text(&over).until_close());
    // Announced, and never sent.
    is_too_large(Reply::stalled("", LARGEST + 1));
    is_too_large(Reply::truncated("", 1 << 60));
}

#[test]
fn row_82_a_decompression_bomb_is_too_large() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        encoder.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let reply = Reply::status(200)
        .body("application/json", bomb.clone())
        .header("Content-Encoding", "gzip");
    is_too_large(reply.clone().chunked(4096));
    let api = FakeApi::start(move |_| reply.clone());
    let largest = bomb.len() as u64;
    let failure = failed(
        Client::post(&api.url())
            .with(|settings| settings.max_response = largest)
            .call(),
    );
    assert_eq!(
        failure.kind.as_str(),
        "response_too_large",
        "what counts is the size after decoding"
    );
}

/// With any coding, the limit applies to the decoded size.
#[test]
fn every_coding_is_decoded_and_bounded() {
    let text = format!("{{\"a\": \"{}\"}}", "b".repeat(1 << 20));
    let mut brotli = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut text.as_bytes(), &mut brotli, &parameters).unwrap();
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    deflate.write_all(text.as_bytes()).unwrap();
    for (coding, packed) in [
        ("br", brotli),
        ("zstd", zstd::encode_all(text.as_bytes(), 3).unwrap()),
        ("deflate", deflate.finish().unwrap()),
    ] {
        assert!(packed.len() < 10_000, "{coding}");
        let reply = Reply::status(200)
            .body("application/json", packed.clone())
            .header("content-encoding", coding);
        let answer = super::succeeded(super::answer_to(reply.clone()));
        assert!(answer.body == text.as_bytes(), "{coding}");
        let api = FakeApi::start(move |_| reply.clone());
        let client = Client::post(&api.url()).with(|settings| settings.max_response = 1 << 20);
        assert_eq!(
            failed(client.call()).kind.as_str(),
            "response_too_large",
            "{coding}"
        );
        // A truncated coding is not an answer.
        let half = packed[..packed.len() / 2].to_vec();
        let reply = Reply::status(200)
            .body("application/json", half)
            .header("content-encoding", coding);
        let outcome = super::answer_to(reply);
        assert!(
            super::is_in_doubt(&outcome, "truncated"),
            "{coding}: {outcome:?}"
        );
    }
}

#[test]
fn row_63_a_service_that_never_answers_times_out_in_doubt() {
    let api = FakeApi::start(|_| Reply::hang());
    let outcome = Client::post(&api.url())
        .with(|settings| settings.timeout = Duration::from_millis(500))
        .call();
    assert!(is_in_doubt(&outcome, "timeout"), "{outcome:?}");
    assert_eq!(api.requests(), 1);
    // The connection is not kept.
    api.wait_closed();
}

#[test]
fn a_stalled_answer_times_out_in_doubt() {
    let short = |settings: &mut stride::settings::Settings| {
        settings.idle_timeout = Duration::from_millis(100);
    };
    for reply in [
        Reply::stalled("{\"a\":", 100),
        Reply::stalled("", 100),
        Reply::drip("{}", 1, Duration::from_secs(1000)),
    ] {
        let api = FakeApi::start(move |_| reply.clone());
        let outcome = Client::post(&api.url()).with(short).call();
        assert!(is_in_doubt(&outcome, "idle_timeout"), "{outcome:?}");
    }
}

#[test]
fn rows_67_and_80_an_answer_that_keeps_moving_ends_at_the_timeout_of_the_call() {
    let drip = |pieces: usize, timeout| {
        let api =
            FakeApi::start(move |_| Reply::drip(" ".repeat(pieces), 1, Duration::from_millis(1)));
        let client = Client::post(&api.url()).with(|settings| {
            settings.idle_timeout = Duration::from_secs(30);
            settings.timeout = timeout;
        });
        client.call()
    };
    assert_eq!(succeeded(drip(30, Duration::from_secs(600))).body.len(), 30);
    let outcome = drip(1_000_000, Duration::from_millis(700));
    assert!(is_in_doubt(&outcome, "timeout"), "{outcome:?}");
}

/// The server reads only the head; the file does not fit into the buffers in between.
#[test]
fn a_stalled_request_times_out_in_doubt() {
    let (hold, held) = mpsc::channel::<()>();
    let server = RawServer::start(move |mut connection| {
        let _ = connection.read(&mut [0; 10]);
        let _ = held.recv();
    });
    let client = Client::post(&server.url())
        .with(|settings| settings.idle_timeout = Duration::from_millis(100));
    let job = client.job("large", b"");
    std::fs::File::options()
        .write(true)
        .open(&job.file)
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    let outcome = client.call_for(&job);
    assert!(is_in_doubt(&outcome, "idle_timeout"), "{outcome:?}");
    drop(hold);
}

/// The timeout passes long before the expression returns. It covers the answer only, which is complete.
#[test]
fn a_complete_answer_is_a_result_however_long_its_validation_takes() {
    let api = FakeApi::start(|_| Reply::json("{\"ok\": true}"));
    let outcome = Client::post(&api.url())
        .judged(|judging| {
            // A single filter takes long.
            let long =
                r#".ok and (("x" * 5000000) as $s | last(range(60) | $s | explode | length)) > 0"#;
            judging.success = Some(long.to_owned());
        })
        .with(|settings| settings.timeout = Duration::from_secs(1))
        .call();
    assert_eq!(succeeded(outcome).body, *b"{\"ok\": true}");
}
