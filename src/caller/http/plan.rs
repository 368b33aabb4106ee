//! A checked request and the settings of its calls, shared by all callers of a run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;

use super::addresses::{Addresses, Known};
use super::error::{PlanError, root_cause};
use super::keys::Keys;
use super::network::Proxies;
use super::origins::Origins;
use super::progress::Progress;
use super::remarks::Remarks;
use super::tls::{self, CertificateRequests};
use super::tunnel::PlainProxy;
use super::unreachable::Resolver;
use crate::caller::lanes::Lanes;
use crate::failure_class::ClassRule;
use crate::job::StepKind;
use crate::settings::{Http, Transport};
use crate::validate::{PollValidator, RetryAfter, Validator};

/// The idle time after which a connection is closed. Usual servers close theirs after five seconds or more, so a call
/// seldom reuses a connection that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// The limits of a call.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) idle_timeout: Duration,
    /// In bytes, after content decoding.
    pub(super) max_response: usize,
}

#[derive(Debug)]
pub(super) struct Plan {
    /// One for each row of a pool, or one.
    pub(super) keys: Vec<Keys>,
    pub(super) lanes: Lanes,
    pub(super) limits: Limits,
    pub(super) rules: Vec<ClassRule>,
    pub(super) validator: Validator,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) output_dir: Option<PathBuf>,
    /// The requests of a job, in order.
    pub(super) steps: Vec<StepPlan>,
    pub(super) connections: Vec<Connection>,
    pub(super) origins: Origins,
    pub(super) remarks: Remarks,
}

/// One request of a job.
#[derive(Debug)]
pub(super) struct StepPlan {
    pub(super) kind: StepKind,
    pub(super) poll: Option<PollValidator>,
    /// The headers of the answer that later requests take, in lower case.
    pub(super) headers: BTreeSet<String>,
    /// The index of its connection.
    pub(super) connection: usize,
}

/// The connection of one or more requests.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) timeout: Duration,
    pub(super) tls: rustls::ClientConfig,
    pub(super) addresses: Addresses,
    pub(super) proxies: Proxies,
    /// The URL of the proxy in use, the request's own or the system's, for messages. Credentials are shown as `***`.
    pub(super) proxy: Option<String>,
    /// The proxy in use, if its own URL is `http://`: it then receives unencrypted requests.
    pub(super) plain_proxy: Option<PlainProxy>,
    /// Records if the service requested a client certificate that the plan does not have.
    pub(super) certificate_requests: CertificateRequests,
}

impl Connection {
    /// Returns a client, and the one for origins that do not get the certificate.
    pub(super) fn clients(&self, progress: &Progress) -> Result<Clients, PlanError> {
        let foreign = self.transport.certificate.is_some().then(|| {
            let tls = tls::without_certificate(&self.tls, &self.certificate_requests);
            self.client(progress, &tls)
        });
        Ok(Clients {
            own: self.client(progress, &self.tls)?,
            foreign: foreign.transpose()?,
        })
    }

    fn client(&self, progress: &Progress, tls: &rustls::ClientConfig) -> Result<Client, PlanError> {
        let mut builder = Client::builder()
            // The module `coding` decodes. Another crate may enable these features, so turn them off.
            .no_gzip()
            .no_deflate()
            .no_brotli()
            .no_zstd()
            .tls_backend_preconfigured(tls.clone())
            .redirect(reqwest::redirect::Policy::none())
            // The store would not record a retry by the client.
            .retry(reqwest::retry::never())
            .connect_timeout(self.timeout)
            .dns_resolver(Known {
                addresses: self.addresses.clone(),
                progress: progress.clone(),
                others: Resolver {
                    ip: self.transport.only_ip(),
                },
            })
            .local_address(self.transport.interface)
            .connector_layer(progress.clone())
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE_CONNECTION);
        builder = match self.transport.http {
            Http::Http1 => builder.http1_only(),
            Http::Http2 => builder,
            Http::Http2Only => builder.http2_prior_knowledge(),
        };
        let built = self.proxies.add_to(builder)?.build();
        built.map_err(|error| PlanError::Client(root_cause(&error)))
    }
}

/// The clients of one connection.
#[derive(Debug)]
pub(super) struct Clients {
    own: Client,
    /// A client without the certificate, if there is one.
    foreign: Option<Client>,
}

impl Clients {
    /// Returns the client for an origin that gets the certificate, or for one that does not.
    pub(super) fn of(&self, is_foreign: bool) -> &Client {
        let foreign = self.foreign.as_ref().filter(|_| is_foreign);
        foreign.unwrap_or(&self.own)
    }
}
