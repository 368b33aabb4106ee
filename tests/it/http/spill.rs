//! Answers that exceed the memory budget: the outcomes and bytes are the same.

use std::fs;
use std::sync::Arc;

use stride::caller::{Caller, Cancel, HttpPlan, Network, PlanContext, Reference, SlotCaller};
use stride::engine::{self, Stop};
use stride::job::{Checksum, Outcome};
use stride::settings::{Expect, Request, Settings};

use super::{Client, attempt};
use crate::support::{BYSTANDER, FakeApi, Fixture, Reply, within_limit};

/// Bodies of every kind, as validation distinguishes them.
fn bodies() -> Vec<Vec<u8>> {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let balanced = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let texts = [
        "",
        "1",
        " {\"a\": 1, \"a\": 2} ",
        "1234567890123456789012345",
        "1e400",
        "[\"\\ud800\"]",
        "NaN",
        "{} {}",
        "{} and more",
        "\u{feff}{}",
        "<html>",
        "{\"a\": \"half",
        &deep,
        &balanced,
        &"[".repeat(1_000_000),
        &format!("\"{}\"", "é".repeat(100_000)),
        &format!("{{\"error\": null, \"text\": \"{}\"}}", "x".repeat(300_000)),
    ];
    let mut bodies: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    bodies.push(b"\"\xff\"".to_vec());
    bodies.push([&vec![b' '; 70_000][..], b"\"\xc3\""].concat());
    bodies
}

/// Describes an outcome without the location of its body.
fn told(outcome: Outcome) -> (String, Vec<u8>) {
    match outcome {
        Outcome::Succeeded(answer) => (
            "succeeded".to_owned(),
            answer.body.bytes().unwrap().into_owned(),
        ),
        Outcome::Failed(failure) => {
            let kept = failure
                .answer
                .map(|refused| refused.body.bytes().unwrap().into_owned());
            (
                format!("{} {:?}", failure.kind.as_str(), failure.class),
                kept.unwrap_or_default(),
            )
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_spilled_answer_is_validated_and_kept_like_any_other() {
    let bodies = bodies();
    let served = bodies.clone();
    let api = FakeApi::start(move |request| {
        let number: usize = request.target[1..].parse().unwrap();
        Reply::status(200).body("application/json", served[number].clone())
    });
    let folder = tempfile::tempdir().unwrap();
    for (expect, success) in [
        (Expect::Json, None),
        (Expect::Text, None),
        (Expect::Any, None),
        (Expect::AsStated, None),
        (Expect::Json, Some(".error == null")),
        (Expect::Any, Some("length > 3")),
    ] {
        let mut client = Client::post(&format!("{}/{{name}}", api.url()));
        client.request.judging.expect = expect;
        client.request.judging.success = success.map(str::to_owned);
        let plan = client.plan().unwrap();
        let call = |plan: &HttpPlan, number: usize| {
            let job = client.job(number.to_string().as_str(), b"x");
            told(
                plan.caller()
                    .unwrap()
                    .call(&job, &attempt(1), &Cancel::new()),
            )
        };
        let tight = client
            .plan()
            .unwrap()
            .with_memory(0, folder.path().to_owned());
        for (number, body) in bodies.iter().enumerate() {
            let (verdict, kept) = call(&plan, number);
            let spilled = call(&tight, number);
            let beginning = String::from_utf8_lossy(&body[..body.len().min(20)]);
            assert!(
                kept == *body,
                "{expect:?} {success:?} {beginning} {verdict}"
            );
            assert_eq!(spilled.0, verdict, "{expect:?} {success:?} {beginning}");
            assert!(spilled.1 == kept, "{expect:?} {success:?} {beginning}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn many_threads_keep_within_the_bound_and_every_answer_is_recorded() {
    const JOBS: usize = 60;
    const BOUND: usize = 1 << 20;
    let text =
        |number: usize| format!("\"{}\"", (number % 10).to_string().repeat(200_000 + number));
    let fixture = Fixture::numbered(JOBS);
    let api = FakeApi::start(move |request| {
        let number: usize = request.target[1..].parse().unwrap();
        match number % 3 {
            // Kept whole as well, although it is rejected.
            0 => Reply::text(&text(number)[1..]),
            _ => Reply::status(200).body("application/json", text(number)),
        }
    });
    let mut request = Request {
        method: "GET".to_owned(),
        url: format!("{}/{{name}}", api.url()),
        ..Request::default()
    };
    request.judging.expect = Expect::Json;
    let settings = Settings {
        threads: 16.into(),
        ..Settings::default()
    };
    let context = PlanContext {
        credentials: &[],
        network: Network::default(),
        lookup: Arc::new(|_: &Reference| Err(String::new())),
        lanes: stride::caller::Lanes::default(),
        base: fixture.folder(),
    };
    let folder = tempfile::tempdir().unwrap();
    let plan = HttpPlan::new(&request, &settings, context).unwrap();
    let plan = plan.with_memory(BOUND, folder.path().to_owned());
    let mut make = move || Ok(SlotCaller::Async(Box::new(plan.async_caller()?)));
    let mut store = fixture.open();
    let outline = within_limit(move || {
        let outline = engine::run(&mut store, &mut make, &settings, &Stop::new(), &mut |_| {});
        store.close().unwrap();
        outline.unwrap()
    });
    assert_eq!((outline.counts.done, outline.counts.failed), (1 + 40, 20));
    let sql = fixture.sql();
    for (table, whole) in [("result", true), ("rejected_response", false)] {
        let mut rows = sql
            .prepare(&format!(
                "SELECT job.path, body FROM {table} JOIN job ON job.id = {table}.job WHERE path <> ?1"
            ))
            .unwrap();
        let rows = rows.query_map([BYSTANDER], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        for row in rows.unwrap() {
            let (name, body) = row.unwrap();
            let expected = text(name.rsplit('/').next().unwrap().parse().unwrap());
            let expected = if whole { &expected } else { &expected[1..] };
            assert!(body == expected.as_bytes(), "{table} {name}");
            assert_eq!(Checksum::of(&body), Checksum::of(expected.as_bytes()));
        }
    }
    assert_eq!(fixture.problems(), [""; 0]);
}

#[test]
fn an_answer_reaches_its_file_from_memory_and_from_a_temporary_file() {
    let large = "x".repeat(300_000);
    for most in [0, 1 << 20] {
        let answered = large.clone();
        let api = FakeApi::start(move |_| Reply::text(&answered));
        for (method, kept) in [("POST", true), ("HEAD", false)] {
            let mut client = Client::post(&api.url()).method(method);
            let out = client.folder.path().join("out");
            client.request.output_dir = Some(out.to_str().unwrap().to_owned());
            let plan = client.plan().unwrap();
            let plan = plan.with_memory(most, client.folder.path().to_owned());
            let plan = plan.keeping_outputs().unwrap();
            let job = client.job("a.txt", b"hello");
            let mut caller = plan.caller().unwrap();
            let outcome = caller.call(&job, &attempt(1), &Cancel::new());
            let Outcome::Succeeded(answer) = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(answer.body.path().is_some(), kept, "an answer to {method}");
            if let Some(path) = answer.body.path() {
                assert_eq!(path, out.join("1.txt"));
                assert!(fs::read(path).unwrap() == large.as_bytes());
                assert_eq!(
                    answer.body.checksum().unwrap(),
                    Checksum::of(large.as_bytes())
                );
            }
            assert_eq!(plan.output_trouble(), None);
        }
    }
}
