//! HTTP calls: from a run's request to one request for each file.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue as Value,
    USER_AGENT,
};
use reqwest::{Client, Method, Url};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::runtime::Runtime;

use super::body::{self, unsendable};
use super::error::PlanError;
use super::exchange::{Exchange, Limits};
use super::keys::{self, Filled, Keys};
use super::network::{self, Network};
use super::progress::Progress;
use super::reference::Lookup;
use super::secrets::Secrets;
use super::template::Template;
use super::unreachable::Resolver;
use super::{Caller, Cancel};
use crate::class::ClassRule;
use crate::job::{Attempt, Columns, FileName, Job, JobId, Outcome, Position};
use crate::judge::Judge;
use crate::settings::{Header, HeaderValue, Request, Settings};

/// The header that carries an attempt's key
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Idle connections are given up before the usual servers close them (five seconds and more), so that a call
/// seldom meets a connection that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// The literal value of a sensitive header, which is used and never stored.
#[derive(Clone)]
pub struct Credential {
    /// The header's name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: [redacted]", self.name)
    }
}

impl Credential {
    /// A name and a password with a colon between them, as a value of Basic authentication (RFC 7617).
    pub fn basic(pair: &[u8]) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }
}

/// A request, checked and ready to be made for any file, and the settings of its calls.
#[derive(Debug, Clone)]
pub struct HttpPlan(Arc<Plan>);

#[derive(Debug)]
struct Plan {
    method: Method,
    keys: Keys,
    limits: Limits,
    rules: Vec<ClassRule>,
    judge: Judge,
    connect_timeout: Duration,
    tls: rustls::ClientConfig,
    no_proxy: bool,
    /// The proxy, as it can be shown.
    proxy: Option<String>,
}

impl HttpPlan {
    /// Checks a request and brings its secrets in: `lookup` gives the values of references,
    /// `credentials` those of the headers whose values are not stored.
    ///
    /// # Errors
    ///
    /// Whatever would keep the request from being made, whichever the file.
    pub fn new(
        request: &Request,
        settings: &Settings,
        credentials: &[Credential],
        network: Network,
        lookup: Lookup,
    ) -> Result<Self, PlanError> {
        let mut secrets = Secrets::default();
        let template = |place: &str, text: &str| {
            Template::parse(text).map_err(|error| PlanError::Template {
                place: place.to_owned(),
                error,
            })
        };
        let url = template("the URL", &request.url)?;
        let mut headers = Vec::new();
        let mut headers_before: Vec<String> = Vec::new();
        for header in &request.headers {
            let name = sendable(header)?;
            let place = format!("the header `{}`", header.name);
            let value = match &header.value {
                HeaderValue::Absent => None,
                HeaderValue::Template(text) | HeaderValue::Basic(text) => {
                    Some(template(&place, text)?)
                }
                HeaderValue::Withheld => {
                    // The n-th of a name has the n-th value that was given for it.
                    let same = |name: &str| name.eq_ignore_ascii_case(&header.name);
                    let before = headers_before.iter().filter(|name| same(name)).count();
                    let given = credentials
                        .iter()
                        .filter(|given| same(&given.name))
                        .nth(before);
                    headers_before.push(header.name.clone());
                    let value = &given
                        .ok_or_else(|| PlanError::Missing(header.name.clone()))?
                        .value;
                    Some(Template::secret(value.as_bytes()))
                }
            };
            let basic = matches!(header.value, HeaderValue::Basic(_));
            headers.push(keys::Header {
                name,
                place,
                value,
                basic,
            });
        }
        for Credential { value, .. } in credentials {
            secrets.add(value.as_bytes());
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| PlanError::Method(request.method.clone()))?;
        let limits = Limits {
            timeout: settings.timeout,
            idle_timeout: settings.idle_timeout,
            max_response: usize::try_from(settings.max_response).unwrap_or(usize::MAX),
        };
        let scheme = request.url.split(':').next().unwrap_or_default();
        let tls = tls(scheme.eq_ignore_ascii_case("https"))?;
        let keys = Keys::new(url, headers, secrets, lookup)?;
        let mut plan = Plan {
            method,
            keys,
            limits,
            rules: settings.classes.clone(),
            judge: Judge::new(&request.judging)?,
            connect_timeout: settings.connect_timeout,
            tls,
            no_proxy: network.no_proxy,
            proxy: None,
        };
        let target = plan.check(&request.url)?;
        if !network.allow_plain_http {
            network::keep_private(&target, request)?;
        }
        if !network.no_proxy
            && let Some(proxy) = network::proxy(&target)
        {
            for credential in proxy.credentials {
                plan.keys.hide(&credential);
            }
            plan.proxy = Some(proxy.shown);
        }
        Ok(Self(Arc::new(plan)))
    }

