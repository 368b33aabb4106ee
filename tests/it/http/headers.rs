//! The request's head: its headers, its target, and reasons against sending it.

use stride::caller::PlanError;
use stride::job::{Class, FileName, Outcome};
use stride::settings::{Escape, HeaderValue, Piece};

use super::{Client, attempt, succeeded};
use crate::support::{FakeApi, Reply};

#[test]
fn headers_have_their_defaults() {
    let api = FakeApi::start(|_| Reply::json(1));
    let client = Client::post(&api.url());
    for (name, media_type) in [
        ("a.png", "image/png"),
        ("a.JSON", "application/json"),
        ("a.tar.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
        ("none", "application/octet-stream"),
    ] {
        succeeded(client.call_for(&client.job(name, b"x")));
        let request = api.log().pop().unwrap().request;
        assert_eq!(request.header("content-type"), Some(media_type), "{name}");
        assert_eq!(request.key(), Some(attempt(1).key.to_string().as_str()));
        assert_eq!(
            request.header("user-agent"),
            Some(concat!("stride/", env!("CARGO_PKG_VERSION")))
        );
        assert_eq!(
            request.header("host"),
            Some(format!("127.0.0.1:{}", api.port()).as_str())
        );
        let encodings = request.header("accept-encoding").unwrap();
        assert!(
            encodings.contains("gzip") && encodings.contains("deflate"),
            "{encodings}"
        );
        assert_eq!(
            request.count("authorization") + request.count("cookie") + request.count("referer"),
            0
        );
    }
}

#[test]
fn a_given_header_replaces_its_default() {
    let api = FakeApi::start(|_| Reply::json(1));
    let client = Client::post(&api.url())
        .template("Content-Type", "text/x-{ext}")
        .template("IDEMPOTENCY-KEY", "mine-{stem}")
        .template("user-agent", "curl/8")
        .template("accept", "text/plain")
        .template("accept-encoding", "identity")
        .template("X-Twice", "1")
        .template("X-Empty", "")
        .template("x-twice", "{{2}}");
    succeeded(client.call());
    let request = api.log().pop().unwrap().request;
    let all = |name: &str| -> Vec<&str> {
        let same = request
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(all("content-type"), ["text/x-txt"]);
    assert_eq!(all("idempotency-key"), ["mine-a"]);
    assert_eq!(all("user-agent"), ["curl/8"]);
    assert_eq!(all("accept"), ["text/plain"]);
    assert_eq!(all("accept-encoding"), ["identity"]);
    assert_eq!(all("x-twice"), ["1", "{2}"]);
    assert_eq!(all("x-empty"), [""]);
}

#[test]
fn a_header_that_is_not_wanted_is_not_sent() {
    let defaults = [
        "Content-Type",
        "user-agent",
        "Idempotency-Key",
        "Accept-Encoding",
    ];
    let is_sent = |header: &&str| {
        let api = FakeApi::start(|_| Reply::json(1));
        succeeded(
            Client::post(&api.url())
                .header(header, HeaderValue::Absent)
                .call(),
        );
        api.log()[0].request.header(header).is_some()
    };
    let sent: Vec<&str> = defaults.into_iter().filter(is_sent).collect();
    assert_eq!(sent, [""; 0]);
}

#[test]
fn a_name_is_verbatim_in_a_header_and_encoded_in_the_target() {
    let api = FakeApi::start(|_| Reply::json(1));
    let client = Client::post(&format!("{}/v1/{{path}}?stem={{stem}}&q=a%20b", api.url()))
        .template("X-Name", "<{name}>")
        .template("X-Path", "{path}");
    for (name, target) in [
        ("plain.txt", "/v1/plain.txt?stem=plain&q=a%20b"),
        (
            "ü ?&#=%.txt",
            "/v1/%C3%BC%20%3F%26%23%3D%25.txt?stem=%C3%BC%20%3F%26%23%3D%25&q=a%20b",
        ),
        (
            "sub/../x/{env:SECRET}",
            "/v1/sub%2F..%2Fx%2F%7Benv%3ASECRET%7D?stem=%7Benv%3ASECRET%7D&q=a%20b",
        ),
        ("...", "/v1/...?stem=..&q=a%20b"),
    ] {
        let mut job = client.job("file", b"x");
        job.path = name.into();
        succeeded(client.call_for(&job));
        let request = api.log().pop().unwrap().request;
        assert_eq!(request.target, target);
        let last = name.rsplit('/').next().unwrap();
        assert_eq!(request.header("x-name"), Some(format!("<{last}>").as_str()));
        assert_eq!(request.header("x-path"), Some(name));
    }
}

#[test]
fn a_name_stays_within_its_segment_of_the_path() {
    let api = FakeApi::start(|_| Reply::json(1));
    for (path, name) in [
        ("{path}", ".."),
        ("{path}", "."),
        ("a/{path}/b", ".."),
        ("{dir}/b", "../c"),
        (".{path}", "."),
        ("{path}%2e/b", "."),
        ("{path}?x={name}", ".."),
    ] {
        let client = Client::post(&format!("{}/v1/{path}", api.url()));
        let mut job = client.job("file", b"x");
        job.path = name.into();
        let outcome = client.call_for(&job);
        let Outcome::Unsendable(failure) = outcome else {
            panic!("{path} {name:?}: {outcome:?}")
        };
        assert_eq!(failure.kind.as_str(), "bad_url", "{path} {name}");
    }
    assert_eq!(api.accepted(), 0);
    for (path, name, target) in [
        // The folder of a name without one is the list's own.
        ("{dir}/{name}", "c", "/v1/c"),
        ("a/../{path}", "c", "/v1/c"),
        ("x{path}", "..", "/v1/x.."),
        ("a?x=/{path}", "..", "/v1/a?x=/.."),
        ("a#/{path}", "..", "/v1/a"),
    ] {
        let client = Client::post(&format!("{}/v1/{path}", api.url()));
        let mut job = client.job("file", b"x");
        job.path = name.into();
        succeeded(client.call_for(&job));
        assert_eq!(api.log().pop().unwrap().target, target, "{path} {name}");
    }
}

#[test]
fn json_in_a_query_stays_one_part_of_it() {
    let api = FakeApi::start(|_| Reply::json(1));
    let piece = |template: &str, escape| Piece::Text {
        template: template.to_owned(),
        escape,
    };
    for (url, target) in [
        ("/v1", "/v1?q="),
        ("/v1?a=1", "/v1?a=1&q="),
        // A fragment is never sent.
        ("/v1#there", "/v1?q="),
    ] {
        let mut client = Client::post(&format!("{}{url}", api.url()));
        client.request.query = vec![
            piece("q=", Escape::Nothing),
            piece(r#"{"k":"{name}","n":{index}}"#, Escape::Json),
        ];
        let mut job = client.job("file", b"x");
        job.path = "a&b=#+%20\"".into();
        succeeded(client.call_for(&job));
        let filled = "{%22k%22:%22a%26b%3d%23%2b%2520%5c%22%22,%22n%22:0}";
        assert_eq!(api.log().pop().unwrap().target, format!("{target}{filled}"));
    }
}

#[test]
fn a_name_that_is_invalid_in_a_header_is_the_reason_of_the_failure() {
    let api = FakeApi::start(|_| Reply::json(1));
    let client = Client::post(&format!("{}/{{name}}", api.url())).template("X-Name", "{name}");
    for name in ["two\nlines", "a\r\nX-Injected: 1", "nul\x01", "del\x7f"] {
        let outcome = client.call_for(&client.job(name, b"x"));
        let Outcome::Unsendable(failure) = outcome else {
            panic!("{name:?}: {outcome:?}")
        };
        assert_eq!(
            (failure.class, failure.kind.as_str()),
            (Class::Input, "bad_header"),
            "{name:?}"
        );
        assert!(failure.message.contains("x-name"), "{}", failure.message);
    }
    assert_eq!(api.accepted(), 0);
    succeeded(client.call_for(&client.job("tab\tand é", b"x")));
    succeeded(client.call_for(&client.job(FileName::new(&b"caf\xe9"[..]), b"x")));
    let in_target = Client::post(&format!("{}/{{name}}", api.url()));
    succeeded(in_target.call_for(&in_target.job("two\nlines", b"x")));
    assert_eq!(api.log().pop().unwrap().target, "/two%0Alines");
}

#[test]
fn a_request_that_is_invalid_for_every_file_is_refused_before_the_first() {
    let refused = |client: Client| client.plan().unwrap_err();
    for url in [
        "",
        "localhost:8080/x",
        "ftp://a/",
        "file:///etc/passwd",
        "http://",
        "https://a b/",
    ] {
        let error = refused(Client::post(url));
        assert!(matches!(error, PlanError::Url { .. }), "{url}: {error:?}");
    }
    let url = "http://localhost/";
    for (template, header) in [
        ("{nmae}", false),
        ("{", false),
        ("{env:UNSET}", true),
        ("{env:}", true),
    ] {
        let client = if header {
            Client::post(url).template("X-A", template)
        } else {
            Client::post(&format!("{url}{template}"))
        };
        let error = refused(client);
        assert!(
            matches!(error, PlanError::Template { .. }),
            "{template}: {error:?}"
        );
    }
    for method in ["", "GET POST", "G\nET"] {
        assert!(
            matches!(
                refused(Client::post(url).method(method)),
                PlanError::Method(_)
            ),
            "{method}"
        );
    }
    for (name, value) in [
        ("", "x"),
        ("a b", "x"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("Connection", "keep-alive"),
        ("X-A", "a\nb"),
    ] {
        let error = refused(Client::post(url).template(name, value));
        assert!(
            matches!(error, PlanError::Header { .. }),
            "{name}: {error:?}"
        );
    }
    let error = refused(Client::post(url).header("Authorization", HeaderValue::Withheld));
    assert!(
        matches!(&error, PlanError::Missing(name) if name == "Authorization"),
        "{error:?}"
    );
}
