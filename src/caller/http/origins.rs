//! Decides what an address from an answer gets.
//!
//! Credentials go to the origins that the user's own URLs name, up to their paths, and to those of `--allow-origin`. Another
//! origin is called without them. An address that no URL of the user names must not lead from HTTPS to plain HTTP, nor from
//! the public network to this machine or a private network: the answer of a service would use stride to reach there.

use reqwest::Url;

use super::error::{PlanError, unsafe_url};
use super::inside::is_host_inside;
use super::keys::Filled;
use super::message::{Built, Trust};
use super::network::is_loopback;
use super::reading::Reading;
use super::source::Source;
use crate::job::{Attempt, Job, Outcome};

/// The origins of `--allow-origin`.
#[derive(Debug, Clone)]
pub(super) struct Origins {
    allowed: Vec<String>,
    /// Credentials may leave this machine unencrypted.
    plain_http: bool,
}

impl Origins {
    pub(super) fn parse(words: &[String], plain_http: bool) -> Result<Self, PlanError> {
        let allowed = words.iter().map(|word| {
            let url = Url::parse(word).ok().filter(|url| {
                let is_bare =
                    url.path() == "/" && url.query().is_none() && url.fragment().is_none();
                is_bare && url.username().is_empty() && matches!(url.scheme(), "http" | "https")
            });
            let url = url.ok_or_else(|| PlanError::Origin(word.clone()))?;
            Ok::<_, PlanError>(url.origin().ascii_serialization())
        });
        Ok(Self {
            allowed: allowed.collect::<Result<_, _>>()?,
            plain_http,
        })
    }

    /// Returns whether the user names the origin of a URL.
    pub(super) fn is_own(&self, filled: &Filled, job: &Job, source: &Source, url: &Url) -> bool {
        let origin = url.origin().ascii_serialization();
        let mut own = filled.messages.iter();
        self.allowed.contains(&origin)
            || own.any(|message| message.origin(job, source).as_ref() == Some(&origin))
    }

    /// Builds the request `step` of a job. An error is the attempt's outcome: nothing was sent.
    pub(super) fn build(
        &self,
        filled: &Filled,
        step: usize,
        job: &Job,
        attempt: &Attempt,
        reading: Reading,
    ) -> Result<Built, Outcome> {
        let message = &filled.messages[step];
        let source = Source::new(&job.file, reading);
        message.open(job, &source)?;
        let url = filled.url(step, job, &source)?;
        let trust = self.trust(filled, step, job, &source, &url)?;
        message.build(job, attempt, &source, (url, trust))
    }

    /// Decides about the URL of a request. An error says that it must not be called.
    fn trust(
        &self,
        filled: &Filled,
        step: usize,
        job: &Job,
        source: &Source,
        url: &Url,
    ) -> Result<Trust, Outcome> {
        let message = &filled.messages[step];
        let Some(named_by) = message.named_by() else {
            return Ok(Trust::OWN);
        };
        let host = url.host_str().unwrap_or_default();
        let is_private = url.scheme() == "https" || is_loopback(host) || self.plain_http;
        let is_own = self.is_own(filled, job, source, url);
        if is_private && is_own {
            return Ok(Trust::OWN);
        }
        let by = filled.url(named_by, job, source)?;
        let origin = url.origin().ascii_serialization();
        let answer = format!("the answer of step {} leads to {origin}", named_by + 1);
        if by.scheme() == "https" && url.scheme() == "http" && !is_own {
            return Err(unsafe_url(format!(
                "{answer}, which is not encrypted, and no URL of the run names it; --allow-origin {origin} allows it"
            )));
        }
        let carried = message.fixed_credential();
        let echoed = || filled.secrets.are_in(url.as_str().as_bytes());
        let carried = carried.or_else(|| echoed().then(|| "a secret in the URL".to_owned()));
        if let Some(carried) = carried {
            return Err(unsafe_url(match is_own {
                true => format!(
                    "{answer}, which would get {carried} unencrypted; --allow-plain-http allows it"
                ),
                false => format!(
                    "{answer}, which would get {carried}, and no URL of the run names it; --allow-origin {origin} allows it"
                ),
            }));
        }
        let by = by.host_str().unwrap_or_default();
        let is_guarded = !is_own && !is_host_inside(by);
        Ok(Trust {
            is_foreign: true,
            is_own,
            named_by: is_guarded.then(|| by.to_owned()),
        })
    }
}

impl Filled {
    /// Returns the URL of a request of a job.
    fn url(&self, step: usize, job: &Job, source: &Source) -> Result<Url, Outcome> {
        let base = |earlier: usize| self.url(earlier, job, source);
        self.messages[step].url(job, source, &base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let parse = |word: &str| Origins::parse(&[word.to_owned()], false);
        let allowed = |word| parse(word).unwrap().allowed;
        assert_eq!(allowed("https://a.example:443/"), ["https://a.example"]);
        assert_eq!(allowed("http://A.example:81"), ["http://a.example:81"]);
        for word in [
            "a.example",
            "https://a/x",
            "https://a?x",
            "https://me@a",
            "ftp://a",
        ] {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
