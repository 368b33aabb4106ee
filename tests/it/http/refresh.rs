//! Secrets in files and commands, and a key that is renewed during a run.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use stride::caller::{Caller, Cancel};
use stride::job::{Class, FailureKind, Outcome};

use super::{Client, attempt, failed, succeeded};
use crate::cli::Place;
use crate::support::{FakeApi, Gate, Reply, lock};

const OLD: &str = "old-key-0123456789";
const NEW: &str = "new-key-9876543210";

/// A service that accepts one key, and echoes those that it refuses.
fn service(valid: &Arc<Mutex<&'static str>>) -> FakeApi {
    let valid = Arc::clone(valid);
    FakeApi::start(move |request| {
        let key = request.header("x-api-key").unwrap().to_owned();
        if key == *lock(&valid) {
            Reply::json(1)
        } else {
            Reply::text(format!("not {key}")).with_status(401)
        }
    })
}

fn client(api: &FakeApi) -> Client {
    let client = Client::post(&api.url()).template("X-Api-Key", "{file:key}");
    put(&client, OLD);
    client
}

fn put(client: &Client, key: &str) {
    fs::write(client.folder.path().join("key"), key).unwrap();
}

fn is_renewed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::CredentialsRenewed
        && failure.class == Class::Auth
        && failure.status == Some(401)
        && failure.body == b"not [redacted]")
}

#[test]
fn a_key_that_was_replaced_is_read_again() {
    let valid = Arc::new(Mutex::new(OLD));
    let api = service(&valid);
    let client = client(&api);
    let (job, mut caller) = (client.job("a.txt", b"hello"), client.caller());
    let mut call = || caller.call(&job, &attempt(1), &Cancel::new());
    succeeded(call());
    *lock(&valid) = NEW;
    put(&client, NEW);
    let outcome = call();
    assert!(is_renewed(&outcome), "{outcome:?}");
    succeeded(call());
    // It is read at most once a minute.
    *lock(&valid) = OLD;
    put(&client, OLD);
    assert_eq!(failed(call()).kind.as_str(), "http_status");
    assert_eq!(api.requests(), 4);
}

#[test]
fn a_file_that_changes_all_the_time_makes_no_endless_loop() {
    let valid = Arc::new(Mutex::new("none of them"));
    let api = service(&valid);
    let client = client(&api);
    let (job, mut caller) = (client.job("a.txt", b"hello"), client.caller());
    let kinds: Vec<&str> = (0..5)
        .map(|n| {
            put(&client, &format!("another-key-{n}"));
            failed(caller.call(&job, &attempt(n), &Cancel::new()))
                .kind
                .as_str()
        })
        .collect();
    let refused = "http_status";
    let renewed = "credentials_renewed";
    assert_eq!(kinds, [renewed, refused, refused, refused, refused]);
}

#[test]
fn a_file_that_cannot_be_read_again_is_reported_and_the_old_key_stays() {
    let valid = Arc::new(Mutex::new(NEW));
    let api = service(&valid);
    let client = client(&api);
    let (job, mut caller) = (client.job("a.txt", b"hello"), client.caller());
    put(&client, "");
    let failure = failed(caller.call(&job, &attempt(1), &Cancel::new()));
    assert_eq!(failure.kind.as_str(), "http_status");
    assert!(
        failure.message.contains("{file:key}: its value is empty"),
        "{failure:?}"
    );
    *lock(&valid) = OLD;
    succeeded(caller.call(&job, &attempt(2), &Cancel::new()));
}

#[test]
fn all_threads_with_the_old_key_come_back_with_the_new_one() {
    const THREADS: usize = 8;
    let valid = Arc::new(Mutex::new(NEW));
    let arrived = Mutex::new(0);
    let all = Gate::default();
    let opened = all.clone();
    let api = FakeApi::start(move |request| {
        if request.header("x-api-key") == Some(*lock(&valid)) {
            return Reply::json(1);
        }
        let mut arrived = lock(&arrived);
        *arrived += 1;
        if *arrived == THREADS {
            opened.open();
        }
        drop(arrived);
        opened.wait();
        Reply::text(format!("not {}", request.header("x-api-key").unwrap())).with_status(401)
    });
    let client = client(&api);
    let (job, plan) = (client.job("a.txt", b"hello"), client.plan().unwrap());
    put(&client, NEW);
    thread::scope(|scope| {
        for n in 0..THREADS {
            let (job, mut caller) = (&job, plan.caller().unwrap());
            scope.spawn(move || {
                let first = caller.call(job, &attempt(n as u32), &Cancel::new());
                assert!(is_renewed(&first), "{first:?}");
                succeeded(caller.call(job, &attempt(n as u32), &Cancel::new()));
            });
        }
    });
    assert_eq!(api.requests(), 2 * THREADS);
}

