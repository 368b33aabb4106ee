//! Following redirects, where that was asked for: no further than was said, and without taking a credential to
//! another origin.

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::message::{Built, Message};
use crate::job::{Attempt, Job, Outcome};

/// The redirects of one call.
pub(super) struct Redirects<'c> {
    pub(super) left: u32,
    pub(super) message: &'c Message,
    pub(super) job: &'c Job,
    pub(super) attempt: &'c Attempt,
    /// The method of the request that was sent last.
    pub(super) method: Method,
}

impl Redirects<'_> {
    /// The request that a redirect asks for (RFC 9110, section 15.4). `None` where the answer is none, or is not
    /// to be followed; an error is what the attempt came to.
    pub(super) fn next(
        &mut self,
        from: &Url,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Result<Built, Outcome>> {
        if self.left == 0 || !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
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
        if !stays && keeps_body && self.message.has_private_body() {
            return None;
        }
        self.left -= 1;
        let mut built = match self.message.build(self.job, self.attempt) {
            Ok(built) => built,
            Err(outcome) => return Some(Err(outcome)),
        };
        if !keeps_body {
            built.body = None;
            built.headers.remove(CONTENT_LENGTH);
            built.headers.remove(CONTENT_TYPE);
        }
        if !stays {
            for name in self.message.private_headers() {
                built.headers.remove(name);
            }
        }
        self.method = method.clone();
        Some(Ok(Built {
            method,
            url: target,
            ..built
        }))
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
