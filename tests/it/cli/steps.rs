//! Services that answer later, through the whole program: each file is submitted once, whatever happens.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::Place;
use crate::support::{FakeApi, Reply, Request, lock};

const KEY: &str = "Authorization: Bearer literal-sesame-99";

/// The number of files, and of kills.
const FILES: usize = 50;
const KILLS: usize = 20;

/// The first wait between polls.
const EVERY: Duration = Duration::from_millis(50);

/// A service, by the way in which it says where its results will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Upload, submit, poll.
    Upload,
    /// 202 with a header and `Retry-After`.
    Operation,
    /// A URL for polls, and another service's for the result.
    Prediction,
    /// 202 with `Location`, and 303 to the result.
    SeeOther,
}

/// What a service knows.
#[derive(Default)]
struct Known {
    /// The uploaded contents.
    uploads: Vec<String>,
    /// The job of each key, and its content.
    jobs: Vec<String>,
    by_key: HashMap<String, usize>,
    /// The key of each submission of a content.
    submitted: BTreeMap<String, Vec<String>>,
    /// Number of polls of a job.
    polls: HashMap<usize, usize>,
}

struct Service {
    api: FakeApi,
    _results: Option<FakeApi>,
    known: Arc<Mutex<Known>>,
    kind: Kind,
}

/// Returns whether a job is ready at its next poll: after no to three others.
fn is_ready(job: usize, polls: usize) -> bool {
    polls > job % 4
}

impl Service {
    fn start(kind: Kind) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let results = (kind == Kind::Prediction).then(|| {
            let known = Arc::clone(&known);
            FakeApi::start(move |request| {
                assert_eq!(request.header("authorization"), None, "a credential leaks");
                let job: usize = request.target[1..].parse().unwrap();
                Reply::text(lock(&known).jobs[job].to_uppercase())
            })
        });
        let elsewhere = results.as_ref().map(FakeApi::url).unwrap_or_default();
        let api = {
            let known = Arc::clone(&known);
            FakeApi::start(move |request| answer(kind, &known, &elsewhere, request))
        };
        Self {
            api,
            _results: results,
            known,
            kind,
        }
    }

    /// The words of the run.
    fn words(&self, files: &str) -> Vec<String> {
        let url = self.api.url();
        let words: Vec<String> = match self.kind {
            Kind::Upload => vec![
                "--curl".to_owned(),
                format!("curl -H '{KEY}' --data-binary @{{}} {url}/upload"),
                "--then".to_owned(),
                format!(
                    "curl -H '{KEY}' --json '{{\"audio_url\": \"{{answer.upload_url}}\"}}' {url}/submit"
                ),
                "--then".to_owned(),
                format!("curl -H '{KEY}' {url}/jobs/{{answer.id}}"),
                "--poll-until".to_owned(),
                ".status == \"completed\"".to_owned(),
                "--poll-fail".to_owned(),
                ".status == \"error\"".to_owned(),
                "--extract".to_owned(),
                ".text".to_owned(),
            ],
            Kind::Operation => {
                let url = format!("{url}/analyze");
                let words = [
                    "-H",
                    KEY,
                    "--url",
                    &url,
                    "--then",
                    "{header.operation-location}",
                    "--poll-until",
                    ".status == \"succeeded\"",
                    "--poll-fail",
                    ".status == \"failed\"",
                    "--extract",
                    ".text",
                ];
                words.map(str::to_owned).into()
            }
            Kind::Prediction => {
                let url = format!("{url}/predictions");
                let words = [
                    "-H",
                    KEY,
                    "--url",
                    &url,
                    "--then",
                    "{answer.urls.get}",
                    "--poll-until",
                    ".status == \"succeeded\"",
                    "--then",
                    "{answer.output[0]}",
                    "--output-dir",
                    "out",
                ];
                words.map(str::to_owned).into()
            }
            Kind::SeeOther => {
                let url = format!("{url}/queue");
                let words = [
                    "-H",
                    KEY,
                    "--url",
                    &url,
                    "--then",
                    "{header.location}",
                    "--poll-until",
                    "$status == 303",
                    "--then",
                    "{header.location}",
                    "--extract",
                    ".text",
                ];
                words.map(str::to_owned).into()
            }
        };
        let mut all = vec!["run".to_owned()];
        all.extend(words);
        all.extend(["--poll-every", "50ms", "-j", "8", files].map(str::to_owned));
        all
    }
}

