//! Requests in curl's words: the request of each option, and the messages about options without effect.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Place, Ran};
use crate::support::{FakeApi, Reply, Request};

/// Calls one file with these flags, and returns the request that the service saw.
fn seen(place: &Place, words: &[&str]) -> (Request, Ran) {
    let api = FakeApi::start(|_| Reply::json(1));
    let words: Vec<String> = words
        .iter()
        .map(|word| word.replace("API", &api.url()))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // A test can get the same port twice.
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let db = format!("{}.db", RUNS.fetch_add(1, Ordering::Relaxed));
    let words = [&["run", "--db", &db][..], &words, &["texts/a b.txt"]].concat();
    let ran = place.stride_with(&[("KEY", "me:hunter2hunter2")], &words);
    let log = api.log();
    assert_eq!(log.len(), 1, "{}", ran.stderr);
    ((*log[0].request).clone(), ran.expect(0))
}

fn place() -> Place {
    let place = Place::new();
    place.write("texts/a b.txt", "some text,\nin \"two\" lines");
    place
}

fn body(request: &Request) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

#[test]
fn a_body_equals_the_body_of_curl() {
    let place = place();
    place.write("body.json", "{\"name\": \"{name}\",\n \"empty\": {}}\n");
    let form = Some("application/x-www-form-urlencoded");
    let digest = stride::job::Checksum::of(b"some text,\nin \"two\" lines");
    let properties = format!("{digest} 0 text/plain");
    for (words, expected, media_type) in [
        (&["-d", "a={name}", "-d", "b=1"][..], "a=a+b.txt&b=1", form),
        (&["-d", "@{path}"], "some text,in \"two\" lines", form),
        (
            &["--data-binary", "@{path}"],
            "some text,\nin \"two\" lines",
            form,
        ),
        (
            &["--data-binary", "@{dir}/{name}"],
            "some text,\nin \"two\" lines",
            form,
        ),
        (
            &["--data-urlencode", "t@{path}"],
            "t=some+text%2C%0Ain+%22two%22+lines",
            form,
        ),
        (&["--data-raw", "@{stem}"], "@a b", form),
        (&["--data-raw", "s={stem}"], "s=a+b", form),
        (
            &["--json", "{\"t\": \"{text}\", \"n\": {size}}"],
            "{\"t\": \"some text,\\nin \\\"two\\\" lines\", \"n\": 25}",
            Some("application/json"),
        ),
        (
            &["--json", "@body.json"],
            "{\"name\": \"a b.txt\",\n \"empty\": {}}\n",
            Some("application/json"),
        ),
        (
            &["-d", "@body.json", "-H", "Content-Type: application/json"],
            "{\"name\": \"a b.txt\", \"empty\": {}}",
            Some("application/json"),
        ),
        (
            &[
                "-H",
                "Content-Type: text/plain",
                "-d",
                "{sha256} {index} {mime}",
            ],
            &properties,
            Some("text/plain"),
        ),
    ] {
        let (request, _) = seen(&place, &[&["--url", "API/x"], words].concat());
        assert_eq!(request.header("content-type"), media_type, "{words:?}");
        assert_eq!(body(&request), expected, "{words:?}");
        assert_eq!(request.method, "POST", "{words:?}");
    }
}

#[test]
fn a_form_has_the_file_with_its_name_and_type() {
    let place = place();
    let (request, _) = seen(
        &place,
        &[
            "--url",
            "API",
            "-F",
            "file=@{path};type=audio/x",
            "-F",
            "of={dir}",
            "-F",
            "text=<{path}",
            "--form-string",
            "raw=@{ext};x",
        ],
    );
    let body = body(&request);
    let boundary = request
        .header("content-type")
        .unwrap()
        .split_once("boundary=")
        .unwrap()
        .1
        .to_owned();
    let part = |head: &str, text: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n")
    };
    let text = "some text,\nin \"two\" lines";
    let expected = [
        part(
            "name=\"file\"; filename=\"a b.txt\"\r\nContent-Type: audio/x",
            text,
        ),
        part("name=\"of\"", "texts"),
        part("name=\"text\"", text),
        part("name=\"raw\"", "@txt;x"),
        format!("--{boundary}--\r\n"),
    ];
    assert_eq!(body, expected.concat());
}

