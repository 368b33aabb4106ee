//! Faults in a run in which one file is done already. They must not change that file.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{ToSpan as _, ZonedDateTime};

use super::{answered, counts};
use crate::cli::{Place, Ran};
use crate::http::tls::{Identity, authority, params, pem, self_signed, server, signed_by};
use crate::support::{Counter, FakeApi, Reply, Request, at_once};

const BYSTANDER: &str = "/bystander.txt";

/// A run with one file that is done, further files in `texts`, and their service.
pub(super) struct Scene {
    pub(super) api: FakeApi,
    pub(super) place: Place,
    pub(super) url: String,
    pub(super) bystander: Vec<Vec<String>>,
}

impl Scene {
    pub(super) fn new(
        files: usize,
        behaviour: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let api = FakeApi::start(move |request| match request.target.as_str() {
            BYSTANDER => Reply::json(1),
            _ => behaviour(request),
        });
        let place = Place::new();
        let url = format!("{}/{{name}}", api.url());
        let bystander = place.with_bystander(&url);
        place.texts(files);
        Self {
            api,
            place,
            url,
            bystander,
        }
    }

    pub(super) fn words<'s>(&'s self, flags: &[&'s str]) -> Vec<&'s str> {
        [&["run", "--url", &self.url], flags, &["texts"]].concat()
    }

    pub(super) fn run(&self, flags: &[&str]) -> Ran {
        self.place.stride(&self.words(flags))
    }

    pub(super) fn run_with(&self, name: &str, value: &str, flags: &[&str]) -> Ran {
        let mut command = self.place.command(&self.words(flags));
        self.place.begin_command(command.env(name, value)).end()
    }

    /// Calls without the bystander's.
    pub(super) fn calls(&self) -> usize {
        self.api.requests() - 1
    }

    /// Checks the number of files in each state, and that the bystander is unchanged.
    #[track_caller]
    pub(super) fn expect(&self, pending: u64, done: u64, failed: u64) {
        let expected = [
            ("pending", pending),
            ("done", done + 1),
            ("failed", failed),
            ("running", 0),
            ("held", 0),
        ];
        counts(&self.place, &expected);
        assert_eq!(self.place.bystander(), self.bystander);
    }

    #[track_caller]
    pub(super) fn expect_nothing_charged(&self) {
        let charged = self
            .place
            .sql("SELECT path FROM work JOIN job ON id = job WHERE charged > 0");
        assert!(charged.is_empty(), "{charged:?}");
    }

    pub(super) fn count(&self, state: &str) -> u64 {
        self.place.status()[state].as_u64().unwrap()
    }
}

/// A run against a server with this identity, which must see no request.
fn untrusted(identity: Identity, trusted: Option<&str>) -> Ran {
    let scene = Scene::new(20, |_| Reply::json(1));
    let (server, requests) = server(identity);
    let url = format!("https://localhost:{}/", server.port());
    let mut command = scene
        .place
        .command(&["run", "--url", &url, "--accept-change", "texts"]);
    if let Some(trusted) = trusted {
        scene.place.write("authority.pem", trusted);
        command.env("SSL_CERT_FILE", scene.place.at("authority.pem"));
    }
    let ran = scene.place.begin_command(&mut command).end().expect(4);
    drop(server);
    assert_eq!(requests.get(), 0);
    // One attempt is enough.
    counts(&scene.place, &[("attempts", 2)]);
    scene.expect(20, 0, 0);
    scene.expect_nothing_charged();
    ran
}

#[test]
fn row_69_only_a_valid_certificate_is_trusted() {
    let authority = authority();
    let trusted = pem(authority.der());
    let mut old = params("localhost");
    old.not_before = rcgen::date_time_ymd(2019, 1, 1);
    old.not_after = rcgen::date_time_ymd(2020, 2, 29);
    let elsewhere = signed_by(&authority, "elsewhere.example");
    for (identity, trusted, said) in [
        (self_signed(&old), None, "certificate expired on 2020-02-29"),
        (
            self_signed(&params("localhost")),
            None,
            "certificate is self-signed",
        ),
        (
            elsewhere,
            Some(&*trusted),
            "certificate is not for localhost",
        ),
    ] {
        untrusted(identity, trusted).says(&format!("caused by: TLS: {said}"));
    }
}

#[test]
fn row_71_with_an_absent_proxy_nothing_is_sent_and_it_can_be_bypassed() {
    let scene = Scene::new(5, |_| Reply::json(1));
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    scene
        .run_with("http_proxy", &gone, &["--max-outage", "700ms"])
        .expect(75)
        .says("the service was unavailable for");
    scene.expect(5, 0, 0);
    scene.expect_nothing_charged();
    let outcomes = scene
        .place
        .sql("SELECT DISTINCT outcome FROM attempt WHERE outcome <> 'succeeded'");
    assert_eq!(outcomes.concat(), ["not_sent"]);
    assert_eq!(scene.calls(), 0);
    scene
        .run_with("http_proxy", &gone, &["--no-proxy"])
        .expect(0);
    scene.expect(0, 5, 0);
}

#[test]
fn row_72_refusals_at_eight_threads_blame_no_file() {
    const GOOD: usize = 40;
    at_once(
        [
            (401, ""),
            (403, ""),
            (402, ""),
            (429, r#"{"error": {"code": "insufficient_quota"}}"#),
        ],
        |(status, body)| {
            let (mended, seen) = (Arc::new(AtomicBool::new(false)), Counter::default());
            let known = Arc::clone(&mended);
            let scene = Scene::new(120, move |_| {
                if seen.add() < GOOD || known.load(Ordering::SeqCst) {
                    Reply::json(1)
                } else {
                    Reply::status(status).body("application/json", body)
                }
            });
            scene
                .run(&["-j", "8"])
                .expect(4)
                .says("no file failed for this cause");
            let refused = answered(&scene.api.log(), status);
            assert!(
                (5..=8 + 5 + 4).contains(&refused),
                "{refused} times {status}"
            );
            scene.expect(80, 40, 0);
            scene.expect_nothing_charged();
            mended.store(true, Ordering::SeqCst);
            scene.run(&["-j", "8"]).expect(0);
            scene.expect(0, 120, 0);
            assert_eq!(scene.calls(), 120 + refused, "nothing was called twice");
        },
    );
}

#[test]
fn row_75_a_date_years_ahead_of_this_machine_is_two_seconds_by_the_services_clock() {
    let seen = Counter::default();
    let scene = Scene::new(2, move |_| match seen.add() {
        0 => Reply::status(429)
            .header("date", "Mon, 01 Jan 2080 00:00:00 GMT")
            .header("retry-after", "Mon, 01 Jan 2080 00:00:02 GMT"),
        _ => Reply::json(1),
    });
    scene.run(&["--max-wait", "30s"]).expect(0);
    scene.expect(0, 2, 0);
}

#[test]
fn row_75_the_end_of_a_wait_that_is_too_long_is_shown_in_utc() {
    for (wait, beginning) in [("3600", "20"), ("99000000000", "2")] {
        let scene = Scene::new(2, move |_| Reply::status(429).header("retry-after", wait));
        let ran = scene.run(&["--max-wait", "10m"]).expect(75);
        let told = ran.stderr.split("asks to wait until ").nth(1).unwrap();
        let until = told.split(',').next().unwrap();
        assert!(
            until.starts_with(beginning) && until.ends_with('Z'),
            "{wait}: {until}"
        );
        scene.expect(2, 0, 0);
        scene.expect_nothing_charged();
    }
}

#[test]
fn row_78_failures_are_bounded_by_the_limit_and_the_calls_in_flight() {
    for (bound, most) in [("10", 11 + 8), ("20%", 20 + 8)] {
        let scene = Scene::new(200, |request| {
            let odd = request.target.ends_with(['1', '3', '5', '7', '9']);
            if odd {
                Reply::status(422)
            } else {
                Reply::json(1)
            }
        });
        scene
            .run(&["-j", "8", "--max-failures", bound])
            .expect(4)
            .says("resume --max-failures none");
        let [pending, done, failed] = ["pending", "done", "failed"].map(|state| scene.count(state));
        assert!(
            pending > 100 && failed > 4 && failed <= most,
            "{failed} of {done}"
        );
        scene.expect(pending, done - 1, failed);
    }
}

#[test]
fn a_deadline_that_has_passed_ends_the_run_once() {
    let scene = Scene::new(30, |_| Reply::json(1));
    let moment = ZonedDateTime::now().checked_add(3.seconds()).unwrap();
    let until = moment.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    scene
        .run(&["--until", &until, "--rate", "1/s"])
        .expect(75)
        .says("the time of --until has come");
    let done = scene.count("done") - 1;
    assert!(done <= 4, "{done}");
    scene.expect(30 - done, done, 0);
    scene.place.stride(&["resume", "--rate", "none"]).expect(0);
    scene.expect(0, 30, 0);
}

#[test]
fn limits_of_bytes_and_weights_delay_a_run() {
    let limits: [&[&str]; 2] = [
        &["--rate", "20KB/s"],
        &["--rate", "5000w/s", "--weight", "size/4"],
    ];
    at_once(limits, |limit| {
        let scene = Scene::new(10, |_| Reply::json(1));
        for n in 0..10 {
            scene.place.write(format!("texts/{n:04}"), [b'x'; 4000]);
        }
        scene.run(limit).expect(0);
        scene.expect(0, 10, 0);
        let log = scene.api.log();
        let span = log[10].at - log[1].at;
        // Two seconds' worth. A slow machine makes it longer and never shorter.
        assert!(span >= Duration::from_millis(1500), "{limit:?}: {span:?}");
    });
}

#[test]
fn contradictory_limits_do_not_change_a_run() {
    let scene = Scene::new(3, |_| Reply::json(1));
    let stored = || {
        [
            scene.place.sql("SELECT call, settings FROM run"),
            scene.place.sql("SELECT id FROM runner"),
        ]
    };
    let before = stored();
    let wrong: [&[&str]; 17] = [
        &["--weight", "size/4"],
        &["--rate", "90000w/m"],
        &["--weight", "size/0", "--rate", "90000w/m"],
        &["--max-cost", "1"],
        &["--rate", "10"],
        &["--rate", "0/s"],
        &["--rate=-1/s"],
        &["--rate", "x/s"],
        &["--rate", "none", "--rate", "5/s"],
        &["--burst", "0"],
        &["--max-failures", "101%"],
        &["--max-failures=-1"],
        &["--max-calls", "many"],
        &["--until", "2020-01-01T00:00"],
        &["--until", "tomorrow"],
        &["-j", "0"],
        &["--max-wait", "10"],
    ];
    let mut accepted = Vec::new();
    for flags in wrong {
        for words in [
            scene.words(flags),
            [&["resume"], flags].concat(),
            [&["set"], flags].concat(),
        ] {
            let ran = scene.place.stride(&words);
            if ran.code != Some(2) || !ran.stderr.contains("error: ") {
                accepted.push((words[0], flags, ran.code));
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
    assert_eq!(stored(), before);
    assert_eq!(scene.calls(), 0);
    scene.expect(0, 0, 0);
}