    /// The proxy that calls go through, if any; a name or password for it is shown as `***`.
    pub fn proxy(&self) -> Option<String> {
        self.0.proxy.clone()
    }

    /// A caller for one chunk thread.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be set up, for want of descriptors for example.
    pub fn caller(&self) -> Result<HttpCaller, PlanError> {
        let progress = Progress::default();
        let client =
            |error: &dyn std::error::Error| PlanError::Client(super::exchange::root_cause(error));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| client(&error))?;
        let plain = self
            .0
            .keys
            .current()
            .headers
            .iter()
            .any(|(name, value)| name == ACCEPT_ENCODING && value.is_none());
        let mut builder = Client::builder()
            .gzip(!plain)
            .deflate(!plain)
            .tls_backend_preconfigured(self.0.tls.clone())
            .redirect(reqwest::redirect::Policy::none())
            // A call that died after it was sent is ours to account for, not the client's to repeat.
            .retry(reqwest::retry::never())
            .http1_only()
            .connect_timeout(self.0.connect_timeout)
            .dns_resolver(Resolver)
            .connector_layer(progress.clone())
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE_CONNECTION);
        if self.0.no_proxy {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| client(&error))?;
        Ok(HttpCaller {
            plan: Arc::clone(&self.0),
            client,
            progress,
            runtime: Some(runtime),
        })
    }
}

/// A header's name, unless what is asked of it is what the connection or the client decides.
fn sendable(header: &Header) -> Result<HeaderName, PlanError> {
    let refused = |reason| PlanError::Header {
        name: header.name.clone(),
        reason,
    };
    let name = HeaderName::from_bytes(header.name.as_bytes())
        .map_err(|_| refused("not a header's name"))?;
    match (name.as_str(), &header.value) {
        ("content-length" | "transfer-encoding" | "connection", _) => {
            Err(refused("it follows from the file"))
        }
        ("accept", HeaderValue::Absent) => {
            Err(refused("it cannot be left out; `*/*` says the same"))
        }
        _ => Ok(name),
    }
}

/// One TLS configuration for all threads: loading the system's certificates takes a while.
fn tls(needed: bool) -> Result<rustls::ClientConfig, PlanError> {
    let client =
        |error: &dyn std::error::Error| PlanError::Client(super::exchange::root_cause(error));
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|error| client(&error))?;
    Ok(if needed {
        builder
            .with_platform_verifier()
            .map_err(|error| client(&error))?
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    })
}

