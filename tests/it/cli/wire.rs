//! Redirects, codings and addresses, as with curl.

use super::{Place, Ran};
use crate::http::coding::{Encode, bare_deflate, gzip, zlib};
use crate::support::{FakeApi, Reply, Request};

/// Runs `curl` with these options for one file.
fn pasted(place: &Place, command: &str, variables: &[(&str, &str)]) -> Ran {
    place.write("a.txt", "hello");
    let words = ["run", "--expect", "any", "--curl", command, "a.txt"];
    place.stride_with(variables, &words)
}

/// The value of a header in each request.
fn sent(api: &FakeApi, header: &str) -> Vec<Option<String>> {
    let log = api.log();
    let values = log.iter().map(|logged| logged.request.header(header));
    values.map(|value| value.map(str::to_owned)).collect()
}

/// A service that answers `/1` with a redirect.
fn redirecting(location: String) -> FakeApi {
    FakeApi::start(move |request: &Request| match request.target.as_str() {
        "/1" => Reply::status(302).header("Location", &location),
        _ => Reply::json(1),
    })
}

#[test]
fn a_blank_location_is_an_answer_and_no_loop() {
    for location in ["", "  "] {
        let (api, place) = (redirecting(location.to_owned()), Place::new());
        let command = format!("curl -L {}/1 -d @{{}}", api.url());
        pasted(&place, &command, &[]).expect(4).says("HTTP 302");
        assert_eq!(api.requests(), 1);
    }
}

#[test]
fn a_host_header_is_for_the_first_host_alone() {
    let second = FakeApi::start(|_| Reply::json(1));
    let other = format!("localhost:{}", second.port());
    let (first, place) = (redirecting(format!("http://{other}/2")), Place::new());
    let options = "-L -H 'Host: front.example' -b a=1 -u me:sesame";
    let command = format!("curl {options} {}/1 -H 'X-File: {{}}'", first.url());
    pasted(&place, &command, &[]).expect(0);
    assert_eq!(sent(&first, "host"), [Some("front.example".to_owned())]);
    assert_eq!(sent(&second, "host"), [Some(other)]);
    for header in ["authorization", "cookie"] {
        assert_eq!(sent(&second, header), [None]);
    }
}

#[test]
fn credentials_of_a_redirect_are_for_its_own_service() {
    let second = FakeApi::start(|_| Reply::json(1));
    // u:p, me:sesame
    let (theirs, own) = ("Basic dTpw", "Basic bWU6c2VzYW1l");
    for (options, is_elsewhere, expected) in [
        ("", false, Some(theirs)),
        ("", true, None),
        ("-u me:sesame", false, Some(own)),
        ("-u me:sesame", true, None),
    ] {
        let (place, port) = (Place::new(), second.port());
        let first = FakeApi::start(move |request: &Request| {
            let host = request.header("host").unwrap().to_owned();
            let host = match is_elsewhere {
                true => format!("localhost:{port}"),
                false => host,
            };
            match request.target.as_str() {
                "/1" => Reply::status(302).header("Location", format!("http://u:p@{host}/2")),
                _ => Reply::json(1),
            }
        });
        let command = format!("curl -L {options} {}/1 -H 'X-File: {{}}'", first.url());
        pasted(&place, &command, &[]).expect(0);
        let last = match is_elsewhere {
            true => sent(&second, "authorization").pop(),
            false => sent(&first, "authorization").pop(),
        };
        let expected = Some(expected.map(str::to_owned));
        assert_eq!(last, expected, "{options} {is_elsewhere}");
    }
}

#[test]
fn the_credential_of_an_option_takes_precedence_over_that_of_the_url() {
    let (api, place) = (FakeApi::start(|_| Reply::json(1)), Place::new());
    let url = format!("http://u:p@127.0.0.1:{}/{{}}", api.port());
    pasted(&place, &format!("curl -u me:sesame {url}"), &[]).expect(0);
    let own = Some("Basic bWU6c2VzYW1l".to_owned());
    assert_eq!(sent(&api, "authorization"), [own]);
}

#[test]
fn minus_one_follows_any_number_of_redirects() {
    for (options, code) in [("", 4), ("--max-redirs -1", 0), ("--max-redirs 60", 0)] {
        let place = Place::new();
        let api = FakeApi::start(|request: &Request| {
            match request.target.trim_start_matches('/').parse().unwrap() {
                60 => Reply::json(1),
                number @ 0..60 => Reply::status(302).header("Location", format!("/{}", number + 1)),
                _ => Reply::status(500),
            }
        });
        let command = format!("curl -L {options} {}/0 -H 'X-File: {{}}'", api.url());
        pasted(&place, &command, &[]).expect(code);
    }
}

