//! Follows redirects with `--location`.
//!
//! Credentials are for the first request's origin. A chain that has left this origin carries none of them on its later
//! hops, not even back at the first origin: another service chooses those URLs. A body that one hop has dropped stays
//! dropped. As with curl, a name and password in the URL of a redirect are for the first origin alone, too.

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, HeaderMap, HeaderValue as Value, LOCATION,
};
use reqwest::{Method, StatusCode, Url};

use super::credential::Credential;
use super::judge::Judge;
use super::message::Built;
use super::network::is_allowed;
use crate::settings::Transport;

/// The statuses of redirects that can be followed.
pub(super) const FOLLOWED: [u16; 5] = [301, 302, 303, 307, 308];

/// The headers that describe a body (Fetch, section 4.4, "request-body-header name").
const OF_A_BODY: [reqwest::header::HeaderName; 5] = [
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_TYPE,
];

/// The redirects of one call.
#[derive(Debug)]
pub(super) struct Redirects<'t> {
    transport: &'t Transport,
    left: u32,
    /// The request of the latest hop.
    latest: Hop,
}

/// The request that a chain of redirects asks for, as changes to the first one.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    method: Method,
    pub(super) target: Url,
    /// Every hop so far has kept the body.
    pub(super) keeps_body: bool,
    /// Some hop so far has led to another origin than the first request's.
    pub(super) strayed: bool,
    /// The latest name and password in a URL of the first origin, encoded for Basic authentication.
    user: Option<Value>,
}

impl<'t> Redirects<'t> {
    /// Begins a chain with the first request. A foreign one gets no credentials, and so do the hops from there.
    pub(super) fn new(
        method: &Method,
        first: &Url,
        is_foreign: bool,
        transport: &'t Transport,
    ) -> Self {
        let latest = Hop {
            method: method.clone(),
            target: first.clone(),
            keeps_body: true,
            strayed: is_foreign,
            user: None,
        };
        Self {
            transport,
            left: transport.redirects,
            latest,
        }
    }

    /// Returns the URL of the latest request.
    pub(super) fn target(&self) -> &Url {
        &self.latest.target
    }

    /// Returns the request that a redirect asks for (RFC 9110, section 15.4), or `None` if the answer must not be
    /// followed.
    pub(super) fn next(
        &mut self,
        judge: &Judge,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Hop> {
        if self.left == 0 || !FOLLOWED.contains(&status.as_u16()) {
            return None;
        }
        let location = std::str::from_utf8(headers.get(LOCATION)?.as_bytes()).ok()?;
        // A blank one would lead to the same URL forever.
        let location = location.trim();
        if location.is_empty() {
            return None;
        }
        let location = match location.split_once('?') {
            // Like curl.
            Some((path, query)) => format!("{path}?{}", query.replace(' ', "+")),
            None => location.to_owned(),
        };
        let latest = &self.latest;
        let mut target = latest.target.join(&location).ok()?;
        if !is_allowed(target.scheme(), &self.transport.redirect_schemes) {
            return None;
        }
        let user = user(&target).or_else(|| latest.user.clone());
        // A name and password in a URL would become part of the host in HTTP/2.
        target.set_username("").ok()?;
        target.set_password(None).ok()?;
        let method = match self.transport.keep_post.contains(&status.as_u16()) {
            true if latest.method == Method::POST => Method::POST,
            _ => method(&latest.method, status),
        };
        let keeps_body = latest.keeps_body && method == latest.method;
        let strayed = latest.strayed || latest.target.origin() != target.origin();
        if strayed
            && (keeps_body && judge.message().has_private_body()
                || judge.filled.secrets.are_in(target.as_str().as_bytes()))
        {
            return None;
        }
        self.left -= 1;
        self.latest = Hop {
            method,
            target,
            keeps_body,
            strayed,
            user,
        };
        Some(self.latest.clone())
    }
}

impl Hop {
    /// Changes the first request into this one.
    pub(super) fn change(self, mut built: Built, judge: &Judge) -> Built {
        if !self.keeps_body {
            built.body = None;
            for name in OF_A_BODY {
                built.headers.remove(name);
            }
        }
        if self.strayed {
            built.drop_credentials(judge.message());
        } else if let Some(user) = self.user {
            // Like curl, the request's own credential takes precedence.
            built.headers.entry(AUTHORIZATION).or_insert(user);
        }
        Built {
            method: self.method,
            url: self.target,
            ..built
        }
    }
}

/// Returns the name and the password in a URL, encoded for Basic authentication.
fn user(url: &Url) -> Option<Value> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user = format!("{}:{}", url.username(), url.password().unwrap_or_default());
    let mut value = Value::from_str(&Credential::of_user(&user)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns the method after a redirect. On 301 and 302, browsers change POST to GET, and standards now allow it.
fn method(before: &Method, status: StatusCode) -> Method {
    match status.as_u16() {
        301 | 302 if *before == Method::POST => Method::GET,
        303 if *before != Method::HEAD => Method::GET,
        _ => before.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn post_becomes_get_where_the_standard_allows_it() {
        for (status, before, after) in [
            (301, Method::POST, Method::GET),
            (302, Method::POST, Method::GET),
            (302, Method::PUT, Method::PUT),
            (303, Method::PUT, Method::GET),
            (303, Method::HEAD, Method::HEAD),
            (307, Method::POST, Method::POST),
            (308, Method::POST, Method::POST),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(method(&before, status), after, "{status} {before}");
        }
    }
}
