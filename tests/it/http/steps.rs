//! Several requests for each job: their templates, their answers, and what an address in an answer gets.

use stride::caller::{Caller as _, Cancel, Credential};
use stride::job::{Class, Failure, FailureKind, Job, Outcome, Step, StepAnswer, StepKind};
use stride::settings::{Body, Escape, Header, HeaderValue, Piece, PollRule, Request, Then};

use super::redirects::{asking, certificate};
use super::tls::authority;
use super::{Client, SECRET, attempt, failed, succeeded};
use crate::support::{FakeApi, Reply};

/// A literal credential.
const LITERAL: &str = "literal-pass/word+1";

/// A request with GET.
fn get(url: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.to_owned(),
        body: Body::Nothing,
        ..Request::default()
    }
}

fn json(template: &str) -> Body {
    Body::Pieces {
        pieces: vec![Piece::Text {
            template: template.to_owned(),
            escape: Escape::Json,
        }],
    }
}

impl Client {
    fn then(mut self, request: Request) -> Self {
        let poll = None;
        self.request.then.push(Then { request, poll });
        self
    }

    fn polled(mut self, request: Request, until: &str, fail: Option<&str>) -> Self {
        let poll = Some(PollRule {
            until: until.to_owned(),
            fail: fail.map(str::to_owned),
        });
        self.request.then.push(Then { request, poll });
        self
    }

    /// Makes the requests of a job until one has another outcome than an answer in between, and returns the outcomes.
    fn walk(&self) -> Vec<Outcome> {
        let mut job = self.job("a.txt", b"hello");
        let (mut step, mut outcomes) = (Step::FIRST, Vec::new());
        let mut caller = self.caller();
        while outcomes.len() < 20 {
            let attempt = stride::job::Attempt { step, ..attempt(1) };
            let outcome = caller.call(&job, &attempt, &Cancel::new());
            let go_on = match &outcome {
                Outcome::Advanced { answer, next, .. } => {
                    job.answers.push(StepAnswer {
                        status: answer.status,
                        media_type: answer.media_type.clone(),
                        headers: answer.headers.clone(),
                        body: answer.body.bytes().unwrap().into_owned(),
                    });
                    step.index += 1;
                    step.kind = *next;
                    true
                }
                Outcome::NotReady { .. } => true,
                _ => false,
            };
            outcomes.push(outcome);
            if !go_on {
                break;
            }
        }
        outcomes
    }

    /// Returns the last outcome of a job's requests.
    fn last(&self) -> Outcome {
        self.walk().pop().unwrap()
    }
}

fn unsendable(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Unsendable(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_of_answers_go_into_every_part_of_later_requests() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/upload" => Reply::json(r#"{"id": "a/../b c", "n": 7, "o": {"p": ["x\"y"]}}"#)
            .header("X-Token", "t-1"),
        _ => Reply::json(format!("{:?}", request.target)),
    });
    let url = api.url();
    let client = Client::post(&format!("{url}/upload"))
        .then(Request {
            method: "POST".to_owned(),
            headers: vec![Header {
                name: "X-Sent".to_owned(),
                value: HeaderValue::Template("{header.x-token}/{answer.n}".to_owned()),
            }],
            body: json(
                r#"{"n": {answer.n}, "o": {answer.o}, "s": "<{answer.o.p[0]}>", "name": "{name}"}"#,
            ),
            ..get(&format!("{url}/of/{{answer.id}}?q={{answer.id}}"))
        })
        .then(get(&format!(
            "{url}/{{step1.n}}/{{step1.header.X-Token}}?a={{answer}}"
        )));
    let mut outcomes = client.walk();
    let last = succeeded(outcomes.pop().unwrap());
    let kinds: Vec<StepKind> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Advanced { next, .. } => *next,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, [StepKind::Write, StepKind::Read]);
    let log = api.log();
    assert_eq!(log[1].target, "/of/a%2F..%2Fb%20c?q=a%2F..%2Fb%20c");
    assert_eq!(log[1].request.header("x-sent"), Some("t-1/7"));
    let sent = r#"{"n": 7, "o": {"p": ["x\"y"]}, "s": "<x\"y>", "name": "a.txt"}"#;
    assert_eq!(std::str::from_utf8(&log[1].body), Ok(sent));
    let answer = "%22%5C%22%2Fof%2Fa%252F..%252Fb%2520c%3Fq%3Da%252F..%252Fb%2520c%5C%22%22";
    let answer = answer.replace("%5C%22", "");
    assert_eq!(log[2].target, format!("/7/t-1?a={answer}"));
    assert_eq!(last.status, Some(200));
    // A write has a key, and a read has none.
    let keys: Vec<bool> = log.iter().map(|logged| logged.key.is_some()).collect();
    assert_eq!(keys, [true, true, false]);
}

