//! The network between stride and the service: unencrypted credentials, fixed addresses, the proxy.

use std::net::IpAddr;

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::addresses::is_local;
use super::error::PlanError;
use super::message::Message;
use super::template::{Braces, Template};
use super::tunnel::PlainProxy;

/// Options of the network that no run remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Network {
    /// Ignore the proxy of the environment.
    pub no_proxy: bool,
    /// Allow credentials in plain `http` to other machines.
    pub allow_plain_http: bool,
}

/// Rejects a request that would send a credential unencrypted to another machine.
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
    is_local(host) || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Returns whether a URL refers to a secret after its host. A host from the environment is not a secret.
fn refers(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let path = Template::read(&rest[end..], Braces::Pasted);
    path.is_ok_and(|template| template.has_reference())
}

/// A proxy from the environment.
pub(super) struct Proxy {
    /// Its address, with `***` instead of a name and password.
    pub(super) shown: String,
    /// Its name and password, and the value of its header.
    pub(super) credentials: Vec<Vec<u8>>,
    pub(super) plain: Option<PlainProxy>,
}

/// Returns the proxy that the HTTP client uses for this URL, as the client finds it.
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
    let plain = PlainProxy {
        host: host.host().to_owned(),
        port: host.port_u16().unwrap_or(80),
        credential: found.basic_auth().map(|basic| basic.as_bytes().to_vec()),
    };
    Some(Proxy {
        shown: format!("{scheme}://{user}{host}"),
        plain: (scheme == "http").then_some(plain),
        credentials,
    })
}

/// Returns the request's own proxy, if its URL is `http://`.
pub(super) fn plain_proxy(proxy: &str, credential: Option<&[u8]>) -> Option<PlainProxy> {
    let url = Url::parse(proxy)
        .ok()
        .filter(|url| url.scheme() == "http")?;
    Some(PlainProxy {
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
    fn credentials_leave_this_machine_only_encrypted() {
        let key = |url| is_refused(&request(url, Some(("X-Api-Key", HeaderValue::Withheld))));
        for (url, refused) in [
            ("http://example.com/", true),
            ("http://10.0.0.1/", true),
            ("http://[fe80::1]/", true),
            ("http://localhost.example.com/", true),
            ("https://example.com/", false),
            ("http://localhost:80/", false),
            ("http://LOCALHOST/", false),
            ("http://api.localhost:8000/", false),
            ("http://notlocalhost/", true),
            ("http://127.9.9.9/", false),
            ("http://[::1]:8080/", false),
        ] {
            assert_eq!(key(url), refused, "{url}");
            assert!(!is_refused(&request(url, None)), "{url}");
        }
    }

    #[test]
    fn references_are_credentials_in_every_place() {
        let url = "http://example.com/";
        for (name, value, refused) in [
            ("X-Who", "{env:KEY}", true),
            ("X-Who", "{x} {env:KEY}", true),
            ("Cookie", "a={name}", true),
            ("X-Who", "{name}", false),
        ] {
            let value = HeaderValue::Template(value.to_owned());
            let request = Request {
                pasted: true,
                ..request(url, Some((name, value)))
            };
            assert_eq!(is_refused(&request), refused, "{request:?}");
        }
        let absent = Some(("Authorization", HeaderValue::Absent));
        assert!(!is_refused(&request(url, absent)));
        for (url, refused) in [
            ("http://example.com/?key={env:KEY}", true),
            ("http://example.com/{x}?key={env:KEY}", true),
            ("http://{env:KEY}/x", false),
        ] {
            let request = Request {
                pasted: true,
                ..request(url, None)
            };
            assert_eq!(is_refused(&request), refused, "{url}");
        }
        for (body, refused) in [
            (r#"{"key": "{env:KEY}", "a": {}}"#, true),
            (r#"{"key": "{name}"}"#, false),
        ] {
            let pieces = vec![Piece::Text {
                template: body.to_owned(),
                escape: Escape::Json,
            }];
            let request = Request {
                body: Body::Pieces { pieces },
                ..request(url, None)
            };
            assert_eq!(is_refused(&request), refused, "{body}");
        }
    }

    #[test]
    fn proxies_are_shown_without_their_passwords() {
        let matcher = Matcher::builder()
            .http("http://me:hunter2pass@proxy.example:3128/")
            .https("proxy.example")
            .no("localhost, 10.0.0.0/8")
            .build();
        let shown = |url| through(&matcher, &Url::parse(url).unwrap()).map(|proxy| proxy.shown);
        assert_eq!(
            shown("http://a.example/?a=b").unwrap(),
            "http://***@proxy.example:3128"
        );
        assert_eq!(shown("https://a.example/").unwrap(), "http://proxy.example");
        assert_eq!(shown("http://10.1.2.3/"), None);
    }
}
