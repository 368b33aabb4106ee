//! Builds requests for files with any names and rows. All go to the same place, with the requested headers.

#![no_main]

#[path = "../job.rs"]
mod job;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use stride::caller::fuzzing::request;
use stride::job::{Attempt, AttemptId, IdempotencyKey, JobId, Step};
use stride::settings::{Body, Content, Escape, Field, Header, HeaderValue, Piece, Request};

use job::{Given, job};

#[derive(Debug, Arbitrary)]
struct Input {
    given: Given,
    place: Place,
    escape: bool,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Place {
    Path,
    Name,
    Stem,
    Ext,
    Dir,
    A,
    B,
    Text,
}

fuzz_target!(|input: Input| {
    let place = match input.place {
        Place::Path => "{path}",
        Place::Name => "{name}",
        Place::Stem => "{stem}",
        Place::Ext => "{ext}",
        Place::Dir => "{dir}",
        Place::A => "{col.a}",
        Place::B => "{col.b}",
        Place::Text => "{text}",
    };
    let text = |template: String, escape| Piece::Text { template, escape };
    let (in_query, query) = match input.escape {
        true => (format!("{{\"k\":\"{place}\"}}"), Escape::Json),
        false => (format!("k={place}"), Escape::Form),
    };
    let asked = Request {
        method: "POST".to_owned(),
        url: format!("http://host/a/{place}/b/x-{place}?c={place}&d=1"),
        headers: vec![Header {
            name: "X-Name".to_owned(),
            value: HeaderValue::Template(format!("<{place}>")),
        }],
        query: vec![text(in_query, query)],
        body: Body::Multipart {
            fields: vec![Field {
                name: "f".to_owned(),
                content: Content::Text("v".to_owned()),
                media_type: None,
                file_name: Some(place.to_owned()),
                headers: Vec::new(),
            }],
        },
        pasted: true,
        ..Request::default()
    };
    let attempt = Attempt {
        id: AttemptId {
            job: JobId(1),
            number: 1,
        },
        key: IdempotencyKey([7; 16]),
        repeat: false,
        suspect: false,
        step: Step::FIRST,
        lane: 0,
    };
    // A value that is invalid in a header prevents the request; in the URL alone it does not.
    let alone = Request {
        headers: Vec::new(),
        body: Body::Nothing,
        ..asked.clone()
    };
    let job = job(&input.given);
    for asked in [&alone, &asked] {
        let Some(sent) = request(asked, &job, &attempt) else {
            continue;
        };
        let rest = sent
            .url
            .strip_prefix("http://host/a/")
            .expect("its host and path");
        assert!(!rest.contains('#'), "{}", sent.url);
        let (path, query) = rest.split_once('?').expect("its query");
        assert!(!query.contains('?'), "{}", sent.url);
        let mut segments: Vec<&str> = path.split('/').collect();
        // The folder of a name without one is a dot, which changes no path.
        if matches!(input.place, Place::Dir) && segments.len() == 2 {
            segments.insert(0, ".");
        }
        assert_eq!(segments.len(), 3, "{}", sent.url);
        assert!(
            segments[1] == "b" && segments[2].starts_with("x-"),
            "{}",
            sent.url
        );
        let pairs: Vec<&str> = query.split('&').collect();
        assert_eq!(pairs.len(), 3, "{}", sent.url);
        assert!(
            pairs[0].starts_with("c=") && pairs[1] == "d=1",
            "{}",
            sent.url
        );
        for (name, value) in &sent.headers {
            assert!(
                !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
                "{name}"
            );
        }
        if !sent.body.is_empty() {
            // Boundary, disposition, perhaps a type; an empty line, the value, and the boundary again.
            let lines: Vec<&[u8]> = sent.body.split(|byte| *byte == b'\n').collect();
            assert!(matches!(lines.len(), 6 | 7), "{}", lines.len());
            assert!(
                lines[..lines.len() - 1]
                    .iter()
                    .all(|line| line.ends_with(b"\r"))
            );
            assert_eq!(lines[1].iter().filter(|byte| **byte == b'"').count(), 4);
        }
    }
});