#[test]
fn an_invalid_value_is_reported_by_the_name_of_its_reference() {
    let client = Client::post("https://127.0.0.1/").template("X-Api-Key", "{file:key}");
    put(&client, "two\nlines-of-secret");
    let error = client.plan().unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(
        said.contains("{file:key}") && !said.contains("secret"),
        "{said}"
    );
    put(&client, "");
    let said = client.plan().unwrap_err().to_string();
    assert_eq!(
        said,
        "the header `X-Api-Key`: {file:key}: its value is empty"
    );
}

/// A token that expires during a run, and a command that prints a new one, for each answer to an expired token.
#[test]
fn a_run_continues_with_a_new_token_after_every_sign_of_expiry() {
    for (status, rule) in [(401, None), (403, None), (400, Some("body~expired:auth"))] {
        let place = Place::new();
        let names = place.texts(12);
        place.write("printed", "");
        let calls = Mutex::new(0);
        let api = FakeApi::start(move |request| {
            let mut calls = lock(&calls);
            *calls += 1;
            let token = request.header("authorization").unwrap();
            // The first token is good for three calls.
            if token == "Bearer token-number-2" || *calls <= 3 {
                Reply::json(1)
            } else {
                Reply::text("the token has expired").with_status(status)
            }
        });
        let url = api.url();
        let header =
            "Authorization: Bearer {cmd:echo >> printed; echo token-number-$(wc -l < printed)}";
        let words = ["run", "-j", "4", "--url", &url, "-H", header, "texts"];
        let rule = rule.map_or(Vec::new(), |rule| vec!["--class", rule]);
        place.stride(&[&words[..], &rule].concat()).expect(0);
        assert_eq!(place.status()["done"], json!(names.len()), "{status}");
        let other = place.sql(
            "SELECT kind, class, charged FROM attempt JOIN job ON id = attempt.job JOIN work ON work.job = id
             WHERE kind <> '' AND (kind <> 'credentials_renewed' OR charged > 0)",
        );
        assert!(other.is_empty(), "{status}: {other:?}");
        let printed = fs::read_to_string(place.at("printed")).unwrap();
        assert_eq!(printed.lines().count(), 2, "{status}");
    }
}

#[test]
fn a_command_that_prints_another_token_each_time_makes_no_endless_loop() {
    let place = Place::new();
    place.texts(20);
    place.write("printed", "");
    let api = FakeApi::start(|_| Reply::text("the token has expired").with_status(403));
    let url = api.url();
    let header =
        "Authorization: Bearer {cmd:echo >> printed; echo token-number-$(wc -l < printed)}";
    place
        .stride(&["run", "-j", "2", "--url", &url, "-H", header, "texts"])
        .expect(4);
    let printed = fs::read_to_string(place.at("printed")).unwrap();
    assert_eq!(printed.lines().count(), 2);
    assert!(api.requests() < 20, "{}", api.requests());
}

/// The whole program: relative to the folder of the run, renewed during it, and never stored.
#[test]
fn a_run_continues_with_the_new_key_and_stores_neither() {
    let place = Place::new();
    place.write("key", format!("{OLD}\n"));
    let names = place.texts(6);
    let key = place.at("key");
    let calls = Mutex::new(0);
    let api = FakeApi::start(move |request| {
        let (given, other) = (request.header("x-api-key"), request.header("x-other"));
        assert_eq!(given, other);
        let mut calls = lock(&calls);
        *calls += 1;
        if *calls == 3 {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&key)
                .unwrap();
            std::io::Write::write_all(&mut file, NEW.as_bytes()).unwrap();
        }
        let valid = if *calls < 3 { OLD } else { NEW };
        if given == Some(valid) {
            Reply::json(1)
        } else {
            Reply::text(format!("not {}", given.unwrap())).with_status(401)
        }
    });
    let url = api.url();
    let words = [
        "run",
        "-j",
        "1",
        "--url",
        &url,
        "-H",
        "X-Api-Key: {file:key}",
    ];
    let words = [&words[..], &["-H", "X-Other: {cmd:cat key}", "texts"]].concat();
    place.stride(&words).expect(0);
    assert_eq!(place.status()["done"], json!(names.len()));
    assert_eq!(api.requests(), names.len() + 1);
    let kinds = place.sql(
        "SELECT kind, charged FROM attempt JOIN work ON work.job = attempt.job WHERE kind <> ''",
    );
    assert_eq!(kinds, [["credentials_renewed", "0"]]);
    let stored = fs::read(place.at("stride.db")).unwrap();
    for secret in [OLD, NEW] {
        assert!(!stored.windows(secret.len()).any(|w| w == secret.as_bytes()));
    }
}
