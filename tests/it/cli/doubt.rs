//! Calls in doubt at a service that knows their keys, and answers a known key with the answer to the old call.

use std::collections::HashMap;
use std::fs::{self, File};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Place, Ran};
use crate::support::{FakeApi, Gate, Reply};

/// Answers with what was sent under the key first. Only the first call of a file of the list gets no answer.
fn idempotent() -> FakeApi {
    let known = Mutex::new(HashMap::new());
    FakeApi::start(move |request| {
        let body = String::from_utf8_lossy(&request.body);
        let sent = format!("{} {body}", request.target);
        let mut known = known.lock().unwrap();
        let is_first = known.len() == 1;
        let key = request.key().unwrap().to_owned();
        let first = known.entry(key).or_insert(sent);
        match is_first {
            true => Reply::hang(),
            false => Reply::json(json!(first)),
        }
    })
}

/// A run whose only call is in doubt, beside another run.
struct Doubt {
    place: Place,
    api: FakeApi,
    bystander: Vec<Vec<String>>,
}

impl Doubt {
    /// Kills the run during its call.
    fn begin(request: &[&str]) -> Self {
        let (place, api) = (Place::new(), idempotent());
        let bystander = place.with_bystander(&api.url());
        place.write("a", "hello");
        place.write("list.csv", "path,text,note\na,hello,1\n");
        let doubt = Self {
            place,
            api,
            bystander,
        };
        let url = doubt.url("v1");
        let words = doubt.words(&url, request);
        let running = doubt.place.begin(&words);
        doubt.api.wait_for(2);
        running.kill();
        doubt
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.api.url())
    }

    fn words<'w>(&self, url: &'w str, request: &[&'w str]) -> Vec<&'w str> {
        let run = ["run", "--db", "new.db", "--files-from", "list.csv"];
        [&run[..], &["--url", url], request].concat()
    }

    fn run(&self, path: &str, request: &[&str]) -> Ran {
        self.place.stride(&self.words(&self.url(path), request))
    }

    /// Checks that the repeat has a new key for this reason, or the old one, and that the result is that of `sent`.
    fn is_repeated(&self, ran: Ran, reason: Option<&str>, sent: &str) {
        let log = self.api.log();
        assert_eq!(log.len(), 3, "{}", ran.stderr);
        assert_eq!(log[1].key != log[2].key, reason.is_some());
        let said = ran.expect(0).stderr;
        let news = "1 file in doubt gets a new idempotency key, because ";
        match reason {
            Some(reason) => assert!(said.contains(&format!("{news}{reason}\n")), "{said}"),
            None => assert!(!said.contains(news), "{said}"),
        }
        let exported = self.place.stride(&["export", "--db", "new.db"]).expect(0);
        assert_eq!(exported.json()["a"], sent);
        self.place.stride(&["verify", "--db", "new.db"]).expect(0);
        assert_eq!(self.place.bystander(), self.bystander);
    }
}

const ROW: [&str; 2] = ["--json", r#"{"t":"{col.text}"}"#];

#[test]
fn a_call_in_doubt_is_repeated_under_its_key_if_it_sends_the_same() {
    let doubt = Doubt::begin(&ROW);
    // No call uses this column, and a rule for results is not sent.
    doubt
        .place
        .write("list.csv", "path,text,note\na,hello,corrected\n");
    let ran = doubt.run("v1", &[&ROW[..], &["--success", ". != null"]].concat());
    doubt.is_repeated(ran, None, r#"/v1 {"t":"hello"}"#);
}

#[test]
fn a_call_in_doubt_whose_row_was_corrected_has_a_new_key() {
    let doubt = Doubt::begin(&ROW);
    doubt
        .place
        .write("list.csv", "path,text,note\na,GOODBYE,1\n");
    let ran = doubt.run("v1", &ROW);
    let reason = "the list has other columns";
    doubt.is_repeated(ran, Some(reason), r#"/v1 {"t":"GOODBYE"}"#);
}

#[test]
fn a_call_in_doubt_whose_request_was_changed_has_a_new_key() {
    let doubt = Doubt::begin(&ROW);
    let ran = doubt.run("v2", &ROW);
    let reason = "the request was changed";
    doubt.is_repeated(ran, Some(reason), r#"/v2 {"t":"hello"}"#);

    let doubt = Doubt::begin(&ROW);
    let resume = ["resume", "--db", "new.db", "-H", "X-Language: de"];
    let ran = doubt.place.stride(&resume);
    doubt.is_repeated(ran, Some(reason), r#"/v1 {"t":"hello"}"#);
}

#[test]
fn a_call_in_doubt_whose_file_was_written_since_has_a_new_key() {
    let resume = |doubt: &Doubt| doubt.place.stride(&["resume", "--db", "new.db"]);
    let doubt = Doubt::begin(&["--data", "{text}"]);
    let ran = resume(&doubt);
    doubt.is_repeated(ran, None, "/v1 hello");

    let doubt = Doubt::begin(&["--data", "{text}"]);
    doubt.place.write("a", "GOODBYE");
    // Clocks of file systems are coarse.
    let file = File::options().write(true).open(doubt.place.at("a"));
    let later = SystemTime::now() + Duration::from_secs(1);
    file.unwrap().set_modified(later).unwrap();
    let ran = resume(&doubt);
    doubt.is_repeated(ran, Some("the content was changed since"), "/v1 GOODBYE");
}

#[test]
fn a_saved_answer_belongs_to_the_row_of_its_call() {
    let gate = Gate::default();
    let api = FakeApi::start({
        let gate = gate.clone();
        move |request| match &*request.target {
            "/rows" => Reply::json(String::from_utf8_lossy(&request.body)).when(&gate),
            _ => Reply::json(1),
        }
    });
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("list.csv", "path,text\na,hello\n");
    let url = format!("{}/rows", api.url());
    let run = ["run", "--db", "new.db", "--files-from", "list.csv"];
    let run = [&run[..], &["--url", &url], &ROW].concat();
    let running = place.begin(&run);
    api.wait_for(2);
    // The answer cannot be recorded, and is saved elsewhere.
    fs::create_dir(place.at("elsewhere")).unwrap();
    let files = ["new.db", "new.db-wal", "new.db-shm"];
    let elsewhere = |name: &str| place.at("elsewhere").join(name);
    for name in files {
        fs::rename(place.at(name), elsewhere(name)).unwrap();
    }
    gate.open();
    running.end().expect(6);
    for name in files {
        fs::rename(elsewhere(name), place.at(name)).unwrap();
    }
    place.write("list.csv", "path,text\na,GOODBYE\n");
    place
        .stride(&run)
        .expect(0)
        .says("recorded 1 result")
        .says("1 file kept the columns of the call, which differ from the list's: a");
    assert_eq!(api.requests(), 2);
    let exported = place.stride(&["export", "--db", "new.db"]).expect(0);
    assert_eq!(exported.json()["a"], json!({"t": "hello"}));
    assert_eq!(place.bystander(), bystander);
}
