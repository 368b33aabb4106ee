//! Pasted commands of curl: every option, and text that is not a command for bash.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Place, listed};
use crate::http::tls::{params, pem, self_signed};
use crate::http::transport::speaking;
use crate::support::{FakeApi, RawServer, Reply, Request};

/// Every option of curl's manual page, under what stride does with it.
const OPTIONS: &str = include_str!("../../data/curl/options.txt");

/// Returns the options in a section.
fn options(section: &str) -> Vec<&'static str> {
    let sections = OPTIONS.split("\n[").skip(1);
    let mut named = sections.filter_map(|text| text.split_once("]\n"));
    let (_, lines) = named.find(|(name, _)| *name == section).unwrap();
    lines.lines().filter(|line| !line.is_empty()).collect()
}

fn name(option: &str) -> &str {
    option.split(' ').next().unwrap()
}

pub(super) fn place() -> Place {
    let place = Place::new();
    place.write("a b.txt", "some text");
    place
}

/// Calls one file with a pasted command, and returns the request that the service saw.
pub(super) fn seen(place: &Place, variables: &[(&str, &str)], command: &str) -> Request {
    let api = FakeApi::start(|_| Reply::json(1));
    let _ = fs::remove_file(place.at("stride.db"));
    let command = command.replace("API", &api.url());
    let variables = variables.iter().map(|(name, value)| {
        let value = value.replace("API", &api.url());
        (
            *name,
            value.replace("HOST", api.url().trim_start_matches("http://")),
        )
    });
    let variables: Vec<_> = variables.collect();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let ran = place.stride_with(&variables, &["run", "--curl", &command, "a b.txt"]);
    assert_eq!(ran.code, Some(0), "{command}: {}", ran.stderr);
    let log = api.log();
    assert_eq!(log.len(), 1, "{command}");
    (*log[0].request).clone()
}

#[test]
fn every_option_of_curl_is_honoured_named_in_a_note_or_refused_by_name() {
    let place = place();
    let (chain, key) = self_signed(&params("localhost")).into_parts();
    let key = STANDARD.encode(key.serialize_der());
    let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    place.write("pem", format!("{}{key}", pem(&chain[0])));
    place.write("config", "# nothing\n");
    place.write(".home/.netrc", "machine localhost login me password word\n");
    let before = listed(&place.at(""));
    let dry = |words: &str| {
        let url = if words.contains("--url ") {
            ""
        } else {
            "http://localhost:9/{}"
        };
        let command = format!("curl {url} {words}");
        place.stride(&["run", "--dry-run", "--curl", &command, "a b.txt"])
    };
    for option in options("honoured") {
        let ran = dry(option);
        assert!(ran.code == Some(0), "{option}: {}", ran.stderr);
        assert!(
            !ran.stderr.contains("no effect"),
            "{option}: {}",
            ran.stderr
        );
    }
    let ran = dry(&options("implied").join(" ")).expect(0);
    assert!(!ran.stderr.contains("no effect"), "{}", ran.stderr);
    let noted = options("noted");
    let ran = dry(&noted.join(" ")).expect(0);
    for option in noted {
        let words = ran.stderr.split([' ', '(', ')', '\n']);
        assert!(
            words.clone().any(|word| word == name(option)),
            "{option}: {}",
            ran.stderr
        );
    }
    for option in options("refused") {
        let ran = dry(option)
            .expect(2)
            .says(&format!("error: the option {} ", name(option)));
        assert!(ran.stderr.contains("hint: "), "{option}: {}", ran.stderr);
    }
    dry("--frobnicate")
        .expect(2)
        .says("curl has no option --frobnicate");
    assert_eq!(listed(&place.at("")), before, "something was created");
}

