//! The network between stride and the service: unencrypted credentials, allowed schemes and addresses, the proxy.

use std::fmt;
use std::net::{IpAddr, UdpSocket};

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::HeaderValue as Value;
use reqwest::{ClientBuilder, NoProxy, Url};

use super::error::PlanError;
use super::inside::is_local;
use super::message::Message;
use super::tunnel::PlainProxy;
use crate::settings::Transport;

/// Options of the network that no run remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Network {
    /// Ignore the proxy of the environment.
    pub no_proxy: bool,
    /// Allow credentials in plain `http` to other machines.
    pub allow_plain_http: bool,
}

/// Rejects a request that would send a credential unencrypted to another machine.
pub(super) fn keep_private(target: &Url, message: &Message) -> Result<(), PlanError> {
    let host = target.host_str().unwrap_or_default();
    if target.scheme() != "http" || is_loopback(host) {
        return Ok(());
    }
    match message.credential() {
        None => Ok(()),
        Some(what) => Err(PlanError::Plain {
            what,
            host: host.to_owned(),
        }),
    }
}

/// Returns whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    is_local(host) || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Returns whether a URL's scheme is one of these, or of HTTP if there are none.
pub(super) fn is_allowed(scheme: &str, schemes: &[String]) -> bool {
    matches!(scheme, "http" | "https")
        && (schemes.is_empty() || schemes.iter().any(|allowed| allowed == scheme))
}

/// Rejects a URL that the transport does not allow, and an address of another machine to connect from.
pub(super) fn allow(target: &Url, url: &str, transport: &Transport) -> Result<(), PlanError> {
    let refused = |reason: String| PlanError::NotAllowed {
        url: url.to_owned(),
        reason,
    };
    if !is_allowed(target.scheme(), &transport.schemes) {
        let allowed = transport.schemes.join(" and ");
        return Err(refused(format!("only {allowed} may be called")));
    }
    let host = target.host_str().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    if let Some(ip) = transport.only_ip()
        && address.is_some_and(|address| !ip.has(address))
    {
        return Err(refused(format!("only {} may be used", ip.name())));
    }
    match transport.interface {
        Some(address) => match UdpSocket::bind((address, 0)) {
            Ok(_) => Ok(()),
            Err(error) => Err(refused(format!("cannot connect from {address}: {error}"))),
        },
        None => Ok(()),
    }
}

/// The choice of a proxy.
pub(super) enum Proxies {
    /// No proxy for any URL.
    None,
    /// The proxies of the environment, as the client finds them.
    System,
    /// These proxies, except for some hosts.
    Named {
        http: Option<String>,
        https: Option<String>,
        /// The hosts to call without a proxy, separated by commas.
        except: String,
        credential: Option<Value>,
    },
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URLs of the environment may have passwords.
        f.write_str("Proxies")
    }
}

impl Proxies {
    /// Chooses `own`, the request's proxy and its credential, or else those of the environment, unless `no_environment`.
    /// As with curl, the request's list of hosts takes precedence over that of the environment, for both.
    pub(super) fn new(
        transport: &Transport,
        own: Option<(String, Option<Value>)>,
        no_environment: bool,
    ) -> Self {
        let given = transport.no_proxy.clone();
        let except = given.or_else(|| variable(&["no_proxy", "NO_PROXY"]));
        let except = except.unwrap_or_default().replace(' ', ",");
        // The client takes a `*` for all names, and not for all addresses.
        if except.trim_matches(',') == "*" || own.is_none() && no_environment {
            return Self::None;
        }
        match own {
            Some((proxy, credential)) => Self::Named {
                http: Some(proxy.clone()),
                https: Some(proxy),
                except,
                credential,
            },
            None if transport.no_proxy.is_some() => Self::Named {
                http: environment(&["http_proxy", "HTTP_PROXY"]),
                https: environment(&["https_proxy", "HTTPS_PROXY"]),
                except,
                credential: None,
            },
            None => Self::System,
        }
    }

    pub(super) fn add_to(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, PlanError> {
        let (http, https, except, credential) = match self {
            Self::None => return Ok(builder.no_proxy()),
            Self::System => return Ok(builder),
            Self::Named {
                http,
                https,
                except,
                credential,
            } => (http, https, except, credential),
        };
        builder = builder.no_proxy();
        let http = http.iter().map(|url| (url, reqwest::Proxy::http(url)));
        let https = https.iter().map(|url| (url, reqwest::Proxy::https(url)));
        for (url, proxy) in http.chain(https) {
            let proxy = proxy.map_err(|_| PlanError::Proxy(url.clone()))?;
            let proxy = proxy.no_proxy(NoProxy::from_string(except));
            builder = builder.proxy(match credential {
                Some(credential) => proxy.custom_http_auth(credential.clone()),
                None => proxy,
            });
        }
        Ok(builder)
    }

    /// Returns the proxy that the client uses for this URL.
    pub(super) fn of(&self, target: &Url) -> Option<Proxy> {
        match self {
            Self::None => None,
            Self::System => through(&Matcher::from_system(), target),
            Self::Named {
                http,
                https,
                except,
                credential,
            } => {
                let [http, https] = [http, https].map(|url| url.clone().unwrap_or_default());
                let matcher = Matcher::builder().http(http).https(https);
                let mut found = through(&matcher.no(except.as_str()).build(), target)?;
                if let (Some(plain), Some(credential)) = (&mut found.plain, credential) {
                    plain.credential = Some(credential.as_bytes().to_vec());
                }
                Some(found)
            }
        }
    }
}

/// Returns the proxy that a variable of the environment names, if the client can use it.
fn environment(names: &[&str]) -> Option<String> {
    let found = variable(names).or_else(|| variable(&["all_proxy", "ALL_PROXY"]))?;
    reqwest::Proxy::all(&found).is_ok().then_some(found)
}

/// Returns the value of the first variable that is set.
#[expect(
    clippy::disallowed_methods,
    reason = "the HTTP client reads these variables itself, but not together with the request's list of hosts"
)]
fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok())
}

/// A proxy for a URL.
pub(super) struct Proxy {
    /// Its address, with `***` instead of a name and password.
    pub(super) shown: String,
    /// The value of its header, or the name and password of a SOCKS proxy.
    pub(super) credentials: Vec<Vec<u8>>,
    pub(super) plain: Option<PlainProxy>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::http::credential::Credential;
    use crate::caller::http::message::Place;
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
        let message =
            Message::compile(request, Place::FIRST, &[given], std::path::Path::new("/")).unwrap();
        let message = message.resolve(&mut |_| Ok(b"x".to_vec())).unwrap();
        keep_private(&Url::parse(&target).unwrap(), &message).is_err()
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