fn answer(kind: Kind, known: &Mutex<Known>, elsewhere: &str, request: &Request) -> Reply {
    let mut known = lock(known);
    let url = format!("http://{}", request.header("host").unwrap());
    assert_eq!(
        request.header("authorization"),
        Some(&KEY[15..]),
        "{request:?}"
    );
    let body = String::from_utf8_lossy(&request.body).into_owned();
    if request.method == "POST" {
        if request.target == "/upload" {
            known.uploads.push(body);
            let number = known.uploads.len() - 1;
            return Reply::json(json!({"upload_url": format!("{url}/uploads/{number}")}));
        }
        let content = match kind {
            Kind::Upload => {
                let body: Value = serde_json::from_str(&body).unwrap();
                let at = body["audio_url"]
                    .as_str()
                    .unwrap()
                    .rsplit('/')
                    .next()
                    .unwrap();
                known.uploads[at.parse::<usize>().unwrap()].clone()
            }
            _ => body,
        };
        let key = request.key().unwrap().to_owned();
        let submitted = known.submitted.entry(content.clone()).or_default();
        submitted.push(key.clone());
        let next = known.jobs.len();
        let job = *known.by_key.entry(key).or_insert(next);
        if job == next {
            known.jobs.push(content);
        }
        return match kind {
            Kind::Upload => Reply::json(json!({"id": job, "status": "queued"})),
            Kind::Operation => Reply::status(202)
                .header(
                    "Operation-Location",
                    format!("{url}/operations/{job}?api-version=1"),
                )
                .header("Retry-After", "0"),
            Kind::Prediction => {
                Reply::json(json!({"urls": {"get": format!("{url}/predictions/{job}")}}))
            }
            Kind::SeeOther => Reply::status(202).header("Location", format!("/queue/{job}")),
        };
    }
    let path = request.target.split('?').next().unwrap();
    let (path, is_result) = match path.strip_suffix("/result") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let job: usize = path.rsplit('/').next().unwrap().parse().unwrap();
    let text = known.jobs[job].to_uppercase();
    if is_result {
        return Reply::json(json!({"text": text}));
    }
    let polls = known.polls.entry(job).or_default();
    *polls += 1;
    match (kind, is_ready(job, *polls)) {
        (Kind::Upload, true) => Reply::json(json!({"status": "completed", "text": text})),
        (Kind::Operation, true) => Reply::json(json!({"status": "succeeded", "text": text})),
        (Kind::Operation, false) => {
            Reply::json(json!({"status": "running"})).header("Retry-After", "0")
        }
        (Kind::Prediction, true) => {
            Reply::json(json!({"status": "succeeded", "output": [format!("{elsewhere}/{job}")]}))
        }
        (Kind::SeeOther, true) => Reply::status(303).header("Location", format!("{path}/result")),
        (_, false) => Reply::json(json!({"status": "processing"})),
    }
}

/// Runs, kills the process at random moments, and ends the run. Checks that each file was submitted once, or again only in
/// doubt under the same key, and that all results are right.
fn killed_again_and_again(kind: Kind, files: usize) {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let service = Service::start(kind);
    let place = Place::new();
    place.write("bystander.txt", "bystander");
    let words = service.words("bystander.txt");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    place.stride(&words).expect(0);
    let bystander = place.bystander();
    let names = place.texts(files);
    let words = service.words("texts");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for _ in 0..KILLS {
        let run = place.begin(&words);
        let goal = service.api.requests() + random.usize(0..files / 4);
        // The last calls may be made already.
        place.until(|| service.api.requests() >= goal || is_complete(&place));
        run.kill();
    }
    place.stride(&words).expect(0);
    let known = lock(&service.known);
    let doubts = place.sql(
        "SELECT path, sum(outcome = 'in_doubt') FROM attempt JOIN job ON job.id = attempt.job GROUP BY path",
    );
    let doubts: HashMap<&str, usize> = doubts
        .iter()
        .map(|row| (row[0].as_str(), row[1].parse().unwrap()))
        .collect();
    for name in &names {
        let keys = &known.submitted[name];
        assert!(
            keys.iter().all(|key| *key == keys[0]),
            "seed {seed}: {name} {keys:?}"
        );
        assert!(
            keys.len() <= 1 + doubts[name.as_str()],
            "seed {seed}: {name} {keys:?}"
        );
    }
    // A poll is repeated only when it is due, or in doubt.
    for (job, polls) in &known.polls {
        let content = &known.jobs[*job];
        let doubts = doubts.get(content.as_str()).copied().unwrap_or(0);
        assert!(
            *polls <= 1 + job % 4 + doubts,
            "seed {seed}: {content} {polls}"
        );
    }
    drop(known);
    check_results(&place, kind, &names);
    assert_eq!(place.bystander(), bystander);
    place.stride(&["verify"]).expect(0);
}

