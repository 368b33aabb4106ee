//! Following redirects, where that was asked for: no further than was said, and without taking a credential to
//! another origin.

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::message::{Built, Message};

/// The statuses of redirects that can be followed.
pub(super) const FOLLOWED: [u16; 5] = [301, 302, 303, 307, 308];

/// The redirects of one call.
#[derive(Debug)]
pub(super) struct Redirects {
    pub(super) left: u32,
    /// The method of the request that was sent last.
    pub(super) method: Method,
}

/// A request that a redirect asks for, as a change of the first one.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    method: Method,
    target: Url,
    keeps_body: bool,
    /// Whether it leads to the same origin.
    stays: bool,
}

impl Redirects {
    /// Where a redirect leads (RFC 9110, section 15.4). `None` where the answer is none, or is not to be followed.
    pub(super) fn next(
        &mut self,
        message: &Message,
        from: &Url,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Hop> {
        if self.left == 0 || !FOLLOWED.contains(&status.as_u16()) {
            return None;
        }
        let location = std::str::from_utf8(headers.get(LOCATION)?.as_bytes()).ok()?;
        let target = from.join(location).ok()?;
        if !matches!(target.scheme(), "http" | "https") {
            return None;
        }
        let method = method(&self.method, status);
        let stays = from.origin() == target.origin();
        let keeps_body = method == self.method;
        if !stays && keeps_body && message.has_private_body() {
            return None;
        }
        self.left -= 1;
        self.method = method.clone();
        Some(Hop {
            method,
            target,
            keeps_body,
            stays,
        })
    }
}

impl Hop {
    /// The request that was sent first, as it is now asked for.
    pub(super) fn change(self, mut built: Built, message: &Message) -> Built {
        if !self.keeps_body {
            built.body = None;
            built.headers.remove(CONTENT_LENGTH);
            built.headers.remove(CONTENT_TYPE);
        }
        if !self.stays {
            for name in message.private_headers() {
                built.headers.remove(name);
            }
        }
        Built {
            method: self.method,
            url: self.target,
            ..built
        }
    }
}

/// The method after a redirect. What browsers have made of 301 and 302 after a POST is the rule by now.
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
    fn a_post_becomes_a_get_where_the_standard_lets_it() {
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
