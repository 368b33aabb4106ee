//! Content codings of answers.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use stride::job::{Class, Outcome};

use super::{Client, answer_to, failed, is_in_doubt, succeeded};
use crate::cli::Place;
use crate::support::{FakeApi, Reply};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bare_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    ::brotli::BrotliCompress(
        &mut &*bytes,
        &mut encoded,
        &::brotli::enc::BrotliEncoderParams::default(),
    )
    .unwrap();
    encoded
}

/// An encoder, and an encoder of the text around it.
pub(crate) type Encode = fn(&[u8]) -> Vec<u8>;

/// The names of each coding in `Content-Encoding`, and its encoder.
const CODINGS: [(&str, Encode); 8] = [
    ("gzip", gzip),
    ("GZIP", gzip),
    ("x-gzip", gzip),
    ("identity, gzip", gzip),
    ("deflate", zlib),
    ("Deflate", bare_deflate),
    ("zstd", zstd),
    ("br", brotli),
];

/// The same answer, cut into packets in different ways. The last piece may come by itself.
fn packets(coding: &str, body: &[u8], last: usize) -> Vec<Reply> {
    let reply = |body: &[u8]| {
        Reply::status(200)
            .body("application/json", body)
            .header("content-encoding", coding)
    };
    let drip = |size| {
        Reply::drip(body, size, Duration::ZERO)
            .header("content-type", "application/json")
            .header("content-encoding", coding)
    };
    vec![
        reply(body),
        reply(body).until_close(),
        reply(body).chunked(1),
        reply(body).chunked(body.len() - last),
        drip(1),
        drip(body.len() - last),
    ]
}

#[test]
fn row_108_all_members_of_a_compressed_answer_are_decoded() {
    for (coding, encode) in CODINGS {
        let (first, second) = (encode(b"[1,"), encode(b"2]"));
        let body = [&*first, &second].concat();
        for reply in packets(coding, &body, second.len()) {
            let told = format!("{coding}: {reply:?}");
            match answer_to(reply) {
                Outcome::Succeeded(answer) => assert_eq!(answer.body, b"[1,2]", "{told}"),
                other => panic!("{told}: {other:?}"),
            }
        }
    }
}

#[test]
fn row_108_bytes_after_the_end_make_an_answer_unusable_in_any_packets() {
    for (coding, encode) in CODINGS {
        let (body, more) = (
            encode(b"[1,2]"),
            b"and something that is no coding".repeat(3),
        );
        let body = [&*body, &more].concat();
        for reply in packets(coding, &body, more.len()) {
            let failure = failed(answer_to(reply));
            assert_eq!(
                (failure.class, failure.kind.as_str(), failure.status),
                (Class::BadResponse, "bad_coding", Some(200)),
                "{coding}: {}",
                failure.message
            );
        }
    }
}

#[test]
fn row_108_a_truncated_coding_is_a_truncated_answer() {
    for (coding, encode) in CODINGS {
        let body = encode(&b"[1, 22, 333]".repeat(9));
        for kept in [1, body.len() / 2, body.len() - 1] {
            for reply in packets(coding, &body[..kept], kept.min(1) - usize::from(kept == 1)) {
                let outcome = answer_to(reply);
                assert!(is_in_doubt(&outcome, "truncated"), "{coding}: {outcome:?}");
            }
        }
    }
}

#[test]
fn row_108_nested_codings_are_all_decoded() {
    let coded = |coding: &str, body: Vec<u8>| {
        Reply::status(200)
            .body("application/json", body)
            .header("content-encoding", coding)
    };
    for (names, body) in [
        ("deflate, gzip", gzip(&zlib(b"[1,2]"))),
        ("deflate, gzip", gzip(&bare_deflate(b"[1,2]"))),
        ("br,zstd , gzip", gzip(&zstd(&brotli(b"[1,2]")))),
    ] {
        assert_eq!(
            succeeded(answer_to(coded(names, body))).body,
            b"[1,2]",
            "{names}"
        );
    }
    let twice = coded("gzip", gzip(&gzip(b"[1,2]"))).header("content-encoding", "gzip");
    assert_eq!(succeeded(answer_to(twice)).body, b"[1,2]");
    // An unknown coding is left undecoded, like none.
    let unknown = Reply::text("as it is").header("content-encoding", "gzip, rot13");
    assert_eq!(succeeded(answer_to(unknown)).body, b"as it is");
    let empty = Reply::text("").header("content-encoding", "gzip");
    assert_eq!(succeeded(answer_to(empty)).body, b"");
    let api = FakeApi::start(|_| Reply::status(200).header("content-encoding", "gzip"));
    let head = Client::post(&api.url()).method("HEAD").call();
    assert_eq!(succeeded(head).body, b"");
}

#[test]
fn row_108_the_body_of_an_error_is_decoded_too() {
    let body = [gzip(b"{\"error\": "), gzip(b"1}")].concat();
    let refused = Reply::status(422)
        .body("application/json", body)
        .header("content-encoding", "X-GZip");
    assert_eq!(failed(answer_to(refused)).body, b"{\"error\": 1}");
}

#[test]
fn row_108_a_run_records_all_members_and_no_truncated_answer() {
    let members = [gzip(b"[1,"), gzip(b"2]")].concat();
    let api = FakeApi::start(move |request| {
        let coded = |body: &[u8]| {
            Reply::status(200)
                .body("application/json", body)
                .header("content-encoding", "gzip")
        };
        match request.target.as_str() {
            "/0000" => coded(&members),
            "/0001" => coded(&[&*members, b"and no gzip at all"].concat()),
            _ => Reply::json("[0]"),
        }
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(2);
    place.stride(&["run", "--url", &url, "texts"]).expect(3);
    let body = place
        .sql("SELECT body FROM result JOIN job ON job.id = result.job WHERE path = 'texts/0000'");
    assert_eq!(body.concat(), ["[1,2]"]);
    let failures = place.stride(&["failures", "--json"]).json();
    assert_eq!(failures[0]["kind"], "bad_coding", "{failures}");
    assert_eq!(place.bystander(), bystander);
}