fn is_complete(place: &Place) -> bool {
    let left = place.sql("SELECT count(*) FROM work WHERE state <> 2");
    left[0][0] == "0"
}

fn check_results(place: &Place, kind: Kind, names: &[String]) {
    let exported = place.stride(&["export"]).expect(0).json();
    for name in names {
        let expected = name.to_uppercase();
        match kind {
            // A crash just before the commit leaves a file that no result refers to.
            Kind::Prediction => {
                let file = exported[name]["file"].as_str().unwrap();
                assert_eq!(fs::read_to_string(file).unwrap(), expected);
            }
            _ => assert_eq!(exported[name], json!(expected)),
        }
    }
}

#[test]
fn row_157_an_upload_and_its_submission_survive_kills() {
    killed_again_and_again(Kind::Upload, FILES);
}

#[test]
fn row_157_an_operation_survives_kills() {
    killed_again_and_again(Kind::Operation, FILES);
}

#[test]
fn row_157_a_prediction_and_its_result_elsewhere_survive_kills() {
    killed_again_and_again(Kind::Prediction, FILES);
}

#[test]
fn row_157_a_303_survives_kills() {
    killed_again_and_again(Kind::SeeOther, FILES);
}

#[test]
#[ignore = "takes a minute; to be run by hand"]
fn row_157_a_thousand_files_of_each_kind_survive_kills() {
    for kind in [
        Kind::Upload,
        Kind::Operation,
        Kind::Prediction,
        Kind::SeeOther,
    ] {
        killed_again_and_again(kind, 1000);
    }
}

/// Polls keep the distance of `--poll-every`, and are one attempt.
#[test]
fn polls_keep_their_distance() {
    let service = Service::start(Kind::Upload);
    let place = Place::new();
    place.texts(20);
    let words = service.words("texts");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    place.stride(&words).expect(0);
    let mut polls: HashMap<String, Vec<std::time::Instant>> = HashMap::new();
    for logged in service.api.log() {
        if logged.request.method == "GET" {
            polls.entry(logged.target).or_default().push(logged.at);
        }
    }
    assert_eq!(polls.len(), 20);
    for (target, at) in polls {
        for pair in at.windows(2) {
            let apart = pair[1] - pair[0];
            assert!(apart >= EVERY, "{target}: {apart:?}");
        }
    }
    let rows = place.sql("SELECT count(*), sum(polls) FROM attempt WHERE step = 2");
    let polls = lock(&service.known).polls.values().sum::<usize>();
    assert_eq!(rows, [["20".to_owned(), polls.to_string()]]);
}

/// A service whose jobs end in every way. `mended` makes them all good.
fn endings(mended: Arc<AtomicBool>) -> impl Fn(&Request) -> Reply + Send + Sync {
    move |request| {
        let name = request.target.rsplit('/').next().unwrap();
        let is_mended = mended.load(Ordering::SeqCst);
        match (request.method.as_str(), name, is_mended) {
            ("POST", "0004", false) => Reply::json("{}"),
            ("POST", name, _) => Reply::json(json!({"id": name})),
            (_, "0000", false) => {
                Reply::json(json!({"status": "error", "error": "no speech in it"}))
            }
            (_, "0001", false) => Reply::status(404).body(
                "application/json",
                "{\"error\": \"no such job\"}".to_owned(),
            ),
            (_, "0002", false) => Reply::json(json!({"status": "processing"})),
            _ => Reply::json(json!({"status": "done"})),
        }
    }
}

const UNTIL: &str = ".status == \"done\"";

