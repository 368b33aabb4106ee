//! The way to the service: what may go over it unencrypted, and the proxy on it.

use std::net::{IpAddr, SocketAddr};

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::error::PlanError;
use super::message::Message;
use super::template::{Braces, Template};
use super::tunnel::Door;

/// What is asked of the way to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Network {
    /// No proxy is used, whatever the environment says.
    pub no_proxy: bool,
    /// Credentials may go to other machines over plain `http`.
    pub allow_plain_http: bool,
}

/// Refuses a request that would show a credential to everybody on the way.
pub(super) fn keep_private(target: &Url, url: &str, message: &Message) -> Result<(), PlanError> {
    let host = target.host_str().unwrap_or_default();
    if target.scheme() != "http" || is_loopback(host) {
        return Ok(());
    }
    let in_url = || refers(url).then(|| "what the URL refers to".to_owned());
    match message.credential().or_else(in_url) {
        None => Ok(()),
        Some(what) => Err(PlanError::Plain {
            what,
            host: host.to_owned(),
        }),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether a URL refers to a secret. Its host may come from the environment too, and is none.
fn refers(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let path = Template::read(&rest[end..], Braces::Pasted);
    path.is_ok_and(|template| template.has_reference())
}

/// Reads which addresses hosts have, as `HOST:PORT:ADDRESS`.
pub(super) fn addresses(words: &[String]) -> Result<Vec<(String, SocketAddr)>, PlanError> {
    let read = |word: &String| {
        let (host, rest) = word.split_once(':')?;
        let (port, address) = rest.split_once(':')?;
        let address = address.trim_matches(['[', ']']).parse().ok()?;
        Some((
            host.to_owned(),
            SocketAddr::new(address, port.parse().ok()?),
        ))
    };
    let wrong = |word: &String| PlanError::Address(word.clone());
    words
        .iter()
        .map(|word| read(word).ok_or_else(|| wrong(word)))
        .collect()
}

/// A proxy.
pub(super) struct Proxy {
    /// Its address, with `***` in the place of a name and password.
    pub(super) shown: String,
    /// Those.
    pub(super) credentials: Vec<Vec<u8>>,
    /// Where it is asked for tunnels, if that is not encrypted.
    pub(super) door: Option<Door>,
}

/// The proxy that the client takes for this URL: found by the rules, and by the code, that the client uses.
pub(super) fn proxy(target: &Url) -> Option<Proxy> {
    through(&Matcher::from_system(), target)
}

fn through(matcher: &Matcher, target: &Url) -> Option<Proxy> {
    let target: Uri = target.as_str().parse().ok()?;
    let found = matcher.intercept(&target)?;
    let mut credentials = Vec::new();
    if let Some(basic) = found.basic_auth() {
        credentials.push(basic.as_bytes().to_vec());
    }
    if let Some((user, password)) = found.raw_auth() {
        credentials.extend([user, password].map(|text| text.as_bytes().to_vec()));
    }
    let (scheme, host) = (found.uri().scheme_str()?, found.uri().authority()?);
    let user = if credentials.is_empty() { "" } else { "***@" };
    let door = Door {
        host: host.host().to_owned(),
        port: host.port_u16().unwrap_or(80),
        credential: found.basic_auth().map(|basic| basic.as_bytes().to_vec()),
    };
    Some(Proxy {
        shown: format!("{scheme}://{user}{host}"),
        door: (scheme == "http").then_some(door),
        credentials,
    })
}

/// Returns where the request's own proxy is asked for tunnels, if that is not encrypted.
pub(super) fn door(proxy: &str, credential: Option<&[u8]>) -> Option<Door> {
    let url = Url::parse(proxy)
        .ok()
        .filter(|url| url.scheme() == "http")?;
    Some(Door {
        host: url.host_str()?.to_owned(),
        port: url.port_or_known_default()?,
        credential: credential.map(<[u8]>::to_vec),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::http::credential::Credential;
    use crate::settings::{Body, Escape, Header, HeaderValue, Piece, Request};

    fn request(url: &str, header: Option<(&str, HeaderValue)>) -> Request {
        let header = header.map(|(name, value)| Header {
            name: name.to_owned(),
            value,
        });
        Request {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: header.into_iter().collect(),
            ..Request::default()
        }
    }

    fn is_refused(request: &Request) -> bool {
        let target = request.url.replace("{env:KEY}", "x");
        let given = Credential {
            name: "X-Api-Key".to_owned(),
            value: "sesame".to_owned(),
        };
        let message = Message::compile(request, &[given], std::path::Path::new("/")).unwrap();
        keep_private(&Url::parse(&target).unwrap(), &request.url, &message).is_err()
    }

    #[test]
    fn a_credential_leaves_this_machine_only_encrypted() {
        let bare = |url| is_refused(&request(url, None));
        let key = |url| is_refused(&request(url, Some(("X-Api-Key", HeaderValue::Withheld))));
        for url in [
            "http://example.com/",
            "http://10.0.0.1/",
            "http://[fe80::1]/",
            "http://localhost.example.com/",
        ] {
            assert!(key(url) && !bare(url), "{url}");
        }
        for url in [
            "https://example.com/",
            "http://localhost:80/",
            "http://LOCALHOST/",
            "http://127.9.9.9/",
            "http://[::1]:8080/",
        ] {
            assert!(!key(url), "{url}");
        }
        assert!(bare("http://example.com/?key={env:KEY}"));
        assert!(!bare("http://{env:KEY}/x"));
    }

    #[test]
    fn a_reference_is_a_credential_in_any_header() {
        let with = |name, value: &str| {
            let value = HeaderValue::Template(value.to_owned());
            is_refused(&request("http://example.com/", Some((name, value))))
        };
        assert!(with("X-Who", "{env:KEY}"));
        assert!(with("Cookie", "a={name}"));
        assert!(!with("X-Who", "{name}"));
        let absent = Some(("Authorization", HeaderValue::Absent));
        assert!(!is_refused(&request("http://example.com/", absent)));
    }

    #[test]
    fn a_reference_in_a_body_or_among_foreign_braces_is_one_too() {
        let body = |template: &str| {
            let piece = Piece::Text {
                template: template.to_owned(),
                escape: Escape::Json,
            };
            let pieces = vec![piece];
            is_refused(&Request {
                body: Body::Pieces { pieces },
                ..request("http://example.com/", None)
            })
        };
        assert!(body(r#"{"key": "{env:KEY}", "a": {}}"#));
        assert!(!body(r#"{"key": "{name}"}"#));
        let value = HeaderValue::Template("{x} {env:KEY}".to_owned());
        assert!(is_refused(&Request {
            pasted: true,
            ..request("http://example.com/", Some(("X-Who", value)))
        }));
        assert!(is_refused(&Request {
            pasted: true,
            ..request("http://example.com/{x}?key={env:KEY}", None)
        }));
    }

    #[test]
    fn a_proxy_is_told_without_its_password() {
        let matcher = Matcher::builder()
            .http("http://me:hunter2pass@proxy.example:3128/")
            .https("proxy.example")
            .no("localhost, 10.0.0.0/8")
            .build();
        let told = |url| through(&matcher, &Url::parse(url).unwrap()).map(|proxy| proxy.shown);
        assert_eq!(
            told("http://a.example/?a=b").unwrap(),
            "http://***@proxy.example:3128"
        );
        assert_eq!(told("https://a.example/").unwrap(), "http://proxy.example");
        assert_eq!(told("http://10.1.2.3/"), None);
    }
}