#[test]
fn methods_and_urls_follow_from_the_options() {
    let place = place();
    for (words, method, target) in [
        (
            &["--url", "API/up/?v=1", "-T", "{path}"][..],
            "PUT",
            "/up/a%20b.txt?v=1",
        ),
        (
            &["--url", "API/up", "-T", "{path}", "-X", "POST"],
            "POST",
            "/up",
        ),
        (
            &[
                "--url",
                "API/q?a=1",
                "-G",
                "--data-urlencode",
                "n={name}",
                "-d",
                "z",
            ],
            "GET",
            "/q?a=1&n=a+b.txt&z",
        ),
        (&["--url", "API/{name}", "-I"], "HEAD", "/a%20b.txt"),
        (
            &["--url", "API/{name}", "--url-query", "d={dir}/"],
            "POST",
            "/a%20b.txt?d=texts%2f",
        ),
        (
            &["--url", "API/{name}", "-X", "DELETE"],
            "DELETE",
            "/a%20b.txt",
        ),
    ] {
        let (request, _) = seen(&place, words);
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            (method, target),
            "{words:?}"
        );
    }
}

#[test]
fn options_set_headers_and_explicit_headers_take_precedence() {
    let place = place();
    place.write("headers", "X-One: 1\nX-Two: {name}\n");
    let words = [
        "--url",
        "API",
        "-A",
        "me/1",
        "-e",
        "http://from/",
        "-b",
        "a=b",
        "-b",
        "c=d",
        "-r",
        "0-9",
        "-H",
        "@headers",
        "-u",
        "{env:KEY}",
    ];
    let (request, _) = seen(&place, &words);
    for (name, value) in [
        ("user-agent", "me/1"),
        ("referer", "http://from/"),
        ("cookie", "a=b; c=d"),
        ("range", "bytes=0-9"),
        ("x-one", "1"),
        ("x-two", "a b.txt"),
        ("authorization", "Basic bWU6aHVudGVyMmh1bnRlcjI="),
    ] {
        assert_eq!(request.header(name), Some(value));
    }
    let words = [
        "--url",
        "API",
        "-A",
        "me/1",
        "-H",
        "User-Agent: you/2",
        "--oauth2-bearer",
        "{env:KEY}",
        "-H",
        "Authorization: Other {env:KEY}",
    ];
    let (request, _) = seen(&place, &words);
    assert_eq!(request.header("user-agent"), Some("you/2"));
    assert_eq!(
        request.header("authorization"),
        Some("Other me:hunter2hunter2")
    );
}

#[test]
fn a_configuration_file_of_curl_is_read() {
    let place = place();
    place.write(
        "curlrc",
        "# the usual\nheader = \"X-A: {name}\"\ndata-binary = \"@{path}\"\nuser-agent = me\n",
    );
    let (request, _) = seen(&place, &["--url", "API", "-K", "curlrc"]);
    assert_eq!(request.header("x-a"), Some("a b.txt"));
    assert_eq!(request.header("user-agent"), Some("me"));
    assert_eq!(body(&request), "some text,\nin \"two\" lines");
}

#[test]
fn a_pasted_command_keeps_its_limits_and_lists_flags_without_effect() {
    let place = place();
    let (request, ran) = seen(
        &place,
        &[
            "--curl",
            "curl -sS -o out.txt -m 7.5 --connect-timeout 3 --max-filesize 1000 API/{} -d @{} -H 'X-A: $B {a}'",
        ],
    );
    assert_eq!(request.target, "/texts%2Fa%20b.txt");
    assert_eq!(request.header("x-a"), Some("$B {a}"));
    assert_eq!(request.header("accept-encoding"), None);
    ran.says("-s -S -o").says("have no effect here");
    let db = super::listed(&place.at(""))
        .into_iter()
        .find(|name| name.ends_with(".db"))
        .unwrap();
    let settings = rusqlite::Connection::open(place.at(db))
        .unwrap()
        .query_row("SELECT settings FROM run", [], |row| {
            row.get::<_, String>(0)
        })
        .unwrap();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap();
    assert_eq!(settings["timeout"]["secs"], 7);
    assert_eq!(settings["connect_timeout"]["secs"], 3);
    assert_eq!(settings["max_response"], 1000);
    assert!(!place.at("out.txt").exists());
}