#[test]
fn row_158_each_end_of_a_job_has_its_kind_and_its_retry() {
    let mended = Arc::new(AtomicBool::new(false));
    let api = FakeApi::start(endings(Arc::clone(&mended)));
    let place = Place::new();
    let (url, then) = (
        format!("{}/{{name}}", api.url()),
        format!("{}/jobs/{{answer.id}}", api.url()),
    );
    let call = [
        "--url",
        &url,
        "--then",
        &then,
        "--poll-until",
        UNTIL,
        "--poll-fail",
        ".status == \"error\"",
        "--poll-every",
        "50ms",
        "--poll-for",
        "100ms",
    ];
    let bystander = place.with_bystander_of(&call);
    place.texts(5);
    place
        .stride(&[&["run"], &call[..], &["texts"]].concat())
        .expect(3);
    let kinds = || {
        place.sql(
            "SELECT job.path, attempt.kind, attempt.class FROM attempt JOIN job ON job.id = attempt.job
             JOIN work ON work.job = job.id
             WHERE work.state = 3 AND number = (SELECT max(number) FROM attempt AS other WHERE other.job = attempt.job)
             ORDER BY path",
        )
    };
    let found = kinds();
    let found: Vec<Vec<&str>> = found
        .iter()
        .map(|row| row.iter().map(String::as_str).collect())
        .collect();
    assert_eq!(
        found,
        [
            ["texts/0000", "job_failed", "rejected"],
            ["texts/0001", "expired", "rejected"],
            ["texts/0002", "poll_timed_out", found[2][2]],
            ["texts/0004", "no_value", "bad_response"],
        ]
    );
    place.stride(&["failures"]).expect(0);
    let told = place.stride(&["failures"]).stdout;
    let told = String::from_utf8(told).unwrap();
    for words in ["no speech in it", "no such job", "{answer.id} is missing"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    mended.store(true, Ordering::SeqCst);
    // The answer that has no id is still there, so its file is submitted again only when asked for.
    place.stride(&["retry", "--poll-for", "1h"]).expect(3);
    place.stride(&["retry", "--anew", "texts/0004"]).expect(0);
    let submissions = |name: &str| {
        let log = api.log();
        let of = log
            .iter()
            .filter(|logged| logged.request.method == "POST" && logged.target == name);
        of.count()
    };
    // The jobs that the service may still know are polled on.
    for (name, times) in [
        ("/0000", 2),
        ("/0001", 1),
        ("/0002", 1),
        ("/0003", 1),
        ("/0004", 2),
    ] {
        assert_eq!(submissions(name), times, "{name}");
    }
    assert_eq!(place.bystander(), bystander);
    place.stride(&["verify"]).expect(0);
}

/// One invocation submits, and a later one takes the results.
#[test]
fn row_159_a_run_that_only_submits_ends_and_is_resumed() {
    let mended = Arc::new(AtomicBool::new(false));
    let is_ready = Arc::clone(&mended);
    let api = FakeApi::start(move |request| match request.method.as_str() {
        "POST" => Reply::status(202)
            .header("Location", format!("/jobs{}", request.target))
            .header("Retry-After", "1"),
        _ if is_ready.load(Ordering::SeqCst) => Reply::json(json!({"status": "done"})),
        _ => Reply::json(json!({"status": "processing"})),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let call = [
        "--url",
        &url,
        "--then",
        "{header.location}",
        "--poll-until",
        UNTIL,
    ];
    mended.store(true, Ordering::SeqCst);
    let bystander = place.with_bystander_of(&call);
    mended.store(false, Ordering::SeqCst);
    place.texts(10);
    let submit = [&["run", "--submit-only"], &call[..], &["texts"]].concat();
    place.stride(&submit).expect(75).says("--submit-only");
    let status = place.status();
    assert_eq!(
        (&status["waiting"], &status["done"]),
        (&json!(10), &json!(1))
    );
    assert!(place.stride(&["export"]).code != Some(0));
    mended.store(true, Ordering::SeqCst);
    place.stride(&["resume"]).expect(0);
    let posts = api
        .log()
        .iter()
        .filter(|logged| logged.request.method == "POST")
        .count();
    assert_eq!(posts, 11);
    assert_eq!(place.bystander(), bystander);
}

/// A changed request is not taken over unasked while files are in the middle of it, and never one with fewer requests.
#[test]
fn row_160_a_change_in_the_middle_of_files_needs_consent() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/bystander.txt" => Reply::json(json!({"id": "bystander"})),
        "/jobs/bystander" => Reply::json(json!({"state": "done", "status": "done"})),
        target if target.starts_with("/jobs") => {
            Reply::json(json!({"state": "done", "status": "working"}))
        }
        target => Reply::json(json!({"id": target})).header("Retry-After", "1"),
    });
    let place = Place::new();
    let (url, then) = (
        format!("{}/{{name}}", api.url()),
        format!("{}/jobs/{{answer.id}}", api.url()),
    );
    let call = |until| {
        [
            "run",
            "--url",
            &url,
            "--then",
            &then,
            "--poll-until",
            until,
            "--poll-every",
            "50ms",
        ]
    };
    let wrong = call(UNTIL);
    let bystander = place.with_bystander_of(&wrong[1..]);
    place.texts(3);
    let submit = [&wrong[..], &["--submit-only", "texts"]].concat();
    place.stride(&submit).expect(75);
    let right = call(".state == \"done\"");
    let run = [&right[..], &["texts"]].concat();
    place
        .stride(&run)
        .expect(2)
        .says("3 files in the middle of it")
        .says("+ step 2 poll-until: .state == \"done\"")
        .says("--accept-change");
    // Without the later request, the files would never be done.
    let first = ["run", "--url", &url, "--accept-change", "texts"];
    place.stride(&first).expect(2).says("keep the requests");
    place
        .stride(&[&run[..], &["--accept-change"]].concat())
        .expect(0);
    let posts = api
        .log()
        .iter()
        .filter(|logged| logged.request.method == "POST")
        .count();
    assert_eq!(posts, 4);
    assert_eq!(place.bystander(), bystander);
}