#[test]
fn no_option_of_the_installed_curl_is_unknown() {
    let Ok(help) = Command::new("curl").args(["--help", "all"]).output() else {
        return;
    };
    let help = String::from_utf8(help.stdout).unwrap();
    let names = help.lines().filter_map(|line| line.split_once("--"));
    let names = names.map(|(_, rest)| format!("--{}", rest.split(' ').next().unwrap()));
    let known: Vec<&str> = OPTIONS.lines().map(name).collect();
    let unknown: Vec<String> = names
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn headers_of_the_connection_are_dropped_with_a_note() {
    let place = place();
    let command = "curl API/x -d @{} -H 'Connection: keep-alive' -H 'Content-Length: 3' \
        -H 'Transfer-Encoding: chunked' -H ':authority: a.example' -H 'X-Kept: 1'";
    let request = seen(&place, &[], command);
    for (name, value) in [
        ("connection", None),
        ("content-length", Some("9")),
        ("transfer-encoding", None),
        ("x-kept", Some("1")),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    let command = command.replace("API", "http://localhost:9");
    let dry = [
        "run",
        "--db",
        "dry.db",
        "--dry-run",
        "--curl",
        &command,
        "a b.txt",
    ];
    place
        .stride(&dry)
        .expect(0)
        .says("note: stride sets these headers itself: Connection, Content-Length, Transfer-Encoding, :authority");
    let command = command.replace("keep-alive", "Upgrade");
    let dry = [
        "run",
        "--db",
        "dry.db",
        "--dry-run",
        "--curl",
        &command,
        "a b.txt",
    ];
    place.stride(&dry).expect(2).says("`Connection`");
}

#[test]
fn hosts_that_need_no_proxy_are_called_directly() {
    let place = place();
    let proxy = FakeApi::start(|_| Reply::status(500));
    let proxied = [("http_proxy", proxy.url())];
    for (variables, words) in [
        (&[("http_proxy", true)][..], "--noproxy 127.0.0.1"),
        (&[("http_proxy", true)], "--noproxy '*'"),
        (&[("ALL_PROXY", true)], "--noproxy 'a.example 127.0.0.0/8'"),
        (&[("NO_PROXY", false)], "-x PROXY"),
        (&[("http_proxy", true), ("no_proxy", false)], ""),
        (&[], "-x PROXY --noproxy '*'"),
        (&[("no_proxy", false)], "-x PROXY --noproxy '127.0.0.1'"),
    ] {
        for list in ["*", "127.0.0.1"] {
            let variables: Vec<_> = variables
                .iter()
                .map(|(name, is_proxy)| {
                    (
                        *name,
                        if *is_proxy {
                            proxied[0].1.as_str()
                        } else {
                            list
                        },
                    )
                })
                .collect();
            let words = words.replace("PROXY", &proxy.url());
            let request = seen(&place, &variables, &format!("curl API/x -d @{{}} {words}"));
            assert_eq!(request.target, "/x", "{variables:?} {words}");
        }
    }
    assert_eq!(proxy.requests(), 0);
    // The request's own list takes precedence over that of the environment.
    let proxy = FakeApi::start(|_| Reply::json(1));
    let variables = [("http_proxy", proxy.url()), ("no_proxy", "*".to_owned())];
    let command = "curl http://127.0.0.1:9/x -d @{} --noproxy a.example";
    let mut run = place.command(&["run", "--db", "proxied.db", "--curl", command, "a b.txt"]);
    assert!(run.envs(variables).output().unwrap().status.success());
    assert_eq!(proxy.log()[0].target, "http://127.0.0.1:9/x");
}

#[test]
fn double_braces_of_pasted_text_stay_as_they_are() {
    let place = place();
    let body = r#"{"t":"{{name}} {{{text}}} {name}","u":"{{}}"}"#;
    let command = format!("curl API/x -H 'X-T: {{{{name}}}}' -d '{body}' -F");
    let request = seen(&place, &[], command.trim_end_matches(" -F"));
    assert_eq!(
        *request.body,
        *body.replace(" {name}", " a b.txt").as_bytes()
    );
    assert_eq!(request.header("x-t"), Some("{{name}}"));
    // In stride's own words they are an escape.
    let api = FakeApi::start(|_| Reply::json(1));
    let url = api.url();
    let words = [
        "run",
        "--db",
        "own.db",
        "--url",
        &url,
        "--json",
        body,
        "-H",
        "X-T: {{name}}",
    ];
    place.stride(&[&words[..], &["a b.txt"]].concat()).expect(0);
    let log = api.log();
    assert_eq!(
        *log[0].body,
        *br#"{"t":"{name} {{text}} a b.txt","u":"{}"}"#
    );
    assert_eq!(log[0].request.header("x-t"), Some("{name}"));
}

#[test]
fn text_that_is_not_a_command_for_bash_is_named() {
    let place = place();
    for (command, said) in [
        (
            "Invoke-WebRequest -Uri \"https://a/\" -Method POST",
            "syntax of PowerShell",
        ),
        (
            "curl.exe https://a/ `\r\n  -d '@{}'",
            "syntax of PowerShell",
        ),
        ("curl ^\"https://a/^\" ^\r\n  -d ^\"@{}^\"", "syntax of cmd"),
        ("curl “https://a/” -d @{}", "`“` is typographic"),
        ("curl https://a/ –d @{}", "`–` is typographic"),
        ("curl\u{a0}https://a/ -d @{}", "`U+00A0` is typographic"),
        ("curl https://a/\u{a0}-d @{}", "`U+00A0` is typographic"),
        (
            "cat {} | curl -d @- https://a/",
            "use @{} for the file in place of @-",
        ),
        ("fetch(\"https://a/\", {})", "`fetch` is not curl"),
        ("curl https://a/ --data=@{}", "a word of its own"),
        ("curl https://a/ -T -", "-T cannot read standard input"),
        ("curl https://a/ -T .", "-T cannot read standard input"),
        ("curl https://a/ -T '{a,b}'", "a pattern of several files"),
        ("curl https://a/ -T ''", "-T names no file"),
        ("curl --url @urls -d @{}", "cannot read URLs from a file"),
        ("curl https://a/ -d @{} --tls-max 1.1", "--tls-max 1.1"),
        (
            "curl https://a/ -d @{} --tlsv1.3 --tls-max 1.2",
            "no version of TLS",
        ),
        (
            "curl https://a/ -d @{} --cert-type P12 -E c",
            "with openssl pkcs12 -nodes -in FILE -out FILE.pem",
        ),
        (
            "curl https://a/ -d @{} --cert-type DER -E c",
            "with openssl x509 -inform DER -in FILE -out FILE.pem",
        ),
        (
            "curl https://a/ -d @{} --key-type der --key k",
            "with openssl pkey -inform DER -in FILE -out FILE.pem",
        ),
        ("curl https://a/ -d @{} --interface eth0", "use an address"),
        (
            "curl https://a/ -d @{} --interface 192.0.2.1",
            "cannot connect from 192.0.2.1",
        ),
        (
            "curl http://a/ -d @{} --proto =https",
            "only https may be called",
        ),
        ("curl http://127.0.0.1/ -d @{} -6", "only IPv6 may be used"),
        (
            "curl http://me:word@a/ -d @{} --disallow-username-in-url",
            "the URL has a name",
        ),
        (
            "curl $(cat url)/x -d @{}",
            "only a variable or a pool can name the service",
        ),
    ] {
        let words = ["run", "--curl", command, "a b.txt"];
        let ran = place.stride(&words).expect(2).says(said);
        assert!(ran.stderr.contains("hint: "), "{command}: {}", ran.stderr);
        assert_eq!(listed(&place.at("")), ["a b.txt"], "{command}");
    }
    seen(
        &place,
        &[],
        "  $ curl --no-location --location --no-location API/x --data-bin @{}",
    );
}

#[test]
fn options_of_the_connection_are_honoured() {
    let place = place();
    // Redirects: the method is kept, and other schemes are not followed.
    let api = FakeApi::start(|request| match request.target.as_str() {
        "/landed" => Reply::json(1),
        target => {
            let status = target.trim_start_matches('/').parse().unwrap();
            Reply::status(status).header("location", "/landed")
        }
    });
    let call = |words: &str| {
        let command = format!("curl {}/{words} -d @{{}}", api.url());
        place.stride(&["try", "a b.txt", "--curl", &command])
    };
    for (words, method) in [
        ("302 -L", "GET"),
        ("302 -L --post302", "POST"),
        ("301 -L --post301", "POST"),
        ("303 --follow --post303", "POST"),
        ("302 -L --post301", "GET"),
    ] {
        call(words).expect(0);
        assert_eq!(api.log().last().unwrap().request.method, method, "{words}");
    }
    call("302 -L --proto-redir =https").expect(3).says("302");
    call("302 -L --no-location").expect(3).says("302");
    // The address to connect from.
    let server = RawServer::start(|mut connection| {
        use std::io::{Read, Write};
        let _ = connection.read(&mut [0; 4096]);
        let peer = format!("\"{}\"", connection.peer_addr().unwrap().ip());
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", peer.len());
        let _ = connection.write_all(format!("{head}{peer}").as_bytes());
    });
    let command = format!("curl -4 --interface 127.0.0.2 {}/{{}}", server.url());
    let ran = place
        .stride(&["try", "a b.txt", "--curl", &command])
        .expect(0);
    assert_eq!(ran.stdout, b"\"127.0.0.2\"\n");
    // Versions of TLS.
    place.write("hello.txt", "hello");
    for (versions, option, code) in [
        (&[&rustls::version::TLS12], "--tlsv1.2", 0),
        (&[&rustls::version::TLS12], "--tlsv1.3", 3),
        (&[&rustls::version::TLS13], "--tlsv1.3", 0),
        (&[&rustls::version::TLS13], "--tls-max 1.2", 3),
    ] {
        let identity = self_signed(&params("localhost"));
        place.write("ca.pem", pem(&identity.certificate()));
        let server = speaking(versions, identity, None);
        let command = format!(
            "curl {option} --cacert ca.pem https://localhost:{}/ --data-binary @{{}}",
            server.port()
        );
        place
            .stride(&["try", "hello.txt", "--curl", &command])
            .expect(code);
    }
}

/// The quotes of a pasted command can end those of a shell, which sees none of them in a file or in standard input.
#[test]
fn a_command_is_read_from_a_file_or_from_standard_input() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place();
    let bystander = place.with_bystander(&api.url());
    let data = "{\"it's\": \"{text}\"}";
    let pasted = format!(
        "curl '{}/x' \\\n  -H 'Content-Type: application/json' \\\n  -d '{}'\n",
        api.url(),
        data.replace('\'', "'\\''")
    );
    place.write("command.sh", &pasted);
    let run = |source: &str, more: &[&str]| {
        let words = [
            "run",
            "--db",
            &format!("{}.db", source.len()),
            "--curl",
            source,
        ];
        let mut command = place.command(&[&words[..], more].concat());
        // A list on standard input is not taken for a command.
        let input = match more {
            ["--files-from", "-"] => "a b.txt",
            _ => "command.sh",
        };
        command.stdin(fs::File::open(place.at(input)).unwrap());
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    place.write(
        "noted.sh",
        format!("\u{feff}# a comment\n\n#another\n{pasted}"),
    );
    place.write("empty.sh", "\u{feff}");
    for source in ["@command.sh", "-", "@noted.sh"] {
        let (code, said) = run(source, &["a b.txt"]);
        assert_eq!(code, Some(0), "{said}");
        let sent = &api.log().pop().unwrap().request;
        assert_eq!(sent.target, "/x");
        assert_eq!(&*sent.body, b"{\"it's\": \"some text\"}");
    }
    for (source, more, words) in [
        ("-", &["--files-from", "-"][..], "both read standard input"),
        ("@empty.sh", &["a b.txt"], "the command is empty"),
        (
            "@none.sh",
            &["a b.txt"],
            "cannot read the command in none.sh",
        ),
        ("@a b.txt", &["a b.txt"], "`some` is not curl"),
        (
            "curl 'x",
            &["a b.txt"],
            "hint: --curl - reads the command from standard input",
        ),
    ] {
        let (code, said) = run(source, more);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(place.bystander(), bystander);
}

/// A variable that is a whole value is named where the value alone says too little.
#[test]
fn a_variable_without_its_name_is_named() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place();
    let bystander = place.with_bystander(&api.url());
    for (options, words) in [
        ("-H \"$HDR\"", "-H has nothing but $HDR"),
        ("-X $METHOD", "-X has the variable $METHOD"),
        ("-X '$METHOD'", "-X has the variable $METHOD"),
        ("-H 'Authorization: Bearer $K'", "has the text $K"),
        ("-u 'me:$K'", "has the text $K"),
    ] {
        let command = format!("curl {} -d @{{}} {options}", api.url());
        place
            .stride(&["run", "--db", "other.db", "--curl", &command, "a b.txt"])
            .expect(2)
            .says(words);
    }
    let request = seen(
        &place,
        &[("COOKIE", "a=b; c=d")],
        "curl API -d @{} -b \"$COOKIE\"",
    );
    assert_eq!(request.header("cookie"), Some("a=b; c=d"));
    drop(bystander);
}
