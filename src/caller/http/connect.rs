//! Sets up the requests of a plan and their connections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue as Value;
use reqwest::{Method, Url};

use super::addresses::Addresses;
use super::client::PlanContext;
use super::credential::{Credential, PROXY_AUTHORIZATION};
use super::error::PlanError;
use super::keys::{Filled, Keys};
use super::message::Message;
use super::network::{self, Proxies};
use super::plan::{Connection, Plan, StepPlan};
use super::progress::Progress;
use super::redirect::FOLLOWED;
use super::tls;
use crate::job::StepKind;
use crate::settings::{Request, Transport};
use crate::validate::PollValidator;

impl StepPlan {
    /// Compiles what is known of the requests beside their messages.
    pub(super) fn compile_all(request: &Request) -> Result<Vec<Self>, PlanError> {
        let rules = request.then.iter().map(|then| then.poll.as_ref());
        let rules = std::iter::once(None).chain(rules);
        let steps = request.all().zip(rules).map(|(request, rule)| {
            let is_read = [Method::GET.as_str(), Method::HEAD.as_str()];
            Ok(Self {
                kind: match rule {
                    Some(_) => StepKind::Poll,
                    None if is_read.contains(&request.method.as_str()) => StepKind::Read,
                    None => StepKind::Write,
                },
                poll: rule.map(PollValidator::new).transpose()?,
                headers: BTreeSet::new(),
                connection: 0,
            })
        });
        steps.collect()
    }
}

impl Plan {
    /// Checks all requests and gives them connections. Those with the same transport share one.
    pub(super) fn connect(
        &mut self,
        request: &Request,
        timeout: Duration,
        context: &PlanContext<'_>,
    ) -> Result<(), PlanError> {
        let all = self.keys.iter().map(Keys::current);
        let all: Vec<Arc<Filled>> = all.collect();
        let taken = all[0].messages.iter();
        for (step, header) in taken.flat_map(Message::headers_of_answers) {
            self.steps[step].headers.insert(header);
        }
        let mut targets = Vec::new();
        for current in &all {
            targets.push(targets_of(current, request, context)?);
        }
        if let Some(last) = request.all().last()
            && last.transport.redirects > 0
            && let Some(status) = FOLLOWED
                .iter()
                .find(|status| self.validator.names(**status))
        {
            return Err(PlanError::Followed(*status));
        }
        // An answer may name any scheme.
        let is_https =
            |target: &Option<Url>| target.as_ref().is_none_or(|url| url.scheme() == "https");
        let is_encrypted = targets.iter().flatten().any(is_https);
        for (index, request) in request.all().enumerate() {
            let transport = &request.transport;
            let mut known = self.connections.iter();
            if let Some(known) = known.position(|known| known.transport == *transport) {
                self.steps[index].connection = known;
                continue;
            }
            let own_proxy = own_proxy(transport, context.credentials)?;
            let (tls, certificate_requests) = tls::configuration(transport, is_encrypted)?;
            let mut connection = Connection {
                timeout,
                tls,
                certificate_requests,
                addresses: Addresses::parse(&transport.resolve)?,
                proxies: Proxies::new(transport, own_proxy, context.network.no_proxy),
                transport: transport.clone(),
                proxy: None,
                plain_proxy: None,
            };
            // Fail now if the client cannot be built.
            connection.clients(&Progress::default())?;
            let targets = targets.iter().filter_map(|targets| targets[index].as_ref());
            for proxy in targets.filter_map(|target| connection.proxies.of(target)) {
                for keys in &mut self.keys {
                    proxy.credentials.iter().for_each(|value| keys.hide(value));
                }
                if connection.proxy.is_none() {
                    connection.proxy = Some(proxy.shown);
                    connection.plain_proxy = proxy.plain;
                }
            }
            self.steps[index].connection = self.connections.len();
            self.connections.push(connection);
        }
        Ok(())
    }
}

/// Checks the requests with the values of one lane. Returns the URLs that are known before the calls.
fn targets_of(
    current: &Filled,
    request: &Request,
    context: &PlanContext<'_>,
) -> Result<Vec<Option<Url>>, PlanError> {
    let messages = current.messages.iter().zip(request.all());
    let targets = messages.map(|(message, request)| {
        let target = message.check(&request.url)?;
        message.check_files()?;
        if let Some(target) = &target {
            if !context.network.allow_plain_http {
                network::keep_private(target, message)?;
            }
            network::allow(target, &request.url, &request.transport)?;
        }
        Ok(target)
    });
    targets.collect()
}

/// Returns the request's own proxy and its credential.
fn own_proxy(
    transport: &Transport,
    credentials: &[Credential],
) -> Result<Option<(String, Option<Value>)>, PlanError> {
    let Some(proxy) = transport.proxy.clone() else {
        return Ok(None);
    };
    let same = |given: &&Credential| given.name.eq_ignore_ascii_case(PROXY_AUTHORIZATION);
    let given = credentials.iter().find(same);
    if given.is_none() && transport.proxy_withheld {
        return Err(PlanError::Missing(PROXY_AUTHORIZATION.to_owned()));
    }
    let value = given.map(|given| given.value.parse());
    let value = value
        .transpose()
        .map_err(|_| PlanError::Proxy(proxy.clone()))?;
    Ok(Some((proxy, value)))
}