#[test]
fn an_empty_proxy_is_none_although_the_environment_names_one() {
    let (api, place) = (FakeApi::start(|_| Reply::json(1)), Place::new());
    let variables = [("http_proxy", "http://proxy.invalid:1")];
    let command = format!("curl -x '' {}/{{}}", api.url());
    ["a.txt", "b.txt"]
        .iter()
        .for_each(|name| place.write(name, name));
    let words = ["run", "--sample", "1", "--curl", &command, "a.txt", "b.txt"];
    place.stride_with(&variables, &words).expect(0);
    place.stride_with(&variables, &["resume"]).expect(0);
    assert_eq!(api.requests(), 2);
}

#[test]
fn spaces_in_the_query_of_a_redirect_become_plus_signs() {
    let (api, place) = (redirecting("/a b?c=d e ".to_owned()), Place::new());
    let command = format!("curl -L {}/1 -H 'X-File: {{}}'", api.url());
    pasted(&place, &command, &[]).expect(0);
    assert_eq!(api.log()[1].target, "/a%20b?c=d+e");
}

#[test]
fn an_answer_is_decoded_whatever_name_and_form_its_coding_has() {
    let answer: &[u8] = br#"{"label":"good"}"#;
    for (name, codings) in [
        ("GZIP", &[gzip as Encode][..]),
        ("x-gzip", &[gzip]),
        ("deflate", &[zlib]),
        ("Deflate", &[bare_deflate]),
        ("deflate, gzip", &[zlib, gzip]),
        ("gzip, deflate", &[gzip, bare_deflate]),
        ("identity", &[]),
    ] {
        let body = answer.to_vec();
        let body = codings.iter().fold(body, |body, encode| encode(&body));
        let reply = Reply::status(200).body("application/json", body);
        let reply = reply.header("Content-Encoding", name);
        let (api, place) = (FakeApi::start(move |_| reply.clone()), Place::new());
        place.write("a.txt", "hello");
        let url = api.url();
        place.stride(&["run", "--url", &url, "a.txt"]).expect(0);
        let exported = place.stride(&["export"]).expect(0).json();
        assert_eq!(exported["a.txt"]["label"], "good", "{name}");
        let log = api.log();
        let accepted = log[0].request.header("accept-encoding").unwrap();
        assert!(
            ["gzip", "deflate"]
                .iter()
                .all(|name| accepted.contains(name))
        );
    }
}

#[test]
fn names_below_localhost_are_this_machine() {
    let (api, place) = (FakeApi::start(|_| Reply::json(1)), Place::new());
    let url = format!("http://api.v1.localhost:{}/{{}}", api.port());
    pasted(&place, &format!("curl -u me:sesame {url}"), &[]).expect(0);
    let host = format!("api.v1.localhost:{}", api.port());
    assert_eq!(sent(&api, "host"), [Some(host)]);
}

#[test]
fn a_pasted_header_that_asks_for_codings_is_enough_to_decode_them() {
    let place = Place::new();
    let reply = Reply::status(200).body("application/json", gzip(b"{\"label\":\"good\"}"));
    let reply = reply.header("Content-Encoding", "gzip");
    let api = FakeApi::start(move |_| reply.clone());
    place.write("a.txt", "hello");
    let header = "-H 'Accept-Encoding: gzip, deflate, br'";
    let command = format!("curl {} -d @{{}}", api.url());
    let words = ["run", "--db", "plain.db", "--curl", &command, "a.txt"];
    place
        .stride(&words)
        .expect(3)
        .says("encoded with gzip")
        .says("--compressed");
    let command = format!("{command} {header}");
    place
        .stride(&["run", "--curl", &command, "a.txt"])
        .expect(0);
    let exported = place.stride(&["export"]).expect(0).json();
    assert_eq!(exported["a.txt"]["label"], "good");
}

#[test]
fn given_addresses_are_for_a_host_and_a_port_and_a_star_is_any_host() {
    let (api, place) = (FakeApi::start(|_| Reply::json(1)), Place::new());
    let port = api.port();
    for (number, options) in [
        "--resolve '*:PORT:127.0.0.1'",
        "--resolve '+service.invalid:PORT:127.0.0.1'",
        "--resolve service.invalid:1:192.0.2.1 --resolve SERVICE.invalid:PORT:127.0.0.1",
        "--resolve service.invalid:PORT:127.0.0.1 --resolve service.invalid:1:192.0.2.1",
        "--resolve 'service.invalid:PORT:127.0.0.1,127.0.0.2'",
        "--resolve '*:PORT:192.0.2.1' --resolve 'service.invalid:PORT:[127.0.0.1]'",
    ]
    .iter()
    .enumerate()
    {
        let options = options.replace("PORT", &port.to_string());
        let url = format!("http://service.invalid:{port}/{{}}");
        let command = format!("curl {options} {url}");
        let db = format!("{number}.db");
        place.write("a.txt", "hello");
        let words = ["run", "--db", &db, "--curl", &command, "a.txt"];
        place.stride(&words).expect(0);
    }
    let hosts = sent(&api, "host");
    assert_eq!(hosts.len(), 6);
    let host = Some(format!("service.invalid:{port}"));
    assert!(hosts.iter().all(|sent| *sent == host), "{hosts:?}");
}