#[test]
fn an_unsupported_option_is_named_and_nothing_is_created() {
    let place = place();
    for (words, named) in [
        (
            &["--curl", "curl http://a/ -d @{} --limit-rate 10k"][..],
            "--limit-rate",
        ),
        (
            &["--curl", "curl http://a/ -d @{} --frobnicate"],
            "--frobnicate",
        ),
        (&["--curl", "curl http://a/ -d @{} -c jar"], "-c"),
        (&["--curl", "curl http://a/ -d @{} --retry 3"], "--retries"),
        (&["--curl", "curl http://a/ -d @{} | jq ."], "--extract"),
        (
            &["--curl", "curl http://a/ -d \"$(base64 {})\""],
            "{base64}",
        ),
        (
            &["--curl", "curl http://a/ http://b/ -d @{}"],
            "more than one URL",
        ),
        (&["--curl", "curl 'http://a/[1-3]' -d @{}"], "-g"),
        (
            &["--curl", "curl http://a/ -d hello"],
            "the same for every file",
        ),
        (&["--curl", "curl http://a/ -d @- "], "standard input"),
        (&["--curl", "curl http://a/ -d @{} -F a=b"], "one body"),
        (&["--curl", "wget http://a/"], "not curl"),
        (&["--curl", "curl 'http://a/"], "not closed"),
        (
            &["--url", "http://a/", "-d", "constant"],
            "the same for every file",
        ),
        (&["--url", "http://a/", "-d", "@none.json"], "none.json"),
        (&["--url", "http://a/", "-F", "file"], "NAME=VALUE"),
        (
            &["--url", "http://a/", "-F", "f=@{path};encoder=base64"],
            "encoder",
        ),
        (&["--url", "http://a/", "-b", "jar.txt"], "read from a file"),
        (&["--url", "http://a/", "-u", "me"], "password"),
        (&["--url", "http://a/", "-U", "me:x"], "-x"),
        (&["--url", "http://a/", "--cacert", "none.pem"], "none.pem"),
        (&["--url", "http://a/", "-K", "none"], "none"),
        (&["--url", "http://a/", "--max-redirs", "x"], "whole number"),
        (&["--url", "http://a/{col.id}"], "the column `id`"),
        (&[], "--url"),
    ] {
        let words = [&["run"][..], words, &["texts"]].concat();
        let ran = place.stride(&words).expect(2).says(named);
        assert!(ran.stderr.starts_with("error:"), "{}", ran.stderr);
        assert_eq!(super::listed(&place.at("")), ["texts"], "{words:?}");
    }
}

#[test]
fn a_binary_file_fails_if_the_request_needs_its_text() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = Place::new();
    let bystander = place.with_bystander(&api.url());
    place.write("texts/good", "good");
    place.write("texts/odd", b"\xff\xfe");
    let words = [
        "run",
        "--accept-change",
        "--url",
        &api.url(),
        "--json",
        "{\"t\": \"{text}\"}",
        "texts",
    ];
    place.stride(&words).expect(3).says("not UTF-8");
    let sql = "SELECT outcome, class, kind FROM attempt JOIN job ON job.id = attempt.job WHERE path = 'texts/odd'";
    assert_eq!(place.sql(sql).concat(), ["not_sent", "input", "not_text"]);
    assert_eq!(api.requests(), 2);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn options_that_are_not_stored_are_repeated_in_the_same_words() {
    const PAIR: &str = "me:hunter2hunter2";
    let basic = stride::caller::Credential::basic(PAIR.as_bytes());
    let expected = basic.clone();
    let api = FakeApi::start(move |request| match request.header("authorization") {
        Some(value) if value == expected => Reply::json(1),
        _ => Reply::status(401),
    });
    let through = basic.clone();
    let proxy = FakeApi::start(move |request| match request.header("proxy-authorization") {
        Some(value) if value == through => Reply::json(2),
        _ => Reply::status(407),
    });
    let place = Place::new();
    place.texts(3);
    let words = [
        "run",
        "--url",
        &api.url(),
        "-u",
        PAIR,
        "--max-calls",
        "1",
        "texts",
    ];
    place.stride(&words).expect(4).says("not stored");
    place
        .stride(&["resume", "--max-calls", "2"])
        .expect(2)
        .says("-u NAME:PASSWORD");
    place
        .stride(&["resume", "--max-calls", "2", "-u", PAIR])
        .expect(4);
    let header = format!("Authorization: {basic}");
    place
        .stride(&["resume", "--max-calls", "none", "-H", &header])
        .expect(0);

    let url = "http://service.invalid/x";
    let words = [
        "run",
        "--db",
        "p.db",
        "--url",
        url,
        "-x",
        &proxy.url(),
        "-U",
        PAIR,
        "--max-calls",
        "1",
        "texts",
    ];
    place
        .stride(&words)
        .expect(4)
        .says("proxy: calls go through");
    let again = ["resume", "--db", "p.db", "--max-calls", "none"];
    place.stride(&again).expect(2).says("-U NAME:PASSWORD");
    place
        .stride(&[&again[..], &["-U", PAIR]].concat())
        .expect(0);
    assert_eq!((api.requests(), proxy.requests()), (3, 3));
    for db in ["stride.db", "p.db"] {
        let written = std::fs::read(place.at(db)).unwrap();
        for form in ["hunter2hunter2", &basic[6..]] {
            assert!(
                !written
                    .windows(form.len())
                    .any(|part| part == form.as_bytes()),
                "{db}"
            );
        }
    }
}