/// `try` makes all requests and shows them, and `--dry-run` the forms of the later ones.
#[test]
fn later_requests_are_shown() {
    let service = Service::start(Kind::Upload);
    let place = Place::new();
    place.texts(3);
    let words = service.words("texts/0002");
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = place
        .stride(&[&words[..], &["--dry-run"]].concat())
        .expect(0);
    let shown = String::from_utf8(told.stdout).unwrap();
    for line in [
        "step 2 body: {\"audio_url\": \"{answer.upload_url}\"}",
        "step 2 header authorization: (a literal credential, not stored)",
        "step 3 poll-until: .status == \"completed\"",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(service.api.requests(), 0);
    words[0] = "try";
    lock(&service.known).jobs = vec!["x".to_owned(), "y".to_owned()];
    let tried = place.stride(&words).expect(0);
    assert_eq!(tried.json()["text"], json!("TEXTS/0002"));
    let tried = tried
        .says("> POST")
        .says("the next request follows")
        .says("< {\"status\":\"processing\"}\nnot ready (processing); the same request follows in 0.1 s")
        .says("a run would record this as the file's result");
    assert!(!tried.stderr.contains("sesame"), "{}", tried.stderr);
}

/// The first request reads the file, and the result is the last one's.
#[test]
fn a_file_that_has_changed_since_its_submission_is_submitted_again() {
    let api = FakeApi::start(|_| Reply::json(json!({"id": 1, "status": "done"})));
    let place = Place::new();
    place.texts(3);
    let (url, then) = (api.url(), format!("{}/jobs/{{answer.id}}", api.url()));
    let run = [
        "run",
        "--url",
        &url,
        "--then",
        &then,
        "--poll-until",
        UNTIL,
        "texts",
    ];
    place.stride(&run).expect(0);
    place.write("texts/0001", "another text");
    place.stride(&run).expect(0).says("texts/0001");
    let again = [&run[..], &["--retry-changed"]].concat();
    place
        .stride(&again)
        .expect(0)
        .says("1 changed file pending again");
    let posts = api
        .log()
        .into_iter()
        .filter(|logged| logged.request.method == "POST");
    let last = posts.last().unwrap();
    assert_eq!(&*last.body, b"another text");
}

/// A header that is given to a run replaces that of the later requests, too, which have it from the first one.
#[test]
fn a_header_that_is_given_later_is_for_all_requests() {
    let api = FakeApi::start(|request| match request.header("x-api-key") {
        Some("new-key-of-the-run") => Reply::json(json!({"id": 1, "status": "done"})),
        _ => Reply::status(401),
    });
    let place = Place::new();
    place.texts(2);
    let then = format!("{}/jobs/{{answer.id}}", api.url());
    let url = api.url();
    let run = [
        "run",
        "-H",
        "X-Api-Key: {env:OLD}",
        "--url",
        &url,
        "--then",
        &then,
        "--poll-until",
        UNTIL,
        "texts",
    ];
    let keys = [("OLD", "old-key-of-the-run"), ("NEW", "new-key-of-the-run")];
    place.stride_with(&keys, &run).expect(4);
    place
        .stride_with(&keys, &["resume", "-H", "X-Api-Key: {env:NEW}"])
        .expect(0);
    let polls = api
        .log()
        .into_iter()
        .filter(|logged| logged.request.method == "GET");
    assert_eq!(polls.count(), 2);
}

/// The first wave of calls uses the budget up before any answer says that more requests follow.
#[test]
fn polls_go_on_when_the_first_calls_use_the_budget_up() {
    let api = FakeApi::start(|request| match request.method.as_str() {
        "POST" => Reply::json(json!({"id": request.target.trim_start_matches('/')})).after(EVERY),
        _ => Reply::json(json!({"status": "done"})),
    });
    let place = Place::new();
    let url = format!("{}/{{name}}", api.url());
    let then = format!("{}/jobs/{{answer.id}}", api.url());
    let call = ["--url", &url, "--then", &then, "--poll-until", UNTIL];
    place.texts(10);
    let run = ["run", "--max-calls", "4", "-j", "8"];
    place
        .stride(&[&run[..], &call[..], &["texts"]].concat())
        .expect(4);
    let counts = place.sql("SELECT state, count(*) FROM results GROUP BY state ORDER BY state");
    assert_eq!(counts, [["done", "4"], ["pending", "6"]]);
}

/// A file is edited after a submission in doubt: a later request that sends it must not have the old key.
#[test]
fn a_later_request_that_sends_an_edited_file_has_a_new_key() {
    for (sends, renews) in [("--data-binary @{}", true), ("-d x", false)] {
        let mended = Arc::new(AtomicBool::new(false));
        let is_up = Arc::clone(&mended);
        let api = FakeApi::start(move |request| match request.target.as_str() {
            "/upload" => Reply::json(json!({"id": 1})),
            _ if is_up.load(Ordering::SeqCst) => Reply::json(json!({"status": "done"})),
            _ => Reply::close(),
        });
        let place = Place::new();
        place.texts(1);
        let (url, then) = (
            format!("{}/upload", api.url()),
            format!("curl {sends} {}/submit/{{answer.id}}", api.url()),
        );
        let run = ["run", "--in-doubt", "hold", "--retries", "0"];
        let call = ["--url", &url, "--then", &then, "texts"];
        place.stride(&[&run[..], &call[..]].concat()).expect(3);
        place.write("texts/0000", "edited, and longer than before");
        mended.store(true, Ordering::SeqCst);
        place.stride(&["retry", "--held"]).expect(0);
        let log = api.log();
        let keys = log.iter().filter(|logged| logged.target == "/submit/1");
        let keys: Vec<_> = keys.map(|logged| logged.request.key()).collect();
        assert_eq!(keys.len(), 2, "{sends}");
        assert_eq!(keys[0] != keys[1], renews, "{sends}: {keys:?}");
    }
}

/// A row is corrected while its file waits: its submission has sent the old one.
#[test]
fn a_row_that_is_corrected_while_its_file_waits_is_told() {
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = Arc::clone(&ready);
    let api = FakeApi::start(move |request| match request.method.as_str() {
        "POST" => Reply::json(json!({"id": 7})),
        _ if is_ready.load(Ordering::SeqCst) => Reply::json(json!({"status": "done"})),
        _ => Reply::json(json!({"status": "running"})),
    });
    let place = Place::new();
    let then = format!("{}/jobs/{{answer.id}}", api.url());
    let run = ["run", "--files-from", "l.csv", "--key-column", "id"];
    let call = ["--url", &api.url(), "--json", r#"{"t": "{col.text}"}"#];
    let polls = [
        "--then",
        &then,
        "--poll-until",
        UNTIL,
        "--poll-every",
        "50ms",
    ];
    let typed = [&run[..], &call[..], &polls[..]].concat();
    place.write("l.csv", "id,text\na,hello\n");
    let submits = [&typed[..], &["--submit-only"]].concat();
    place.stride(&submits).expect(75);
    ready.store(true, Ordering::SeqCst);
    place.write("l.csv", "id,text\na,goodbye\n");
    let again = [&typed[..], &["--retry-changed", "--submit-only"]].concat();
    place
        .stride(&submits)
        .says("1 file kept the columns of the call, which differ from the list's: a\n");
    place.write("l.csv", "id,text\na,hello\nb,x\n");
    ready.store(false, Ordering::SeqCst);
    place.stride(&submits).expect(75);
    place.write("l.csv", "id,text\na,hello\nb,y\n");
    ready.store(true, Ordering::SeqCst);
    place.stride(&again).expect(0);
    let log = api.log();
    let sent = log.iter().filter(|logged| logged.request.method == "POST");
    assert_eq!(sent.count(), 3, "b is submitted again with its new row");
    place.stride(&["verify"]).expect(0);
}
