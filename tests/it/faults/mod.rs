//! Faults of the transport and of the service, one test for each row of the fault table: the whole program against a
//! real socket. `limits` has the tests without a row.

mod answers;
mod blame;
mod bystander;
mod echoes;
mod exports;
mod inputs;
mod limits;
mod outages;
mod own;
mod poison;
mod process;
mod redirects;
mod security;
mod service;
mod slips;
mod stops;
mod storage;
mod table;
mod theirs;
mod transport;
mod two;
mod windows;

use serde_json::{Value, json};

use crate::cli::Place;
use crate::support::api::Logged;
use crate::support::{Counter, FakeApi, Gate, Reply};

/// A place with this many files, and the URL of a service with the file's name in it.
fn place(files: usize) -> Place {
    let place = Place::new();
    place.texts(files);
    place
}

fn named(api: &FakeApi) -> String {
    format!("{}/{{name}}", api.url())
}

/// A service that answers the first calls at once, each with its target, and the others when the gate is open.
fn gated(at_once: usize) -> (FakeApi, Gate) {
    let (gate, seen) = (Gate::default(), Counter::default());
    let api = FakeApi::start({
        let gate = gate.clone();
        move |request| {
            let reply = Reply::json(json!(request.target));
            match seen.add() {
                before if before < at_once => reply,
                _ => reply.when(&gate),
            }
        }
    });
    (api, gate)
}

/// The arguments of a run with immediate retries.
fn run<'w>(url: &'w str, more: &[&'w str]) -> Vec<&'w str> {
    let words = ["run", "--retry-delay", "0s", "--url", url];
    [&words[..], more, &["texts"]].concat()
}

/// Checks counts of `status --json`.
#[track_caller]
fn counts(place: &Place, expected: &[(&str, u64)]) {
    let status: Value = place.status();
    for (name, number) in expected {
        assert_eq!(status[name], json!(number), "{name} in {status}");
    }
}

/// The number of requests with this status.
fn answered(log: &[Logged], status: u16) -> usize {
    log.iter()
        .filter(|call| call.status == Some(status))
        .count()
}
