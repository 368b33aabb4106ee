//! The first request of a new run: slips in it are named, and a correction is taken.

use std::fs;

use serde_json::json;

use super::{Place, listed};
use crate::http::tls::{authority, params, pem, self_signed, server, signed_by};
use crate::support::{FakeApi, Reply};

const KEY: (&str, &str) = ("API_KEY", "sesame-4711");

/// An API that wants a key, for all but the bystander.
fn with_key() -> FakeApi {
    FakeApi::start(|request| match request.header("authorization") {
        Some("Bearer sesame-4711") => Reply::json(1),
        _ if request.target == "/" => Reply::json(1),
        _ => Reply::json(r#"{"error":{"message":"You sent no API key."}}"#).with_status(401),
    })
}

/// A forgotten key is added with the words of the hint, or by the run command again.
#[test]
fn a_request_under_which_no_file_is_done_can_be_corrected() {
    let api = with_key();
    let url = format!("{}/v1", api.url());
    for correction in [
        &["resume", "-H", "Authorization: Bearer {env:API_KEY}"][..],
        &["resume", "-H", "Authorization: Bearer sesame-4711"],
        &["retry", "-H", "Authorization: Bearer {env:API_KEY}"],
        &[
            "run",
            "-H",
            "Authorization: Bearer {env:API_KEY}",
            "--url",
            &url,
            "texts",
        ],
    ] {
        let place = Place::new();
        let bystander = place.with_bystander(&api.url());
        place.texts(8);
        place
            .stride(&["run", "--accept-change", "--url", &url, "texts"])
            .expect(4)
            .says("HTTP 401 Unauthorized: You sent no API key.")
            .says("stride resume -H 'Authorization: Bearer {env:API_KEY}'");
        place
            .stride_with(&[KEY], correction)
            .expect(0)
            .says("- header authorization: (none)\n  + header authorization: ");
        assert_eq!(place.status()["done"], json!(9));
        assert_eq!(place.bystander(), bystander);
        // A file is done under it now.
        place
            .stride_with(&[KEY], &["resume", "-H", "X-Other: 1"])
            .expect(2)
            .says("+ header x-other: 1")
            .says("nothing was changed");
        place.stride(&["verify"]).expect(0);
    }
}

/// The files that failed under a wrong request are called again under the corrected one.
#[test]
fn files_that_failed_under_a_wrong_request_are_called_again() {
    let api = FakeApi::start(|request| match &*request.body {
        body if body.starts_with(b"{\"input\"") => Reply::json(r#"{"ok":true}"#),
        _ => Reply::text("the field input is missing").with_status(422),
    });
    let place = Place::new();
    place.texts(5);
    let run = |data: &str, more: &[&str]| {
        let words = ["run", "--url", &api.url(), "--json", data];
        place.stride(&[&words[..], more, &["texts"]].concat())
    };
    run(r#"{"inptu": "{text}"}"#, &[])
        .expect(3)
        .says("the field input is missing");
    let data = r#"{"input": "{text}"}"#;
    run(data, &["--success", ".ok == 1"])
        .expect(3)
        .says("5 failed files pending again")
        .says("is not true of the answer");
    let calls = api.requests();
    // Other rules for the answers need no call.
    run(data, &["--success", ".ok"])
        .expect(3)
        .says("stride recheck --apply");
    place.stride(&["recheck", "--apply"]).expect(0);
    assert_eq!(
        (place.status()["done"].clone(), calls),
        (json!(5), api.requests())
    );
}

/// The hints of a run name the credentials that it does not store, and their ellipsis is no value.
#[test]
fn hints_name_the_credentials_that_have_to_be_given_again() {
    let api = with_key();
    let place = Place::new();
    place.texts(3);
    let url = format!("{}/v1?sig=abcdefgh", api.url());
    let header = "Authorization: Bearer wrong-key";
    let again = "-H 'Authorization: …' --credential 'sig=…'";
    place
        .stride(&["run", "-H", header, "--url", &url, "texts"])
        .expect(4)
        .says(&format!(
            "use a key that the service accepts, then: stride resume {again}"
        ));
    let status = String::from_utf8(place.stride(&["status"]).expect(0).stdout).unwrap();
    assert!(status.contains(again), "{status}");
    place
        .stride(&["resume", "-H", "Authorization: …", "--credential", "sig=x"])
        .expect(2)
        .says("`…`, which stands for the value");
    let right = [
        "-H",
        "Authorization: Bearer sesame-4711",
        "--credential",
        "sig=abcdefgh",
    ];
    place
        .stride(&[&["resume", "--max-calls", "4"], &right[..]].concat())
        .says(&format!("--max-calls none {again}"));
    place
        .stride(&[&["resume", "--max-calls", "none"], &right[..]].concat())
        .expect(0);
}

/// `try` sends headers that the run's request lacks.
#[test]
fn a_header_can_be_tried_with_the_request_of_a_run() {
    let api = with_key();
    let place = Place::new();
    place.texts(2);
    let url = format!("{}/v1", api.url());
    place.stride(&["run", "--url", &url, "texts"]).expect(4);
    let header = "Authorization: Bearer {env:API_KEY}";
    place
        .stride_with(&[KEY], &["try", "texts/0000", "-H", header])
        .expect(0)
        .says("> authorization: Bearer [redacted]");
    place.stride(&["try", "texts/0000"]).expect(3);
}

/// Text that is not JSON is refused before anything is made, wherever it stands.
#[test]
fn json_that_is_none_is_refused_first() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.texts(1);
    let url = api.url();
    let json = "Content-Type: application/json";
    let curl = format!("curl {url} -H '{json}' -d '{{\"a\": \"{{text}}\"'");
    for words in [
        &["--url", &url, "--json", r#"{"a": "{text}""#][..],
        &["--url", &url, "--json", r#"{"a": "{text}",}"#],
        &["--url", &url, "-H", json, "-d", "a={text}"],
        &["--url", &url, "-d", r#"{"a": {text}"#],
        &[
            "--url",
            &url,
            "-F",
            "m={\"a\": \"{name}\";type=application/json",
        ],
        &["--curl", &curl],
    ] {
        let run = [&["run"], words, &["texts"]].concat();
        place
            .stride(&run)
            .expect(2)
            .says("is not JSON")
            .says("caused by: ")
            .says("hint: ");
        assert_eq!(listed(&place.at("")), ["texts"], "{words:?}");
        let tried = [&["try", "texts/0000"], words].concat();
        place.stride(&tried).expect(2);
    }
    assert_eq!(api.requests(), 0);
    for (number, words) in [
        &["--json", r#"{"a": {text}, "n": {index}, "o": {}}"#][..],
        &["-H", "Content-Type: text/plain", "-d", r#"{"a": "{text}""#],
        &[
            "-H",
            "Content-Type: application/x-ndjson",
            "-d",
            "{\"i\": {}}\n{\"t\": {text}}\n",
        ],
        &["-H", json, "-d", "{'a': '{text}'}"],
        &["-d", "a={text}"],
        &["-H", json, "--data-binary", "@{path}"],
    ]
    .into_iter()
    .enumerate()
    {
        let db = format!("{number}.db");
        let run = [&["run", "--db", &db, "--url", &url], words, &["texts"]].concat();
        place.stride(&run).expect(0);
    }
}

/// A file of the request itself is looked for first, also by `resume`.
#[test]
fn a_missing_file_of_the_request_is_refused_first() {
    let api = FakeApi::start(|_| Reply::status(500));
    let place = Place::new();
    place.texts(1);
    let url = api.url();
    let curl = format!("curl {url} -F f=@{{}} -F g=@gone.bin");
    for words in [
        &["--url", &url, "-F", "f=@{}", "-F", "g=@gone.bin"][..],
        &["--url", &url, "-F", "f=@{}", "-F", "g=<gone.bin"],
        &["--url", &url, "-H", "X-Name: {name}", "-T", "gone.bin"],
        &["--url", &url, "-F", "f=@{}", "-F", "g=@texts"],
        &["--curl", &curl],
    ] {
        let run = [&["run"], words, &["texts"]].concat();
        place
            .stride(&run)
            .expect(2)
            .says("the request cannot be made with ");
        assert_eq!(listed(&place.at("")), ["texts"], "{words:?}");
    }
    place.write("here.bin", "1");
    let words = ["run", "--url", &url, "-F", "f=@{}", "-F", "g=@here.bin"];
    let calls = ["--max-calls", "1", "--retry-delay", "1h", "texts"];
    place.stride(&[&words[..], &calls].concat()).expect(4);
    fs::remove_file(place.at("here.bin")).unwrap();
    place
        .stride(&["resume", "--max-calls", "none"])
        .expect(2)
        .says("here.bin: the file is missing");
    assert_eq!(api.requests(), 1);
}

/// Files that were never sent are not counted as calls.
#[test]
fn what_was_not_sent_is_no_call() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.stride(&["run", "--url", &api.url(), "gone-1", "gone-2"]);
    let status = String::from_utf8(place.stride(&["status"]).expect(0).stdout).unwrap();
    let calls = status.lines().find(|line| line.starts_with("calls"));
    assert_eq!(calls, Some("calls   1 call"), "{status}");
    assert_eq!(place.status()["calls"], json!(1));
    assert_eq!(place.bystander(), bystander);
}

/// The value of a raw reference is a part of the URL as it is, and is masked.
#[test]
fn a_signed_query_is_sent_as_it_is() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/b/0000?sv=1&sig=a%2Fb%3D" | "/raw/b/0000" => Reply::json(1),
        target => Reply::text(format!("no {target}")).with_status(400),
    });
    let place = Place::new();
    place.texts(1);
    let sas = ("SAS", "sv=1&sig=a%2Fb%3D");
    place.write("sas", sas.1);
    let url = |end: &str| format!("{}/b/{{name}}?{end}", api.url());
    for (number, end) in ["{env:SAS:raw}", "{file:sas:raw}", "{cmd:cat sas:raw}"]
        .into_iter()
        .enumerate()
    {
        let db = format!("{number}.db");
        let words = ["run", "--db", &db, "--url", &url(end), "texts"];
        place.stride_with(&[sas], &words).expect(0);
        let stored = fs::read(place.at(&db)).unwrap();
        let has = |text: &str| {
            stored
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(has(end) && !has(sas.1), "{end}");
    }
    // Encoded as one word, it would sign nothing.
    let words = ["run", "--url", &url("{env:SAS}"), "texts"];
    place
        .stride_with(&[sas], &words)
        .expect(2)
        .says("{env:SAS:raw}");
    // A path may have several parts, and a name still cannot leave it.
    let base = format!("{}/{{env:BASE:raw}}/{{name}}", api.url());
    let variable = ("BASE", "raw/b");
    let words = ["try", "texts/0000", "--url", &base];
    place.stride_with(&[variable], &words).expect(0);
    place.write("list.csv", "path,part\ntexts/0000,..\n");
    let url = base.replace("{name}", "{col.part}/{name}");
    let words = [
        "run",
        "--url",
        &url,
        "--files-from",
        "list.csv",
        "--list-format",
        "csv",
    ];
    place
        .stride_with(&[variable], &words)
        .expect(3)
        .says("they would lead to another path");
}

/// A status that calling again does not change is called once.
#[test]
fn a_permanent_status_is_called_once() {
    for (reply, calls, class, hint) in [
        (Reply::status(501), 1, "rejected", "stride retry"),
        (Reply::status(505), 1, "rejected", "stride retry"),
        (
            Reply::text("<Code>BlobAlreadyExists</Code>").with_status(409),
            1,
            "rejected",
            "--expect-status 2xx,409",
        ),
        (
            Reply::text("try later").with_status(409),
            2,
            "transient",
            "--class status=409:rejected",
        ),
        (Reply::status(500), 2, "transient", "stride retry"),
    ] {
        let api = FakeApi::start(move |_| reply.clone());
        let place = Place::new();
        place.texts(1);
        let words = ["--retries", "1", "--retry-delay", "1ms", "texts"];
        place
            .stride(&[&["run", "--url", &api.url()], &words[..]].concat())
            .expect(3)
            .says(&format!("({class})"))
            .says(hint);
        assert_eq!(api.requests(), calls, "{class}");
    }
}

/// The way in that the service asks for is named.
#[test]
fn the_authentication_that_the_service_asks_for_is_named() {
    for (challenge, words, hint) in [
        (
            r#"Digest realm="a", nonce="n""#,
            "HTTP 401 Unauthorized: the service asks for Digest authentication",
            "hint: stride has no Digest",
        ),
        (
            r#"Basic realm="a""#,
            "the service asks for Basic authentication (-u)",
            "stride resume -u '{env:NAME}:{env:PASSWORD}'",
        ),
        (
            r#"Bearer error="invalid_token", error_description="The token expired""#,
            "HTTP 401 Unauthorized: The token expired",
            "stride resume -H",
        ),
    ] {
        let api = FakeApi::start(move |_| Reply::status(401).header("WWW-Authenticate", challenge));
        let place = Place::new();
        place.texts(2);
        place
            .stride(&["run", "--url", &api.url(), "texts"])
            .expect(4)
            .says(words)
            .says(hint);
    }
}

/// A certificate that nobody trusts has the hint that helps.
#[test]
fn an_untrusted_certificate_leads_to_the_file_that_trusts_it() {
    let place = Place::new();
    place.texts(1);
    let (untrusted, _) = server(self_signed(&params("localhost")));
    let url = format!("https://localhost:{}/", untrusted.port());
    place
        .stride(&["run", "--url", &url, "texts"])
        .expect(4)
        .says("--cacert FILE.pem")
        .says("SSL_CERT_FILE=FILE.pem stride resume");
    let authority = authority();
    let (signed, requests) = server(signed_by(&authority, "localhost"));
    place.write("ca.pem", pem(authority.der()));
    let url = format!("https://localhost:{}/", signed.port());
    let variable = ("SSL_CERT_FILE", "ca.pem");
    place.stride_with(&[variable], &["try", "texts/0000", "--url", &url]);
    assert_eq!(requests.get(), 1);
}

/// A variable that no shell has replaced is named, and nothing is sent.
#[test]
fn a_variable_between_single_quotes_is_named() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    place.texts(1);
    let url = api.url();
    let in_url = format!("{url}/$TENANT/x");
    let curl = format!("curl {url} -H 'Authorization: Bearer $API_KEY' -d @{{}}");
    for (words, name) in [
        (
            &["--url", &url, "-H", "Authorization: Bearer $API_KEY"][..],
            "API_KEY",
        ),
        (&["--url", &url, "-H", "X-Api-Key: ${api_key}"], "api_key"),
        (&["--url", &url, "-H", "X-Project: $PROJECT"], "PROJECT"),
        (&["--url", &url, "-u", "me:$PASSWORD"], "PASSWORD"),
        (
            &[
                "--url",
                &url,
                "--json",
                r#"{"api_key": "$API_KEY", "a": "{text}"}"#,
            ],
            "API_KEY",
        ),
        (&["--url", &in_url], "TENANT"),
        (&["--curl", &curl], "API_KEY"),
    ] {
        place
            .stride(&[&["run"], words, &["texts"]].concat())
            .expect(2)
            .says(&format!("${name}, which no shell has replaced"))
            .says(&format!("{{env:{name}}}"));
        assert_eq!(listed(&place.at("")), ["texts"], "{words:?}");
    }
    for (number, words) in [
        &["-u", "me:pa$WORD1"][..],
        &["-H", "Authorization: Bearer {cmd:printf $HOME}"],
        &["--url-query", "$filter=a"],
    ]
    .into_iter()
    .enumerate()
    {
        let db = format!("{number}.db");
        let run = [&["run", "--db", &db, "--url", &url], words, &["texts"]].concat();
        place.stride(&run).expect(0);
    }
}

/// A redirect that drops the file is said, also with --quiet, and one that keeps it is not.
#[test]
fn a_redirect_that_drops_the_file_is_said() {
    for (status, is_said) in [(301, true), (302, true), (303, false), (307, false)] {
        let api = FakeApi::start(move |request| match request.target.as_str() {
            "/" => Reply::status(status).header("Location", "/moved"),
            _ => Reply::json(1),
        });
        let place = Place::new();
        place.texts(2);
        let ran = place
            .stride(&["run", "-q", "-L", "--url", &api.url(), "texts"])
            .expect(0);
        let said = ran
            .stderr
            .matches("called with GET and without the file")
            .count();
        assert_eq!(said, usize::from(is_said), "{status}: {}", ran.stderr);
        let target = format!("{}/moved", api.url());
        assert_eq!(ran.stderr.contains(&target), is_said, "{}", ran.stderr);
    }
}

/// An answer that only accepts the file is said, and its place is kept.
#[test]
fn an_answer_that_only_accepts_the_file_is_said() {
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/queued" => Reply::json(r#"{"status":"queued"}"#).with_status(202),
        _ => Reply::status(202).header("Operation-Location", "https://a.example/ops/17"),
    });
    let place = Place::new();
    place.texts(2);
    let queued = format!("{}/queued", api.url());
    place
        .stride(&["run", "--db", "queued.db", "--url", &queued, "texts"])
        .expect(0)
        .says("note: HTTP 202 Accepted: the service may still work on the file");
    let url = format!("{}/submit", api.url());
    place
        .stride(&["run", "--url", &url, "texts"])
        .expect(3)
        .says("its header operation-location says where the result will be")
        .says("stride recheck --expect any --apply");
    let calls = api.requests();
    place
        .stride(&["recheck", "--expect", "any", "--apply"])
        .expect(0);
    let expression = r#"$headers["operation-location"]"#;
    let exported = place
        .stride(&["export", "--extract", expression])
        .expect(0)
        .json();
    assert_eq!(exported["texts/0001"], json!("https://a.example/ops/17"));
    assert_eq!(api.requests(), calls);
    place.stride(&["verify"]).expect(0);
}

/// The place where nothing answers is named at once, and how long the run waits for it.
#[test]
fn a_port_where_nothing_answers_is_named_at_once() {
    let place = Place::new();
    place.texts(3);
    let run = place.begin(&["run", "--url", "http://127.0.0.1:9/x", "texts"]);
    run.until_says("cannot connect to 127.0.0.1:9: Connection refused;");
    run.until_says("for at most 10 m 00 s (--max-outage)");
    run.until_says("check the URL");
    run.signal(rustix::process::Signal::INT);
    run.end().expect(130);
}

/// The words of the stop are those of its cause, whichever answer came last.
#[test]
fn refused_credentials_are_told_in_their_own_words() {
    let api = FakeApi::start(|request| match &*request.body {
        b"bad" => Reply::text("the text is bad").with_status(422),
        _ => Reply::text("who are you?").with_status(401),
    });
    let place = Place::new();
    ["a", "b"].iter().for_each(|name| place.write(name, "good"));
    place.write("c", "bad");
    let run = ["run", "-j1", "--url", &api.url(), "a", "b", "c"];
    let cause = "caused by: HTTP 401 Unauthorized: who are you?";
    place.stride(&run).expect(4).says(cause);
}

#[test]
fn a_host_that_no_request_can_carry_is_refused() {
    let place = Place::new();
    place.write("a", "a");
    for url in ["http://{{host}}/echo", "http://a`b/"] {
        place
            .stride(&["run", "--url", url, "a"])
            .expect(2)
            .says("no host has");
        assert!(!place.at("stride.db").exists());
    }
}

/// Results belong to what was sent: not to the rules for results, and also if that request comes back.
#[test]
fn results_of_the_present_request_are_not_outdated() {
    let api = FakeApi::start(|request| Reply::json(format!("{:?}", request.target)));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.stride(&["forget", "bystander.txt"]).expect(0);
    place.texts(3);
    let run = |path: &str, more: &[&str]| {
        let url = format!("{}{path}", api.url());
        let run = ["run", "--url", &url, "--accept-change"];
        place
            .stride(&[&run[..], more, &["texts"]].concat())
            .expect(0)
    };
    let outdated = |files: &str| {
        let retry = ["retry", "--outdated", "--queue-only"];
        let said = format!("{files} pending again");
        place.stride(&retry).expect(0).says(&said);
    };
    run("/v1", &[]);
    run("/v2", &[]);
    let class = ["retry", "--outdated", "--class", "transient"];
    let refused = place.stride(&class).expect(2);
    refused.says("--class cannot be combined with --outdated");
    run("/v1", &[]);
    outdated("0 done files");
    let judged = run("/v1", &["--success", ". != null"]);
    let hint = "hint: stride recheck --success '. != null' --apply   judges them by the new rules, without calls";
    assert!(
        judged
            .says(hint)
            .stderr
            .contains("3 results of the old one")
    );
    outdated("0 done files");
    // Results that have no headers are of no use to such rules.
    run("/v1", &["--success", "$headers != null"])
        .says("hint: stride retry --outdated   calls their files again");
    run("/v2", &[]);
    outdated("3 done files");
    place.stride(&["forget", "--undo"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

/// After another request has been accepted for done files, the hint calls them again.
#[test]
fn files_that_are_done_under_an_earlier_request_can_be_called_again() {
    let api = FakeApi::start(|request| Reply::json(format!("{:?}", request.target)));
    let url = |path: &str| format!("{}{path}", api.url());
    let place = Place::new();
    let bystander = place.with_bystander(&url("/other"));
    place.stride(&["forget", "bystander.txt"]).expect(0);
    place.texts(3);
    let run = |path: &str, more: &[&str]| {
        let url = url(path);
        place.stride(&[&["run", "--url", &url], more, &["texts"]].concat())
    };
    run("/old", &["--accept-change"]).expect(0);
    let calls = api.requests();
    let hint =
        "hint: stride retry --outdated   calls their files again, and sets these results aside";
    run("/new", &["--accept-change"]).expect(0).says(hint);
    assert_eq!(api.requests(), calls);
    place.write("texts/more", "one more");
    run("/new", &[]).expect(0);
    place
        .stride(&["retry", "--outdated"])
        .expect(0)
        .says("3 done files pending again");
    assert_eq!(api.requests(), calls + 4);
    let exported = place.stride(&["export"]).expect(0).json();
    let exported = exported.as_object().unwrap();
    assert_eq!(exported.len(), 4);
    assert!(
        exported.values().all(|target| target == "/new"),
        "{exported:?}"
    );
    place
        .stride(&["retry", "--outdated"])
        .expect(0)
        .says("0 done files pending again");
    place.stride(&["forget", "--undo"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}