impl Plan {
    /// Tries the request on a name that has nothing special about it, and says where it would go.
    fn check(&self, url: &str) -> Result<Url, PlanError> {
        let path = FileName::from("name.txt");
        let job = Job {
            id: JobId(0),
            position: Position(0),
            columns: Columns::default(),
            file: path.as_path().to_owned(),
            path,
        };
        let filled = self.keys.current();
        let refused = |reason: &str| PlanError::Url {
            url: url
                .rsplit_once('@')
                .map_or_else(|| url.to_owned(), |(_, host)| format!("…@{host}")),
            reason: reason.to_owned(),
        };
        let parsed =
            Url::parse(&filled.url.fill_url(&job)).map_err(|error| match error.to_string() {
                text if text.contains("without a base") => {
                    refused("it needs a scheme, such as https://")
                }
                text => refused(&text),
            })?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refused("its user information cannot be told from its host"));
        }
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refused("only http and https can be called"));
        }
        for (name, value) in &filled.headers {
            if let Some(value) = value
                && Value::from_bytes(&value.fill(&job)).is_err()
            {
                let reason =
                    "its value has a character that no header can carry, such as a newline";
                return Err(PlanError::Header {
                    name: name.to_string(),
                    reason,
                });
            }
        }
        Ok(parsed)
    }

    /// Whether the file goes along: not where HTTP gives a body no meaning (RFC 9110, section 9.3).
    fn sends_file(&self) -> bool {
        !matches!(
            self.method,
            Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE
        )
    }

    fn headers(&self, filled: &Filled, job: &Job, attempt: &Attempt) -> Result<HeaderMap, Outcome> {
        let mut headers = HeaderMap::new();
        headers.insert(
            USER_AGENT,
            Value::from_static(concat!("stride/", env!("CARGO_PKG_VERSION"))),
        );
        if let Ok(key) = Value::from_str(&attempt.key.to_string()) {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if self.sends_file() {
            let guess = mime_guess::from_path(&job.file)
                .first_raw()
                .unwrap_or("application/octet-stream");
            headers.insert(CONTENT_TYPE, Value::from_static(guess));
        }
        for (name, _) in &filled.headers {
            headers.remove(name);
        }
        for (name, value) in &filled.headers {
            if let Some(value) = value {
                let value = Value::from_bytes(&value.fill(job)).map_err(|_| {
                    unsendable(
                        "bad_header",
                        format!("the file's name cannot be put into the header `{name}`"),
                    )
                })?;
                headers.append(name, value);
            }
        }
        Ok(headers)
    }
}

/// Makes HTTP calls, one at a time, on a connection and a runtime of its own.
#[derive(Debug)]
pub struct HttpCaller {
    plan: Arc<Plan>,
    client: Client,
    progress: Progress,
    /// Taken only when the caller is dropped.
    runtime: Option<Runtime>,
}

impl HttpCaller {
    fn request(
        &self,
        filled: &Filled,
        job: &Job,
        attempt: &Attempt,
    ) -> Result<reqwest::Request, Outcome> {
        let input = body::open(&job.file)?;
        let url = Url::parse(&filled.url.fill_url(job)).map_err(|error| {
            unsendable(
                "bad_url",
                format!("the file's name cannot be put into the URL: {error}"),
            )
        })?;
        let mut request = reqwest::Request::new(self.plan.method.clone(), url);
        *request.headers_mut() = self.plan.headers(filled, job, attempt)?;
        if self.plan.sends_file() {
            let body = input.into_body(&self.progress)?;
            if body.as_bytes().is_some_and(<[u8]>::is_empty) {
                // The client leaves it out, and some services insist on it (RFC 9110, section 8.6).
                request
                    .headers_mut()
                    .insert(CONTENT_LENGTH, Value::from_static("0"));
            }
            *request.body_mut() = Some(body);
        }
        Ok(request)
    }
}

impl Caller for HttpCaller {
    fn call(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome {
        self.progress.reset();
        if cancel.is_cancelled() {
            return Outcome::Interrupted;
        }
        let filled = self.plan.keys.current();
        let request = match self.request(&filled, job, attempt) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        let Some(runtime) = &self.runtime else {
            return Outcome::Interrupted;
        };
        let exchange = Exchange {
            client: &self.client,
            progress: &self.progress,
            secrets: &filled.secrets,
            limits: &self.plan.limits,
            rules: &self.plan.rules,
            judge: &self.plan.judge,
            repeat: attempt.repeat,
            // The answer to HEAD describes a body that does not come (RFC 9110, section 9.3.2).
            has_body: self.plan.method != Method::HEAD,
        };
        let outcome = runtime.block_on(exchange.run(request, cancel));
        self.plan.keys.learn(&filled, outcome)
    }
}

impl Drop for HttpCaller {
    fn drop(&mut self) {
        // A name being looked up sits in a thread that cannot be stopped; nobody waits for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