#[test]
fn braces_of_the_first_request_stand_for_themselves() {
    let api = FakeApi::start(|_| Reply::json(1));
    let mut client = Client::post(&api.url());
    client.request.pasted = true;
    client.request.body = json(r#"{"prompt": "use {answer.id} and {header.x} of {name}"}"#);
    succeeded(client.call());
    let sent = r#"{"prompt": "use {answer.id} and {header.x} of a.txt"}"#;
    assert_eq!(std::str::from_utf8(&api.log()[0].body), Ok(sent));
    for url in ["{answer.url}", "http://a/{step2.x}", "http://a/{step3.x}"] {
        let first = Client::post(url);
        assert!(first.plan().is_err(), "{url}");
        let later = Client::post("http://a/").then(get(url));
        let refused = url != "{answer.url}";
        assert_eq!(later.plan().is_err(), refused, "{url}");
    }
}

#[test]
fn a_request_lacks_a_value_without_a_call() {
    for (body, path, says) in [
        ("{}", "id", "{answer.id} is missing in the answer of step 1"),
        (
            r#"{"id": " "}"#,
            "id",
            "{answer.id} is empty in the answer of step 1",
        ),
        (
            r#"{"id": null}"#,
            "id",
            "{answer.id} is null in the answer of step 1",
        ),
        (r#"{"id": {}}"#, "id", "{answer.id} is an object"),
        ("<html>", "id", "which is not JSON"),
    ] {
        let api = FakeApi::start(move |_| Reply::text(body));
        let url = api.url();
        let client = Client::post(&url).then(get(&format!("{url}/{{answer.{path}}}")));
        let failure = unsendable(client.last());
        assert_eq!(
            (failure.class, failure.kind),
            (Class::BadResponse, FailureKind::NoValue)
        );
        assert!(failure.message.contains(says), "{}", failure.message);
        assert_eq!(api.requests(), 1);
    }
}

#[test]
fn a_poll_is_repeated_until_the_service_is_ready() {
    let api = FakeApi::start(|request| match (request.target.as_str(), request.attempt) {
        ("/submit", _) => Reply::status(202)
            .header("Operation-Location", "/jobs/7?v=1")
            .header("Retry-After", "2"),
        (_, 0) => Reply::status(202),
        (_, 1) => Reply::json(r#"{"status": "running"}"#).header("Retry-After", "3"),
        _ => Reply::json(r#"{"status": "succeeded", "result": 5}"#),
    });
    let client = Client::post(&format!("{}/submit", api.url())).polled(
        get("{header.operation-location}"),
        ".status == \"succeeded\"",
        Some(".status == \"failed\""),
    );
    let outcomes = client.walk();
    let waits: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Advanced { wait, next, .. } => {
                (wait.map(|wait| wait.as_secs()), next.as_str().to_owned())
            }
            Outcome::NotReady { wait, words, .. } => {
                (wait.map(|wait| wait.as_secs()), words.clone())
            }
            Outcome::Succeeded(answer) => (None, format!("{:?}", answer.status)),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (Some(2), "poll"),
        (None, "HTTP 202"),
        (Some(3), "running"),
        (None, "Some(200)"),
    ];
    assert_eq!(
        waits,
        expected.map(|(wait, words)| (wait, words.to_owned()))
    );
    let log = api.log();
    assert_eq!(log[1].target, "/jobs/7?v=1");
    assert!(log[1..].iter().all(|logged| logged.key.is_none()));
}

#[test]
fn a_job_fails_with_the_services_words() {
    for (reply, kind, class, says) in [
        (
            Reply::json(r#"{"status": "error", "error": "the audio is\nempty"}"#),
            "job_failed",
            Class::Rejected,
            "the service says that the job failed: the audio is empty",
        ),
        (
            Reply::status(404).body("application/json", r#"{"error": "no such job"}"#.to_owned()),
            "expired",
            Class::Rejected,
            "HTTP 404 Not Found: the service does not know what an earlier answer names",
        ),
        (
            Reply::status(410),
            "expired",
            Class::Rejected,
            "HTTP 410 Gone",
        ),
        (
            Reply::json("[1]"),
            "not_successful",
            Class::BadResponse,
            "cannot be evaluated for the answer",
        ),
        (
            Reply::status(503),
            "http_status",
            Class::Transient,
            "HTTP 503",
        ),
    ] {
        let api = FakeApi::start(move |request| match request.target.as_str() {
            "/" => Reply::json(r#"{"id": 1}"#),
            _ => reply.clone(),
        });
        let url = api.url();
        let client = Client::post(&format!("{url}/")).polled(
            get(&format!("{url}/{{answer.id}}")),
            ".status == \"done\"",
            Some(".status == \"error\""),
        );
        let failure = failed(client.last());
        assert_eq!((failure.kind.as_str(), failure.class), (kind, class));
        assert!(failure.message.contains(says), "{}", failure.message);
    }
}

/// A service may answer with a redirect to what comes next: it is an answer if a later request takes its `Location`.
#[test]
fn a_303_leads_to_the_next_request_with_and_without_following() {
    let behaviour =
        |request: &crate::support::Request| match (request.target.as_str(), request.attempt) {
            ("/submit", _) => Reply::status(303).header("Location", "/status"),
            ("/status", 0) => Reply::json(r#"{"status": "running"}"#),
            ("/status", _) => Reply::status(303).header("Location", "/result"),
            _ => Reply::json(r#"{"text": "fine"}"#),
        };
    let api = FakeApi::start(behaviour);
    let client = Client::post(&format!("{}/submit", api.url()))
        .polled(get("{header.location}"), "$status == 303", None)
        .then(get("{header.location}"));
    let answer = succeeded(client.last());
    assert_eq!(
        answer.body.bytes().unwrap().as_ref(),
        br#"{"text": "fine"}"#
    );
    let targets: Vec<String> = api.log().into_iter().map(|logged| logged.target).collect();
    assert_eq!(targets, ["/submit", "/status", "/status", "/result"]);
    // With -L, the poll's answer is the result.
    let api = FakeApi::start(behaviour);
    let mut poll = get("{header.location}");
    poll.transport.redirects = 5;
    let client =
        Client::post(&format!("{}/submit", api.url())).polled(poll, ".status != \"running\"", None);
    let answer = succeeded(client.last());
    assert_eq!(
        answer.body.bytes().unwrap().as_ref(),
        br#"{"text": "fine"}"#
    );
    // No other redirect is an answer.
    let api = FakeApi::start(|_| Reply::status(303).header("Location", "/x"));
    let client = Client::post(&api.url()).then(get(&format!("{}/{{answer.id}}", api.url())));
    assert_eq!(failed(client.last()).kind, FailureKind::Redirect);
}

/// A redirect to a login page is no sign that a job is ready.
#[test]
fn a_redirect_of_a_poll_is_judged_by_the_expressions() {
    for status in [301, 302, 303, 307] {
        let api = FakeApi::start(move |request| match request.target.as_str() {
            "/" => Reply::status(202).header("Location", "/status"),
            "/status" => Reply::status(status).header("Location", "/login"),
            _ => Reply::json(1),
        });
        let client = Client::post(&format!("{}/", api.url()))
            .polled(get("{header.location}"), "$status == 303", None)
            .then(get("{header.location}"));
        match status {
            303 => drop(succeeded(client.last())),
            _ => {
                assert_eq!(failed(client.last()).kind, FailureKind::Redirect);
                assert_eq!(api.requests(), 2);
            }
        }
    }
    let api = FakeApi::start(|_| Reply::status(302).header("Location", "/login"));
    let client = Client::post(&api.url()).then(get("{header.location}"));
    assert_eq!(failed(client.last()).kind, FailureKind::Redirect);
}

/// The service's own words lead on, also if they have a secret in them. Other headers are masked.
#[test]
fn a_secret_in_a_header_that_a_request_takes_is_sent_as_received() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/" => Reply::status(202)
            .header("Location", format!("/jobs?code={SECRET}"))
            .header("X-Echo", SECRET),
        _ => Reply::json(1),
    });
    let client = Client::post(&format!("{}/", api.url()))
        .template("X-Who", "{env:SECRET}")
        .then(get("{header.location}"));
    let outcomes = client.walk();
    assert_eq!(api.log()[1].target, format!("/jobs?code={SECRET}"));
    let kept = outcomes[0].answer().unwrap().headers.clone().unwrap();
    assert_eq!(kept.matches(SECRET).count(), 1, "{kept}");
    assert!(kept.contains("\"x-echo\":\"[redacted]\""), "{kept}");
}

/// An address of one answer that does not work is no outage of the service.
#[test]
fn a_host_that_only_an_answer_names_fails_its_own_job() {
    for (target, kind) in [
        ("http://127.0.0.1:9/x", "unreachable"),
        ("http://nobody.invalid/x", "dns"),
    ] {
        let api = FakeApi::start(move |_| Reply::json(format!(r#"{{"next": "{target}"}}"#)));
        let client = Client::post(&api.url()).then(get("{answer.next}"));
        let failure = failed(client.last());
        assert_eq!(
            (failure.kind.as_str(), failure.class),
            (kind, Class::Transient)
        );
    }
    let client = Client::post("http://127.0.0.1:9/");
    assert!(matches!(client.call(), Outcome::Unreachable(_)));
}

/// The place of a credential in a later request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Literal,
    Reference,
    Cookie,
    Basic,
    Named,
    Scheme,
    Key,
    Query,
    Body,
}

const CARRIERS: [Carrier; 9] = [
    Carrier::Literal,
    Carrier::Reference,
    Carrier::Cookie,
    Carrier::Basic,
    Carrier::Named,
    Carrier::Scheme,
    Carrier::Key,
    Carrier::Query,
    Carrier::Body,
];

impl Carrier {
    /// Returns the request with this credential.
    fn add_to(self, mut request: Request) -> Request {
        let header = |name: &str, value| Header {
            name: name.to_owned(),
            value,
        };
        let template = |text: &str| HeaderValue::Template(text.to_owned());
        let pieces = |template: &str| {
            vec![Piece::Text {
                template: template.to_owned(),
                escape: Escape::Nothing,
            }]
        };
        request
            .headers
            .push(header("Host", template("front.example")));
        match self {
            Self::Literal => request
                .headers
                .push(header("Authorization", HeaderValue::Withheld)),
            Self::Reference => request
                .headers
                .push(header("X-Who", template("{env:SECRET}"))),
            Self::Cookie => request
                .headers
                .push(header("Cookie", template("id={env:SECRET}"))),
            Self::Basic => request.headers.push(header(
                "Authorization",
                HeaderValue::Basic("me:{env:SECRET}".to_owned()),
            )),
            Self::Named => request
                .headers
                .push(header("X-Api-Key", template("{name}-key"))),
            Self::Scheme => request
                .headers
                .push(header("X-Custom", template("Bearer {name}"))),
            Self::Key => request
                .headers
                .push(header("X-Custom", template("a1b2c3d4e5f6a7b8c9d0"))),
            Self::Query => request.query = pieces("key={env:SECRET}"),
            Self::Body => {
                request.method = "POST".to_owned();
                request.body = Body::Pieces {
                    pieces: pieces("k={env:SECRET}"),
                };
            }
        }
        request
    }

    /// Returns whether the credential can be left out of a request.
    fn can_be_left_out(self) -> bool {
        !matches!(self, Self::Query | Self::Body)
    }
}

/// Returns whether a request has any credential, or the host name that the user gave for the first origin.
fn has_credential(request: &crate::support::Request) -> bool {
    let names = ["authorization", "x-who", "cookie", "x-api-key", "x-custom"];
    let told = format!(
        "{} {:?}",
        request.target,
        String::from_utf8_lossy(&request.body)
    );
    names.iter().any(|name| request.header(name).is_some())
        || request.header("host") == Some("front.example")
        || told.contains("s3cr3t")
}

/// The matrix of origins, steps and carriers: a credential goes to an origin only if a URL of the user has it literally, or
/// `--allow-origin` names it.
#[test]
fn row_105_no_credential_goes_to_an_origin_that_only_an_answer_names() {
    for carrier in CARRIERS {
        for step in [1, 2] {
            for (named, origin) in [
                (false, "other"),
                (true, "own"),
                (true, "allowed"),
                (true, "of another step"),
                (false, "within the host"),
            ] {
                let other = FakeApi::start(|_| Reply::json(1));
                let elsewhere = other.url();
                let target = match origin {
                    "own" => "/own".to_owned(),
                    _ => format!("{elsewhere}/steal"),
                };
                let port = other.port();
                let api = FakeApi::start(move |_| {
                    Reply::json(format!(
                        r#"{{"next": "{target}", "host": "127.0.0.1:{port}", "port": {port}}}"#
                    ))
                });
                let url = match origin {
                    "within the host" => "http://127.0.0.1:{answer.port}/steal",
                    _ => "{answer.next}",
                };
                let mut client = Client::post(&api.url());
                client.credentials = vec![Credential {
                    name: "Authorization".to_owned(),
                    value: format!("Bearer {LITERAL}"),
                }];
                for _ in 1..step {
                    client = client.then(get(&format!("{}/between?{{answer.port}}", api.url())));
                }
                client = client.then(carrier.add_to(get(url)));
                match origin {
                    "allowed" => client.request.allow_origins = vec![elsewhere.clone()],
                    "of another step" => {
                        client = client.then(get(&format!("{elsewhere}/late?{{answer}}")));
                    }
                    _ => {}
                }
                let outcomes = client.walk();
                let case = format!("{carrier:?} {step} {origin}: {outcomes:?}");
                let log = match origin {
                    "own" => api.log().split_off(step),
                    _ => other.log(),
                };
                let arrived = log
                    .iter()
                    .find(|logged| !logged.target.starts_with("/late"));
                if !named && !carrier.can_be_left_out() {
                    assert!(arrived.is_none(), "{case}");
                    let failure = unsendable(client.last());
                    assert_eq!(failure.kind, FailureKind::UnsafeUrl, "{case}");
                    assert!(failure.message.contains("--allow-origin"), "{case}");
                    continue;
                }
                let arrived = arrived.unwrap_or_else(|| panic!("{case}"));
                assert_eq!(has_credential(&arrived.request), named, "{case}");
            }
        }
    }
}

/// A hostile answer repeats the secret in the address of another service.
#[test]
fn row_105_a_secret_in_an_address_goes_nowhere() {
    let other = FakeApi::start(|_| Reply::json(1));
    let target = format!("{}/{SECRET}", other.url());
    let answers = FakeApi::start(move |_| Reply::json(format!(r#"{{"x": "{target}"}}"#)));
    let client = Client::post(&answers.url())
        .template("X-Who", "{env:SECRET}")
        .then(get("{answer.x}"));
    let failure = unsendable(client.last());
    assert_eq!(failure.kind, FailureKind::UnsafeUrl);
    assert_eq!(other.requests(), 0);
}

/// A public service must not lead to this machine or a private network: by an address, by a name, or by a redirect.
#[test]
fn row_105_a_public_service_does_not_lead_inside() {
    let inside = FakeApi::start(|_| Reply::json(1));
    let port = inside.port();
    for (target, redirects) in [
        (format!("http://127.0.0.1:{port}/"), false),
        (format!("http://[::1]:{port}/"), false),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), false),
        (format!("http://2130706433:{port}/"), false),
        (format!("http://localhost:{port}/"), false),
        (format!("http://evil.example:{port}/"), false),
        ("http://169.254.169.254/latest/meta-data".to_owned(), false),
        (format!("http://127.0.0.1:{port}/"), true),
        (format!("http://evil.example:{port}/"), true),
    ] {
        let to = target.clone();
        let api = FakeApi::start(move |request| match redirects {
            true if request.target == "/hop" => Reply::status(307).header("Location", &to),
            true => Reply::json(r#"{"next": "/hop"}"#),
            false => Reply::json(format!(r#"{{"next": "{to}"}}"#)),
        });
        let resolve = vec![
            format!("api.example:{}:127.0.0.1", api.port()),
            format!("evil.example:{port}:127.0.0.1"),
        ];
        let mut next = get("{answer.next}");
        next.transport.resolve = resolve.clone();
        next.transport.redirects = 5;
        let mut client = Client::post(&format!("http://api.example:{}/", api.port())).then(next);
        client.request.transport.resolve = resolve;
        let before = inside.requests();
        let outcome = client.last();
        let failure = outcome
            .failure()
            .unwrap_or_else(|| panic!("{target}: {outcome:?}"));
        assert_eq!(
            failure.kind,
            FailureKind::UnsafeUrl,
            "{target}: {outcome:?}"
        );
        assert_eq!(inside.requests(), before, "{target}");
        // The user may allow it.
        if target.contains(&format!("//127.0.0.1:{port}")) {
            client.request.allow_origins = vec![format!("http://127.0.0.1:{port}")];
            succeeded(client.last());
        }
    }
}

/// Another origin does not see the client certificate, and https does not lead to http.
#[test]
fn row_105_a_client_certificate_and_encryption_end_where_an_answer_leads_away() {
    let ours = authority();
    let (second, shown_to_second) = asking(&ours, "200 OK".to_owned());
    let plain = FakeApi::start(|_| Reply::json(1));
    let port = second.port();
    for (target, shown) in [
        ("/next".to_owned(), None),
        (format!("https://localhost:{port}/"), Some(false)),
        (format!("{}/", plain.url()), None),
    ] {
        let (first, shown_to_first) = asking(&ours, format!("202 OK\r\nlocation: {target}"));
        let mut client = Client::post(&format!("https://localhost:{}/", first.port()));
        client.request.transport.certificate = Some(certificate(&client, &ours));
        client.request.transport.insecure = true;
        let mut next = get("{header.location}");
        next.transport = client.request.transport.clone();
        let client = client.then(next);
        let outcome = client.last();
        let to_first: Vec<bool> = shown_to_first.try_iter().collect();
        let is_own = target == "/next";
        assert_eq!(to_first, vec![true; 1 + usize::from(is_own)], "{outcome:?}");
        assert_eq!(shown_to_second.try_iter().next(), shown, "{outcome:?}");
        if target.starts_with("http://") {
            let failure = unsendable(outcome);
            assert_eq!(failure.kind, FailureKind::UnsafeUrl);
            assert!(
                failure.message.contains("not encrypted"),
                "{}",
                failure.message
            );
        } else {
            succeeded(outcome);
        }
    }
    assert_eq!(plain.requests(), 0);
}

#[test]
fn an_answer_does_not_name_another_scheme_or_a_password() {
    for (target, says) in [
        ("ftp://127.0.0.1/x", "only http and https can be called"),
        ("file:///etc/passwd", "only http and https can be called"),
        ("http://me:pass@127.0.0.1/x", "it has a name or a password"),
        ("http://", "empty host"),
    ] {
        let api = FakeApi::start(move |_| Reply::json(format!(r#"{{"next": "{target}"}}"#)));
        let client = Client::post(&api.url()).then(get("{answer.next}"));
        let failure = unsendable(client.last());
        assert_eq!(failure.kind, FailureKind::BadUrl, "{target}");
        assert!(failure.message.contains(says), "{}", failure.message);
        assert_eq!(api.requests(), 1);
    }
}

/// Values of answers cannot lead to another path of the service.
#[test]
fn a_value_of_an_answer_stays_in_its_part_of_the_path() {
    let api = FakeApi::start(|_| Reply::json(r#"{"id": ".."}"#));
    let url = api.url();
    let client = Client::post(&url).then(get(&format!("{url}/jobs/{{answer.id}}/text")));
    let failure = unsendable(client.last());
    assert!(
        failure.message.contains("another path"),
        "{}",
        failure.message
    );
    assert_eq!(api.requests(), 1);
}

#[test]
fn a_job_that_has_come_farther_than_the_requests_is_not_called() {
    let client = Client::post("http://127.0.0.1:9/");
    let job: Job = client.job("a.txt", b"hello");
    let step = Step {
        index: 3,
        ..Step::FIRST
    };
    let attempt = stride::job::Attempt { step, ..attempt(1) };
    let outcome = client.caller().call(&job, &attempt, &Cancel::new());
    assert_eq!(
        unsendable(outcome).message,
        "the run has no step 4 any more"
    );
}
